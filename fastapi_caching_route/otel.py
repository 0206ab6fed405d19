"""OpenTelemetry: what observers are told, as metrics, as attributes of the span of the request, and as spans.

Needs only the API (the extra `[otel]`). Knows records; knows nothing of requests.
"""

import weakref
from collections.abc import Callable, Iterator
from time import time_ns
from typing import Annotated, Any

from opentelemetry import metrics, trace
from opentelemetry.metrics import CallbackOptions, Meter, MeterProvider, Observation
from opentelemetry.trace import SpanKind, StatusCode, Tracer, TracerProvider
from typing_extensions import Doc

from fastapi_caching_route._core.reasons import BY_NAME
from fastapi_caching_route._routes.counted import asks_a_server, store_of
from fastapi_caching_route.cache import FastAPICache
from fastapi_caching_route.events import Event, Evicted, Invalidated, Responded, StoreFailed, StoreRecovered
from fastapi_caching_route.stats import CacheStats

SCOPE = 'fastapi_caching_route'
"""The name of the meter and of the tracer."""

SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""The bounds of histograms of seconds: a hit takes a fraction of a millisecond."""

_instrumented: 'weakref.WeakSet[FastAPICache]' = weakref.WeakSet()


def instrument(
    cache: FastAPICache,
    *,
    meter_provider: Annotated[MeterProvider | None, Doc('None: the global one.')] = None,
    tracer_provider: Annotated[TracerProvider | None, Doc('None: the global one.')] = None,
) -> None:
    """Report what a cache does through OpenTelemetry. A second call for the same cache has no effect.

    Counters and histograms are called `cache.*`. The current span of a request gets attributes of these names.
    With an external store, look-ups and invalidations are spans. `docs/watching.md` lists all names.
    """
    if cache in _instrumented:
        return
    _instrumented.add(cache)
    meter = metrics.get_meter(SCOPE, meter_provider=meter_provider)
    tracer = trace.get_tracer(SCOPE, tracer_provider=tracer_provider)
    cache.observe(_Reporter(meter, tracer, cache).report)


class _Reporter:
    """Reports each record of one cache."""

    def __init__(self, meter: Meter, tracer: Tracer, cache: FastAPICache) -> None:
        self._tracer = tracer
        self._cache = weakref.ref(cache)
        self._responses = meter.create_counter('cache.responses', '{response}', 'Responses of cached routes.')
        self._bytes = meter.create_counter('cache.response.bytes', 'By', 'Bytes of bodies of cached routes.')
        self._duration = _seconds(meter, 'cache.response.duration', 'From the request to its response.')
        self._look_up = _seconds(meter, 'cache.look_up.duration', 'Look-ups: the key, and the store.')
        self._endpoint = _seconds(meter, 'cache.endpoint.duration', 'Runs of the endpoint for a request.')
        self._invalidations = meter.create_counter('cache.invalidations', '{invalidation}', 'Invalidations.')
        self._evictions = meter.create_counter('cache.evictions', '{entry}', 'Entries removed to make room.')
        self._outages = meter.create_counter('cache.store.outages', '{outage}', 'Outages of the store.')
        for name, unit, description, read in _OBSERVED:
            meter.create_observable_gauge(name, [self._observed(read)], unit, description)

    def _observed(
        self, read: Callable[[CacheStats], float | None]
    ) -> 'Callable[[CallbackOptions], Iterator[Observation]]':
        def callback(_options: CallbackOptions) -> Iterator[Observation]:
            cache = self._cache()
            value = None if cache is None else read(cache.stats())
            if value is not None:
                yield Observation(value)

        return callback

    def report(self, event: Event) -> None:
        match event:
            case Responded():
                self._responded(event)
            case Invalidated():
                kinds = sorted({it.partition(':')[0] for it in event.names})
                attributes = {'cache.invalidation.kind': kinds[0] if len(kinds) == 1 else 'several'}
                self._invalidations.add(1, {**attributes, 'cache.invalidation.soft': event.soft})
                self._span('cache invalidate', event.seconds, {**attributes, 'cache.invalidation.names': event.names})
            case Evicted():
                self._evictions.add(event.entries, {'cache.store': event.store, 'cache.cause': event.cause})
            case StoreFailed():
                self._outages.add(1)
            case StoreRecovered():
                pass

    def _responded(self, told: Responded) -> None:
        attributes: dict[str, Any] = {
            'cache.outcome': told.outcome,
            'http.request.method': told.method,
            'http.route': told.route,
            'http.response.status_code': told.status,
        }
        reason = told.reason
        if reason is not None:  # `no_store('...')` may give any text
            attributes['cache.reason'] = reason if reason in BY_NAME or reason in _OURS else 'other'
        self._responses.add(1, attributes)
        self._bytes.add(told.bytes, {'cache.outcome': told.outcome, 'http.route': told.route})
        timed = {'cache.outcome': told.outcome, 'http.route': told.route, 'http.request.method': told.method}
        self._duration.record(told.seconds, timed)
        if told.look_up_seconds and self._asks_a_server():
            self._look_up.record(told.look_up_seconds, {'http.route': told.route})
        if told.endpoint_seconds:
            self._endpoint.record(told.endpoint_seconds, {'http.route': told.route})
        self._span('cache look_up', told.look_up_seconds, {'http.route': told.route}, before=told.seconds)
        _describe(told)

    def _asks_a_server(self) -> bool:
        cache = self._cache()
        return cache is not None and asks_a_server(cache._settings)  # noqa: SLF001, all statistics would be dear

    def _span(self, name: str, seconds: float, attributes: dict[str, Any], *, before: float | None = None) -> None:
        """A span of what has just ended, or began so long `before`; only if it has asked a store outside."""
        cache = self._cache()
        # If the current span is not recorded, nobody looks at this request.
        if cache is None or not seconds or not trace.get_current_span().is_recording() or not self._asks_a_server():
            return
        store = store_of(cache._settings)  # noqa: SLF001, all statistics would be dear
        began_at = time_ns() - int(1e9 * (seconds if before is None else before))
        where = {'server.address': store.address} if store.address else {}
        span = self._tracer.start_span(
            name, kind=SpanKind.CLIENT, attributes={**attributes, **where}, start_time=began_at
        )
        if store.state == 'failing':
            span.set_status(StatusCode.ERROR, store.error or '')
        span.end(began_at + int(1e9 * seconds))


def _seconds(meter: Meter, name: str, description: str) -> Any:
    return meter.create_histogram(name, 's', description, explicit_bucket_boundaries_advisory=SECONDS)


def _describe(told: Responded) -> None:
    """Say in the span of the request what became of it."""
    span = trace.get_current_span()
    if span.is_recording():
        span.set_attribute('cache.outcome', told.outcome)
        span.set_attribute('cache.stored', told.stored)
        for name, value in (('cache.reason', told.reason), ('cache.age', told.age), ('cache.key', told.key)):
            if value is not None:
                span.set_attribute(name, value)


def _held(stats: CacheStats) -> Any:
    return stats.store.memory or stats.store.lmdb or stats.store.near


def _entries(stats: CacheStats) -> float | None:
    held = _held(stats)
    return None if held is None else held.entries


def _size(stats: CacheStats) -> float | None:
    held = _held(stats)
    return None if held is None else held.bytes


_OURS = frozenset(('method', 'exception'))
"""Reasons that are in no response."""

_OBSERVED: tuple[tuple[str, str, str, Callable[[CacheStats], float | None]], ...] = (
    ('cache.store.up', '1', '1 if the store works, 0 during an outage.', lambda it: float(it.store.state == 'up')),
    (
        'cache.store.pending_invalidations',
        '{name}',
        'Pending invalidations: names that the store has not accepted yet.',
        lambda it: it.store.pending_invalidations,
    ),
    ('cache.entries', '{entry}', 'Entries in memory, in LMDB, or in near copies.', _entries),
    ('cache.size', 'By', 'What these entries take.', _size),
    ('cache.endpoint.saved', 's', 'Seconds of endpoints that hits have saved.', lambda it: it.total.seconds_saved),
)
