"""A store that is a table of this process: nothing waits, nothing fails, and no invalidation is ever pending.

Knows neither time-outs nor marks.
"""

import asyncio
import logging
import math
import os
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from fastapi_caching_route._backends.aiocache import SHORTEST, BaseCache
from fastapi_caching_route._backends.outage import in_words
from fastapi_caching_route._concurrency.observers import Observers
from fastapi_caching_route._core.entry import Entry, Headed
from fastapi_caching_route._core.variants import StoredRecord, Variants
from fastapi_caching_route._http.freshness import FOREVER
from fastapi_caching_route._store.condition import Condition, Faults
from fastapi_caching_route._store.listing import pages_in_memory
from fastapi_caching_route._store.moments import Moments
from fastapi_caching_route._store.own_tokens import tokens_of
from fastapi_caching_route._store.telling import tell_invalidated
from fastapi_caching_route._store.tokens import Tokens
from fastapi_caching_route._store.visit import (
    Alive,
    Before,
    Described,
    Found,
    ListedPage,
    LookUp,
    Lost,
    Standing,
    StoredObject,
    Visit,
    WithoutBudget,
)
from fastapi_caching_route._store.withdrawals import Withdrawals
from fastapi_caching_route.memory import MemoryCache

logger = logging.getLogger('fastapi_caching_route')


class LocalStore:
    """Keeps entries in a backend that is a table of this process, and in which none of the user's code runs."""

    __slots__ = (
        *('_moments', '_observers', '_table', '_visit'),
        *('at_once', 'is_shared', 'locks', 'namespace', 'tokens', 'ttl'),
    )

    def __init__(self, backend: BaseCache, moments: Moments) -> None:
        """Use this backend, with its namespace and ttl. All stores over one backend share its `moments`."""
        self._observers = Observers()
        self._table = _Table(backend)
        self._moments = moments
        self._visit = LocalVisit(self._table, moments)
        self.at_once: LookUp | None = self._visit.at_once
        self.is_shared: bool = False
        self.tokens: None = None
        self.locks: Tokens = tokens_of(backend)
        self.namespace: str = backend.namespace or ''
        self.ttl: float | None = backend.ttl

    @property
    def board(self) -> None:
        """See `Store`. No other process uses it."""

    def condition(self) -> Condition:
        """See `Store`. It cannot fail."""
        return Condition()

    async def listed(self, prefix: str, after: int = 0) -> AsyncGenerator[ListedPage, None]:
        """See `Store`."""
        async for keys, following in pages_in_memory(self._table.keys(), prefix, after):
            yield await self.described(keys), following

    async def described(self, keys: Sequence[str]) -> Described:
        """See `Store`. All that is there is of this cache."""
        described = Described({}, {}, set())
        for key in keys:
            found = self._table.peek(key)
            if isinstance(found, Entry) and found.key == key:
                stale_at = self._moments.stale_since(found, found.marks)
                described.entries[key] = Headed(found, len(found.content)), stale_at
            elif isinstance(found, Variants) and found.key == key:
                described.records[key] = StoredRecord(found, is_own=True)
        return described

    async def erase(self, keys: Sequence[str]) -> None:
        """See `Store`."""
        for key in keys:
            self._table.delete(key)

    async def faults(self) -> Faults:
        """See `Store`. It always works."""
        return Faults()

    def observe(self, observers: Observers) -> None:
        """See `Store`."""
        self._observers = observers
        self._table.observe(observers)

    def visit(self) -> Visit:
        """See `Store`. All requests share one visit, since it keeps nothing of a request."""
        return self._visit

    async def invalidate(self, names: Sequence[str], *, soft_at: float | None = None, keys: Sequence[str] = ()) -> int:
        """See `Store`."""
        return self._invalidate(names, soft_at, keys)

    def begin_invalidation(
        self, names: Sequence[str], *, soft_at: float | None = None, keys: Sequence[str] = ()
    ) -> 'asyncio.Future[int]':
        """See `Store`. It is done when this returns."""
        done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        done.set_result(self._invalidate(names, soft_at, keys))
        return done

    def invalidate_soon(self, names: Sequence[str]) -> None:
        """See `Store`. All of it is done at once."""
        self._invalidate(names, None, ())

    def invalidate_now(self, names: Sequence[str]) -> None:
        """See `Store`."""
        self._invalidate(names, None, ())

    def _invalidate(self, names: Sequence[str], soft_at: float | None, keys: Sequence[str]) -> int:
        self._moments.note(names, soft_at)
        tell_invalidated(self._observers, names, soft=soft_at is not None)
        with suppress(Exception):  # even if it is not deleted, it is not used again
            return sum(map(self._table.delete, keys))
        return 0

    def open(self) -> None:
        """See `Store`. There is nothing to do."""

    async def close(self) -> None:
        """See `Store`. There is nothing to close."""


