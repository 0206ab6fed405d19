"""Clients like the user's, for ourselves: what is to be known of redis-py and aiomcache, and of nothing else.

A client belongs to one event loop, and one that has stopped answering is thrown away. So we use none of the user's where
we can build one of the same settings: password, TLS and unix sockets are taken over as they are.
"""

from contextlib import suppress
from functools import partial
from inspect import signature
from typing import Any

from aiocache.base import BaseCache

from fastapi_caching_route.redis import RedisClientCache

SILENT = {'protocol': 2, 'driver_info': None}
"""Settings of redis-py with which a connection says nothing about itself; older releases do not know them all."""

MOST_AT_ONCE = 64
"""Commands that one event loop has under way: more would only wait in the store, which answers one after another."""


def own_client(backend: BaseCache) -> Any | None:
    """A new client with the settings of the backend's, which has opened nothing yet; None if we cannot build one."""
    if isinstance(backend, RedisClientCache):
        return backend.new_client()
    client = getattr(backend, 'client', None)
    match f'{type(client).__module__}.{type(client).__qualname__}':
        case 'redis.asyncio.client.Redis':
            return _redis(client)
        case 'aiomcache.client.Client':
            return _memcached(client)
        case _:
            return None


def at_once(client: Any) -> int:
    """How many commands a client bears: with more, redis-py raises, and aiomcache may wait for ever."""
    most = getattr(getattr(client, 'connection_pool', None), 'max_connections', None)
    most = most or getattr(getattr(client, '_pool', None), '_maxsize', None)
    return max(1, min(MOST_AT_ONCE, most)) if isinstance(most, int) else MOST_AT_ONCE


def _settings_of(connection_class: type) -> set[str]:
    """What a class of connections and its bases can be told."""
    inits = [vars(it)['__init__'] for it in connection_class.__mro__ if '__init__' in vars(it) and it is not object]
    return {name for init in inits for name in signature(init).parameters}


async def close(client: Any) -> None:
    """Close all connections of a client of ours."""
    pool = getattr(client, 'connection_pool', None)
    with suppress(Exception):  # what cannot be closed is closed already
        if pool is not None:  # redis-py closes with a client only the pool that it has made
            await pool.disconnect()
        for sentinel in getattr(getattr(pool, 'sentinel_manager', None), 'sentinels', ()):
            await sentinel.aclose()
        await (client.aclose() if hasattr(client, 'aclose') else client.close())


def _redis(client: Any) -> Any | None:
    from redis.asyncio.connection import BlockingConnectionPool, ConnectionPool  # noqa: PLC0415, it is optional
    from redis.asyncio.retry import Retry  # noqa: PLC0415, it is optional
    from redis.backoff import NoBackoff  # noqa: PLC0415, it is optional

    pool = client.connection_pool
    if type(pool) not in (ConnectionPool, BlockingConnectionPool):
        return None
    settings: dict[str, Any] = {
        **{name: value for name, value in pool.connection_kwargs.items() if not name.startswith(('maint_', 'orig_'))},
        # No word but what is needed: each is a round trip before the first command, and that has a deadline.
        **{name: value for name, value in SILENT.items() if name in _settings_of(pool.connection_class)},
        # A mark that is written twice may come back after another one. And some would be tried again for seconds.
        'retry': Retry(NoBackoff(), 0),
    }
    own_pool = ConnectionPool(connection_class=pool.connection_class, max_connections=pool.max_connections, **settings)
    return type(client)(connection_pool=own_pool)


def _memcached(client: Any) -> Any:
    pool = client._pool  # noqa: SLF001, it has no other way to say where it connects to
    own = type(client)(
        pool._host,  # noqa: SLF001
        pool._port,  # noqa: SLF001
        pool_size=pool._maxsize,  # noqa: SLF001
        pool_minsize=pool._minsize,  # noqa: SLF001
        conn_args=pool.conn_args,
    )
    connect = own._pool._create_new_conn  # noqa: SLF001

    async def connect_strictly() -> Any:
        connection = await connect()
        if connection is not None:
            reader = connection.reader
            reader.readline = partial(_whole_line, reader.readline)
        return connection

    own._pool._create_new_conn = connect_strictly  # noqa: SLF001
    return own


async def _whole_line(readline: Any) -> bytes:
    """A line with its end. aiomcache asks for the rest of a line for ever, at the end of a connection too."""
    line: bytes = await readline()
    if not line.endswith(b'\n'):
        msg = 'the connection was closed in the middle of a reply'
        raise ConnectionResetError(msg)
    return line
