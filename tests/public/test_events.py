"""What observers are told of invalidations, of outages and of their ends."""

import asyncio
import threading
import time
from typing import Annotated

import pytest
from aiocache import SimpleMemoryCache
from fastapi import Depends, FastAPI

from fastapi_caching_route import (
    CacheContext,
    FastAPICache,
    InvalidationError,
    LMDBCache,
    MemoryCache,
    NearCopies,
)
from fastapi_caching_route._backends.breaker import FAILURES_TO_OPEN, Breaker
from fastapi_caching_route._concurrency.observers import Observers
from fastapi_caching_route.events import Evicted, Invalidated, Responded, StoreFailed, StoreRecovered
from tests.backends.fakes import Elsewhere
from tests.support import all_written, asgi_call, asgi_scope, caching_router


def told_of(backend=None, **options):
    """A cache over a backend, and what its observer is told of all but responses."""
    told = []
    cache = FastAPICache(backend, observer=lambda it: None if isinstance(it, Responded) else told.append(it), **options)
    return cache, told


@pytest.fixture(params=['memory', 'aiocache', 'elsewhere', 'lmdb'])
def any_backend(request, tmp_path):
    kinds = {'memory': MemoryCache, 'aiocache': SimpleMemoryCache, 'elsewhere': Elsewhere}
    return LMDBCache(tmp_path / 'cache') if request.param == 'lmdb' else kinds[request.param]()


async def test_each_invalidation_is_told_with_its_names(any_backend):
    cache, told = told_of(any_backend)
    async with cache:
        await cache.invalidate_tags('user:7', 'all users')
        await cache.invalidate_path('/users', prefix=True, soft=True)
        await cache.clear()
    tags, path, everything = told
    assert (tags.names, tags.soft, tags.is_pending) == (('tag:user:7', 'tag:all%20users'), False, False)
    assert (path.names, path.soft) == (('below:/users', 'path:/users', 'path:/users/'), True)
    assert everything.names == ('all',)


async def test_an_invalidation_from_code_that_cannot_await_is_told_at_once(any_backend):
    cache, told = told_of(any_backend)
    async with cache:
        thread = threading.Thread(target=lambda: cache.invalidate_soon(tags=['user:7']))
        thread.start()
        await asyncio.to_thread(thread.join)
        assert [it.names for it in told] == [('tag:user:7',)]
        await all_written(cache._settings.store)
    assert len(told) == 1


def test_an_invalidation_that_blocks_is_told_once(any_backend):
    cache, told = told_of(any_backend)
    cache.invalidate_now(tags=['user:7'])
    assert [(it.names, it.soft, it.is_pending) for it in told] == [(('tag:user:7',), False, False)]


async def test_an_invalidation_that_the_backend_has_not_taken_is_told_as_pending():
    backend = Elsewhere()
    backend.failing = {'set'}
    cache, told = told_of(backend)
    with pytest.raises(InvalidationError):
        await cache.invalidate_tags('user:7')
    backend.failing.clear()
    await all_written(cache._settings.store)
    await cache._settings.store.close()
    invalidated = [it for it in told if isinstance(it, Invalidated)]
    assert [(it.names, it.is_pending) for it in invalidated] == [(('tag:user:7',), True)]
    assert invalidated[0].seconds > 0


async def test_an_invalidation_before_there_is_a_backend_is_told_when_there_is_one():
    told = []
    cache = FastAPICache.deferred(observer=told.append)
    cache.invalidate_soon(tags=['user:7'])
    assert told == []
    cache.use(MemoryCache())
    assert [it.names for it in told] == [('tag:user:7',)]


async def test_the_key_of_a_key_builder_is_told_as_a_digest():
    cache, told = told_of()
    await cache.invalidate_cached('token=secret')
    (name,) = told[0].names
    assert name.startswith('key:')
    assert 'secret' not in name


async def test_what_writes_invalidate_is_told():
    cache, told = told_of()
    router, app = caching_router(), FastAPI()

    @router.get('/users/{user_id}')
    @cache(ttl=60)
    async def get_user(user_id: int):
        return user_id

    @router.put('/users/{user_id}')
    @cache.invalidates(tags=['user:{user_id}'])
    async def put_user(user_id: int):
        return user_id

    @router.post('/users')
    async def post_user(context: Annotated[CacheContext, Depends()]):
        context.invalidate(tags=['users'])

    app.include_router(router)
    await asgi_call(app, asgi_scope('PUT', '/users/7'))
    await asgi_call(app, asgi_scope('POST', '/users'))
    names = [name for it in told for name in it.names]
    assert {'path:/users/7', 'tag:user:7', 'tag:users'} == set(names)


