"""Answers that come in parts: a stream, a file, and events that never end."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from fastapi import APIRouter, FastAPI
from fastapi.responses import FileResponse, StreamingResponse

from fastapi_caching_route import CachingRoute, FastAPICache

router = APIRouter(route_class=CachingRoute)
cache = FastAPICache()


@router.get('/numbers')
@cache(ttl=60)
async def numbers(count: int = 5) -> StreamingResponse:
    """Passed on as it comes, and recorded meanwhile: the next one gets it whole, at once."""

    async def lines() -> AsyncIterator[str]:
        for number in range(count):
            await asyncio.sleep(0.1)
            yield f'{number}\n'

    return StreamingResponse(lines(), media_type='text/plain')


@router.get('/source')
@cache(ttl=60)
async def source() -> FileResponse:
    return FileResponse(Path(__file__), media_type='text/x-python')


@router.get('/events')
async def events() -> StreamingResponse:
    """Never ends, so there is nothing to be kept: it is not decorated."""

    async def moments() -> AsyncIterator[str]:
        number = 0
        while True:
            yield f'data: {number}\n\n'
            number += 1
            await asyncio.sleep(1)

    return StreamingResponse(moments(), media_type='text/event-stream')


app = FastAPI()
app.include_router(router)
