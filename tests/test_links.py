"""Connections: one client for each event loop, closed with it, and as the user's backend says."""

import asyncio
import contextlib
import gc
import itertools
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest
import redis.asyncio
from aiocache import MemcachedCache, RedisCache
from fastapi import FastAPI

from fastapi_caching_route import FastAPICache, InvalidationError
from fastapi_caching_route._breaker import FEW, PAUSE, QUIET, Breaker
from fastapi_caching_route.redis import RedisClientCache
from tests.conftest import run
from tests.faults import Proxy, Stage
from tests.support import Elsewhere, asgi_call, asgi_scope, caching_router, client_of, marks, uvicorn_server, wait_until

names = itertools.count()


@pytest.fixture(params=['redis', 'memcached'])
def backend(request):
    port = request.getfixturevalue(f'{request.param}_port')
    kind = RedisCache if request.param == 'redis' else MemcachedCache
    return kind(endpoint='127.0.0.1', port=port, namespace=f'links{next(names)}')


def app_of(cache):
    router = caching_router()

    @router.get('/things/{number}')
    @cache(ttl=60, tags=['all'])
    async def endpoint(number: int):
        return number

    return router


async def closing(backend):
    await (backend.client.aclose() if isinstance(backend, RedisCache) else backend.close())


def connections(port):
    """How many connections there are to a server, as the system sees it."""
    lines = [line.split() for line in Path('/proc/net/tcp').read_text().splitlines()][1:]
    return sum(1 for line in lines if line[2].endswith(f':{port:04X}') and line[3] == '01')


# Event loops


def test_an_event_loop_for_each_request_is_no_trouble(backend, caplog):
    client = client_of(app_of(FastAPICache(backend, store_timeout=5)))
    for number in range(3):
        assert marks(*(client.get(f'/things/{number}') for _ in range(3))) == ['MISS', 'HIT', 'HIT']
    gc.collect()  # a connection that was left open would be a warning, and so an error
    assert caplog.records == []


def test_one_invalidation_in_each_of_many_event_loops(backend):
    cache = FastAPICache(backend, store_timeout=5)
    client = client_of(app_of(cache))
    for _ in range(3):
        assert marks(client.get('/things/1'), client.get('/things/1')) == ['MISS', 'HIT']
        asyncio.run(cache.invalidate_tags('all'))


def test_two_threads_with_a_loop_each_share_one_cache(backend):
    cache = FastAPICache(backend, store_timeout=5)
    app, answers, failures = FastAPI(), [], []
    app.include_router(app_of(cache))

    async def ask():
        for number in range(100):
            start, *_ = await asgi_call(app, asgi_scope(path=f'/things/{number % 10}'))
            answers.append(dict(start['headers']).get(b'x-cache'))
            if number % 20 == 0:
                await cache.invalidate_tags('all')

    def work():
        try:
            asyncio.run(ask())
        except Exception as error:  # noqa: BLE001, all of them
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(answers) == 200
    assert answers.count(b'HIT') > 20
    assert not set(answers) - {b'HIT', b'MISS', None}


# The end


async def test_the_end_of_a_cache_closes_what_it_has_opened_and_no_more(backend):
    port = backend.port
    await backend.set('of the user', 'x')
    users = connections(port)
    cache, app = FastAPICache(backend, store_timeout=5), FastAPI()
    app.include_router(app_of(cache))
    async with cache:
        await asyncio.gather(*(asgi_call(app, asgi_scope(path=f'/things/{number}')) for number in range(20)))
        assert connections(port) > users
    await asyncio.sleep(0.05)
    assert connections(port) == users
    assert await backend.get('of the user') == 'x'
    start, *_ = await asgi_call(app, asgi_scope(path='/things/1'))  # it opens again what it needs
    assert dict(start['headers'])[b'x-cache'] == b'HIT'
    await cache.store.close()
    await closing(backend)


