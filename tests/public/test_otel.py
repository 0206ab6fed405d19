"""What OpenTelemetry is told, read from the exporters in memory of its SDK."""

import asyncio
from typing import Annotated

import pytest
from fastapi import Depends, FastAPI
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from fastapi_caching_route import CacheContext, FastAPICache, MemoryCache
from fastapi_caching_route.otel import SECONDS, instrument
from tests.backends.fakes import Elsewhere
from tests.support import FASTAPI, Clock, asgi_call, asgi_scope, caching_router


class Telemetry:
    """The SDK, and what it has exported."""

    def __init__(self):
        self.reader, self.exporter = InMemoryMetricReader(), InMemorySpanExporter()
        self.meters = MeterProvider([self.reader])
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self.exporter))

    def instrument(self, cache):
        instrument(cache, meter_provider=self.meters, tracer_provider=self.tracers)

    def points(self, name):
        data = self.reader.get_metrics_data()
        metrics = [it for resource in data.resource_metrics for scope in resource.scope_metrics for it in scope.metrics]
        return [point for it in metrics if it.name == name for point in it.data.data_points]

    def counts(self, name, attribute):
        return {point.attributes[attribute]: point.value for point in self.points(name)}

    def spans(self, kind):
        return [it for it in self.exporter.get_finished_spans() if it.kind is kind]


@pytest.fixture
def telemetry():
    it = Telemetry()
    yield it
    it.meters.shutdown()
    it.tracers.shutdown()


def app_of(cache, **options):
    router, app = caching_router(), FastAPI(**options)

    @router.get('/items/{item}')
    @cache(ttl=60, stale_while_revalidate=60)
    async def item(item: int, context: Annotated[CacheContext, Depends()]):
        if item == 13:
            context.no_store('the number 13')
        return {'item': item}

    app.include_router(router)
    return app


async def test_responses_are_counted_by_outcome_and_route(telemetry):
    clock = Clock()
    cache = FastAPICache(MemoryCache(), clock=clock)
    telemetry.instrument(cache)
    app = app_of(cache)
    for path in ('/items/1', '/items/1', '/items/1', '/items/none', '/items/13'):
        await asgi_call(app, asgi_scope(path=path))
    clock.now += 90
    await asgi_call(app, asgi_scope(path='/items/1'))
    points = telemetry.points('cache.responses')
    assert sum(it.value for it in points) == 6
    assert {(it.attributes['cache.outcome'], it.attributes.get('cache.reason')): it.value for it in points} == {
        ('miss', None): 1,
        ('hit', None): 2,
        ('refused', 'status'): 1,
        ('miss', 'other'): 1,
        ('stale', None): 1,
    }
    assert {it.attributes['http.route'] for it in points} == {'/items/{item}'}
    assert {it.attributes['http.request.method'] for it in points} == {'GET'}
    assert {it.attributes['http.response.status_code'] for it in points} == {200, 422}
    assert telemetry.counts('cache.response.bytes', 'cache.outcome')['hit'] == 2 * len(b'{"item":1}')
    durations = telemetry.points('cache.response.duration')
    assert sum(it.count for it in durations) == 6
    assert durations[0].explicit_bounds == SECONDS
    assert sum(it.count for it in telemetry.points('cache.endpoint.duration')) == 3
    assert telemetry.points('cache.look_up.duration') == []  # which asks no server


async def test_the_store_is_observed(telemetry):
    cache = FastAPICache(MemoryCache())
    telemetry.instrument(cache)
    app = app_of(cache)
    for _ in range(2):
        await asgi_call(app, asgi_scope(path='/items/1'))
    values = {name: telemetry.points(name)[0].value for name in ('cache.store.up', 'cache.entries', 'cache.size')}
    assert values['cache.store.up'] == 1
    assert values['cache.entries'] == 1
    assert values['cache.size'] > 100
    assert telemetry.points('cache.endpoint.saved')[0].value > 0
    assert telemetry.points('cache.store.pending_invalidations')[0].value == 0


