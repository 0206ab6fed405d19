"""What is to be known of backends and their libraries: limits, and commands that each gives in its own way."""

import math
import os
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from fastapi_caching_route._backends.aiocache import SHORTEST, BaseCache


async def added(backend: Any, key: str, value: object, ttl: float) -> bool:
    """Keep a value where there is none; whether that was done."""
    try:
        return bool(await backend.add(key, value, ttl=ttl, namespace=''))
    except ValueError:  # by which aiocache says that there is something
        return False


async def deleted(key: str, backend: Any) -> int:
    """Delete a key; how many were deleted."""
    try:
        return int(await backend.delete(key, namespace=''))
    except NotImplementedError:  # a backend needs no such command
        return 0


class AsTheyAre:
    """A backend in this process, without its serializer: entries cannot be changed, so they are kept as they are.

    It is not copied, since `clear()` of aiocache's gives the original a new dict of which a copy would not hear.
    """

    __slots__ = ('_backend',)

    def __init__(self, backend: Any) -> None:
        """Keep entries in this backend."""
        self._backend = backend

    async def get(self, key: str, *, namespace: str) -> Any:
        """The object under the key, or None."""
        return await self._backend.get(key, namespace=namespace, loads_fn=_as_it_is, timeout=None)

    async def multi_get(self, keys: list[str], *, namespace: str) -> Any:
        """The objects under the keys, or None for each."""
        return await self._backend.multi_get(keys, namespace=namespace, loads_fn=_as_it_is, timeout=None)

    async def set(self, key: str, value: object, *, ttl: float, namespace: str) -> Any:
        """Keep the object under the key; return whether it is kept."""
        return await self._backend.set(key, value, ttl=ttl, namespace=namespace, dumps_fn=_as_it_is, timeout=None)

    async def add(self, key: str, value: object, *, ttl: float, namespace: str) -> Any:
        """Keep the object under the key where there is none; return whether it is kept."""
        return await self._backend.add(key, value, ttl=ttl, namespace=namespace, dumps_fn=_as_it_is, timeout=None)

    async def delete(self, key: str, *, namespace: str) -> Any:
        """How many keys were deleted."""
        return await self._backend.delete(key, namespace=namespace, timeout=None)


def _as_it_is(value: Any) -> Any:
    return value


LONGEST_IN_MEMCACHED = 30 * 86400
"""Seconds; it takes more for a date."""


def accepted_ttl(backend: BaseCache, span: float) -> float:
    """The span as the backend takes it: in memcached rounded up, since it counts in ticks and the first may be over at once."""
    if getattr(backend, 'NAME', '') == 'memcached':
        return min(math.ceil(span) + 1, LONGEST_IN_MEMCACHED)
    return max(float(span), SHORTEST)


def get_many(backend: Any) -> Callable[[Sequence[str]], Awaitable[Any]]:
    """The command that reads many keys at once: the driver's own, or aiocache's where plugins or a subclass have a part in it."""
    is_plain = isinstance(backend, BaseCache) and type(backend).multi_get is BaseCache.multi_get and not backend.plugins
    return partial(_get_many, backend) if is_plain else partial(backend.multi_get, namespace='')


async def _get_many(backend: Any, keys: Sequence[str]) -> list[Any]:
    if os.environ.get('AIOCACHE_DISABLE') == '1':  # as aiocache does it
        return []
    found = await backend._multi_get([backend.build_key(key, namespace='') for key in keys], encoding=None)
    return [backend.serializer.loads(value) for value in found]


def is_too_large(error: Exception) -> bool:
    """Whether a store has refused something for its size: memcached takes 1 MB, or as its option -I says."""
    return 'too large' in str(error)


def is_full(error: Exception) -> bool:
    """Whether a store has refused something since it has no room: a Redis under `noeviction`, or a memcached under `-M`."""
    return any(it in repr(error) for it in ('OutOfMemoryError', "used memory > 'maxmemory'", 'out of memory storing'))


async def delete_token(backend: Any, key: str, token: str, stored: Any) -> None:
    """Delete a key, if this token is there, in the form in which it is `stored`; in one step where the store can do that."""
    client: Any = getattr(backend, 'client', None)
    if hasattr(client, 'eval'):  # Redis
        await backend._redlock_release(key, stored)
    elif hasattr(client, 'gets') and hasattr(client, 'cas'):  # memcached
        name = key.encode()
        found, unchanged = await client.gets(name)
        if found == stored and await client.cas(name, b'', unchanged):  # it is ours, and nobody can add one any more
            await client.delete(name)
    elif await backend.get(key, namespace='') == token:
        await backend.delete(key, namespace='')
