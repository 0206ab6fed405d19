"""A stale entry ends when the endpoint itself answers otherwise, and not by a refusal or a failure."""

import asyncio
from typing import Annotated

import pytest
from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, StreamingResponse
from fastapi.security import APIKeyHeader

from fastapi_caching_route import CacheContext, FastAPICache, LMDBCache
from fastapi_caching_route._backends.lmdb_driver import LMDBDriver
from tests.backends.fakes import Elsewhere
from tests.support import asgi_call, asgi_scope, caching_router, client_of, patient

OLD = 'withdrawn'


def saying(response):
    return lambda context: response


def refusing_to_store(context):
    context.no_store('private')
    return Response('new')


def never_fresh(context):
    context.ttl = 0
    context.stale_if_error = 0
    return Response('new')


def raising(status):
    def raise_it(context):
        raise HTTPException(status)

    return raise_it


OTHERWISE = {
    '404': raising(404),
    '410': saying(Response('gone', 410)),
    '403 of the endpoint': raising(403),
    '401 of the endpoint': raising(401),
    '422 of the endpoint': raising(422),
    '301': saying(Response(status_code=301, headers={'location': '/new'})),
    '204': saying(Response(status_code=204)),
    'no-store': saying(Response('new', headers={'cache-control': 'no-store'})),
    'private': saying(Response('new', headers={'cache-control': 'private'})),
    'set-cookie': saying(Response('new', headers={'set-cookie': 'a=1'})),
    'vary': saying(Response('new', headers={'vary': '*'})),
    'size': saying(Response('n' * 2000)),
    'store-if': saying(Response('unwanted')),
    'context.no_store': refusing_to_store,
    'context.ttl': never_fresh,
    'a stream': lambda context: StreamingResponse(iter([b'n' * 600] * 4)),
}


def article(cache, runs, answers, **options):
    """A route that says something, and then what each of `answers` makes of the context."""
    router = caching_router()

    @router.api_route('/article', methods=['GET', 'HEAD'])
    @cache(**{'ttl': 60, 'stale_if_error': 86400, 'max_body_size': 1000, **options})
    async def endpoint(context: Annotated[CacheContext, Depends()]):
        answer = answers[len(runs)]
        runs.append(1)
        return answer(context)

    return router


@pytest.mark.parametrize('kind', OTHERWISE)
def test_what_the_endpoint_has_withdrawn_does_not_come_back_when_it_fails(kind, clock):
    runs, cache = [], FastAPICache(clock=clock)
    answers = [saying(Response(OLD)), OTHERWISE[kind], raising(503)]
    client = client_of(article(cache, runs, answers, store_if=lambda response: response.body != b'unwanted'))
    assert client.get('/article').text == OLD
    clock.now += 100
    assert OLD not in client.get('/article', follow_redirects=False).text
    clock.now += 100
    last = client.get('/article')
    assert (last.status_code, OLD in last.text, len(runs)) == (503, False, 3)


@pytest.mark.parametrize('options', [{'stale_while_revalidate': 600}, {'eager_refresh': 0.1, 'ttl': 1000}])
@pytest.mark.parametrize('status', [401, 403, 404, 410])
def test_what_a_renewal_finds_withdrawn_is_not_served_again(options, status, clock):
    runs, cache = [], FastAPICache(clock=clock)
    client = client_of(article(cache, runs, [saying(Response(OLD)), raising(status), raising(status)], **options))
    client.get('/article')
    clock.now += 600
    assert client.get('/article').text == OLD  # and is renewed behind that
    assert client.get('/article').status_code == status
    assert len(runs) == 3


async def test_what_a_slow_endpoint_finds_withdrawn_is_not_served_again(clock):
    cache, router, runs, go_on = FastAPICache(clock=clock), caching_router(), [], asyncio.Event()

    @router.get('/article')
    @cache(ttl=60, stale_if_error=86400, endpoint_timeout=0.01)
    async def endpoint():
        runs.append(1)
        if len(runs) == 1:
            return OLD
        await go_on.wait()
        raise HTTPException(404 if len(runs) == 2 else 503)

    app = FastAPI()
    app.include_router(router)
    await asgi_call(app, asgi_scope(path='/article'))
    clock.now += 100
    sent = asyncio.Event()
    messages = []

    async def send(message):
        messages.append(message)
        sent.set()

    asking = asyncio.ensure_future(app(asgi_scope(path='/article'), patient(), send))
    await sent.wait()
    assert OLD.encode() in messages[1]['body']
    go_on.set()
    await asking
    clock.now += 100
    start, body = await asgi_call(app, asgi_scope(path='/article'))
    assert (start['status'], len(runs)) == (503, 3)
    assert OLD.encode() not in body['body']


