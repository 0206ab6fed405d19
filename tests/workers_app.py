"""An app for several workers: what is cached, which worker has answered, and what `explain` says there."""

import os
from contextlib import asynccontextmanager

from aiocache import RedisCache
from fastapi import APIRouter, FastAPI

from fastapi_caching_route import CachingRoute, FastAPICache

router = APIRouter(route_class=CachingRoute)
cache = FastAPICache()
other = FastAPICache()
in_redis = FastAPICache(
    RedisCache(endpoint='127.0.0.1', port=int(os.environ.get('REDIS_PORT', '6379')), namespace='workers'),
    store_timeout=5,
)


@router.get('/cached')
@cache(ttl=60)
async def cached():
    return 1


@router.get('/too')
@other(ttl=60)
async def cached_too():
    return 1


@router.get('/shared')
@in_redis(ttl=60)
async def shared():
    return 1


@router.get('/worker')
async def worker():
    return os.getpid()


@router.get('/explained')
async def explained():
    return [warning for report in cache.explain(app) for warning in report.warnings]


later = FastAPICache.deferred()


@asynccontextmanager
async def lifespan(app):
    later.use('memory://')
    async with later.lifespan(app):
        yield


app = FastAPI()
app.include_router(router)
with_lifespan = FastAPI(lifespan=cache.lifespan)
with_lifespan.include_router(router)
deferred_app = FastAPI(lifespan=lifespan)
deferred_app.include_router(router)
