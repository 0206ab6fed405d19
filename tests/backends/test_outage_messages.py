"""What the log says of a store in trouble: where it is, what is wrong, and whether this process itself was too busy."""

import asyncio
import logging
import time

import pytest
import redis
import redis.asyncio
from aiocache import MemcachedCache, RedisCache

from fastapi_caching_route import FastAPICache, InvalidationError
from fastapi_caching_route._backends.outage import address_of
from fastapi_caching_route.redis import RedisClientCache
from tests.backends.fakes import Elsewhere
from tests.servers import free_port
from tests.support import asgi_call, asgi_scope, caching_router, client_of

pytestmark = pytest.mark.usefixtures('no_machine_is_slow')

SECRET = 'open-sesame'


def client_on(backend, **options):
    cache, router = FastAPICache(backend, **options), caching_router()

    @router.get('/')
    @cache(ttl=60)
    async def endpoint() -> str:
        return 'answer'

    return client_of(router, lifespan=cache.lifespan)


def on_unix_socket(path):
    def pool(**_):
        return redis.asyncio.ConnectionPool(
            connection_class=redis.asyncio.UnixDomainSocketConnection, path=path, password=SECRET
        )

    return RedisCache(connection_pool_class=pool)


BACKENDS = {
    'redis': (lambda port, _: RedisCache(endpoint='127.0.0.1', port=port, password=SECRET), '127.0.0.1:{port}'),
    'url': (
        lambda port, _: RedisClientCache(
            lambda: redis.asyncio.Redis.from_url(f'redis://me:{SECRET}@127.0.0.1:{port}/1')
        ),
        '127.0.0.1:{port}',
    ),
    'unix': (lambda _, path: on_unix_socket(path), '{path}'),
    'memcached': (lambda port, _: MemcachedCache(endpoint='127.0.0.1', port=port), '127.0.0.1:{port}'),
}


@pytest.mark.parametrize('kind', BACKENDS)
def test_the_line_of_an_outage_has_the_address_and_the_error_and_no_credentials(kind, caplog, tmp_path):
    port, path = free_port(), str(tmp_path / 'redis.sock')
    new_backend, address = BACKENDS[kind]
    with client_on(new_backend(port, path)) as client:
        assert [client.get('/').json() for _ in range(3)] == ['answer'] * 3
    (line,) = [it.getMessage() for it in caplog.records if 'is failing' in it.getMessage()]
    front, _, error = line.partition(' is failing, requests are answered without it: ')
    assert front == 'the cache backend at ' + address.format(port=port, path=path)
    name, _, text = error.partition(': ')
    assert name.endswith('Error')
    assert 'connect' in text.lower()
    assert SECRET not in caplog.text


def test_an_error_of_the_server_is_told_with_its_text(redis_server, caplog):
    with redis.Redis(port=redis_server.port) as server:
        server.config_set('maxmemory', '1')
    with client_on(RedisCache(endpoint='127.0.0.1', port=redis_server.port), store_timeout=2) as client:
        client.get('/')
    assert "OutOfMemoryError: command not allowed when used memory > 'maxmemory'" in caplog.text


TEXTS = [
    f'cannot reach redis://me:{SECRET}@{SECRET}@10.0.0.1:6379/0',
    f'cannot reach redis://me:a/{SECRET}@10.0.0.1:6379/0',
    f'cannot reach redis://10.0.0.1:6379/0?password={SECRET}&db=1',
    f"Connection(host='10.0.0.1', username={SECRET!r}, password='{SECRET}')",
    f'{{"sentinel_password": "{SECRET}"}}',
]


@pytest.mark.parametrize('text', TEXTS)
def test_credentials_in_the_text_of_an_error_are_left_out(text, caplog):
    class Failing(Elsewhere):
        async def _command(self, name, effect):
            raise OSError(text)

    caplog.set_level(logging.DEBUG, 'fastapi_caching_route')
    cache, router = FastAPICache(Failing()), caching_router()

    @router.get('/')
    @cache(ttl=60, lock=True)
    async def endpoint():
        return 1

    with client_of(router, lifespan=cache.lifespan) as client:
        for _ in range(5):
            assert client.get('/').json() == 1
        with pytest.raises(InvalidationError) as failed:
            client.portal.call(cache.invalidate_tags, 'all')
    assert SECRET not in str(failed.value)
    assert 'OSError: ' in caplog.text
    assert '10.0.0.1' in caplog.text or 'sentinel' in caplog.text
    assert SECRET not in caplog.text


SCHEMES = ['redis', 'rediss', 'redis+sentinel', 'redis+cluster', 'unix']


@pytest.mark.parametrize('scheme', SCHEMES)
def test_a_url_with_a_password_is_in_no_log_and_no_report(scheme, caplog, tmp_path):
    caplog.set_level(logging.DEBUG, 'fastapi_caching_route')
    place = f'{tmp_path}/none.sock' if scheme == 'unix' else f'127.0.0.1:{free_port()}'
    path = '/main' if scheme.endswith('sentinel') else ''
    cache = FastAPICache.from_url(f'{scheme}://me:{SECRET}@{place}{path}?namespace=shop', store_timeout=1)
    router = caching_router()

    @router.get('/')
    @cache(ttl=60)
    async def endpoint():
        return 1

    with client_of(router, lifespan=cache.lifespan) as client:
        assert [client.get('/').json() for _ in range(4)] == [1] * 4
        with pytest.raises(InvalidationError) as failed:
            client.portal.call(cache.invalidate_tags, 'all')
        reported = str(cache.explain(client.app))
    shown = (repr(cache), repr(cache._settings), repr(cache.backend), str(failed.value), reported, caplog.text)
    assert 'is failing' in caplog.text
    assert SECRET not in ''.join(shown)


@pytest.mark.parametrize('busy', [0, 0.3])
async def test_a_reply_that_is_late_is_told_with_the_time_for_which_this_process_was_busy_itself(busy, caplog):
    backend = Elsewhere()
    client = client_on(backend, store_timeout=0.1)
    backend.hanging.add('multi_get')
    asking = asyncio.ensure_future(asgi_call(client.app, asgi_scope()))
    await asyncio.sleep(0.01)
    time.sleep(busy)  # noqa: ASYNC251, it is what is tested
    await asking
    await asyncio.sleep(0.05)
    (line,) = [it.getMessage() for it in caplog.records if 'is failing' in it.getMessage()]
    assert 'TimeoutError: no reply within 0.1 s' in line
    if busy:
        assert 's during which this process itself was busy' in line


def test_an_address_is_known_of_each_kind_of_client():
    cluster = redis.asyncio.RedisCluster(host='10.0.0.1', password=SECRET)
    primary = redis.asyncio.Sentinel([('10.0.0.1', 26379)]).master_for('main')
    assert [address_of(it) for it in (cluster, primary, object(), None)] == ['10.0.0.1:6379', 'main (Sentinel)', '', '']
