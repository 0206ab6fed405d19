"""Commands that act on a store: statistics, entries, invalidation, warm-up. Knows caches as users do."""

import time
from argparse import Namespace
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from fastapi_caching_route._cli.ending import DONE, FOUND_FAULTS, WRONG_ARGUMENTS, Refusal
from fastapi_caching_route._cli.places import shared_caches
from fastapi_caching_route._cli.printing import console, print_json, print_rows, say
from fastapi_caching_route._routes.decoration import decorations_of
from fastapi_caching_route._routes.targets import endpoints_named
from fastapi_caching_route.cache import FastAPICache
from fastapi_caching_route.entries import EntryInfo
from fastapi_caching_route.stats import CacheStats, RouteStats
from fastapi_caching_route.warming import Warmed, WarmReport


async def stats(given: Namespace, caches: list[FastAPICache], _app: Any) -> int:
    """Print what all workers have published."""
    found = [await it.stats_of_all_workers() for it in caches]
    if given.json:
        print_json([_as_json(it) for it in found])
        return DONE
    titles = ('route', 'hit ratio', 'hits', 'stale', 'collapsed', 'misses', 'bypasses', 'refused', 'errors')
    for it in found:
        total = [('all', *_numbers(it.total))]
        print_rows(titles, [*((route.route, *_numbers(route)) for route in it.routes), *total], numbers=8)
        store = it.store
        at = f' at {store.address}' if store.address else ''
        say(f'{store.kind}{at}: {store.state}{f" ({store.error})" if store.error else ""}')
        published = len(it.workers) - 1  # this command is no worker
        say(f'the numbers of {_counted(published, "worker", "workers")}')
    return DONE


def _counted(number: int, one: str, many: str) -> str:
    return f'{number} {one if number == 1 else many}'


def _as_json(it: CacheStats) -> dict[str, Any]:
    ratios = {'hit_ratio': it.total.hit_ratio, 'requests': it.total.requests}
    found = asdict(it)
    return {**found, 'total': {**found['total'], **ratios}, 'workers': found['workers'][1:]}


def _numbers(it: RouteStats) -> tuple[str, ...]:
    counts = (it.hits, it.stale, it.collapsed, it.misses + it.revalidated, it.bypasses, it.refused, it.errors)
    return (f'{it.hit_ratio:.1%}', *map(str, counts))


async def entries(given: Namespace, caches: list[FastAPICache], _app: Any) -> int:
    """Print what is stored."""
    found = [it async for it in _listed(given, caches)]
    if given.json:
        print_json([asdict(it) for it in found])
        return DONE
    titles = ('path or function', 'status', 'age', 'left', 'size', 'tags', 'key')
    print_rows(titles, map(_row, found))
    more = ', and perhaps more' if len(found) == given.limit else ''
    say(_counted(len(found), 'entry', 'entries') + more)
    return DONE


async def _listed(given: Namespace, caches: list[FastAPICache]) -> Any:
    left = given.limit
    for cache in caches:
        async for it in cache.entries(route=given.route, tag=given.tag, path=given.path, dead=given.dead):
            if left <= 0:
                return
            left -= 1
            yield it


def _row(it: EntryInfo) -> tuple[str, ...]:
    left = f'{it.ttl_left:.0f} s' if it.is_alive else 'invalidated'
    return (
        it.path or it.endpoint,
        str(it.status),
        f'{it.age:.0f} s',
        left,
        _in_bytes(it.size),
        '\n'.join(it.tags),
        it.key,
    )


def _in_bytes(size: float) -> str:
    for unit in ('B', 'kB', 'MB'):
        if size < 1000:
            return f'{size:.0f} {unit}'
        size /= 1000
    return f'{size:.1f} GB'


async def show(given: Namespace, caches: list[FastAPICache], _app: Any) -> int:
    """Print all that is stored for the path of a URL, whatever its query and headers."""
    path = _path_of(given.address)
    found = [it for cache in caches async for it in cache.entries(path=path, dead=True)]
    if given.json:
        print_json([asdict(it) for it in found])
        return DONE
    for it in found:
        for name, value in asdict(it).items():
            say(f'{name:<16} {_in_words(name, value)}'.rstrip())
        say('')
    say(f'{_counted(len(found), "entry", "entries")} for {path}')
    return DONE


def _in_words(name: str, value: object) -> str:
    match value:
        case None:
            return ''
        case tuple():
            return ', '.join(value)
        case float():
            is_moment = name == 'stored_at'
            return time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(value)) if is_moment else f'{value:.3f} s'
        case _:
            return str(value)


