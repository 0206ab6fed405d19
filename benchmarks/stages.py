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
from fastapi import APIRouter, FastAPI

sys.path.insert(0, str(Path(__file__).parent))
from speed import LimitRoute, cached, limit, receive, scope_of, small, to_nobody, versions

from fastapi_caching_route import MemoryCache
from fastapi_caching_route._exchange import call as client
from fastapi_caching_route._exchange import lookup as hits
from fastapi_caching_route._http import representation as answer
from fastapi_caching_route._http import reuse

TIMES, ROUNDS = 2000, 60


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


async def of_a_hit() -> dict[str, float]:
    app = FastAPI()
    router = cached(small)(MemoryCache())
    app.include_router(router)
    seen: list[tuple[Any, dict[str, Any]]] = []
    handle = type(router.routes[0]).handle

    def spy(route: Any, scope: Any, receive: Any, send: Any) -> Any:
        seen.append((route, scope))
        return handle(route, scope, receive, send)

    type(router.routes[0]).handle = spy
    for _ in range(2):
        await app(scope_of('/case'), receive, to_nobody)
    type(router.routes[0]).handle = handle
    route, scope = seen[-1]
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
            'judgement': lambda: reuse.age_and_left(entry.stored_at, entry.lifetime, found.stale_at, now),
            'Age, X-Cache, Cache-Status': lambda: plan.labels.on_hit(1, 2, entry.headers, declared.inputs),
            'preconditions and range': lambda: answer.select('GET', scope['headers'], whole, now),
            'two messages': lambda: client.messages('GET', scope['headers'], entry, signs, now),
            '(look)': lambda: hits.look(plan, declared, scope),
            '(hit)': lambda: hits.hit(plan, declared, scope, (keys, found)),
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
    stages, routing = asyncio.run(of_a_hit()), asyncio.run(of_routing())
    print(', '.join(f'{name} {version}' for name, version in versions().items()))
    for title, found in (('a hit, by stage', stages), ('limit_route, by where it stands', routing)):
        print(title)
        for name, spent in found.items():
            print(f'    {name:<32}{spent * 1e6:>7.2f} µs')
    if given.json:
        found = {'versions': versions(), 'stages': stages, 'routing': routing}
        given.json.write_text(json.dumps(found, indent=2), encoding='utf-8')


if __name__ == '__main__':
    main()
