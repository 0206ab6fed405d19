"""What `cache.stats()` counts, and how it is summed over workers."""

import asyncio
import time
from dataclasses import replace
from types import SimpleNamespace
from typing import Annotated

import msgspec
import pytest
from aiocache import SimpleMemoryCache
from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.security import HTTPBasic
from starlette.testclient import TestClient

from fastapi_caching_route import CacheContext, CacheError, FastAPICache, LMDBCache, MemoryCache, NearCopies
from fastapi_caching_route._routes import all_workers
from fastapi_caching_route.stats import CacheStats, RouteStats, WorkerStats, of_workers, together
from tests.backends.fakes import Elsewhere
from tests.support import Clock, asgi_call, asgi_scope, caching_router, until


def app_over(backend=None, **options):
    clock, router = Clock(), caching_router()
    cache = FastAPICache(backend, clock=clock, **options)

    @router.get('/items/{item}')
    @cache(ttl=60, stale_while_revalidate=60)
    async def item(item: int):
        if item == 404:
            raise HTTPException(404)
        return {'item': item}

    @router.get('/skipped')
    @cache(ttl=60, skip=lambda _: True)
    async def skipped():
        return 1

    app = FastAPI()
    app.include_router(router)
    return cache, app, clock


def test_each_response_is_counted_once_by_its_outcome():
    cache, app, clock = app_over()
    client = TestClient(app)
    for path in ('/items/1', '/items/1', '/items/1', '/items/2', '/items/404', '/items/none', '/skipped', '/skipped'):
        client.get(path)
    clock.now += 90
    client.get('/items/1')  # stale, and renewed
    stats = cache.stats()
    item, skipped = stats.routes
    assert (item.route, skipped.route) == ('/items/{item}', '/skipped')
    assert (item.hits, item.misses, item.stale, item.refused, item.bypasses, item.errors) == (2, 3, 1, 1, 0, 0)
    assert (item.stored, item.runs, item.requests, item.looked_up) == (2, 4, 7, 6)
    assert item.hit_ratio == 3 / 6
    assert item.bytes == 3 * len(b'{"item":1}')
    assert item.endpoint_seconds > 0
    assert 0 < item.seconds_saved < 3 * item.endpoint_seconds
    assert item.reasons == {'miss': {'status': 1}, 'refused': {'status': 1}}
    assert skipped.bypasses == 2
    assert skipped.reasons == {'bypass': {'skip': 2}}
    assert stats.total.requests == 9
    assert (stats.total.hits, stats.total.bypasses) == (2, 2)


def test_a_cache_that_has_done_nothing_has_a_ratio_of_zero():
    stats = FastAPICache().stats()
    assert (stats.routes, stats.total.hit_ratio, stats.total.requests) == ((), 0.0, 0)


def test_the_same_route_is_counted_together_wherever_it_is_included():
    router, cache, app = caching_router(), FastAPICache(), FastAPI()

    @router.get('/')
    @cache(ttl=60)
    async def endpoint():
        return 1

    for prefix in ('/a', '/b'):
        app.include_router(router, prefix=prefix)
    client = TestClient(app)
    for path in ('/a/', '/a/', '/b/'):
        client.get(path)
    assert {it.route: it.requests for it in cache.stats().routes} == {'/a/': 2, '/b/': 1}


def test_reasons_that_user_code_makes_up_do_not_pile_up():

    router, cache, app = caching_router(), FastAPICache(), FastAPI()

    @router.get('/{number}')
    @cache(ttl=60)
    async def endpoint(number: int, context: Annotated[CacheContext, Depends()]):
        context.no_store(f'number {number}')
        return number

    app.include_router(router)
    client = TestClient(app)
    for number in range(80):
        client.get(f'/{number}')
    (route,) = cache.stats().routes
    assert len(route.reasons['miss']) == 65
    assert route.reasons['miss']['other'] == 16


@pytest.mark.parametrize('kind', [MemoryCache, SimpleMemoryCache, Elsewhere])
def test_the_store_is_described_by_its_class(kind):
    stats = FastAPICache(kind()).stats().store
    assert (stats.kind, stats.state, stats.error, stats.pending_invalidations) == (kind.__name__, 'up', None, 0)
    assert (stats.memory is not None, stats.is_shared) == (kind is MemoryCache, kind is Elsewhere)


def test_a_cache_without_its_backend_has_no_store():
    assert FastAPICache.deferred().stats().store.kind == ''


