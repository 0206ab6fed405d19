"""Statistics, and the reports on routes. Knows no entries."""

import time
from dataclasses import asdict
from typing import Any

from fastapi_caching_route._concurrency.tasks import on_asyncio
from fastapi_caching_route._fastapi.serving import routes_in
from fastapi_caching_route._routes.all_workers import begin_publishing
from fastapi_caching_route._routes.decoration import decoration_at
from fastapi_caching_route.cache import FastAPICache
from fastapi_caching_route.errors import CacheError
from fastapi_caching_route.explain import report_on
from fastapi_caching_route.stats import CacheStats, MinuteStats, RouteStats

OWN = 'fastapi_caching_route.console.'
"""How the names of our own endpoints begin."""


async def counted(cache: FastAPICache) -> dict[str, Any]:
    """What all workers have counted; if the store fails, what this one has."""
    if on_asyncio():  # for apps without the lifespan of the cache
        begin_publishing(cache._settings)  # noqa: SLF001, of the package
    try:
        stats, error = await cache.stats_of_all_workers(), None
    except CacheError as raised:
        stats, error = cache.stats(), str(raised)
    return {
        'time': time.time(),
        'error': error,
        'total': _with_sums(stats.total),
        'routes': [_with_sums(it) for it in stats.routes],
        'minutes': [_with_sums(it) for it in stats.minutes],
        'store': asdict(stats.store),
        'purges': asdict(stats.purges),
        'workers': _workers(stats),
    }


def _with_sums(it: RouteStats | MinuteStats) -> dict[str, Any]:
    sums = {'requests': it.requests, 'hit_ratio': it.hit_ratio}
    more = {'looked_up': it.looked_up, 'without_run': it.without_run} if isinstance(it, RouteStats) else {}
    return {**asdict(it), **sums, **more}


def _workers(stats: CacheStats) -> list[dict[str, Any]]:
    return [
        {
            'worker': it.worker,
            'age': it.age,
            'requests': it.stats.total.requests,
            'hit_ratio': it.stats.total.hit_ratio,
        }
        for it in stats.workers
    ]


def reports(cache: FastAPICache, app: Any) -> list[dict[str, Any]]:
    """What `explain` says of each route, without those of the console, and of FastAPI itself.

    `is_of_other_cache` says that a route is cached, and not by this cache.
    """
    settings = cache._settings  # noqa: SLF001, of the package
    found = []
    for prefix, effective in routes_in(app):
        report = report_on(prefix, effective)
        if not report.endpoint.startswith((OWN, 'fastapi.')):
            decoration = decoration_at(effective) if report.cached else None
            is_other = decoration is not None and decoration.settings is not settings
            found.append({**asdict(report), 'is_of_other_cache': is_other})
    return found
