"""Backends from a client, a URL or a function: the clients that are made of them, and plugins."""

import pytest
import redis
import redis.asyncio
from aiocache import MemcachedCache, RedisCache
from aiocache.plugins import BasePlugin, HitMissRatioPlugin
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.sentinel import Sentinel
from redis.cluster import LoadBalancingStrategy

from fastapi_caching_route import ConfigurationError, FastAPICache
from fastapi_caching_route._backends.clients import close, own_client
from fastapi_caching_route.redis import RedisClientCache
from tests.servers import wait_until
from tests.support import caching_router, client_of, marks

# A client or a URL in place of a function


def served_twice(backend):
    """What two requests get, and how often the endpoint ran."""
    cache, router, ran = FastAPICache(backend, store_timeout=5), caching_router(), []

    @router.get('/')
    @cache(ttl=60)
    async def endpoint():
        ran.append(1)
        return 1

    with client_of(router, lifespan=cache.lifespan) as client:
        return marks(client.get('/'), client.get('/')), len(ran)


@pytest.mark.parametrize(
    'given',
    [
        lambda port: redis.asyncio.Redis(port=port),
        lambda port: redis.asyncio.Redis(connection_pool=redis.asyncio.BlockingConnectionPool(port=port)),
        lambda port: f'redis://127.0.0.1:{port}/0',
        lambda port: f'redis://127.0.0.1:{port}?max_connections=3',
        lambda port: lambda: redis.asyncio.Redis(port=port),
    ],
    ids=['client', 'client of a blocking pool', 'URL', 'URL with options', 'function'],
)
def test_a_client_a_url_and_a_function_give_a_cache_that_works(given, redis_port, request):
    backend = RedisClientCache(given(redis_port), namespace=request.node.name)
    assert served_twice(backend) == (['MISS', 'HIT'], 1)


def test_responses_have_clients_of_their_own_with_the_settings_of_the_given_one(redis_port):
    given = redis.asyncio.Redis(port=redis_port, db=3, client_name='mine', max_connections=7)
    backend = RedisClientCache(given)
    own = own_client(backend)
    assert backend.client is given
    assert own is not given
    assert own.connection_pool is not given.connection_pool
    settings = own.connection_pool.connection_kwargs
    assert (settings['db'], settings['client_name'], own.connection_pool.max_connections) == (3, 'mine', 7)
    assert settings['retry']._retries == 0


def test_a_unix_socket_may_be_in_the_url():
    own = own_client(RedisClientCache('unix:///run/redis.sock?db=2'))
    assert own.connection_pool.connection_kwargs['path'] == '/run/redis.sock'
    assert own.connection_pool.connection_class is redis.asyncio.UnixDomainSocketConnection


def test_tls_may_be_in_the_url():
    own = own_client(RedisClientCache('rediss://user:secret@10.0.0.1/1'))
    assert own.connection_pool.connection_class is redis.asyncio.SSLConnection
    assert own.connection_pool.connection_kwargs['password'] == 'secret'


def test_a_cluster_is_made_anew_with_its_settings():
    given = redis.asyncio.RedisCluster(
        startup_nodes=[ClusterNode('10.0.0.1', 7000), ClusterNode('10.0.0.2', 7001)],
        password='secret',
        ssl=True,
        require_full_coverage=False,
        load_balancing_strategy=LoadBalancingStrategy.ROUND_ROBIN,
        max_connections=9,
    )
    own = own_client(RedisClientCache(given))
    assert type(own) is redis.asyncio.RedisCluster
    assert own is not given
    assert [(it.host, it.port) for it in own.startup_nodes] == [('10.0.0.1', 7000), ('10.0.0.2', 7001)]
    assert own.connection_kwargs['password'] == 'secret'
    assert own.connection_kwargs['connection_class'] is redis.asyncio.SSLConnection
    assert own.nodes_manager.require_full_coverage is False
    assert own.load_balancing_strategy is None
    assert 'redis_connect_func' not in own.connection_kwargs  # by which nodes would be asked to let replicas be read
    assert own.startup_nodes[0].max_connections == given.startup_nodes[0].max_connections


