"""`cache.invalidate_soon`: from anywhere, here at once, and in other processes soon."""

import asyncio
import os
import subprocess
import sys
import threading

import pytest
from fastapi import FastAPI

from fastapi_caching_route import FastAPICache
from tests.backends.fakes import Elsewhere
from tests.public.lists import lists_of, read, shared
from tests.servers import wait_until
from tests.support import all_written, asgi_call, asgi_scope, caching_router, client_of, closing


@pytest.mark.parametrize('caller', ['loop', 'worker', 'thread'])
def test_what_is_invalidated_soon_is_gone_here_at_once_and_there_soon(cache, backend, new_backend, caller):
    """Here: the process that has said it. There: another one, with a backend object of its own."""
    router, items, *_ = lists_of(cache)
    there = (
        FastAPICache(new_backend(namespace=backend.namespace), store_timeout=5)
        if cache._settings.store.is_shared
        else cache
    )
    router_there, items_there, *_ = lists_of(there)

    def change():
        items['ada'] = ['new']
        cache.invalidate_soon(tags=['items of ada'])

    @router.post('/loop')
    async def from_loop():
        change()

    @router.post('/worker')
    def from_worker():
        change()

    @router.post('/thread')
    async def from_thread():
        thread = threading.Thread(target=change)
        thread.start()
        thread.join()

    with client_of(router) as client, client_of(router_there) as client_there:
        assert read(client, 'ada', 'bob', 'ada', 'bob') == ['MISS', 'MISS', 'HIT', 'HIT']
        read(client_there, 'ada')
        items_there['ada'] = ['new']
        client.post(f'/{caller}')
        assert client.get('/items', headers={'user': 'ada'}).json() == ['new']
        wait_until(lambda: not getattr(cache._settings.store, 'debts', None))
        assert client_there.get('/items', headers={'user': 'ada'}).json() == ['new']
        assert read(client, 'bob') == ['HIT']
        client.portal.call(closing, backend)
        client_there.portal.call(closing, there.backend)


def ask(app, user='ada'):
    return asgi_call(app, asgi_scope(path='/items', headers=[(b'user', user.encode())]))


def mark(messages):
    return dict(messages[0]['headers']).get(b'x-cache', b'none').decode()


async def test_what_is_being_computed_when_it_is_invalidated_soon_is_not_stored():
    backend, cache, app, *_ = shared()
    router, begun, goes_on = caching_router(), asyncio.Event(), asyncio.Event()

    @router.get('/slow')
    @cache(ttl=60, tags=['slow'])
    async def slow():
        begun.set()
        await goes_on.wait()
        return 1

    app.include_router(router)
    reading = asyncio.create_task(asgi_call(app, asgi_scope(path='/slow')))
    await begun.wait()
    backend.failing.add('set')  # so that it stays owed, and the store cannot tell
    thread = threading.Thread(target=cache.invalidate_soon, kwargs={'tags': ['slow']})
    thread.start()
    thread.join()
    backend.failing.clear()
    goes_on.set()
    await reading
    await all_written(cache._settings.store)
    assert mark(await asgi_call(app, asgi_scope(path='/slow'))) == 'MISS'


def test_without_an_event_loop_a_thread_writes_it():
    backend, cache, app, *_ = shared()
    assert [mark(asyncio.run(ask(app))) for _ in range(2)] == ['MISS', 'HIT']
    backend.commands.clear()
    cache.invalidate_soon(tags=['items of ada'])
    wait_until(lambda: not cache._settings.store.debts)
    assert set(backend.commands) == {'set'}
    elsewhere = FastAPICache(backend)
    other = FastAPI()
    other.include_router(lists_of(elsewhere)[0])
    assert [mark(asyncio.run(ask(other))) for _ in range(2)] == ['MISS', 'HIT']


def test_a_thread_that_writes_tries_again_until_the_store_takes_it(caplog, monkeypatch):
    monkeypatch.setattr('fastapi_caching_route._store.soon.FIRST_RETRY_SECONDS', 0.01)
    caplog.set_level('INFO')
    backend, cache, *_ = shared()
    backend.failing.add('set')
    cache.invalidate_soon(tags=['items of ada'])
    wait_until(lambda: backend.commands.count('set') > 2)
    assert cache._settings.store.debts
    backend.failing.clear()
    wait_until(lambda: not cache._settings.store.debts)
    assert caplog.text.count('has not taken the invalidation of') == 1
    wait_until(lambda: 'has taken all pending invalidations' in caplog.text)


