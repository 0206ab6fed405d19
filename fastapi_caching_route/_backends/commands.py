"""Where entries are kept: what is asked of a backend, whichever it is. Knows keys, objects of ours, and seconds."""

import time
from asyncio import AbstractEventLoop
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar

Given = TypeVar('Given')


class Shelf(Protocol):
    """Keeps objects of ours where a cache of aiocache keeps its values.

    `within` is for how many seconds who asks will wait. Trouble is raised: whatever the client library raises, or a
    TimeoutError. A store that is known to be in trouble is not asked, but for a `set` or an `erase` that is needed `anyway`.
    """

    async def get(self, keys: Sequence[str], within: float) -> list[Any]:
        """What is under each key, or None; in one command."""
        ...

    async def set(self, key: str, value: object, span: float, within: float, *, anyway: bool = False) -> bool:
        """Keep it for `span` seconds, or a little more where the backend counts in whole ones; whether there is room for it."""
        ...

    async def add(self, key: str, value: object, span: float, within: float) -> bool:
        """The same, but only where there is nothing yet."""
        ...

    async def delete(self, key: str, within: float) -> int:
        """How many keys were deleted (0 or 1)."""
        ...

    async def erase(self, key: str, within: float, *, anyway: bool = False) -> None:
        """Delete a key, for certain."""
        ...

    async def release(self, key: str, token: str, within: float) -> None:
        """Delete a key, if this token is there."""
        ...

    def stores(self) -> bool:
        """Whether it is worth its time to store something."""
        ...

    def could_begin(self, *, in_time: bool) -> None:
        """Hear whether all that comes before an answer can be stored was done in the time that a request may wait."""
        ...

    def loop(self) -> AbstractEventLoop | None:
        """An event loop that runs and has used it, if there is one."""
        ...

    def late(self) -> float:
        """For how many seconds this event loop was too busy to wait for it, all in all: that is no fault of the store."""
        ...

    async def close(self) -> None:
        """Close what was opened in this event loop; what is needed later is opened again."""
        ...


@dataclass(frozen=True, slots=True)
class Persistent:
    """The commands of one who invalidates: each has the whole time-out, since none may be left out."""

    shelf: Shelf
    timeout: float
    anyway: bool
    """Whether they are given also if the store is known to be in trouble."""

    async def set(self, key: str, value: object, span: float) -> bool:
        """Keep it for `span` seconds; False if there is no room for it."""
        return await self.shelf.set(key, value, span, self.timeout, anyway=self.anyway)

    async def delete(self, key: str) -> None:
        """Delete a key, for certain."""
        await self.shelf.erase(key, self.timeout, anyway=self.anyway)


class Commands:
    """The commands of a shelf for one who has so many seconds for all of them together, and no more.

    The time by which the event loop is late itself does not count.
    """

    __slots__ = ('_shelf', '_until')

    def __init__(self, shelf: Shelf, seconds: float) -> None:
        """The seconds begin now."""
        self._shelf = shelf
        self._until = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """How many seconds are left."""
        return self._until - time.monotonic()

    async def get(self, keys: Sequence[str]) -> list[Any]:
        """What is under each key, or None."""
        late_before = self._shelf.late()
        found = await self._shelf.get(keys, self.left)
        self._until += self._shelf.late() - late_before
        return found

    async def set(self, key: str, value: object, span: float) -> bool:
        """Keep it for `span` seconds; whether it is kept."""
        return await self._timed(partial(self._shelf.set, key, value, span))

    async def add(self, key: str, value: object, span: float) -> bool:
        """The same, but only where there is nothing yet."""
        return await self._timed(partial(self._shelf.add, key, value, span))

    async def delete(self, key: str) -> int:
        """How many keys were deleted (0 or 1)."""
        return await self._timed(partial(self._shelf.delete, key))

    async def _timed(self, command: Callable[[float], Awaitable[Given]]) -> Given:
        late_before = self._shelf.late()
        given = await command(self.left)
        self._until += self._shelf.late() - late_before
        return given
