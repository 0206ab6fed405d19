"""A store whose backend is set later, for apps that read their settings when they start.

Until then nothing is found or stored. An invalidation is *pending*: it is sent to the backend as soon as there is one,
since other processes may have stored entries there.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from threading import Lock
from typing import Any

from fastapi_caching_route._backends.aiocache import BaseCache
from fastapi_caching_route._concurrency.observers import Observers
from fastapi_caching_route._concurrency.tasks import on_asyncio
from fastapi_caching_route._core.entry import Entry
from fastapi_caching_route._core.names import EVERYTHING, names_without_namespace, shown
from fastapi_caching_route._core.reasons import NO_BACKEND
from fastapi_caching_route._core.variants import Variants
from fastapi_caching_route._store.board import Board
from fastapi_caching_route._store.condition import Condition, Faults
from fastapi_caching_route._store.tokens import Tokens
from fastapi_caching_route._store.visit import (
    Before,
    Described,
    Found,
    ListedPage,
    LookUp,
    Lost,
    Standing,
    Store,
    StoredObject,
    Visit,
    WithoutBudget,
)
from fastapi_caching_route.errors import ConfigurationError, InvalidationError

logger = logging.getLogger('fastapi_caching_route')

MAX_PENDING = 1000
"""How many names are pending at most. With more, everything is invalidated."""


class DeferredStore:
    """The store of a cache from `FastAPICache.deferred()`: it passes everything to the store of the backend in use."""

    __slots__ = (
        *('_has_told', '_is_closed', '_is_open', '_lock', '_open', '_pending', '_store'),
        *('at_once', 'backend', 'is_shared', 'namespace', 'ttl'),
    )

    def __init__(self, open_store: Callable[[BaseCache], Store]) -> None:
        """There is no backend yet. `open_store` returns the store of a backend."""
        self._open = open_store
        self._lock = Lock()
        self._store: Store | None = None
        self._pending: dict[str, None] = {}
        self._is_open = self._is_closed = self._has_told = False
        self.backend: BaseCache | None = None
        self.namespace: str = ''
        self.ttl: float | None = None
        self.is_shared: bool = True
        """As long as nothing is stored, no process misses an invalidation."""
        self.at_once: LookUp | None = None

    def use(self, backend: BaseCache) -> None:
        """Store entries in this backend, and send the pending invalidations there.

        Raises:
            ConfigurationError: a backend is in use; or the cache was used with another namespace or ttl before.

        """
        with self._lock:
            self._check_free(backend)
            store = self._store = self._open(backend)
            self.backend, self.namespace, self.ttl = backend, store.namespace, store.ttl
            self.is_shared, self.at_once = store.is_shared, store.at_once
            self._is_closed = False
            pending, self._pending = tuple(self._pending), {}
        if self._is_open and on_asyncio():
            store.open()
        if pending:
            store.invalidate_soon(pending)

    def _check_free(self, backend: BaseCache) -> None:
        if self._store is None:
            return
        if not self._is_closed:
            msg = (
                'cache.use() was called before, and routes use that backend: call it once, or build a new FastAPICache'
            )
            raise ConfigurationError(msg)
        if (backend.namespace or '', backend.ttl) != (self.namespace, self.ttl):
            msg = (
                'cache.use() takes a backend with the namespace and the ttl of the one before, since the keys of the '
                f'routes depend on them: namespace={self.namespace!r} and ttl={self.ttl!r}'
            )
            raise ConfigurationError(msg)

    @property
    def board(self) -> Board | None:
        """See `Store`."""
        return None if self._store is None else self._store.board

    def condition(self) -> Condition:
        """See `Store`."""
        return Condition(pending=len(self._pending)) if self._store is None else self._store.condition()

    def listed(self, prefix: str, after: int = 0) -> AsyncGenerator[ListedPage, None]:
        """See `Store`."""
        return _nothing_listed() if self._store is None else self._store.listed(prefix, after)

    async def described(self, keys: Sequence[str]) -> Described:
        """See `Store`."""
        return NOTHING if self._store is None else await self._store.described(keys)

    async def erase(self, keys: Sequence[str]) -> None:
        """See `Store`."""
        if self._store is not None:
            await self._store.erase(keys)

    async def faults(self) -> Faults:
        """See `Store`."""
        return Faults() if self._store is None else await self._store.faults()

    def observe(self, observers: Observers) -> None:
        """See `Store`. The stores that are opened later have their observers already."""
        if self._store is not None:
            self._store.observe(observers)

    @property
    def tokens(self) -> Tokens | None:
        """See `Store`."""
        return None if self._store is None else self._store.tokens

    @property
    def locks(self) -> Tokens | None:
        """See `Store`."""
        return None if self._store is None else self._store.locks

    def visit(self) -> Visit:
        """See `Store`."""
        return NoVisit() if self._store is None else self._store.visit()

    async def invalidate(self, names: Sequence[str], *, soft_at: float | None = None, keys: Sequence[str] = ()) -> int:
        """See `Store`."""
        store = self._store
        if store is None:
            raise self._pended(names)
        return await store.invalidate(names, soft_at=soft_at, keys=keys)

    def begin_invalidation(
        self, names: Sequence[str], *, soft_at: float | None = None, keys: Sequence[str] = ()
    ) -> 'asyncio.Future[int]':
        """See `Store`."""
        store = self._store
        if store is not None:
            return store.begin_invalidation(names, soft_at=soft_at, keys=keys)
        refused: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        refused.set_exception(self._pended(names))
        return refused

    def invalidate_soon(self, names: Sequence[str]) -> None:
        """See `Store`."""
        store = self._store
        if store is None:
            self._pended(names)
        else:
            store.invalidate_soon(names)

    def invalidate_now(self, names: Sequence[str]) -> None:
        """See `Store`."""
        store = self._store
        if store is None:
            raise self._pended(names)
        store.invalidate_now(names)

    def _pended(self, names: Sequence[str]) -> InvalidationError:
        """Note names as pending; return the error for the caller."""
        with self._lock:
            self._pending.update(dict.fromkeys(names_without_namespace(names)))
            if len(self._pending) > MAX_PENDING:
                self._pending = {EVERYTHING: None}
            store = self._store
        if store is not None:  # `use` was called meanwhile, in another thread
            store.invalidate_soon(names)
        level = logging.DEBUG if self._has_told else logging.ERROR
        self._has_told = True
        logger.log(level, 'the invalidation of %s is pending: %s', shown(names), NO_BACKEND.text)
        return InvalidationError(f'the invalidation is pending: {NO_BACKEND.text}')

    def open(self) -> None:
        """See `Store`."""
        self._is_open = True
        if self._store is not None:
            self._is_closed = False
            self._store.open()

    async def close(self) -> None:
        """See `Store`."""
        self._is_open = False
        if self._store is not None:
            await self._store.close()
            self._is_closed = True


class NoVisit(WithoutBudget):
    """A visit without a store: nothing is found, and nothing is stored."""

    __slots__ = ()

    async def look_up(self, key: str) -> Found | Variants | None:  # noqa: ARG002, as for all methods here, see `Visit`
        """See `Visit`."""
        return None

    async def marks_before(self, names: tuple[str, ...], key: str, *, windowed: bool) -> Before:  # noqa: ARG002
        """See `Visit`."""
        return Before()

    async def marks_after(
        self,
        before: Before,  # noqa: ARG002
        names: tuple[str, ...],  # noqa: ARG002
        key: str,  # noqa: ARG002
        *,
        windowed: bool,  # noqa: ARG002
        span: float,  # noqa: ARG002
    ) -> Standing:
        """See `Visit`."""
        return Lost('store-error')

    async def put(self, stored: StoredObject, span: float) -> bool:  # noqa: ARG002
        """See `Visit`."""
        return False

    async def replace(self, old: Entry, new: Entry, span: float) -> bool:  # noqa: ARG002
        """See `Visit`."""
        return False

    async def forget(self, key: str) -> None:
        """See `Visit`."""

    async def withdraw(self, key: str, now: float) -> None:
        """See `Visit`."""

    def note_withdrawal(self, key: str, now: float) -> None:
        """See `Visit`."""

    def was_withdrawn(self, before: Before, key: str) -> bool:  # noqa: ARG002
        """See `Visit`."""
        return False

    def forget_withdrawal(self, key: str) -> None:
        """See `Visit`."""

    async def storing(self, store_it: Callable[[Visit], Coroutine[Any, Any, str | None]]) -> str | None:
        """See `Visit`."""
        return await store_it(self)


NOTHING = Described({}, {}, set())


async def _nothing_listed() -> AsyncGenerator[ListedPage, None]:
    return
    yield NOTHING, 0
