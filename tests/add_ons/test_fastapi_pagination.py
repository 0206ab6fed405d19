"""fastapi-pagination adds its parameters to routes after they were built."""

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from fastapi_caching_route import FastAPICache
from tests.add_ons.libraries import library
from tests.support import caching_router, found, memory_cache

pagination, links = library('fastapi-pagination', 'fastapi_pagination', 'fastapi_pagination.links')
pagination.utils.disable_installed_extensions_check()


def with_numbers(builder, cache, page, path='/numbers'):
    @builder.get(path)
    @cache(ttl=60)
    async def numbers() -> page[int]:
        return pagination.paginate(list(range(100)))


@pytest.mark.parametrize('adds_to', ['the app', 'the router', 'an app with install'])
def test_pages_have_entries_of_their_own(adds_to):
    app, router, cache = FastAPI(), caching_router(), FastAPICache()
    if adds_to == 'an app with install':
        cache.install(app)
    with_numbers(app if adds_to == 'an app with install' else router, cache, pagination.Page)
    if adds_to == 'the router':
        pagination.add_pagination(router)
    app.include_router(router)
    if adds_to != 'the router':
        pagination.add_pagination(app)
    with TestClient(app) as client:
        assert found(client, '/numbers', '/numbers?page=1', '/numbers?page=1&size=50') == ['MISS', 'HIT', 'HIT']
        assert found(client, '/numbers?page=2', '/numbers?page=2') == ['MISS', 'HIT']
        assert [client.get(f'/numbers?page={it}&size=2').json()['items'] for it in (1, 2, 1)] == [
            [0, 1],
            [2, 3],
            [0, 1],
        ]
        assert client.get('/numbers?size=x').status_code == 422


def test_limit_and_offset_are_in_the_key():
    router, cache, app = caching_router(), memory_cache(), FastAPI()
    with_numbers(router, cache, pagination.LimitOffsetPage)
    app.include_router(router)
    pagination.add_pagination(app)
    with TestClient(app) as client:
        assert found(client, '/numbers?limit=3', '/numbers?limit=3&offset=0', '/numbers?limit=3&offset=3') == [
            'MISS',
            'HIT',
            'MISS',
        ]


def test_links_have_the_query_of_their_request():
    router, cache, app = caching_router(), memory_cache(), FastAPI()
    with_numbers(router, cache, links.Page)
    app.include_router(router)
    pagination.add_pagination(app)
    with TestClient(app) as client:
        pages = [client.get(f'/numbers?size=9&page={it}') for it in (1, 2, 1)]
        assert [it.json()['links']['next'] for it in pages] == [
            '/numbers?size=9&page=2',
            '/numbers?size=9&page=3',
            '/numbers?size=9&page=2',
        ]
        assert [it.headers['x-cache'] for it in pages] == ['MISS', 'MISS', 'HIT']
        tracked = client.get('/numbers?size=9&page=1&utm=mail')
        assert tracked.headers['x-cache'] == 'MISS'
        assert tracked.json()['links']['next'] == '/numbers?size=9&utm=mail&page=2'