@pytest.mark.parametrize('error', [asyncio.CancelledError(), SystemExit(1)], ids=lambda it: type(it).__name__)
def test_a_thread_that_writes_goes_on_whatever_a_client_library_raises(monkeypatch, error):
    monkeypatch.setattr('fastapi_caching_route._store.soon.FIRST_RETRY_SECONDS', 0.01)
    _, cache, *_ = shared()
    retry, tries = cache._settings.store.debts.retry_here, []

    async def retry_here(self, write):
        tries.append(1)
        if len(tries) < 3:
            raise error
        await retry(write)

    monkeypatch.setattr('fastapi_caching_route._store.debts.Debts.retry_here', retry_here)
    cache.invalidate_soon(tags=['items of ada'])
    wait_until(lambda: not cache._settings.store.debts)
    assert len(tries) == 3


def test_many_invalidations_of_one_moment_are_written_together():
    backend, cache, app, *_ = shared()

    async def change():
        await ask(app)
        backend.commands.clear()
        for number in range(200):
            cache.invalidate_soon(tags=[f'item:{number % 2}'])
        await all_written(cache._settings.store)

    asyncio.run(change())
    assert (
        backend.commands.count('set') <= 10
    )  # two marks of each of the two tags and of their groups, and `last` twice


def test_it_stays_owed_by_an_app_that_is_closed_while_the_store_is_down():
    backend, cache, *_ = shared()

    async def run():
        async with cache:
            cache.invalidate_soon(tags=['a'])
        assert not cache._settings.store.debts  # written as the cache was closed
        backend.failing.add('set')
        async with cache:
            cache.invalidate_soon(tags=['a'])
        assert cache._settings.store.debts
        backend.failing.clear()
        await all_written(cache._settings.store)

    asyncio.run(run())


def test_an_app_that_opens_its_cache_writes_what_was_owed_before_and_what_its_threads_say():
    backend, cache, *_ = shared()
    begun = []

    async def run():
        async with cache:
            thread = threading.Thread(target=cache.invalidate_soon, kwargs={'tags': ['a']})
            thread.start()
            thread.join()
            begun.append(cache._settings.store._writer._thread)
            await all_written(cache._settings.store)

    asyncio.run(run())
    assert begun == [None]
    assert backend.commands.count('set') >= 4


def test_an_app_whose_cache_gets_its_backend_later_writes_what_its_threads_say():
    cache, backend, begun = FastAPICache.deferred(), Elsewhere(), []

    async def run():
        async with cache:
            cache.use(backend)  # no loop has used it so far
            thread = threading.Thread(target=cache.invalidate_soon, kwargs={'tags': ['a']})
            thread.start()
            thread.join()
            store = cache._settings.store._store
            begun.append(store._writer._thread)
            await all_written(store)

    asyncio.run(run())
    assert begun == [None]
    assert backend.commands.count('set') >= 4


@pytest.mark.parametrize('has_opened', [True, False], ids=['opened', 'used'])
def test_a_process_that_was_forked_does_not_wait_for_the_event_loop_of_its_parent(has_opened, monkeypatch):
    backend, cache, app, *_ = shared()
    parent = os.getpid()

    def child():
        cache.invalidate_soon(tags=['a'])
        wait_until(lambda: not cache._settings.store.debts)  # while the loop of the parent stands still

    async def run():
        if has_opened:
            cache._settings.store.open()
        else:
            await ask(app)
        backend.commands.clear()
        monkeypatch.setattr(os, 'getpid', lambda: parent + 1)
        thread = threading.Thread(target=child)
        thread.start()
        thread.join()
        monkeypatch.setattr(os, 'getpid', lambda: parent)

    asyncio.run(run())
    assert backend.commands.count('set') == 6


SCRIPT = """
import logging, sys
from aiocache import RedisCache
from fastapi_caching_route import FastAPICache
logging.basicConfig(format='%(message)s')
cache = FastAPICache(RedisCache(endpoint='127.0.0.1', port=int(sys.argv[1]), namespace='script'))
cache.invalidate_soon(tags=['a'])
"""


@pytest.mark.parametrize('is_up', [True, False], ids=['up', 'down'])
def test_a_process_that_ends_writes_what_it_owes_or_says_that_it_could_not(is_up, redis_port):
    port = str(redis_port if is_up else 1)
    ended = subprocess.run([sys.executable, '-c', SCRIPT, port], capture_output=True, text=True, check=True)  # noqa: S603, our own script
    is_told = 'this process exits before the cache backend has taken the invalidation of tag:a' in ended.stderr
    assert is_told is not is_up
