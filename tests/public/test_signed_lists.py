"""A list of signed entries warns of what somebody has planted, and of nothing else: the warning is the only sign."""

import time
from functools import partial

import pytest
import redis
from aiocache.plugins import BasePlugin
from aiocache.serializers import NullSerializer
from fastapi import FastAPI
from msgspec.structs import replace

from fastapi_caching_route import FastAPICache, LMDBCache
from fastapi_caching_route._core.owner import owner_of
from fastapi_caching_route._store.wire import encode, signed
from fastapi_caching_route.redis import RedisClientCache
from tests.store.entries import ENTRY
from tests.support import asgi_call, asgi_scope, caching_router

KEY, OTHER_KEY = 'k' * 32, 'o' * 32


@pytest.fixture(params=['lmdb', 'redis', 'redis, plugin'])
def new_backend(request, tmp_path, redis_server):
    if request.param == 'lmdb':
        return partial(LMDBCache, tmp_path / 'cache')
    client = partial(redis.asyncio.Redis, port=redis_server.port)
    return partial(RedisClientCache, client, plugins=[BasePlugin()] if 'plugin' in request.param else [])


async def stored(backend, signing_key, *paths):
    cache, router = FastAPICache(backend, store_timeout=5, signing_key=signing_key), caching_router()

    @router.get('/{path}')
    @cache(ttl=60)
    async def endpoint(path: str):
        return path

    app = FastAPI()
    app.include_router(router)
    for path in paths:
        await asgi_call(app, asgi_scope(path=path))
    return cache


async def listed(cache):
    return [it.path async for it in cache.entries(dead=True)]


@pytest.mark.parametrize('namespace', [None, 'shop'])
async def test_a_list_of_an_untouched_store_warns_of_nothing(new_backend, namespace, caplog):
    cache = await stored(new_backend(namespace=namespace), KEY, '/a', '/b')
    async with cache:
        await cache.stats_of_all_workers()
        assert sorted(await listed(cache)) == ['/a', '/b']
        assert await cache.erase(everything=True) == 2
        assert await listed(cache) == []
    assert not caplog.messages


@pytest.mark.parametrize('their_key', [None, OTHER_KEY], ids=['unsigned', 'of another key'])
async def test_a_list_warns_of_no_entry_of_another_cache(new_backend, their_key, caplog):
    cache, other = await stored(new_backend(), KEY, '/a'), await stored(new_backend(namespace='other'), their_key, '/b')
    async with cache, other:
        assert await listed(cache) == ['/a']
        assert await listed(other) == ['/b']
    assert not caplog.messages


async def test_a_list_warns_of_no_other_values_and_of_nothing_that_is_gone(redis_server, caplog):
    cache = await stored(RedisClientCache(partial(redis.asyncio.Redis, port=redis_server.port)), KEY, '/a')
    async with cache, redis.asyncio.Redis(port=redis_server.port) as client:
        await client.mset({'text': 'of others', 'empty': b'', 'large': b'x' * 100_000, 'like ours': b'fcrs'})
        await client.rpush('list', 'of others')
        assert await listed(cache) == ['/a']
        driver = cache._settings.store.backend.driver()
        assert await driver.heads(['gone']) == [None]
    assert not caplog.messages


@pytest.mark.parametrize('claims', ['to be ours', 'nothing'])
@pytest.mark.parametrize('their_key', [None, OTHER_KEY], ids=['unsigned', 'of another key'])
async def test_a_list_warns_of_what_was_planted(new_backend, their_key, claims, caplog):
    cache = await stored(backend := new_backend(namespace='shop', serializer=NullSerializer()), KEY, '/a')
    evil = replace(ENTRY, key='shop::evil', content=b'evil' * 1000, stored_at=time.time(), lifetime=1000)
    planted = encode(evil, owner_of('shop') if claims == 'to be ours' else b'')
    planted = signed(planted, their_key.encode()) if their_key else planted
    async with cache:
        await backend.set('shop::evil', planted, namespace='')
        assert await listed(cache) == ['/a']
        assert 'no valid signature' in caplog.text
        if isinstance(backend, RedisClientCache):
            await backend.close()
