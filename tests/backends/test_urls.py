"""Backends by URL: what each scheme and option gives, and that no error message contains a password."""

import traceback

import pytest
import redis
import redis.asyncio
from aiocache import MemcachedCache
from redis.asyncio.connection import SSLConnection, UnixDomainSocketConnection

from fastapi_caching_route import ConfigurationError, FastAPICache, LMDBCache, MemoryCache
from fastapi_caching_route._backends.clients import own_client
from fastapi_caching_route._backends.outage import address_of
from fastapi_caching_route.redis import RedisClientCache
from tests.conftest import run
from tests.support import caching_router, client_of, marks

SECRET = 'sesame'


def backend_of(url):
    return FastAPICache.from_url(url).backend


def settings_of(url):
    """The settings of the connections that responses are stored over."""
    return own_client(backend_of(url)).connection_pool.connection_kwargs


def served(cache):
    router = caching_router()

    @router.get('/')
    @cache(ttl=60)
    async def endpoint():
        return 1

    with client_of(router, lifespan=cache.lifespan) as client:
        return marks(client.get('/'), client.get('/'))


# Redis


def test_user_password_host_and_database_are_those_of_the_url():
    backend = backend_of(f'redis://shop%40eu:p%2F{SECRET}@10.0.0.1:6380/3?namespace=shop&ttl=60')
    assert isinstance(backend, RedisClientCache)
    assert (backend.namespace, backend.ttl) == ('shop', 60)
    settings = own_client(backend).connection_pool.connection_kwargs
    expected = {'host': '10.0.0.1', 'port': 6380, 'db': 3, 'username': 'shop@eu', 'password': f'p/{SECRET}'}
    assert {name: settings[name] for name in expected} == expected


@pytest.mark.parametrize(
    ('url', 'expected'),
    [
        ('redis://10.0.0.1', {'host': '10.0.0.1'}),
        ('redis://[::1]:6380', {'host': '::1', 'port': 6380}),
        ('valkey://10.0.0.1/2', {'host': '10.0.0.1', 'db': 2}),
        ('unix:///run/redis.sock?db=2', {'path': '/run/redis.sock', 'db': 2}),
        (f'unix://shop:{SECRET}@/run/redis.sock', {'path': '/run/redis.sock', 'username': 'shop', 'password': SECRET}),
        (f'redis://h?username=shop&password={SECRET}', {'username': 'shop', 'password': SECRET}),
        ('redis://h?socket_timeout=0.5&socket_keepalive=true', {'socket_timeout': 0.5, 'socket_keepalive': True}),
        ('redis://h?health_check_interval=30&client_name=shop', {'health_check_interval': 30, 'client_name': 'shop'}),
        ('rediss://h?ssl_ca_certs=/ca.pem', {'ssl_ca_certs': '/ca.pem'}),
        ('valkeys://h?ssl_cert_reqs=none&ssl_check_hostname=0', {'ssl_cert_reqs': 'none', 'ssl_check_hostname': False}),
    ],
)
def test_an_option_has_its_type(url, expected):
    settings = settings_of(url)
    assert {name: settings[name] for name in expected} == expected


def test_the_scheme_decides_about_tls_and_sockets():
    kinds = {
        'rediss://h': SSLConnection,
        'valkeys://h': SSLConnection,
        'unix:///run/redis.sock': UnixDomainSocketConnection,
        'redis://h': redis.asyncio.Connection,
    }
    assert {url: own_client(backend_of(url)).connection_pool.connection_class for url in kinds} == kinds


def test_the_number_of_connections_may_be_in_the_url():
    assert own_client(backend_of('redis://h?max_connections=7')).connection_pool.max_connections == 7


@pytest.mark.parametrize(('scheme', 'is_tls'), [('redis', False), ('rediss', True), ('valkey', False)])
def test_sentinels_are_named_in_the_url(scheme, is_tls):
    backend = backend_of(
        f'{scheme}+sentinel://shop:{SECRET}@10.0.0.1:26380,10.0.0.2/main/4'
        '?sentinel_username=watch&sentinel_password=eyes&socket_timeout=2&min_other_sentinels=1&namespace=shop'
    )
    pool = own_client(backend).connection_pool
    expected = {'username': 'shop', 'password': SECRET, 'db': 4, 'socket_timeout': 2.0}
    assert (backend.namespace, pool.service_name) == ('shop', 'main')
    assert {name: pool.connection_kwargs[name] for name in expected} == expected
    assert issubclass(pool.connection_class, SSLConnection) is is_tls
    assert pool.sentinel_manager.min_other_sentinels == 1
    watching = [it.connection_pool for it in pool.sentinel_manager.sentinels]
    assert [(it.connection_kwargs['host'], it.connection_kwargs['port']) for it in watching] == [
        ('10.0.0.1', 26380),
        ('10.0.0.2', 26379),
    ]
    assert {(it.connection_kwargs['username'], it.connection_kwargs['password']) for it in watching} == {
        ('watch', 'eyes')
    }
    assert {issubclass(it.connection_class, SSLConnection) for it in watching} == {is_tls}


