"""`cache.install(app)` lets `@app.get` routes be cached."""

import pytest
from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from starlette.applications import Starlette
from starlette.testclient import TestClient

from fastapi_caching_route import CachingRoute, ConfigurationError, FastAPICache
from tests.support import found


class Own(APIRoute):
    """A route class of the user's."""

    def __init__(self, path, endpoint, **options):
        super().__init__(path, endpoint, **{**options, 'summary': 'of its own'})


def with_a_route(app, cache, builder=None):
    @(builder or app).get('/items')
    @cache(ttl=60)
    async def items():
        return [1]

    return app


def test_routes_of_the_app_are_cached():
    app, cache = FastAPI(), FastAPICache()
    cache.install(app)
    assert found(TestClient(with_a_route(app, cache)), '/items', '/items') == ['MISS', 'HIT']


def test_routes_of_a_router_are_cached():
    app, router, cache = FastAPI(), APIRouter(), FastAPICache()
    cache.install(router)
    with_a_route(app, cache, router)
    app.include_router(router)
    assert found(TestClient(app), '/items', '/items') == ['MISS', 'HIT']


@pytest.mark.parametrize(
    'own', [Own, CachingRoute, type('Both', (Own, CachingRoute), {}), type('Both', (CachingRoute, Own), {})]
)
def test_a_route_class_of_its_own_stays(own):
    app, cache = FastAPI(), FastAPICache()
    app.router.route_class = own
    cache.install(app)
    cache.install(app)
    assert found(TestClient(with_a_route(app, cache)), '/items', '/items') == ['MISS', 'HIT']
    summary = app.openapi()['paths']['/items']['get']['summary']
    assert summary == ('of its own' if issubclass(own, Own) else 'Items')


def test_it_is_refused_after_a_decorated_route():
    cache = FastAPICache()
    app = with_a_route(FastAPI(), cache)
    with pytest.raises(ConfigurationError, match=r'install comes too late for .*items, which has a plain route'):
        cache.install(app)


def test_it_is_refused_for_what_builds_no_routes():
    with pytest.raises(ConfigurationError, match='install takes a FastAPI app or an APIRouter, got Starlette'):
        FastAPICache().install(Starlette())
