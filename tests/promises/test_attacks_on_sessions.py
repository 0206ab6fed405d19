"""Sessions, cookies and users of middleware never mix."""

import itertools
from typing import Annotated

import pytest
from fastapi import Depends, FastAPI, Request, Response
from starlette.authentication import AuthCredentials, AuthenticationBackend, SimpleUser
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.testclient import TestClient

from fastapi_caching_route import FastAPICache
from tests.promises.attacks import attacked
from tests.support import caching_router, marks, memory_cache


def test_a_cookie_that_an_endpoint_sets_is_never_replayed_to_another_client(backend):
    router, cache = caching_router(), FastAPICache(backend, store_timeout=5)

    @cache(ttl=60)
    @router.get('/')
    async def endpoint(response: Response, user: str = ''):
        if user:
            response.set_cookie('session', f'of {user}')
        return 'answer'

    with attacked(backend, router) as client:
        assert 'set-cookie' in client.get('/?user=ann').headers
        client.cookies.clear()
        for _ in range(2):
            assert 'set-cookie' not in client.get('/').headers
            assert 'x-cache' not in client.get('/?user=ann').headers
            client.cookies.clear()


def test_sessions_never_mix_whether_the_endpoint_or_a_dependency_reads_them(backend):
    router, cache = caching_router(), FastAPICache(backend, store_timeout=5)

    def who(request: Request):
        return request.session.get('user', 'nobody')

    @router.get('/login')
    async def login(request: Request, user: str):
        request.session['user'] = user

    @cache(ttl=60)
    @router.get('/by-endpoint')
    async def by_endpoint(request: Request):
        return who(request)

    @cache(ttl=60)
    @router.get('/by-dependency')
    async def by_dependency(user: Annotated[str, Depends(who)]):
        return user

    session = (SessionMiddleware, {'secret_key': 'k' * 32})
    with attacked(backend, router, middleware=[session]) as client:
        for person in ('ann', 'bob'):
            client.cookies.clear()
            client.get(f'/login?user={person}')
            for path in ('/by-endpoint', '/by-dependency'):
                assert [client.get(path).json() for _ in range(2)] == [person] * 2
        client.cookies.clear()
        assert [client.get('/by-endpoint').json() for _ in range(2)] == ['nobody'] * 2


def test_users_of_an_authentication_middleware_never_mix(backend):
    router, cache = caching_router(), FastAPICache(backend, store_timeout=5)

    class ByQuery(AuthenticationBackend):
        async def authenticate(self, conn):
            user = conn.headers.get('x-forwarded-user')  # of a proxy: a field like any other, and no credential to us
            return None if user is None else (AuthCredentials(), SimpleUser(user))

    @cache(ttl=60)
    @router.get('/')
    async def endpoint(request: Request):
        return request.user.display_name

    middleware = (AuthenticationMiddleware, {'backend': ByQuery()})
    with attacked(backend, router, middleware=[middleware]) as client:
        for person in ('ann', 'bob', 'ann'):
            assert client.get('/', headers={'x-forwarded-user': person}).json() == person
        assert [client.get('/').json() for _ in range(2)] == ['', '']


@pytest.mark.parametrize('vary', [[], ['cookie']])
def test_a_session_that_is_made_while_answering_is_nobody_elses(vary):
    router, cache, numbers = caching_router(), memory_cache(), itertools.count()

    @cache(ttl=60, vary_headers=vary)
    @router.get('/')
    async def endpoint(request: Request):
        return request.session.setdefault('csrf', next(numbers))

    app = FastAPI()
    app.include_router(router)
    app.add_middleware(SessionMiddleware, secret_key='k' * 32)
    assert [TestClient(app).get('/').json() for _ in range(3)] == [0, 1, 2]


def test_a_session_that_changes_deep_inside_is_not_stored_with_the_answer():
    router, cache, numbers = caching_router(), memory_cache(), itertools.count()

    @router.get('/login')
    async def login(request: Request):
        request.session['seen'] = []

    @cache(ttl=60, vary_headers=['cookie'])
    @router.get('/')
    async def endpoint(request: Request):
        request.session['seen'].append(next(numbers))
        return request.session['seen']

    app = FastAPI()
    app.include_router(router)
    app.add_middleware(SessionMiddleware, secret_key='k' * 32)
    client = TestClient(app)
    client.get('/login')
    assert marks(client.get('/')) == [None]
