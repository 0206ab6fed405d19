"""A response that a server cannot send is never stored, in any store: it would fail again until its entry expires."""

import json
from typing import Annotated

import pytest
from aiocache import SimpleMemoryCache
from fastapi import Depends, FastAPI, Response, Security
from fastapi.responses import StreamingResponse
from fastapi.security import APIKeyHeader
from starlette.datastructures import Headers

from fastapi_caching_route import CachedResponse, ConfigurationError, FastAPICache, MemoryCache
from fastapi_caching_route._core.entry import Entry
from fastapi_caching_route._store.wire import decode, encode
from tests.backends.fakes import Elsewhere
from tests.servers import ROOT, Wire, real_server
from tests.support import asgi_call, asgi_scope, caching_router, client_of, memory_cache

UNSENDABLE = {
    'CR LF': [(b'x-title', b'a\r\nset-cookie: evil=1')],
    'LF': [(b'x-title', b'a\nb')],
    'CR': [(b'x-title', b'a\rb')],
    'NUL': [(b'x-title', b'a\0b')],
    'DEL': [(b'x-title', b'a\x7fb')],
    'blank in a name': [(b'x title', b'a')],
    'colon in a name': [(b'x:title', b'a')],
    'no name': [(b'', b'a')],
    'name in Latin-1': [(b'x-t\xeftle', b'a')],
    'in a known header': [(b'content-type', b'text/plain\r\n')],
    'two lengths': [(b'content-length', b'4'), (b'content-length', b'5')],
    'one length twice': [(b'content-length', b'4'), (b'content-length', b'4')],
}
SENDABLE = {
    'tab': [(b'x-title', b'a\tb')],
    'Latin-1': [(b'x-title', b'\xe4\xff\x80')],
    'empty value': [(b'x-title', b'')],
    'every character of a name': [(b"!#$%&'*+.^_`|~-0a", b'a')],
}
STORES = {'ours': MemoryCache, 'aiocache': SimpleMemoryCache, 'elsewhere': Elsewhere}


def answer(headers, *, streamed=False):
    response = StreamingResponse(iter([b'te', b'xt'])) if streamed else Response(b'text', media_type='text/plain')
    given = [it for it in response.raw_headers if it[0] not in dict(headers)]
    response.raw_headers = [*given, (b'cache-control', b'max-age=60'), *headers]
    return response


async def asked(endpoint, *, backend=None, mode='policy', **options):
    """Two responses to the same request: status, headers and body of each."""
    app, router = FastAPI(), caching_router()
    if backend is not None:
        endpoint = FastAPICache(backend, mode=mode)(**options)(endpoint)
    router.get('/')(endpoint)
    app.include_router(router)
    responses = []
    for _ in range(2):
        start, *bodies = await asgi_call(app, asgi_scope())
        responses.append((start['status'], start['headers'], b''.join(it.get('body', b'') for it in bodies)))
    return responses


@pytest.mark.parametrize('streamed', [False, True], ids=['whole', 'stream'])
@pytest.mark.parametrize('mode', ['policy', 'rfc9111'])
@pytest.mark.parametrize('store', STORES)
@pytest.mark.parametrize('headers', UNSENDABLE.values(), ids=UNSENDABLE)
async def test_a_header_that_cannot_be_sent_is_never_stored(headers, store, mode, streamed):
    runs = []

    async def endpoint() -> Response:
        runs.append(1)
        return answer(headers, streamed=streamed)

    options = {} if mode == 'rfc9111' else {'ttl': 60}
    plain = await asked(endpoint)
    cached = await asked(endpoint, backend=STORES[store](), mode=mode, **options)
    assert len(runs) == 4
    status = (b'cache-status', b'FastAPICache; fwd=uri-miss; detail=header')
    assert cached == [(code, [*fields, status], body) for code, fields, body in plain]


@pytest.mark.parametrize('store', STORES)
@pytest.mark.parametrize('headers', SENDABLE.values(), ids=SENDABLE)
async def test_a_header_that_can_be_sent_is_stored(headers, store):
    runs = []

    async def endpoint() -> Response:
        runs.append(1)
        return answer(headers)

    _, (_, fields, body) = await asked(endpoint, backend=STORES[store](), ttl=60)
    assert set(headers) < set(fields)
    assert (len(runs), dict(fields)[b'x-cache'], body) == (1, b'HIT', b'text')