def test_a_lifespan_closes_it_too(backend):
    cache = FastAPICache(backend, store_timeout=5)
    with client_of(app_of(cache), lifespan=cache.lifespan) as client:
        assert marks(client.get('/things/1'), client.get('/things/1')) == ['MISS', 'HIT']
        assert len(cache.store.shelf._links) == 1
    assert cache.store.shelf._links == {}


def test_an_event_loop_that_ends_closes_its_connections_without_being_told(backend):
    cache, app = FastAPICache(backend, store_timeout=5), FastAPI()
    app.include_router(app_of(cache))
    before = connections(backend.port)
    asyncio.run(asgi_call(app, asgi_scope(path='/things/1')))
    time.sleep(0.05)
    assert connections(backend.port) == before


async def test_the_end_waits_for_an_invalidation_that_is_under_way():
    backend = Elsewhere()
    cache = FastAPICache(backend, store_timeout=5)
    backend.slow['set'] = 0.02
    async with cache:
        invalidating = cache.store.begin_invalidation(('all',))
        await asyncio.sleep(0)
    assert invalidating.done()
    assert backend.ended.count('set') == 4


async def test_the_end_does_not_wait_for_what_a_store_in_trouble_does_not_take():
    backend = Elsewhere()
    backend.failing.add('set')
    before = asyncio.all_tasks()
    async with FastAPICache(backend) as cache:
        with pytest.raises(InvalidationError):
            await cache.invalidate_tags('all')
    assert asyncio.all_tasks() == before


# Cancelled requests


@pytest.mark.parametrize('seed', range(3))
async def test_a_cancelled_request_never_gives_its_reply_to_another(backend, seed):
    dice = random.Random(seed)
    cache, app = FastAPICache(backend, store_timeout=5), FastAPI()
    app.include_router(app_of(cache))
    answered = 0

    async def ask(number):
        nonlocal answered
        _, *rest = await asgi_call(app, asgi_scope(path=f'/things/{number}'))
        assert rest[0]['body'] == b'%d' % number
        answered += 1

    async with cache:
        for _ in range(30):
            asking = [asyncio.ensure_future(ask(dice.randrange(40))) for _ in range(20)]
            for task in asking:
                if dice.random() < 0.5:
                    asyncio.get_running_loop().call_later(dice.random() * 0.01, task.cancel)
            ends = await asyncio.gather(*asking, return_exceptions=True)
            assert all(it is None or isinstance(it, asyncio.CancelledError) for it in ends), ends
        await asyncio.gather(*map(ask, range(40)))
        answers = [(await asgi_call(app, asgi_scope(path=f'/things/{number}')))[0] for number in range(40)]
        assert {dict(it['headers']).get(b'x-cache') for it in answers} == {b'HIT'}
    assert answered >= 40
    await closing(backend)


# As the backend says


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


# Several processes


