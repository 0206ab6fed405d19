"""The name of the key: no entry of a declared key lists it, and `invalidate_cached(context.key)` holds all the same."""

import asyncio
import math
from typing import Any

import pytest
from aiocache import MemcachedCache, RedisCache
from fastapi import FastAPI, Response
from msgspec.structs import replace

from fastapi_caching_route import CacheContextDep, FastAPICache, InvalidationError, LMDBCache, MemoryCache, NearCopies
from fastapi_caching_route._core.key_names import key_name
from fastapi_caching_route._store.visit import Lost
from tests.backends.fakes import Elsewhere
from tests.store.entries import ENTRY
from tests.support import asgi_call, asgi_scope, caching_router, closing

KINDS = ('memory', 'redis', 'near copies', 'memcached', 'lmdb')


@pytest.fixture(params=KINDS)
async def two(request, namespace, tmp_path):
    """Two caches, as those of two processes on one store."""
    kind = request.param
    match kind:
        case 'memory':
            backend = MemoryCache()
            backends: Any = [backend, backend]
        case 'lmdb':
            backends = [LMDBCache(tmp_path / 'store', namespace=namespace) for _ in range(2)]
        case 'memcached':
            port = request.getfixturevalue('memcached_port')
            backends = [MemcachedCache(endpoint='127.0.0.1', port=port, namespace=namespace) for _ in range(2)]
        case _:
            port = request.getfixturevalue('redis_port')
            backends = [RedisCache(endpoint='127.0.0.1', port=port, namespace=namespace) for _ in range(2)]
    caches = [
        FastAPICache(it, store_timeout=5, near=NearCopies() if kind == 'near copies' else None) for it in backends
    ]
    yield caches
    for cache, backend in zip(caches, backends, strict=True):
        await cache._settings.store.close()
        await closing(backend)


async def begun(store, entry):
    """An entry that may be stored, and is not stored yet."""
    visit = store.visit()
    before = await visit.marks_before(entry.names, key=entry.key, windowed=entry.windowed)
    standing = await visit.marks_after(before, entry.names, key=entry.key, windowed=entry.windowed, span=60.0)
    return replace(entry, marks=standing.marks)


async def by_key(store, key=ENTRY.key, soft_at=None):
    await store.invalidate((key_name(key),), soft_at=soft_at, keys=() if soft_at else (key,))


@pytest.mark.parametrize('windowed', [False, True])
async def test_what_is_stored_after_its_key_was_invalidated_elsewhere_is_not_used(two, windowed):
    here, there = (it._settings.store for it in two)
    late = await begun(here, replace(ENTRY, windowed=windowed))
    other = await begun(here, replace(ENTRY, key='api::GET:/other', windowed=windowed))
    await by_key(there)
    assert await here.visit().put(late, 60)
    assert await here.visit().put(other, 60)
    for store in (here, there):
        assert await store.visit().look_up(late.key) is None
        assert (await store.visit().look_up(other.key)).stale_at == math.inf
    again = await begun(there, ENTRY)
    assert await there.visit().put(again, 60)
    assert (await here.visit().look_up(again.key)).stale_at == math.inf


async def test_what_was_begun_before_its_key_was_invalidated_elsewhere_is_not_stored(two):
    here, there = (it._settings.store for it in two)
    visit = here.visit()
    keys = (ENTRY.key, 'another')
    before = [await visit.marks_before(ENTRY.names, key=it, windowed=False) for it in keys]
    await by_key(there)
    after = [
        await visit.marks_after(it, ENTRY.names, key=key, windowed=False, span=60.0)
        for it, key in zip(before, keys, strict=True)
    ]
    assert [isinstance(it, Lost) for it in after] == [True, False]


@pytest.mark.parametrize('windowed', [False, True])
async def test_a_soft_invalidation_of_a_key_makes_its_entry_stale(two, windowed):
    here, there = (it._settings.store for it in two)
    entry = await begun(here, replace(ENTRY, windowed=windowed))
    assert await here.visit().put(entry, 60)
    await by_key(there, soft_at=5.0)
    found = await here.visit().look_up(entry.key)
    assert found.stale_at == 5.0 if windowed else found is None or found.stale_at == 5.0


class Worker:
    """A process with its own app, whose response varies by a header."""

    version = 1

    def __init__(self, cache):
        self.cache, self.keys, self.gate = cache, [], None
        self.began = asyncio.Event()
        self.app, router = FastAPI(openapi_url=None), caching_router()

        @router.get('/')
        @cache(ttl=600)
        async def endpoint(context: CacheContextDep):
            self.keys.append(context.key)
            made_of = Worker.version
            self.began.set()
            if self.gate is not None:
                await self.gate.wait()
            return Response(f'{made_of}', headers={'vary': 'x-theme'})

        self.app.include_router(router)

    async def get(self, theme):
        return (await asgi_call(self.app, asgi_scope(headers=[(b'x-theme', theme)])))[-1]['body']


async def test_no_variant_comes_back_after_its_key_was_invalidated_elsewhere(two):
    Worker.version = 1
    here, there = map(Worker, two)
    for theme in (b'light', b'dark'):
        assert await here.get(theme) == await there.get(theme) == b'1'
    assert len(here.keys) == 2
    here.gate = asyncio.Event()
    here.began.clear()
    running = asyncio.create_task(here.get(b'third'))  # it knows the record of variants
    await here.began.wait()
    Worker.version = 2
    assert await there.cache.invalidate_cached(here.keys[0]) == 1
    here.gate.set()
    assert await running == b'1'
    here.gate = None
    for theme in (b'light', b'dark', b'third'):
        assert await here.get(theme) == await there.get(theme) == b'2'


async def test_no_variant_comes_back_with_the_record_that_another_process_writes_back(two):
    Worker.version = 1
    here, there = map(Worker, two)
    visit = two[0]._settings.store.visit()
    assert [await here.get(it) for it in (b'light', b'dark')] == [b'1', b'1']
    record = await visit.look_up(here.keys[0].full)
    Worker.version = 2
    assert await there.cache.invalidate_cached(here.keys[0]) == 1
    assert await visit.put(record, 60)
    assert [await it.get(theme) for it in (there, here) for theme in (b'light', b'dark')] == [b'2'] * 4


async def test_a_pending_invalidation_of_a_key_counts_in_its_process_at_once():
    backend = Elsewhere()
    cache = FastAPICache(backend, store_timeout=5)
    store = cache._settings.store
    entry = await begun(store, ENTRY)
    assert await store.visit().put(entry, 60)
    visit = store.visit()
    before = await visit.marks_before(ENTRY.names, key=ENTRY.key, windowed=True)
    backend.failing.update(('set', 'delete'))
    with pytest.raises(InvalidationError):
        await by_key(store)
    after = await visit.marks_after(before, ENTRY.names, key=ENTRY.key, windowed=True, span=60.0)
    assert after == Lost('invalidated')
    assert store.debts.pending
    assert await store.visit().look_up(entry.key) is None
    await store.close()


async def test_entries_do_not_list_the_name_of_their_key():
    cache = FastAPICache()
    app, router = FastAPI(openapi_url=None), caching_router()

    @router.get('/plain')
    @cache(ttl=600)
    async def endpoint() -> int:
        return 1

    app.include_router(router)
    await asgi_call(app, asgi_scope(path='/plain'))
    (it,) = [it async for it in cache.entries()]
    found = await cache._settings.store.visit().look_up(it.key)
    assert found.entry.names == ('all', found.entry.names[1], 'path:/plain')
