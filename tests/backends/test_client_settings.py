"""The clients that are made for a backend have its settings, and no repetitions of their own."""

import asyncio

import pytest
import redis.asyncio
from aiocache import RedisCache
from fastapi import FastAPI

from fastapi_caching_route import FastAPICache, InvalidationError
from fastapi_caching_route._backends.breaker import FAILURES_TO_OPEN, PROBE_SECONDS, Breaker
from fastapi_caching_route.redis import RedisClientCache
from tests.backends.fakes import Elsewhere
from tests.backends.links import app_of, app_on, mark
from tests.conftest import run
from tests.faults import Proxy, Stage
from tests.support import asgi_call, asgi_scope, client_of, marks


@pytest.mark.parametrize('ways', ['password', 'unix socket', 'database', 'blocking pool', 'small pool'])
def test_the_settings_of_a_redis_backend_hold(ways, tmp_path):
    path = tmp_path / 'redis.sock'
    options = ('--requirepass', 'secret') if ways == 'password' else ('--unixsocket', str(path))
    for server in run('redis-server', '--port', '{port}', '--bind', '127.0.0.1', '--save', '', *options):
        settings = {
            'password': {'password': 'secret'},
            'database': {'db': 3},
            'unix socket': {
                'endpoint': 'nowhere.invalid',
                'connection_pool_class': lambda **_: redis.asyncio.ConnectionPool(
                    connection_class=redis.asyncio.UnixDomainSocketConnection, path=str(path)
                ),
            },
            'blocking pool': {'connection_pool_class': redis.asyncio.BlockingConnectionPool, 'pool_max_size': 2},
            'small pool': {'pool_max_size': 1},
        }[ways]
        backend = RedisCache(**{'endpoint': '127.0.0.1', 'port': server.port, **settings})
        cache, app = FastAPICache(backend, store_timeout=5), FastAPI(lifespan=None)
        app.include_router(app_of(cache))

        async def ask_all(app=app, cache=cache):
            async with cache:
                for _ in range(2):
                    answers = await asyncio.gather(
                        *(asgi_call(app, asgi_scope(path=f'/things/{number}')) for number in range(100))
                    )
            return [dict(start['headers']).get(b'x-cache') for start, *_ in answers]

        assert set(asyncio.run(ask_all())) == {b'HIT'}
        client = redis.Redis(port=server.port, **{it: settings[it] for it in ('password', 'db') if it in settings})
        assert client.dbsize() > 100
        client.close()


def test_tls_is_taken_over(tmp_path):
    authority = pytest.importorskip('trustme').CA()
    authority.cert_pem.write_to_path(tmp_path / 'ca.pem')
    certificate = authority.issue_cert('127.0.0.1')
    certificate.private_key_pem.write_to_path(tmp_path / 'key.pem')
    certificate.cert_chain_pems[0].write_to_path(tmp_path / 'cert.pem')
    files = ('--tls-cert-file', f'{tmp_path}/cert.pem', '--tls-key-file', f'{tmp_path}/key.pem')
    tls = (
        '--tls-port',
        '{port}',
        '--port',
        '0',
        '--tls-auth-clients',
        'no',
        '--tls-ca-cert-file',
        f'{tmp_path}/ca.pem',
    )
    for server in run('redis-server', *tls, *files, '--bind', '127.0.0.1', '--save', ''):
        backend = RedisCache(
            endpoint='127.0.0.1',
            port=server.port,
            ssl=True,
            connection_pool_kwargs={'ssl_ca_certs': f'{tmp_path}/ca.pem', 'ssl_cert_reqs': 'required'},
        )
        cache = FastAPICache(backend, store_timeout=5)
        with client_of(app_of(cache), lifespan=cache.lifespan) as client:
            assert marks(client.get('/things/1'), client.get('/things/1')) == ['MISS', 'HIT']


def test_a_store_that_has_only_one_connection_is_not_waited_for_a_second_time():
    breaker = Breaker()
    breaker.few = 1
    breaker.failed('reading', OSError(), 0.0)
    assert breaker.is_open('reading')


async def test_a_function_that_makes_no_client_is_trouble_like_any_other(caplog):
    made = []

    def new_client():
        made.append(1)
        raise OSError('no such host')

    with app_on(RedisClientCache(new_client)) as (_, ask):
        for _ in range(20):
            assert (await ask())[1]['body'] == b'1'
    assert FAILURES_TO_OPEN <= len(made) < 2 * FAILURES_TO_OPEN  # to read, and to follow the journal
    assert [it.getMessage().rpartition(': ')[2] for it in caplog.records] == ['no such host']


@pytest.mark.parametrize('made', [6379, 'redis://:secret@10.0.0.1', RedisCache])
async def test_a_function_that_returns_something_else_is_told_of(made, caplog):
    with app_on(RedisClientCache(lambda: made)) as (_, ask):
        assert (await ask())[1]['body'] == b'1'
    assert 'the function must return a client, got' in caplog.text
    assert 'secret' not in caplog.text


async def test_a_client_that_gives_texts_is_told_of(redis_port, caplog):
    backend = RedisClientCache(lambda: redis.asyncio.Redis(port=redis_port, decode_responses=True), namespace='texts')
    with app_on(backend, store_timeout=5) as (cache, ask):
        async with cache:
            for _ in range(5):
                assert (await ask())[1]['body'] == b'1'
    assert 'decode_responses' in caplog.text


async def test_a_client_of_somebody_else_that_hung_is_used_again(monkeypatch, skipping_time):
    monkeypatch.setattr('fastapi_caching_route._backends.link.GIVE_UP_SECONDS', 0.1)
    backend = Elsewhere()
    with app_on(backend, store_timeout=0.05) as (cache, ask):
        assert [mark(await ask()) for _ in range(2)] == ['MISS', 'HIT']
        backend.hanging.add('multi_get')
        for _ in range(100):
            await ask()
            await asyncio.sleep(0.02)
        (link,) = cache._settings.store.backend._links.values()
        assert len(link._running) <= 3
        backend.hanging.clear()
        await asyncio.sleep(PROBE_SECONDS + 0.2)
        await ask()
        await asyncio.sleep(0.05)
        assert mark(await ask()) == 'HIT'


async def test_a_backend_needs_no_delete(caplog):
    class Plain(Elsewhere):
        async def _delete(self, key, _conn=None):
            raise NotImplementedError

    with app_on(Plain(), store_timeout=1) as (cache, _):
        for _ in range(2 * FAILURES_TO_OPEN):
            assert await cache.invalidate_cached('some key') == 0
    assert caplog.records == []


async def test_no_command_is_sent_twice_by_itself():
    """Only what is pending is sent again, by us. On other backends a mark that comes twice could undo a newer one."""
    stage = Stage('redis')
    await stage.start()
    proxy = Proxy(stage.port)
    await proxy.turn('cut')
    cache = FastAPICache(RedisCache(endpoint='127.0.0.1', port=proxy.port), store_timeout=1)
    async with cache:
        with pytest.raises(InvalidationError):
            await cache.invalidate_tags('all')
        await cache._settings.store.debts.close()
    said = await stage.redis('INFO', 'commandstats')
    assert said['cmdstat_eval']['calls'] <= 2  # the first try, and perhaps one to pay the debt
    await proxy.close()
    stage.kill()
