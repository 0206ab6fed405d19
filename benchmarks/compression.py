"""A hit of 100 kB of JSON for a client that accepts compression, and the bytes that are stored in Redis for it.

All cases are interleaved round by round in one process; a ratio is the median of those of all rounds.

    uv run --group bench python benchmarks/compression.py [--rounds N] [--requests N]
"""

import argparse
import asyncio
import json
import random
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import uvloop
from aiocache import RedisCache
from fastapi import APIRouter, FastAPI
from fastapi.responses import Response
from starlette.middleware.gzip import GZipMiddleware

sys.path.insert(0, str(Path(__file__).parent))
from messages import answer, scope_of
from routes import LimitRoute
from servers import redis_server

from fastapi_caching_route import CachingRoute, Compression, FastAPICache, MemoryCache

ACCEPTED = {'gzip': b'gzip, deflate, br, zstd', 'none': b'identity'}
CODINGS = ('gzip', 'br', 'zstd')
NO_MIDDLEWARE = 'no compression'


def document() -> bytes:
    """Rows of a table, of 100,000 bytes together."""
    dice, rows = random.Random(1), []
    while len(json.dumps(rows)) < 100_000:
        name = ''.join(dice.choices('abcdefghijklmnopqrstuvwxyz', k=8))
        row = {'id': len(rows), 'name': name, 'email': f'{name}@example.org', 'score': round(dice.random(), 4)}
        rows.append({**row, 'active': dice.random() > 0.5})
    return json.dumps(rows[:-1]).encode().ljust(100_000)


BODY = document()


def app_of(compress: Compression | None, *, behind_gzip: bool, backend: Any = None) -> FastAPI:
    """The cached route and the limit, behind the middleware or not."""
    app, router, limit = FastAPI(), APIRouter(route_class=CachingRoute), APIRouter(route_class=LimitRoute)
    cache = FastAPICache(MemoryCache() if backend is None else backend, compress=compress)

    @router.get('/case')
    @cache(ttl=3600)
    async def case():
        return Response(BODY, media_type='application/json')

    limit.get('/limit')(lambda: None)
    app.include_router(limit)
    app.include_router(router)
    if behind_gzip:
        app.add_middleware(GZipMiddleware)
    return app


def cases() -> dict[str, tuple[FastAPI, str, bytes]]:
    """The apps, with the path and the Accept-Encoding of the requests to them."""
    plain = app_of(None, behind_gzip=False)
    found = {
        'limit_route': (plain, '/limit', ACCEPTED['none']),
        'hit, no compression': (plain, '/case', ACCEPTED['none']),
        'hit behind GZipMiddleware': (app_of(None, behind_gzip=True), '/case', ACCEPTED['gzip']),
        'the same, compress=gzip': (app_of(Compression('gzip'), behind_gzip=True), '/case', ACCEPTED['gzip']),
    }
    for coding in CODINGS:
        app = app_of(Compression(coding), behind_gzip=False)
        found[f'hit, compress={coding}'] = app, '/case', ACCEPTED['gzip']
        found[f'hit, compress={coding}, a plain client'] = app, '/case', ACCEPTED['none']
    return found


async def measured(rounds: int, requests: int) -> dict[str, list[float]]:
    """Microseconds of CPU time for a request, of each case in each round."""
    asked = cases().items()
    prepared = {name: (app, scope_of(path, headers=((b'accept-encoding', it),))) for name, (app, path, it) in asked}
    for app, scope in prepared.values():
        for _ in range(3):
            assert (await answer(app, scope))[0] == 200
    found: dict[str, list[float]] = {name: [] for name in prepared}
    for _ in range(rounds):
        for name, (app, scope) in prepared.items():
            began = time.process_time()
            for _ in range(requests):
                await answer(app, scope)
            found[name].append((time.process_time() - began) / requests * 1e6)
    return found


async def stored(port: int, coding: str | None) -> int:
    """The bytes of the entry in Redis."""
    backend = RedisCache(endpoint='127.0.0.1', port=port, namespace=f'of-{coding}')
    app = app_of(None if coding is None else Compression(coding), behind_gzip=False, backend=backend)
    await answer(app, scope_of('/case'))
    sizes = [await backend.client.strlen(key) for key in await backend.client.keys(f'of-{coding}:*GET*')]
    await backend.client.aclose()
    return max(sizes)


async def main(rounds: int, requests: int) -> None:
    found = await measured(rounds, requests)
    print(f'{len(BODY):,} bytes of JSON\n')
    print('| case | µs | against no compression | against GZipMiddleware |\n|---|---|---|---|')
    plain, middleware = found['hit, no compression'], found['hit behind GZipMiddleware']
    for name, times in found.items():
        ratios = [statistics.median(a / b for a, b in zip(times, of, strict=True)) for of in (plain, middleware)]
        print(f'| {name} | {statistics.median(times):.1f} | {ratios[0]:.2f} | {ratios[1]:.4f} |')
    with redis_server() as port:
        print('\n| stored in Redis | bytes |\n|---|---|')
        for coding in (None, *CODINGS):
            print(f'| {coding or NO_MIDDLEWARE} | {await stored(port, coding):,} |')


if __name__ == '__main__':
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument('--rounds', type=int, default=15)
    arguments.add_argument('--requests', type=int, default=200)
    given = arguments.parse_args()
    uvloop.install()
    asyncio.run(main(given.rounds, given.requests))
