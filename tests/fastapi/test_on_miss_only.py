"""Dependencies of which the user says that they authorize nobody: they need not run on hits."""

from typing import Annotated

import pytest
from fastapi import Cookie, Depends, FastAPI, HTTPException, Request
from fastapi.security import HTTPBasic
from starlette.testclient import TestClient

from fastapi_caching_route import CachePolicy, ConfigurationError, FastAPICache
from tests.support import caching_router, marks

ran = []


@pytest.fixture(autouse=True)
def _nothing_ran():
    ran.clear()


def session(request: Request):
    ran.append(session)
    return request.app.title


def of_a_session(name: Annotated[str, Depends(session)]):
    ran.append(of_a_session)
    return name


def by_cookie(request: Request, sid: Annotated[str, Cookie()] = ''):
    ran.append(by_cookie)
    if sid == 'revoked':
        raise HTTPException(401)


def by_scheme(request: Request, _: Annotated[object, Depends(HTTPBasic(auto_error=False))]):
    ran.append(by_scheme)


def app_of(dependency, cache=None, dependencies=(), **options):
    app, router = FastAPI(title='shop'), caching_router()

    @router.get('/', dependencies=dependencies)
    @(cache or FastAPICache())(ttl=60, **options)
    async def endpoint(value: Annotated[object, Depends(dependency)]):
        return value

    app.include_router(router)
    return TestClient(app)


@pytest.mark.parametrize(('dependency', 'runs'), [(session, 1), (of_a_session, 2)])
def test_a_session_runs_on_misses_only_if_the_user_says_so(dependency, runs):
    client = app_of(dependency, on_miss_only=[session])
    assert marks(*(client.get('/') for _ in range(3))) == ['MISS', 'HIT', 'HIT']
    assert len(ran) == runs
    client = app_of(dependency)
    assert marks(*(client.get('/') for _ in range(3))) == ['MISS', 'HIT', 'HIT']
    assert len(ran) == runs + 3 * runs


def test_it_can_be_said_for_all_routes_of_a_cache():
    client = app_of(session, FastAPICache(policy=CachePolicy(on_miss_only=[session])))
    assert marks(client.get('/'), client.get('/')) == ['MISS', 'HIT']
    assert ran == [session]


@pytest.mark.parametrize('dependency', [by_cookie, by_scheme])
def test_what_declares_a_person_runs_all_the_same(dependency):
    client = app_of(dependency, on_miss_only=[dependency])
    for _ in range(2):
        client.get('/')
    assert ran == [dependency] * 2


def test_a_dependency_without_a_name_runs_all_the_same():
    client = app_of(lambda: 1, dependencies=[Depends(session)], on_miss_only=[session])
    for _ in range(2):
        client.get('/')
    assert ran == [session] * 2


def test_what_it_reads_on_a_miss_still_selects_the_response():
    def language(request: Request):
        ran.append(language)
        return request.headers.get('accept-language', 'en')

    client = app_of(language, on_miss_only=[language])
    asked = [client.get('/', headers={'accept-language': it}) for it in ('de', 'fr', 'de', 'fr')]
    assert [it.json() for it in asked] == ['de', 'fr', 'de', 'fr']
    assert marks(*asked) == ['MISS', 'MISS', 'HIT', 'HIT']
    assert len(ran) == 2


def test_explain_shows_that_it_does_not_run_on_hits():
    cache = FastAPICache()
    client = app_of(session, cache, on_miss_only=[session])
    (report,) = [it for it in cache.explain(client.app) if it.cached]
    assert not [it for it in report.guards if 'session' in it]
    assert any('session' in it for it in report.not_run_on_hits)


@pytest.mark.parametrize(
    'wrong', [session, 'session', [Depends(session)], [1]], ids=['function', 'str', 'Depends', 'int']
)
def test_only_a_list_of_functions_is_taken(wrong):
    with pytest.raises(ConfigurationError, match='on_miss_only'):
        app_of(session, on_miss_only=wrong)