def test_a_client_of_sentinel_is_made_anew_with_sentinels_of_its_own():
    sentinel = Sentinel([('10.0.0.1', 26379), ('10.0.0.2', 26379)], sentinel_kwargs={'password': 'of sentinel'})
    given = sentinel.master_for('main', password='secret', db=4)
    own = own_client(RedisClientCache(given))
    pool = own.connection_pool
    assert (type(pool), pool.service_name) == (type(given.connection_pool), 'main')
    assert (pool.connection_kwargs['password'], pool.connection_kwargs['db']) == ('secret', 4)
    assert pool.connection_kwargs['connection_pool'].service_name == 'main'
    assert pool.sentinel_manager is not sentinel
    watching = pool.sentinel_manager.sentinels
    assert [it.connection_pool.connection_kwargs['host'] for it in watching] == ['10.0.0.1', '10.0.0.2']
    assert {it.connection_pool.connection_kwargs['password'] for it in watching} == {'of sentinel'}
    assert not {id(it) for it in watching} & {id(it) for it in sentinel.sentinels}


async def test_a_client_of_ours_closes_its_connections_to_sentinels(redis_server):
    sentinel = Sentinel([('127.0.0.1', redis_server.port)])
    own = own_client(RedisClientCache(sentinel.master_for('main')))
    (watching,) = own.connection_pool.sentinel_manager.sentinels
    with redis.Redis(port=redis_server.port) as one:
        await watching.ping()
        assert len(one.client_list()) == 2
        await close(own)
        wait_until(lambda: len(one.client_list()) == 1, seconds=5)


class OfSomebody(redis.asyncio.Redis):
    """A class of a user, which may want other arguments."""


async def coroutine():
    """Made by `async def`."""


@pytest.mark.parametrize(
    ('given', 'said'),
    [
        (redis.Redis, 'not asynchronous'),
        (lambda: redis.Redis, 'not asynchronous'),
        (lambda: redis.asyncio.Redis(decode_responses=True), 'decode_responses'),
        (lambda: 'redis://10.0.0.1?decode_responses=True', 'decode_responses'),
        (lambda: redis.asyncio.RedisCluster(host='10.0.0.1', decode_responses=True), 'decode_responses'),
        (lambda: Sentinel([('10.0.0.1', 1)]).slave_for('main'), 'master_for'),
        (lambda: Sentinel([('10.0.0.1', 1)]), 'master_for'),
        (OfSomebody, 'pass a function that returns one'),
        (redis.asyncio.ConnectionPool, 'pass a function that returns one'),
        (lambda: coroutine, 'must not be async'),
        (lambda: 'http://10.0.0.1', 'URL'),
        (lambda: '10.0.0.1:6379', 'URL'),
        (lambda: 'redis://:secret@10.0.0.1?db=x', 'URL'),
        (lambda: None, 'takes a client'),
        (RedisCache, 'takes a client'),
        (lambda: 6379, 'takes a client'),
        (lambda: b'redis://:secret@10.0.0.1', 'takes a client'),
        (lambda: {'password': 'secret'}, 'takes a client'),
        (lambda: RedisCache, 'this class is not one of clients'),
        (lambda: dict, 'this class is not one of clients'),
    ],
)
def test_what_gives_no_client_is_refused_when_it_is_built(given, said):
    with pytest.raises(ConfigurationError, match=said) as refused:
        RedisClientCache(given())
    assert 'secret' not in str(refused.value)


# Plugins


class Hearing(BasePlugin):
    """Notes with which backends it is called."""

    def __init__(self):
        self.backends = set()
        self.hooks = set()

    async def pre_set(self, client, *_, **__):
        self.backends.add(id(client))
        self.hooks.add('pre_set')

    async def post_multi_get(self, client, *_, took=0, ret=None, **__):
        self.backends.add(id(client))
        self.hooks.add('post_multi_get')


@pytest.mark.parametrize('kind', ['redis', 'memcached', 'client'])
def test_plugins_are_called_with_the_backend_of_the_user(kind, request):
    port = request.getfixturevalue('memcached_port' if kind == 'memcached' else 'redis_port')
    hearing, options = Hearing(), {'namespace': f'plugins of {kind}'}
    backend = {
        'redis': lambda plugins: RedisCache(endpoint='127.0.0.1', port=port, plugins=plugins, **options),
        'memcached': lambda plugins: MemcachedCache(port=port, plugins=plugins, namespace=f'plugins-{kind}'),
        'client': lambda plugins: RedisClientCache(redis.asyncio.Redis(port=port), plugins=plugins, **options),
    }[kind]([HitMissRatioPlugin(), hearing])
    assert served_twice(backend) == (['MISS', 'HIT'], 1)
    assert hearing.backends == {id(backend)}
    assert hearing.hooks == {'pre_set', 'post_multi_get'}
    assert backend.hit_miss_ratio['total'] > backend.hit_miss_ratio['hits'] >= 1
