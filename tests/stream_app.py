"""The app of `promises/test_streams_on_a_server.py`, for a server in a process of its own."""

import asyncio
import resource
from collections.abc import AsyncIterator

from aiocache import SimpleMemoryCache
from fastapi import FastAPI
from fastapi.responses import StreamingResponse

from fastapi_caching_route import CachingRoute, FastAPICache

MB = 1024 * 1024

app = FastAPI()
app.router.route_class = CachingRoute
cache = FastAPICache(SimpleMemoryCache())
seen = {'closed': 0, 'broken': 0}


@app.get('/large')
@cache(ttl=60)
async def large(size: int = 100) -> StreamingResponse:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(size):
            yield bytes(MB)

    return StreamingResponse(chunks())


@app.get('/endless')
@cache(ttl=60)
async def endless() -> StreamingResponse:
    async def events() -> AsyncIterator[bytes]:
        try:
            for number in range(10**9):
                yield b'data: event %d\n\n' % number
                await asyncio.sleep(0.01)
        finally:
            seen['closed'] += 1

    return StreamingResponse(events(), media_type='text/plain')


@app.get('/flood')
@cache(ttl=60)
async def flood() -> StreamingResponse:
    async def chunks() -> AsyncIterator[bytes]:
        while True:
            yield bytes(MB)
            await asyncio.sleep(0)

    return StreamingResponse(chunks())


@app.get('/broken')
@cache(ttl=60)
async def broken() -> StreamingResponse:
    async def chunks() -> AsyncIterator[bytes]:
        seen['broken'] += 1
        yield b'half'
        await asyncio.sleep(0.01)
        raise RuntimeError

    return StreamingResponse(chunks())


@app.get('/state')
async def state() -> dict[str, int]:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {**seen, 'peak': peak, 'recording': cache._settings.runtime.budget.used}
