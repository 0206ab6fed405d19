"""Reads from Redis in which large values are not sent again to a process that has decoded them before.

Of those, Redis says how they begin, which includes their checksum, and how long they are. So a hit does not depend on
the size of its body. Knows bytes; does not know what they stand for.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from fastapi_caching_route._backends.codec import Codec

BEGIN_BYTES = 16
"""How much of a value, with its length, tells it from others, see `Codec.known`."""

FROM_BYTES = 16 * 1024
"""The size from which on a value is not sent again. Below, sending it costs no more than asking how it begins."""

MAX_NAMES = 4096
"""For how many keys it is remembered what was under them, at some hundred bytes each."""

_SCRIPT = """
local found = {}
for at, key in ipairs(KEYS) do
    if string.sub(ARGV[1], at, at) == '0' then
        found[at] = redis.pcall('GET', key)
    else
        local begin, length = redis.pcall('GETRANGE', key, 0, tonumber(ARGV[2]) - 1), redis.pcall('STRLEN', key)
        if type(begin) == 'string' and type(length) == 'number' then
            found[at] = length .. ' ' .. begin
        else
            found[at] = type(length) == 'number' and begin or length
        end
    end
end
return found
"""


def can_tell_how_values_begin(backend: Any, client: Any) -> bool:
    """Whether a backend is one of Redis that reads values as they are stored, all of them on one server."""
    own = getattr(type(backend), '_multi_get', None)
    is_plain = getattr(own, '__module__', '') in {'aiocache.backends.redis', 'fastapi_caching_route.redis'}
    return is_plain and hasattr(client, 'eval') and not hasattr(client, 'mget_nonatomic')


class KnownValues:
    """The large values in Redis that this process has decoded."""

    __slots__ = ('_client', '_codec', '_may_ask', '_names', '_read')

    def __init__(self, codec: Codec, client: Any, read: Callable[[Sequence[str]], Awaitable[Sequence[Any]]]) -> None:
        """Nothing has been read yet. `read` returns what is under keys, or None."""
        self._codec = codec
        self._client = client
        self._read = read
        self._may_ask = True
        self._names: dict[str, tuple[bytes, int]] = {}
        """How the value under a key began, and its length."""

    def include(self, key: str) -> bool:
        """Whether the value that was last under a key is large, and still known."""
        name = self._names.get(key) if self._may_ask else None
        return name is not None and name in self._codec.known

    async def get_many(self, keys: Sequence[str]) -> list[object]:
        """The object under each key, or None; all of one moment, except large ones that have changed, which are newer.

        What is read beside them may be older than those then. It is of a moment after the call all the same.
        """
        known = [self.include(key) for key in keys]
        if not any(known):
            return [self._loaded(*it) for it in zip(keys, await self._read(keys), strict=True)]
        flags = ''.join('01'[it] for it in known)
        replies = await self._client.eval(_SCRIPT, len(keys), *keys, flags, BEGIN_BYTES)
        found: dict[str, object] = {}
        for key, is_known, reply in zip(keys, known, replies, strict=True):
            if not is_known:
                found[key] = self._loaded(key, reply)
            elif isinstance(reply, bytes):
                length, _, begin = reply.partition(b' ')
                it = self._codec.known.get((begin, int(length)))
                found |= {} if it is None else {key: it}
            elif not is_of_another_type(reply):  # the user of Redis may not have these commands
                self._may_ask = False
        changed = [key for key in keys if key not in found]
        if changed:
            values = zip(changed, await self._read(changed), strict=True)
            found.update({key: self._loaded(key, value) for key, value in values})
        return [found[key] for key in keys]

    def _loaded(self, key: str, value: object) -> object:
        if isinstance(value, bytes) and len(value) >= FROM_BYTES:
            if len(self._names) >= MAX_NAMES:
                self._names.clear()
            self._names[key] = value[:BEGIN_BYTES], len(value)
        elif self._names:
            self._names.pop(key, None)  # else it would be asked how the value begins, and then for the value, each time
        return self._codec.loads(value)


def is_of_another_type(reply: object) -> bool:
    """Whether this error says that something else is under a key, a list, say. That tells nothing about other keys."""
    return str(reply).startswith('WRONGTYPE')
