"""Entity tags, preconditions and HEAD."""

import pytest
from aiocache import SimpleMemoryCache
from fastapi import Response

from fastapi_caching_route import FastAPICache
from tests.support import caching_router, client_of, marks, memory_cache


@pytest.mark.parametrize('said', ['private', 'no-store'])
def test_a_client_that_has_what_is_not_stored_gets_a_304_all_the_same(cache, said):
    router = caching_router()

    @router.get('/')
    @cache(ttl=10, revalidate=True)
    async def endpoint():
        return Response('x' * 99, headers={'etag': '"1"', 'cache-control': said})

    client = client_of(router)
    response = client.get('/', headers={'if-none-match': '"1"'})
    assert (response.status_code, response.content, response.headers['etag']) == (304, b'', '"1"')
    assert client.get('/', headers={'if-none-match': '"2"'}).content == b'x' * 99


def test_the_entity_tag_of_the_endpoint_is_kept():
    router, cache = caching_router(), memory_cache()

    @cache(ttl=60)
    @router.get('/')
    async def endpoint(response: Response):
        response.headers['etag'] = 'W/"mine"'
        return 'answer'

    client = client_of(router)
    assert [client.get('/').headers['etag'] for _ in range(2)] == ['W/"mine"'] * 2
    assert client.get('/', headers={'if-none-match': '"mine"'}).status_code == 304


def test_a_precondition_is_evaluated_on_a_miss_whose_body_was_held():
    router, backend, runs = caching_router(), SimpleMemoryCache(), []
    cache = FastAPICache(backend)

    @cache(ttl=60)
    @router.get('/')
    async def endpoint(response: Response):
        runs.append(1)
        response.headers.update({'cache-control': 'public', 'x-extra': '1'})
        return 'answer'

    client = client_of(router)
    tag = client.get('/').headers['etag']
    fresh = client_of(router)
    backend._cache.clear()
    response = fresh.get('/', headers={'if-none-match': f'"other", {tag}'})
    assert (response.status_code, response.headers['x-cache'], response.content) == (304, 'MISS', b'')
    assert set(response.headers) == {'etag', 'cache-control', 'x-cache', 'cache-status'}
    assert marks(fresh.get('/')) == ['HIT']
    assert runs == [1, 1]


def test_head_is_answered_from_the_entry_of_get_and_never_becomes_one():
    router, cache, runs = caching_router(), memory_cache(), []

    @cache(ttl=60)
    @router.api_route('/', methods=['GET', 'HEAD'])
    async def endpoint():
        runs.append(1)
        return 'answer'

    client = client_of(router)
    assert marks(client.head('/')) == [None]
    get, head = client.get('/'), client.head('/')
    assert marks(get, head) == ['MISS', 'HIT']
    assert (get.json(), head.content) == ('answer', b'')
    assert head.headers['content-length'] == get.headers['content-length']
    assert head.headers['etag'] == get.headers['etag']
    assert runs == [1, 1]


def test_head_on_a_route_of_get_alone_is_refused_before_and_after_a_get():
    router, cache = caching_router(), memory_cache()

    @cache(ttl=60)
    @router.get('/')
    async def endpoint():
        return 'answer'

    client = client_of(router)
    statuses = [client.head('/').status_code, client.get('/').status_code, client.head('/').status_code]
    assert statuses == [405, 200, 405]
