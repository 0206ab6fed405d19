"""An app with a console behind a cookie, and endpoints that give back whatever they are given."""

import asyncio
import os
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Response
from fastapi.security import APIKeyCookie

from fastapi_caching_route import CachingRoute, FastAPICache, console
from fastapi_caching_route.console import console_router

console.STREAM_SECONDS = float(os.environ.get('STREAM_SECONDS', '10'))
watching, ticks = [0], console._ticks


async def counted_ticks(*arguments):
    watching[0] += 1
    try:
        async for it in ticks(*arguments):
            yield it
    finally:
        watching[0] -= 1


console._ticks = counted_ticks

cache = FastAPICache()
router = APIRouter(route_class=CachingRoute)


def admin(value: Annotated[str, Depends(APIKeyCookie(name='admin'))]):
    if value != 'let-me-in':
        raise HTTPException(403)


@router.get('/items/{item}')
@cache(ttl=300, tags=['item:{item}', 'items'], stale_while_revalidate=60)
async def item(item: int, page: int = 1):
    await asyncio.sleep(0.01)
    return {'item': item, 'page': page}


@router.get('/echo/{text:path}')
@cache(ttl=300, tags=['{text}'])
async def echo(text: str):
    return Response(text, media_type='text/html', headers={'x-echo': text.encode('ascii', 'backslashreplace').decode()})


@router.get('/mine')
@cache(ttl=300)
async def mine(value: Annotated[str, Depends(APIKeyCookie(name='session'))]):
    return 'mine alone'


@router.get('/languages')
@cache(ttl=300)
async def languages(response: Response):
    response.headers['vary'] = 'accept-language'
    return 'language'


@router.get('/skipped')
@cache(ttl=300, skip=lambda _: True)
async def skipped():
    return 1


app = FastAPI(lifespan=cache.lifespan)
app.include_router(router)
app.include_router(console_router(cache, dependencies=[Depends(admin)]), prefix='/cache')


@app.get('/login')
async def login(response: Response):
    response.set_cookie('admin', 'let-me-in')


@app.get('/process')
async def process():
    return os.getpid()


@app.get('/watching')
async def number_of_streams():
    return watching[0]
