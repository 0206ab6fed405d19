"""Connections: one client for each event loop and process, closed with it."""

import asyncio
import contextlib
import gc
import itertools
import os
import random
import socket
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest
from aiocache import MemcachedCache, RedisCache
from fastapi import FastAPI

from fastapi_caching_route import FastAPICache, InvalidationError
from fastapi_caching_route._backends import linked
from tests.backends.fakes import Elsewhere
from tests.backends.links import app_of, app_on, mark
from tests.servers import uvicorn_server, wait_until
from tests.support import asgi_call, asgi_scope, client_of, closing, marks, until

names = itertools.count()


@pytest.fixture(params=['redis', 'memcached'])
def backend(request):
    port = request.getfixturevalue(f'{request.param}_port')
    kind = RedisCache if request.param == 'redis' else MemcachedCache
    return kind(endpoint='127.0.0.1', port=port, namespace=f'links{next(names)}')


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
    await until(lambda: connections(port) == users)
    assert await backend.get('of the user') == 'x'
    start, *_ = await asgi_call(app, asgi_scope(path='/things/1'))  # it opens again what it needs
    assert dict(start['headers'])[b'x-cache'] == b'HIT'
    await cache._settings.store.close()
    await closing(backend)


def test_a_lifespan_closes_it_too(backend):
    cache = FastAPICache(backend, store_timeout=5)
    with client_of(app_of(cache), lifespan=cache.lifespan) as client:
        assert marks(client.get('/things/1'), client.get('/things/1')) == ['MISS', 'HIT']
        assert len(cache._settings.store.backend._links) == 1
    assert cache._settings.store.backend._links == {}


def test_an_event_loop_that_ends_closes_its_connections_without_being_told(backend):
    cache, app = FastAPICache(backend, store_timeout=5), FastAPI()
    app.include_router(app_of(cache))
    before = connections(backend.port)
    asyncio.run(asgi_call(app, asgi_scope(path='/things/1')))
    wait_until(lambda: connections(backend.port) == before)


async def test_the_end_waits_for_an_invalidation_that_is_under_way():
    backend = Elsewhere()
    cache = FastAPICache(backend, store_timeout=5)
    backend.slow['set'] = 0.02
    async with cache:
        invalidating = cache._settings.store.begin_invalidation(('all',))
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


# Several processes


def test_two_workers_share_what_they_have_stored(redis_port, tmp_path):
    (tmp_path / 'app.py').write_text(
        f"""
import os
from aiocache import RedisCache
from fastapi import APIRouter, FastAPI
from fastapi_caching_route import CachingRoute, FastAPICache

backend = RedisCache(endpoint='127.0.0.1', port={redis_port}, namespace='workers{os.getpid()}')
cache = FastAPICache(backend, store_timeout=5)
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
            return httpx.get(f'http://127.0.0.1:{port}{path}', timeout=60)  # each on a connection of its own

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

backend = RedisCache(endpoint='127.0.0.1', port={redis_port}, namespace='forks{os.getpid()}')
cache = FastAPICache(backend, store_timeout=5)
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


def test_what_is_owed_is_written_in_short_event_loops_too():
    backend = Elsewhere()
    with app_on(backend, store_timeout=1) as (cache, ask):
        assert [mark(asyncio.run(ask())) for _ in range(2)] == ['MISS', 'HIT']
        backend.failing.add('set')
        with pytest.raises(InvalidationError):
            asyncio.run(cache.invalidate_tags('all'))
        backend.failing.clear()
        assert [mark(asyncio.run(ask())) for _ in range(2)] == ['MISS', 'HIT']
        assert not cache._settings.store.debts
    with app_on(backend, store_timeout=1) as (_, ask_other):
        assert mark(asyncio.run(ask_other())) == 'HIT'  # which is the new one


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


def test_links_of_event_loops_that_do_not_run_are_dropped_when_there_are_many(monkeypatch):
    monkeypatch.setattr(linked, 'MAX_LINKS', 2)
    backend = Elsewhere()
    cache, loops = FastAPICache(backend, store_timeout=5), [asyncio.new_event_loop() for _ in range(6)]
    for loop in loops:
        loop.run_until_complete(cache.invalidate_tags('all'))
    assert len(cache._settings.store._parts.backend._links) <= 3
    for loop in loops:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
