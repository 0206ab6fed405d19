"""What is to be known of the libraries that talk to stores, redis-py and aiomcache: their limits, and clients of our own.

A client belongs to one event loop, and one that has stopped answering is thrown away. So we use none of the user's where
we can build one of the same settings: password, TLS and unix sockets are taken over as they are.
"""

import math
import os
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from fastapi_caching_route._aiocache import BaseCache
from fastapi_caching_route._redis_clients import of_same_settings

MOST_CONCURRENT = 64
"""Commands that one event loop has under way: more would only wait in the store, which answers one after another."""

SHORTEST = 0.001
"""Seconds; Redis refuses to keep anything for less, and aiocache takes 0 for no end."""

LONGEST_IN_MEMCACHED = 30 * 86400
"""Seconds; it takes more for a date."""


def concurrency(client: Any) -> int:
    """How many commands a client bears at a time: with more, redis-py raises, and aiomcache may wait for ever."""
    most = getattr(getattr(client, 'connection_pool', None), 'max_connections', None)
    most = most or getattr(getattr(client, '_pool', None), '_maxsize', None)
    return max(1, min(MOST_CONCURRENT, most)) if isinstance(most, int) else MOST_CONCURRENT


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


def may_be_cancelled(client: Any) -> bool:
    """Whether a client stays in step when a command is cancelled; aiomcache gives the reply to the next command."""
    return not any(it.__module__.startswith('aiomcache') for it in type(client).__mro__)


def own_client(backend: BaseCache) -> Any | None:
    """A new client with the settings of the backend's, which has opened nothing yet; None if we cannot build one."""
    new_client = getattr(backend, 'new_client', None)
    if new_client is not None:
        return new_client()
    client = getattr(backend, 'client', None)
    kind = f'{type(client).__module__}.{type(client).__qualname__}'
    return _memcached(client) if kind == 'aiomcache.client.Client' else of_same_settings(client)


def _memcached(client: Any) -> Any:
    pool = client._pool
    own = type(client)(
        pool._host, pool._port, pool_size=pool._maxsize, pool_minsize=pool._minsize, conn_args=pool.conn_args
    )
    connect = own._pool._create_new_conn

    async def connect_strictly() -> Any:
        connection = await connect()
        if connection is not None:
            reader = connection.reader
            reader.readline = partial(_whole_line, reader.readline)
        return connection

    own._pool._create_new_conn = connect_strictly
    return own


async def _whole_line(readline: Any) -> bytes:
    """A line with its end. aiomcache asks for the rest of a line for ever, at the end of a connection too."""
    line: bytes = await readline()
    if not line.endswith(b'\n'):
        msg = 'the connection was closed in the middle of a reply'
        raise ConnectionResetError(msg)
    return line


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


async def close(client: Any) -> None:
    """Close all connections of a client of ours."""
    pool = getattr(client, 'connection_pool', None)
    with suppress(Exception):  # what cannot be closed is closed already
        if pool is not None:  # redis-py closes with a client only the pool that it has made
            await pool.disconnect()
        for sentinel in getattr(getattr(pool, 'sentinel_manager', None), 'sentinels', ()):
            await sentinel.aclose()
        await (client.aclose() if hasattr(client, 'aclose') else client.close())
