"""`context.invalidate`: writes say while they run what they make outdated."""

import asyncio
import weakref
from typing import Annotated

import pytest
from fastapi import APIRouter, BackgroundTasks, Depends, FastAPI, HTTPException, Response, WebSocket
from fastapi.responses import JSONResponse, RedirectResponse, StreamingResponse
from starlette.background import BackgroundTask
from starlette.testclient import TestClient

from fastapi_caching_route import CacheContext, ConfigurationError, FastAPICache
from fastapi_caching_route._routes import caches
from tests.backends.fakes import Elsewhere
from tests.public.lists import User, lists_of, read
from tests.support import (
    FASTAPI,
    all_written,
    asgi_call,
    asgi_scope,
    caching_router,
    client_of,
    closing,
    marks,
    memory_cache,
    patient,
)

WAITS = FASTAPI >= (0, 121)
"""Whether FastAPI tells when the endpoint of a plain route has returned. Without that, what it says counts at once."""


Context = Annotated[CacheContext, Depends()]


ROUTERS = pytest.mark.parametrize('new_writes', [caching_router, APIRouter], ids=['caching', 'plain'])


@ROUTERS
@pytest.mark.parametrize('kind', ['async', 'sync', 'dependency'])
def test_a_write_invalidates_by_a_tag_that_only_a_dependency_knows(cache, backend, new_writes, kind):
    (router, items, runs, _), writes = lists_of(cache), new_writes()

    async def current_user(user: User):
        return user

    async def noted(user: Annotated[str, Depends(current_user)], context: Context):
        context.invalidate(tags=[f'items of {user}'])

    @writes.post('/items/async')
    async def add(user: Annotated[str, Depends(current_user)], context: Context):
        items[user] = ['new']
        context.invalidate(tags=[f'items of {user}'])

    @writes.post('/items/sync')
    def add_in_thread(user: Annotated[str, Depends(current_user)], context: Context):
        items[user] = ['new']
        context.invalidate(tags=[f'items of {user}'])

    @writes.post('/items/dependency', dependencies=[Depends(noted)])
    async def add_and_say_nothing(user: User):
        items[user] = ['new']

    with client_of(router, writes) as client:
        assert read(client, 'ada', 'bob', 'ada', 'bob') == ['MISS', 'MISS', 'HIT', 'HIT']
        assert client.post(f'/items/{kind}', headers={'user': 'ada'}).status_code == 200
        client.portal.call(all_written, cache._settings.store)  # older releases do not wait for a plain route
        assert client.get('/items', headers={'user': 'ada'}).json() == ['new']
        assert read(client, 'ada', 'bob') == ['HIT', 'HIT']
        assert runs == ['ada', 'bob', 'ada']
        client.portal.call(closing, backend)


@ROUTERS
@pytest.mark.parametrize('said', ['endpoints', 'paths', 'both'])
def test_a_write_says_endpoints_and_paths_too(new_writes, said):
    cache, other = memory_cache(), memory_cache()
    (router, *_, list_items), writes = lists_of(cache), new_writes()

    @router.get('/other')
    @other(ttl=60)
    async def of_other():
        return 1

    given = {
        'endpoints': {'endpoints': [list_items, of_other]},
        'paths': {'paths': ['/items', '/other']},
        'both': {'endpoints': [of_other], 'paths': ['/items']},
    }

    @writes.post('/write')
    async def write(context: Context):
        context.invalidate(**given[said])

    client = client_of(router, writes)
    assert [read(client, 'ada', 'ada'), marks(client.get('/other'))] == [['MISS', 'HIT'], ['MISS']]
    client.post('/write')
    assert [read(client, 'ada', 'ada'), marks(client.get('/other'))] == [['MISS', 'HIT'], ['MISS']]


@ROUTERS
@pytest.mark.parametrize(
    ('failure', 'gone'),
    [(HTTPException(409), False), (HTTPException(303, headers={'location': '/'}), True), (ValueError('broken'), False)],
    ids=['409', '303', 'broken'],
)
def test_a_write_that_fails_invalidates_nothing_of_what_it_has_said(new_writes, failure, gone):
    (router, *_), writes = lists_of(memory_cache()), new_writes()

    @writes.post('/write')
    async def write(context: Context):
        context.invalidate(tags=['items of ada'])
        raise failure

    client = TestClient(client_of(router, writes).app, raise_server_exceptions=False)
    assert read(client, 'ada', 'ada') == ['MISS', 'HIT']
    client.post('/write', follow_redirects=False)
    at_once = new_writes is APIRouter and not WAITS
    assert read(client, 'ada') == ['MISS' if gone or at_once else 'HIT']


