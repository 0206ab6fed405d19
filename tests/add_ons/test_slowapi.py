"""slowapi limits rates. On hits its decorator does not run: a limit that must count hits is a dependency."""

import pytest
from fastapi import Depends, FastAPI, Request
from starlette.testclient import TestClient

from fastapi_caching_route import FastAPICache
from tests.add_ons.libraries import library
from tests.support import caching_router, found, memory_cache

slowapi, errors, util = library('slowapi', 'slowapi', 'slowapi.errors', 'slowapi.util')
pytestmark = pytest.mark.filterwarnings('ignore::DeprecationWarning')


def client_of(router, limiter):
    app = FastAPI()
    app.state.limiter = limiter
    app.add_exception_handler(errors.RateLimitExceeded, slowapi._rate_limit_exceeded_handler)
    app.include_router(router)
    return TestClient(app)


@pytest.fixture
def limiter():
    return slowapi.Limiter(key_func=util.get_remote_address)


def test_its_decorator_counts_misses_only(limiter):
    router, cache = caching_router(), memory_cache()

    @router.get('/report')
    @cache(ttl=60)
    @limiter.limit('2/minute')
    async def report(request: Request, year: int = 2026) -> int:
        return year

    client = client_of(router, limiter)
    assert found(client, *['/report'] * 4) == ['MISS', 'HIT', 'HIT', 'HIT']
    assert client.get('/report?year=1').status_code == 200
    refused = client.get('/report?year=2')
    assert refused.status_code == 429
    assert refused.headers['cache-status'].endswith('detail=status')
    assert client.get('/report').headers['x-cache'] == 'HIT'


def test_clients_have_entries_of_their_own_because_the_limiter_reads_the_address(limiter):
    router, cache = caching_router(), memory_cache()

    @router.get('/report')
    @cache(ttl=60)
    @limiter.limit('9/minute')
    async def report(request: Request) -> int:
        return 1

    client = client_of(router, limiter)
    other = TestClient(client.app, client=('10.0.0.2', 50000))
    assert found(client, '/report', '/report') == ['MISS', 'HIT']
    assert found(other, '/report', '/report') == ['MISS', 'HIT']


def test_clients_share_entries_where_only_declared_inputs_count(limiter):
    router, cache = caching_router(), memory_cache()

    @router.get('/report')
    @cache(ttl=60, reads='declared')
    @limiter.limit('9/minute')
    async def report(request: Request) -> int:
        return 1

    client = client_of(router, limiter)
    other = TestClient(client.app, client=('10.0.0.2', 50000))
    assert found(client, '/report') + found(other, '/report') == ['MISS', 'HIT']


def test_a_limit_that_counts_hits_is_a_dependency(limiter):
    router, cache = caching_router(), memory_cache()

    @limiter.limit('3/minute')
    async def limited(request: Request) -> None: ...

    @router.get('/report', dependencies=[Depends(limited)])
    @cache(ttl=60, identity='shared')
    async def report() -> int:
        return 1

    client = client_of(router, limiter)
    assert found(client, *['/report'] * 3) == ['MISS', 'HIT', 'HIT']
    assert client.get('/report').status_code == 429
    other = TestClient(client.app, client=('10.0.0.2', 50000))
    assert found(other, '/report') == ['HIT']


@pytest.mark.parametrize('name', ['SlowAPIMiddleware', 'SlowAPIASGIMiddleware'])
def test_its_middleware_counts_hits(name):
    middleware = library('slowapi', 'slowapi.middleware')
    limiter = slowapi.Limiter(key_func=util.get_remote_address, default_limits=['3/minute'])
    app, cache = FastAPI(), FastAPICache()
    cache.install(app)
    app.state.limiter = limiter
    app.add_middleware(getattr(middleware, name))
    app.add_exception_handler(errors.RateLimitExceeded, slowapi._rate_limit_exceeded_handler)

    @app.get('/report')
    @cache(ttl=60)
    async def report() -> int:
        return 1

    client = TestClient(app)
    assert found(client, *['/report'] * 3) == ['MISS', 'HIT', 'HIT']
    assert client.get('/report').status_code == 429


def test_explain_names_its_decorator(limiter):
    router, cache = caching_router(), memory_cache()

    @router.get('/report')
    @cache(ttl=60)
    @limiter.limit('2/minute')
    async def report(request: Request) -> int:
        return 1

    app = client_of(router, limiter).app
    (said,) = [it for it in cache.explain(app) if it.path == '/report']
    assert said.not_run_on_hits == ('decorator slowapi.extension.async_wrapper',)
