"""`max_age='ttl'`: clients and caches in front are told what is left of the entry's lifetime."""

import asyncio

import pytest
from fastapi import HTTPException, Request, Response
from fastapi.responses import StreamingResponse

from fastapi_caching_route import CacheControl
from tests.support import asgi_call, asgi_scope, caching_router, client_of, memory_cache


def told(response):
    return response.headers.get('cache-control'), 'age' in response.headers


@pytest.fixture
def cache(clock):
    return memory_cache(clock=clock)


@pytest.mark.parametrize('control', ['max-age=ttl', CacheControl(max_age='ttl')], ids=['text', 'directives'])
@pytest.mark.parametrize('kind', ['plain', 'stream'])
def test_a_client_and_the_cache_end_together(cache, clock, control, kind):
    router = caching_router()

    @router.get('/')
    @cache(ttl=60, cache_control=control)
    async def endpoint():
        return StreamingResponse(iter([b'a', b'b'])) if kind == 'stream' else Response('ab')

    client = client_of(router)
    assert told(client.get('/')) == ('max-age=60', False)
    clock.now += 20.5
    assert told(client.get('/')) == ('max-age=39', False)
    clock.now += 40
    assert told(client.get('/')) == ('max-age=60', False)


def test_a_304_and_a_part_say_what_is_left_now(cache, clock):
    router = caching_router()

    @router.get('/')
    @cache(ttl=60, cache_control='public, max-age=ttl, s-maxage=ttl')
    async def endpoint():
        return Response('0123456789')

    client = client_of(router)
    tag = client.get('/').headers['etag']
    clock.now += 50
    for asked, status in (({'if-none-match': tag}, 304), ({'range': 'bytes=0-1'}, 206)):
        response = client.get('/', headers=asked)
        assert (response.status_code, told(response)) == (status, ('public, max-age=10, s-maxage=10', False))


@pytest.mark.parametrize('options', [{'stale_while_revalidate': 60}, {'stale_if_error': 60}], ids=str)
def test_a_stale_response_is_fresh_for_nobody(cache, clock, options):
    router, failing = caching_router(), []

    @router.get('/')
    @cache(ttl=10, cache_control='max-age=ttl', **options)
    async def endpoint():
        if failing:
            raise HTTPException(503)
        return Response('ab')

    client = client_of(router)
    client.get('/')
    failing.append(1)
    clock.now += 20
    for _ in range(2):  # the second time, the failure is remembered
        response = client.get('/')
        assert (response.text, told(response)) == ('ab', ('max-age=0', False))


async def test_a_soft_invalidation_ends_what_clients_are_told(cache):
    router = caching_router()

    @router.get('/')
    @cache(ttl=60, cache_control='max-age=ttl', stale_while_revalidate=60, tags=['a'])
    async def endpoint():
        return Response('ab')

    client = client_of(router)
    client.get('/')
    await cache.invalidate_tags('a', soft=True)
    assert [told(client.get('/'))[0] for _ in range(2)] == ['max-age=0', 'max-age=60']


def test_a_lifetime_that_the_endpoint_shortens_is_told(cache, clock):
    router = caching_router()

    @router.get('/')
    @cache(ttl=60, cdn_cache_control='max-age=ttl')
    async def endpoint():
        return Response('ab', headers={'cache-control': 'max-age=30', 'age': '5'})

    client = client_of(router)
    for age in (5, 15):
        response = client.get('/')
        # Age is sent with the endpoint's own Cache-Control, and CDNs subtract it.
        assert (response.headers['age'], response.headers['cdn-cache-control']) == (str(age), 'max-age=30')
        clock.now += 10


def test_a_304_of_the_endpoint_begins_a_new_lifetime(cache, clock):
    router = caching_router()

    @router.get('/')
    @cache(ttl=10, revalidate=True, cache_control='max-age=ttl')
    async def endpoint(request: Request):
        known = request.headers.get('if-none-match') == '"a"'
        return Response(None if known else 'ab', 304 if known else 200, headers={'etag': '"a"'})

    client = client_of(router)
    client.get('/')
    clock.now += 20
    assert [told(client.get('/')) for _ in range(2)] == [('max-age=10', False)] * 2


async def test_a_follower_is_told_what_is_left(cache, clock):
    router, gate = caching_router(), asyncio.Event()

    @router.get('/')
    @cache(ttl=60, cache_control='max-age=ttl')
    async def endpoint():
        await gate.wait()
        return Response('ab')

    app = client_of(router).app
    asked = [asyncio.ensure_future(asgi_call(app, asgi_scope())) for _ in range(2)]
    await asyncio.sleep(0)
    clock.now += 5  # it begins its response then
    asyncio.get_running_loop().call_later(0.05, gate.set)
    answers = [dict((await it)[0]['headers']) for it in asked]
    assert [it[b'cache-control'] for it in answers] == [b'max-age=60'] * 2