@pytest.mark.parametrize('returned', [JSONResponse({}, 409), RedirectResponse('/', 303)], ids=['409', '303'])
def test_the_status_of_a_returned_response_counts_on_a_caching_route(returned):
    router, *_ = lists_of(memory_cache())

    @router.post('/write')
    async def write(context: Context):
        context.invalidate(tags=['items of ada'])
        return returned

    client = client_of(router)
    assert read(client, 'ada', 'ada') == ['MISS', 'HIT']
    client.post('/write', follow_redirects=False)
    assert read(client, 'ada') == ['HIT' if returned.status_code == 409 else 'MISS']


@ROUTERS
@pytest.mark.parametrize('first', ['session', 'context'])
def test_what_a_dependency_commits_in_its_teardown_is_read_by_the_next_request(new_writes, first):
    if new_writes is APIRouter and FASTAPI < (0, 118):
        pytest.skip('nothing tells when a plain route of this release is over')
    (router, items, *_), writes, meanwhile = lists_of(memory_cache()), new_writes(), []

    async def session():
        yield
        meanwhile.extend(client.get('/items', headers={'user': 'ada'}).json() for _ in range(2))  # before the commit
        items['ada'] = ['committed']

    @writes.post('/session')
    async def after_session(_: Annotated[None, Depends(session)], context: Context):
        context.invalidate(tags=['items of ada'])

    @writes.post('/context')
    async def before_session(context: Context, _: Annotated[None, Depends(session)]):
        context.invalidate(tags=['items of ada'])

    client = client_of(router, writes)
    read(client, 'ada')
    assert client.post(f'/{first}').status_code == 200
    assert meanwhile == [['ink'], ['ink']]
    assert client.get('/items', headers={'user': 'ada'}).json() == ['committed']


@ROUTERS
@pytest.mark.parametrize('kind', ['declared', 'of the response', 'stream'])
def test_what_is_said_when_the_response_has_left_counts_too(new_writes, kind):
    (router, items, *_), writes = lists_of(memory_cache()), new_writes()

    def work(context):
        items['ada'] = ['late']
        context.invalidate(tags=['items of ada'])

    @writes.post('/declared')
    async def with_tasks(context: Context, tasks: BackgroundTasks):
        tasks.add_task(work, context)

    @writes.post('/of the response')
    async def with_task_of_response(context: Context):
        return Response(background=BackgroundTask(work, context))

    @writes.post('/stream')
    async def with_stream(context: Context):
        async def stream():
            yield b'1'
            work(context)
            yield b'2'

        return StreamingResponse(stream())

    client = client_of(router, writes)
    assert read(client, 'ada', 'ada') == ['MISS', 'HIT']
    assert client.post(f'/{kind}').status_code == 200
    assert client.get('/items', headers={'user': 'ada'}).json() == ['late']


@ROUTERS
def test_what_a_task_says_that_outlives_its_request_counts_at_once(new_writes):
    (router, *_), writes, contexts = lists_of(memory_cache()), new_writes(), []

    @writes.post('/write')
    async def write(context: Context):
        contexts.append(context)

    client = client_of(router, writes)
    assert read(client, 'ada', 'ada') == ['MISS', 'HIT']
    client.post('/write')
    assert read(client, 'ada') == ['HIT']
    contexts[0].invalidate(tags=['items of ada'])
    assert read(client, 'ada') == ['MISS']


def test_what_a_websocket_says_counts_at_once():
    router, *_ = lists_of(memory_cache())

    @router.websocket('/socket')
    async def talk(socket: WebSocket, context: Context):
        await socket.accept()
        context.invalidate(tags=['items of ada'])
        await socket.send_text('said')
        await socket.receive_text()

    client = client_of(router)
    assert read(client, 'ada', 'ada') == ['MISS', 'HIT']
    with client.websocket_connect('/socket') as socket:
        assert socket.receive_text() == 'said'
        assert read(client, 'ada') == ['MISS']
        socket.send_text('bye')


def test_a_cached_read_may_say_it_too_and_does_where_its_endpoint_runs():
    router, *_ = lists_of(memory_cache())

    @router.get('/touch')
    @memory_cache()(ttl=60)
    async def touch(context: Context):
        context.invalidate(tags=['items of ada'])

    client = client_of(router)
    read(client, 'ada')
    assert [marks(client.get('/touch')), read(client, 'ada')] == [['MISS'], ['MISS']]
    assert [marks(client.get('/touch')), read(client, 'ada')] == [['HIT'], ['HIT']]


def test_what_is_being_computed_when_it_is_said_is_not_stored():
    cache, app = memory_cache(), FastAPI()
    router, items, runs, _ = lists_of(cache)
    begun, goes_on = asyncio.Event(), asyncio.Event()

    @router.get('/slow')
    @cache(ttl=60, tags=['slow'])
    async def slow():
        runs.append('slow')
        found = list(items['ada'])
        begun.set()
        await goes_on.wait()
        return found

    @router.post('/write')
    async def write(context: Context):
        items['ada'] = ['new']
        context.invalidate(tags=['slow'])

    app.include_router(router)

    async def race():
        reading = asyncio.create_task(asgi_call(app, asgi_scope(path='/slow')))
        await begun.wait()
        await asgi_call(app, asgi_scope('POST', '/write'))
        goes_on.set()
        return [(await reading)[-1]['body'], (await asgi_call(app, asgi_scope(path='/slow')))[-1]['body']]

    assert asyncio.run(race()) == [b'["ink"]', b'["new"]']
    assert runs == ['slow', 'slow']