@pytest.mark.parametrize('store', STORES)
@pytest.mark.parametrize('length', [b'3', b'5', b'04', b'-4', b'four', b''])
async def test_a_length_that_is_not_that_of_the_body_is_never_stored(length, store):
    runs = []

    async def endpoint() -> Response:
        runs.append(1)
        return answer([(b'content-length', length)])

    responses = await asked(endpoint, backend=STORES[store](), ttl=60)
    assert (len(runs), [dict(it[1]).get(b'x-cache') for it in responses]) == (2, [None, None])


@pytest.mark.parametrize('store', STORES)
@pytest.mark.parametrize(('body', 'runs_needed'), [(b'', 1), (b'text', 2)])
async def test_a_204_is_stored_without_a_body_only(body, runs_needed, store):
    runs, cache, router, app = (
        [],
        FastAPICache(STORES[store](), accepted_status_codes={204}),
        caching_router(),
        FastAPI(),
    )

    @router.get('/')
    @cache(ttl=60)
    async def endpoint() -> Response:
        runs.append(1)
        return Response(body, 204)

    app.include_router(router)
    for _ in range(2):
        await asgi_call(app, asgi_scope())
    assert len(runs) == runs_needed


def test_a_header_that_cannot_be_sent_is_not_stored_under_that_of_a_guard():
    """A guard writes over it for one client, and not for the next one."""
    router, cache, runs = caching_router(), memory_cache(), []

    async def titled(response: Response):
        response.headers['x-title'] = 'a\r\nset-cookie: evil=1'

    async def guard(response: Response, key: Annotated[str, Security(APIKeyHeader(name='x-key'))]):
        if key == 'first':
            response.headers['x-title'] = 'of the guard'

    @router.get('/')
    @cache(ttl=60, identity='shared')
    async def endpoint(title: Annotated[None, Depends(titled)], user: Annotated[None, Depends(guard)]):
        runs.append(1)
        return 'text'

    client = client_of(router)
    for _ in range(2):
        response = client.get('/', headers={'x-key': 'first'})
        assert response.headers['x-title'] == 'of the guard'
        assert response.headers['cache-status'] == 'FastAPICache; fwd=uri-miss; detail=header'
    assert len(runs) == 2


async def test_a_status_that_is_none_is_not_stored_by_the_book():
    async def endpoint() -> Response:
        return Response(b'text', 600, {'cache-control': 'max-age=60'})

    responses = await asked(endpoint, backend=MemoryCache(), mode='rfc9111')
    assert [dict(it[1])[b'cache-status'] for it in responses] == [b'FastAPICache; fwd=uri-miss; detail=status'] * 2


@pytest.mark.parametrize('headers', UNSENDABLE.values(), ids=UNSENDABLE)
async def test_a_header_that_cannot_be_sent_is_not_stored_by_hand(headers):
    cache = memory_cache()
    given = CachedResponse(b'text', 200, Headers(raw=headers))
    if headers[0][0] == b'content-length':  # the length is that of the body, whatever is said
        await cache.set_cached('one', given, {'ttl': 60})
        assert (await cache.get_cached('one')).headers['content-length'] == '4'
        return
    with pytest.raises(ConfigurationError, match='must not be stored; the reason is header'):
        await cache.set_cached('one', given, {'ttl': 60})
    assert await cache.get_cached('one') is None


async def test_a_204_with_a_body_is_not_stored_by_hand():
    cache = memory_cache(accepted_status_codes={204})
    with pytest.raises(ConfigurationError, match='must not be stored; the reason is body'):
        await cache.set_cached('one', CachedResponse(b'text', 204), {'ttl': 60})


@pytest.mark.parametrize('headers', UNSENDABLE.values(), ids=UNSENDABLE)
def test_what_is_not_stored_is_not_read_either(headers):
    assert decode(encode(Entry('key', 200, tuple(headers), b'text', 0.0, 60))) is None


@pytest.mark.parametrize('http', ['h11', 'httptools'])
def test_one_response_that_a_server_cannot_send_does_not_spoil_the_next(http):
    command = ('uvicorn', '--http', http, '--port', '{}', '--log-level', 'critical', 'tests.wire_app:app')
    with real_server(command, cwd=ROOT) as port:
        failed = Wire(port)
        with pytest.raises((IndexError, ConnectionError)):  # the server ends the connection, as it does without a cache
            failed.get('/title')
        failed.close()
        wire = Wire(port)
        responses = [wire.get('/title') for _ in range(2)]
        assert [(status, dict(headers)['x-title'], dict(headers)['x-cache']) for status, headers, _ in responses] == [
            (200, 'title 2', 'MISS'),
            (200, 'title 2', 'HIT'),
        ]
        assert json.loads(wire.get('/runs')[2])['title'] == 2
        wire.close()