def test_only_the_variant_that_was_asked_for_ends(clock):
    runs, cache, router = [], FastAPICache(clock=clock), caching_router()
    status = {'de': 200, 'en': 200}

    @router.get('/')
    @cache(ttl=60, stale_if_error=86400)
    async def endpoint(request: Request):
        runs.append(1)
        language = request.headers['accept-language']
        return Response(f'{OLD} {language}', status[language], {'vary': 'accept-language'})

    client = client_of(router)
    for language in status:
        client.get('/', headers={'accept-language': language})
    clock.now += 100
    status['de'] = 404
    client.get('/', headers={'accept-language': 'de'})
    status['de'] = status['en'] = 503
    assert client.get('/', headers={'accept-language': 'de'}).status_code == 503
    assert client.get('/', headers={'accept-language': 'en'}).text == f'{OLD} en'
    assert len(runs) == 5


def counted(status, headers=None, body=''):
    return saying(Response(body, status, headers))


OF_THIS_REQUEST = {
    '206': (counted(206, {'content-range': 'bytes 0-0/9'}, 'w'), 'GET', {'range': 'bytes=0-0'}),
    '304': (counted(304), 'GET', {'if-none-match': '"other"'}),
    '412': (counted(412), 'GET', {'if-match': '"other"'}),
    '416': (counted(416), 'GET', {'range': 'bytes=99-'}),
    '400 to a range': (counted(400), 'GET', {'range': 'bytes=0-4'}),
    'HEAD': (counted(404), 'HEAD', {}),
    '429': (counted(429), 'GET', {}),
    '500': (counted(500), 'GET', {}),
    '501': (counted(501), 'GET', {}),
    '511': (counted(511), 'GET', {}),
}


@pytest.mark.parametrize('kind', OF_THIS_REQUEST)
def test_what_says_nothing_about_the_resource_ends_nothing(kind, clock):
    runs, cache = [], FastAPICache(clock=clock)
    answer, method, headers = OF_THIS_REQUEST[kind]
    client = client_of(article(cache, runs, [saying(Response(OLD)), answer, raising(503)]))
    client.get('/article')
    clock.now += 100
    client.request(method, '/article', headers=headers)
    clock.now += 100
    last = client.get('/article')
    assert (last.status_code, last.text, len(runs)) == (200, OLD, 3)


def test_a_client_that_wants_nothing_stored_ends_nothing_for_others(clock):
    cache, runs = FastAPICache(clock=clock), []
    client = client_of(article(cache, runs, [saying(Response(OLD)), saying(Response('new')), raising(503)]))
    assert client.get('/article').text == OLD
    clock.now += 100
    assert client.get('/article', headers={'cache-control': 'no-store'}).text == 'new'
    assert client.get('/article').text == OLD
    assert len(runs) == 3


def test_a_range_that_a_file_refuses_ends_nothing(clock, tmp_path):
    cache, router, state = FastAPICache(clock=clock), caching_router(), ['fine']
    (tmp_path / 'file').write_text(OLD)

    @router.get('/')
    @cache(ttl=60, stale_if_error=86400)
    async def endpoint():
        if state[0] == 'down':
            raise HTTPException(503)
        return FileResponse(tmp_path / 'file')

    client = client_of(router)
    client.get('/')
    clock.now += 100
    client.get('/', headers={'range': 'bytes=5-1'})
    state[0] = 'down'
    assert client.get('/').text == OLD


REFUSALS = {
    'a guard': ({'dependencies': True}, 401, {}),
    'a guard with a page of its own': ({'dependencies': True}, 404, {}),
    'a guard that is left out on hits': ({'dependencies': True}, 401, {'route_dependencies': 'on_miss'}),
    'an explicit dependency': ({}, 401, {'explicit': True}),
    'an explicit dependency before the key': ({}, 401, {'explicit': True, 'key_builder': lambda request: 'key'}),
    'a guard with a key builder': ({'dependencies': True}, 403, {'key_builder': lambda request: 'key'}),
}


@pytest.mark.parametrize('kind', REFUSALS)
def test_a_refusal_of_a_guard_ends_nothing(kind, clock):
    cache, router, runs, state = FastAPICache(clock=clock), caching_router(), [], ['fine']
    route, status, options = REFUSALS[kind]
    options = dict(options)

    async def guard():
        if state[0] == 'refused':
            raise HTTPException(status)

    if options.pop('explicit', False):
        options['dependencies'] = [Depends(guard)]

    @router.get('/', **({'dependencies': [Depends(guard)]} if route else {}))
    @cache(ttl=60, stale_if_error=86400, **options)
    async def endpoint():
        runs.append(1)
        if state[0] == 'down':
            raise HTTPException(503)
        return Response(OLD)

    client = client_of(router)
    client.get('/')
    clock.now += 100
    state[0] = 'refused'
    assert client.get('/').status_code == status
    state[0] = 'down'
    last = client.get('/')
    assert (last.status_code, last.text, len(runs)) == (200, OLD, 2)


