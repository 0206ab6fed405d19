"""A cache whose backend is set when the app starts: before, it bypasses; then, it is a cache like any other."""

import asyncio
import logging
from contextlib import asynccontextmanager

import pytest
from fastapi import Depends, FastAPI
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient

from fastapi_caching_route import (
    CacheParams,
    ConfigurationError,
    FastAPICache,
    InvalidationError,
    MemoryCache,
)
from fastapi_caching_route._store.deferred import MAX_PENDING
from tests.backends.fakes import Elsewhere
from tests.support import caching_router, client_of, found, marks

NO_BACKEND = 'the cache has no backend yet: call cache.use(backend) in the lifespan'


def made(**options):
    """A deferred cache, its router, and how often the endpoint ran."""
    cache, router, runs = FastAPICache.deferred(**options), caching_router(), []

    @router.get('/things/{number}')
    @cache(ttl=60, tags=['thing:{number}'], namespace='things')
    async def thing(number: int):
        runs.append(number)
        return number

    @router.put('/things/{number}')
    async def put(number: int):
        return number

    @router.get('/built')
    @cache(ttl=60, key_builder=lambda request: 'built', namespace='built')
    async def built():
        return 'by the endpoint'

    return cache, router, runs


def started(cache, router, new_backend):
    @asynccontextmanager
    async def lifespan(app):
        cache.use(new_backend())
        async with cache.lifespan(app):
            yield

    return client_of(router, lifespan=lifespan)


def errors_in(caplog):
    return [it.getMessage() for it in caplog.records if it.levelno == logging.ERROR]


# Before and after


@pytest.mark.parametrize('new_backend', [MemoryCache, Elsewhere, lambda: 'memory://'])
def test_after_use_it_is_a_cache_like_any_other(new_backend, caplog):
    cache, router, runs = made(store_timeout=5)
    with started(cache, router, new_backend) as client:
        assert found(client, '/things/1', '/things/1') == ['MISS', 'HIT']
        client.put('/things/1')
        assert found(client, '/things/1') == ['MISS']
    assert runs == [1, 1]
    assert not caplog.records


def test_before_use_each_request_bypasses_with_one_error_in_the_log(caplog):
    cache, router, runs = made()
    client = client_of(router)
    answers = [client.get('/things/1') for _ in range(3)]
    assert [it.json() for it in answers] == [1, 1, 1]
    assert marks(*answers) == [None] * 3
    assert answers[0].headers['cache-status'] == 'FastAPICache; fwd=bypass; detail=no-backend'
    assert runs == [1, 1, 1]
    (error,) = errors_in(caplog)
    assert NO_BACKEND in error
    cache.use(MemoryCache())
    assert found(client, '/things/1', '/things/1') == ['MISS', 'HIT']


def test_guards_run_before_use_too():
    cache, router = FastAPICache.deferred(), caching_router()
    seen = []

    def guard():
        seen.append(1)

    @router.get('/')
    @cache(ttl=60, dependencies=[Depends(guard)])
    async def endpoint():
        return 1

    client_of(router).get('/')
    assert seen == [1]


def test_keys_have_the_namespace_of_the_backend_though_requests_came_before():
    cache, router, _ = made()
    backend = Elsewhere(namespace='shop')
    client = client_of(router)
    client.get('/things/1')
    cache.use(backend)
    assert found(client, '/things/1') == ['MISS']
    assert backend.kept
    assert all(key.startswith('shop') for key in backend.kept)


def test_a_disabled_cache_that_waits_for_its_backend_is_just_disabled(caplog):
    cache, router, _ = made()
    with cache.disabled():
        assert client_of(router).get('/things/1').headers['cache-status'].endswith('detail=disabled')
        cache.use(MemoryCache())
        assert client_of(router).get('/things/1').headers['cache-status'].endswith('detail=disabled')
    assert not caplog.records
    assert found(client_of(router), '/things/1', '/things/1') == ['MISS', 'HIT']


def test_explain_does_not_need_a_backend():
    cache, router, _ = made()
    app = FastAPI()
    app.include_router(router)
    (report,) = [it for it in cache.explain(app) if it.path == '/things/{number}' and it.cached]
    assert (report.namespace, report.warnings) == ('things', ())


def test_all_options_may_be_given():
    cache = FastAPICache.deferred(version='2', document=True)
    assert (cache._settings.version, cache._settings.document) == ('2', True)


# Misuse


def test_the_backend_can_be_had_after_use_only():
    cache, backend = FastAPICache.deferred(), MemoryCache()
    with pytest.raises(ConfigurationError, match='no backend yet'):
        _ = cache.backend
    cache.use(backend)
    assert cache.backend is backend


def test_to_use_a_second_backend_is_an_error():
    cache = FastAPICache.deferred()
    cache.use(MemoryCache())
    with pytest.raises(ConfigurationError, match='was called before'):
        cache.use(MemoryCache())


def test_to_use_a_backend_on_a_cache_that_has_one_is_an_error():
    with pytest.raises(ConfigurationError, match=r'is for a cache from FastAPICache.deferred\(\)'):
        FastAPICache().use(MemoryCache())


