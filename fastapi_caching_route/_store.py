"""Entries in an aiocache backend, and what invalidates them.

Knows keys, names and entries as wholes; knows nothing of requests, of HTTP, or of the framework. Trouble with the
backend costs what is stored, never an answer: a look-up finds nothing, and storing does nothing. An invalidation that
could not be written is owed: it is written as soon as the backend takes it, and counts in this process until then.
"""

import asyncio
import logging
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from aiocache.base import BaseCache

from fastapi_caching_route._entry import Entry, Variants
from fastapi_caching_route._http.storing import FOREVER
from fastapi_caching_route._key import root_of
from fastapi_caching_route._marks import Marks
from fastapi_caching_route._moments import Moments
from fastapi_caching_route._names import EVERYTHING
from fastapi_caching_route._shelf import Shelf
from fastapi_caching_route.errors import InvalidationError

logger = logging.getLogger('fastapi_caching_route')

Stored = Entry | Variants
Given = TypeVar('Given')

MOST_OWED = 10_000
"""Names that one process owes to a backend that does not answer; with more, it owes everything."""

FIRST_WAIT, LONGEST_WAIT = 0.1, 2.0
"""Seconds between attempts to write what is owed: soon after a stumble, and not often during an outage."""


@dataclass(frozen=True, slots=True)
class Found:
    """An entry that is alive. `stale_at` is when a soft invalidation made it stale, or infinity."""

    entry: Entry
    stale_at: float


@dataclass(frozen=True, slots=True)
class Lost:
    """An answer that must not be stored: a name of it was invalidated while it was computed, or nobody can tell."""

    reason: str


