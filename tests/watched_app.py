"""An app for several workers on one Redis, which counts what it does in all ways that there are."""

import asyncio
import os

from fastapi import APIRouter, FastAPI, Response
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from prometheus_client import CollectorRegistry, generate_latest, multiprocess

from fastapi_caching_route import CachingRoute, FastAPICache
from fastapi_caching_route.console import console_router
from fastapi_caching_route.otel import instrument
from fastapi_caching_route.prometheus import prometheus_observer

cache = FastAPICache.from_env(observer=prometheus_observer())
reader = InMemoryMetricReader()
instrument(cache, meter_provider=MeterProvider([reader]))
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
app.include_router(console_router(cache, unguarded=True), prefix='/cache')


@app.get('/metrics')
async def metrics():
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)
    return Response(generate_latest(registry))


@app.get('/otel')
async def otel():
    """What this worker has counted for OpenTelemetry, by outcome."""
    data, found = reader.get_metrics_data(), {}
    scopes = [scope for it in (data.resource_metrics if data else ()) for scope in it.scope_metrics]
    for metric in (metric for scope in scopes for metric in scope.metrics if metric.name == 'cache.responses'):
        for point in metric.data.data_points:
            outcome = point.attributes['cache.outcome']
            found[outcome] = found.get(outcome, 0) + point.value
    return {'worker': os.getpid(), 'counted': found}