async def test_an_lmdb_store_says_what_it_holds(tmp_path):
    cache, app, _ = app_over(LMDBCache(tmp_path / 'cache', max_bytes=1024 * 1024))
    async with cache:
        await asgi_call(app, asgi_scope(path='/items/1'))
        held = cache.stats().store.lmdb
    assert (held.entries, held.max_bytes) == (1, 1024 * 1024)
    assert 0 < held.bytes < 1024 * 1024


async def test_near_copies_say_what_they_hold():
    cache, app, _ = app_over(Elsewhere(), near=NearCopies())
    async with cache:
        for _ in range(2):
            await asgi_call(app, asgi_scope(path='/items/1'))
        assert cache.stats().store.near.entries == 1


async def test_an_outage_is_told_with_its_error_and_what_is_pending():
    backend = Elsewhere()
    cache, app, _ = app_over(backend)
    backend.failing = {'multi_get', 'get', 'set', 'add'}
    cache.invalidate_soon(tags=['user:7'])
    for _ in range(4):
        await asgi_call(app, asgi_scope(path='/items/1'))
    store = cache.stats().store
    assert (store.state, store.pending_invalidations) == ('failing', 1)
    assert 'reading' in store.not_sent
    assert store.error.startswith('ConnectionError')
    assert store.failing_seconds > 0
    backend.failing.clear()
    until = time.monotonic() + 60
    while cache.stats().store.state == 'failing' and time.monotonic() < until:
        await asgi_call(app, asgi_scope(path='/items/1'))
        await asyncio.sleep(0.02)
    store = cache.stats().store
    assert (store.state, store.error, store.failing_seconds) == ('up', None, 0)
    assert store.command_seconds['reading'] > 0
    await cache._settings.store.close()


def test_sums_keep_every_number_and_reason():
    one = RouteStats('/a', 'm.a', hits=1, misses=2, bytes=3, endpoint_seconds=0.5, reasons={'miss': {'size': 1}})
    other = replace(one, reasons={'miss': {'size': 2, 'ttl': 1}, 'bypass': {'skip': 1}})
    both = together([one, other], '/a', 'm.a')
    assert both == RouteStats(
        '/a',
        'm.a',
        hits=2,
        misses=4,
        bytes=6,
        endpoint_seconds=1.0,
        reasons={'miss': {'size': 3, 'ttl': 1}, 'bypass': {'skip': 1}},
    )
    workers = [WorkerStats(name, 0.0, CacheStats(one, (one,))) for name in ('a:1', 'b:2')]
    summed = of_workers(CacheStats(), workers)
    assert (summed.total.hits, summed.routes[0].hits, summed.workers) == (2, 2, tuple(workers))


async def test_workers_that_share_a_store_see_the_sum(monkeypatch, backend_kind, new_backend, namespace):
    if backend_kind == 'memory':
        pytest.skip('not shared')
    monkeypatch.setattr(all_workers, 'FIRST_SECONDS', 0)
    monkeypatch.setattr(all_workers, 'INTERVAL_SECONDS', 0.05)
    workers = [app_over(new_backend(namespace=namespace)) for _ in range(3)]
    for number, (cache, app, _) in enumerate(workers):
        await cache.__aenter__()
        for _ in range(number + 1):
            await asgi_call(app, asgi_scope(path=f'/items/{number}'))
    try:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            seen = await workers[0][0].stats_of_all_workers()
            if seen.total.requests == 6:
                break
            await asyncio.sleep(0.05)
        assert (seen.total.misses, seen.total.hits, len(seen.workers)) == (3, 3, 3)
        assert seen.workers[0].age < 60
        await workers[2][0].__aexit__()
        assert (await workers[0][0].stats_of_all_workers()).total.requests == 3
    finally:
        for cache, _, _ in workers[:2]:
            await cache.__aexit__()


def writes(response: Response):
    response.headers['x-guard'] = 'yes'


GUARDS = {'no guard': (), 'a guard': (Depends(HTTPBasic()),), 'one that writes': (Depends(writes),)}


