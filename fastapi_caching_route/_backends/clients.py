"""Clients of our own for redis-py and aiomcache.

A client belongs to one event loop, and one that has stopped answering is thrown away. So we use none of the user's where
we can build one of the same settings: password, TLS and unix sockets are taken over as they are.
"""

from contextlib import suppress
from functools import partial
from typing import Any

from fastapi_caching_route._backends.aiocache import BaseCache
from fastapi_caching_route._backends.redis_clients import of_same_settings

MAX_CONCURRENT = 64
"""Commands that one event loop has under way: more would only wait in the store, which answers one after another."""


def concurrency(client: Any) -> int:
    """How many commands a client bears at a time: with more, redis-py raises, and aiomcache may wait for ever."""
    most = getattr(getattr(client, 'connection_pool', None), 'max_connections', None)
    most = most or getattr(getattr(client, '_pool', None), '_maxsize', None)
    return max(1, min(MAX_CONCURRENT, most)) if isinstance(most, int) else MAX_CONCURRENT


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


async def close(client: Any) -> None:
    """Close all connections of a client of ours."""
    pool = getattr(client, 'connection_pool', None)
    with suppress(Exception):  # what cannot be closed is closed already
        if pool is not None:  # redis-py closes with a client only the pool that it has made
            await pool.disconnect()
        for sentinel in getattr(getattr(pool, 'sentinel_manager', None), 'sentinels', ()):
            await sentinel.aclose()
        await (client.aclose() if hasattr(client, 'aclose') else client.close())
