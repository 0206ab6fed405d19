"""What turns objects into bytes and back. Does not know which objects these are."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

from msgspec import MsgspecError

T = TypeVar('T')


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


class UnencodableError(Exception):
    """An object has no bytes. That says nothing of the store, nor of the objects that are stored with it."""


def dumped(value: object, dumps: Callable[[Any], T]) -> T | UnencodableError:
    """What `dumps` makes of a value, or why it cannot: what is stored together must not fail together."""
    try:
        return dumps(value)
    except (TypeError, ValueError, ArithmeticError, RuntimeError, MsgspecError) as error:
        return UnencodableError(repr(error))
