"""What is read while a response is sent, after its head: no other cache uses that head for another request."""

import asyncio

import pytest
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import StreamingResponse

from fastapi_caching_route import CacheControl
from tests.support import asgi_call, asgi_scope, caching_router, memory_cache

COOKIES = [[(b'cookie', b'theme=%s' % it)] for it in (b'dark', b'light', b'dark')]


async def chunks(request):
    yield b'theme: '
    await asyncio.sleep(0.01)
    yield request.cookies.get('theme', 'none').encode()


class SentLate(Response):
    """A response that reads the request between its head and its end."""

    async def __call__(self, scope, receive, send):
        await send({'type': 'http.response.start', 'status': 200, 'headers': []})
        async for chunk in chunks(Request(scope)):
            await send({'type': 'http.response.body', 'body': chunk, 'more_body': True})
        await send({'type': 'http.response.body', 'body': b''})


async def streamed(request: Request):
    return StreamingResponse(chunks(request))


async def sent_late():
    return SentLate()


async def failed():
    raise HTTPException(404)


def app_of(endpoint, **options):
    router, app = caching_router(), FastAPI(openapi_url=None)
    router.get('/')(memory_cache()(ttl=60, status_ttl={404: 60}, **options)(endpoint))
    app.include_router(router)

    @app.exception_handler(HTTPException)
    async def handle(request, error):
        return StreamingResponse(chunks(request), error.status_code)

    return app


async def asked(app, headers=()):
    sent = await asgi_call(app, asgi_scope(headers=headers))
    found = {name.decode(): value.decode() for name, value in sent[0]['headers']}
    return b''.join(it.get('body', b'') for it in sent), found


@pytest.mark.parametrize('endpoint', [streamed, sent_late, failed])
@pytest.mark.parametrize(
    'control', ['max-age=60', 'max-age=ttl', 'max-age=60, immutable', 'max-age=60, stale-while-revalidate=9']
)
async def test_a_head_that_is_sent_before_all_is_read_is_used_again_by_no_cache_in_front(endpoint, control):
    app = app_of(endpoint, cache_control=control, cdn_cache_control='max-age=60')
    for cookie in COOKIES[:2]:
        body, first = await asked(app, cookie)
        assert (body, first['x-cache']) == (b'theme: ' + cookie[0][1][6:], 'MISS')
        assert first['cache-control'] == first['cdn-cache-control'] == 'private, no-cache'
    body, later = await asked(app, COOKIES[2])
    assert (body, later['x-cache']) == (b'theme: dark', 'HIT')
    assert later['cache-control'].startswith('private, max-age=')


async def test_what_the_route_says_beside_lifetimes_is_kept_in_a_head_that_is_sent_early():
    control = CacheControl(public=True, max_age=60, s_maxage=90, no_transform=True, must_revalidate=True)
    _, first = await asked(app_of(streamed, cache_control=control), COOKIES[0])
    assert first['cache-control'] == 'private, no-cache, no-transform, must-revalidate'


async def test_what_a_stream_says_itself_is_sent():
    async def endpoint(request: Request):
        return StreamingResponse(chunks(request), headers={'cache-control': 'public, max-age=5'})

    _, first = await asked(app_of(endpoint, cache_control='max-age=60'), COOKIES[0])
    assert (first['cache-control'], first['x-cache']) == ('public, max-age=5', 'MISS')


async def test_a_stream_whose_code_has_no_request_is_for_all_at_once():
    async def texts():
        yield b'the same '
        await asyncio.sleep(0.01)
        yield b'for all'

    async def endpoint():
        return StreamingResponse(texts())

    async def reading_nothing(request: Request):
        return StreamingResponse(texts())

    for app in (
        app_of(endpoint, cache_control='public, max-age=60'),
        app_of(reading_nothing, cache_control='public, max-age=60', reads='declared'),
    ):
        found = [(await asked(app, it))[1] for it in COOKIES[:2]]
        assert [(it['x-cache'], it['cache-control']) for it in found] == [
            ('MISS', 'public, max-age=60'),
            ('HIT', 'public, max-age=60'),
        ]