def test_sentinels_do_not_get_the_password_of_the_primary():
    pool = own_client(backend_of(f'redis+sentinel://shop:{SECRET}@10.0.0.1/main')).connection_pool
    (watching,) = pool.sentinel_manager.sentinels
    assert SECRET not in str(watching.connection_pool.connection_kwargs)


@pytest.mark.parametrize(('scheme', 'is_tls'), [('redis', False), ('rediss', True), ('valkeys', True)])
def test_the_nodes_of_a_cluster_are_named_in_the_url(scheme, is_tls):
    own = own_client(
        backend_of(
            f'{scheme}+cluster://shop:{SECRET}@10.0.0.1:7000,10.0.0.2?socket_timeout=2&require_full_coverage=0&max_connections=7'
        )
    )
    assert isinstance(own, redis.asyncio.RedisCluster)
    assert address_of(own) == '10.0.0.1:7000, 10.0.0.2:6379'
    expected = {'username': 'shop', 'password': SECRET, 'socket_timeout': 2.0}
    assert {name: own.connection_kwargs[name] for name in expected} == expected
    assert issubclass(own.connection_kwargs.get('connection_class', object), SSLConnection) is is_tls
    assert own.nodes_manager.require_full_coverage is False
    assert {it.max_connections for it in own.nodes_manager.startup_nodes.values()} == {7}


def test_a_user_of_redis_is_served(redis_server):
    with redis.Redis(port=redis_server.port) as admin:
        admin.acl_setuser('shop', enabled=True, passwords=['+p@ss/word'], keys=['*'], commands=['+@all'])
        admin.acl_setuser('default', enabled=False)
    cache = FastAPICache.from_url(
        f'redis://shop:p%40ss%2Fword@127.0.0.1:{redis_server.port}/1?namespace=shop', store_timeout=5
    )
    assert served(cache) == ['MISS', 'HIT']


def test_tls_is_used(tmp_path):
    authority = pytest.importorskip('trustme').CA()
    authority.cert_pem.write_to_path(tmp_path / 'ca.pem')
    certificate = authority.issue_cert('127.0.0.1')
    certificate.private_key_pem.write_to_path(tmp_path / 'key.pem')
    certificate.cert_chain_pems[0].write_to_path(tmp_path / 'cert.pem')
    files = ('--tls-cert-file', f'{tmp_path}/cert.pem', '--tls-key-file', f'{tmp_path}/key.pem')
    tls = ('--tls-port', '{port}', '--port', '0', '--tls-auth-clients', 'no')
    authorities = ('--tls-ca-cert-file', f'{tmp_path}/ca.pem', '--requirepass', SECRET)
    for server in run('redis-server', *tls, *files, *authorities, '--bind', '127.0.0.1', '--save', ''):
        url = f'rediss://:{SECRET}@127.0.0.1:{server.port}?ssl_ca_certs={tmp_path}/ca.pem'
        assert served(FastAPICache.from_url(url, store_timeout=5)) == ['MISS', 'HIT']


def test_a_unix_socket_is_used(tmp_path):
    path = tmp_path / 'redis.sock'
    for _ in run('redis-server', '--port', '{port}', '--unixsocket', str(path), '--save', '', '--requirepass', SECRET):
        cache = FastAPICache.from_url(f'unix://:{SECRET}@{path}?db=1', store_timeout=5)
        assert served(cache) == ['MISS', 'HIT']


# Others


def test_memcached_has_one_host_and_more_connections_than_aiocache_makes(memcached_port):
    backend = backend_of('memcached://10.0.0.1?namespace=shop&ttl=60')
    assert isinstance(backend, MemcachedCache)
    assert (backend.endpoint, backend.port, backend.pool_size) == ('10.0.0.1', 11211, 16)
    assert (backend.namespace, backend.ttl) == ('shop', 60)
    cache = FastAPICache.from_url(
        f'memcached://127.0.0.1:{memcached_port}?pool_size=4&namespace=by-url', store_timeout=5
    )
    assert cache.backend.pool_size == 4
    assert served(cache) == ['MISS', 'HIT']


def test_memory_has_its_bounds():
    backend = backend_of('memory://?max_bytes=1000000&max_entries=10&namespace=shop&ttl=0.5')
    assert isinstance(backend, MemoryCache)
    assert (backend.max_bytes, backend.max_entries, backend.namespace, backend.ttl) == (10**6, 10, 'shop', 0.5)
    assert served(FastAPICache.from_url('memory://')) == ['MISS', 'HIT']


def test_lmdb_has_a_folder_and_a_bound(tmp_path):
    folder = tmp_path / 'a store'
    backend = backend_of(f'lmdb://{tmp_path}/a%20store?max_bytes=1000000&namespace=shop&ttl=60')
    assert isinstance(backend, LMDBCache)
    assert (backend.path, backend.namespace, backend.ttl) == (folder, 'shop', 60)
    with pytest.raises(ConfigurationError, match='max_bytes'):
        backend_of(f'lmdb://{tmp_path}/small?max_bytes=1000')
    assert served(FastAPICache.from_url(f'lmdb://{tmp_path}/other', store_timeout=5)) == ['MISS', 'HIT']