def test_two_workers_share_what_they_have_stored(redis_port, tmp_path):
    (tmp_path / 'app.py').write_text(
        f"""
import os
from aiocache import RedisCache
from fastapi import APIRouter, FastAPI
from fastapi_caching_route import CachingRoute, FastAPICache

cache = FastAPICache(RedisCache(endpoint='127.0.0.1', port={redis_port}, namespace='workers{os.getpid()}'), store_timeout=5)
router = APIRouter(route_class=CachingRoute)

@router.get('/things/{{number}}')
@cache(ttl=60)
async def endpoint(number: int):
    return os.getpid()

@router.get('/pid')
async def pid():
    return os.getpid()

app = FastAPI(lifespan=cache.lifespan)
app.include_router(router)
"""
    )
    with uvicorn_server('app:app', '--workers', '2', '--lifespan', 'on', cwd=tmp_path) as port:

        def ask(path):
            return httpx.get(f'http://127.0.0.1:{port}{path}', timeout=20)  # each on a connection of its own

        pids = set()
        wait_until(lambda: pids.add(ask('/pid').json()) or len(pids) == 2)
        for number in range(5):
            answers = [ask(f'/things/{number}') for _ in range(10)]
            assert len({it.json() for it in answers}) == 1
            assert marks(*answers) == ['MISS', *['HIT'] * 9]


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='there is no fork here')
def test_a_process_that_was_forked_has_its_own_connections(redis_port, tmp_path):
    script = tmp_path / 'forks.py'
    script.write_text(
        f"""
import asyncio, os
from aiocache import RedisCache
from fastapi import FastAPI
from fastapi_caching_route import CachingRoute, FastAPICache
from tests.support import asgi_call, asgi_scope, caching_router

cache = FastAPICache(RedisCache(endpoint='127.0.0.1', port={redis_port}, namespace='forks{os.getpid()}'), store_timeout=5)
router, app = caching_router(), FastAPI()

@router.get('/{{number}}')
@cache(ttl=60)
async def endpoint(number: int):
    return number

app.include_router(router)

async def ask(times):
    for at in range(times):
        start, *rest = await asgi_call(app, asgi_scope(path=f'/{{at % 50}}'))
        assert rest[0]['body'] == b'%d' % (at % 50)
    return dict(start['headers'])[b'x-cache']

asyncio.run(ask(50))
child = os.fork()
mark = asyncio.run(ask(500))
assert mark == b'HIT', mark
if child:
    assert os.waitpid(child, 0)[1] == 0
    print('both have answered')
"""
    )
    ran = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=60, check=False)  # noqa: S603, our own command
    assert ran.stdout == 'both have answered\n', ran.stderr


# The breaker


def test_a_few_failures_open_the_breaker_and_one_success_closes_it():
    breaker = Breaker()
    for number in range(FEW):
        assert not breaker.is_open('reading')
        breaker.failed('reading', OSError(), float(number))
    assert breaker.is_open('reading')
    assert not breaker.is_open('writing')
    breaker.worked('reading')
    assert not breaker.is_open('reading')


def test_a_success_in_between_keeps_the_breaker_closed():
    breaker = Breaker()
    for number in range(10 * FEW):
        breaker.failed('reading', OSError(), float(number))
        breaker.worked('reading')
    assert not breaker.is_open('reading')


def test_one_probe_at_a_time():
    breaker = Breaker()
    for _ in range(FEW):
        breaker.failed('writing', OSError(), 100.0)
    moments = [100.0, 100.0 + PAUSE, 100.1 + PAUSE, 100.0 + 2 * PAUSE, 200.0]
    assert [breaker.takes_probe('writing', at) for at in moments] == [False, True, False, True, True]


def test_a_store_that_has_only_one_connection_is_not_waited_for_a_second_time():
    breaker = Breaker()
    breaker.few = 1
    breaker.failed('reading', OSError(), 0.0)
    assert breaker.is_open('reading')


def test_an_outage_is_told_once_and_so_is_its_end(caplog):
    caplog.set_level('INFO')
    breaker = Breaker()
    for kind in ('writing', 'reading'):
        for _ in range(10):
            breaker.failed(kind, OSError('down'), 1000.0)
    breaker.worked('writing')
    breaker.worked('reading')
    assert [(it.levelname, it.getMessage()) for it in caplog.records] == [
        ('WARNING', 'the cache backend is in trouble, endpoints answer without it: OSError: down'),
        ('INFO', 'the cache backend works again'),
    ]


def test_failures_here_and_there_are_told_once_a_minute(caplog):
    caplog.set_level('INFO')
    breaker = Breaker()
    for number in range(100):
        breaker.failed('reading', OSError(), 1000.0 + number)
        breaker.worked('reading')
    assert [it.levelname for it in caplog.records] == ['WARNING', 'INFO'] * 2
    assert QUIET == 60


def test_an_outage_soon_after_a_failure_is_told_all_the_same(caplog):
    breaker = Breaker()
    breaker.failed('reading', OSError('once'), 1000.0)
    breaker.worked('reading')
    for _ in range(FEW):
        breaker.failed('reading', OSError('outage'), 1001.0)
    assert [it.getMessage().rpartition(': ')[2] for it in caplog.records] == ['once', 'outage']


