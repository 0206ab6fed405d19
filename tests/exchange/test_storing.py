"""Which responses are stored, and for how long."""

from collections.abc import AsyncIterator
from typing import Annotated

import pytest
from aiocache import SimpleMemoryCache
from fastapi import BackgroundTasks, Depends, Header, HTTPException, Response

from fastapi_caching_route import FastAPICache
from tests.support import Clock, caching_router, client_of, marks, memory_cache


def test_background_tasks_run_once_for_each_run_of_the_endpoint():
    router, cache, tasks = caching_router(), memory_cache(), []

    @cache(ttl=60)
    @router.get('/')
    async def endpoint(background: BackgroundTasks):
        background.add_task(tasks.append, 'ran')
        return 'answer'

    client = client_of(router)
    assert marks(client.get('/'), client.get('/'), client.get('/')) == ['MISS', 'HIT', 'HIT']
    assert tasks == ['ran']


def test_a_yield_dependency_is_torn_down_after_the_answer_was_stored():
    router, cache, log = caching_router(), memory_cache(), []

    async def resource() -> AsyncIterator[str]:
        log.append('open')
        yield 'resource'
        log.append('closed')

    @cache(ttl=60)
    @router.get('/')
    async def endpoint(it: Annotated[str, Depends(resource)]):
        return it

    client = client_of(router)
    assert [client.get('/').json() for _ in range(2)] == ['resource', 'resource']
    assert log == ['open', 'closed']


@pytest.mark.parametrize(
    ('status', 'headers'),
    [
        (404, {}),
        (500, {}),
        (206, {}),
        (200, {'content-range': 'bytes 0-1/2'}),
        (200, {'cache-control': 'no-store'}),
        (200, {'cache-control': 'max-age=60, NO-STORE'}),
        (200, {'cache-control': 'private'}),
        (200, {'cache-control': 'no-cache'}),
        (200, {'cache-control': 'max-age=0'}),
        (200, {'cache-control': 's-maxage="0", max-age=60'}),
        (200, {'expires': '0'}),
        (200, {'vary': '*'}),
        (200, {'vary': 'accept, *'}),
        (200, {'set-cookie': 'session=secret'}),
    ],
)
def test_it_is_never_stored(status, headers):
    router, cache, runs = caching_router(), memory_cache(), []

    @cache(ttl=60)
    @router.get('/')
    async def endpoint():
        runs.append(1)
        return Response('answer', status, headers=headers)

    client = client_of(router)
    responses = [client.get('/') for _ in range(2)]
    assert marks(*responses) == [None, None]
    assert all(response.headers[name] == value for response in responses for name, value in headers.items())
    assert runs == [1, 1]


def test_an_http_exception_looks_as_on_a_plain_route_and_is_not_stored():
    router, cache, runs = caching_router(), memory_cache(), []

    @cache(ttl=60)
    @router.get('/')
    async def endpoint():
        runs.append(1)
        raise HTTPException(404, 'gone', headers={'x-why': 'test'})

    client = client_of(router)
    for _ in range(2):
        response = client.get('/')
        assert (response.status_code, response.json(), response.headers['x-why']) == (404, {'detail': 'gone'}, 'test')
        assert 'x-cache' not in response.headers
    assert runs == [1, 1]


def test_an_exception_of_the_endpoint_reaches_the_server_untouched():
    router, cache = caching_router(), memory_cache()

    @cache(ttl=60)
    @router.get('/')
    async def endpoint():
        raise KeyError('mine')

    with pytest.raises(KeyError, match='mine'):
        client_of(router).get('/')


def test_an_entry_is_a_hit_until_its_lifetime_ends():
    clock, router, runs = Clock(), caching_router(), []
    cache = memory_cache(clock=clock)

    @cache(ttl=1.5)
    @router.get('/')
    async def endpoint():
        runs.append(1)
        return len(runs)

    client = client_of(router)
    with client:
        assert marks(client.get('/')) == ['MISS']
        clock.now += 1.4
        hit = client.get('/')
        assert (hit.headers['x-cache'], hit.headers['age']) == ('HIT', '1')
        clock.now += 0.2
        late = client.get('/')
    assert (late.headers['x-cache'], late.json()) == ('MISS', 2)


@pytest.mark.parametrize(
    ('ttl', 'backend_ttl', 'cache_control', 'lifetime'),
    [
        (10, None, None, 10),
        (10, 99, None, 10),
        (None, 20, None, 20),
        (None, None, None, 30 * 24 * 3600),
        (10, None, 'max-age=5', 5),
        (10, None, 'max-age=60', 10),
        (10, None, 'max-age=3, s-maxage=7', 7),
        (None, 20, 'max-age=60', 60),
        (float('inf'), None, None, 30 * 24 * 3600),
    ],
)
def test_the_lifetime_is_the_ttl_which_the_response_can_only_shorten(ttl, backend_ttl, cache_control, lifetime):
    clock, router = Clock(), caching_router()
    cache = FastAPICache(SimpleMemoryCache(ttl=backend_ttl), clock=clock)

    @cache(ttl=ttl)
    @router.get('/')
    async def endpoint():
        return Response(headers={'cache-control': cache_control} if cache_control else {})

    client = client_of(router)
    assert marks(client.get('/')) == ['MISS']
    clock.now += lifetime - 0.5
    assert marks(client.get('/')) == ['HIT']
    clock.now += 1
    assert marks(client.get('/')) == ['MISS']


def test_a_ttl_of_zero_stores_nothing():
    router, cache = caching_router(), memory_cache()

    @cache(ttl=0)
    @router.get('/')
    async def endpoint():
        return 'answer'

    client = client_of(router)
    assert marks(client.get('/'), client.get('/')) == [None, None]


def test_a_request_that_asks_for_no_store_is_not_stored():
    router, cache = caching_router(), memory_cache()

    @cache(ttl=60)
    @router.get('/')
    async def endpoint():
        return 'answer'

    client = client_of(router)
    assert marks(client.get('/', headers={'cache-control': 'no-store'}), client.get('/')) == [None, 'MISS']


def test_a_request_that_asks_for_no_store_is_heard_also_where_the_endpoint_reads_the_field():
    router, cache = caching_router(), memory_cache()

    @cache(ttl=60)
    @router.get('/')
    async def endpoint(cache_control: Annotated[str, Header()]):
        return cache_control

    client = client_of(router)
    assert marks(*(client.get('/', headers={'cache-control': 'no-store'}) for _ in range(2))) == [None, None]


def test_fewer_bytes_than_the_content_length_are_not_stored():
    router, cache = caching_router(), memory_cache()

    class Short(Response):
        async def __call__(self, scope, receive, send):
            headers = [(b'content-length', b'10')]
            await send({'type': 'http.response.start', 'status': 200, 'headers': headers})
            await send({'type': 'http.response.body', 'body': b'short'})

    @cache(ttl=60)
    @router.get('/')
    async def endpoint():
        return Short()

    client = client_of(router)
    assert marks(client.get('/'), client.get('/')) == [None, None]
