"""Where the records of sessions and states are kept. Knows stores and keys; knows nothing of requests."""

import logging
from collections.abc import AsyncGenerator, Awaitable
from typing import Any, TypeVar

from fastapi_caching_route._backends.aiocache import Backend, BaseCache
from fastapi_caching_route._backends.records import Records, StoreTroubleError
from fastapi_caching_route._concurrency.workers import is_one_of_several
from fastapi_caching_route._core.key import full_key, root_of
from fastapi_caching_route._store.by_url import backend_at
from fastapi_caching_route._store.opening import checked_backend
from fastapi_caching_route.cache import FastAPICache
from fastapi_caching_route.errors import ConfigurationError
from fastapi_caching_route.sessions.errors import SessionStoreError

logger: logging.Logger = logging.getLogger('fastapi_caching_route')

T = TypeVar('T')

TIMEOUT_SECONDS = 5.0
"""How long a command may take. A cache goes on without its store after a fraction of that; a session cannot."""

ONE_OF_SEVERAL = (
    'this process is one of several workers, and keeps sessions and states in its own memory: a client that signs in '
    'at one of them is unknown to the others. Use a store that all workers share, such as LMDBCache() or redis://...'
)

StoreOfSessions = FastAPICache | Backend | str
"""The backend of a cache, any backend that changes records in one step, or its URL."""


class Place:
    """The records in the backend of a cache, or in one of their own.

    The keys are those of no entry: no invalidation, no namespace of a route and no `cache.clear()` reaches them, and
    near copies have none of them.
    """

    __slots__ = ('_backend', '_cache', '_has_told', '_records', '_timeout')

    def __init__(self, store: StoreOfSessions, timeout: float) -> None:
        """Open nothing yet.

        Raises:
            ConfigurationError: this is no store, or one that cannot change records in one step.

        """
        self._timeout = timeout
        self._has_told = False
        self._cache: FastAPICache | None = store if isinstance(store, FastAPICache) else None
        self._backend: BaseCache | None = None
        self._records: Records | None = None
        backend = _backend_of(store)
        if backend is not None:
            self._open(backend)

    def _open(self, backend: BaseCache) -> Records:
        self._records = Records(backend, self._timeout)
        self._backend = backend
        return self._records

    def _now(self) -> tuple[Records, BaseCache]:
        """The records, and their backend: a cache from `FastAPICache.deferred()` gets it as the app starts."""
        backend = self._backend if self._cache is None else self._cache.backend
        records = self._records
        if records is None or backend is None or backend is not self._backend:
            assert backend is not None  # else the cache raises
            records = self._open(backend)
        if not self._has_told:
            self._has_told = True
            if not records.is_shared and is_one_of_several():
                logger.warning(ONE_OF_SEVERAL)
        return records, backend

    def _key(self, kind: str, handle: str, backend: BaseCache) -> str:
        """A key as no cache makes one: in theirs, a percent sign is followed by two digits."""
        return full_key(root_of(backend.namespace), f'%{kind}:{handle}')

    async def read(self, *keys: tuple[str, str]) -> list[bytes | None]:
        """The records under these keys, each a kind and a handle; None for those that are missing.

        Raises:
            SessionStoreError: the store is in trouble.

        """
        records, backend = self._now()
        return await _or_503(records.get_many(*[self._key(*key, backend) for key in keys]))

    async def add(self, kind: str, handle: str, raw: bytes, span: float) -> bool:
        """Store a record where there is none; return whether it was stored.

        Raises:
            SessionStoreError: the store is in trouble.

        """
        records, backend = self._now()
        return await _or_503(records.add(self._key(kind, handle, backend), raw, span))

    async def swap(self, kind: str, handle: str, expected: bytes, raw: bytes, span: float) -> bool:
        """Replace a record that is as expected; return whether it was.

        Raises:
            SessionStoreError: the store is in trouble. The record may have been replaced.

        """
        records, backend = self._now()
        return await _or_503(records.swap(self._key(kind, handle, backend), expected, raw, span))

    async def delete(self, kind: str, handle: str) -> bool:
        """Delete a record; return whether there was one.

        Raises:
            SessionStoreError: the store is in trouble. The record may have been deleted.

        """
        records, backend = self._now()
        return await _or_503(records.delete(self._key(kind, handle, backend)))

    async def handles(self, kind: str) -> AsyncGenerator[str, None]:
        """The handles of all records of a kind; none if the store cannot list them.

        Raises:
            SessionStoreError: the store is in trouble.

        """
        records, backend = self._now()
        prefix = self._key(kind, '', backend)
        try:
            async for key in records.keys(prefix):
                yield key.removeprefix(prefix)
        except StoreTroubleError as error:
            _tell(error)
            raise SessionStoreError from error

    async def close(self) -> None:
        """Close the connections of this event loop."""
        if self._records is not None:
            await self._records.close()


def _backend_of(store: StoreOfSessions) -> BaseCache | None:
    """The backend, if there is one by now."""
    if not isinstance(store, FastAPICache):
        return backend_at(store) if isinstance(store, str) else checked_backend(store)
    try:
        return store.backend
    except ConfigurationError:  # it is set as the app starts
        return None


async def _or_503(command: Awaitable[T]) -> T:
    try:
        return await command
    except StoreTroubleError as error:
        _tell(error)
        raise SessionStoreError from error


def _tell(error: StoreTroubleError) -> None:
    logger.debug('a session or a state cannot be read or written: %s', error)


def cache_of(store: StoreOfSessions, cache: Any) -> FastAPICache | None:
    """The cache whose entries a sign-out may invalidate.

    Raises:
        ConfigurationError: it is none.

    """
    found = store if cache is None and isinstance(store, FastAPICache) else cache
    if not isinstance(found, FastAPICache | None):
        msg = f'cache must be a FastAPICache, got an object of {type(found).__qualname__}'
        raise ConfigurationError(msg)
    return found
