"""Slow answers behind an API key, plain and streamed, and what is not cached beside them.

Every second of slowness is only paid on a miss. The key is checked by a dependency of the router.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Security
from fastapi.responses import StreamingResponse
from fastapi.security import APIKeyHeader

from fastapi_caching_route import CachingRoute, FastAPICache, MemoryCache

API_KEY = 'secret'
SLOW = 1.0


def check_key(key: Annotated[str, Security(APIKeyHeader(name='X-Key'))]) -> None:
    if key != API_KEY:
        raise HTTPException(403, 'Wrong key')


cache = FastAPICache(MemoryCache(namespace='api'))
guarded = APIRouter(route_class=CachingRoute, dependencies=[Depends(check_key)])
public = APIRouter(route_class=CachingRoute)


@guarded.get('/cached')
@cache(ttl=60)
async def cached() -> dict[str, str]:
    await asyncio.sleep(SLOW)
    return {'message': 'slow, and cached'}


async def slow_lines() -> AsyncIterator[str]:
    for number in range(5):
        await asyncio.sleep(SLOW / 5)
        yield f'line {number}\n'


@guarded.get('/stream-cached')
@cache(ttl=60)
async def stream_cached() -> StreamingResponse:
    return StreamingResponse(slow_lines(), media_type='text/plain')


@guarded.get('/not-cached')
async def not_cached() -> dict[str, str]:
    await asyncio.sleep(SLOW)
    return {'message': 'slow each time'}


@public.get('/404')
@cache(ttl=60)
async def missing() -> None:
    raise HTTPException(404, 'Nothing here, and nothing stored')


@public.get('/query')
@cache(ttl=60)
async def query(a: str, b: str = 'b') -> dict[str, str]:
    return {'a': a, 'b': b}


app = FastAPI()
app.include_router(guarded)
app.include_router(public)
