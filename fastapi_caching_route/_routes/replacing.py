"""Gives a cache an empty store in memory for a while, and another clock. For tests: nothing else replaces a store."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from fastapi_caching_route._concurrency.flights import Flights
from fastapi_caching_route._concurrency.pauses import Pauses
from fastapi_caching_route._core.variants import Brought
from fastapi_caching_route._routes.caches import note_alive
from fastapi_caching_route._routes.settings import Settings
from fastapi_caching_route._store.deferred import DeferredStore
from fastapi_caching_route._store.opening import store_over
from fastapi_caching_route.memory import MemoryCache


@contextmanager
def replaced(settings: Settings, clock: Callable[[], float] | None = None) -> Generator[None]:
    """Replace the store, and the clock if there is one. A cache that is deferred keeps its store: `use` decides."""
    runtime, store = settings.runtime, settings.store
    new: dict[str, Any] = {} if clock is None else {'clock': clock}
    if not isinstance(store, DeferredStore):
        empty = store_over(MemoryCache(namespace=store.namespace, ttl=store.ttl), timeout=1.0)
        empty.observe(runtime.observers)
        new |= {
            'store': empty,
            'flights': Flights[Brought](),
            **{name: Pauses() for name in ('unshareable', 'failing', 'unrenewable', 'unstorable')},
        }
    old = {name: getattr(runtime, name) for name in new}
    _set(settings, new)
    try:
        yield
    finally:
        _set(settings, old)


def _set(settings: Settings, values: dict[str, Any]) -> None:
    for name, value in values.items():
        object.__setattr__(settings.runtime, name, value)
    note_alive(settings)  # what is known of the stores of apps is forgotten
