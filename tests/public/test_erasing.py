"""Erasing deletes the bytes of entries, and whatever else tells of them; or says that it could not."""

import asyncio
from functools import partial

import pytest
import redis
from fastapi import FastAPI

from fastapi_caching_route import CacheError, FastAPICache
from fastapi_caching_route.redis import RedisClientCache
from tests.support import asgi_call, asgi_scope, caching_router


class FailingRedis(RedisClientCache):
    """Deletes nothing, with an error or without an end."""

    trouble: Exception | None = None

    async def _delete(self, key, _conn=None):
        if self.trouble is None:
            await asyncio.get_running_loop().create_future()
        raise self.trouble


@pytest.mark.parametrize(
    'trouble', [None, redis.ConnectionError('gone'), redis.ResponseError('READONLY'), OSError('reset')]
)
async def test_a_store_that_fails_while_it_deletes_is_a_cache_error(redis_port, namespace, trouble):
    backend = FailingRedis(partial(redis.asyncio.Redis, port=redis_port), namespace=namespace)
    cache, router = FastAPICache(backend, store_timeout=0.5 if trouble is None else 5), caching_router()
    backend.trouble = trouble

    @router.get('/')
    @cache(ttl=60)
    async def endpoint():
        return 'body'

    app = FastAPI()
    app.include_router(router)
    async with cache:
        await asgi_call(app, asgi_scope())
        with pytest.raises(CacheError, match='the cache backend failed') as raised:
            await cache.erase(everything=True)
    assert raised.value.__cause__ is not None
