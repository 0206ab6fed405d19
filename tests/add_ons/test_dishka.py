"""dishka injects what an endpoint needs. Its route class and ours are combined in either order."""

from typing import Any

import pytest
from fastapi import FastAPI, Request
from starlette.testclient import TestClient

from fastapi_caching_route import CachePolicy, CachingRoute, FastAPICache
from tests.add_ons.libraries import library
from tests.support import caching_router, found, memory_cache

dishka, dishka_fastapi = library('dishka', 'dishka', 'dishka.integrations.fastapi')
FromDishka = dishka_fastapi.FromDishka


class Repository:
    """What a provider makes for each request."""

    made = 0

    def __init__(self):
        Repository.made += 1

    async def all(self):
        return [1, 2]


class Language(str):
    """What a provider reads from the request."""

    __slots__ = ()


class Provided(dishka.Provider):
    scope = dishka.Scope.REQUEST
    repository = dishka.provide(Repository)

    @dishka.provide
    def language(self, request: Request) -> Language:
        return Language(request.headers.get('accept-language', 'en'))


OURS_FIRST = type('Both', (CachingRoute, dishka_fastapi.DishkaRoute), {})
THEIRS_FIRST = type('Both', (dishka_fastapi.DishkaRoute, CachingRoute), {})
either_order = pytest.mark.parametrize('kind', [OURS_FIRST, THEIRS_FIRST], ids=['ours first', 'theirs first'])


def client_of(router):
    app = FastAPI()
    app.include_router(router)
    container = dishka.make_async_container(Provided(), dishka_fastapi.FastapiProvider())
    dishka_fastapi.setup_dishka(container, app)
    return TestClient(app)


def declared_cache():
    return FastAPICache(policy=CachePolicy(reads='declared'))


def router_of(kind):
    router = caching_router()
    router.route_class = kind
    return router


@either_order
@pytest.mark.parametrize('above', [False, True], ids=['@cache below', '@cache above'])
def test_hits_inject_nothing(kind, above):
    router, cache = router_of(kind), declared_cache()

    async def items(repository: FromDishka[Repository], limit: int = 10) -> list[int]:
        return (await repository.all())[:limit]

    if above:
        cache(ttl=60)(router.get('/items')(items))
    else:
        router.get('/items')(cache(ttl=60)(items))
    client, before = client_of(router), Repository.made
    assert found(client, '/items', '/items?limit=10', '/items?limit=1', '/items') == ['MISS', 'HIT', 'MISS', 'HIT']
    assert client.get('/items?limit=1').json() == [1]
    assert Repository.made == before + 2


@either_order
async def test_writes_invalidate_what_an_injected_endpoint_has_returned(kind):
    router, cache = router_of(kind), declared_cache()

    @router.get('/items/{number}')
    @cache(ttl=60, tags=['item:{number}'])
    async def item(number: int, repository: FromDishka[Repository]) -> int:
        return number

    @router.post('/items/{number}/touch')
    @cache.invalidates(tags=['item:{number}'])
    async def touch(number: int, repository: FromDishka[Repository]) -> list[int]:
        return await repository.all()

    client = client_of(router)
    assert found(client, '/items/1', '/items/1') == ['MISS', 'HIT']
    assert client.post('/items/1/touch').json() == [1, 2]
    assert found(client, '/items/1', '/items/1') == ['MISS', 'HIT']
    await cache.invalidate_endpoint(item, number=1)
    assert found(client, '/items/1') == ['MISS']


def test_inject_below_the_decorator_of_the_cache():
    router, cache = caching_router(), declared_cache()

    @router.get('/items')
    @cache(ttl=60)
    @dishka_fastapi.inject
    async def items(repository: FromDishka[Repository]) -> list[int]:
        return await repository.all()

    assert found(client_of(router), '/items', '/items') == ['MISS', 'HIT']


@either_order
def test_what_a_provider_reads_must_be_named(kind):
    router, cache = router_of(kind), declared_cache()

    @router.get('/greeting')
    @cache(ttl=60, vary_headers=['accept-language'])
    async def greeting(language: FromDishka[Language]) -> str:
        return language

    client = client_of(router)
    answers: list[Any] = [client.get('/greeting', headers={'accept-language': it}) for it in ('en', 'de', 'en', 'de')]
    assert [it.json() for it in answers] == ['en', 'de', 'en', 'de']
    assert [it.headers['x-cache'] for it in answers] == ['MISS', 'MISS', 'HIT', 'HIT']


@either_order
def test_nothing_is_stored_until_you_say_that_only_declared_inputs_count(kind):
    router, cache = router_of(kind), memory_cache()

    @router.get('/greeting')
    @cache(ttl=60)
    async def greeting(language: FromDishka[Language]) -> str:
        return language

    client = client_of(router)
    assert found(client, '/greeting', '/greeting') == [None, None]
    assert client.get('/greeting').headers['cache-status'].endswith('detail=not-comparable')