async def test_outages_and_invalidations_are_counted(telemetry):
    backend = Elsewhere()
    cache = FastAPICache(backend)
    telemetry.instrument(cache)
    app = app_of(cache)
    await cache.invalidate_tags('a')
    await cache.invalidate_path('/items/1', soft=True)
    backend.failing.update(('multi_get', 'get', 'set', 'add'))
    for _ in range(4):
        await asgi_call(app, asgi_scope(path='/items/1'))
    assert telemetry.points('cache.store.outages')[0].value == 1
    assert telemetry.points('cache.store.up')[0].value == 0
    assert sum(it.count for it in telemetry.points('cache.look_up.duration')) == 4
    counted = {tuple(it.attributes.values()): it.value for it in telemetry.points('cache.invalidations')}
    assert counted == {('tag', False): 1, ('path', True): 1}
    await cache._settings.store.close()


def server_spans(telemetry):
    return [dict(it.attributes) for it in telemetry.spans(SpanKind.SERVER)]


async def test_the_span_of_the_contrib_instrumentation_says_what_became_of_the_request(telemetry):
    cache = FastAPICache(MemoryCache())
    telemetry.instrument(cache)
    app = app_of(cache)
    FastAPIInstrumentor.instrument_app(app, tracer_provider=telemetry.tracers, meter_provider=telemetry.meters)
    for path in ('/items/1', '/items/1', '/items/13'):
        await asgi_call(app, asgi_scope(path=path))
    miss, hit, other = server_spans(telemetry)
    assert (miss['cache.outcome'], miss['cache.stored'], 'cache.age' in miss) == ('miss', True, False)
    assert (hit['cache.outcome'], hit['cache.stored'], hit['cache.age'] >= 0) == ('hit', False, True)
    assert other['cache.reason'] == 'the number 13'
    assert hit['cache.key'].startswith('GET:/items/1')
    assert {it['http.route'] for it in (miss, hit, other)} == {'/items/{item}'}


@pytest.mark.skipif(FASTAPI < (0, 160), reason='it has no telemetry')
async def test_the_span_of_fastapi_itself_says_what_became_of_the_request(telemetry):
    cache = FastAPICache(MemoryCache())
    telemetry.instrument(cache)
    app = app_of(cache, telemetry={'tracer_provider': telemetry.tracers, 'meter_provider': telemetry.meters})
    for path in ('/items/1', '/items/1'):
        await asgi_call(app, asgi_scope(path=path))
    miss, hit = server_spans(telemetry)
    assert (miss['cache.outcome'], hit['cache.outcome']) == ('miss', 'hit')
    assert hit['http.route'] == '/items/{item}'


@pytest.mark.parametrize(('backend', 'spans'), [(MemoryCache, 0), (Elsewhere, 3)])
async def test_what_asks_a_store_outside_is_a_span(telemetry, backend, spans):
    cache = FastAPICache(backend())
    telemetry.instrument(cache)
    app, tracer = app_of(cache), telemetry.tracers.get_tracer('test')
    with tracer.start_as_current_span('request'):
        for _ in range(2):
            await asgi_call(app, asgi_scope(path='/items/1'))
        await cache.invalidate_tags('a')
    found = telemetry.spans(SpanKind.CLIENT)
    assert len(found) == spans
    if spans:
        assert [it.name for it in found] == ['cache look_up', 'cache look_up', 'cache invalidate']
        (outer,) = [it for it in telemetry.exporter.get_finished_spans() if it.name == 'request']
        assert all(it.parent.span_id == outer.context.span_id for it in found)
        assert all(outer.start_time <= it.start_time < it.end_time <= outer.end_time for it in found)
        assert found[2].attributes['cache.invalidation.names'] == ('tag:a',)
    await asyncio.sleep(0)


async def test_requests_of_which_no_trace_is_kept_have_no_spans(telemetry):
    cache = FastAPICache(Elsewhere())
    telemetry.instrument(cache)
    await asgi_call(app_of(cache), asgi_scope(path='/items/1'))
    assert telemetry.exporter.get_finished_spans() == ()


async def test_a_cache_is_instrumented_once(telemetry):
    cache = FastAPICache(MemoryCache())
    for _ in range(2):
        telemetry.instrument(cache)
    await asgi_call(app_of(cache), asgi_scope(path='/items/1'))
    assert [it.value for it in telemetry.points('cache.responses')] == [1]
