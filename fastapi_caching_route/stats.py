"""Counters of a cache: the records of `cache.stats()`.

Knows counters; knows neither requests nor stores.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from fastapi_caching_route._core.minutes import KEPT_MINUTES
from fastapi_caching_route.lmdb import LMDBStats
from fastapi_caching_route.memory import MemoryStats


@dataclass(frozen=True, slots=True)
class RouteStats:
    """The responses of one route, or of all routes together. Each is counted once, by its outcome."""

    route: str = ''
    """The path template; empty for all routes together."""
    endpoint: str = ''
    hits: int = 0
    stale: int = 0
    collapsed: int = 0
    misses: int = 0
    revalidated: int = 0
    bypasses: int = 0
    refused: int = 0
    errors: int = 0
    stored: int = 0
    """How many responses were stored."""
    bytes: int = 0
    """The bytes of bodies that were sent from entries, or from the run for another request."""
    runs: int = 0
    """How often the endpoint ran, also to renew entries."""
    endpoint_seconds: float = 0.0
    """How long these runs took together."""
    seconds_saved: float = 0.0
    """How long the endpoint would have run for the responses that did without it: as long as it took for each entry,
    in whichever process."""
    reasons: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """How often each outcome had each reason: `{'bypass': {'skip': 2}, 'miss': {'no-store': 1}}`."""

    @property
    def requests(self) -> int:
        """How many responses were sent."""
        return self.looked_up + self.bypasses + self.refused

    @property
    def looked_up(self) -> int:
        """How many of them could have come from an entry: all but those that bypassed the cache or were refused."""
        return self.without_run + self.misses + self.revalidated + self.errors

    @property
    def without_run(self) -> int:
        """How many responses did not run the endpoint for their request."""
        return self.hits + self.stale + self.collapsed

    @property
    def hit_ratio(self) -> float:
        """The part of `looked_up` that did not run the endpoint, from 0 to 1; 0 if there are none."""
        return self.without_run / self.looked_up if self.looked_up else 0.0


@dataclass(frozen=True, slots=True)
class StoreStats:
    """How the store is, as this process sees it."""

    kind: str = ''
    """The class of the backend; empty if there is none yet."""
    address: str = ''
    """Where it is, without credentials; empty if that is not known."""
    is_shared: bool = False
    """Whether other processes can use it, too."""
    state: Literal['up', 'failing'] = 'up'
    """`failing` during an outage: requests are answered without it."""
    error: str | None = None
    """The last error of the outage, without credentials."""
    failing_seconds: float = 0.0
    """How long the outage has lasted."""
    not_sent: tuple[str, ...] = ()
    """The kinds of commands that are not sent, except for probes: `reading`, `writing`, `deleting`, `following` (the
    journal), `storing`."""
    pending_invalidations: int = 0
    """How many names the backend has not been told of yet."""
    command_seconds: Mapping[str, float] = field(default_factory=dict)
    """How long commands of each kind have taken lately, on average; empty if no command waits."""
    memory: MemoryStats | None = None
    """The size of a `MemoryCache`."""
    lmdb: LMDBStats | None = None
    """The size of an `LMDBCache`."""
    near: MemoryStats | None = None
    """The size of the near copies."""


@dataclass(frozen=True, slots=True)
class PurgeStats:
    """The requests that this process has sent to caches in front."""

    sent: int = 0
    """How many purges were taken. Each invalidation is sent twice."""
    failed: int = 0
    """How many were given up."""
    waiting: int = 0
    """How many names are still to be sent, those of an attempt that is under way among them."""


@dataclass(frozen=True, slots=True)
class MinuteStats:
    """The responses of one minute, of all routes together."""

    began_at: float
    """Seconds since the epoch."""
    without_run: int = 0
    """Hits, stale and collapsed responses."""
    misses: int = 0
    """With those that were revalidated."""
    passed: int = 0
    """Bypasses and refusals."""
    errors: int = 0

    @property
    def requests(self) -> int:
        """How many responses were sent."""
        return self.without_run + self.misses + self.passed + self.errors

    @property
    def hit_ratio(self) -> float:
        """The part of the responses without `passed` that did not run the endpoint; 0 if there are none."""
        looked_up = self.requests - self.passed
        return self.without_run / looked_up if looked_up else 0.0


@dataclass(frozen=True, slots=True)
class CacheStats:
    """The counters of a cache: of one process since it was built, or of all processes that share its store."""

    total: RouteStats = field(default_factory=RouteStats)
    routes: tuple[RouteStats, ...] = ()
    """Those that have got requests, in the order of their first ones."""
    store: StoreStats = field(default_factory=StoreStats)
    """As this process sees it."""
    workers: 'tuple[WorkerStats, ...]' = ()
    """With `stats_of_all_workers`: each of them."""
    purges: PurgeStats = field(default_factory=PurgeStats)
    """Of this process."""
    minutes: tuple[MinuteStats, ...] = ()
    """The last hour, as far as it is known: from the start of the lifespan of the cache, or from the first call of
    `stats()` on. What was counted is noted every few seconds, so a response may be in the minute after its own."""


@dataclass(frozen=True, slots=True)
class WorkerStats:
    """The counters that one process has published."""

    worker: str
    """Host and process id."""
    age: float
    """How many seconds ago it was published."""
    stats: CacheStats


_NUMBERS = tuple(it.name for it in fields(RouteStats) if it.type in (int, float, 'int', 'float'))


def together(routes: Iterable[RouteStats], route: str = '', endpoint: str = '') -> RouteStats:
    """The sum of these."""
    sums: dict[str, Any] = dict.fromkeys(_NUMBERS, 0)
    reasons: dict[str, dict[str, int]] = {}
    for it in routes:
        for name in _NUMBERS:
            sums[name] += getattr(it, name)
        for outcome, counted in it.reasons.items():
            of_outcome = reasons.setdefault(outcome, {})
            for reason, count in counted.items():
                of_outcome[reason] = of_outcome.get(reason, 0) + count
    return RouteStats(route, endpoint, reasons=reasons, **sums)


def of_workers(own: CacheStats, workers: Iterable[WorkerStats]) -> CacheStats:
    """The sum of all workers, with the store as this one sees it."""
    found, routes = tuple(workers), dict[tuple[str, str], list[RouteStats]]()
    for worker in found:
        for it in worker.stats.routes:
            routes.setdefault((it.route, it.endpoint), []).append(it)
    summed = tuple(together(parts, *names) for names, parts in routes.items())
    minutes = minutes_together(it.stats.minutes for it in found)
    return CacheStats(together(summed), summed, own.store, found, own.purges, minutes)


def minutes_together(of_each: Iterable[Iterable[MinuteStats]]) -> tuple[MinuteStats, ...]:
    """The sums of the minutes of several processes: the last hour before the latest of them."""
    sums: dict[float, MinuteStats] = {}
    for it in (minute for minutes in of_each for minute in minutes):
        so_far = sums.get(it.began_at, MinuteStats(it.began_at))
        sums[it.began_at] = MinuteStats(
            it.began_at,
            so_far.without_run + it.without_run,
            so_far.misses + it.misses,
            so_far.passed + it.passed,
            so_far.errors + it.errors,
        )
    return tuple(sums[it] for it in sorted(sums)[-KEPT_MINUTES:])
