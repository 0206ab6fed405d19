"""ASGI messages in unusual forms, from servers, middleware and endpoints."""

import asyncio
from typing import Annotated

from fastapi import FastAPI, Header, Request, Response
from fastapi.responses import FileResponse
from starlette.middleware.gzip import GZipMiddleware
from starlette.testclient import TestClient

from tests.support import asgi_call, asgi_scope, caching_router, client_of, memory_cache, twins


async def test_an_endpoint_that_hears_that_its_client_has_left_does_not_leave_half_an_answer_to_the_next():
    router, cache, app = caching_router(), memory_cache(), FastAPI()

    @cache(ttl=60)
    @router.get('/')
    async def endpoint(request: Request):
        done = []
        for number in range(3):
            if await request.is_disconnected():
                break
            done.append(number)
            await asyncio.sleep(0)
        return done

    app.include_router(router)
    received = [{'type': 'http.request', 'body': b'', 'more_body': False}]

    async def leaving():
        return received.pop() if received else {'type': 'http.disconnect'}

    async def send(message):
        pass

    await app(asgi_scope(), leaving, send)
    answer = await asgi_call(app, asgi_scope())
    assert answer[1]['body'] == b'[0,1,2]'


async def test_request_fields_that_can_be_read_only_once_are_read_by_all():
    async def endpoint(a: Annotated[str, Header()] = 'd'):
        return a

    router, cache, app = caching_router(), memory_cache(), FastAPI()
    cache(ttl=60)(router.get('/')(endpoint))
    app.include_router(router)
    for value in (b'1', b'2', b'1'):
        scope = asgi_scope()
        scope['headers'] = iter([(b'a', value)])
        assert (await asgi_call(app, scope))[1]['body'] == b'"%s"' % value


async def test_response_fields_that_can_be_read_only_once_are_all_sent():
    class Once(Response):
        async def __call__(self, scope, receive, send):
            headers = ((name, value) for name, value in [(b'X-A', b'1'), (b'content-type', b'text/plain')])
            await send({'type': 'http.response.start', 'status': 200, 'headers': headers})
            await send({'type': 'http.response.body', 'body': b'a'})

    async def endpoint():
        return Once()

    cached, _ = twins(endpoint)
    for response in (cached.get('/'), cached.get('/')):
        assert (response.headers['x-a'], response.headers['content-type']) == ('1', 'text/plain')


def test_what_middleware_changes_in_a_reply_does_not_reach_the_next_client():
    router, cache, app = caching_router(), memory_cache(), FastAPI()

    @cache(ttl=60)
    @router.get('/')
    async def endpoint():
        return 'x' * 2000

    app.include_router(router)
    app.add_middleware(GZipMiddleware)

    @app.middleware('http')
    async def set_cookie(request: Request, call_next):
        response = await call_next(request)
        response.set_cookie('visitor', request.headers.get('x-visitor', 'nobody'))
        return response

    client = TestClient(app)
    gzipped = client.get('/', headers={'x-visitor': 'ann', 'accept-encoding': 'gzip'})
    client.cookies.clear()
    plain = client.get('/', headers={'x-visitor': 'bob', 'accept-encoding': 'identity'})
    assert (gzipped.headers['x-cache'], plain.headers['x-cache']) == ('MISS', 'HIT')
    assert (gzipped.headers.get('content-encoding'), plain.headers.get('content-encoding')) == ('gzip', None)
    assert plain.headers['set-cookie'].startswith('visitor=bob')
    assert gzipped.json() == plain.json() == 'x' * 2000


async def test_an_app_that_ends_its_answer_without_a_body_still_sends_its_start():
    router, cache = caching_router(), memory_cache()

    class Startless(Response):
        async def __call__(self, scope, receive, send):
            await send({'type': 'http.response.start', 'status': 200, 'headers': []})

    @cache(ttl=60)
    @router.get('/')
    async def endpoint():
        return Startless()

    app = FastAPI()
    app.include_router(router)
    assert [it['type'] for it in await asgi_call(app, asgi_scope())] == ['http.response.start']


async def test_a_file_response_sends_bytes_although_the_server_offers_to_send_paths(tmp_path):
    router, cache = caching_router(), memory_cache()
    file = tmp_path / 'file.txt'
    file.write_text('content of the file')

    @cache(ttl=60)
    @router.get('/')
    async def endpoint():
        return FileResponse(file)

    app = FastAPI()
    app.include_router(router)
    scope = asgi_scope()
    scope['extensions'] = {'http.response.pathsend': {}, 'other': {}}
    miss, hit = await asgi_call(app, scope), await asgi_call(app, asgi_scope())
    assert b''.join(it.get('body', b'') for it in miss) == hit[1]['body'] == b'content of the file'
    assert (b'x-cache', b'HIT') in hit[0]['headers']
    assert scope['extensions'] == {'http.response.pathsend': {}, 'other': {}}


async def test_a_debug_message_before_the_start_does_no_harm():
    router, cache = caching_router(), memory_cache()

    class Debugging(Response):
        async def __call__(self, scope, receive, send):
            await send({'type': 'http.response.debug', 'info': {}})
            await super().__call__(scope, receive, send)

    router.get('/')(cache(ttl=60)(lambda: Debugging('page')))
    sent = await asgi_call(client_of(router).app, asgi_scope())
    assert [it['type'] for it in sent] == ['http.response.debug', 'http.response.start', 'http.response.body']
