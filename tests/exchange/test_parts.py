"""Ranges: parts of what is stored, of what is held, and of files."""

from typing import Annotated

import pytest
from fastapi import FastAPI, Header, Request, Response
from fastapi.responses import FileResponse
from starlette.middleware.gzip import GZipMiddleware
from starlette.testclient import TestClient

from tests.support import caching_router, client_of, marks, memory_cache

GIVEN = {'accept-encoding': 'identity'}


def test_a_part_is_served_from_what_is_stored_and_from_what_is_held(cache):
    router, runs = caching_router(), []

    @router.get('/')
    @cache(ttl=60)
    async def endpoint():
        runs.append(1)
        return Response(b'0123456789', media_type='text/plain')

    client = client_of(router)
    first = client.get('/', headers={'range': 'bytes=0-3'} | GIVEN)
    second = client.get('/', headers={'range': 'bytes=4-'} | GIVEN)
    assert [(it.status_code, it.content) for it in (first, second)] == [(206, b'0123'), (206, b'456789')]
    assert (second.headers['content-range'], second.headers['content-length']) == ('bytes 4-9/10', '6')
    assert client.get('/', headers={'range': 'bytes=50-'}).headers['content-range'] == 'bytes */10'
    assert (client.get('/').content, runs) == (b'0123456789', [1])


def test_a_file_serves_its_own_ranges_and_is_stored_whole(cache, tmp_path):
    router = caching_router()
    (tmp_path / 'file').write_bytes(b'0123456789')

    @router.get('/')
    @cache(ttl=60)
    async def endpoint():
        return FileResponse(tmp_path / 'file')

    client = client_of(router)
    part = {'range': 'bytes=2-3'} | GIVEN
    assert [client.get('/', headers=part).content for _ in range(2)] == [b'23', b'23']
    assert client.get('/').content == b'0123456789'
    hit = client.get('/', headers=part)
    assert (hit.status_code, hit.content, marks(hit)) == (206, b'23', ['HIT'])


@pytest.mark.parametrize(
    'asked', ['bytes=5-2', 'bytes=x', 'bytes', 'bytes=-', 'bytes=1-2,x', 'items=0-1', 'bytes=99999999999999999999-']
)
def test_a_range_that_is_not_valid_is_ignored_on_a_miss_as_on_a_hit(cache, tmp_path, asked):
    router, runs = caching_router(), []
    (tmp_path / 'file').write_bytes(b'0123456789')

    @router.get('/')
    @cache(ttl=60)
    async def endpoint():
        runs.append(1)
        return FileResponse(tmp_path / 'file')

    client = client_of(router)
    answers = [client.get('/', headers={'range': asked}) for _ in range(2)]
    assert [(it.status_code, it.content) for it in answers] == [(200, b'0123456789')] * 2
    assert (marks(*answers), runs) == (['MISS', 'HIT'], [1])


def test_an_endpoint_that_declares_range_gets_it_as_it_was_sent(cache):
    router = caching_router()

    @router.get('/')
    @cache(ttl=60)
    async def endpoint(range_: Annotated[str, Header(alias='range')]):
        return range_

    assert client_of(router).get('/', headers={'range': 'items=0-1'}).json() == 'items=0-1'


def test_hiding_a_range_leaves_preconditions_to_the_endpoint(cache):
    router = caching_router()

    @router.get('/')
    @cache(ttl=60)
    async def endpoint(response: Response):
        response.headers.update({'etag': '"1"', 'cache-control': 'no-store'})
        return 'whole'

    answer = client_of(router).get('/', headers={'range': 'bytes=x', 'if-none-match': '"1"'})
    assert (answer.status_code, answer.json()) == (200, 'whole')


def test_a_part_is_never_compressed(cache):
    router = caching_router()

    @router.get('/')
    @cache(ttl=60)
    async def endpoint():
        return Response(bytes(5000), media_type='text/plain')

    app = FastAPI()
    app.include_router(router)
    app.add_middleware(GZipMiddleware, minimum_size=100)
    client = TestClient(app)
    assert client.get('/', headers={'accept-encoding': 'gzip'}).headers['content-encoding'] == 'gzip'
    response = client.get('/', headers={'accept-encoding': 'gzip', 'range': 'bytes=0-1999'})
    assert (response.status_code, response.content) == (206, bytes(2000))
    assert response.headers['content-encoding'] == 'identity'


