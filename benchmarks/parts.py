"""The parts of a miss and of hits behind guards: how long until the guard, the endpoint and the response are reached.

Each is measured beside the same route without a cache, request by request in turns; a part is the median of all its
requests, in microseconds of wall time. What is the same in both is FastAPI's; the difference is ours.

    uv run --group bench python benchmarks/parts.py [--rounds N]
"""

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import uvloop
from fastapi import Depends, FastAPI, Header

sys.path.insert(0, str(Path(__file__).parent))
from cases import KEY
from messages import answer, forgetting, receive, scope_of
from routes import SMALL, cached, uncached
from speed import versions

from fastapi_caching_route import MemoryCache

WARM_UP = 200  # requests of each that are not counted
REACHED: list[tuple[str, int]] = []
"""What the request that runs has reached, and when, in nanoseconds."""


def note(name: str) -> None:
    REACHED.append((name, time.perf_counter_ns()))


async def noted():
    note('the endpoint')
    return SMALL


async def checked(x_key: Annotated[str, Header()], page: int = 1):
    note('the guard')


async def checked_with_teardown(x_key: Annotated[str, Header()], page: int = 1):
    note('the guard')
    yield


async def send(message: dict[str, Any]) -> None:
    if message['type'] == 'http.response.start':
        note('the response')


Parts = dict[str, list[int]]
"""Nanoseconds until something was reached since what was reached before it, of each request."""


@dataclass
class Pair:
    """A cached route, and the same without a cache."""

    name: str
    cached: Any
    uncached: Any
    headers: tuple[tuple[bytes, bytes], ...] = ()
    spent: tuple[Parts, Parts] = field(default_factory=lambda: ({}, {}))


def app_of(router: Any, *, forgets: bool = False) -> Any:
    app, backend = FastAPI(), MemoryCache()
    app.include_router(router(backend))
    return forgetting(app, backend) if forgets else app


def pairs() -> Iterator[Pair]:
    """Each is used before the next is made: they decorate the same endpoint."""
    yield Pair('a miss', app_of(cached(noted), forgets=True), app_of(uncached(noted)))
    guards: dict[str, Callable[..., Any]] = {'an async function': checked, 'one with yield': checked_with_teardown}
    for name, guard in guards.items():
        given = [Depends(guard)]
        hit, plain = app_of(cached(noted, given)), app_of(uncached(noted, given))
        yield Pair(f'a hit behind {name}', hit, plain, KEY)


async def measure(app: Any, scope: dict[str, Any], parts: Parts) -> None:
    """Serve one request, and add what it took."""
    REACHED.clear()
    note('start')
    await app(dict(scope), receive, send)
    note('the end')
    for (_, before), (name, then) in pairwise(REACHED):
        parts.setdefault(name, []).append(then - before)


async def run(rounds: int) -> None:
    for pair in pairs():
        scope = scope_of('/case', headers=pair.headers)
        _, headers = await answer(pair.cached, scope)
        assert headers[b'x-cache'] == b'MISS', pair.name
        for number in range(WARM_UP + rounds):
            spent = pair.spent if number >= WARM_UP else ({}, {})
            for app, parts in zip((pair.cached, pair.uncached), spent, strict=True):
                await measure(app, scope, parts)
        _, headers = await answer(pair.cached, scope)
        assert headers[b'x-cache'] == (b'MISS' if 'miss' in pair.name else b'HIT'), pair.name
        show(pair)


def show(pair: Pair) -> None:
    ours, plain = ({name: statistics.median(it) / 1000 for name, it in parts.items()} for parts in pair.spent)
    print(f'| {pair.name}, µs until | not cached | cached |')
    print('|---|---|---|')
    for name, spent in plain.items():
        print(f'| {name} | {spent:.1f} | {f"{ours[name]:.1f}" if name in ours else "not reached"} |')
    print(f'| in all | {sum(plain.values()):.1f} | {sum(ours.values()):.1f} |\n')


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument('--rounds', type=int, default=5000)
    given = arguments.parse_args()
    uvloop.install()
    print(', '.join(f'{name} {version}' for name, version in versions().items()), f'median of {given.rounds} requests')
    asyncio.run(run(given.rounds))


if __name__ == '__main__':
    main()
