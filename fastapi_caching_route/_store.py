"""Entries in an aiocache backend.

Knows keys and entries as wholes; knows nothing of requests, of HTTP, or of the framework. Trouble with the backend
costs what is stored, never an answer: a look-up finds nothing, and storing does nothing.
"""

import asyncio
import copy
import logging
import math
from collections.abc import Coroutine, Sequence
from typing import Any

from aiocache.backends.memory import SimpleMemoryBackend, SimpleMemoryCache
from aiocache.base import BaseCache

from fastapi_caching_route._entry import Entry, Variants
from fastapi_caching_route._wire import decode, encode, opened, signed

logger = logging.getLogger('fastapi_caching_route')

Stored = Entry | Variants

SHORTEST = 0.001
"""Seconds; Redis refuses to keep anything for less."""


class Store:
    """Keeps entries where a cache of aiocache keeps its values."""

    __slots__ = ('_backend', '_failing', '_running', '_timeout', '_whole_seconds', 'namespace', 'ttl')

    def __init__(self, backend: BaseCache, timeout: float, signing_keys: Sequence[bytes] = ()) -> None:
        """Use the backend as the user built it, its namespace and ttl included; wait for it `timeout` seconds.

        What leaves the process is signed with the first of the keys, and must be signed with one of them.
        """
        inside = isinstance(backend, SimpleMemoryBackend)
        self._backend: Any = InProcess(backend) if inside else outside(backend, signing_keys)
        self._timeout = (
            None if type(backend) in (SimpleMemoryBackend, SimpleMemoryCache) else timeout
        )  # these never wait
        self._whole_seconds = getattr(backend, 'NAME', '') == 'memcached'
        self._running: set[asyncio.Future[Any]] = set()
        self._failing = False
        self.namespace: str = backend.namespace or ''
        self.ttl: float | None = backend.ttl

    async def get(self, key: str) -> Stored | None:
        """What is stored under a full key; anything that was not stored under just this key is nothing."""
        found = await self._guarded(self._backend.get(key, namespace=''))
        return found if isinstance(found, Entry | Variants) and found.key == key else None

    async def put(self, stored: Stored, span: float) -> bool:
        """Store under its own key for `span` seconds, or a little more where the backend counts in whole ones.

        Return whether the backend has taken it.
        """
        kept = math.ceil(span) if self._whole_seconds else max(float(span), SHORTEST)
        return bool(await self._guarded(self._backend.set(stored.key, stored, ttl=kept, namespace='')))

    async def forget(self, key: str) -> None:
        """Delete what is stored under a full key, if that can be done now; it will end by itself."""
        await self._guarded(self._backend.delete(key, namespace=''))

    async def delete(self, key: str) -> int:
        """Delete what is stored under a full key; return how many keys that were (0 or 1).

        Trouble with the backend is raised: who deletes has to know whether it is done.
        """
        return int(await self._in_time(self._backend.delete(key, namespace='')))

    async def _guarded(self, command: Coroutine[Any, Any, Any]) -> Any:
        """What the command gives, or None where the backend is in trouble; a warning when that begins."""
        try:
            found = await self._in_time(command)
        except Exception as error:  # noqa: BLE001, whatever a client library raises
            if not self._failing:
                logger.warning('the cache backend is in trouble, endpoints answer without it: %r', error)
            self._failing = True
            return None
        if self._failing:
            logger.info('the cache backend works again')
            self._failing = False
        return found

    async def _in_time(self, command: Coroutine[Any, Any, Any]) -> Any:
        """What the command gives, within the time-out.

        A command is never cancelled, neither by the time-out nor with the request: a client library whose command is
        cut off half-way gives its reply to the next command on that connection.
        """
        if self._timeout is None:
            return await command
        running = asyncio.ensure_future(command)
        self._running.add(running)
        running.add_done_callback(self._ended)
        await asyncio.wait((running,), timeout=self._timeout)
        if not running.done():
            msg = f'no reply within {self._timeout} s'
            raise TimeoutError(msg)
        return running.result()

    def _ended(self, running: asyncio.Future[Any]) -> None:
        self._running.discard(running)
        if not running.cancelled():
            running.exception()  # it has been heard, even if nobody waits any more


def outside(backend: BaseCache, signing_keys: Sequence[bytes]) -> BaseCache:
    """The backend with our format in place of its serializer and without its time-out; client and pool are shared."""
    ours = copy.copy(backend)
    ours.serializer = Wire(signing_keys)
    ours.timeout = None
    return ours


class Wire:
    """Our format, as aiocache calls a serializer."""

    encoding = None  # bytes stay bytes

    def __init__(self, signing_keys: Sequence[bytes]) -> None:
        """Sign with the first of the keys, if there are any, and then take nothing that none of them has signed."""
        self._keys = signing_keys

    def dumps(self, value: Any) -> Any:
        """The bytes of something to be stored."""
        return signed(encode(value), self._keys[0]) if self._keys else encode(value)

    def loads(self, value: Any) -> Any:
        """What stored bytes stand for, or None."""
        if self._keys and value is not None:
            value = opened(value, self._keys)
            if value is None:
                logger.warning('an entry in the cache backend has no valid signature, and is not used')
        return decode(value)


class InProcess:
    """aiocache's memory backend without its serializer: entries cannot be changed, so they are kept as they are.

    It is not copied, since `clear()` gives the original a new dict of which a copy would not hear.
    """

    __slots__ = ('_backend',)

    def __init__(self, backend: Any) -> None:
        """Keep entries in this backend."""
        self._backend = backend

    async def get(self, key: str, *, namespace: str) -> Any:
        """The object under the key, or None."""
        return await self._backend.get(key, namespace=namespace, loads_fn=_as_it_is, timeout=None)

    async def set(self, key: str, value: object, *, ttl: float, namespace: str) -> Any:
        """Keep the object under the key; return whether it is kept."""
        return await self._backend.set(key, value, ttl=ttl, namespace=namespace, dumps_fn=_as_it_is, timeout=None)

    async def delete(self, key: str, *, namespace: str) -> Any:
        """How many keys were deleted."""
        return await self._backend.delete(key, namespace=namespace, timeout=None)


def _as_it_is(value: Any) -> Any:
    return value