async def test_an_outage_and_its_end_are_told_once():
    backend = Elsewhere()
    cache, told = told_of(backend)
    router, app = caching_router(), FastAPI()

    @router.get('/')
    @cache(ttl=60)
    async def endpoint():
        return 1

    app.include_router(router)
    backend.failing = {'multi_get', 'get', 'set', 'add'}
    for _ in range(5):
        await asgi_call(app, asgi_scope())
    assert [type(it) for it in told] == [StoreFailed]
    assert told[0].error == 'ConnectionError: multi_get'
    backend.failing.clear()
    until = time.monotonic() + 60
    while len(told) == 1 and time.monotonic() < until:
        await asgi_call(app, asgi_scope())
        await asyncio.sleep(0.05)
    assert [type(it) for it in told] == [StoreFailed, StoreRecovered]
    assert told[1].seconds > 0
    await cache._settings.store.close()


def test_an_error_is_told_without_credentials_and_with_the_address():
    breaker, told = Breaker(), []
    breaker.observers = Observers([told.append])
    breaker.address = '10.0.0.1:6379'
    for _ in range(FAILURES_TO_OPEN):
        breaker.failed('reading', OSError('redis://user:secret@10.0.0.1 refused'), 1000.0)
    breaker.worked('reading', 0.5)
    assert told[0] == StoreFailed(address='10.0.0.1:6379', error='OSError: redis://10.0.0.1 refused')
    assert told[1].address == '10.0.0.1:6379'
    assert len(told) == 2


def test_an_observer_that_was_added_later_is_told_and_one_that_was_dropped_is_not():
    observers, first, second = Observers(), [], []
    assert observers.tell is None
    observers.add(first.append)
    observers.add(second.append)
    observers.tell(1)
    observers.drop(observers._all[0])
    observers.tell(2)
    observers.drop(observers._all[0])
    assert (first, second, observers.tell) == ([1], [1, 2], None)


async def test_an_eviction_is_told_to_all_caches_of_the_backend():
    backend = MemoryCache(max_entries=2)
    caches, told = [told_of(backend) for _ in range(2)], []
    router, app = caching_router(), FastAPI()

    @router.get('/items/{item}')
    @caches[0][0](ttl=60)
    async def item(item: int):
        return item

    app.include_router(router)
    for number in range(4):
        await asgi_call(app, asgi_scope(path=f'/items/{number}'))
    told = [it for _, told in caches for it in told]
    assert [type(it) for it in told] == [Evicted] * 4
    assert all(it.bytes > 100 and (it.store, it.entries, it.cause) == ('memory', 1, 'full') for it in told)
    assert backend.stats().evicted == 2


def large_app(cache):
    router, app = caching_router(), FastAPI()

    @router.get('/items/{item}')
    @cache(ttl=60)
    async def item(item: int):
        return 'x' * 10_000

    app.include_router(router)
    return lambda number: asgi_call(app, asgi_scope(path=f'/items/{number}'))


async def test_what_this_process_evicts_from_lmdb_is_told_by_number_and_bytes(tmp_path):
    backend = LMDBCache(tmp_path / 'cache', max_bytes=512 * 1024)
    cache, told = told_of(backend)
    ask = large_app(cache)
    async with cache:
        for number in range(100):
            await ask(number)
        evicted = [it for it in told if isinstance(it, Evicted)]
        left = backend.stats().entries
    assert {(it.store, it.cause) for it in evicted} == {('lmdb', 'full')}
    assert sum(it.entries for it in evicted) == 100 - left
    assert sum(it.bytes for it in evicted) > 10_000 * (100 - left)


async def test_what_expires_in_lmdb_is_no_eviction(tmp_path, monkeypatch):
    backend = LMDBCache(tmp_path / 'cache', max_bytes=512 * 1024)
    cache, told = told_of(backend)
    async with cache:
        for number in range(100):
            await backend.set(f'{number}', 'x' * 10_000, ttl=0.001)
    assert not [it for it in told if isinstance(it, Evicted)]


async def test_an_emptied_lmdb_store_is_told_as_one_eviction(tmp_path, monkeypatch):
    backend = LMDBCache(tmp_path / 'cache', max_bytes=512 * 1024)
    cache, told = told_of(backend)
    ask, writer = large_app(cache), backend.store.writer
    async with cache:
        await ask(1)
        full, transaction = backend.store.environment.lmdb.MapFullError('full'), writer._transaction
        monkeypatch.setattr(writer, '_starts_over', lambda *it: monkeypatch.undo() or writer._starts_over(*it))

        def failing(*_):
            raise full

        monkeypatch.setattr(writer, '_transaction', failing)
        await cache.invalidate_tags('a')
    assert writer._transaction == transaction
    (evicted,) = [it for it in told if isinstance(it, Evicted)]
    assert (evicted.entries, evicted.cause, evicted.bytes > 10_000) == (1, 'emptied', True)


async def test_copies_that_are_evicted_are_told_as_near():
    cache, told = told_of(Elsewhere(), near=NearCopies(max_bytes=50_000))
    ask = large_app(cache)
    async with cache:
        for number in range(10):
            await ask(number)
    evicted = [it for it in told if isinstance(it, Evicted)]
    assert evicted
    assert {it.store for it in evicted} == {'near'}
