"""What turns objects into bytes and back. Does not know which objects these are."""

from collections.abc import Mapping
from typing import Any, Protocol


class Codec(Protocol):
    """Turns objects into bytes and back; it looks like a serializer of aiocache."""

    encoding: str | None
    prefix_of_texts: bytes
    """How the bytes of a str begin, before its own ones."""

    known: Mapping[tuple[bytes, int], object]
    """Objects of bytes that begin with these sixteen, and are so many: what `loads` returns without looking closer."""

    def dumps(self, value: Any) -> Any:
        """The bytes of an object."""
        ...

    def loads(self, value: Any) -> Any:
        """The object of these bytes, or None."""
        ...

    def bytes_of_head(self, begin: bytes) -> int:
        """How many bytes of a value that begins like this `loads_head` needs. Some sixteen bytes tell that."""
        ...

    def loads_head(self, begin: bytes | memoryview, length: int) -> Any:
        """What the first bytes tell of an object of so many bytes, or None. Nothing says that the rest is whole."""
        ...
