"""Reads from Redis of which large values send only how they begin: enough to list them.

Knows bytes; does not know what they stand for.
"""

from collections.abc import Sequence
from typing import Any

from fastapi_caching_route._backends.codec import Codec

FIRST_BYTES = 2048
"""How much of a value is read at first: more than the heads of most have."""


async def heads(client: Any, keys: Sequence[str], codec: Codec) -> list[object]:
    """What is under each key, or None; of a large value its head."""
    begins = await _begins(client, dict.fromkeys(keys, FIRST_BYTES))
    longer = {key: codec.bytes_of_head(begin) for key, (begin, _) in begins.items()}
    longer = {key: size for key, size in longer.items() if size > len(begins[key][0]) < begins[key][1]}
    begins |= await _begins(client, longer)
    return [codec.loads_head(*begins[key]) for key in keys]


async def _begins(client: Any, sizes: dict[str, int]) -> dict[str, tuple[bytes, int]]:
    """The first bytes of the value under each key, and its length; of what is no value, none."""
    if not sizes:
        return {}
    pipeline = client.pipeline(transaction=True)  # both of one moment
    for key, size in sizes.items():
        pipeline.getrange(key, 0, size - 1)
        pipeline.strlen(key)
    replies = await pipeline.execute(raise_on_error=False)
    pairs = zip(sizes, replies[::2], replies[1::2], strict=True)
    return {key: (begin, length) if isinstance(begin, bytes) else (b'', 0) for key, begin, length in pairs}