@pytest.mark.parametrize('guarded', [False, True])
def test_a_limit_of_a_dependency_ends_nothing_and_what_it_does_not_find_does(guarded, clock):
    cache, router, state = FastAPICache(clock=clock), caching_router(), [200]
    scheme = APIKeyHeader(name='x-key')

    async def item():
        if state[0] != 200:
            raise HTTPException(state[0])
        return OLD

    @router.get('/', dependencies=[Depends(scheme)] if guarded else [])
    @cache(ttl=60, stale_if_error=86400)
    async def endpoint(item: Annotated[str, Depends(item)]):
        return Response(item)

    client = client_of(router)
    client.headers['x-key'] = 'k'
    client.get('/')
    clock.now += 100
    for status, then in ((429, 200), (404, 503)):
        state[0] = status
        assert client.get('/').status_code == status
        state[0] = 503
        assert client.get('/').status_code == then
        clock.now += 100  # the endpoint is asked again


@pytest.mark.parametrize('handled', [False, True])
def test_values_that_are_not_valid_end_nothing(handled, clock):
    cache, router, state = FastAPICache(clock=clock), caching_router(), ['fine']

    @router.get('/')
    @cache(ttl=60, stale_if_error=86400, key_builder=lambda request: 'one key')
    async def endpoint(number: int = 1):
        if state[0] == 'down':
            raise HTTPException(503)
        return Response(OLD)

    client = client_of(router)
    if handled:

        @client.app.exception_handler(RequestValidationError)
        async def handle(request, error):
            return JSONResponse('what is that?', 400)

    client.get('/')
    clock.now += 100
    assert client.get('/?number=x').status_code == (400 if handled else 422)
    state[0] = 'down'
    assert client.get('/').text == OLD


async def test_a_response_that_breaks_off_ends_nothing(clock):
    cache, router, runs = FastAPICache(clock=clock), caching_router(), []

    @router.get('/')
    @cache(ttl=60, stale_if_error=86400)
    async def endpoint():
        runs.append(1)

        async def body():
            yield b'half'
            raise OSError

        if len(runs) == 3:
            raise HTTPException(503)
        return Response(OLD) if len(runs) == 1 else StreamingResponse(body(), 404)

    app = FastAPI()
    app.include_router(router)
    await asgi_call(app, asgi_scope())
    clock.now += 100
    with pytest.raises(Exception):  # noqa: B017, PT011, of one kind or another, by the release of Starlette
        await asgi_call(app, asgi_scope())
    assert (await asgi_call(app, asgi_scope()))[1]['body'] == OLD.encode()
    assert len(runs) == 3


async def test_what_is_said_to_a_client_that_has_left_ends_nothing(clock):
    cache, router, runs = FastAPICache(clock=clock), caching_router(), []

    class LeftError(Exception):
        pass

    @router.get('/')
    @cache(ttl=60, stale_if_error=86400)
    async def endpoint(request: Request):
        runs.append(1)
        if len(runs) == 3:
            raise HTTPException(503)
        await request.body()
        if await request.is_disconnected():
            raise LeftError
        return Response(OLD)

    app = FastAPI()
    app.include_router(router)

    @app.exception_handler(LeftError)
    async def handle(request, error):
        return Response(status_code=499)

    received = iter([{'type': 'http.request', 'body': b'', 'more_body': False}])

    async def gone():
        return next(received, {'type': 'http.disconnect'})

    async def send(message):
        pass

    await asgi_call(app, asgi_scope())
    clock.now += 100
    await app(asgi_scope(), gone, send)
    assert (await asgi_call(app, asgi_scope()))[1]['body'] == OLD.encode()
    assert len(runs) == 3


