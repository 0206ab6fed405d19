"""Headers that are for one client: those that `private="..."` and `no-cache="..."` name, and HIT or MISS."""

import asyncio
from typing import Annotated

import pytest
from fastapi import Depends, FastAPI, Header, HTTPException, Request, Response
from fastapi.responses import StreamingResponse
from starlette.testclient import TestClient

from fastapi_caching_route import CacheContext, FastAPICache
from tests.support import Clock, asgi_call, asgi_scope, caching_router, client_of, memory_cache

NAMED = ('private="x-user, x-other"', 'no-cache="X-User"', 'no-cache="a", private=x-user')
MODES = {'policy': {'ttl': 60}, 'rfc9111': {}}


@pytest.fixture(params=MODES)
def mode(request):
    return request.param


@pytest.fixture(params=NAMED)
def control(request):
    return {'cache-control': f'{request.param}, max-age=60', 'x-user': 'alice', 'x-all': 'all'}


def user_of(*responses):
    return [(it.headers.get('x-user'), it.headers.get('x-all'), it.headers.get('x-cache')) for it in responses]


ONCE = [('alice', 'all', 'MISS'), (None, 'all', 'HIT')]


def test_a_named_header_reaches_the_client_of_the_miss_and_no_other_one(mode, control):
    router, cache = caching_router(), FastAPICache(mode=mode)

    @router.get('/held')
    @cache(**MODES[mode])
    async def held() -> Response:
        return Response('text', headers=control)

    @router.get('/stream')
    @cache(**MODES[mode])
    async def stream() -> Response:
        return StreamingResponse(iter(['te', 'xt']), headers=control)

    @router.get('/returned')
    @cache(**MODES[mode])
    async def returned(response: Response) -> str:
        response.headers.update(control)
        return 'text'

    client = client_of(router)
    for path in ('/held', '/stream', '/returned'):
        assert user_of(client.get(path), client.get(path)) == ONCE


def test_a_named_header_reaches_the_client_of_a_miss_that_gets_a_304(mode, control):
    router, cache, runs = caching_router(), FastAPICache(mode=mode), []

    @router.get('/')
    @cache(**MODES[mode])
    async def endpoint() -> Response:
        runs.append(1)
        return Response('text', headers={**control, 'etag': '"v"'})

    client = client_of(router)
    responses = [client.get('/', headers={'if-none-match': '"v"'}) for _ in range(2)]
    assert ([it.status_code for it in responses], runs) == ([304, 304], [1])
    assert [it.headers.get('x-user') for it in responses] == ['alice', None]


def test_a_named_header_reaches_the_client_of_a_head(mode, control):
    router, cache = caching_router(), FastAPICache(mode=mode)

    @router.api_route('/', methods=['GET', 'HEAD'])
    @cache(**MODES[mode])
    async def endpoint() -> Response:
        return Response('text', headers=control)

    client = client_of(router)
    assert user_of(client.head('/'), client.get('/'), client.head('/')) == [('alice', 'all', None), *ONCE]


def test_a_named_header_of_a_304_reaches_the_client_that_had_it_validated(mode, control):
    clock, router, cache = Clock(), caching_router(), None
    cache = FastAPICache(mode=mode, clock=clock)

    @router.get('/')
    @cache(**MODES[mode], **({'revalidate': True} if mode == 'policy' else {}))
    async def endpoint(request: Request) -> Response:
        known = 'if-none-match' in request.headers
        return Response(None if known else 'text', 304 if known else 200, {**control, 'etag': '"v"'})

    client = client_of(router)
    client.get('/')
    clock.now += 100
    validated, later = client.get('/'), client.get('/')
    assert (validated.text, later.text) == ('text', 'text')
    assert user_of(validated, later) == [('alice', 'all', 'HIT'), (None, 'all', 'HIT')]


def test_a_named_header_of_a_304_reaches_the_client_that_has_the_response_and_gets_a_304_too(mode, control):
    clock, router = Clock(), caching_router()
    cache = FastAPICache(mode=mode, clock=clock)

    @router.get('/')
    @cache(**MODES[mode], **({'revalidate': True} if mode == 'policy' else {}))
    async def endpoint(request: Request) -> Response:
        known = 'if-none-match' in request.headers
        return Response(None if known else 'text', 304 if known else 200, {**control, 'etag': '"v"'})

    client = client_of(router)
    client.get('/')
    clock.now += 100
    responses = [client.get('/', headers={'if-none-match': '"v"'}) for _ in range(2)]
    assert [it.status_code for it in responses] == [304, 304]
    assert [it.headers.get('x-user') for it in responses] == ['alice', None]


