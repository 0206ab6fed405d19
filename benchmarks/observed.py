"""What a cache is observed by in the benchmark: OpenTelemetry and Prometheus as an app would use them."""

from collections.abc import Callable

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from prometheus_client import CollectorRegistry

from fastapi_caching_route import FastAPICache
from fastapi_caching_route.otel import instrument
from fastapi_caching_route.prometheus import prometheus_observer


def by_a_function(cache: FastAPICache) -> None:
    cache.observe(lambda _: None)


def by_prometheus(cache: FastAPICache) -> None:
    prometheus_observer(cache, registry=CollectorRegistry())


def by_opentelemetry(cache: FastAPICache) -> None:
    instrument(cache, meter_provider=MeterProvider([InMemoryMetricReader()]))


OBSERVED: dict[str, Callable[[FastAPICache], None]] = {
    'an observer': by_a_function,
    'Prometheus': by_prometheus,
    'OpenTelemetry': by_opentelemetry,
}