class Store:
    """Keeps entries where a cache of aiocache keeps its values."""

    __slots__ = ('_failing', '_marks', '_owed', '_settling', '_shelf', '_under_way', 'namespace', 'ttl')

    def __init__(self, backend: BaseCache, timeout: float, signing_keys: Sequence[bytes] = ()) -> None:
        """Use the backend as the user built it, its namespace and ttl included; wait for it `timeout` seconds."""
        self._shelf = Shelf(backend, timeout, signing_keys)
        self._marks: Any = (
            _moments_of(backend) if self._shelf.inside else Marks(self._shelf, root_of(backend.namespace))
        )
        self._owed = _all_owed.setdefault(backend, {})
        self._under_way: set[asyncio.Future[int]] = set()
        self._settling: asyncio.Task[None] | None = None
        self._failing = False
        self.namespace: str = backend.namespace or ''
        self.ttl: float | None = backend.ttl

    async def look_up(self, key: str) -> Found | Variants | None:
        """What is stored under a full key, and is alive; anything that was not stored under just this key is nothing."""
        return await self._or_nothing(self._look_up(key))

    async def _look_up(self, key: str) -> Found | Variants | None:
        found, *beside = await self._shelf.get((key, *self._marks.beside))
        if isinstance(found, Variants):
            return found if found.key == key else None
        if not isinstance(found, Entry) or found.key != key or self._is_owed(found):
            return None
        stale_at = await self._marks.stale_at(found, beside)
        return None if stale_at is None else Found(found, stale_at)

    async def begin(self, names: Sequence[str], *, windowed: bool) -> object | None:
        """What `land` will ask for: to be got before the endpoint runs. None if the backend is in trouble."""
        return await self._or_nothing(self._marks.begin(names, windowed=windowed))

    async def land(self, begun: object, names: Sequence[str], *, windowed: bool) -> int | tuple[str, ...] | Lost:
        """The marks for an answer with these names; or why it must not be stored."""
        landed = await self._or_nothing(self._landed(begun, names, windowed=windowed))
        return Lost('store-error') if landed is None else landed

    async def _landed(self, begun: object, names: Sequence[str], *, windowed: bool) -> int | tuple[str, ...] | Lost:
        marks: int | tuple[str, ...] | None = await self._marks.land(begun, names, windowed=windowed)
        return Lost('invalidated') if marks is None else marks

    async def put(self, stored: Stored, span: float) -> bool:
        """Store under its own key for `span` seconds; return whether the backend has taken it."""
        return bool(await self._or_nothing(self._shelf.set(stored.key, stored, min(span, FOREVER))))

    async def forget(self, key: str) -> None:
        """Delete what is stored under a full key, if that can be done now; it will end by itself."""
        await self._or_nothing(self._shelf.delete(key))

    async def invalidate(self, names: Sequence[str], *, soft_at: float | None = None, key: str | None = None) -> int:
        """Invalidate all entries with one of the names, for all processes; delete this full key too.

        Return how many keys were deleted (0 or 1).

        Raises:
            InvalidationError: it could not be written. It is owed from now on.

        """
        return await asyncio.shield(self.invalidating(names, soft_at=soft_at, key=key))

    def invalidating(
        self, names: Sequence[str], *, soft_at: float | None = None, key: str | None = None
    ) -> asyncio.Future[int]:
        """The same, begun at once, and going on to its end even if who has asked for it is cancelled."""
        writing = asyncio.ensure_future(self._write(names, soft_at, key))
        self._under_way.add(writing)
        writing.add_done_callback(self._under_way.discard)
        return writing

    async def _write(self, names: Sequence[str], soft_at: float | None, key: str | None) -> int:
        try:
            await self._marks.invalidate(names, soft_at)
        except Exception as error:
            level = logging.DEBUG if self._owed else logging.WARNING  # one warning for one outage
            logger.log(level, 'an invalidation of %s could not be written yet, and is tried again: %r', names, error)
            self._owed.update(dict.fromkeys(names if len(self._owed) < MOST_OWED else (EVERYTHING,), object()))
            self._settle_later()
            msg = f'{names} could not be invalidated for all processes yet; in this one they are, and it is tried again'
            raise InvalidationError(msg) from error
        # Whether it is deleted or not, it will not be used again.
        return await self._or_nothing(self._shelf.delete(key)) or 0 if key is not None else 0

    async def settled(self) -> None:
        """Wait until nothing is owed."""
        while self._owed:
            await asyncio.wait([self._settle_later()])

    def _is_owed(self, entry: Entry) -> bool:
        if not self._owed:
            return False
        self._settle_later()
        return any(name in self._owed for name in entry.names)

    def _settle_later(self) -> asyncio.Task[None]:
        loop = asyncio.get_running_loop()
        if self._settling is None or self._settling.done() or self._settling.get_loop() is not loop:
            self._settling = loop.create_task(self._settle())
        return self._settling

    async def _settle(self) -> None:
        """Write what is owed, again and again until the backend takes it."""
        wait = FIRST_WAIT
        while self._owed:
            await asyncio.sleep(wait)
            wait = min(2 * wait, LONGEST_WAIT)
            owed = dict(self._owed)
            names = [EVERYTHING] if EVERYTHING in owed else list(owed)
            if await self._or_nothing(self._done(self._marks.invalidate(names, None))):
                for name in [name for name, ticket in owed.items() if self._owed.get(name) is ticket]:
                    del self._owed[name]  # and not what has come to be owed meanwhile
        logger.info('all invalidations are written')

    @staticmethod
    async def _done(command: Awaitable[None]) -> bool:
        await command
        return True

    async def _or_nothing(self, command: Awaitable[Given]) -> Given | None:
        """What the command gives, or None where the backend is in trouble; a warning when that begins."""
        try:
            found = await command
        except Exception as error:  # noqa: BLE001, whatever a client library raises
            if not self._failing:
                logger.warning('the cache backend is in trouble, endpoints answer without it: %r', error)
            self._failing = True
            return None
        if self._failing:
            logger.info('the cache backend works again')
            self._failing = False
        return found


_all_owed: WeakKeyDictionary[BaseCache, dict[str, object]] = WeakKeyDictionary()
_all_moments: WeakKeyDictionary[BaseCache, Moments] = WeakKeyDictionary()


def _moments_of(backend: BaseCache) -> Moments:
    """The moments of a backend in this process; several caches may use it."""
    return _all_moments.setdefault(backend, Moments())
