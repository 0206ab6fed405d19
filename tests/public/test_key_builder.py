"""`key_builder`: keys that users make."""

import pytest
from fastapi import Request

from tests.support import caching_router, client_of, marks, memory_cache


def test_a_key_builder_decides_alone_what_tells_requests_apart():
    router, cache = caching_router(), memory_cache()

    @cache(ttl=60, key_builder=lambda request: f'user:{request.path_params["user_id"]}')
    @router.get('/{user_id}')
    async def endpoint(user_id: int, request: Request):
        return request.query_params.get('q')

    client = client_of(router)
    assert marks(client.get('/1?q=a'), client.get('/1?q=b'), client.get('/2')) == ['MISS', 'HIT', 'MISS']


def test_vary_headers_count_together_with_a_key_builder():
    router, cache, runs = caching_router(), memory_cache(), []

    @cache(ttl=60, key_builder=lambda _: 'one', vary_headers=['x-plan'])
    @router.get('/')
    async def endpoint(request: Request):
        runs.append(1)
        return request.headers.get('x-plan')

    client = client_of(router)
    for plan in ('a', 'b', 'a', 'b'):
        response = client.get('/', headers={'x-plan': plan})
        assert (response.json(), response.headers['vary']) == (plan, 'x-plan')
    assert len(runs) == 2


async def test_deleting_the_key_of_a_builder_deletes_all_its_variants():
    cache = memory_cache()
    router = caching_router()

    @cache(ttl=60, key_builder=lambda _: 'one', vary_headers=['x-plan'])
    @router.get('/')
    async def endpoint():
        return 'answer'

    client = client_of(router)
    asked = [{'x-plan': 'a'}, {'x-plan': 'b'}]
    assert marks(*(client.get('/', headers=it) for it in asked * 2)) == ['MISS', 'MISS', 'HIT', 'HIT']
    assert await cache.invalidate_cached('one') == 1
    assert marks(*(client.get('/', headers=it) for it in asked)) == ['MISS', 'MISS']


@pytest.mark.parametrize('built', ['', None, 7])
def test_what_is_not_a_key_goes_by_the_cache_with_a_warning(built, caplog):
    router, cache = caching_router(), memory_cache()

    @cache(ttl=60, key_builder=lambda _: built)
    @router.get('/')
    async def endpoint():
        return 'answer'

    client = client_of(router)
    assert marks(client.get('/'), client.get('/')) == [None, None]
    assert 'the key_builder must return' in caplog.text
