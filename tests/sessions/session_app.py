"""An app for several processes over one store: sessions and states, made in one and used in another."""

import os

from fastapi import APIRouter, FastAPI, Request

from fastapi_caching_route import CachingRoute, FastAPICache
from fastapi_caching_route.sessions import SessionConfig, SessionDep, Sessions, States

cache = FastAPICache.from_url(os.environ['STORE_URL'], store_timeout=5)
sessions = Sessions(
    store=cache,
    config=SessionConfig(
        secrets='a secret of at least thirty-two bytes',
        transports=['bearer'],
        renewal=1e-9,  # each request renews
    ),
    sign_out_tags=['user:{user}'],
)
states = States(store=cache, bind=False)
router = APIRouter(route_class=CachingRoute)


@router.post('/login')
async def log_in(request: Request, user: str) -> str:
    return (await sessions.create(request, user=user)).token


@router.get('/me')
async def me(session: SessionDep) -> dict[str, object]:
    return {'user': session.user and session.user.id, 'data': session.data, 'expires_at': session.expires_at}


@router.get('/page')
@cache(ttl=60, tags=sessions.tags)
async def page(session: SessionDep) -> list[object]:
    return [session.user and session.user.id, session.data, os.getpid()]


@router.post('/note')
async def note(session: SessionDep, key: str, value: str) -> None:
    await session.update({key: value})


@router.post('/regenerate')
async def regenerate(session: SessionDep) -> str:
    await session.regenerate()
    return session.token


@router.post('/logout')
async def log_out(session: SessionDep) -> None:
    await session.invalidate()


@router.post('/end-all')
async def end_all(user: str) -> int:
    return await sessions.delete_user_sessions(user)


app = FastAPI(lifespan=cache.lifespan)
app.include_router(router)
sessions.install(app)