def _path_of(url: str) -> str:
    try:
        path = unquote(urlsplit(url).path) or '/'
        return path.replace('?', '%3F').replace('#', '%23')
    except ValueError as error:
        msg = f'this is no URL: {error}'
        raise Refusal(msg, WRONG_ARGUMENTS) from None


async def invalidate(given: Namespace, caches: list[FastAPICache], app: Any) -> int:
    """Invalidate by tag, path, endpoint, namespace, or all."""
    endpoints = [_endpoint(it, app) for it in given.endpoint]
    _check_targets(given)
    soft = given.soft
    for cache in caches:
        if given.tag:
            await cache.invalidate_tags(*given.tag, soft=soft)
        for path in given.path:
            await cache.invalidate_path(path, prefix=given.prefix, soft=soft)
        for endpoint in endpoints:
            if any(it.settings is cache._settings for it in decorations_of(endpoint)):  # noqa: SLF001, of the package
                await cache.invalidate_endpoint(endpoint, soft=soft)
        for namespace in given.namespace:
            await cache.invalidate_namespace(namespace, soft=soft)
        if given.all:
            await cache.clear(soft=soft)
    if given.json:
        print_json({'invalidated': True, 'soft': soft})
    else:
        say('made stale' if soft else 'invalidated')
    return DONE


def _check_targets(given: Namespace) -> None:
    if not (given.tag or given.path or given.endpoint or given.namespace or given.all):
        raise Refusal('say what to invalidate: --tag, --path, --endpoint, --namespace or --all', WRONG_ARGUMENTS)
    if '' in given.tag:
        raise Refusal('a tag must not be empty', WRONG_ARGUMENTS)
    if given.prefix and not given.path:
        raise Refusal('--prefix needs --path', WRONG_ARGUMENTS)


def _endpoint(name: str, app: Any) -> Callable[..., Any]:
    """The cached endpoint of this name, as `explain` shows it, or of the last part of it."""
    if app is None:
        raise Refusal('--endpoint needs the app (module:name): a store does not know it', WRONG_ARGUMENTS)
    found = endpoints_named(name, app)
    if len(found) != 1:
        which = f'there are several: {", ".join(sorted(found))}' if found else 'no cached endpoint has this name'
        msg = f'--endpoint {name}: {which}'
        raise Refusal(msg, WRONG_ARGUMENTS)
    (endpoint,) = found.values()
    return endpoint


async def warm(given: Namespace, caches: list[FastAPICache], app: Any) -> int:
    """Warm up an app."""
    urls = [*given.urls, *(_lines(given.file) if given.file else ())]
    if not urls:
        raise Refusal('give URLs, or --file', WRONG_ARGUMENTS)
    headers = dict(_header(it) for it in given.header)
    warming = caches[0].warm
    if given.json:
        report = await warming(app, urls, headers=headers, base_url=given.base_url, concurrency=given.concurrency)
        print_json([asdict(it) for it in report.results])
    else:
        report = await _with_progress(given, app, urls, headers, warming)
        say(str(report))
    return DONE if report.is_warm else FOUND_FAULTS


async def _with_progress(
    given: Namespace, app: Any, urls: list[str], headers: dict[str, str], warming: Any
) -> WarmReport:
    shown = console(on_stderr=True)
    from rich.progress import Progress  # noqa: PLC0415, an optional package

    with Progress(console=shown, transient=True, disable=not shown.is_terminal) as progress:
        task = progress.add_task('warming up', total=len(urls))

        def advance(_: Warmed) -> None:
            progress.advance(task)

        report: WarmReport = await warming(
            app, urls, headers=headers, base_url=given.base_url, concurrency=given.concurrency, progress=advance
        )
        return report


def _lines(name: str) -> Iterable[str]:
    try:
        text = Path(name).read_text(encoding='utf-8-sig')
    except (OSError, ValueError) as error:
        msg = f'{name}: {error}'
        raise Refusal(msg, WRONG_ARGUMENTS) from None
    return [line.strip() for line in text.splitlines() if line.strip() and not line.startswith('#')]


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(':')
    if not colon or not name.strip():
        msg = f"--header takes 'name: value', got {text!r}"
        raise Refusal(msg, WRONG_ARGUMENTS)
    return name.strip(), value.strip()


COMMANDS: dict[str, Callable[[Namespace, list[FastAPICache], Any], Any]] = {
    'stats': stats,
    'entries': entries,
    'show': show,
    'invalidate': invalidate,
    'warm': warm,
}


async def act(given: Namespace) -> int:
    """Run a command on its store, and close what it has opened."""
    caches, app = shared_caches(given.app, given.url)
    try:
        code: int = await COMMANDS[given.command](given, caches, app)
        return code
    finally:
        for cache in caches:
            await cache._settings.store.close()  # noqa: SLF001, of the package
