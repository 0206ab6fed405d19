"""500 requests at once over a Redis that is 50 ms away: what clients see, how many commands, and how long all takes.

uv run python benchmarks/slow_store.py
"""

import asyncio
import sys
import time
from collections import Counter
from pathlib import Path

from aiocache import RedisCache
from fastapi import APIRouter, FastAPI

from fastapi_caching_route import CachingRoute, FastAPICache

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.faults import Proxy, Stage
from tests.support import asgi_call, asgi_scope

AT_ONCE = 500
LATENCY = 0.05


async def commands(stage: Stage) -> Counter:
    """How often each command was given."""
    said = await stage.redis('INFO', 'commandstats')
    return Counter({name.removeprefix('cmdstat_'): it['calls'] for name, it in said.items()})


async def main() -> None:
    stage = Stage('redis')
    await stage.start()
    proxy = stage.proxy = Proxy(stage.port)
    proxy.latency = LATENCY
    await proxy.turn('slow')
    app, router = FastAPI(), APIRouter(route_class=CachingRoute)
    cache = FastAPICache(RedisCache(endpoint='127.0.0.1', port=proxy.port))

    @router.get('/things/{number}')
    @cache(ttl=60)
    async def thing(number: int):
        return {'number': number}

    app.include_router(router)

    async def ask(number: int) -> str:
        start, *rest = await asgi_call(app, asgi_scope(path=f'/things/{number}'))
        headers = dict(start['headers'])
        right = start['status'] == 200 and rest[0]['body'] == b'{"number":%d}' % number
        return (headers.get(b'x-cache', b'not stored').decode()) if right else 'ERROR'

    print(f'{AT_ONCE} requests at once, {LATENCY * 1000:.0f} ms for each reply of Redis, store_timeout 0.25 s')
    async with cache:
        for what in ('the first request of all', 'distinct misses', 'the same again', 'and again', 'one key'):
            before, began = await commands(stage), time.perf_counter()
            numbers = [0] if what.startswith('the first') else [7] * AT_ONCE if what == 'one key' else range(AT_ONCE)
            answers = Counter(await asyncio.gather(*map(ask, numbers)))
            took = time.perf_counter() - began
            await asyncio.sleep(1)
            used = await commands(stage) - before
            used.subtract({'info': 1})
            given = {
                name: count for name, count in used.items() if count and 'hello' not in name and 'client' not in name
            }
            print(f'{what:25} {took:6.2f} s  answers {dict(answers)}  commands {given}')
    await proxy.close()
    stage.kill()


if __name__ == '__main__':
    asyncio.run(main())
