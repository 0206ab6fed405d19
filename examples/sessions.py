"""Sessions on the same Redis, by `starsessions`: what reads the session is cached for equal sessions only.

REDIS_PORT=6379 uvicorn sessions:app
"""

import itertools
import os
from typing import Annotated

from aiocache import RedisCache
from fastapi import APIRouter, Depends, FastAPI, Request
from starsessions import SessionAutoloadMiddleware, SessionMiddleware
from starsessions.stores.redis import RedisStore

from fastapi_caching_route import CachingRoute, FastAPICache

PORT = int(os.environ.get('REDIS_PORT', '6379'))
cache = FastAPICache(RedisCache(endpoint='127.0.0.1', port=PORT, namespace='pages'))
router = APIRouter(route_class=CachingRoute)
runs = itertools.count(1)


def visitor(request: Request) -> str:
    """Who is logged in, by the session; nobody, if nobody is."""
    return str(request.session.get('user', ''))


@router.post('/login')
async def log_in(user: str, request: Request) -> None:
    request.session['user'] = user


@router.get('/news')
@cache(ttl=60)
async def news() -> dict[str, int]:
    """Declares nothing, so all share it, with a session or without."""
    return {'run': next(runs)}


@router.get('/hello')
@cache(ttl=60)
async def hello(user: Annotated[str, Depends(visitor)]) -> dict[str, str | int]:
    """Reads the session: only clients with an equal session share it."""
    return {'user': user, 'run': next(runs)}


@router.get('/basket')
@cache(ttl=60, identity=visitor)
async def basket(user: Annotated[str, Depends(visitor)]) -> dict[str, str | int]:
    """Says by `identity` who shares: each user has an answer of their own."""
    return {'basket of': user, 'run': next(runs)}


app = FastAPI(lifespan=cache.lifespan)
app.add_middleware(SessionAutoloadMiddleware)
app.add_middleware(
    SessionMiddleware, store=RedisStore(f'redis://127.0.0.1:{PORT}'), lifetime=3600, cookie_https_only=False
)
app.include_router(router)
