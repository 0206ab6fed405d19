"""Entries in an aiocache backend, and what invalidates them.

Knows keys, names and entries as wholes; knows nothing of requests, of HTTP, or of the framework. Trouble with the
backend costs what is stored, never an answer: a look-up finds nothing, and storing does nothing. An invalidation that
could not be written is owed: it is written as soon as the backend takes it, and counts in this process until then.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Coroutine, Sequence
from contextlib import suppress
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
from fastapi_caching_route._shelf import Near, is_inside, shelf_of
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


class Visit:
    """What one request does at a store. All of it together waits no longer than the time-out: then it finds nothing."""

    __slots__ = ('_left', '_store', '_until')

    def __init__(self, store: 'Store') -> None:
        """Nothing has been waited for yet."""
        self._store = store
        self._left = store.timeout
        self._until = 0.0

    async def look_up(self, key: str) -> Found | Variants | None:
        """What is stored under a full key, and is alive; anything that was not stored under just this key is nothing."""
        return await self._or_nothing(self._look_up(key))

    async def _look_up(self, key: str) -> Found | Variants | None:
        marks = self._store.marks
        found, *beside = await self.get((key, *marks.beside))
        if isinstance(found, Variants):
            return found if found.key == key else None
        if not isinstance(found, Entry) or found.key != key or self._store.owes(found):
            return None
        stale_at = await marks.stale_at(self, found, beside)
        return None if stale_at is None else Found(found, stale_at)

    async def begin(self, names: Sequence[str], *, windowed: bool) -> object | None:
        """What `land` will ask for: to be got before the endpoint runs. None if the backend is in trouble."""
        return await self._or_nothing(self._store.marks.begin(self, names, windowed=windowed))

    async def land(self, begun: object, names: Sequence[str], *, windowed: bool) -> int | tuple[str, ...] | Lost:
        """The marks for an answer with these names; or why it must not be stored."""
        landed = await self._or_nothing(self._landed(begun, names, windowed=windowed))
        return Lost('store-error') if landed is None else landed

    async def _landed(self, begun: object, names: Sequence[str], *, windowed: bool) -> int | tuple[str, ...] | Lost:
        marks: int | tuple[str, ...] | None = await self._store.marks.land(self, begun, names, windowed=windowed)
        return Lost('invalidated') if marks is None else marks

    async def put(self, stored: Stored, span: float) -> bool:
        """Store under its own key for `span` seconds; return whether the backend is known to have taken it."""
        return bool(await self._or_nothing(self.set(stored.key, stored, min(span, FOREVER))))

    async def storing(self, work: Coroutine[Any, Any, str | None]) -> str | None:
        """Do what stores an answer; its client waits for that no longer than is left to it, but it goes on to its end.

        Return why the answer is not stored, as far as that is known by then.
        """
        if not self._store.may_wait:
            return await work
        waits, self._left = self._left, self._store.timeout
        running = self._store.go_on(work)
        await asyncio.wait((running,), timeout=max(waits, 0))
        return running.result() if running.done() and not running.cancelled() else 'store-error'

    async def forget(self, key: str) -> None:
        """Delete what is stored under a full key, if that can be done now; it will end by itself."""
        await self._or_nothing(self._store.shelf.delete(key, self._left, anyway=False))

    # What marks need of a store:

    async def get(self, keys: Sequence[str], /) -> list[Any]:
        """What is under each key, or None."""
        return await self._store.shelf.get(keys, self._until - time.monotonic(), anyway=False)

    async def set(self, key: str, value: object, span: float, /) -> bool:
        """Keep something for `span` seconds; whether it is kept."""
        return await self._store.shelf.set(key, value, span, self._until - time.monotonic(), anyway=False)

    async def add(self, key: str, value: object, span: float, /) -> bool:
        """The same, but only where there is nothing yet."""
        return await self._store.shelf.add(key, value, span, self._until - time.monotonic(), anyway=False)

    async def _or_nothing(self, asked: Awaitable[Given]) -> Given | None:
        """What the store gives, or None where it is in trouble."""
        began = time.monotonic()
        self._until = began + self._left
        try:
            return await asked
        except Exception as error:  # noqa: BLE001, whatever a client library raises
            logger.debug('the cache backend has not done it: %r', error)
            return None
        finally:
            self._left -= time.monotonic() - began


class Store:
    """Keeps entries where a cache of aiocache keeps its values."""

    __slots__ = ('_owed', '_settling', '_under_way', 'marks', 'may_wait', 'namespace', 'shelf', 'timeout', 'ttl')

    def __init__(self, backend: BaseCache, timeout: float, signing_keys: Sequence[bytes] = ()) -> None:
        """Use the backend as the user built it, its namespace and ttl included; a request waits `timeout` seconds for it."""
        self.shelf = shelf_of(backend, timeout, signing_keys)
        self.marks: Any = _moments_of(backend) if is_inside(backend) else Marks(root_of(backend.namespace))
        self.timeout = timeout
        self.namespace: str = backend.namespace or ''
        self.ttl: float | None = backend.ttl
        self._owed = _all_owed.setdefault(backend, {})
        self.may_wait = not isinstance(self.shelf, Near)
        """Whether it is outside of our hands how long a command takes."""
        self._under_way: set[asyncio.Future[Any]] = set()
        self._settling: asyncio.Task[None] | None = None

    def visit(self) -> Visit:
        """For what one request has to do here."""
        return Visit(self)

    def owes(self, entry: Entry) -> bool:
        """Whether an invalidation of this entry could not be written yet."""
        if not self._owed:
            return False
        self._settle_later()
        return any(name in self._owed for name in entry.names)

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
        return self.go_on(self._write(names, soft_at, key))

    def go_on(self, work: Coroutine[Any, Any, Given]) -> asyncio.Task[Given]:
        """Begin something that is to come to its end."""
        running = asyncio.get_running_loop().create_task(work)
        self._under_way.add(running)
        running.add_done_callback(self._under_way.discard)
        return running

    async def _write(self, names: Sequence[str], soft_at: float | None, key: str | None) -> int:
        pen = Pen(self, anyway=False)
        try:
            await self.marks.invalidate(pen, names, soft_at)
        except Exception as error:
            level = logging.DEBUG if self._owed else logging.WARNING  # one warning for one outage
            logger.log(level, 'an invalidation of %s could not be written yet, and is tried again: %r', names, error)
            self._owed.update(dict.fromkeys(names if len(self._owed) < MOST_OWED else (EVERYTHING,), object()))
            self._settle_later()
            msg = f'{names} could not be invalidated for all processes yet; in this one they are, and it is tried again'
            raise InvalidationError(msg) from error
        if key is None:
            return 0
        with suppress(Exception):  # whether it is deleted or not, it will not be used again
            return await self.shelf.delete(key, self.timeout, anyway=False)
        return 0

    async def settled(self) -> None:
        """Wait until nothing is owed."""
        while self._owed:
            await asyncio.wait([self._settle_later()])

    def _settle_later(self) -> asyncio.Task[None]:
        if self._settling is None or self._settling.done() or self._settling.get_loop().is_closed():
            self._settling = asyncio.get_running_loop().create_task(self._settle())
        return self._settling

    async def _settle(self) -> None:
        """Write what is owed, again and again until the backend takes it."""
        wait = FIRST_WAIT
        while self._owed:
            await asyncio.sleep(wait)
            wait = min(2 * wait, LONGEST_WAIT)
            owed = dict(self._owed)
            names = [EVERYTHING] if EVERYTHING in owed else list(owed)
            try:
                await self.marks.invalidate(Pen(self, anyway=True), names, None)
            except Exception as error:  # noqa: BLE001, whatever a client library raises
                logger.debug('invalidations could still not be written: %r', error)
                continue
            for name in [name for name, ticket in owed.items() if self._owed.get(name) is ticket]:
                del self._owed[name]  # and not what has come to be owed meanwhile
        logger.info('all invalidations are written')

    async def close(self) -> None:
        """Close what was opened in this event loop, when all is done that is under way in it."""
        loop = asyncio.get_running_loop()
        await asyncio.gather(*(it for it in self._under_way if it.get_loop() is loop), return_exceptions=True)
        if self._settling is not None and self._settling.get_loop() is loop:
            self._settling.cancel()
            await asyncio.wait([self._settling])
        await self.shelf.close()


@dataclass(frozen=True, slots=True)
class Pen:
    """How an invalidation is written: each command has the whole time-out, since none may be left out."""

    store: Store
    anyway: bool
    """Also while the store is known to be in trouble."""

    async def get(self, keys: Sequence[str], /) -> list[Any]:
        """What is under each key, or None."""
        return await self.store.shelf.get(keys, self.store.timeout, anyway=self.anyway)

    async def set(self, key: str, value: object, span: float, /) -> bool:
        """Keep something for `span` seconds; whether it is kept."""
        return await self.store.shelf.set(key, value, span, self.store.timeout, anyway=self.anyway)

    async def add(self, key: str, value: object, span: float, /) -> bool:
        """The same, but only where there is nothing yet."""
        return await self.store.shelf.add(key, value, span, self.store.timeout, anyway=self.anyway)


_all_owed: WeakKeyDictionary[BaseCache, dict[str, object]] = WeakKeyDictionary()
_all_moments: WeakKeyDictionary[BaseCache, Moments] = WeakKeyDictionary()


def _moments_of(backend: BaseCache) -> Moments:
    """The moments of a backend in this process; several caches may use it."""
    return _all_moments.setdefault(backend, Moments())
