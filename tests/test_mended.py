"""Holes that an attack has found in what lets answers be shared, and that are closed."""

import contextvars
from typing import Annotated

import pytest
from fastapi import Cookie, Depends, FastAPI, Header, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, Response
from starlette.applications import Starlette
from starlette.routing import Host
from starlette.testclient import TestClient

from fastapi_caching_route import ConfigurationError, FastAPICache
from tests.support import Clock, Elsewhere, caching_router, client_of, marks, memory_cache

tenant_now = contextvars.ContextVar('tenant')


class Tenant:
    def __init__(self, name):
        self.name = name

    async def __call__(self):
        tenant_now.set(self.name)


def of_factory(cache, _):
    """An app for each tenant, from one function."""

    def make(name):
        app, router = FastAPI(), caching_router()

        def tenant():
            return name

        @cache(ttl=60)
        @router.get('/x')
        async def endpoint(tenant: Annotated[str, Depends(tenant)]):
            return tenant

        app.include_router(router)
        return app

    return make


def of_includes(cache, router):
    """One router that is included for each tenant."""

    @cache(ttl=60)
    @router.get('/x')
    async def endpoint():
        return tenant_now.get()

    def make(name):
        app = FastAPI()
        app.include_router(router, dependencies=[Depends(Tenant(name))])
        return app

    return make


@pytest.mark.parametrize('kind', [of_factory, of_includes])
@pytest.mark.parametrize('explained', [False, True])
def test_no_process_gives_one_tenant_the_answer_of_another_in_whatever_order_they_ask(kind, explained):
    backend = Elsewhere()

    def process():
        cache = FastAPICache(backend)
        make = kind(cache, caching_router())
        app = Starlette(routes=[Host(f'{name}.test', make(name)) for name in ('ann', 'bob')])
        if explained:
            cache.explain(app.routes[-1].app)
        return TestClient(app)

    for order in (['ann', 'bob'], ['bob', 'ann'], ['bob', 'ann']):
        client = process()
        answers = [client.get('/x', headers={'host': f'{name}.test'}) for name in order]
        assert [it.json() for it in answers] == order
    assert marks(*answers) == ['HIT', 'HIT']


def check_key(x_key: Annotated[str, Header(min_length=8)]):
    if x_key != 'correct-key':
        raise HTTPException(401)


@pytest.mark.parametrize(
    'options',
    [
        {'identity': 'shared'},
        {'identity': lambda _: 'all'},
        {'key_builder': lambda _: 'key'},
        {'identity': 'shared', 'dependencies': [Depends(check_key)]},
    ],
    ids=['shared', 'identity', 'key_builder', 'explicit'],
)
def test_what_a_guard_says_of_values_that_are_not_valid_is_its_clients_alone(options):
    router, cache = caching_router(), memory_cache()
    guards = [] if 'dependencies' in options else [Depends(check_key)]

    @router.get('/', dependencies=guards)
    @cache(ttl=60, status_ttl={422: 60}, **options)
    async def endpoint():
        return 'report'

    client = client_of(router)
    assert client.get('/', headers={'x-key': 's3cret'}).status_code == 422
    answer = client.get('/', headers={'x-key': 'correct-key'})
    assert (answer.status_code, answer.json()) == (200, 'report')
    assert client.get('/', headers={'x-key': 's3cret'}).status_code == 422


def test_values_that_are_not_valid_do_not_count_as_a_failure_of_the_endpoint():
    clock, router, runs = Clock(), caching_router(), []
    cache = memory_cache(clock=clock)

    @router.get('/', dependencies=[Depends(check_key)])
    @cache(ttl=10, stale_if_error=100, identity='shared')
    async def endpoint():
        runs.append(1)
        return len(runs)

    client = client_of(router)

    @client.app.exception_handler(RequestValidationError)
    async def unavailable(request: Request, error: RequestValidationError):
        return JSONResponse('unavailable', 503)

    right = {'x-key': 'correct-key'}
    client.get('/', headers=right)
    clock.now += 11
    assert client.get('/', headers={'x-key': 'short'}).status_code in {422, 503}
    assert client.get('/', headers=right).json() == 2


