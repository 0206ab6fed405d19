"""The app of `promises/test_servers.py`, for a server in a process of its own."""

from collections.abc import AsyncIterator
from typing import Any

from aiocache import SimpleMemoryCache
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import FileResponse, StreamingResponse
from starlette.middleware.gzip import GZipMiddleware

from fastapi_caching_route import CachingRoute, FastAPICache

router = APIRouter(route_class=CachingRoute)
cache = FastAPICache(SimpleMemoryCache())
runs: dict[str, int] = {}


@router.get('/page')
@cache(ttl=60)
async def page() -> str:
    runs['page'] = runs.get('page', 0) + 1
    return 'x' * 2000


@router.get('/stream')
@cache(ttl=60)
async def stream() -> StreamingResponse:
    async def chunks() -> AsyncIterator[bytes]:
        for number in range(3):
            yield b'%d' % number

    runs['stream'] = runs.get('stream', 0) + 1
    return StreamingResponse(chunks(), media_type='text/plain')


@router.get('/file')
@cache(ttl=60)
async def file() -> FileResponse:
    runs['file'] = runs.get('file', 0) + 1
    return FileResponse(__file__)


@router.get('/title')
@cache(ttl=60)
async def title() -> Response:
    runs['title'] = runs.get('title', 0) + 1
    return Response('text', headers={'x-title': 'title\r\n 1' if runs['title'] == 1 else f'title {runs["title"]}'})


app = FastAPI()
app.include_router(router)


@app.get('/runs')
async def count_runs() -> dict[str, int]:
    return runs


dressed = FastAPI()
dressed.mount('/', app)
dressed.add_middleware(GZipMiddleware)


@dressed.middleware('http')
async def set_cookie(request: Request, call_next: Any) -> Any:
    response = await call_next(request)
    response.set_cookie('visitor', request.headers.get('x-visitor', 'nobody'))
    return response