@pytest.mark.parametrize('failing', [{'delete'}, {'delete', 'set'}, {'delete', 'set', 'get', 'multi_get', 'add'}])
async def test_what_cannot_be_deleted_does_not_come_back_in_this_process(failing, clock):
    backend, runs = Elsewhere(), []
    cache = FastAPICache(backend, clock=clock, store_timeout=1)
    answers = [saying(Response(OLD)), *[raising(404)] * 4, *[raising(503)] * 4, saying(Response('new'))]
    app = FastAPI()
    app.include_router(article(cache, runs, answers))
    await asgi_call(app, asgi_scope(path='/article'))
    clock.now += 100
    backend.failing |= failing
    for _ in range(4):  # the last ones meet a store that is known to be in trouble
        assert (await asgi_call(app, asgi_scope(path='/article')))[0]['status'] == 404
    assert any(OLD.encode() in value for value in backend.kept.values() if isinstance(value, bytes))
    backend.failing.clear()
    for kind in cache._settings.store.backend.breaker.all_open():  # it works again
        cache._settings.store.backend.breaker.worked(kind)
    for _ in range(4):
        assert (await asgi_call(app, asgi_scope(path='/article')))[0]['status'] == 503
    assert not any(OLD.encode() in value for value in backend.kept.values() if isinstance(value, bytes))
    fields = [dict((await asgi_call(app, asgi_scope(path='/article')))[0]['headers']) for _ in range(2)]
    assert [it[b'x-cache'] for it in fields] == [b'MISS', b'HIT']
    assert len(runs) == 10
    await cache._settings.store.close()


async def test_what_a_renewal_cannot_delete_from_a_store_of_this_machine_is_not_served_again(
    tmp_path, clock, monkeypatch
):
    cache, runs, app = FastAPICache(LMDBCache(tmp_path / 'store'), clock=clock), [], FastAPI()
    answers = [saying(Response(OLD)), raising(404), raising(404)]
    app.include_router(article(cache, runs, answers, stale_while_revalidate=600))

    async def failing(*_):
        raise OSError

    async with cache:
        await asgi_call(app, asgi_scope(path='/article'))
        clock.now += 100
        monkeypatch.setattr(LMDBDriver, 'delete', failing)
        assert [(await asgi_call(app, asgi_scope(path='/article')))[0]['status'] for _ in range(2)] == [200, 404]


async def test_a_renewal_that_the_store_does_not_take_ends_the_stale_entry(clock):
    backend, runs = Elsewhere(), []
    cache = FastAPICache(backend, clock=clock, store_timeout=1)
    answers = [saying(Response(OLD)), *[saying(Response('new'))] * 3]
    app = FastAPI()
    app.include_router(article(cache, runs, answers, stale_while_revalidate=600))
    await asgi_call(app, asgi_scope(path='/article'))
    clock.now += 100
    backend.failing.add('set')
    bodies = [(await asgi_call(app, asgi_scope(path='/article')))[1]['body'] for _ in range(3)]
    assert bodies == [OLD.encode(), b'new', b'new']
    await cache._settings.store.close()


@pytest.mark.parametrize('backend', [None, Elsewhere])
async def test_a_run_that_began_before_brings_nothing_back(backend, clock):
    cache, router, runs = FastAPICache(backend and backend(), clock=clock), caching_router(), []
    reached, go_on = asyncio.Event(), asyncio.Event()

    @router.get('/')
    @cache(ttl=60, stale_if_error=86400, collapse=False)
    async def endpoint():
        runs.append(1)
        if len(runs) > 2:
            raise HTTPException(404 if len(runs) == 3 else 503)
        if len(runs) == 2:
            reached.set()
            await go_on.wait()
        return OLD

    app = FastAPI()
    app.include_router(router)
    await asgi_call(app, asgi_scope())
    clock.now += 100
    slow = asyncio.ensure_future(asgi_call(app, asgi_scope()))
    await reached.wait()
    assert (await asgi_call(app, asgi_scope()))[0]['status'] == 404
    go_on.set()
    start, _ = await slow
    assert b'detail=invalidated' in dict(start['headers'])[b'cache-status']
    assert (await asgi_call(app, asgi_scope()))[0]['status'] == 503
    assert len(runs) == 4
    await cache._settings.store.close()


async def test_an_older_entry_does_not_stand_in_where_a_newer_one_is_stored(clock):
    cache, router, runs = FastAPICache(clock=clock), caching_router(), []
    reached, go_on = asyncio.Event(), asyncio.Event()

    @router.get('/')
    @cache(ttl=60, stale_if_error=86400, collapse=False)
    async def endpoint():
        runs.append(1)
        if len(runs) == 2:
            reached.set()
            await go_on.wait()
            raise HTTPException(503)
        return OLD if len(runs) == 1 else 'new'

    app = FastAPI()
    app.include_router(router)
    await asgi_call(app, asgi_scope())
    clock.now += 100
    slow = asyncio.ensure_future(asgi_call(app, asgi_scope()))
    await reached.wait()
    await asgi_call(app, asgi_scope())
    go_on.set()
    assert (await slow)[0]['status'] == 503
    assert len(runs) == 3