def test_a_route_without_guards_may_have_its_422_stored():
    router, cache = caching_router(), memory_cache()

    @router.get('/')
    @cache(status_ttl={422: 60})
    async def endpoint(number: int):
        return number

    client = client_of(router)
    assert marks(client.get('/?number=x'), client.get('/?number=x')) == ['MISS', 'HIT']
    assert client.get('/?number=1').json() == 1


def test_a_refusal_is_not_stored_where_guards_run_on_misses_only():
    router, cache = caching_router(), memory_cache()

    def guard(x_token: Annotated[str, Header()] = ''):
        if not x_token:
            raise HTTPException(404)

    @router.get('/', dependencies=[Depends(guard)])
    @cache(key_builder=lambda _: 'key', status_ttl={404: 60}, route_dependencies='on_miss')
    async def endpoint():
        return 'for members'

    client = client_of(router)
    assert client.get('/').status_code == 404
    assert client.get('/', headers={'x-token': 'good'}).json() == 'for members'


def test_what_is_wrong_with_a_range_or_a_precondition_is_not_told_to_others(tmp_path):
    router, cache = caching_router(), memory_cache()
    (tmp_path / 'file').write_text('content')

    @router.get('/file')
    @cache(ttl=60, status_ttl={400: 30})
    async def file():
        return FileResponse(tmp_path / 'file')

    @router.get('/raw')
    @cache(ttl=60, status_ttl={400: 30})
    async def raw(request: Request):
        asks = any(name in request.headers for name in ('if-match', 'if-none-match', 'if-unmodified-since'))
        return Response('bad' if asks else 'good', 400 if asks else 200)

    client = client_of(router)
    client.get('/file', headers={'range': 'bytes=a-'})
    assert client.get('/file').text == 'content'
    for name in ('if-match', 'if-none-match', 'if-unmodified-since'):
        assert client.get('/raw', headers={name: '"x"'}).headers['cache-status'].endswith('detail=precondition')
    assert client.get('/raw').text == 'good'


@pytest.mark.parametrize('identity', ['auto', 'shared'])
def test_what_differs_by_a_cookie_is_not_told_to_be_for_all(identity):
    router, cache = caching_router(), memory_cache()

    @cache(ttl=60, cache_control='public, max-age=60', identity=identity)
    async def endpoint(session: Annotated[str, Cookie()] = ''):
        return session

    with pytest.raises(ConfigurationError, match='public'):
        router.get('/')(endpoint)


def test_an_error_with_a_time_of_its_own_has_no_stale_window():
    clock, router, found = Clock(), caching_router(), []
    cache = memory_cache(clock=clock)

    @router.get('/')
    @cache(ttl=60, stale_while_revalidate=3600, stale_if_error=3600, status_ttl={404: 5})
    async def endpoint():
        if not found:
            raise HTTPException(404)
        return 'there'

    client = client_of(router)
    assert client.get('/').status_code == 404
    found.append(1)
    clock.now += 6
    assert client.get('/').json() == 'there'
    clock.now += 61
    assert client.get('/').headers['x-cache'] == 'HIT'


def test_a_renewal_that_fails_takes_the_place_of_nothing():
    clock, router, broken = Clock(), caching_router(), []
    cache = memory_cache(clock=clock)

    @router.get('/')
    @cache(ttl=10, stale_while_revalidate=3600, status_ttl={500: 30})
    async def endpoint():
        return Response('broken' if broken else 'good', 500 if broken else 200)

    client = client_of(router)
    client.get('/')
    broken.append(1)
    clock.now += 11
    assert [client.get('/').text for _ in range(3)] == ['good'] * 3


def test_a_store_if_that_must_be_awaited_stores_nothing(caplog):
    router, cache = caching_router(), memory_cache()

    async def wanted(response):
        return False

    @router.get('/')
    @cache(ttl=60, store_if=lambda response: wanted(response))  # noqa: PLW0108, an async function itself is refused
    async def endpoint():
        return 'answer'

    client = client_of(router)
    assert marks(client.get('/'), client.get('/')) == [None, None]
    assert ['must be awaited' in it.getMessage() for it in caplog.records] == [True]
