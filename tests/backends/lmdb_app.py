"""An app over an LMDB store that was used before its server forks."""

import asyncio
import os
import threading

from fastapi import FastAPI

from fastapi_caching_route import CachingRoute, FastAPICache, LMDBCache

backend = LMDBCache(os.environ['LMDB_FOLDER'])
using = threading.Thread(target=lambda: asyncio.run(backend.set('before the fork', os.getpid())))
using.start()
using.join()  # uvicorn imports an app in an event loop
cache = FastAPICache(backend)
app = FastAPI(lifespan=cache.lifespan)
app.router.route_class = CachingRoute
state = {'n': 0}


@app.get('/value')
@cache(ttl=60, tags=['value'])
async def value() -> list[int]:
    state['n'] += 1
    return [os.getpid(), state['n']]


@app.get('/slow/{number}')
@cache(ttl=60, lock=True)
async def slow(number: int) -> list[int]:
    state['n'] += 1
    await asyncio.sleep(0.5)
    return [os.getpid(), state['n']]


@app.get('/worker')
async def worker() -> list[int]:
    return [os.getpid(), await backend.get('before the fork')]


@app.post('/invalidate')
async def invalidate() -> int:
    await cache.invalidate_tags('value')
    return os.getpid()
