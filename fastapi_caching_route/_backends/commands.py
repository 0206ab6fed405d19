"""Commands to a backend under one time budget: that of a request, or the whole time-out for each of an invalidation."""

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from fastapi_caching_route._backends.linked import LinkedBackend

T = TypeVar('T')


@dataclass(frozen=True, slots=True)
class Persistent:
    """The commands of one who invalidates: each has the whole time-out, since none may be left out."""

    backend: LinkedBackend
    timeout: float
    even_if_open: bool
    """Whether they are given also if the store is known to be in trouble."""

    async def set(self, key: str, value: object, span: float) -> bool:
        """Keep it for `span` seconds; False if there is no room for it."""
        return await self.backend.set(key, value, span, self.timeout, even_if_open=self.even_if_open)

    async def delete(self, key: str) -> None:
        """Delete a key, for certain."""
        await self.backend.erase(key, self.timeout, even_if_open=self.even_if_open)


class Commands:
    """The commands of one who has so many seconds for all of them together, and no more.

    The time by which the event loop is late itself does not count.
    """

    __slots__ = ('_backend', '_until')

    def __init__(self, backend: LinkedBackend, seconds: float) -> None:
        """The seconds begin now."""
        self._backend = backend
        self._until = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """How many seconds are left."""
        return self._until - time.monotonic()

    async def get(self, keys: Sequence[str]) -> list[object]:
        """What is under each key, or None."""
        late_before = self._backend.late()
        found = await self._backend.get(keys, self.left)
        self._until += self._backend.late() - late_before
        return found

    async def set(self, key: str, value: object, span: float) -> bool:
        """Keep it for `span` seconds; whether it is kept."""
        return await self._timed(partial(self._backend.set, key, value, span))

    async def add(self, key: str, value: object, span: float) -> bool:
        """The same, but only where there is nothing yet."""
        return await self._timed(partial(self._backend.add, key, value, span))

    async def delete(self, key: str) -> int:
        """How many keys were deleted (0 or 1)."""
        return await self._timed(partial(self._backend.delete, key))

    async def _timed(self, command: Callable[[float], Awaitable[T]]) -> T:
        late_before = self._backend.late()
        given = await command(self.left)
        self._until += self._backend.late() - late_before
        return given
