"""Commands to a backend: their time-out, batches, and replies that are late or too large."""

import asyncio
import signal
import time
from dataclasses import dataclass

import pytest
from aiocache import MemcachedCache, RedisCache
from fastapi import FastAPI

from fastapi_caching_route import FastAPICache, InvalidationError
from fastapi_caching_route._backends import link
from fastapi_caching_route._backends.breaker import FAILURES_TO_OPEN, PROBE_SECONDS, Breaker
from tests.backends.fakes import Elsewhere
from tests.backends.links import app_of, app_on, mark
from tests.conftest import run
from tests.servers import wait_until
from tests.support import all_written, asgi_call, asgi_scope, caching_router, client_of, marks

pytestmark = pytest.mark.usefixtures('no_machine_is_slow')


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
    for _ in range(FAILURES_TO_OPEN + 1):
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
        cache = FastAPICache(new(endpoint='127.0.0.1', port=server.port), store_timeout=0.25)
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
        for number in range(2 * FAILURES_TO_OPEN):
            start, *_ = await asgi_call(app, asgi_scope(path=f'/large/{number}'))
            assert b'detail=store-error' in dict(start['headers'])[b'cache-status']
        answers = [(await asgi_call(app, asgi_scope(path='/things/1')))[0] for _ in range(2)]
        assert dict(answers[1]['headers'])[b'x-cache'] == b'HIT'
    assert 'is failing' not in caplog.text
    assert 'too large for the cache backend' in caplog.text


@pytest.mark.parametrize(('size', 'commands'), [(100_000, 2), (200_000, 4), (600_000, 8)])
async def test_large_entries_are_read_together_only_up_to_some_size(size, commands):
    backend = Elsewhere()
    cache, app, router = FastAPICache(backend, store_timeout=5), FastAPI(), caching_router()

    @router.get('/large/{number}')
    @cache(ttl=60)
    async def large(number: int):
        return 'x' * size

    app.include_router(router)
    for _ in range(2):
        for number in range(8):
            await asgi_call(app, asgi_scope(path=f'/large/{number}'))
    backend.commands.clear()
    answers = await asyncio.gather(*(asgi_call(app, asgi_scope(path=f'/large/{number}')) for number in range(8)))
    assert {mark(it) for it in answers} == {'HIT'}
    assert len(backend.commands) == commands


async def test_a_store_that_is_too_slow_to_store_still_gives_hits(caplog):
    backend = Elsewhere()
    with app_on(backend, store_timeout=0.3) as (_, ask):
        assert [mark(await ask()) for _ in range(2)] == ['MISS', 'HIT']
        backend.slow['multi_get'] = 0.16
        for number in range(FAILURES_TO_OPEN):
            await ask(f'/things/{10 + number}')
        backend.commands.clear()
        began = time.monotonic()
        assert mark(await ask('/things/20')) == 'none'
        assert backend.commands == ['multi_get']  # which is the look-up; there is no sense in more
        assert time.monotonic() - began < 0.3
        assert mark(await ask()) == 'HIT'
        assert [it.levelname for it in caplog.records] == ['WARNING']
        backend.slow.clear()
        await asyncio.sleep(PROBE_SECONDS + 0.05)
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
        paying = cache._settings.store.debts.retry(cache._settings.store._parts.write)
        await asyncio.sleep(0.01)
        cache._settings.store.debts.owe(('tag:all',), OSError('again'), cache._settings.store._parts.write)
        await paying
        assert cache._settings.store.debts
        await all_written(cache._settings.store)
        await cache._settings.store.close()


async def test_only_so_many_commands_wait_for_a_backend_that_hangs(monkeypatch):
    monkeypatch.setattr(link, 'MAX_WAITING', 5)
    backend = Elsewhere()
    cache = FastAPICache(backend, store_timeout=0.2)
    backend.hanging.add('set')
    invalidating = [asyncio.ensure_future(cache.invalidate_tags(str(number))) for number in range(20)]
    await asyncio.sleep(0.1)
    assert len(backend.commands) <= 5
    results = await asyncio.gather(*invalidating, return_exceptions=True)
    assert {type(it) for it in results} == {InvalidationError}
    assert sum('5 commands are waiting' in str(it.__cause__) for it in results) == 15
    backend.hanging.clear()


class Quick:
    """A driver that does what it is asked."""

    concurrency, is_ours, may_be_cancelled, sets_many = 4, False, True, True

    async def get_many(self, keys):
        return [None for _ in keys]

    async def set_many(self, objects):
        return [True for _ in objects]


async def test_after_too_many_commands_have_waited_others_are_sent_again(monkeypatch):
    quick = link.Link(Quick(), 1, Breaker(), len)
    with monkeypatch.context() as patched:
        patched.setattr(link, 'MAX_WAITING', 0)
        with pytest.raises(ConnectionError):
            quick.get(['key'])
        with pytest.raises(ConnectionError):
            quick.set('key', 'text', 60)
    assert await quick.get(['key']).found_within(1) == {'key': None}
    assert await quick.set('key', 'text', 60).found_within(1) == {'key': True}
    await quick.close()


class Troubled(Quick):
    """A driver that stores one of two objects, and heeds what has failed."""

    def __init__(self):
        self.heeded = []

    async def get_many(self, keys):
        raise ConnectionError('reading')

    async def set_many(self, objects):
        return [ConnectionError('writing'), *(True for _ in objects[1:])]

    def failed(self, error):
        self.heeded.append(str(error))


async def test_a_driver_is_told_what_has_failed_even_if_other_objects_of_the_command_were_stored():
    driver = Troubled()
    troubled = link.Link(driver, 1, Breaker(), len)
    troubled.set('one', 'text', 60)
    assert (await troubled.set('two', 'text', 60).found_within(1))['two'] is True
    assert driver.heeded == ['writing']
    with pytest.raises(ConnectionError):
        await troubled.get(['one']).found_within(1)
    assert driver.heeded == ['writing', 'reading']
    await troubled.close()


async def test_a_client_of_ours_that_hangs_is_closed_and_another_one_is_used(monkeypatch, redis_server):
    monkeypatch.setattr(link, 'GIVE_UP_SECONDS', 0.05)
    with app_on(RedisCache(endpoint='127.0.0.1', port=redis_server.port), store_timeout=0.2) as (cache, ask):
        async with cache:
            await ask()
            (used,) = cache._settings.store._parts.backend._links.values()
            assert used.usable
            redis_server.freeze()
            await ask()
            for _ in range(100):
                await asyncio.sleep(0.02 if used.usable else 0)
            redis_server.resume()
            assert not used.usable
            await link.all_closed()


@dataclass
class Hanging:
    """A driver of a client of somebody else."""

    may_be_cancelled: bool
    is_ours: bool = False
    concurrency: int = 4


@pytest.mark.parametrize('may_be_cancelled', [True, False])
async def test_a_command_is_cancelled_only_if_its_client_stands_it(may_be_cancelled):
    hanging = link.Link(Hanging(may_be_cancelled), 1, Breaker(), len)
    running = asyncio.ensure_future(asyncio.sleep(60))
    await asyncio.sleep(0)
    hanging.give_up(running, alone=True)
    await asyncio.sleep(0.01)
    assert running.cancelled() is may_be_cancelled
    running.cancel()
    await hanging.close()