@pytest.mark.parametrize('name', ['etag', 'content-length', 'x-cache', 'connection', 'age'])
def test_a_named_header_that_is_sent_anyway_is_sent_once(name):
    router, cache = caching_router(), memory_cache()

    @router.get('/')
    @cache(ttl=60)
    async def endpoint() -> Response:
        return Response('text', headers={'cache-control': f'private="{name}"', 'etag': '"v"'})

    client = client_of(router)
    for expected in ('"v"', None):
        headers = client.get('/').headers
        assert len(headers.get_list(name)) <= 1
        assert headers['content-length'] == '4'
        assert name != 'etag' or expected in (headers['etag'], None)


@pytest.mark.parametrize('name', ['content-encoding', 'content-type', 'vary'])
def test_what_cannot_be_read_without_a_named_header_is_not_stored(name, mode):
    router, cache = caching_router(), FastAPICache(mode=mode)

    @router.get('/')
    @cache(**MODES[mode])
    async def endpoint() -> Response:
        return Response('text', headers={'cache-control': f'private="{name}", max-age=60', 'vary': 'accept'})

    client = client_of(router)
    for _ in range(2):
        assert client.get('/').headers['cache-status'] == 'FastAPICache; fwd=uri-miss; detail=private'


async def test_only_the_leader_of_a_herd_gets_a_named_header(mode):
    app, router, cache, runs = FastAPI(), caching_router(), FastAPICache(mode=mode), []

    @router.get('/')
    @cache(**MODES[mode])
    async def endpoint() -> Response:
        runs.append(1)
        await asyncio.sleep(0.05)
        return Response('text', headers={'cache-control': 'private="x-user", max-age=60', 'x-user': 'alice'})

    app.include_router(router)
    responses = await asyncio.gather(*(asgi_call(app, asgi_scope()) for _ in range(3)))
    assert [dict(it[0]['headers']).get(b'x-user') for it in responses] == [b'alice', None, None]
    assert runs == [1]


# The header that says HIT or MISS is ours on every response of a cached route.


def refuse(x_token: Annotated[str, Header()] = ''):
    if x_token == 'refused':
        raise HTTPException(403, headers={'x-cache': 'HIT'})


async def stamped(response: Response):
    response.headers['x-cache'] = 'HIT'


def upstream_app(name='X-Cache', **options):
    app, router = FastAPI(), caching_router(dependencies=[Depends(refuse), Depends(stamped)])
    cache = FastAPICache(cache_header=name, **options)
    foreign = {name: 'HIT from elsewhere'}

    @router.get('/no-store')
    @cache(ttl=60)
    async def no_store() -> Response:
        return Response('text', headers={**foreign, 'cache-control': 'no-store'})

    @router.get('/status')
    @cache(ttl=60)
    async def status() -> Response:
        return Response('text', 404, headers=foreign)

    @router.get('/stream')
    @cache(ttl=60)
    async def stream() -> Response:
        return StreamingResponse(iter(['te', 'xt']), headers={**foreign, 'set-cookie': 'a=b'})

    @router.get('/context')
    @cache(ttl=60)
    async def context(context: Annotated[CacheContext, Depends()]) -> Response:
        context.no_store('reason')
        return Response('text', headers=foreign)

    @router.get('/skipped')
    @cache(ttl=60, skip=lambda request: True)
    async def skipped() -> Response:
        return Response('text', headers=foreign)

    @router.api_route('/stored', methods=['GET', 'PUT'])
    @cache(ttl=60)
    async def stored() -> Response:
        return Response('text', headers=foreign)

    @router.get('/returned')
    @cache(ttl=60)
    async def returned(response: Response) -> str:
        response.headers[name] = 'HIT from elsewhere'
        return 'text'

    @router.get('/guarded')
    @cache(ttl=60)
    async def guarded() -> str:
        return 'text'  # only a guard writes the header

    app.include_router(router)
    return app, cache


@pytest.mark.parametrize('path', ['/no-store', '/status', '/stream', '/context', '/skipped'])
@pytest.mark.parametrize('name', ['X-Cache', 'X-Served-By'])
def test_no_upstream_says_hit_in_our_name_where_nothing_is_stored(path, name):
    client = TestClient(upstream_app(name)[0])
    for _ in range(2):
        assert name not in client.get(path).headers


@pytest.mark.parametrize('path', ['/stored', '/returned', '/guarded'])
def test_no_upstream_says_hit_in_our_name_where_it_is_stored(path):
    client = TestClient(upstream_app()[0])
    assert [client.get(path).headers.get_list('x-cache') for _ in range(2)] == [['MISS'], ['HIT']]


def test_no_upstream_says_hit_in_our_name_to_other_methods_refused_requests_and_without_the_cache():
    app, cache = upstream_app()
    client = TestClient(app)
    assert client.get('/stored').headers['x-cache'] == 'MISS'
    assert 'x-cache' not in client.put('/stored').headers
    refused = client.get('/stored', headers={'x-token': 'refused'})
    assert (refused.status_code, 'x-cache' in refused.headers) == (403, False)
    with cache.disabled():
        assert 'x-cache' not in client.get('/stored').headers
