"""CPU time of requests through cached routes, against a hand-written route in the same app.

The hand-written route sends two prebuilt messages: nothing that answers through FastAPI's routing can be cheaper.
Candidates are interleaved round by round in one process, and medians are compared, so that what the machine does
meanwhile meets all of them alike.

    uv run --group bench python benchmarks/hit.py [--rounds N] [--requests N]
"""

import argparse
import asyncio
import json
import pathlib
import statistics
import sys
import time
from typing import Any

import fastapi
import uvloop
from aiocache import SimpleMemoryCache
from fastapi import APIRouter, FastAPI
from fastapi.responses import Response
from fastapi.routing import APIRoute

from fastapi_caching_route import CachingRoute, FastAPICache

SMALL = {'items': [{'id': n, 'name': f'item {n}'} for n in range(7)]}
LARGE = b'x' * 100_000


class LimitRoute(APIRoute):
    """The limit: two messages, built beforehand."""

    async def handle(self, _scope: Any, _receive: Any, send: Any) -> None:
        body = b'x' * 200
        headers = [(b'content-length', b'200'), (b'content-type', b'application/json')]
        await send({'type': 'http.response.start', 'status': 200, 'headers': headers})
        await send({'type': 'http.response.body', 'body': body})


def application() -> FastAPI:
    app, cache = FastAPI(), FastAPICache(SimpleMemoryCache())
    limit, cached, plain = APIRouter(route_class=LimitRoute), APIRouter(route_class=CachingRoute), APIRouter()
    limit.get('/limit')(lambda: None)

    @cached.get('/small')
    @cache(ttl=3600)
    async def small():
        return SMALL

    @cached.get('/query')
    @cache(ttl=3600)
    async def query(a: int = 1, b: int = 2, c: str = '', d: str = ''):
        return SMALL

    @cached.get('/large')
    @cache(ttl=3600)
    async def large():
        return Response(LARGE)

    @cached.get('/miss')
    @cache(ttl=0.0001, max_body_size=100_000)
    async def miss():
        return SMALL

    @plain.get('/plain')
    async def undecorated():
        return SMALL

    for router in (limit, cached, plain):
        app.include_router(router)
    return app


def scope_of(path: str, query: bytes = b'', headers: tuple[tuple[bytes, bytes], ...] = ()) -> dict[str, Any]:
    return {
        'type': 'http',
        'asgi': {'version': '3.0', 'spec_version': '2.4'},
        'http_version': '1.1',
        'method': 'GET',
        'scheme': 'http',
        'path': path,
        'raw_path': path.encode(),
        'query_string': query,
        'root_path': '',
        'headers': [(b'host', b'bench'), (b'user-agent', b'bench'), (b'accept', b'*/*'), *headers],
        'client': ('127.0.0.1', 1),
        'server': ('127.0.0.1', 80),
    }


async def receive() -> dict[str, Any]:
    return {'type': 'http.request', 'body': b'', 'more_body': False}


async def answer(app: FastAPI, scope: dict[str, Any]) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(dict(scope), receive, send)
    return sent


async def measure(rounds: int, requests: int) -> dict[str, float]:
    app = application()
    tag = dict((await answer(app, scope_of('/small')))[0]['headers'])[b'etag']
    candidates = {
        'limit_route': scope_of('/limit'),
        'hit, small': scope_of('/small'),
        'hit, four query parameters': scope_of('/query', b'a=5&b=6&c=x&d=y'),
        'hit, 100 kB': scope_of('/large'),
        '304': scope_of('/small', headers=((b'if-none-match', tag),)),
        'miss': scope_of('/miss'),
        'not cached': scope_of('/plain'),
    }
    expected = {'304': 304}
    for name, scope in candidates.items():
        status = [await answer(app, scope) for _ in range(3)][-1][0]['status']
        assert status == expected.get(name, 200), (name, status)

    async def send(_message: Any) -> None:
        pass

    spent: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, scope in candidates.items():
            started = time.process_time()
            for _ in range(requests):
                await app(dict(scope), receive, send)
            spent[name].append((time.process_time() - started) / requests)
    return {name: statistics.median(times) for name, times in spent.items()}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument('--rounds', type=int, default=40)
    arguments.add_argument('--requests', type=int, default=200)
    arguments.add_argument('--json', help='also write the numbers to this file')
    given = arguments.parse_args()
    uvloop.install()
    times = asyncio.run(measure(given.rounds, given.requests))
    limit = times['limit_route']
    print(f'Python {sys.version.split()[0]}, FastAPI {fastapi.__version__}, uvloop; median of {given.rounds} rounds')
    print(f'{"case":<30}{"µs":>8}{"ratio":>8}')
    for name, spent in times.items():
        print(f'{name:<30}{spent * 1e6:>8.1f}{spent / limit:>8.2f}')
    if given.json:
        pathlib.Path(given.json).write_text(json.dumps(times, indent=2), encoding='utf-8')


if __name__ == '__main__':
    main()
