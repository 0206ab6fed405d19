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