def test_the_url_may_be_in_the_environment(monkeypatch):
    monkeypatch.setenv('FASTAPI_CACHE_URL', 'memory://?namespace=shop')
    cache = FastAPICache.from_env(version='2', store_timeout=1)
    assert (cache.backend.namespace, cache._settings.version) == ('shop', '2')
    monkeypatch.delenv('FASTAPI_CACHE_URL')
    with pytest.raises(ConfigurationError, match='FASTAPI_CACHE_URL is not set'):
        FastAPICache.from_env()


def test_a_subclass_is_built_by_url_too():
    class Ours(FastAPICache):
        """A cache of a user."""

    assert type(Ours.from_url('memory://')) is Ours


@pytest.mark.parametrize(('scheme', 'client'), [('redis', 'redis'), ('redis+cluster', 'redis')])
def test_a_client_that_is_not_installed_is_named_with_its_extra(scheme, client, monkeypatch):
    monkeypatch.setattr('fastapi_caching_route._backends.urls.find_spec', lambda name: None)
    with pytest.raises(ConfigurationError, match=rf'the extra `{client}` of fastapi-caching-route'):
        FastAPICache.from_url(f'{scheme}://10.0.0.1')


# What cannot be used

WRONG = {
    'redis://h?socket_timeot=1': "option 'socket_timeot' is unknown; it takes .*namespace.*socket_timeout.*ttl",
    'redis://h?decode_responses=true': 'decode_responses',
    'redis://h?ssl_ca_certs=/ca.pem': "'ssl_ca_certs' is unknown",
    'redis://h?socket_timeout=soon': "socket_timeout must be a number of seconds, got 'soon'",
    'redis://h?socket_timeout=inf': 'a number of seconds',
    'redis://h?socket_keepalive=maybe': 'true or false',
    'redis://h?max_connections=0': 'a whole number from 1 on',
    'redis://h?health_check_interval=1.5': 'a whole number',
    'rediss://h?ssl_cert_reqs=perhaps': 'none, optional or required',
    'redis://h?db=1&db=2': 'given twice',
    'redis://h?ttl=-1': 'ttl must be a number of seconds',
    'redis://h/first': 'the number of a database',
    'redis://h:port': 'a port must be a number',
    'redis://h:99999': 'a port must be a number',
    'redis://h,i': r'redis\+cluster://',
    'unix://': 'the path of a socket',
    'redis+sentinel://10.0.0.1': 'service/0',
    'redis+sentinel://10.0.0.1/main/x': 'the number of a database',
    'redis+cluster://10.0.0.1/1': 'only database 0',
    'redis+cluster://10.0.0.1?db=0': "'db' is unknown",
    'redis+nothing://h': 'the scheme must be one of redis, rediss',
    'memcached://shop:sesame@h': 'no user name',
    'memcached://h,i': 'one host',
    'memcached://h/1': 'one host and no path',
    'memcached://h?pool_size=0': 'a whole number from 1 on',
    'memory://h': 'memory://',
    'memory://?max_bytes=0': 'a whole number from 1 on',
    'lmdb://var/cache': 'three slashes',
    'lmdb:///var/cache?max_bytes=0': 'a whole number from 1 on',
    'http://h': 'the scheme must be one of redis',
    '10.0.0.1:6379': 'must be like redis://',
    '': 'must be like redis://',
}


@pytest.mark.parametrize('url', WRONG)
def test_a_url_that_cannot_be_used_is_refused_when_the_cache_is_built(url):
    with pytest.raises(ConfigurationError, match=WRONG[url]):
        FastAPICache.from_url(url)


def test_what_is_no_str_is_refused():
    with pytest.raises(ConfigurationError, match='must be a str, got an object of Redis'):
        FastAPICache.from_url(redis.asyncio.Redis())


PASSWORDS = ['{}', 'a/{}', 'a?{}=1', 'a#{}', '{}@', '{}:a', '[{}', '{}]', 'a?{}', '1/{}', ':{}', '%zz{}', '{}\u2100']
REASONS = ['/x', ':port/0', '/0?unknown=1', '/0?db=1&db=2', '/0?socket_timeout=soon', '?password={}&nothing=1']
KINDS = ['redis', 'unix', 'redis+sentinel', 'redis+cluster', 'memcached', 'memory', 'lmdb', 'http']


def error_of(take, url):
    """All that is said of a URL that cannot be used; empty if it can."""
    try:
        take(url)
    except ConfigurationError as error:
        return f'{error!r}' + ''.join(traceback.format_exception(error))
    return ''


@pytest.mark.parametrize('scheme', KINDS)
def test_no_part_of_a_password_is_in_an_error(scheme):
    urls = [
        f'{scheme}://me:{password.format(SECRET)}@10.0.0.1{reason.format(SECRET)}'
        for password in PASSWORDS
        for reason in REASONS
    ]
    said = [error_of(take, url) for url in urls for take in (FastAPICache.from_url, RedisClientCache, FastAPICache)]
    assert len([it for it in said if it]) > len(urls)
    assert SECRET not in ''.join(said)
