"""One-time state: each is used once, by the browser that it is for, on every store."""

import asyncio
import logging

import pytest
from fastapi import FastAPI, Request
from fastapi.responses import RedirectResponse
from starlette.testclient import TestClient

from fastapi_caching_route import FastAPICache, MemoryCache
from fastapi_caching_route.errors import ConfigurationError
from fastapi_caching_route.sessions import Sessions, StateRefusedError, States
from tests.sessions.conftest import config


@pytest.fixture
def states(store, now):
    return States(store=store, bind=False, clock=now)


async def test_a_state_is_used_once(states, caplog):
    caplog.set_level(logging.INFO)
    state = await states.create({'next': '/me', 'verifier': ['x', 1]}, ttl=600)
    assert await states.consume(state) == {'next': '/me', 'verifier': ['x', 1]}
    for _ in range(2):
        with pytest.raises(StateRefusedError) as refused:
            await states.consume(state)
        assert (refused.value.status_code, refused.value.detail) == (400, 'The state is not valid')
    assert caplog.text.count('it is used') == 2


async def test_of_all_that_race_for_a_state_one_gets_it(states):
    made = [await states.create(number) for number in range(10)]
    outcomes = await asyncio.gather(
        *(states.consume(state) for state in made for _ in range(8)), return_exceptions=True
    )
    assert sorted(it for it in outcomes if not isinstance(it, Exception)) == list(range(10))
    assert {type(it) for it in outcomes} == {int, StateRefusedError}


async def test_a_state_expires_and_only_the_log_tells_that_from_other_reasons(states, now, caplog):
    caplog.set_level(logging.INFO)
    expired, used = await states.create(ttl=10), await states.create(ttl=60)
    assert await states.consume(used) is None
    now.now += 10
    said = []
    for state in (expired, used, 'A' * 43, 'malformed', '', None, '../session:x'):
        with pytest.raises(StateRefusedError) as refused:
            await states.consume(state)
        said.append((refused.value.status_code, refused.value.detail, refused.value.headers))
    assert len({repr(it) for it in said}) == 1
    reasons = [record.getMessage() for record in caplog.records if 'a state is refused' in record.getMessage()]
    assert [it.partition('it is ')[2].partition(' (')[0] for it in reasons] == ['expired', 'used', *['unknown'] * 5]


async def test_a_state_of_another_purpose_is_unknown(store):
    one, other = (States(store=store, purpose=it, bind=False) for it in ('oauth', 'reset'))
    state = await one.create('x')
    with pytest.raises(StateRefusedError):
        await other.consume(state)
    assert await one.consume(state) == 'x'


async def test_a_state_is_no_session_and_a_session_no_state(store):
    sessions, states = Sessions(store=store, config=config()), States(store=store, bind=False)
    made, state = await sessions.create(), await states.create()
    assert await sessions.read(state) is None
    with pytest.raises(StateRefusedError):
        await states.consume(made.token.partition('.')[0])


@pytest.fixture
def app(now):
    app, cache = FastAPI(), FastAPICache()
    states = States(store=cache, clock=now)
    states.install(app)

    @app.get('/login')
    async def log_in(request: Request):
        return RedirectResponse('/provider?state=' + await states.create({'next': '/me'}, request=request))

    @app.get('/callback')
    async def come_back(request: Request, state: str):
        return await states.consume(state, request=request)

    return app


def browser(app):
    return TestClient(app, base_url='https://shop.example', follow_redirects=False)


def begun(client):
    return client.get('/login').headers['location'].partition('=')[2]


def test_a_state_is_for_the_browser_that_it_was_created_for(app):
    ada, eve = browser(app), browser(app)
    state = begun(ada)
    cookie = ada.get('/login').headers['set-cookie']
    assert cookie.startswith('__Host-state=')
    assert {'Secure', 'HttpOnly', 'SameSite=Lax', 'Path=/'} <= set(cookie.split('; '))
    assert eve.get(f'/callback?state={state}').status_code == 400
    begun(eve)
    assert eve.get(f'/callback?state={state}').status_code == 400
    assert ada.get(f'/callback?state={state}').json() == {'next': '/me'}  # the others have not used it up
    assert ada.get(f'/callback?state={state}').status_code == 400


def test_a_browser_may_sign_in_by_two_tabs_at_the_same_time(app):
    ada = browser(app)
    states = [begun(ada) for _ in range(3)]
    assert [ada.get(f'/callback?state={it}').status_code for it in reversed(states)] == [200] * 3


@pytest.mark.parametrize('planted', ['x', 'A' * 42, '', '"' + 'A' * 43 + '"'])
def test_a_cookie_that_is_none_of_ours_is_replaced(app, planted):
    ada = browser(app)
    ada.cookies.set('__Host-state', planted, domain='shop.example')
    state = begun(ada)
    assert ada.get(f'/callback?state={state}').status_code == 200


def test_two_cookies_of_the_name_bind_nothing(app):
    ada = browser(app)
    state, cookie = begun(ada), ada.cookies['__Host-state']
    ada.cookies.clear()
    tossed = f'__Host-state={cookie}; __Host-state={"B" * 43}'
    assert ada.get(f'/callback?state={state}', headers={'cookie': tossed}).status_code == 400


async def test_without_the_request_it_is_not_bound_unless_told_so():
    states = States(store=MemoryCache())
    with pytest.raises(ConfigurationError, match='bind=False'):
        await states.create()
    with pytest.raises(ConfigurationError, match='bind=False'):
        await states.consume('A' * 43)
    request = Request({'type': 'http', 'headers': []})
    with pytest.raises(ConfigurationError, match='install'):
        await states.create(request=request)


@pytest.mark.parametrize(
    'options',
    [
        {'same_site': 'strict'},
        {'same_site': 'none', 'secure': False},
        {'cookie': 'a b'},
        {'cookie': ''},
        {'purpose': ''},
        {'bind': 1},
        {'secure': None},
    ],
)
def test_wrong_options_are_refused(options):
    with pytest.raises(ConfigurationError):
        States(store=MemoryCache(), **options)


async def test_a_wrong_ttl_or_data_is_refused():
    states = States(store=MemoryCache(), bind=False)
    with pytest.raises(ConfigurationError, match='ttl'):
        await states.create(ttl=0)
    with pytest.raises(TypeError):
        await states.create(object())
