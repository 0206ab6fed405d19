"""What `MemoryCache` takes: resident memory after many distinct answers, and the time of a hit among few and many.

uv run python benchmarks/memory.py
"""

import asyncio
import gc
import os
import random
import statistics
import time
from pathlib import Path

from fastapi import APIRouter, FastAPI, Response

from fastapi_caching_route import CachingRoute, FastAPICache, MemoryCache

DISTINCT, MANY, BODY = 50_000, 100_000, 2048


def resident():
    """Bytes of memory that the system has given to this process."""
    return int(Path('/proc/self/statm').read_text().split()[1]) * os.sysconf('SC_PAGESIZE')


def app_of(memory):
    app, router = FastAPI(), APIRouter(route_class=CachingRoute)
    cache = FastAPICache(memory)

    @router.get('/things/{number}')
    @cache(ttl=3600)
    async def thing(number: int):
        return Response(os.urandom(BODY), media_type='application/octet-stream')

    app.include_router(router)
    return app


async def ask(app, number):
    path = f'/things/{number}'
    scope = {
        'type': 'http',
        'method': 'GET',
        'path': path,
        'raw_path': path.encode(),
        'query_string': b'',
        'root_path': '',
        'scheme': 'http',
        'http_version': '1.1',
        'headers': [(b'host', b'test')],
        'server': ('test', 80),
        'client': ('test', 1),
        'asgi': {'version': '3.0'},
    }

    async def receive():
        return {'type': 'http.request', 'body': b'', 'more_body': False}

    sent = []

    async def send(message):
        sent.append(message)

    await app(scope, receive, send)
    return dict(sent[0]['headers'])[b'x-cache']


async def main():
    memory = MemoryCache()
    app = app_of(memory)
    await ask(app, -1)
    gc.collect()
    before = resident()
    for number in range(DISTINCT):
        await ask(app, number)
    gc.collect()
    taken, stats = resident() - before, memory.stats()
    print(f'{DISTINCT} distinct answers of {BODY} bytes, at most {memory.max_bytes / 2**20:.0f} MiB:')
    print(
        f'  resident +{taken / 2**20:.1f} MiB, kept {stats.entries} ({taken / stats.entries:.0f} bytes each), {stats}'
    )

    few, many = app_of(MemoryCache(max_bytes=2**30)), app_of(MemoryCache(max_bytes=2**30))
    await ask(few, 0)
    for number in range(MANY):
        await ask(many, number)
    times = {'1 entry': [], f'{MANY} entries, the same': [], f'{MANY} entries, any': []}
    for _ in range(30):
        for name, app, numbers in (
            ('1 entry', few, [0] * 1000),
            (f'{MANY} entries, the same', many, [MANY // 2] * 1000),
            (f'{MANY} entries, any', many, [random.randrange(MANY) for _ in range(1000)]),
        ):
            began = time.process_time()
            for number in numbers:
                assert await ask(app, number) == b'HIT'
            times[name].append((time.process_time() - began) / len(numbers))
    least = statistics.median(times['1 entry'])
    for name, it in times.items():
        print(f'  a hit with {name:28} {statistics.median(it) * 1e6:6.1f} us  {statistics.median(it) / least:.2f}')


asyncio.run(main())
