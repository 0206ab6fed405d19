"""The statistics of one cache, as users see them: made of the counters of its routes and of the state of its store.

Knows no requests.
"""

import time
from contextlib import suppress

from fastapi_caching_route._core.counts import Counts
from fastapi_caching_route._routes.settings import Settings
from fastapi_caching_route.lmdb import LMDBCache, LMDBStats
from fastapi_caching_route.memory import MemoryCache
from fastapi_caching_route.stats import CacheStats, MinuteStats, PurgeStats, RouteStats, StoreStats, together


def stats_of(settings: Settings) -> CacheStats:
    """What a cache has done in this process, and how its store is."""
    routes = tuple(map(_of_route, [*settings.runtime.counts.values()]))
    routes = tuple(it for it in routes if it.requests or it.runs)
    purging = settings.purging
    purges = PurgeStats() if purging is None else purging.stats()
    return CacheStats(together(routes), routes, store_of(settings), purges=purges, minutes=minutes_of(settings))


def minutes_of(settings: Settings) -> tuple[MinuteStats, ...]:
    """What each of the last minutes has brought, up to now, in this process."""
    so_far = [0, 0, 0, 0]
    for it in [*settings.runtime.counts.values()]:
        so_far[0] += it.hit + it.stale + it.collapsed
        so_far[1] += it.miss + it.revalidated
        so_far[2] += it.bypass + it.refused
        so_far[3] += it.error
    settings.runtime.minutes.note(settings.runtime.clock(), tuple(so_far))
    return tuple(MinuteStats(began_at, *numbers) for began_at, numbers in settings.runtime.minutes.known())


def _of_route(counts: Counts) -> RouteStats:
    reasons: dict[str, dict[str, int]] = {}
    for (outcome, reason), count in [*counts.reasons.items()]:
        reasons.setdefault(outcome, {})[reason] = count
    return RouteStats(
        route=counts.route,
        endpoint=counts.endpoint,
        hits=counts.hit,
        stale=counts.stale,
        collapsed=counts.collapsed,
        misses=counts.miss,
        revalidated=counts.revalidated,
        bypasses=counts.bypass,
        refused=counts.refused,
        errors=counts.error,
        stored=counts.stored,
        bytes=counts.bytes,
        runs=counts.runs,
        endpoint_seconds=counts.endpoint_seconds,
        seconds_saved=counts.seconds_saved,
        reasons=reasons,
    )


def asks_a_server(settings: Settings) -> bool:
    """Whether requests of this cache ask a server."""
    return settings.store.is_shared and not isinstance(settings.backend, LMDBCache | None)


def store_of(settings: Settings) -> StoreStats:
    """How the store of a cache is."""
    backend, store = settings.backend, settings.store
    state = store.condition()
    return StoreStats(
        kind='' if backend is None else type(backend).__name__,
        address=state.address,
        is_shared=store.is_shared,
        state='up' if state.failed_at is None else 'failing',
        error=None if state.failed_at is None else state.error,
        failing_seconds=0.0 if state.failed_at is None else time.monotonic() - state.failed_at,
        not_sent=state.not_sent,
        pending_invalidations=state.pending,
        command_seconds={**state.seconds},
        memory=backend.stats() if isinstance(backend, MemoryCache) else None,
        lmdb=_of_lmdb(backend) if isinstance(backend, LMDBCache) else None,
        near=state.near,
    )


def _of_lmdb(backend: LMDBCache) -> LMDBStats | None:
    with suppress(Exception):  # whatever lmdb raises: what cannot be read has no size
        return backend.stats()
    return None
