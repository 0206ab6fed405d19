"""An app for several workers on one Redis, which counts what it does for Prometheus and for `cache.stats()`."""

import asyncio

from fastapi import APIRouter, FastAPI, Response
from prometheus_client import CollectorRegistry, generate_latest, multiprocess

from fastapi_caching_route import CachingRoute, FastAPICache
from fastapi_caching_route.prometheus import prometheus_observer

cache = FastAPICache.from_env(observer=prometheus_observer())
router = APIRouter(route_class=CachingRoute)


@router.get('/items/{item}')
@cache(ttl=60)
async def item(item: int):
    await asyncio.sleep(0.002)
    return {'item': item}


@router.get('/skipped')
@cache(ttl=60, skip=lambda _: True)
async def skipped():
    return 1


app = FastAPI(lifespan=cache.lifespan)
app.include_router(router)


@app.get('/metrics')
async def metrics():
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)
    return Response(generate_latest(registry))