@pytest.mark.parametrize('dependencies', GUARDS.values(), ids=GUARDS)
async def test_seconds_saved_are_those_of_the_run_that_made_the_entry_in_whichever_process(
    dependencies, backend_kind, new_backend, namespace
):
    if backend_kind == 'memory':
        pytest.skip('not shared')

    def worker():
        cache, router, app = FastAPICache(new_backend(namespace=namespace)), caching_router(), FastAPI()

        @router.get('/slow', dependencies=dependencies)
        @cache(ttl=60)
        async def slow():
            await asyncio.sleep(0.05)
            return 1

        app.include_router(router)
        return cache, app

    (first, app), (second, again) = worker(), worker()
    scope = asgi_scope(path='/slow', headers=[(b'authorization', b'Basic YTpi')])
    async with first, second:
        await asgi_call(app, dict(scope))
        for _ in range(2):
            await asgi_call(again, dict(scope))
        (route,) = second.stats().routes
        took = first.stats().total.endpoint_seconds
    assert (route.hits, route.runs, took >= 0.05) == (2, 0, True)
    assert route.seconds_saved == pytest.approx(2 * took)


async def test_an_entry_that_is_confirmed_has_the_seconds_of_its_first_run():
    cache, router, app = FastAPICache(clock=(clock := Clock())), caching_router(), FastAPI()

    @router.get('/')
    @cache(ttl=60, revalidate=True)
    async def endpoint(request: Request):
        if 'if-none-match' in request.headers:
            return Response(status_code=304, headers={'etag': '"a"'})
        await asyncio.sleep(0.05)
        return Response(b'a', headers={'etag': '"a"'})

    app.include_router(router)
    await asgi_call(app, asgi_scope())
    clock.now += 61
    await asgi_call(app, asgi_scope())
    assert [it.endpoint_seconds >= 0.05 async for it in cache.entries()] == [True]
    assert cache.stats().total.seconds_saved == 0


@pytest.mark.parametrize('part', ['stats_of', 'json'])
@pytest.mark.parametrize('error', [ValueError, asyncio.CancelledError, SystemExit])
async def test_a_process_goes_on_publishing_whatever_fails(monkeypatch, part, error):
    monkeypatch.setattr(all_workers, 'FIRST_SECONDS', 0)
    monkeypatch.setattr(all_workers, 'INTERVAL_SECONDS', 0.01)
    cache, _, _ = app_over(Elsewhere())
    failed = []

    def fail(*_):
        failed.append(1)
        raise error

    with monkeypatch.context() as broken:
        broken.setattr(all_workers, part, SimpleNamespace(encode=fail) if part == 'json' else fail)
        async with cache:
            await until(lambda: len(failed) > 1)
            broken.undo()
            await until(lambda: cache._settings.store.board._slot)


async def test_a_worker_alone_sees_itself():
    cache, app, _ = app_over()
    await asgi_call(app, asgi_scope(path='/items/1'))
    seen = await cache.stats_of_all_workers()
    assert (seen.total.misses, len(seen.workers)) == (1, 1)


async def test_statistics_that_cannot_be_read_are_an_error_and_not_a_sum():
    backend = Elsewhere()
    cache, _, _ = app_over(backend)
    backend.failing = {'multi_get'}
    with pytest.raises(CacheError, match='ConnectionError'):
        await cache.stats_of_all_workers()
    await cache._settings.store.close()


async def test_what_another_version_has_published_is_left_out():
    cache, _, _ = app_over(Elsewhere())
    board = cache._settings.store.board
    await board.write('{"at": "never"}')
    board._name, board._slot = 'host:2:x', None
    assert len((await cache.stats_of_all_workers()).workers) == 1
    await cache._settings.store.close()


async def test_what_should_have_expired_long_ago_is_left_out():
    cache, _, _ = app_over(Elsewhere())
    board = cache._settings.store.board
    for number, at in enumerate((time.time() - 3600, time.time() - 5)):
        await board.write(f'{{"at": {at}, "routes": []}}')
        board._name, board._slot = f'host:{number}:x', None
    assert len((await cache.stats_of_all_workers()).workers) == 2  # the second one, and this one
    await cache._settings.store.close()


async def test_a_process_that_lost_its_place_takes_another():
    backend = Elsewhere()
    one, other = (app_over(backend)[0]._settings.store.board for _ in range(2))
    await one.write('1')
    await other.write('2')
    other._slot = one._slot
    await other.write('3')
    assert sorted((await one.texts()).values()) in (['1', '2', '3'], ['1', '3'])
    assert (await one.texts())[one.name] == '1'


def test_statistics_can_be_sent_as_json():
    cache, app, _ = app_over()
    TestClient(app).get('/items/1')
    assert msgspec.json.decode(msgspec.json.encode(cache.stats()), type=CacheStats) == cache.stats()
