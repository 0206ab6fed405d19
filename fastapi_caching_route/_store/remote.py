"""Entries in an aiocache backend, and what invalidates them.

What one request does here is in `_visit`. Knows keys, names and entries as wholes; knows nothing of requests, of HTTP, or
of the framework. An invalidation that could not be written is owed: it is written as soon as the backend takes it, and counts in this process until then.
"""

import asyncio
import logging
import time
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from fastapi_caching_route._backends.aiocache import BaseCache
from fastapi_caching_route._backends.commands import Persistent, Shelf
from fastapi_caching_route._concurrency.tasks import held, on_asyncio
from fastapi_caching_route._core.key import root_of
from fastapi_caching_route._core.names import EVERYTHING
from fastapi_caching_route._store.debts import Debts, debts_to
from fastapi_caching_route._store.endings import Endings
from fastapi_caching_route._store.local import Direct
from fastapi_caching_route._store.marks import Marks
from fastapi_caching_route._store.moments import Moments
from fastapi_caching_route._store.opening import is_inside, shelf_of
from fastapi_caching_route._store.soon import Writer
from fastapi_caching_route._store.visit import Inside, Outside, Visit
from fastapi_caching_route.errors import InvalidationError

logger = logging.getLogger('fastapi_caching_route')

Given = TypeVar('Given')


class Store:
    """Keeps entries where a cache of aiocache keeps its values."""

    __slots__ = (
        '_under_way',
        '_writer',
        'debts',
        'endings',
        'inside',
        'is_shared',
        'marks',
        'namespace',
        'shelf',
        'timeout',
        'told',
        'ttl',
    )

    def __init__(self, backend: BaseCache, timeout: float, signing_keys: Sequence[bytes] = ()) -> None:
        """Use the backend as the user built it, its namespace and ttl included; a request waits `timeout` seconds for it."""
        self.shelf: Shelf = shelf_of(backend, timeout, signing_keys)
        self.marks: Any = _moments_of(backend) if is_inside(backend) else Marks(root_of(backend.namespace))
        self.endings: Endings = Endings()
        shelf = self.shelf
        self.inside: Inside | None = (
            Inside(shelf, _moments_of(backend), self.endings) if isinstance(shelf, Direct) else None
        )
        self.debts: Debts = debts_to(backend)
        self.is_shared: bool = not is_inside(backend)
        """Whether other processes may use it, too."""
        self.timeout: float = timeout
        self.namespace: str = backend.namespace or ''
        self.ttl: float | None = backend.ttl
        self.told: set[str] = set()
        """What the log says already of all that use it."""
        self._under_way: set[asyncio.Task[Any]] = set()
        self._writer = Writer(self.debts, self._invalidate_anyway, self.shelf.close)

    def visit(self) -> Visit:
        """For what one request has to do here."""
        return self.inside or Outside(self)

    async def invalidate(self, names: Sequence[str], *, soft_at: float | None = None, key: str | None = None) -> int:
        """Invalidate all entries with one of the names, for all processes; delete this full key too.

        Return how many keys were deleted (0 or 1).

        Raises:
            InvalidationError: it could not be written. It is owed from now on.

        """
        if not on_asyncio():
            self.invalidate_soon(names)
            if self.is_shared:
                msg = f'{names} are invalidated in this process alone: to tell others, the cache needs asyncio'
                raise InvalidationError(msg)
            return 0
        return await asyncio.shield(self.begin_invalidation(names, soft_at=soft_at, key=key))

    def begin_invalidation(
        self, names: Sequence[str], *, soft_at: float | None = None, key: str | None = None
    ) -> asyncio.Task[int]:
        """The same, begun now, and going on to its end even if who has asked for it is cancelled."""
        return self.go_on(self._invalidate(names, soft_at, key))

    async def _invalidate(self, names: Sequence[str], soft_at: float | None, key: str | None) -> int:
        try:
            await self.marks.invalidate(Persistent(self.shelf, self.timeout, anyway=False), names, soft_at)
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
        await self.marks.invalidate(Persistent(self.shelf, self.timeout, anyway=True), names, None)

    def invalidate_soon(self, names: Sequence[str]) -> None:
        """Use nothing with one of these names in this process from now on, and have that written for all others.

        From any thread, with or without an event loop.
        """
        if not self.is_shared:
            self.marks.note(names)
            return
        self.debts.note(names, self._invalidate_anyway)
        self._writer.soon(self.shelf.loop())

    def invalidate_now(self, names: Sequence[str]) -> None:
        """As `invalidate`, in an event loop and over a connection of its own, in a thread where none runs.

        Raises:
            InvalidationError: it could not be written. It is owed from now on.

        """
        if not self.is_shared:
            self.marks.note(names)
            return
        loop = asyncio.new_event_loop()
        try:
            loop.run_until_complete(self._invalidate_here(names))
        except InvalidationError:
            self._writer.soon(self.shelf.loop())
            raise
        finally:
            loop.close()

    async def _invalidate_here(self, names: Sequence[str]) -> None:
        try:
            await self.invalidate(names)
        except InvalidationError:
            await self.debts.pay_here(self._invalidate_anyway)  # to connect may have taken all of its time
            if self.debts.include((EVERYTHING, *names)):
                raise
        finally:
            await self.close()
            await asyncio.get_running_loop().shutdown_asyncgens()

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

    def open(self) -> None:
        """Have what other threads invalidate written by this event loop; also what is owed already."""
        self._writer.home = asyncio.get_running_loop()
        if self.debts:
            self._writer.soon(None)

    async def close(self) -> None:
        """Close what was opened in this event loop, when all is done that is under way in it; what is owed is tried once more."""
        loop = asyncio.get_running_loop()
        if self._writer.home is loop:
            self._writer.home = None
        await asyncio.gather(*(it for it in self._under_way if it.get_loop() is loop), return_exceptions=True)
        if self.debts and self.shelf.stores():
            await self.debts.pay_here(self._invalidate_anyway)
        await self.debts.close()
        await self.shelf.close()


_all_moments: WeakKeyDictionary[BaseCache, Moments] = WeakKeyDictionary()


def _moments_of(backend: BaseCache) -> Moments:
    """The moments of a backend in this process; several caches may use it."""
    return _all_moments.setdefault(backend, Moments())
