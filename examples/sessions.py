"""Sessions in the store of the cache: a page that reads the session is cached for each user, all others for everybody.

REDIS_PORT=6379 uvicorn sessions:app
"""

import itertools
import os
import secrets

from fastapi import APIRouter, FastAPI
from fastapi.responses import RedirectResponse
from starlette.requests import Request

from fastapi_caching_route import CachingRoute, FastAPICache
from fastapi_caching_route.sessions import OptionalSession, SessionConfig, SessionDep, Sessions, SessionUser

PORT = int(os.environ.get('REDIS_PORT', '6379'))
cache = FastAPICache.from_url(f'redis://127.0.0.1:{PORT}?namespace=pages')
sessions = Sessions(
    store=cache,
    config=SessionConfig(secrets=os.environ.get('SESSION_SECRET', secrets.token_hex(32)), secure=False),
    sign_out_tags=['user:{user}'],
)
router = APIRouter(route_class=CachingRoute)
runs = itertools.count(1)


@router.post('/login')
async def log_in(user: str, request: Request) -> RedirectResponse:
    await sessions.create(request, user=SessionUser(id=user, name=user.title()))
    return RedirectResponse('/hello', 303)


@router.post('/theme')
async def choose(theme: str, session: SessionDep) -> None:
    await session.update(theme=theme)


@router.post('/logout')
async def log_out(session: SessionDep) -> RedirectResponse:
    await session.invalidate()
    return RedirectResponse('/news', 303)


@router.get('/news')
@cache(ttl=60)
async def news() -> dict[str, int]:
    """Does not read the session, so all share it, with a session or without."""
    return {'run': next(runs)}


@router.get('/hello')
@cache(ttl=60, tags=sessions.tags)
async def hello(session: SessionDep) -> dict[str, str | int]:
    """Reads the session: shared by sessions of the same user with the same data."""
    return {'user': session.user.name if session.user else '', 'theme': session.get('theme', ''), 'run': next(runs)}


@router.get('/start')
@cache(ttl=60, cache_control='max-age=60')
async def start(session: OptionalSession) -> dict[str, str | int]:
    """For everybody: those who are not signed in share one response."""
    return {'user': session.user.name if session and session.user else 'nobody', 'run': next(runs)}


app = FastAPI(lifespan=cache.lifespan)
app.include_router(router)
sessions.install(app)
