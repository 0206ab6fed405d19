"""`fastapi_caching_route.testing`: fixtures for tests of apps with a cache."""

from typing import Annotated

import pytest
from fastapi import Depends, FastAPI
from starlette.testclient import TestClient

from fastapi_caching_route import CacheContext, FastAPICache, MemoryCache
from fastapi_caching_route.testing import (
    SettableClock,
    cache_clock,  # noqa: F401, a fixture
    cache_disabled,  # noqa: F401, a fixture
    disabled_caches,
    fresh_cache,  # noqa: F401, a fixture
    fresh_caches,
)
from tests.backends.fakes import Elsewhere
from tests.support import caching_router, found

backend = Elsewhere(namespace='shop')
cache = FastAPICache(backend)


def new_app(cache):
    app, router = FastAPI(), caching_router()

    @router.get('/items/{item}')
    @cache(ttl=60, tags=['items'])
    async def get_item(item: int):
        return item

    @router.post('/items')
    @cache.invalidates(tags=['items'])
    async def add_item():
        return 1

    @router.post('/more')
    async def add_more(context: Annotated[CacheContext, Depends()]):
        context.invalidate(tags=['items'])

    app.include_router(router)
    return app


app = new_app(cache)


@pytest.fixture
def client():
    with TestClient(app) as client:
        yield client


@pytest.mark.usefixtures('cache_disabled')
def test_while_caches_are_disabled_every_request_reaches_its_endpoint(client):
    assert found(client, '/items/1', '/items/1') == [None, None]


@pytest.mark.usefixtures('fresh_cache')
@pytest.mark.parametrize('_', range(2))
def test_each_test_begins_with_an_empty_cache(client, _):
    assert found(client, '/items/1', '/items/1') == ['MISS', 'HIT']


@pytest.mark.parametrize('write', ['/items', '/more'])
@pytest.mark.usefixtures('fresh_cache')
def test_writes_invalidate_in_the_cache_of_the_test(client, write):
    assert found(client, '/items/1', '/items/1') == ['MISS', 'HIT']
    client.post(write)
    assert found(client, '/items/1') == ['MISS']


def test_the_clock_decides_what_is_fresh(client, cache_clock):  # noqa: F811
    assert found(client, '/items/1') == ['MISS']
    cache_clock.move(59)
    assert found(client, '/items/1') == ['HIT']
    assert client.get('/items/1').headers['age'] == '59'
    cache_clock.move(1)
    assert found(client, '/items/1') == ['MISS']


def test_the_backend_is_not_asked_and_afterwards_everything_is_as_it_was(client):
    assert found(client, '/items/7', '/items/7') == ['MISS', 'HIT']
    before = {name: getattr(cache._settings.runtime, name) for name in ('store', 'clock', 'flights', 'failing')}
    stored = {**backend.kept}
    with fresh_caches(SettableClock(5)):
        assert found(client, '/items/7', '/items/7') == ['MISS', 'HIT']
        client.post('/items')
        assert found(client, '/items/7') == ['MISS']
        assert cache.stats().total.hits > 0
    assert backend.kept == stored
    assert before == {name: getattr(cache._settings.runtime, name) for name in before}
    assert found(client, '/items/7') == ['HIT']
    client.post('/items')
    assert found(client, '/items/7') == ['MISS']


def test_it_ends_when_a_test_fails(client):
    assert found(client, '/items/8') == ['MISS']
    with pytest.raises(ZeroDivisionError), fresh_caches(), disabled_caches():
        raise ZeroDivisionError
    assert found(client, '/items/8') == ['HIT']


def test_a_deferred_cache_keeps_its_store_and_gets_the_clock():
    deferred, clock = FastAPICache.deferred(), SettableClock()
    client = TestClient(new_app(deferred))
    with fresh_caches(clock):
        deferred.use(MemoryCache())
        assert found(client, '/items/1', '/items/1') == ['MISS', 'HIT']
        clock.move(60)
        assert found(client, '/items/1') == ['MISS']
