"""Entries in a backend that may be slow, or down, and what invalidates them there.

What one request does here is in `remote_visit`. Knows keys, names and entries as wholes; knows nothing of requests, of
HTTP, or of the framework. An invalidation that could not be written is owed: it is written as soon as the backend takes
it, and counts in this process until then.
"""

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from fastapi_caching_route._backends.commands import Persistent
from fastapi_caching_route._backends.linked import LinkedBackend
from fastapi_caching_route._concurrency.tasks import on_asyncio
from fastapi_caching_route._core.names import EVERYTHING
from fastapi_caching_route._store.debts import Debts
from fastapi_caching_route._store.remote_visit import Parts, RemoteVisit
from fastapi_caching_route._store.soon import Writer
from fastapi_caching_route._store.visit import LookUp, Tokens, Visit
from fastapi_caching_route.errors import InvalidationError

logger = logging.getLogger('fastapi_caching_route')

T = TypeVar('T')


class RemoteStore:
    """Keeps entries where a backend keeps its values."""

    __slots__ = ('_parts', '_writer', 'at_once', 'is_shared', 'namespace', 'told', 'ttl')

    def __init__(self, parts: Parts, *, namespace: str, ttl: float | None, is_shared: bool) -> None:
        """Nothing is opened yet."""
        self._parts = parts
        self.at_once: LookUp | None = None
        self.namespace: str = namespace
        self.ttl: float | None = ttl
        self.is_shared: bool = is_shared
        self.told: set[str] = set()
        self._writer = Writer(parts.debts, parts.write, parts.backend.close)

    @property
    def backend(self) -> LinkedBackend:
        """Where entries are."""
        return self._parts.backend

    @property
    def debts(self) -> Debts:
        """What the backend has not taken yet."""
        return self._parts.debts

    @property
    def tokens(self) -> Tokens | None:
        """See `Store`."""
        return self if self.is_shared else None

    def visit(self) -> Visit:
        """See `Store`."""
        return RemoteVisit(self._parts)

    async def invalidate(self, names: Sequence[str], *, soft_at: float | None = None, key: str | None = None) -> int:
        """See `Store`."""
        if not on_asyncio():
            self.invalidate_soon(names)
            if self.is_shared:
                msg = f'{names} are invalidated in this process alone: to tell others, the cache needs asyncio'
                raise InvalidationError(msg)
            return 0
        return await asyncio.shield(self.begin_invalidation(names, soft_at=soft_at, key=key))

    def begin_invalidation(
        self, names: Sequence[str], *, soft_at: float | None = None, key: str | None = None
    ) -> 'asyncio.Task[int]':
        """See `Store`."""
        return self.go_on(self._invalidate(names, soft_at, key))

    async def _invalidate(self, names: Sequence[str], soft_at: float | None, key: str | None) -> int:
        parts = self._parts
        try:
            await parts.ledger.invalidate(Persistent(parts.backend, parts.timeout, even_if_open=False), names, soft_at)
        except Exception as error:
            parts.debts.owe(names, error, parts.write)
            msg = f'{names} could not be invalidated for all processes yet; in this one they are, and it is tried again'
            raise InvalidationError(msg) from error
        if key is None:
            return 0
        with suppress(Exception):  # whether it is deleted or not, it will not be used again
            return await parts.backend.delete(key, parts.timeout)
        return 0

    def invalidate_soon(self, names: Sequence[str]) -> None:
        """See `Store`."""
        if self._parts.ledger.invalidate_here(names):
            return
        self._parts.debts.note(names, self._parts.write)
        self._writer.soon(self._parts.backend.loop())

    def invalidate_now(self, names: Sequence[str]) -> None:
        """See `Store`."""
        if self._parts.ledger.invalidate_here(names):
            return
        loop = asyncio.new_event_loop()
        try:
            loop.run_until_complete(self._invalidate_here(names))
        except InvalidationError:
            self._writer.soon(self._parts.backend.loop())
            raise
        finally:
            loop.close()

    async def _invalidate_here(self, names: Sequence[str]) -> None:
        debts = self._parts.debts
        try:
            await self.invalidate(names)
        except InvalidationError:
            await debts.retry_here(self._parts.write)  # to connect may have taken all of its time
            if debts.include((EVERYTHING, *names)):
                raise
        finally:
            await self.close()
            await asyncio.get_running_loop().shutdown_asyncgens()

    def go_on(self, work: Coroutine[Any, Any, T]) -> 'asyncio.Task[T]':
        """See `Tokens`."""
        return self._parts.go_on(work)

    async def add(self, key: str, token: str, span: float) -> bool | None:
        """See `Tokens`."""
        try:
            return await self._parts.backend.add(key, token, span, self._parts.timeout)
        except Exception as error:  # noqa: BLE001, whatever a client library raises
            logger.debug('the cache backend is of no use for a lock: %r', error)
            return None

    async def release(self, key: str, token: str) -> None:
        """See `Tokens`."""
        with suppress(Exception):  # it ends by itself
            await self._parts.backend.release(key, token, self._parts.timeout)

    def open(self) -> None:
        """See `Store`."""
        self._writer.home = asyncio.get_running_loop()
        if self._parts.debts:
            self._writer.soon(None)

    async def close(self) -> None:
        """See `Store`."""
        parts, loop = self._parts, asyncio.get_running_loop()
        if self._writer.home is loop:
            self._writer.home = None
        await asyncio.gather(*(it for it in parts.under_way if it.get_loop() is loop), return_exceptions=True)
        if parts.debts and parts.backend.worth_storing():
            await parts.debts.retry_here(parts.write)
        await parts.debts.close()
        await parts.backend.close()