REFUSE_COMPRESSION = [None, '', 'identity', 'Identity;q=1, *;q=0', 'identity ; q=0.5, * ; q=0.0']
MAY_BE_COMPRESSED = ['gzip', '*', 'identity, *;q=0.1', 'gzip;q=0', 'br, identity']  # Starlette ignores weights


@pytest.mark.parametrize('accepted', [*REFUSE_COMPRESSION, *MAY_BE_COMPRESSED])
def test_a_client_whose_copy_cannot_have_been_compressed_on_its_way_resumes_it(accepted, cache):
    router = caching_router()

    @router.get('/')
    @cache(ttl=60)
    async def endpoint():
        return Response(bytes(5000), media_type='text/plain', headers={'etag': '"a"'})

    client = client_of(router)
    client.headers.pop('accept-encoding')
    given = {} if accepted is None else {'accept-encoding': accepted}
    client.get('/', headers=given)
    response = client.get('/', headers={**given, 'range': 'bytes=0-1999', 'if-range': '"a"'})
    assert response.headers['x-cache'] == 'HIT'
    assert response.status_code == (206 if accepted in REFUSE_COMPRESSION else 200)
    assert 'content-encoding' not in response.headers


@pytest.mark.parametrize('asked', [{'if-none-match': '"a"'}, {'range': 'bytes=0-0'}])
def test_a_renewal_asks_for_the_whole(cache, clock, asked):
    router, runs = caching_router(), []

    @router.get('/')
    @cache(ttl=10, stale_while_revalidate=100, reads='declared')
    async def endpoint(request: Request):
        runs.append(1)
        status = 304 if 'if-none-match' in request.headers else 206 if 'range' in request.headers else 200
        return Response(b'' if status == 304 else b'x', status, {'etag': '"a"'})

    client = client_of(router)
    client.get('/')
    clock.now += 20
    for _ in range(3):
        client.get('/', headers=asked)
    assert runs == [1, 1]


def test_a_resumed_download_is_whole_where_it_may_have_been_compressed(cache):
    router = caching_router()

    @router.get('/')
    @cache(ttl=60)
    async def endpoint():
        return Response(bytes(5000), media_type='text/plain', headers={'content-digest': 'sha-256=:x:'})

    app = FastAPI()
    app.include_router(router)
    app.add_middleware(GZipMiddleware, minimum_size=100)
    client = TestClient(app)
    tag = client.get('/').headers['etag']
    resumed = {'range': 'bytes=10-', 'if-range': tag}
    assert client.get('/', headers=resumed | {'accept-encoding': 'gzip'}).status_code == 200
    del client.headers['accept-encoding']
    part = client.get('/', headers=resumed)
    assert (part.status_code, 'content-digest' in part.headers) == (206, False)


def test_nobody_is_told_to_store_that_a_part_is_missing(cache):
    router = caching_router()

    @router.get('/')
    @cache(ttl=60, cache_control='public, max-age=60', cdn_cache_control='max-age=60')
    async def endpoint():
        return 'x'

    client = client_of(router)
    client.get('/')
    response = client.get('/', headers={'range': 'bytes=50-'})
    assert response.status_code == 416
    assert not {'cache-control', 'cdn-cache-control'} & response.headers.keys()


def test_what_is_wrong_with_a_range_or_a_precondition_is_not_told_to_others(tmp_path):
    router, cache = caching_router(), memory_cache()
    (tmp_path / 'file').write_text('content')

    @router.get('/file')
    @cache(ttl=60, status_ttl={400: 30})
    async def file():
        return FileResponse(tmp_path / 'file')

    @router.get('/raw')
    @cache(ttl=60, status_ttl={400: 30})
    async def raw(request: Request):
        asks = any(name in request.headers for name in ('if-match', 'if-none-match', 'if-unmodified-since'))
        return Response('bad' if asks else 'good', 400 if asks else 200)

    client = client_of(router)
    client.get('/file', headers={'range': 'bytes=a-'})
    assert client.get('/file').text == 'content'
    for name in ('if-match', 'if-none-match', 'if-unmodified-since'):
        assert client.get('/raw', headers={name: '"x"'}).headers['cache-status'].endswith('detail=precondition')
    assert client.get('/raw').text == 'good'
