"""strawberry-graphql: its router builds its own endpoints. Queries by GET can be cached, and fields by functions."""

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from fastapi_caching_route import CachingRoute, FastAPICache
from tests.add_ons.libraries import library
from tests.support import found

strawberry, strawberry_fastapi = library('strawberry-graphql', 'strawberry', 'strawberry.fastapi')


@strawberry.type
class Query:
    """One field, which counts how often it was computed."""

    @strawberry.field
    async def square(self, number: int) -> int:
        runs.append(number)
        return number * number


@strawberry.type
class Mutation:
    @strawberry.mutation
    async def forget(self) -> int:
        runs.clear()
        return 0


runs = []
SCHEMA = strawberry.Schema(Query, Mutation)
TWO, THREE = '/graphql?query={square(number:2)}', '/graphql?query={square(number:3)}'


@pytest.fixture(autouse=True)
def no_runs():
    runs.clear()


def client_of(graphql):
    app = FastAPI()
    app.include_router(graphql)
    return TestClient(app)


def cached_by_get(cache, **options):
    graphql = strawberry_fastapi.GraphQLRouter(SCHEMA, path='/graphql', route_class=CachingRoute)
    for route in graphql.routes:
        if isinstance(route, CachingRoute) and 'GET' in route.methods:
            cache(ttl=60, **options)(route.endpoint)
    return graphql


def test_queries_by_get_are_cached():
    cache = FastAPICache()
    client = client_of(cached_by_get(cache))
    assert found(client, TWO, TWO, THREE, TWO) == ['MISS', 'HIT', 'MISS', 'HIT']
    assert client.get(TWO).json() == {'data': {'square': 4}}
    assert runs == [2, 3]


def test_its_router_reads_all_headers_so_browsers_share_only_by_a_key_of_yours():
    cache = FastAPICache()
    client = client_of(cached_by_get(cache))
    assert found(client, TWO) == ['MISS']
    assert client.get(TWO, headers={'user-agent': 'another'}).headers['x-cache'] == 'MISS'
    assert [it.reads for it in cache.explain(client.app) if it.cached] == [('headers', 'query')]

    named = {'reads': 'declared', 'key': lambda request: request.url.query, 'vary_headers': ['accept']}
    client = client_of(cached_by_get(FastAPICache(), **named))
    assert found(client, TWO, THREE) == ['MISS', 'MISS']
    again = [client.get(it, headers={'user-agent': 'another'}) for it in (TWO, THREE)]
    assert [it.headers['x-cache'] for it in again] == ['HIT', 'HIT']
    assert [it.json()['data']['square'] for it in again] == [4, 9]
    page = client.get(TWO, headers={'accept': 'text/html'})
    assert page.headers['x-cache'] == 'MISS'


@pytest.mark.parametrize('keeps', [False, True], ids=['by default', 'invalidate_on_write=False'])
def test_posts_are_not_cached_and_invalidate_unless_told_otherwise(keeps):
    client = client_of(cached_by_get(FastAPICache(invalidate_on_write=not keeps)))
    assert found(client, TWO, TWO) == ['MISS', 'HIT']
    for _ in range(2):
        assert client.post('/graphql', json={'query': '{square(number:2)}'}).json() == {'data': {'square': 4}}
    assert runs == [2, 2, 2]
    assert found(client, TWO) == ['HIT' if keeps else 'MISS']


def test_mutations_by_get_are_refused_and_not_stored():
    client = client_of(cached_by_get(FastAPICache()))
    refused = [client.get('/graphql?query=mutation{forget}') for _ in range(2)]
    assert [it.status_code for it in refused] == [400, 400]
    assert all('x-cache' not in it.headers for it in refused)


def test_fields_share_what_a_function_has_returned():
    cache, asked = FastAPICache(), []

    @cache.function(ttl=60)
    async def price(sku: str) -> float:
        asked.append(sku)
        return 1.5

    @strawberry.type
    class Shop:
        @strawberry.field
        async def price(self, sku: str) -> float:
            return await price(sku)

    client = client_of(strawberry_fastapi.GraphQLRouter(strawberry.Schema(Shop), path='/graphql'))
    query = {'query': '{tea: price(sku: "tea") milk: price(sku: "milk")}'}
    replies = [client.post('/graphql', json=query).json() for _ in range(2)]
    assert replies == [{'data': {'tea': 1.5, 'milk': 1.5}}] * 2
    assert sorted(asked) == ['milk', 'tea']
