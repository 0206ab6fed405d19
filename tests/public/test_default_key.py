"""`default_key`: what a key builder may add to."""

from typing import Annotated

import pytest
from fastapi import APIRouter, Body, Depends, FastAPI, Header, Request
from fastapi.security import HTTPBearer
from starlette.testclient import TestClient

from fastapi_caching_route import (
    CacheContextDep,
    CacheError,
    CachingRouter,
    ConfigurationError,
    default_key,
)
from tests.support import caching_router, client_of, found, marks, memory_cache


async def by_plan(request: Request):
    return f'{request.headers.get("x-plan", "free")} {await default_key(request)}'


def test_a_key_builder_adds_to_the_default_key():
    cache, router = memory_cache(), caching_router()

    @router.get('/{name}')
    @cache(ttl=60, key_builder=by_plan)
    async def endpoint(name: str, page: int = 1, accept_language: Annotated[str, Header()] = 'en'):
        return f'{name} {page} {accept_language}'

    client = client_of(router)
    assert found(client, '/a', '/a', '/a?page=1', '/a?page=2', '/b', '/a?other=1') == [
        *('MISS', 'HIT', 'HIT', 'MISS', 'MISS', 'HIT')
    ]
    for headers in ({'x-plan': 'gold'}, {'accept-language': 'de'}):
        asked = [client.get('/a', headers=headers) for _ in range(2)]
        assert marks(*asked) == ['MISS', 'HIT']
    assert client.get('/a', headers={'accept-language': 'de'}).json() == 'a 1 de'


@pytest.mark.parametrize('prefix', ['', '/v1'])
def test_it_is_the_key_that_the_route_has_without_a_builder(prefix):
    cache, keys = memory_cache(), []

    def seen(built):
        router = caching_router()

        @router.get('/{item}')
        @cache(ttl=60, **({'key_builder': noting} if built else {}))
        async def endpoint(item: int, context: CacheContextDep, page: int = 1):
            if not built:
                keys.append(str(context.key))

        app = FastAPI()
        app.include_router(router, prefix=prefix)
        TestClient(app).get(f'{prefix}/7?page=2')

    async def noting(request):
        keys.append(await default_key(request))
        return keys[-1]

    seen(built=False)
    seen(built=True)
    without, within = keys
    assert without.startswith(f'GET:{prefix}/7:')
    assert without.rpartition(':')[0] == within.rpartition(':')[0]


async def test_a_built_key_that_is_the_default_key_is_found_by_it():
    cache, router, keys = memory_cache(), caching_router(), []

    async def noting(request):
        keys.append(await default_key(request))
        return keys[-1]

    @router.get('/')
    @cache(ttl=60, key_builder=noting)
    async def endpoint():
        return 1

    client = client_of(router)
    assert found(client, '/', '/') == ['MISS', 'HIT']
    assert len(set(keys)) == 1
    assert (await cache.get_cached(keys[0])).body == b'1'
    assert await cache.invalidate_cached(keys[0]) == 1
    assert found(client, '/') == ['MISS']


def test_the_body_is_in_it_and_still_reaches_the_endpoint():
    cache, router = memory_cache(), caching_router()

    @router.post('/')
    @cache(ttl=60, key_builder=by_plan)
    async def endpoint(words: Annotated[list[str], Body()]):
        return words

    client = client_of(router)
    asked = [client.post('/', json=it) for it in (['a'], ['a'], ['b'])]
    assert marks(*asked) == ['MISS', 'HIT', 'MISS']
    assert [it.json() for it in asked] == [['a'], ['a'], ['b']]


def test_credentials_and_identity_are_in_it():
    cache, router = memory_cache(), caching_router()

    @router.get('/me')
    @cache(ttl=60, key_builder=by_plan)
    async def me(token: Annotated[object, Depends(HTTPBearer())]):
        return token.credentials

    @router.get('/tenant')
    @cache(ttl=60, key_builder=by_plan, identity=lambda request: request.headers['x-tenant'])
    async def tenant(request: Request):
        return request.headers['x-tenant']

    client = client_of(router)
    asked = [client.get('/me', headers={'authorization': f'Bearer {it}'}) for it in ('a', 'b', 'a')]
    assert [it.json() for it in asked] == ['a', 'b', 'a']
    assert marks(*asked) == ['MISS', 'MISS', 'HIT']
    asked = [client.get('/tenant', headers={'x-tenant': it}) for it in ('a', 'b', 'a')]
    assert [it.json() for it in asked] == ['a', 'b', 'a']


def test_all_of_a_raw_request_is_in_it():
    cache, router = memory_cache(), caching_router()

    @router.get('/')
    @cache(ttl=60, key_builder=by_plan)
    async def endpoint(request: Request):
        return request.headers.get('x-theme', 'light')

    client = client_of(router)
    asked = [client.get('/', headers={'x-theme': it}) for it in ('dark', 'light', 'dark')]
    assert [it.json() for it in asked] == ['dark', 'light', 'dark']
    assert marks(*asked) == ['MISS', 'MISS', 'HIT']
    response = client.get('/', headers={'cookie': 'sid=1'})  # with reads='all', it would bypass the cache as well
    assert response.headers['cache-status'] == 'FastAPICache; fwd=bypass; detail=key-builder'


def test_dependencies_that_tests_override_are_in_it():
    cache, router = memory_cache(), caching_router()

    def number():
        return 1

    @router.get('/')
    @cache(ttl=60, key_builder=default_key)
    async def endpoint(given: Annotated[int, Depends(number)]):
        return given

    client = client_of(router)
    assert [client.get('/').json() for _ in range(2)] == [1, 1]
    client.app.dependency_overrides[number] = lambda: 2
    assert client.get('/').json() == 2


def test_it_is_there_for_routes_that_their_router_caches():
    router = CachingRouter(memory_cache(), ttl=60, key_builder=default_key)
    router.get('/a')(lambda page=1: page)
    router.get('/b')(lambda: 'b')
    assert found(client_of(router), '/a', '/b', '/a', '/b') == ['MISS', 'MISS', 'HIT', 'HIT']


def test_two_routes_of_one_endpoint_have_two_keys():
    cache, router = memory_cache(), caching_router()

    @router.get('/a')
    @router.get('/b')
    @cache(ttl=60, key_builder=default_key)
    async def endpoint(request: Request):
        return request.url.path

    assert [client_of(router).get(it).json() for it in ('/a', '/b')] == ['/a', '/b']


@pytest.mark.parametrize('kind', ['plain', 'undecorated'])
def test_on_a_route_that_is_not_cached_it_is_an_error(kind):
    router, raised = APIRouter() if kind == 'plain' else caching_router(), []

    @router.get('/')
    async def endpoint(request: Request):
        with pytest.raises(ConfigurationError, match='needs a request to a cached route') as error:
            await default_key(request)
        raised.append(error)

    assert client_of(router).get('/').status_code == 200
    assert raised


def test_where_the_body_is_not_known_it_is_an_error():
    cache, router, raised = memory_cache(), caching_router(), []

    @router.post('/')
    @cache(ttl=60)
    async def endpoint(request: Request, words: Annotated[list[str], Body()]):
        with pytest.raises(CacheError, match='no default key; the reason is body') as error:
            await default_key(request)
        raised.append(error)
        return words

    assert client_of(router).post('/', json=['a']).json() == ['a']
    assert raised