# What waits, and how long


async def test_one_request_waits_no_longer_than_the_time_out_for_all_of_its_commands():
    backend = Elsewhere()
    cache, app = FastAPICache(backend, store_timeout=0.1), FastAPI()
    app.include_router(app_of(cache))
    backend.slow.update(dict.fromkeys(('multi_get', 'add', 'set'), 0.04))
    began = time.monotonic()
    start, *rest = await asgi_call(app, asgi_scope(path='/things/1'))
    assert rest[0]['body'] == b'1'
    assert time.monotonic() - began < 0.35  # six commands would take 0.24, and each its own time-out 0.6
    assert b'detail=store-error' in dict(start['headers'])[b'cache-status']
    await asyncio.sleep(0.5)
    backend.slow.clear()
    for _ in range(2):  # the marks are there since, at least
        start, *_ = await asgi_call(app, asgi_scope(path='/things/1'))
    assert dict(start['headers'])[b'x-cache'] == b'HIT'


async def test_what_takes_too_long_to_be_stored_is_stored_behind_the_answer():
    backend = Elsewhere()
    cache, app = FastAPICache(backend, store_timeout=0.1), FastAPI()
    app.include_router(app_of(cache))
    backend.slow['set'] = 0.15
    start, *_ = await asgi_call(app, asgi_scope(path='/things/1'))
    assert b'detail=store-slow' in dict(start['headers'])[b'cache-status']
    await asyncio.sleep(0.2)
    start, *_ = await asgi_call(app, asgi_scope(path='/things/1'))
    assert dict(start['headers'])[b'x-cache'] == b'HIT'


async def test_look_ups_of_one_moment_are_one_command():
    backend = Elsewhere()
    cache, app = FastAPICache(backend, store_timeout=5), FastAPI()
    app.include_router(app_of(cache))
    for _ in range(2):
        await asyncio.gather(*(asgi_call(app, asgi_scope(path=f'/things/{number}')) for number in range(30)))
    backend.commands.clear()
    answers = await asyncio.gather(*(asgi_call(app, asgi_scope(path=f'/things/{number % 30}')) for number in range(60)))
    assert {dict(start['headers'])[b'x-cache'] for start, *_ in answers} == {b'HIT'}
    assert backend.commands == ['multi_get']


async def test_a_batch_that_fails_is_a_miss_for_each():
    backend = Elsewhere()
    cache, app = FastAPICache(backend, store_timeout=5), FastAPI()
    app.include_router(app_of(cache))
    await asyncio.gather(*(asgi_call(app, asgi_scope(path=f'/things/{number}')) for number in range(10)))
    backend.failing.add('multi_get')
    answers = await asyncio.gather(*(asgi_call(app, asgi_scope(path=f'/things/{number}')) for number in range(10)))
    assert [rest[0]['body'] for _, *rest in answers] == [b'%d' % number for number in range(10)]
    assert backend.commands[-1] == 'multi_get'


async def test_a_loop_that_was_busy_itself_does_not_blame_the_store(caplog):
    backend = Elsewhere()
    cache, app = FastAPICache(backend, store_timeout=0.1), FastAPI()
    app.include_router(app_of(cache))
    await asgi_call(app, asgi_scope(path='/things/1'))
    backend.slow['multi_get'] = 0.01
    for _ in range(FEW + 1):
        asking = asyncio.ensure_future(asgi_call(app, asgi_scope(path='/things/1')))
        await asyncio.sleep(0.005)
        time.sleep(0.3)  # noqa: ASYNC251, it is what is tested
        start, *_ = await asking
        assert dict(start['headers'])[b'x-cache'] == b'HIT'
    assert caplog.records == []


