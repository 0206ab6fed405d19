"""CPU time of requests through cached routes, against a hand-written route in the same app.

The hand-written route (`limit_route`) sends two prebuilt messages: nothing that answers through FastAPI's routing can
be cheaper. Each case is an app of its own with three routers: the limit, the case, and the limit again, so that the
mean of both limits stands at the same place in the app as the case. All are interleaved round by round in one process;
the ratio is the median of those of all rounds, so that what the machine does meanwhile meets both sides alike. Where
several requests are under way at a time, each asks for a key of its own; a cold miss asks for one that nobody has asked
for before. What the servers of backends use is not counted.

    uv run --group bench --group peers python benchmarks/speed.py
        [--rounds N] [--requests N] [--only TEXT] [--json FILE]
"""

import argparse
import asyncio
import itertools
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fastapi
import starlette
import uvloop
from aiocache import RedisCache
from fastapi import FastAPI

sys.path.insert(0, str(Path(__file__).parent))
from cases import Case, cases
from messages import answer, beside, forgetting, receive, scope_of, to_nobody
from routes import limit
from servers import redis_server

Scopes = Iterator[dict[str, Any]]

renewals: list[asyncio.Task[Any]] = []
"""Those that never end."""


async def prepared(case: Case) -> tuple[FastAPI, Scopes]:
    """The app of a case, and its requests, after a look at whether they are answered as they should be."""
    app, backend = FastAPI(), case.backend()
    suffix = '/{number}' if case.together > 1 else ''
    for router in (limit(f'/before{suffix}'), case.router(backend), limit(f'/after{suffix}')):
        app.include_router(router)
    if case.forgets:
        app = forgetting(app, backend)
    if case.app is not None:
        app = beside(app, case.app)
    scopes = scopes_of(case)
    for _ in range(case.together):
        _, headers = await answer(app, next(scopes), case.receive)
    if case.asks_for_304:
        scopes = itertools.repeat(scope_of('/case', case.query, ((b'if-none-match', headers[b'etag']),)))
    if case.renews:
        await asyncio.sleep(0.05)
        renewals.append(asyncio.create_task(answer(app, next(scopes))))
        await asyncio.sleep(0.05)
    for _ in range(3 * case.together):
        status, headers = await answer(app, next(scopes), case.receive)
        assert status == (304 if case.asks_for_304 else 200), (case.name, status)
        assert case.expected is None or headers.get(b'x-cache') == case.expected, (case.name, headers)
    return app, scopes


def scopes_of(case: Case) -> Scopes:
    """The requests of a case, without end."""
    if case.is_cold:
        return (scope_of(f'/case/{number}') for number in itertools.count())
    if case.together > 1 and 'MGET' not in case.name:
        return itertools.cycle([scope_of(f'/case/{number}') for number in range(case.together)])
    method = 'GET' if case.receive is receive else 'POST'
    return itertools.repeat(scope_of('/case', case.query, case.headers, method))


async def spent(
    app: FastAPI, scopes: Scopes, requests: int, together: int, receive: Callable[[], Any] = receive
) -> float:
    """Seconds of CPU time for each request."""
    asked = list(itertools.islice(scopes, requests // together * together))
    began = time.process_time()
    if together == 1:
        for scope in asked:
            await app(dict(scope), receive, to_nobody)
    else:
        for at in range(0, len(asked), together):
            await asyncio.gather(*(app(dict(scope), receive, to_nobody) for scope in asked[at : at + together]))
    return (time.process_time() - began) / len(asked)


async def measure(found: list[Case], rounds: int, requests: int) -> None:
    apps = [(case, *await prepared(case)) for case in found]
    for _ in range(rounds):
        for case, app, scopes in apps:
            of_round = max(requests, case.least)
            suffix = '/1' if case.together > 1 else ''
            before, after = (itertools.repeat(scope_of(f'/{place}{suffix}')) for place in ('before', 'after'))
            first = await spent(app, before, of_round // 2, case.together)
            case.spent.append(await spent(app, scopes, of_round, case.together, case.receive))
            case.limits.append((first + await spent(app, after, of_round // 2, case.together)) / 2)


def table(found: list[Case]) -> list[dict[str, Any]]:
    spent = {case.name: case.spent for case in found}
    rows = []
    for case in found:
        least = case.limits if case.against is None else spent.get(case.against)
        if least is not None:
            ratios = statistics.quantiles((mine / its for mine, its in zip(case.spent, least, strict=True)), n=4)
            rows.append(
                {
                    'case': case.name,
                    'against': case.against or 'limit_route',
                    'us': statistics.median(case.spent) * 1e6,
                    'against_us': statistics.median(least) * 1e6,
                    'ratio': ratios[1],
                    'quartiles': [ratios[0], ratios[2]],
                    'target': case.target,
                }
            )
    return rows


def versions() -> dict[str, str]:
    return {
        'python': platform.python_version(),
        'fastapi': fastapi.__version__,
        'starlette': starlette.__version__,
        'uvloop': uvloop.__version__,
    }


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument('--rounds', type=int, default=40)
    arguments.add_argument('--requests', type=int, default=192, help='of each case in a round')
    arguments.add_argument('--only', default='', help='cases with this in their names')
    arguments.add_argument('--json', type=Path, help='also write the numbers to this file')
    given = arguments.parse_args()
    uvloop.install()
    with redis_server() as port:
        redis = None if port is None else lambda: RedisCache(endpoint='127.0.0.1', port=port)
        if redis is None:
            print('(no redis-server in PATH: its cases are left out)')
        every = cases(redis)
        chosen = {it for case in every if given.only in case.name for it in (case.name, case.against)}
        found = [case for case in every if case.name in chosen]
        asyncio.run(measure(found, given.rounds, given.requests))
    print(', '.join(f'{name} {version}' for name, version in versions().items()), f'median of {given.rounds} rounds')
    print(f'{"case":<32}{"µs":>8}{"against":>10}{"ratio":>8}{"quartiles":>14}{"target":>8}')
    rows = table(found)
    for row in rows:
        target = '' if row['target'] is None else f'{row["target"]:.2f}'
        low, high = row['quartiles']
        print(
            f'{row["case"]:<32}{row["us"]:>8.1f}{row["against_us"]:>10.1f}{row["ratio"]:>8.2f}'
            f'{f"{low:.2f} {high:.2f}":>14}{target:>8}'
        )
    if given.json:
        given.json.write_text(json.dumps({'versions': versions(), 'rows': rows}, indent=2), encoding='utf-8')


if __name__ == '__main__':
    main()
