"""`cache.set_cached` and `cache.get_cached`: responses that are stored by hand."""

import asyncio
import dataclasses
from typing import Annotated

import pytest
from aiocache import SimpleMemoryCache
from fastapi import Depends, Response
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.datastructures import Headers

from fastapi_caching_route import (
    CacheContext,
    CachedResponse,
    CacheParams,
    CachePolicy,
    ConfigurationError,
    FastAPICache,
)
from tests.support import Clock, caching_router, client_of, marks, memory_cache


async def test_a_body_that_is_changed_by_hand_gets_its_own_length_and_tag():
    cache, router = memory_cache(), caching_router()

    @cache(ttl=60, key_builder=lambda _: 'one')
    @router.get('/')
    async def endpoint():
        return 'answer'

    client = client_of(router)
    tag = client.get('/').headers['etag']
    stored = await cache.get_cached('one')
    await cache.set_cached('one', dataclasses.replace(stored, body=b'"another, longer one"'))
    response = client.get('/', headers={'if-none-match': tag})
    assert (response.status_code, response.json()) == (200, 'another, longer one')
    assert response.headers['content-length'] == str(len(response.content))


@pytest.mark.parametrize(
    ('response', 'reason'),
    [
        (Response(headers={'cache-control': 'no-store'}), 'no-store'),
        (Response(headers={'set-cookie': 'a=1'}), 'set-cookie'),
        (CachedResponse(b'', 500), 'status'),
    ],
)
async def test_what_must_not_be_stored_cannot_be_stored_by_hand(response, reason):
    with pytest.raises(ConfigurationError, match=f'must not be stored; the reason is {reason}'):
        await memory_cache().set_cached('key', response)


async def test_a_key_that_is_no_text_has_a_clear_error():
    with pytest.raises(ConfigurationError, match='key must be a str, got 5'):
        await memory_cache().get_cached(5)


@pytest.mark.parametrize(
    ('root', 'policy', 'own', 'key'),
    [
        (None, 'concat', None, 'user:7'),
        ('api', 'concat', None, 'api::user:7'),
        ('api', 'concat', 'users', 'api:users::user:7'),
        ('api', 'replace', 'users', 'users::user:7'),
        (None, 'concat', 'users', 'users::user:7'),
        (None, 'replace', 'users', 'users::user:7'),
        ('api:', 'concat', 'users', 'api:users::user:7'),
    ],
)
async def test_namespaces_are_joined_or_replaced_alike_for_routes_and_for_keys(root, policy, own, key):
    backend = SimpleMemoryCache(namespace=root)
    cache, router = FastAPICache(backend, namespace_policy=policy), caching_router()

    @cache(ttl=60, namespace=own, key_builder=lambda request: f'user:{request.path_params["user_id"]}')
    @router.get('/{user_id}')
    async def endpoint(user_id: int):
        return user_id

    client = client_of(router)
    assert marks(client.get('/7'), client.get('/7')) == ['MISS', 'HIT']
    assert list(backend._cache) == [key]
    assert (await cache.get_cached('user:7', namespace=own)).body == b'7'
    assert await cache.get_cached('user:8', namespace=own) is None
    assert [await cache.invalidate_cached('user:7', namespace=own) for _ in range(2)] == [1, 0]
    assert marks(client.get('/7')) == ['MISS']


async def test_a_response_can_be_stored_by_hand_and_is_served_like_any_other():
    cache, router = memory_cache(), caching_router()

    @cache(ttl=60, key_builder=lambda _: 'one')
    @router.get('/')
    async def endpoint():
        return 'of the endpoint'

    client = client_of(router)
    await cache.set_cached('one', JSONResponse({'by': 'hand'}), {'ttl': 60})
    response = client.get('/')
    assert (response.headers['x-cache'], response.json()) == ('HIT', {'by': 'hand'})
    assert client.get('/', headers={'if-none-match': response.headers['etag']}).status_code == 304
    stored = await cache.get_cached('one')
    await cache.set_cached('two', stored)
    again = await cache.get_cached('two')
    assert (again.body, again.status_code, again.headers['content-type']) == (
        b'{"by":"hand"}',
        200,
        'application/json',
    )


async def test_what_is_stored_by_hand_ends_with_its_ttl():
    clock = Clock()
    cache = memory_cache(clock=clock)
    await cache.set_cached('a', CachedResponse(b'body', headers=Headers({'x-a': '1'})), {'ttl': 0.5})
    await cache.set_cached('never', CachedResponse(b'body'), {'ttl': 0})
    assert (await cache.get_cached('a')).headers['x-a'] == '1'
    assert await cache.get_cached('never') is None
    clock.now += 0.6
    assert await cache.get_cached('a') is None


