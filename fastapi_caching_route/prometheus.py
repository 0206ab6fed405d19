"""Prometheus: what observers are told, as counters and histograms, and the state of stores, as gauges.

Needs the extra `[prometheus]`. Knows records; knows nothing of requests.
"""

import weakref
from collections.abc import Iterable
from typing import Annotated, Any

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily
from typing_extensions import Doc

from fastapi_caching_route._core.reasons import BY_NAME
from fastapi_caching_route.cache import FastAPICache
from fastapi_caching_route.events import Event, Evicted, Invalidated, Observer, Responded, StoreFailed
from fastapi_caching_route.stats import StoreStats

SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""The buckets of histograms: a hit takes a fraction of a millisecond."""

_metrics: 'weakref.WeakKeyDictionary[CollectorRegistry, _Metrics]' = weakref.WeakKeyDictionary()


def prometheus_observer(
    cache: Annotated[
        FastAPICache | None, Doc('The observer is added to this cache, whose store is reported, too.')
    ] = None,
    *,
    registry: Annotated[CollectorRegistry, Doc('By default, the global one.')] = REGISTRY,
) -> Observer:
    """An observer that counts in a registry of `prometheus_client`. Several caches may share one registry.

    Give it as `FastAPICache(observer=prometheus_observer())`, or call `prometheus_observer(cache)`. Only the
    second adds gauges of the store. `docs/watching.md` lists all names.
    """
    counted = _metrics.get(registry)
    if counted is None:
        counted = _metrics[registry] = _Metrics(registry)
    if cache is not None and cache not in counted.caches:
        counted.caches.add(cache)
        cache.observe(counted.observe)
    return counted.observe


class _Metrics:
    """The metrics of one registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.caches: weakref.WeakSet[FastAPICache] = weakref.WeakSet()
        route, outcome = ('method', 'route'), ('method', 'route', 'outcome')
        options: Any = {'namespace': 'fastapi_cache', 'registry': registry}
        self._responses = Counter('responses', 'Responses of cached routes.', (*outcome, 'reason'), **options)
        self._bytes = Counter('response_bytes', 'Bytes of their bodies.', outcome, **options)
        self._seconds = Histogram('response_seconds', 'Their duration.', outcome, buckets=SECONDS, **options)
        self._endpoint = Histogram(
            'endpoint_seconds', 'Runs of the endpoint for a request.', route, buckets=SECONDS, **options
        )
        self._look_up = Histogram('look_up_seconds', 'The key, and the store.', route, buckets=SECONDS, **options)
        self._invalidations = Counter('invalidations', 'Invalidations.', ('kind', 'soft'), **options)
        self._evictions = Counter('evictions', 'Entries removed to make room.', ('store', 'cause'), **options)
        self._outages = Counter('store_outages', 'Outages of the store.', **options)
        self._children: dict[tuple[str, str, str, str], _Children] = {}
        """Those of the labels that have been seen: to look them up takes longer than to count."""
        registry.register(_Stores(self))

    def observe(self, event: Event) -> None:
        match event:
            case Responded():
                self._responded(event)
            case Invalidated():
                kinds = sorted({it.partition(':')[0] for it in event.names})
                self._invalidations.labels(kinds[0] if len(kinds) == 1 else 'several', str(event.soft).lower()).inc()
            case Evicted():
                self._evictions.labels(event.store, event.cause).inc(event.entries)
            case StoreFailed():
                self._outages.inc()
            case _:
                pass

    def _responded(self, told: Responded) -> None:
        name = told.method, told.route, told.outcome, _label_of(told.reason)
        children = self._children.get(name)
        if children is None:
            children = self._children[name] = self._children_of(*name)
        responses, sent, seconds, endpoint, look_up = children
        responses.inc()
        sent.inc(told.bytes)
        seconds.observe(told.seconds)
        if told.endpoint_seconds:
            endpoint.observe(told.endpoint_seconds)
        if told.look_up_seconds:
            look_up.observe(told.look_up_seconds)

    def _children_of(self, method: str, route: str, outcome: str, reason: str) -> '_Children':
        return (
            self._responses.labels(method, route, outcome, reason),
            self._bytes.labels(method, route, outcome),
            self._seconds.labels(method, route, outcome),
            self._endpoint.labels(method, route),
            self._look_up.labels(method, route),
        )


_Children = tuple[Counter, Counter, Histogram, Histogram, Histogram]


_OURS = frozenset(('method', 'exception'))
"""Reasons that are in no response."""


class _Stores:
    """Collects the state of the stores, when it is asked for."""

    def __init__(self, metrics: _Metrics) -> None:
        self._metrics = weakref.ref(metrics)

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """The gauges. A backend of several caches counts once; several in memory are summed."""
        metrics = self._metrics()
        caches = () if metrics is None else [*metrics.caches]
        backends = {id(it._settings.backend): it.stats().store for it in caches}  # noqa: SLF001, no other identity
        stores: dict[tuple[str, str], list[StoreStats]] = {}
        for it in backends.values():
            stores.setdefault((it.kind, it.address), []).append(it)
        for name, description, value, together in _GAUGES:
            gauge = GaugeMetricFamily(f'fastapi_cache_{name}', description, labels=('store', 'address'))
            for labels, alike in stores.items():
                found = [number for number in map(value, alike) if number is not None]
                if found:
                    gauge.add_metric(labels, together(found))
            yield gauge

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """The same without values, for the registry."""
        return [GaugeMetricFamily(f'fastapi_cache_{name}', description) for name, description, *_ in _GAUGES]


def _held(store: StoreStats) -> Any:
    return store.memory or store.lmdb or store.near


_GAUGES: Any = (
    ('store_up', '1 if the store works, 0 during an outage.', lambda it: float(it.state == 'up'), min),
    (
        'store_pending_invalidations',
        'Pending invalidations: names that it has not accepted yet.',
        lambda it: it.pending_invalidations,
        sum,
    ),
    ('store_read_seconds', 'The mean time of reading.', lambda it: it.command_seconds.get('reading'), max),
    ('entries', 'Entries in memory, in LMDB, or in near copies.', lambda it: getattr(_held(it), 'entries', None), sum),
    ('size_bytes', 'What these entries take.', lambda it: getattr(_held(it), 'bytes', None), sum),
)


def _label_of(reason: str | None) -> str:
    """The label of a reason: `no_store('...')` may give any text, and each label is a time series."""
    if reason is None:
        return ''
    return reason if reason in BY_NAME or reason in _OURS else 'other'
