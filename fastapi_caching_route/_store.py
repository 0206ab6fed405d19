"""Entries in an aiocache backend, and what invalidates them.

Knows keys, names and entries as wholes; knows nothing of requests, of HTTP, or of the framework. Trouble with the
backend costs what is stored, never an answer: a look-up finds nothing, and storing does nothing. An invalidation that
could not be written is owed: it is written as soon as the backend takes it, and counts in this process until then.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from aiocache.base import BaseCache

from fastapi_caching_route._backends import check_backend, is_inside, shelf_of
from fastapi_caching_route._chore import held
from fastapi_caching_route._debts import Owed, debts_to
from fastapi_caching_route._direct import Direct
from fastapi_caching_route._entry import Entry, Variants
from fastapi_caching_route._http.storing import FOREVER
from fastapi_caching_route._key import root_of
from fastapi_caching_route._marks import Marks
from fastapi_caching_route._moments import Moments
from fastapi_caching_route._shelf import Commands
from fastapi_caching_route.errors import InvalidationError

logger = logging.getLogger('fastapi_caching_route')

Stored = Entry | Variants
Marked = int | tuple[str, ...]
Given = TypeVar('Given')


@dataclass(slots=True)
class Found:
    """An entry that is alive. `stale_at` is when a soft invalidation made it stale, or infinity."""

    entry: Entry
    stale_at: float


@dataclass(frozen=True, slots=True)
class Lost:
    """An answer that must not be stored: a name of it was invalidated while it was computed, or nobody can tell."""

    reason: str


class Visit:
    """What one request does at a store. It waits no longer than the time-out for all of that together: then it finds nothing.

    Only the time counts for which it waits here, and not what the endpoint takes in between.
    """

    __slots__ = ('_left', '_store')

    def __init__(self, store: 'Store') -> None:
        """Nothing has been waited for yet."""
        self._store = store
        self._left = store.timeout

    async def look_up(self, key: str) -> Found | Variants | None:
        """What is stored under a full key, and is alive; anything that was not stored under just this key is nothing."""
        if self._store.read is not None:
            return self._store.look_at_once(key)
        if self._store.debts:
            self._left -= await self._store.pay(self._left)
        return await self._or_nothing(partial(self._look_up, key))

    async def _look_up(self, key: str, store: Commands) -> Found | Variants | None:
        found, *beside = await store.get((key, *self._store.marks.beside))
        if isinstance(found, Variants):
            return found if found.key == key else None
        if not isinstance(found, Entry) or found.key != key or self._store.debts.include(found.names):
            return None
        stale_at = await self._store.marks.stale_at(store, found, beside)
        return None if stale_at is None else Found(found, stale_at)

    async def begin(self, names: Sequence[str], *, windowed: bool) -> object | None:
        """What `land` will ask for: to be got before the endpoint runs. None if the backend is in trouble."""
        shelf, had_time = self._store.shelf, self._left > 0
        if not shelf.stores():
            return None
        begun = await self._or_nothing(partial(self._store.marks.begin, names=names, windowed=windowed))
        if begun is not None or (had_time and self._left <= 0):
            shelf.could_begin(in_time=begun is not None)
        return begun

    async def land(self, begun: object, names: Sequence[str], *, windowed: bool) -> Marked | Lost:
        """The marks for an answer with these names; or why it must not be stored."""
        landed = await self._or_nothing(partial(self._landed, begun, names, windowed=windowed))
        return Lost('store-error') if landed is None else landed

    async def _landed(self, begun: object, names: Sequence[str], store: Commands, *, windowed: bool) -> Marked | Lost:
        marks: Marked | None = await self._store.marks.land(store, begun, names, windowed=windowed)
        return Lost('invalidated') if marks is None else marks

    async def put(self, stored: Stored, span: float) -> bool:
        """Store under its own key for `span` seconds; return whether the backend is known to have taken it."""
        return bool(await self._or_nothing(lambda store: store.set(stored.key, stored, min(span, FOREVER))))

    def owed(self) -> Owed:
        """What invalidations could not be written yet, for `owes_more`."""
        return self._store.debts.owed()

    def owes_more(self, names: Sequence[str], since: Owed) -> bool:
        """Whether an invalidation of one of these names has come to be owed since."""
        return self._store.debts.has_grown(names, since)

    async def forget(self, key: str) -> None:
        """Delete what is stored under a full key, if that can be done now; it will end by itself."""
        await self._or_nothing(lambda store: store.delete(key))

    async def storing(self, store_it: 'Callable[[Visit], Coroutine[Any, Any, str | None]]') -> str | None:
        """Store an answer. Its client waits for that no longer than is left to it; it goes on behind the answer if need be.

        Return why the answer is not stored, or 'store-slow' if that is not known by then.
        """
        if not self._store.shelf.takes_time:
            return await store_it(self)
        running = self._store.go_on(store_it(Visit(self._store)))  # which has time of its own: nobody waits for it
        await asyncio.wait((running,), timeout=max(self._left, 0))
        return running.result() if running.done() and not running.cancelled() else 'store-slow'

    async def _or_nothing(self, asked: Callable[[Commands], Awaitable[Given]]) -> Given | None:
        """What the store gives, or None where it is in trouble."""
        commands = Commands(self._store.shelf, self._left)
        try:
            return await asked(commands)
        except Exception as error:  # noqa: BLE001, whatever a client library raises
            logger.debug('the cache backend is of no use to a request: %r', error)
            return None
        finally:
            self._left = commands.left


class Store:
    """Keeps entries where a cache of aiocache keeps its values."""

    __slots__ = ('_under_way', 'debts', 'is_shared', 'marks', 'namespace', 'read', 'shelf', 'timeout', 'ttl')

    def __init__(self, backend: BaseCache, timeout: float, signing_keys: Sequence[bytes] = ()) -> None:
        """Use the backend as the user built it, its namespace and ttl included; a request waits `timeout` seconds for it."""
        check_backend(backend)
        self.shelf = shelf_of(backend, timeout, signing_keys)
        self.marks: Any = _moments_of(backend) if is_inside(backend) else Marks(root_of(backend.namespace))
        self.read = self.shelf.read if isinstance(self.shelf, Direct) else None
        """Gives what is under a key at once, where the backend is a table in this process."""
        self.debts = debts_to(backend)
        self.is_shared = not is_inside(backend)
        """Whether other processes may use it, too."""
        self.timeout = timeout
        self.namespace: str = backend.namespace or ''
        self.ttl: float | None = backend.ttl
        self._under_way: set[asyncio.Task[Any]] = set()

    def look_at_once(self, key: str) -> Found | Variants | None:
        """What a visit would look up, in a backend that can be `read`: in it, marks are moments, and nothing is ever owed."""
        found = self.read(key)
        if not isinstance(found, Entry):
            return found if isinstance(found, Variants) and found.key == key else None
        stale_at = self.marks.stale_since(found) if found.key == key else None
        return None if stale_at is None else Found(found, stale_at)

    def visit(self) -> Visit:
        """For what one request has to do here."""
        return Visit(self)

    async def invalidate(self, names: Sequence[str], *, soft_at: float | None = None, key: str | None = None) -> int:
        """Invalidate all entries with one of the names, for all processes; delete this full key too.

        Return how many keys were deleted (0 or 1).

        Raises:
            InvalidationError: it could not be written. It is owed from now on.

        """
        return await asyncio.shield(self.begin_invalidation(names, soft_at=soft_at, key=key))

    def begin_invalidation(
        self, names: Sequence[str], *, soft_at: float | None = None, key: str | None = None
    ) -> asyncio.Task[int]:
        """The same, begun now, and going on to its end even if who has asked for it is cancelled."""
        return self.go_on(self._invalidate(names, soft_at, key))

    async def _invalidate(self, names: Sequence[str], soft_at: float | None, key: str | None) -> int:
        # Each command has the whole time-out: none may be left out.
        write = partial(self.shelf.set, within=self.timeout, anyway=False)
        try:
            await self.marks.invalidate(write, names, soft_at)
        except Exception as error:
            self.debts.owe(names, error, self._invalidate_anyway)
            msg = f'{names} could not be invalidated for all processes yet; in this one they are, and it is tried again'
            raise InvalidationError(msg) from error
        if key is None:
            return 0
        with suppress(Exception):  # whether it is deleted or not, it will not be used again
            return await self.shelf.delete(key, self.timeout)
        return 0

    async def _invalidate_anyway(self, names: Sequence[str]) -> None:
        """Invalidate names, also if the backend is known to be in trouble."""
        await self.marks.invalidate(partial(self.shelf.set, within=self.timeout, anyway=True), names, None)

    async def pay(self, within: float) -> float:
        """Have what is owed written, in an event loop that lives; return how long that was waited for, in seconds.

        Event loops may be short: there may be none later that has the time.
        """
        began = time.monotonic()
        self.debts.settle_later(self._invalidate_anyway)
        if self.shelf.stores():
            await asyncio.wait([self.debts.pay(self._invalidate_anyway)], timeout=max(within, 0))
        return time.monotonic() - began

    async def settled(self) -> None:
        """Wait until nothing is owed."""
        await self.debts.settled(self._invalidate_anyway)

    def go_on(self, work: Coroutine[Any, Any, Given]) -> asyncio.Task[Given]:
        """Begin something that is to come to its end, even if nobody waits for it any more."""
        return held(asyncio.get_running_loop().create_task(work), self._under_way)

    async def add(self, key: str, token: str, span: float) -> bool | None:
        """Keep a token for so many seconds where there is none; whether that was done, None if the store is in trouble."""
        try:
            return await self.shelf.add(key, token, span, self.timeout)
        except Exception as error:  # noqa: BLE001, whatever a client library raises
            logger.debug('the cache backend is of no use for a lock: %r', error)
            return None

    async def release(self, key: str, token: str) -> None:
        """Delete a token, if it is this one."""
        with suppress(Exception):  # it ends by itself
            await self.shelf.release(key, token, self.timeout)

    async def close(self) -> None:
        """Close what was opened in this event loop, when all is done that is under way in it; what is owed stays owed."""
        loop = asyncio.get_running_loop()
        await asyncio.gather(*(it for it in self._under_way if it.get_loop() is loop), return_exceptions=True)
        await self.debts.close()
        await self.shelf.close()


_all_moments: WeakKeyDictionary[BaseCache, Moments] = WeakKeyDictionary()


def _moments_of(backend: BaseCache) -> Moments:
    """The moments of a backend in this process; several caches may use it."""
    return _all_moments.setdefault(backend, Moments())
