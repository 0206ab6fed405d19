"""The commands of an aiocache backend, as this package gives them: in our own format, with a deadline, never cut off.

Knows bytes and keys; trouble with the backend is raised.
"""

import asyncio
import copy
import logging
import math
from collections.abc import Coroutine, Sequence
from typing import Any
from weakref import WeakKeyDictionary

from aiocache.backends.memory import SimpleMemoryBackend, SimpleMemoryCache
from aiocache.base import BaseCache

from fastapi_caching_route._http.storing import FOREVER
from fastapi_caching_route._wire import MARK, decode, encode, opened, signed
from fastapi_caching_route.errors import ConfigurationError

logger = logging.getLogger('fastapi_caching_route')

MOST_AT_ONCE = 64
"""Commands that one process has under way: more would only wait in the store, which answers one after another."""

SHORTEST = 0.001
"""Seconds; Redis refuses to keep anything for less."""


class Shelf:
    """Keeps objects of ours where a cache of aiocache keeps its values."""

    __slots__ = ('_at_once', '_backend', '_running', '_timeout', '_turns', '_whole_seconds', 'inside')

    def __init__(self, backend: BaseCache, timeout: float, signing_keys: Sequence[bytes] = ()) -> None:
        """Use the backend as the user built it; wait for it `timeout` seconds.

        What leaves the process is signed with the first of the keys, and must be signed with one of them.

        Raises:
            ConfigurationError: it is not a backend, or has a ttl that makes no sense.

        """
        if not isinstance(backend, BaseCache):
            msg = f'FastAPICache needs a cache of aiocache, like SimpleMemoryCache(), got {backend!r}'
            raise ConfigurationError(msg)
        if backend.ttl is not None and not backend.ttl >= 0:
            msg = f'the ttl of the backend is in seconds and must not be negative, got {backend.ttl!r}'
            raise ConfigurationError(msg)
        self.inside = isinstance(backend, SimpleMemoryBackend)
        """Whether it is in this process, and in no other."""
        self._backend: Any = InProcess(backend) if self.inside else outside(backend, signing_keys)
        self._timeout = (
            None if type(backend) in (SimpleMemoryBackend, SimpleMemoryCache) else timeout
        )  # these never wait
        self._whole_seconds = getattr(backend, 'NAME', '') == 'memcached'
        self._running: set[asyncio.Future[Any]] = set()
        self._at_once = at_once(backend)
        self._turns: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()

    async def get(self, keys: Sequence[str], /) -> list[Any]:
        """What is under each key, or None; in one command."""
        if len(keys) == 1:
            return [await self._in_time(self._backend.get(keys[0], namespace=''))]
        found = list(await self._in_time(self._backend.multi_get(list(keys), namespace='')))
        return found or [None] * len(keys)  # aiocache gives no list at all where it is switched off

    async def set(self, key: str, value: object, span: float, /) -> bool:
        """Keep it for `span` seconds, or a little more where the backend counts in whole ones; whether it is kept."""
        return bool(await self._in_time(self._backend.set(key, value, ttl=self._ttl(span), namespace='')))

    async def add(self, key: str, value: object, span: float, /) -> bool:
        """The same, but only where there is nothing yet."""
        try:
            return bool(await self._in_time(self._backend.add(key, value, ttl=self._ttl(span), namespace='')))
        except ValueError:  # by which aiocache says that there is something
            return False

    async def delete(self, key: str, /) -> int:
        """How many keys were deleted (0 or 1)."""
        return int(await self._in_time(self._backend.delete(key, namespace='')))

    def _ttl(self, span: float) -> float:
        # memcached counts in ticks of a second, of which the first may be over at once.
        return min(math.ceil(span) + 1, int(FOREVER)) if self._whole_seconds else max(float(span), SHORTEST)

    async def _in_time(self, command: Coroutine[Any, Any, Any]) -> Any:
        """What the command gives, within the time-out.

        A command is never cancelled, neither by the time-out nor with the request: a client library whose command is
        cut off half-way gives its reply to the next command on that connection.
        """
        if self._timeout is None:
            return await command
        running = asyncio.ensure_future(self._in_turn(command))
        self._running.add(running)
        running.add_done_callback(self._ended)
        await asyncio.wait((running,), timeout=self._timeout)
        if not running.done():
            msg = f'no reply within {self._timeout} s'
            raise TimeoutError(msg)
        return running.result()

    async def _in_turn(self, command: Coroutine[Any, Any, Any]) -> Any:
        """What the command gives, begun when fewer than the pool can bear are under way: redis-py raises on more."""
        loop = asyncio.get_running_loop()
        turns = self._turns.get(loop)
        if turns is None:
            turns = self._turns[loop] = asyncio.Semaphore(self._at_once)
        async with turns:
            return await command

    def _ended(self, running: asyncio.Future[Any]) -> None:
        self._running.discard(running)
        if not running.cancelled():
            running.exception()  # it has been heard, even if nobody waits any more


def at_once(backend: BaseCache) -> int:
    """How many commands a backend may have under way: what its pool bears, and others need some of it too."""
    pool = getattr(getattr(backend, 'client', None), 'connection_pool', None)
    bears = getattr(pool, 'max_connections', None)
    return max(1, min(MOST_AT_ONCE, bears // 2 if isinstance(bears, int) else MOST_AT_ONCE))


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
        """Sign with the first of the keys, if there are any, and then take no entry that none of them has signed."""
        self._keys = signing_keys

    def dumps(self, value: Any) -> Any:
        """The bytes of something to be stored."""
        return signed(encode(value), self._keys[0]) if self._keys and not isinstance(value, str) else encode(value)

    def loads(self, value: Any) -> Any:
        """What stored bytes stand for, or None."""
        if self._keys and value is not None and not (isinstance(value, bytes) and value.startswith(MARK)):
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
