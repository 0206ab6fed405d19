"""Where the time of a hit goes, stage by stage, and what routing takes before any route is reached.

uv run --group bench python benchmarks/stages.py [--json FILE]
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import uvloop
from aiocache import RedisCache
from fastapi import APIRouter, FastAPI

sys.path.insert(0, str(Path(__file__).parent))
from cases import lmdb
from messages import receive, scope_of, to_nobody
from routes import LimitRoute, by_header, cached, limit, small
from servers import redis_server
from speed import versions

from fastapi_caching_route import MemoryCache, NearCopies
from fastapi_caching_route._exchange import call as client
from fastapi_caching_route._exchange import hit as hits
from fastapi_caching_route._exchange import lookup
from fastapi_caching_route._http import representation as answer
from fastapi_caching_route._http.reuse import NO_DEMAND

TIMES, ROUNDS = 400, 150


def least(runs: dict[str, Callable[[], Any]]) -> dict[str, float]:
    """The least seconds that each takes, of many rounds in which they take turns, less those of a call of nothing."""
    found = dict.fromkeys(runs, 1.0)
    for _ in range(ROUNDS):
        for name, run in runs.items():
            began = time.perf_counter()
            for _ in range(TIMES):
                run()
            found[name] = min(found[name], (time.perf_counter() - began) / TIMES)
    return {name: spent - found['nothing'] for name, spent in found.items()}


async def least_of(runs: dict[str, Callable[[], Awaitable[None]]]) -> dict[str, float]:
    """The same for what is awaited."""
    found = dict.fromkeys(runs, 1.0)
    for _ in range(ROUNDS):
        for name, run in runs.items():
            began = time.perf_counter()
            for _ in range(TIMES // 4):
                await run()
            found[name] = min(found[name], (time.perf_counter() - began) / (TIMES // 4))
    return found


def kinds(redis: int | None) -> dict[str, tuple[Any, Any, tuple[tuple[bytes, bytes], ...]]]:
    """The kinds of hits: a router, a backend, and the headers of requests."""
    found = {
        'memory': (cached(small), MemoryCache(), ()),
        'memory, a declared header': (cached(by_header), MemoryCache(), ((b'x-part', b'one'),)),
        'LMDB': (cached(small), lmdb(), ()),
    }
    if redis:
        near = cached(small, of_cache={'near': NearCopies(trust=60)})
        found['Redis, near, trusted'] = (near, RedisCache(endpoint='127.0.0.1', port=redis), ())
    return found


async def of_a_hit(router: Any, backend: Any, headers: Any) -> dict[str, float]:
    route, scope = await reached(router(backend), headers)
    plan = route._places.reached(route, scope).plan
    declared = plan.declared()
    look_up, keys = plan.runtime.store.at_once, declared.keys.at_once(scope)
    found = look_up(keys[1])
    entry, now = found.entry, plan.runtime.clock()
    whole, signs = (entry.status, entry.headers, entry.body), plan.labels.on_hit(1, 2, entry.headers, declared.inputs)
    limited = LimitRoute('/case', small)
    stages = least(
        {
            'nothing': lambda: None,
            'which route, reached how': lambda: route._places.reached(route, scope),
            'what it declares': plan.declared,
            'key': lambda: declared.keys.at_once(scope),
            'look-up and marks': lambda: look_up(keys[1]),
            'judgement': lambda: lookup.judge(found, now, NO_DEMAND, plan.run_options),
            'Age, X-Cache, Cache-Status': lambda: plan.labels.on_hit(1, 2, entry.headers, declared.inputs),
            'preconditions and range': lambda: answer.select('GET', scope['headers'], whole, now),
            'two messages': lambda: client.messages('GET', scope['headers'], entry, signs, now),
            '(all of it at once)': lambda: hits.at_once(plan, declared, scope),
        }
    )
    stages['two messages'] -= stages['preconditions and range']
    awaited = await least_of(
        {
            '(all of handle)': lambda: route.handle(scope, receive, to_nobody),
            '(handle of limit_route)': lambda: limited.handle(scope, receive, to_nobody),
        }
    )
    del stages['nothing']
    return stages | awaited


async def reached(router: APIRouter, headers: Any) -> tuple[Any, dict[str, Any]]:
    """The route of this router and a request to it, as it is reached in an app, after some of them."""
    app, seen = FastAPI(), []
    app.include_router(router)
    kind = type(router.routes[0])
    handle = kind.handle

    def spy(route: Any, scope: Any, receive: Any, send: Any) -> Any:
        seen.append((route, scope))
        return handle(route, scope, receive, send)

    kind.handle = spy
    for _ in range(3):
        await app(scope_of('/case', headers=headers), receive, to_nobody)
    kind.handle = handle
    return seen[-1]


async def of_all_hits(redis: int | None) -> dict[str, dict[str, float]]:
    return {name: await of_a_hit(*it) for name, it in kinds(redis).items()}


async def of_routing() -> dict[str, float]:
    def app_of(*, includes: int = 0, before: int = 0) -> FastAPI:
        router = limit('/limit')
        for _ in range(includes):
            outer = APIRouter()
            outer.include_router(router)
            router = outer
        app = FastAPI()
        for number in range(before):
            app.get(f'/other{number}')(small)
        if includes:
            app.include_router(router)
        else:
            app.router.routes.extend(router.routes)
        return app

    apps = {
        'route of the app itself': app_of(),
        'behind one include': app_of(includes=1),
        'behind two': app_of(includes=2),
        'behind one, after ten routes': app_of(includes=1, before=10),
    }
    runs = {name: (lambda app=app: app(scope_of('/limit'), receive, to_nobody)) for name, app in apps.items()}
    return await least_of(runs)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument('--json', type=Path, help='also write the numbers to this file')
    given = arguments.parse_args()
    uvloop.install()
    with redis_server() as port:
        stages = asyncio.run(of_all_hits(port))
    routing = asyncio.run(of_routing())
    print(', '.join(f'{name} {version}' for name, version in versions().items()))
    titles = {f'a hit, by stage: {name}': it for name, it in stages.items()}
    for title, found in (titles | {'limit_route, by where it stands': routing}).items():
        print(title)
        for name, spent in found.items():
            print(f'    {name:<32}{spent * 1e6:>7.2f} µs')
    if given.json:
        found = {'versions': versions(), 'stages': stages, 'routing': routing}
        given.json.write_text(json.dumps(found, indent=2), encoding='utf-8')


if __name__ == '__main__':
    main()
