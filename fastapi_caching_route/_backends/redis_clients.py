"""Clients of redis-py: which of them can be used, and how to build new ones with the same settings.

A client belongs to one event loop, and a client that hangs is thrown away. So the user's client is only a pattern for
our own, whether for a single server, a cluster or Sentinel. redis-py is optional, so it is imported where it is needed.
"""

from collections.abc import Callable
from functools import partial
from inspect import isawaitable, iscoroutinefunction
from typing import Any

from fastapi_caching_route._backends.outage import shown
from fastapi_caching_route._backends.urls import REDIS_SCHEMES, redis_at, settings_of, split
from fastapi_caching_route.errors import ConfigurationError

SILENT = {'protocol': 2, 'driver_info': None}
"""Settings with which redis-py does not introduce itself to the server. Older releases do not know all of them."""

OF_A_POOL = ('maint_', 'orig_', 'connection_pool')
"""Prefixes of settings that a connection pool has added itself."""

TAKES = (
    'RedisClientCache takes a client of redis.asyncio (Redis, RedisCluster, or the result of Sentinel.master_for), '
    "a URL like 'redis://10.0.0.1:6379/0', or a function that returns a client"
)


def maker_of(source: Any) -> Callable[[], Any]:
    """A function that returns new clients: from a URL, with the settings of a client, or by the given function.

    Raises:
        ConfigurationError: `source` is none of these, or such a client cannot be used. The message names the remedy.

    """
    if isinstance(source, str):
        source = _by_url(source)
    _check_usable(source)
    if iscoroutinefunction(source):
        msg = f'{TAKES}; the function must not be async, got {shown(source)}'
        raise ConfigurationError(msg)
    if callable(source):
        if isinstance(source, type) and not _has_commands(source) and not hasattr(source, '__getattr__'):
            msg = f'{TAKES}; this class is not one of clients, got {shown(source)}'
            raise ConfigurationError(msg)
        return partial(_made_by, source)
    if of_same_settings(source) is None:
        remedy = 'the settings of this client cannot be copied: pass a function that returns one'
        msg = f'{TAKES}; {remedy}, got {shown(source)}'
        raise ConfigurationError(msg)
    return partial(of_same_settings, source)


def _by_url(text: str) -> Any:
    url = split(text)
    if url.scheme not in REDIS_SCHEMES:
        msg = f'{TAKES}; the URL must begin with one of {", ".join(REDIS_SCHEMES)}, followed by ://'
        raise ConfigurationError(msg)
    return redis_at(url)


def _made_by(function: Callable[[], Any]) -> Any:
    client = function()
    _check_usable(client)
    if not _has_commands(client):
        msg = f'{TAKES}; the function must return a client, got {shown(client)}'
        raise ConfigurationError(msg)
    return client


def _has_commands(client: Any) -> bool:
    return all(hasattr(client, name) for name in ('get', 'mget', 'set', 'delete'))


def _check_usable(client: Any) -> None:
    """Raise if a client could never read or write an entry.

    Raises:
        ConfigurationError: it is not asynchronous, returns str, or is connected to a replica.

    """
    kind = client if isinstance(client, type) else type(client)
    if any(
        it.__module__ in ('redis.client', 'redis.cluster') and it.__name__ in ('Redis', 'RedisCluster')
        for it in kind.__mro__
    ):
        remedy = 'this client is not asynchronous: use the class of this name from redis.asyncio'
        msg = f'{TAKES}; {remedy}, got {shown(client)}'
        raise ConfigurationError(msg)
    if isawaitable(client) and not hasattr(client, 'get'):
        client.close() if hasattr(client, 'close') else None
        msg = f'{TAKES}; the function must return a client, not an awaitable, got {shown(client)}'
        raise ConfigurationError(msg)
    if not isinstance(client, type) and hasattr(client, 'get_encoder') and client.get_encoder().decode_responses:
        msg = f'{TAKES}; the client must return bytes: remove decode_responses=True, got {shown(client)}'
        raise ConfigurationError(msg)
    if getattr(getattr(client, 'connection_pool', None), 'is_master', True) is False:
        msg = f'{TAKES}; a replica takes no writes: use master_for instead of slave_for, got {shown(client)}'
        raise ConfigurationError(msg)