@pytest.mark.parametrize(
    ('of_cache', 'of_routes', 'given', 'lifetime'),
    [
        pytest.param(60, [], None, 60, id='of the cache'),
        pytest.param(None, [('', 60)], None, 60, id='of the route'),
        pytest.param(3600, [('', 60)], None, 60, id='of the route before that of the cache'),
        pytest.param(60, [('', 3600)], None, 3600, id='of the route though it is longer'),
        pytest.param(None, [('', 60), ('', 5)], None, 5, id='the shortest of several routes'),
        pytest.param(None, [('', 60), ('', 0)], None, 60, id='a route that stores nothing says nothing'),
        pytest.param(60, [('other', 5)], None, 60, id='not of a route in another namespace'),
        pytest.param(None, [('', 60)], 600, 600, id='what is given counts alone'),
        pytest.param(None, [('other', 5)], None, 30 * 24 * 3600, id='nobody says how long'),
    ],
)
async def test_what_is_stored_by_hand_without_a_ttl_has_that_of_its_route_or_of_the_cache(
    of_cache, of_routes, given, lifetime
):
    clock, router = Clock(), caching_router()
    cache = memory_cache(clock=clock, policy=CachePolicy(ttl=of_cache, namespace='users'))
    for number, (namespace, ttl) in enumerate(of_routes):
        options = {'namespace': namespace} if namespace else {}

        @cache(ttl=ttl, key_builder=lambda request: request.url.path, **options)
        @router.get(f'/{number}')
        async def endpoint():
            return 'of the endpoint'

    await cache.set_cached('/0', CachedResponse(b'body'), None if given is None else {'ttl': given})
    clock.now += lifetime - 1
    assert (await cache.get_cached('/0', 'users')).body == b'body'
    clock.now += 2
    assert await cache.get_cached('/0', 'users') is None


def test_prepared_parameters_are_checked_and_no_others_are_added():
    cache = memory_cache(policy=CachePolicy(ttl=5, namespace='users'))
    assert cache.prepare_cache_params({'ttl': '2m', 'namespace': 'a'}) == {'ttl': 120, 'namespace': 'a'}
    assert cache.prepare_cache_params() == {}
    with pytest.raises(ConfigurationError, match='and not negative'):
        cache.prepare_cache_params({'ttl': -1})


async def test_a_value_of_somebody_else_or_of_another_key_is_a_miss():
    backend = SimpleMemoryCache()
    cache, router = FastAPICache(backend), caching_router()

    @cache(ttl=60, key_builder=lambda request: request.url.path.strip('/'))
    @router.get('/{name}')
    async def endpoint(name: str):
        return name

    client = client_of(router)
    await backend.set('foreign', {'status': 200})
    assert marks(client.get('/foreign'), client.get('/mine'), client.get('/mine')) == ['MISS', 'MISS', 'HIT']
    backend._cache['other'] = backend._cache['mine']
    response = client.get('/other')
    assert (response.json(), response.headers['x-cache']) == ('other', 'MISS')


def test_a_response_is_not_stored_under_a_key_that_no_request_finds():
    cache, router, keys = memory_cache(), caching_router(), []

    @router.get('/')
    @cache(ttl=60, key_builder=lambda _: 'k', namespace='a')
    async def endpoint(context: Annotated[CacheContext, Depends()]):
        keys.append(context.key)

    client_of(router).get('/')
    for params in (None, CacheParams(namespace='b')):
        with pytest.raises(ConfigurationError, match='key_builder'):
            asyncio.run(cache.set_cached(keys[0], CachedResponse(b'2'), params))


def test_a_response_is_stored_under_the_built_key_of_the_context():
    cache, router, keys = memory_cache(), caching_router(), []

    @router.get('/')
    @cache(ttl=60, key_builder=lambda _: 'GET:it', namespace='a')
    async def endpoint(context: Annotated[CacheContext, Depends()]):
        keys.append(context.key)
        return 1

    with client_of(router) as client:
        client.get('/')
        client.portal.call(cache.set_cached, keys[0], CachedResponse(b'2'), CacheParams(namespace='a'))
        assert client.get('/').content == b'2'
    assert len(keys) == 1


async def test_a_stream_cannot_be_set_as_a_stored_response():
    with pytest.raises(ConfigurationError, match='complete body'):
        await FastAPICache().set_cached('k', StreamingResponse(iter([b'a'])))