@pytest.mark.parametrize('kind', ['redis', 'memcached'])
def test_a_store_that_was_frozen_for_long_is_used_again(kind, request):
    options = {
        'redis': ('redis-server', '--port', '{port}', '--bind', '127.0.0.1', '--save', ''),
        'memcached': ('memcached', '-p', '{port}', '-l', '127.0.0.1', '-U', '0', '-u', 'nobody'),
    }[kind]
    for server in run(*options):
        new = RedisCache if kind == 'redis' else MemcachedCache
        cache = FastAPICache(new(endpoint='127.0.0.1', port=server.port))
        with client_of(app_of(cache), lifespan=cache.lifespan) as client:
            client.get('/things/1')
            wait_until(lambda client=client: marks(client.get('/things/1')) == ['HIT'])
            server.process.send_signal(signal.SIGSTOP)
            until = time.monotonic() + 3.5  # longer than what hangs is waited for, so that its client is dropped
            while time.monotonic() < until:
                assert client.get('/things/1').json() == 1
                time.sleep(0.02)
            server.resume()
            wait_until(lambda client=client: marks(client.get('/things/1')) == ['HIT'])


async def test_what_is_too_large_for_memcached_is_not_an_outage(memcached_port, caplog):
    backend = MemcachedCache(endpoint='127.0.0.1', port=memcached_port, namespace='large')
    cache, app = FastAPICache(backend, store_timeout=5), FastAPI()
    router = caching_router()

    @router.get('/large/{number}')
    @cache(ttl=60)
    async def large(number: int):
        return 'x' * 2_000_000

    app.include_router(router)
    app.include_router(app_of(cache))
    async with cache:
        for number in range(2 * FEW):
            start, *_ = await asgi_call(app, asgi_scope(path=f'/large/{number}'))
            assert b'detail=store-error' in dict(start['headers'])[b'cache-status']
        answers = [(await asgi_call(app, asgi_scope(path='/things/1')))[0] for _ in range(2)]
        assert dict(answers[1]['headers'])[b'x-cache'] == b'HIT'
    assert 'in trouble' not in caplog.text
    assert 'too large for the cache backend' in caplog.text


def test_aiomcache_does_not_wait_for_ever_at_the_end_of_a_connection():
    """Its client asks for the rest of a line again and again, without leaving the event loop."""
    listening = socket.create_server(('127.0.0.1', 0))

    def serve():
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listening.accept()
                connection.recv(65536)
                connection.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    cache, app = FastAPICache(MemcachedCache(endpoint='127.0.0.1', port=listening.getsockname()[1])), FastAPI()
    app.include_router(app_of(cache))

    async def ask():
        async with cache:
            with pytest.raises(InvalidationError):
                await cache.invalidate_tags('all')
            return await asgi_call(app, asgi_scope(path='/things/1'))

    _, *rest = asyncio.run(ask())
    assert rest[0]['body'] == b'1'
    listening.close()


# What an attack has found


@contextlib.contextmanager
def app_on(backend, **options):
    cache, app = FastAPICache(backend, **options), FastAPI()
    app.include_router(app_of(cache))
    yield cache, lambda path='/things/1': asgi_call(app, asgi_scope(path=path))


def mark(answer):
    return (dict(answer[0]['headers']).get(b'x-cache') or b'none').decode()


def test_what_is_owed_is_written_in_short_event_loops_too():
    backend = Elsewhere()
    with app_on(backend, store_timeout=1) as (cache, ask):
        assert [mark(asyncio.run(ask())) for _ in range(2)] == ['MISS', 'HIT']
        backend.failing.add('set')
        with pytest.raises(InvalidationError):
            asyncio.run(cache.invalidate_tags('all'))
        backend.failing.clear()
        assert [mark(asyncio.run(ask())) for _ in range(2)] == ['MISS', 'HIT']
        assert not cache.store.debts
    with app_on(backend, store_timeout=1) as (_, ask_other):
        assert mark(asyncio.run(ask_other())) == 'HIT'  # which is the new one


