"""Clients of our own for redis-py and aiomcache.

A client belongs to one event loop, and a client that hangs is thrown away. So where possible, we do not use the user's
client, but build one with the same settings: password, TLS and unix sockets are kept as they are.
"""

import math
import re
from contextlib import suppress
from functools import partial
from typing import Any

from fastapi_caching_route._backends.aiocache import SHORTEST, BaseCache
from fastapi_caching_route._backends.redis_clients import of_same_settings

NO_EVICTION = (
    'Redis has a maxmemory and evicts nothing (noeviction): when it is full, nothing new is cached; set '
    'maxmemory-policy to allkeys-lru, or another one that evicts'
)

MAX_SPAN_IN_MEMCACHED = 30 * 86400
"""In seconds. memcached takes a larger number for a date."""

MAX_CONCURRENT = 64
"""How many commands one event loop has under way: more would only wait in the server, which runs one at a time."""

_SPECIAL = re.compile(r'([*?\[\]\\^])')
"""The characters with a meaning in the patterns of Redis."""


def concurrency(client: Any) -> int:
    """How many commands a client can run at a time. With more, redis-py raises, and aiomcache may wait forever."""
    most = getattr(getattr(client, 'connection_pool', None), 'max_connections', None)
    most = most or getattr(getattr(client, '_pool', None), '_maxsize', None)
    return max(1, min(MAX_CONCURRENT, most)) if isinstance(most, int) else MAX_CONCURRENT


def may_be_cancelled(client: Any) -> bool:
    """Whether commands of this client may be cancelled. aiomcache would give the reply to its next command."""
    # A store of py-key-value-aio may have any client inside.
    return not any(it.__module__.startswith(('aiomcache', 'key_value')) for it in type(client).__mro__)


def can_prolong(backend: BaseCache) -> bool:
    """Whether a backend can give a key another time to expire."""
    return type(backend)._expire is not BaseCache._expire


def own_client(backend: BaseCache) -> Any | None:
    """A new client with the settings of the backend's; None if we cannot build one. It connects when it is used."""
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
    """A complete line. aiomcache would wait forever for the rest of a line, even after the connection was closed."""
    line: bytes = await readline()
    if not line.endswith(b'\n'):
        msg = 'the connection was closed in the middle of a reply'
        raise ConnectionResetError(msg)
    return line


async def close(client: Any) -> None:
    """Close all connections of one of our own clients."""
    pool = getattr(client, 'connection_pool', None)
    with suppress(Exception):  # it was closed before
        if pool is not None:  # redis-py closes only a pool that the client itself made
            await pool.disconnect()
        for sentinel in getattr(getattr(pool, 'sentinel_manager', None), 'sentinels', ()):
            await sentinel.connection_pool.disconnect()  # for the same reason
            await sentinel.aclose()
        await (client.aclose() if hasattr(client, 'aclose') else client.close())


def look_for_nodes_after(error: Exception, client: Any) -> None:
    """Let the client of a cluster ask which node has which keys, if this error says that it does not know.

    redis-py does so by itself after single commands, but after pipelines only if it may send them again.
    """
    if type(error) in getattr(client, 'ERRORS_ALLOW_RETRY', ()):
        look_for_nodes(client)


def look_for_nodes(client: Any) -> None:
    """Let the client of a cluster ask, before its next command, which nodes there are; other clients have one."""
    if hasattr(client, 'nodes_manager'):
        client._initialize = True


def pattern_of(prefix: str) -> str:
    """What Redis takes for all keys that begin with this, whatever characters are in it."""
    return _SPECIAL.sub(r'\\\1', prefix) + '*'


async def doubts_about(client: Any) -> list[str]:
    """What is wrong with the settings of a Redis, in words; nothing if it does not tell, or is none."""
    memory: Any = {}
    with suppress(Exception):  # the user may lack the permission
        memory = await client.info('memory') if hasattr(client, 'connection_pool') or hasattr(client, 'nodes') else {}
    nodes = [memory] if 'maxmemory' in memory else [it for it in memory.values() if isinstance(it, dict)]
    if any(it.get('maxmemory') and it.get('maxmemory_policy') == 'noeviction' for it in nodes):
        return [NO_EVICTION]
    return []


def accepted_ttl(backend: BaseCache, span: float) -> float:
    """A ttl that the backend accepts. memcached counts whole ticks, and the first may end at once: round up, plus 1."""
    if getattr(backend, 'NAME', '') == 'memcached':
        return min(math.ceil(span) + 1, MAX_SPAN_IN_MEMCACHED)
    return max(float(span), SHORTEST)