def of_same_settings(client: Any) -> Any | None:
    """A new client with the settings of this one; None if we cannot build one. It connects when it is used."""
    match f'{type(client).__module__}.{type(client).__qualname__}':
        case 'redis.asyncio.client.Redis':
            pool = _pool_like(client.connection_pool)
            return None if pool is None else type(client)(connection_pool=pool)
        case 'redis.asyncio.cluster.RedisCluster':
            return _cluster_like(client)
        case _:
            return None


def _pool_like(pool: Any) -> Any | None:
    from redis.asyncio.connection import BlockingConnectionPool, ConnectionPool  # noqa: PLC0415, it is optional
    from redis.asyncio.sentinel import SentinelConnectionPool  # noqa: PLC0415, it is optional

    settings = {
        **_own(pool.connection_kwargs),
        **_quiet(pool.connection_class),
        'connection_class': pool.connection_class,
        'max_connections': pool.max_connections,
    }
    if type(pool) in (ConnectionPool, BlockingConnectionPool):
        return ConnectionPool(**settings)
    if type(pool) is SentinelConnectionPool:
        more = {'is_master': pool.is_master, 'check_connection': pool.check_connection}
        new_pool: Any = SentinelConnectionPool
        return new_pool(pool.service_name, _sentinel_like(pool.sentinel_manager), **settings, **more)
    return None


def _sentinel_like(sentinel: Any) -> Any:
    """A new Sentinel with new clients, since its clients belong to an event loop, too."""
    own = type(sentinel)([], sentinel.min_other_sentinels, {}, **_own(sentinel.connection_kwargs))
    own.__dict__.update({name: it for name, it in vars(sentinel).items() if name != 'sentinels'})
    own.sentinels = [it for it in map(of_same_settings, sentinel.sentinels) if it is not None]
    return own


def _cluster_like(cluster: Any) -> Any:
    from redis.asyncio.cluster import ClusterNode  # noqa: PLC0415, it is optional
    from redis.asyncio.connection import SSLConnection  # noqa: PLC0415, it is optional

    given, nodes = cluster.connection_kwargs, cluster.nodes_manager
    started_from = getattr(cluster, 'startup_nodes', None) or list(
        nodes.startup_nodes.values()
    )  # missing in redis-py 5.0
    taken = settings_of(type(cluster))
    of_cluster = {
        'ssl': issubclass(given.get('connection_class', object), SSLConnection),
        'require_full_coverage': nodes.require_full_coverage,
        'address_remap': getattr(nodes, 'address_remap', None),
        'dynamic_startup_nodes': getattr(nodes, '_dynamic_startup_nodes', True),
        'reinitialize_steps': cluster.reinitialize_steps,
    }
    settings = {**_own(given), **of_cluster, **_quiet(type(cluster))}
    # Never read from replicas, whatever the settings say: an invalidation may not have reached them yet.
    return type(cluster)(
        startup_nodes=[ClusterNode(it.host, it.port) for it in started_from],
        **{name: value for name, value in settings.items() if name in taken},
    )


def _own(settings: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if not name.startswith(OF_A_POOL)}


def _quiet(takes: type) -> dict[str, Any]:
    """Settings without the commands at the start of a connection that are not needed: each takes a round trip."""
    from redis.asyncio.retry import Retry  # noqa: PLC0415, it is optional
    from redis.backoff import NoBackoff  # noqa: PLC0415, it is optional

    return {
        **{name: value for name, value in SILENT.items() if name in settings_of(takes)},
        # An entry that is sent again may arrive after a later one, and replace that. And retries may take seconds.
        'retry': Retry(NoBackoff(), 0),
    }