@pytest.mark.parametrize('fate', ['stopped', 'stopped after a fork'])
def test_a_probe_that_stayed_behind_does_not_keep_others_from_looking(fate, monkeypatch):
    backend = Elsewhere()
    with app_on(backend, store_timeout=0.05) as (_, ask):
        left = asyncio.new_event_loop()

        async def outage():
            assert [mark(await ask()) for _ in range(2)] == ['MISS', 'HIT']
            backend.hanging.add('multi_get')
            for _ in range(FEW):
                await ask()
            await asyncio.sleep(PAUSE + 0.05)
            await ask()  # which begins a probe, that has no time to end

        left.run_until_complete(outage())
        if fate == 'stopped after a fork':
            monkeypatch.setattr(left, 'is_running', lambda: True)
            monkeypatch.setattr(os, 'getpid', lambda: -1)
        backend.hanging.clear()

        async def later():
            for _ in range(200):
                if mark(await ask()) == 'HIT':
                    return True
                await asyncio.sleep(0.02)
            return False

        assert asyncio.run(later())
        monkeypatch.undo()
        for task in asyncio.all_tasks(left):
            task.cancel()
        left.run_until_complete(left.shutdown_asyncgens())
        left.close()


def test_an_outage_is_told_also_after_a_write_has_failed_that_nobody_tried_again(caplog):
    caplog.set_level('INFO')
    breaker = Breaker()
    breaker.failed('writing', OSError(), 1000.0)
    for _ in range(2):
        for _ in range(FEW):
            breaker.failed('reading', OSError(), 1001.0)
        breaker.worked('reading')
    assert [it.levelname for it in caplog.records] == ['WARNING', 'INFO', 'WARNING', 'INFO']


async def test_writing_is_looked_at_again_where_only_reading_goes_on(caplog):
    caplog.set_level('INFO')
    backend = Elsewhere()
    with app_on(backend, store_timeout=1) as (_, ask):
        assert [mark(await ask()) for _ in range(2)] == ['MISS', 'HIT']
        backend.failing.add('set')
        for number in range(FEW):
            await ask(f'/things/{10 + number}')
        backend.failing.clear()
        await asyncio.sleep(PAUSE + 0.05)
        assert mark(await ask()) == 'HIT'
        await asyncio.sleep(0.05)
        assert [it.levelname for it in caplog.records] == ['WARNING', 'INFO']


async def test_a_function_that_makes_no_client_is_trouble_like_any_other(caplog):
    made = []

    def new_client():
        made.append(1)
        raise OSError('no such host')

    with app_on(RedisClientCache(new_client)) as (_, ask):
        for _ in range(20):
            assert (await ask())[1]['body'] == b'1'
    assert len(made) == FEW
    assert [it.getMessage().rpartition(': ')[2] for it in caplog.records] == ['no such host']


async def test_a_client_that_gives_texts_is_told_of(redis_port, caplog):
    backend = RedisClientCache(lambda: redis.asyncio.Redis(port=redis_port, decode_responses=True), namespace='texts')
    with app_on(backend, store_timeout=5) as (cache, ask):
        async with cache:
            for _ in range(5):
                assert (await ask())[1]['body'] == b'1'
    assert 'decode_responses' in caplog.text


async def test_a_client_of_somebody_else_that_hung_is_used_again(monkeypatch):
    monkeypatch.setattr('fastapi_caching_route._link.HANGING', 0.1)
    backend = Elsewhere()
    with app_on(backend, store_timeout=0.05) as (cache, ask):
        assert [mark(await ask()) for _ in range(2)] == ['MISS', 'HIT']
        backend.hanging.add('multi_get')
        for _ in range(100):
            await ask()
            await asyncio.sleep(0.02)
        (link,) = cache.store.shelf._links.values()
        assert len(link._running) <= 3
        backend.hanging.clear()
        await asyncio.sleep(PAUSE + 0.2)
        await ask()
        await asyncio.sleep(0.05)
        assert mark(await ask()) == 'HIT'