@pytest.mark.parametrize('backend', [None, 6379, {'password': 'sesame'}, 'redis://:sesame@h?nothing=1'])
def test_what_is_no_backend_is_refused_and_may_be_tried_again(backend):
    cache = FastAPICache.deferred()
    with pytest.raises(ConfigurationError) as refused:
        cache.use(backend)
    assert 'sesame' not in str(refused.value)
    cache.use(MemoryCache())


@pytest.mark.parametrize('cache', [FastAPICache(), FastAPICache.deferred()])
def test_to_assign_a_backend_names_the_remedy(cache):
    with pytest.raises(ConfigurationError, match=r'call cache.use\(backend\) in the lifespan'):
        cache.backend = 'redis://:sesame@h'


def test_an_app_can_be_started_again():
    cache, router, _ = made()
    for _ in range(2):
        with started(cache, router, lambda: MemoryCache(namespace='shop')) as client:
            assert found(client, '/things/1', '/things/1') == ['MISS', 'HIT']
    with pytest.raises(ConfigurationError, match="namespace='shop'"), started(cache, router, MemoryCache):
        pass


async def test_a_cache_in_use_again_does_not_take_another_backend():
    cache = FastAPICache.deferred()
    cache.use(MemoryCache())
    async with cache:
        pass
    async with cache:
        with pytest.raises(ConfigurationError, match='was called before'):
            cache.use(MemoryCache())


# Invalidations and keys before use


async def test_an_invalidation_before_use_is_pending_and_is_sent_then(caplog):
    """Another process may have stored what is invalidated."""
    backend = Elsewhere()
    first, router, _ = made(store_timeout=5)
    first.use(backend)
    with client_of(router) as client:
        assert found(client, '/things/1', '/things/2', '/things/1', '/things/2') == ['MISS', 'MISS', 'HIT', 'HIT']
    second = FastAPICache.deferred()
    with pytest.raises(InvalidationError, match='no backend yet'):
        await second.invalidate_tags('thing:1')
    assert len(errors_in(caplog)) == 1
    second.use(backend)
    async with second:
        pass
    with TestClient(client.app) as client:
        assert found(client, '/things/1', '/things/2') == ['MISS', 'HIT']


@pytest.mark.parametrize('how', ['key', 'namespace', 'many'])
async def test_what_depends_on_the_namespace_of_the_backend_invalidates_everything(how):
    backend = Elsewhere(namespace='shop')
    first, router, _ = made(store_timeout=5)
    first.use(backend)
    with client_of(router) as client:
        assert found(client, '/things/1', '/things/1') == ['MISS', 'HIT']
    second = FastAPICache.deferred()
    with pytest.raises(InvalidationError):
        await {
            'key': lambda: second.invalidate_cached('key'),
            'namespace': lambda: second.invalidate_namespace('things'),
            'many': lambda: second.invalidate_tags(*map(str, range(MAX_PENDING + 1))),
        }[how]()
    second.use(backend)
    async with second:
        pass
    with TestClient(client.app) as client:
        assert found(client, '/things/1') == ['MISS']


def test_invalidations_that_do_not_wait_are_pending_too():
    cache = FastAPICache.deferred()
    cache.invalidate_soon(tags=['a'])
    with pytest.raises(InvalidationError):
        cache.invalidate_now(tags=['b'])
    backend = Elsewhere()
    cache.use(backend)
    asyncio.run(closed(cache))
    assert not cache._settings.store._pending
    assert backend.commands


async def closed(cache):
    async with cache:
        pass


def test_a_write_before_use_succeeds_and_is_pending(caplog):
    cache, router, _ = made()
    assert client_of(router).put('/things/1').status_code == 200
    assert list(cache._settings.store._pending)
    assert len(errors_in(caplog)) == 1


async def test_before_use_nothing_is_found_or_stored():
    cache, router, _ = made()
    await cache.set_cached('built', PlainTextResponse('given'), CacheParams(namespace='built'))
    assert await cache.get_cached('built', 'built') is None
    cache.use(MemoryCache(namespace='shop', ttl=5))
    await cache.set_cached('built', PlainTextResponse('given'), CacheParams(namespace='built'))
    answer = client_of(router).get('/built')
    assert (answer.text, marks(answer)) == ('given', ['HIT'])


async def test_the_ttl_of_a_route_that_was_decorated_before_use_counts():
    cache, router, _ = made()
    cache.use(MemoryCache(namespace='shop', ttl=5))
    await cache.set_cached('built', PlainTextResponse('given'), CacheParams(namespace='built'))
    assert 40 < int(client_of(router).get('/built').headers['cache-status'].partition('ttl=')[2][:2]) <= 60


def test_use_inside_of_the_lifespan_of_the_cache_is_fine_too():
    cache, router, _ = made(store_timeout=5)

    @asynccontextmanager
    async def lifespan(app):
        async with cache.lifespan(app):
            cache.use(Elsewhere())
            yield

    with client_of(router, lifespan=lifespan) as client:
        assert found(client, '/things/1', '/things/1') == ['MISS', 'HIT']
