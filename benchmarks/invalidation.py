"""What invalidation costs: store commands and time, on Redis.

uv run python benchmarks/invalidation.py [entries]
"""

import asyncio
import itertools
import logging
import sys
import time
from pathlib import Path

import httpx
from aiocache import RedisCache
from fastapi import APIRouter, FastAPI

from fastapi_caching_route import CachingRoute, FastAPICache

sys.path.insert(0, str(Path(__file__).parent))
from servers import redis_server

logging.disable()


async def counted(backend, work):
    """The commands that the store has got from us, by name, and the seconds that it took."""
    await backend.client.config_resetstat()
    began = time.perf_counter()
    await work
    took = time.perf_counter() - began
    stats = await backend.client.info('commandstats')
    ours = {name.removeprefix('cmdstat_'): stat['calls'] for name, stat in stats.items()}
    quiet = {'config|resetstat', 'info', 'client|setinfo', 'hello', 'client|maint_notifications'}
    return {name: calls for name, calls in sorted(ours.items()) if name not in quiet}, took


async def main(entries, port):
    backend = RedisCache(endpoint='127.0.0.1', port=port, namespace='bench')
    cache, router, serial = (
        FastAPICache(backend, store_timeout=30),
        APIRouter(route_class=CachingRoute),
        itertools.count(),
    )

    @router.get('/things/{thing_id}')
    @cache(ttl=600, tags=['things', 'thing:{thing_id}'])
    async def get_thing(thing_id: int):
        return {'id': thing_id, 'serial': next(serial)}

    app = FastAPI()
    app.include_router(router)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url='http://bench') as client:

        async def ask(*numbers):
            for batch in (numbers[at : at + 32] for at in range(0, len(numbers), 32)):
                await asyncio.gather(*(client.get(f'/things/{number}') for number in batch))

        async def show(what, work):
            commands, took = await counted(backend, work)
            print(f'{what}: {commands}, {took * 1000:.1f} ms')

        await show('the very first miss', ask(0))
        await show('a miss', ask(1))
        await show('a hit', ask(1))
        await show('an invalidation elsewhere', cache.invalidate_tags('thing:0'))
        await show('the first hit after it', ask(1))
        await show('the next hit', ask(1))
        await show('a soft invalidation', cache.invalidate_tags('thing:0', soft=True))
        await show('by endpoint and value', cache.invalidate_endpoint(get_thing, thing_id=0))
        await show('by path', cache.invalidate_path('/things/0'))
        await show('by prefix', cache.invalidate_path('/things', prefix=True))
        await show('by key', cache.invalidate_cached('none'))
        await ask(*range(entries))
        print(f'{entries} entries under one tag; keys in the store: {await backend.client.dbsize()}')
        await show('one call that invalidates them all', cache.invalidate_tags('things'))
        before = next(serial)
        await ask(*range(0, entries, max(1, entries // 100)))
        print(f'of 100 of them, {next(serial) - before - 1} are computed anew')
    await backend.client.aclose()


if __name__ == '__main__':
    with redis_server() as port:
        if port is None:
            print('skipped: there is no redis-server in PATH')
        else:
            asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000, port))