async def test_a_backend_needs_no_delete(caplog):
    class Plain(Elsewhere):
        async def _delete(self, key, _conn=None):
            raise NotImplementedError

    with app_on(Plain(), store_timeout=1) as (cache, _):
        for _ in range(2 * FEW):
            assert await cache.invalidate_cached('some key') == 0
    assert caplog.records == []


def test_uvloop_has_timers_without_a_moment(caplog):
    uvloop = pytest.importorskip('uvloop')
    backend = Elsewhere()
    backend.slow.update(dict.fromkeys(('multi_get', 'add', 'set'), 0.02))
    with app_on(backend, store_timeout=0.0001) as (_, ask):

        async def ask_often():
            for _ in range(10):
                assert (await ask())[1]['body'] == b'1'
                await asyncio.sleep(0.03)

        loop = uvloop.new_event_loop()
        loop.run_until_complete(ask_often())
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
    assert [it.levelname for it in caplog.records] == ['WARNING']


async def test_large_entries_are_not_read_together():
    backend = Elsewhere()
    cache, app, router = FastAPICache(backend, store_timeout=5), FastAPI(), caching_router()

    @router.get('/large/{number}')
    @cache(ttl=60)
    async def large(number: int):
        return 'x' * 600_000

    app.include_router(router)
    for _ in range(2):
        for number in range(8):
            await asgi_call(app, asgi_scope(path=f'/large/{number}'))
    backend.commands.clear()
    answers = await asyncio.gather(*(asgi_call(app, asgi_scope(path=f'/large/{number}')) for number in range(8)))
    assert {mark(it) for it in answers} == {'HIT'}
    assert len(backend.commands) >= 4


async def test_a_store_that_is_too_slow_to_store_still_gives_hits(caplog):
    backend = Elsewhere()
    with app_on(backend, store_timeout=0.3) as (_, ask):
        assert [mark(await ask()) for _ in range(2)] == ['MISS', 'HIT']
        backend.slow['multi_get'] = 0.16
        for number in range(FEW):
            await ask(f'/things/{10 + number}')
        backend.commands.clear()
        began = time.monotonic()
        assert mark(await ask('/things/20')) == 'none'
        assert backend.commands == ['multi_get']  # which is the look-up; there is no sense in more
        assert time.monotonic() - began < 0.3
        assert mark(await ask()) == 'HIT'
        assert [it.levelname for it in caplog.records] == ['WARNING']
        backend.slow.clear()
        await asyncio.sleep(PAUSE + 0.05)
        await ask()
        await asyncio.sleep(0.05)
        assert [mark(await ask('/things/20')) for _ in range(2)] == ['MISS', 'HIT']


async def test_what_comes_to_be_owed_again_while_it_is_written_stays_owed():
    backend = Elsewhere()
    with app_on(backend, store_timeout=5) as (cache, _):
        backend.failing.add('set')
        with pytest.raises(InvalidationError):
            await cache.invalidate_tags('all')
        backend.failing.clear()
        backend.slow['set'] = 0.02
        paying = cache.store.debts.pay(cache.store._invalidate_anyway)
        await asyncio.sleep(0.01)
        cache.store.debts.owe(('tag:all',), OSError('again'), cache.store._invalidate_anyway)
        await paying
        assert cache.store.debts
        await cache.store.settled()
        await cache.store.close()


async def test_no_command_is_sent_twice_by_itself():
    """A mark that is written again, after its reply was lost, could come after a newer one and undo that."""
    stage = Stage('redis')
    await stage.start()
    proxy = Proxy(stage.port)
    await proxy.turn('cut')
    cache = FastAPICache(RedisCache(endpoint='127.0.0.1', port=proxy.port), store_timeout=1)
    async with cache:
        with pytest.raises(InvalidationError):
            await cache.invalidate_tags('all')
        await cache.store.debts.close()
    said = await stage.redis('INFO', 'commandstats')
    assert said['cmdstat_psetex']['calls'] <= 2  # the first try, and perhaps one to pay the debt
    await proxy.close()
    stage.kill()