@ROUTERS
def test_a_write_that_has_said_it_is_answered_while_the_store_is_down(new_writes, caplog, monkeypatch):
    monkeypatch.setattr('fastapi_caching_route._store.debts.FIRST_RETRY_SECONDS', 0.01)
    backend = Elsewhere(namespace='owed')
    cache = FastAPICache(backend, store_timeout=1)
    (router, *_), writes = lists_of(cache), new_writes()

    @writes.post('/write')
    async def write(context: Context):
        context.invalidate(tags=['items of ada'])
        return 'written'

    with client_of(router, writes) as client:
        assert read(client, 'ada', 'ada') == ['MISS', 'HIT']
        backend.failing.add('set')
        assert client.post('/write').json() == 'written'
        assert read(client, 'ada') == [None]
        backend.failing.clear()
        client.portal.call(all_written, cache._settings.store)
        assert read(client, 'ada', 'ada') == ['MISS', 'HIT']
    assert caplog.text.count('has not taken the invalidation of') == 1


@ROUTERS
async def test_it_is_written_before_the_response_leaves(new_writes):
    if new_writes is APIRouter and not WAITS:
        pytest.skip('nothing tells when the endpoint of a plain route of this release has returned')
    backend, app, written = Elsewhere(), FastAPI(), []
    backend.slow['set'] = 0.01
    cache = FastAPICache(backend, store_timeout=1)
    (router, *_), writes = lists_of(cache), new_writes()

    @writes.post('/write')
    async def write(context: Context):
        context.invalidate(tags=['items of ada'])

    async def send(message):
        if message['type'] == 'http.response.start':
            written.append(backend.ended.count('set'))

    app.include_router(router)
    app.include_router(writes)
    await app(asgi_scope('POST', '/write'), patient(), send)
    assert written == [6]  # two marks of the tag and of its group, and `last` twice


@ROUTERS
def test_tags_are_those_of_the_caches_that_the_app_uses(new_writes, monkeypatch):
    monkeypatch.setattr(caches, '_alive', weakref.WeakSet())  # without those of other tests
    cache, foreign = memory_cache(), FastAPICache(Elsewhere())
    (router, *_), writes = lists_of(cache), new_writes()
    router_of_another_app, *_ = lists_of(foreign)

    @writes.post('/write')
    async def write(context: Context):
        context.invalidate(tags=['items of ada'])

    another = client_of(router_of_another_app)
    assert read(another, 'ada', 'ada') == ['MISS', 'HIT']
    client_of(router, writes).post('/write')
    assert read(another, 'ada') == ['HIT']
    client_of(writes).post('/write')  # an app that uses none means all
    with another:
        another.portal.call(all_written, foreign._settings.store)
        assert read(another, 'ada') == ['MISS']


ALL_WAYS = pytest.mark.parametrize('way', ['context', 'soon', 'now'])


@ALL_WAYS
@pytest.mark.parametrize(
    ('given', 'message'),
    [
        ({}, 'say what to invalidate'),
        ({'tags': 'user:7'}, "tags must be a list of str, like ['user:7']"),
        ({'tags': [7]}, "tags must be a list of str, like ['user:7']"),
        ({'paths': '/users'}, "paths must be a list of str, like ['/users/7']"),
        ({'paths': ['users']}, 'a path must begin with a slash'),
        ({'endpoints': [len]}, 'len is not decorated with'),
        ({'endpoints': len}, 'endpoints must be a list of endpoints'),
    ],
    ids=['nothing', 'one tag', 'a number', 'one path', 'no path', 'not cached', 'one endpoint'],
)
def test_what_cannot_be_meant_is_refused(way, given, message):
    cache = memory_cache()
    ways = {
        'context': lambda: CacheContext(HTTPConnectionOf(asgi_scope())).invalidate(**given),
        'soon': lambda: cache.invalidate_soon(**given),
        'now': lambda: cache.invalidate_now(**given),
    }
    with pytest.raises(ConfigurationError) as raised:
        ways[way]()
    assert message in str(raised.value)


class HTTPConnectionOf:
    def __init__(self, scope):
        self.scope = scope


@ALL_WAYS
def test_an_empty_list_invalidates_nothing(way):
    router, *_ = lists_of(cache := memory_cache())

    @router.post('/write')
    async def write(context: Context):
        context.invalidate(tags=[])

    client = client_of(router)
    assert read(client, 'ada', 'ada') == ['MISS', 'HIT']
    {'context': lambda **_: client.post('/write'), 'soon': cache.invalidate_soon, 'now': cache.invalidate_now}[way](
        tags=[]
    )
    assert read(client, 'ada') == ['HIT']
