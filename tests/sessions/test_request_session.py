"""`request.session` for code that expects Starlette's own middleware, over the same sessions."""

import asyncio

import httpx
import pytest
from fastapi import APIRouter, FastAPI, Request, WebSocket
from starlette.testclient import TestClient

from fastapi_caching_route import CachingRoute, FastAPICache
from fastapi_caching_route.sessions import OptionalSession, RequestSessionMiddleware, Sessions
from tests.sessions.conftest import config, impatient
from tests.support import marks


@pytest.fixture
def shop():
    cache = FastAPICache()
    sessions = Sessions(store=cache, config=config())
    app, router = FastAPI(), APIRouter(route_class=CachingRoute)
    app.state.sessions, app.state.written = sessions, []

    @router.post('/set')
    async def change(request: Request):
        request.session.update(await request.json())

    @router.post('/deep')
    async def deep(request: Request):
        request.session['basket']['items'].append('tea')

    @router.post('/forget')
    async def forget(request: Request, key: str):
        del request.session[key]

    @router.post('/clear')
    async def clear(request: Request):
        request.session.clear()

    @router.get('/session')
    async def shown(request: Request):
        return request.session

    @router.get('/page')
    @cache(ttl=60)
    async def page(request: Request):
        return request.session.get('user', 'nobody')

    @router.get('/nothing')
    async def nothing():
        return 'nothing'

    @router.get('/both')
    async def both(request: Request, session: OptionalSession):
        return [request.session.get('user'), session and session.get('user')]

    @router.websocket('/socket')
    async def socket(websocket: WebSocket):
        await websocket.accept()
        await websocket.send_json(websocket.session)
        await websocket.close()

    app.include_router(router)
    sessions.install(app)
    app.add_middleware(RequestSessionMiddleware, sessions=sessions)
    return app


@pytest.fixture
def client(shop):
    with TestClient(shop, base_url='https://shop.example') as client:
        yield client


def test_what_code_puts_there_is_there_with_the_next_request(client):
    assert client.get('/session').json() == {}
    assert '__Host-session' not in client.cookies
    client.post('/set', json={'user': 'ada', 'basket': {'items': []}})
    first = client.cookies['__Host-session']
    client.post('/deep')
    assert client.get('/session').json() == {'user': 'ada', 'basket': {'items': ['tea']}}
    client.post('/forget?key=basket')
    assert client.get('/session').json() == {'user': 'ada'}
    assert client.cookies['__Host-session'] == first
    assert client.get('/both').json() == ['ada', 'ada']
    with client.websocket_connect('wss://shop.example/socket') as socket:
        assert socket.receive_json() == {'user': 'ada'}


def test_an_emptied_session_ends(client):
    client.post('/set', json={'user': 'ada'})
    token = client.cookies['__Host-session']
    assert 'Max-Age=0' in client.post('/clear').headers['set-cookie']
    assert client.get('/session', headers={'cookie': f'__Host-session={token}'}).json() == {}


def test_nothing_is_sent_where_nothing_changed(client):
    client.post('/set', json={'user': 'ada'})
    for path in ('/session', '/nothing', '/page'):
        assert 'set-cookie' not in client.get(path).headers
    assert 'set-cookie' not in client.post('/set', json={'user': 'ada'}).headers


def test_pages_that_read_it_never_mix(client, shop):
    bob = TestClient(shop, base_url='https://shop.example')
    client.post('/set', json={'user': 'ada'})
    bob.post('/set', json={'user': 'bob'})
    asked = [it.get('/page') for it in (client, client, bob, client, bob)]
    assert [it.json() for it in asked] == ['ada', 'ada', 'bob', 'ada', 'bob']
    assert marks(*asked) == ['MISS', 'HIT', 'MISS', 'HIT', 'HIT']
    assert {it.headers['cache-control'] for it in asked} == {'private'}


async def test_requests_at_the_same_time_do_not_lose_each_others_keys(shop):
    transport = httpx.ASGITransport(app=shop)
    async with httpx.AsyncClient(transport=transport, base_url='https://shop.example') as client:
        await client.post('/set', json={'start': 1})
        await asyncio.gather(*(client.post('/set', json={f'key {at}': at}) for at in range(8)))
        assert (await client.get('/session')).json() == {'start': 1, **{f'key {at}': at for at in range(8)}}


def test_a_store_in_trouble_is_a_503(redis_server):
    sessions = Sessions(store=f'redis://127.0.0.1:{redis_server.port}', config=config())
    app = FastAPI()

    @app.post('/set')
    async def change(request: Request):
        request.session['a'] = request.session.get('a', 0) + 1

    app.add_middleware(RequestSessionMiddleware, sessions=sessions)
    with TestClient(app, base_url='https://shop.example') as client:
        assert client.post('/set').status_code == 200
        redis_server.freeze()
        impatient(sessions._keeper.place)
        try:
            assert client.post('/set').status_code == 503  # it cannot be read
            client.cookies.clear()
            refused = client.post('/set')  # it cannot be written
            assert (refused.status_code, 'set-cookie' in refused.headers) == (503, False)
        finally:
            redis_server.resume()