class LocalVisit(WithoutBudget):
    """What all requests do with a `LocalStore`."""

    __slots__ = ('_moments', '_read', '_table', '_withdrawals')

    def __init__(self, table: '_Table', moments: Moments) -> None:
        """No entry has been withdrawn."""
        self._table = table
        self._read = table.read
        self._moments = moments
        self._withdrawals = Withdrawals()

    async def look_up(self, key: str) -> Found | Variants | None:
        """See `Visit`."""
        return self.at_once(key)

    def at_once(self, key: str) -> Found | Variants | None:
        """Look something up without waiting."""
        found = self._read(key)
        if not isinstance(found, Entry):
            return found if isinstance(found, Variants) and found.key == key else None
        if found.key != key:
            return None
        if found.marks == self._moments.now:  # the condition saves a call for each hit
            return Found(found, math.inf)
        stale_at = self._moments.stale_since(found, found.marks)
        return None if stale_at is None else Found(found, stale_at)

    async def marks_before(self, names: tuple[str, ...], key: str, *, windowed: bool) -> Before:  # noqa: ARG002, see `Visit`
        """See `Visit`."""
        return Before(self._moments.now, withdrawals=self._withdrawals.count)

    async def marks_after(
        self,
        before: Before,
        names: tuple[str, ...],
        key: str,
        *,
        windowed: bool,  # noqa: ARG002
        span: float,  # noqa: ARG002
    ) -> Standing:
        """See `Visit`."""
        began = before.early
        if not isinstance(began, int):
            return Lost('store-error')
        return Alive(began) if self._moments.are_unchanged(names, key, began) else Lost('invalidated')

    async def put(self, stored: StoredObject, span: float) -> bool:
        """See `Visit`."""
        try:
            return self._table.write(stored.key, stored, min(span, FOREVER))
        except Exception as error:  # noqa: BLE001, it should never fail; if it does, the response must not
            logger.debug('the table in this process has not taken an entry: %s', in_words(error))
            return False

    async def replace(self, old: Entry, new: Entry, span: float) -> bool:
        """See `Visit`."""
        return self._table.peek(old.key) is old and self._table.write(new.key, new, min(span, FOREVER))

    async def withdraw(self, key: str, now: float) -> None:
        """See `Visit`."""
        self.note_withdrawal(key, now)
        self._table.delete(key)

    async def forget(self, key: str) -> None:
        """See `Visit`."""
        self._table.delete(key)

    def note_withdrawal(self, key: str, now: float) -> None:
        """See `Visit`."""
        self._withdrawals.note(key, now)

    def was_withdrawn(self, before: Before, key: str) -> bool:
        """See `Visit`."""
        withdrawals = self._withdrawals
        return withdrawals.count > before.withdrawals and withdrawals.came_since(key, before.withdrawals)

    def forget_withdrawal(self, key: str) -> None:
        """See `Visit`."""
        if self._withdrawals.count:
            self._withdrawals.forget(key)

    def storing(self, store_it: Callable[[Visit], Coroutine[Any, Any, str | None]]) -> Coroutine[Any, Any, str | None]:
        """See `Visit`."""
        return store_it(self)


class _Table:
    """The table of a backend. Used directly, because aiocache's own commands may wait, and cost more than all of a hit.

    Objects are stored as they are, since they are immutable.
    """

    __slots__ = ('_backend', '_delete', '_is_on', '_write', 'read')

    def __init__(self, backend: BaseCache) -> None:
        """Use a `MemoryCache`, or the table of aiocache's own backend."""
        self.read: Callable[[str], object]
        """The object under a key, or None."""
        self._backend: Any = backend
        self._write: Callable[[str, StoredObject, float], bool]
        self._delete: Callable[[str], int]
        if isinstance(backend, MemoryCache):
            self.read, self._write, self._delete = backend.read, partial(_write_ours, backend), backend.remove
        else:
            self.read, self._write = partial(_read_there, backend), partial(_write_there, backend)
            self._delete = partial(_delete_there, backend)
        self._is_on = os.environ.get('AIOCACHE_DISABLE') != '1'  # this disables aiocache's own commands, too

    def keys(self) -> list[str]:
        """All keys."""
        backend = self._backend
        table = backend.keys() if isinstance(backend, MemoryCache) else [*backend._cache]  # noqa: SLF001
        return [it for it in table if isinstance(it, str)]

    def observe(self, observers: Observers) -> None:
        """Tell these observers of evictions."""
        if isinstance(self._backend, MemoryCache):
            self._backend.observers.add(observers)

    def peek(self, key: str) -> object:
        """The object under a key, which does not count as used."""
        return self._backend.peek(key) if isinstance(self._backend, MemoryCache) else self.read(key)

    def write(self, key: str, stored: StoredObject, span: float) -> bool:
        """Store an object for `span` seconds; return whether it was stored."""
        return self._is_on and self._write(key, stored, max(span, SHORTEST))

    def delete(self, key: str) -> int:
        """Delete a key; return how many keys were deleted (0 or 1)."""
        return self._delete(key) if self._is_on else 0


def _write_ours(backend: MemoryCache, key: str, stored: StoredObject, span: float) -> bool:
    return backend.write(key, stored, span, stored.size)


def _read_there(backend: Any, key: str) -> object:
    return backend._cache.get(key)  # noqa: SLF001, looked up each time, since `clear()` replaces the table


def _write_there(backend: Any, key: str, stored: StoredObject, span: float) -> bool:
    return bool(_done(backend._set(key, stored, ttl=span)))  # noqa: SLF001, without time-out, plugins, serializer


def _delete_there(backend: Any, key: str) -> int:
    return int(_done(backend._delete(key)))  # noqa: SLF001, as above


def _done(command: Coroutine[Any, Any, Any]) -> Any:
    """The result of a command that never waits."""
    try:
        command.send(None)
    except StopIteration as end:
        return end.value
    msg = 'a command of a table in this process must not wait'
    raise RuntimeError(msg)
