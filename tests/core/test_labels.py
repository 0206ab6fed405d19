"""The name of the cache in `Cache-Status`."""

import pytest

from tests.support import caching_router, client_of, memory_cache


@pytest.mark.parametrize(('name', 'written'), [('My Cache', '"My Cache"'), ('a;hit', '"a;hit"'), ('Plain', 'Plain')])
def test_the_name_of_the_cache_is_always_a_valid_item(name, written):
    cache, router = memory_cache(cache_status=name), caching_router()

    @router.get('/')
    @cache(ttl=60)
    async def endpoint():
        return 1

    assert client_of(router).get('/').headers['cache-status'] == f'{written}; fwd=uri-miss; stored'
