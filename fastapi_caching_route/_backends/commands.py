"""Commands to a backend and their time budget: one for a whole request, or one for each command of an invalidation."""

import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from fastapi_caching_route._backends.batch import Reading
from fastapi_caching_route._backends.drivers import Driver
from fastapi_caching_route._backends.journal import JournalHead, Tail
from fastapi_caching_route._backends.linked import LinkedBackend

T = TypeVar('T')


@dataclass(frozen=True, slots=True)
class Persistent:
    """The commands of an invalidation: each has the whole time-out, because none may be skipped."""

    backend: LinkedBackend
    timeout: float
    even_if_open: bool
    """Whether they are sent even if the breaker is open."""

    async def set(self, key: str, value: object, span: float) -> bool:
        """Store an object for `span` seconds; return False if there is no room for it."""
        return await self.backend.set(key, value, span, self.timeout, even_if_open=self.even_if_open)

    async def delete(self, key: str) -> None:
        """Delete a key, or raise."""
        await self.backend.erase(key, self.timeout, even_if_open=self.even_if_open)

    async def append(self, journal: str, known: JournalHead | None, texts: Sequence[str], note: str) -> Tail:
        """Append texts to a journal; return what it has behind a head."""
        return await self.backend.append(journal, known, texts, note, self.timeout, even_if_open=self.even_if_open)


class Commands:
    """The commands of one request, which have one time budget together.

    Time during which the event loop itself was late does not count.
    """

    __slots__ = ('_backend', '_until')

    def __init__(self, backend: LinkedBackend, seconds: float) -> None:
        """Start with a budget of `seconds`."""
        self._backend = backend
        self._until = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """How many seconds of the budget are left."""
        return self._until - time.monotonic()

    async def get(self, keys: Sequence[str]) -> list[object]:
        """The object under each key, or None."""
        read = self._backend.reading(keys)
        return read if isinstance(read, list) else self.taken(keys, read, await read.found_within(self.left))

    async def heads(self, keys: Sequence[str]) -> list[object]:
        """What is under each key, or None: of a large object only its head, where the backend can tell that apart."""
        return await self._timed(partial(self._backend.send, 'reading', partial(_heads, keys)))

    def taken(self, keys: Sequence[str], batch: Reading, found: Mapping[str, object]) -> list[object]:
        """The object under each key, or None, after waiting for a batch; the budget grows by what the loop was late."""
        self._until += batch.late
        return [found[key] for key in keys]

    # What follows is no coroutine of its own: one less to begin and to go on with for each command.

    def set(self, key: str, value: object, span: float) -> Coroutine[Any, Any, bool]:
        """Store an object for `span` seconds; return whether it was stored."""
        return self._timed(partial(self._backend.set, key, value, span))

    def add(self, key: str, value: object, span: float) -> Coroutine[Any, Any, bool]:
        """Store an object if there is none under the key; return whether it was stored."""
        return self._timed(partial(self._backend.add, key, value, span))

    def prolong(self, key: str, span: float) -> Coroutine[Any, Any, bool]:
        """Let what is under a key expire `span` seconds from now; return whether there is something."""
        return self._timed(partial(self._backend.prolong, key, span))

    def delete(self, key: str) -> Coroutine[Any, Any, int]:
        """Delete a key; return how many keys were deleted (0 or 1)."""
        return self._timed(partial(self._backend.delete, key))

    def since(self, journal: str, known: JournalHead | None) -> Coroutine[Any, Any, Tail]:
        """What a journal has behind a head."""
        return self._timed(partial(self._backend.since, journal, known))

    async def _timed(self, command: Callable[[float], Awaitable[T]]) -> T:
        late_before = self._backend.late()
        given = await command(self.left)
        self._until += self._backend.late() - late_before
        return given


async def _heads(keys: Sequence[str], driver: Driver) -> list[object]:
    return await driver.heads(keys)
