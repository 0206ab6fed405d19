"""One function behind routes of several caches: a route that is served keeps its own."""

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from fastapi_caching_route import CacheControl, FastAPICache
from tests.support import caching_router, client_of


async def report():
    return 'report'


def routed(path, cache, **options):
    """A router with the function, decorated with this cache."""
    router = caching_router()
    router.get(path)(cache(**options)(report))
    return router


@pytest.fixture
def both():
    """Two caches and a client of both routes. The first route is served before the second cache decorates."""
    one, other = FastAPICache(cache_header='X-One'), FastAPICache(cache_header='X-Other')
    app = FastAPI()
    with TestClient(app) as client:
        app.include_router(routed('/one', one, ttl=60, cache_control=CacheControl(max_age=1)))
        client.get('/one')
        app.include_router(routed('/other', other, ttl=60, cache_control=CacheControl(max_age=2)))
        client.get('/other')
        yield one, other, client


def test_each_route_keeps_the_cache_and_the_options_with_which_it_was_served_first(both):
    *_, client = both
    for path, header, age in (('/one', 'x-one', 1), ('/other', 'x-other', 2)):
        response = client.get(path)
        assert (response.headers[header], response.headers['cache-control']) == ('HIT', f'max-age={age}')


def test_a_cache_that_decorates_it_later_does_not_change_the_routes_of_others(both):
    *_, client = both
    FastAPICache(cache_header='X-Late')(ttl=5)(report)
    assert client.get('/one').headers['x-one'] == 'HIT'
    assert client.get('/other').headers['x-other'] == 'HIT'


def test_each_cache_invalidates_its_own_route(both):
    one, other, client = both

    def asked():
        return [client.get(path).headers[header] for path, header in (('/one', 'x-one'), ('/other', 'x-other'))]

    asked()
    client.portal.call(one.invalidate_endpoint, report)
    assert asked() == ['MISS', 'HIT']
    client.portal.call(other.invalidate_endpoint, report)
    assert asked() == ['HIT', 'MISS']


def test_the_same_cache_applies_its_last_decorator(caplog):
    cache = FastAPICache()

    async def twice():
        return 'twice'

    router = caching_router()
    cache(ttl=60, cache_control='max-age=2')(router.get('/twice')(cache(ttl=60, cache_control='max-age=1')(twice)))
    with client_of(router) as client:
        assert client.get('/twice').headers['cache-control'] == 'max-age=2'
        cache(ttl=60, cache_control='max-age=3')(twice)
        assert client.get('/twice').headers['cache-control'] == 'max-age=3'
    assert 'it is decorated twice' in caplog.text
