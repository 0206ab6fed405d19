"""Names that are probably not what was meant are told, each once."""

import re

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from fastapi_caching_route import CacheContext, FastAPICache, MemoryCache
from tests.support import caching_router, memory_cache


def told(caplog):
    return [it.getMessage() for it in caplog.records]


@pytest.mark.parametrize(
    ('invalidate', 'why'),
    [
        (lambda cache: cache.invalidate_tags('user:{user_id}'), 'a placeholder, which only decorators fill in'),
        (lambda cache: cache.invalidate_path('/users/{user_id}'), 'a placeholder; pass the path of a request'),
        (lambda cache: cache.invalidate_namespace('api'), 'the namespace of the backend, and means .api:api. here'),
    ],
)
async def test_a_name_that_is_probably_not_meant_is_told_once(caplog, invalidate, why):
    cache = FastAPICache(MemoryCache(namespace='api'))
    await invalidate(cache)
    await invalidate(cache)
    assert len(told(caplog)) == 1
    assert re.search(why, caplog.messages[0])


@pytest.mark.parametrize('name', ['user:7', '{"id": 7}', '{}', 'users'])
async def test_other_names_are_not_told(caplog, name):
    cache = FastAPICache(MemoryCache(namespace='api'))
    await cache.invalidate_tags(name)
    await cache.invalidate_path(f'/{name}')
    await cache.invalidate_namespace('users')
    assert not told(caplog)


async def test_a_path_with_the_root_path_of_the_server_is_told(caplog):
    app, router, cache = FastAPI(), caching_router(), memory_cache()
    router.get('/items')(cache(ttl=60)(lambda: 1))
    app.include_router(router)
    TestClient(app, root_path='/shop').get('/items')
    caplog.clear()
    await cache.invalidate_path('/items')
    await cache.invalidate_path('/shopping')
    assert not told(caplog)
    await cache.invalidate_path('/shop/items')
    (message,) = told(caplog)
    assert 'it begins with the root path of the server, /shop' in message


def test_a_context_of_a_test_takes_what_an_endpoint_says():
    context = CacheContext()
    context.ttl = 5
    context.tags.add('user:7')
    context.no_store()
    context.invalidate(tags=['users'])
    assert (context.ttl, context.tags, context.key) == (5, {'user:7'}, None)
