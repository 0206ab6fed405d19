"""Pages whose code calls a finder itself, so that no key names the session: nobody gets the page of another client."""

from functools import partial
from typing import Annotated

import pytest
from fastapi import Depends, FastAPI, Request
from starlette.testclient import TestClient

from fastapi_caching_route import FastAPICache
from fastapi_caching_route.sessions import Sessions
from tests.sessions.conftest import config
from tests.support import FASTAPI, caching_router


def name_of(session):
    return session.user.id if session is not None and session.user is not None else None


def clients_of_pages(**options):
    cache, app, router = FastAPICache(), FastAPI(), caching_router()
    sessions = Sessions(store=cache, config=config())

    async def who(request: Request):
        return name_of(await sessions.optional(request))

    async def named(request: Request):
        return await sessions.identity(request)

    @app.post('/sign-in/{name}')
    async def sign_in(request: Request, name: str):
        await sessions.create(request, user=name)

    @router.get('/dependency')
    @cache(ttl=60, **options)
    async def dependency(who: Annotated[str | None, Depends(who)]):
        return who

    @router.get('/identity')
    @cache(ttl=60, **options)
    async def identity(name: Annotated[str, Depends(named)]):
        return name

    @router.get('/endpoint')
    @cache(ttl=60, **options)
    async def endpoint(request: Request):
        return name_of(await sessions.optional(request))

    @router.get('/user')
    @cache(ttl=60, **options)
    async def user(request: Request):
        return (await sessions.user(request)).id

    @router.get('/partial')
    @cache(ttl=60, **options)
    async def of_partial(session: Annotated[object, Depends(partial(sessions.optional))]):
        return name_of(session)

    @router.get('/call')
    @cache(ttl=60, **options)
    async def of_call(session: Annotated[object, Depends(sessions.optional.__call__)]):
        return name_of(session)

    app.include_router(router)
    sessions.install(app)
    clients = [TestClient(app, base_url='https://testserver') for _ in range(2)]
    for client, name in zip(clients, ('ada', 'bob'), strict=True):
        client.post(f'/sign-in/{name}')
    return clients


PARTIAL = pytest.param(
    '/partial', marks=pytest.mark.skipif(FASTAPI < (0, 124), reason='this release does not await partials')
)


@pytest.mark.parametrize('path', ['/dependency', '/endpoint', '/user', PARTIAL, '/call'])
def test_what_calls_a_finder_itself_is_not_stored(path):
    clients = clients_of_pages()
    for _ in range(2):
        for client, name in zip(clients, ('ada', 'bob'), strict=True):
            response = client.get(path)
            assert response.json() == name
            assert 'detail=session' in response.headers['cache-status']


def test_the_name_that_code_asks_for_is_that_of_the_client():
    ada, bob = clients_of_pages()
    assert ada.get('/identity').json() != bob.get('/identity').json()


def test_a_route_that_says_who_shares_is_stored():
    ada, _ = clients_of_pages(identity='shared')
    assert [ada.get('/dependency').headers.get('x-cache') for _ in range(2)] == ['MISS', 'HIT']
