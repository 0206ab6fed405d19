"""Named dependencies that may refuse a request: they run before an entry answers, or a warning says they do not."""

import functools
import logging
from typing import Annotated, Any

import fastapi
import pytest
from fastapi import Depends, FastAPI, Header, HTTPException, Query, Request
from fastapi.responses import JSONResponse
from fastapi.testclient import TestClient
from starlette.requests import HTTPConnection

from fastapi_caching_route import CacheContext
from tests.support import caching_router, client_of, marks, memory_cache


@pytest.mark.parametrize('identity', ['auto', 'shared', lambda _request: 'all'])
@pytest.mark.parametrize('kind', [Request, HTTPConnection])
@pytest.mark.parametrize('nested', [False, True])
def test_a_revoked_token_that_a_dependency_reads_of_the_raw_request_gets_no_stored_response(identity, kind, nested):
    router, cache, users, runs = caching_router(), memory_cache(), {'t1': 'ada', 't2': 'bob'}, []

    def session(connection: kind):
        if (user := users.get(connection.headers.get('x-token', ''))) is None:
            raise HTTPException(401)
        return user

    def below(user: Annotated[str, Depends(session)]):
        return user

    @router.get('/')
    @cache(ttl=60, identity=identity)
    async def profile(user: Annotated[str, Depends(below if nested else session)]):
        runs.append(user)
        return user

    client = client_of(router)
    asked = [client.get('/', headers={'x-token': it}) for it in ('t1', 't1', 't2', 'none')]
    assert [it.json() for it in asked[:3]] == ['ada', 'ada', 'bob']
    assert marks(*asked) == ['MISS', 'HIT', 'MISS', None]
    del users['t1']
    assert client.get('/', headers={'x-token': 't1'}).status_code == 401
    assert client.get('/', headers={'x-token': 't2'}).headers['x-cache'] == 'HIT'
    assert runs == ['ada', 'bob']


def test_a_dependency_that_takes_the_context_of_the_cache_alone_is_no_guard():
    router, cache, runs = caching_router(), memory_cache(), []

    def counted(context: Annotated[CacheContext, Depends()]):
        runs.append(context)

    @router.get('/')
    @cache(ttl=60)
    async def endpoint(_: Annotated[None, Depends(counted)]):
        return 1

    client = client_of(router)
    assert marks(client.get('/'), client.get('/')) == ['MISS', 'HIT']
    assert len(runs) == 1


class QuotaError(Exception):
    """Of which a handler of the app makes a 429."""


DENIED = HTTPException(403)


def raising(x_plan: Annotated[str, Header()] = ''):
    if x_plan == 'none':
        raise HTTPException(402)


def raising_by_module(x_plan: Annotated[str, Header()] = ''):
    if x_plan == 'none':
        raise fastapi.HTTPException(402)


def raising_what_was_made(x_plan: Annotated[str, Header()] = ''):
    refusal = HTTPException(402)
    if x_plan == 'none':
        raise refusal


def raising_a_constant(x_plan: Annotated[str, Header()] = ''):
    if x_plan == 'none':
        raise DENIED


async def raising_what_is_handled(q: Annotated[str, Query()] = ''):
    if q == 'none':
        raise QuotaError from None


class Raising:
    def __init__(self, q: str = ''):
        if q == 'none':
            raise HTTPException(402)


class Called:
    def __call__(self, q: str = ''):
        if q == 'none':
            raise HTTPException(402)


def wrapped(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)

    return wrapper


def nesting(_: Annotated[None, Depends(raising)]):
    """It refuses by what is below it."""


def harmless(q: str = ''):
    if q == 'none':
        raise ValueError(q)  # a failure, of which nobody makes a response

    def later():
        raise HTTPException(402)

    return later


def app_of(dependency, **options):
    router, cache, app = caching_router(), memory_cache(), FastAPI()

    @app.exception_handler(QuotaError)
    async def quota(_request: Request, _error: QuotaError):
        return JSONResponse('too many', 429)

    @app.exception_handler(Exception)
    async def failure(_request: Request, _error: Exception):
        return JSONResponse('failed', 500)

    async def endpoint(_: Annotated[Any, Depends(dependency)]):
        return 1

    for path in ('/', '/again'):
        router.get(path, **options)(cache(ttl=60)(endpoint))
    app.include_router(router)
    return app, cache


REFUSING = [
    *(raising, raising_by_module, raising_what_was_made, raising_a_constant, raising_what_is_handled),
    *(Raising, Called(), wrapped(raising), functools.partial(raising), nesting),
]


@pytest.mark.parametrize('dependency', REFUSING, ids=lambda it: getattr(it, '__name__', type(it).__name__))
def test_a_dependency_that_refuses_requests_and_does_not_run_on_hits_is_warned_of_once(dependency, caplog):
    app, cache = app_of(dependency)
    client = TestClient(app)
    with caplog.at_level(logging.WARNING, 'fastapi_caching_route'):
        asked = [client.get(path) for path in ('/', '/', '/again')]
    assert marks(*asked) == ['MISS', 'HIT', 'MISS']
    [warning] = [it.getMessage() for it in caplog.records]
    assert 'refuses requests but does not run on hits' in warning
    assert 'dependencies=[...]' in warning
    for report in cache.explain(app):
        told = [it for it in report.warnings if 'refuses requests' in it]
        assert len(told) == (1 if report.cached else 0)


without_source: dict[str, Any] = {'HTTPException': HTTPException}
exec('def made(q: str = ""):\n    raise HTTPException(402) if q else None\n', without_source)  # noqa: S102


@pytest.mark.parametrize(
    'dependency',
    [harmless, without_source['made'], lambda: 1, functools.partial(harmless, q='a')],
    ids=['harmless', 'no source', 'lambda', 'partial'],
)
def test_a_dependency_that_is_not_seen_to_refuse_anything_is_not_warned_of(dependency, caplog):
    app, _ = app_of(dependency)
    with caplog.at_level(logging.WARNING, 'fastapi_caching_route'):
        TestClient(app, raise_server_exceptions=False).get('/')
    assert caplog.records == []


def test_a_dependency_that_refuses_and_runs_on_hits_too_is_not_warned_of(caplog):
    app, _ = app_of(raising, dependencies=[Depends(raising)])
    client = TestClient(app)
    with caplog.at_level(logging.WARNING, 'fastapi_caching_route'):
        assert client.get('/', headers={'x-plan': 'none'}).status_code == 402
    assert caplog.records == []
