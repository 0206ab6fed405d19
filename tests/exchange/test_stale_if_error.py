"""A stale entry is served where the endpoint fails, and only then."""

from typing import Annotated

import pytest
from aiocache import MemcachedCache, RedisCache
from fastapi import Body, Depends, HTTPException
from fastapi.responses import JSONResponse, StreamingResponse

from fastapi_caching_route import FastAPICache
from tests.support import caching_router, client_of, marks


@pytest.mark.parametrize('failure', ['exception', 500, 502, 503, 504])
def test_a_stale_entry_answers_where_the_endpoint_fails(cache, clock, failure, caplog):
    router, broken, ended = caching_router(), [], []

    async def session():
        yield
        ended.append(1)

    @router.get('/', dependencies=[Depends(session)])
    @cache(ttl=60, stale_if_error=100)
    async def endpoint():
        if broken:
            if failure == 'exception':
                raise RuntimeError('it broke')
            raise HTTPException(failure, 'sorry')
        return 'good'

    client = client_of(router)
    client.get('/')
    broken.append(1)
    clock.now += 61
    response = client.get('/')
    assert (response.json(), marks(response), response.headers['age']) == ('good', ['HIT'], '61')
    assert 'the stale entry is sent' in caplog.text
    assert client.get('/', headers={'if-none-match': response.headers['etag']}).status_code == 304
    clock.now += 100
    if failure == 'exception':
        with pytest.raises(RuntimeError):
            client.get('/')
    else:
        assert client.get('/').status_code == failure


@pytest.mark.parametrize('status', [400, 404, 410, 501])
def test_an_answer_that_is_no_failure_is_passed_on(cache, clock, status):
    router, gone = caching_router(), []

    @router.get('/')
    @cache(ttl=60, stale_if_error=100)
    async def endpoint():
        return JSONResponse('gone', status) if gone else 'good'

    client = client_of(router)
    client.get('/')
    gone.append(1)
    clock.now += 61
    assert client.get('/').status_code == status


@pytest.mark.parametrize('failure', ['refuses', 'fails', 'raises'])
def test_a_failure_of_a_guard_is_the_answer(cache, clock, failure):
    router, revoked = caching_router(), []

    async def guard():
        if revoked and failure == 'raises':
            raise RuntimeError('guard broke')
        if revoked:
            raise HTTPException(403 if failure == 'refuses' else 503)

    @router.get('/', dependencies=[Depends(guard)])
    @cache(ttl=60, stale_if_error=100, stale_while_revalidate=5)
    async def endpoint():
        return 'secret'

    client = client_of(router)
    client.get('/')
    revoked.append(1)
    clock.now += 70
    if failure == 'raises':
        with pytest.raises(RuntimeError, match='guard broke'):
            client.get('/')
    else:
        response = client.get('/')
        assert response.status_code == (403 if failure == 'refuses' else 503)
        assert 'secret' not in response.text


def test_a_stream_that_breaks_when_it_has_begun_is_broken(cache, clock):
    router, broken = caching_router(), []

    @router.get('/')
    @cache(ttl=60, stale_if_error=100)
    async def endpoint():
        async def stream():
            yield b'one'
            if broken:
                raise RuntimeError('in the middle')
            yield b'two'

        return StreamingResponse(stream())

    client = client_of(router)
    client.get('/')
    broken.append(1)
    clock.now += 61
    with pytest.raises(Exception) as broke:  # noqa: PT011, older releases put it into a group
        client.get('/')
    assert 'in the middle' in repr(getattr(broke.value, 'exceptions', broke.value))


def test_an_answer_that_must_be_revalidated_never_stands_in(cache, clock):
    router, broken = caching_router(), []

    @router.get('/')
    @cache(ttl=60, stale_if_error=100)
    async def endpoint():
        return JSONResponse('x', 503 if broken else 200, headers={'cache-control': 'must-revalidate'})

    client = client_of(router)
    client.get('/')
    broken.append(1)
    clock.now += 61
    assert client.get('/').status_code == 503


def test_what_was_invalidated_while_the_endpoint_ran_does_not_stand_in(cache, clock):
    router, runs = caching_router(), []

    @router.get('/')
    @cache(ttl=10, stale_if_error=100, tags=['it'])
    async def endpoint():
        runs.append(1)
        if len(runs) > 1:
            await cache.invalidate_tags('it')
            raise RuntimeError('broken')
        return 'old'

    client = client_of(router)
    client.get('/')
    clock.now += 20
    with pytest.raises(RuntimeError, match='broken'):
        client.get('/')


@pytest.mark.parametrize('kind', ['redis', 'memcached'])
def test_a_stale_window_of_a_year_is_one_of_a_month(kind, request):
    port = request.getfixturevalue(f'{kind}_port')
    backend = {'redis': RedisCache, 'memcached': MemcachedCache}[kind](
        endpoint='127.0.0.1', port=port, namespace='year'
    )
    cache, router = FastAPICache(backend, store_timeout=5), caching_router()

    @router.get('/')
    @cache(ttl=60, stale_if_error=31_536_000, stale_while_revalidate=31_536_000)
    async def endpoint():
        return 1

    with client_of(router) as client:
        assert marks(client.get('/'), client.get('/')) == ['MISS', 'HIT']
        client.portal.call(backend.client.aclose if kind == 'redis' else backend.close)


def test_a_guard_may_read_the_body_once_more_where_something_stands_in(cache, clock):
    router, broken = caching_router(), []

    async def guard(body: Annotated[dict, Body()]):
        if body != {'a': 1}:
            raise HTTPException(403)

    @router.post('/', dependencies=[Depends(guard)])
    @cache(ttl=5, stale_if_error=100, key_builder=lambda request: 'key')
    async def endpoint():
        return JSONResponse('sorry', 503) if broken else 'good'

    client = client_of(router)
    client.post('/', json={'a': 1})
    broken.append(1)
    clock.now += 10
    assert client.post('/', json={'a': 1}).json() == 'good'
    assert client.post('/', json={'a': 2}).status_code == 403


def test_a_window_is_over_when_the_endpoint_has_taken_too_long_to_fail(cache, clock):
    router, slow = caching_router(), []

    @router.get('/')
    @cache(ttl=5, stale_if_error=10)
    async def endpoint():
        if slow:
            clock.now += 60
            return JSONResponse('too late', 504)
        return 'good'

    client = client_of(router)
    client.get('/')
    slow.append(1)
    clock.now += 8
    assert client.get('/').status_code == 504
