"""A request that fails: what it did to sessions counts only if its client has got the token."""

import asyncio

import pytest
from fastapi import Request
from fastapi.responses import JSONResponse

from fastapi_caching_route.sessions import SessionDep, SessionStoreError
from tests.sessions.conftest import Shop


def failing_shop(**options):
    shop = Shop(**options)

    @shop.router.post('/fail')
    async def fail(request: Request, user: str, times: int = 1):
        for _ in range(times):
            await shop.sessions.create(request, user=user)
        raise RuntimeError('of the endpoint')

    @shop.router.post('/fail-signed-in')
    async def fail_signed_in(session: SessionDep, do: str):
        await (session.regenerate() if do == 'regenerate' else session.update(noted=do))
        raise RuntimeError('of the endpoint')

    return shop


def ids(client, shop, user):
    return client.portal.call(shop.sessions.user_sessions, user)


@pytest.mark.parametrize('transport', ['cookie', 'bearer'])
def test_a_session_that_no_client_has_got_ends(transport):
    shop = failing_shop(transports=[transport])
    with shop.browser(raise_server_exceptions=False) as client:
        failed = client.post('/fail?user=ada')
        assert failed.status_code == 500
        assert 'set-cookie' not in failed.headers
        assert ids(client, shop, 'ada') == []
    assert shop.kinds == [('created', ''), ('ended', 'not-sent')]


def test_a_session_that_gets_another_id_in_a_request_that_fails_ends():
    shop = failing_shop()
    with shop.browser('ada', raise_server_exceptions=False) as client:
        assert client.post('/fail-signed-in?do=regenerate').status_code == 500
        assert ids(client, shop, 'ada') == []
        assert client.get('/who').json() is None


def test_a_session_whose_request_fails_goes_on_with_what_was_noted():
    shop = failing_shop()
    with shop.browser('ada', raise_server_exceptions=False) as client:
        assert client.post('/fail-signed-in?do=this').status_code == 500
        assert client.get('/me').json()['data'] == {'noted': 'this'}
    assert ('ended', 'not-sent') not in shop.kinds


def test_a_failure_that_a_handler_makes_a_response_of_sets_the_cookie():
    shop = failing_shop()

    @shop.app.exception_handler(RuntimeError)
    async def told(request, error):
        return JSONResponse('sorry', 500)

    with shop.browser() as client:
        assert client.post('/fail?user=ada').json() == 'sorry'
        assert client.get('/who').json() == 'ada'
        assert len(ids(client, shop, 'ada')) == 1


def test_of_two_sessions_that_a_request_creates_the_last_one_counts():
    shop = Shop()

    @shop.router.post('/twice')
    async def twice(request: Request):
        await shop.sessions.create(request, user='bob')
        await shop.sessions.create(request, user='bob')

    @shop.router.post('/moved')
    async def moved(request: Request, session: SessionDep):
        await session.regenerate()
        await shop.sessions.create(request, user='eve')

    with shop.browser('ada') as client:
        client.post('/twice')
        assert (client.get('/who').json(), ids(client, shop, 'ada')) == ('bob', [])
        assert len(ids(client, shop, 'bob')) == 1
        client.post('/moved')
        assert (client.get('/who').json(), ids(client, shop, 'bob')) == ('eve', [])


def test_a_client_gets_its_new_session_if_the_old_one_cannot_be_ended():
    shop = Shop()
    with shop.browser('ada') as client:
        keeper = shop.sessions._keeper
        end = keeper.end

        async def failing(kept, reason):
            raise SessionStoreError

        keeper.end = failing
        refused = client.post('/login?user=bob')
        keeper.end = end
        assert refused.status_code == 503
        assert client.get('/who').json() == 'bob'


def test_a_store_in_trouble_does_not_hide_the_failure():
    shop = failing_shop()
    with shop.browser() as client:

        async def failing(kept, reason):
            raise SessionStoreError

        shop.sessions._keeper.end = failing
        with pytest.raises(RuntimeError, match='of the endpoint'):
            client.post('/fail?user=ada')


async def test_a_session_ends_whose_request_is_cancelled():
    shop, created = Shop(), asyncio.Event()

    @shop.router.post('/wait')
    async def wait(request: Request):
        await shop.sessions.create(request, user='ada')
        created.set()
        await asyncio.Event().wait()

    shop.client()
    scope = {'type': 'http', 'method': 'POST', 'path': '/wait', 'query_string': b'', 'headers': []}

    async def receive():
        return {'type': 'http.request', 'body': b'', 'more_body': False}

    async def send(message):
        raise AssertionError(message)

    running = asyncio.create_task(shop.app(scope, receive, send))
    await created.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    for _ in range(10):
        await asyncio.sleep(0)
    assert await shop.sessions.user_sessions('ada') == []
    assert shop.kinds == [('created', ''), ('ended', 'not-sent')]
