"""A shop whose customers sign in with a provider of OAuth; `PROVIDER` is its address."""

import base64
import hashlib
import itertools
import os
import secrets
from urllib.parse import urlencode

import httpx
from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from fastapi_caching_route import CachingRoute, FastAPICache
from fastapi_caching_route.sessions import OptionalSession, SessionConfig, SessionDep, Sessions, SessionUser, States

PROVIDER = os.environ.get('PROVIDER', 'http://127.0.0.1:9000')
cache = FastAPICache()
sessions = Sessions(store=cache, config=SessionConfig(secrets=secrets.token_hex(32), secure=False))
states = States(store=cache, secure=False)
router = APIRouter(route_class=CachingRoute)
runs = itertools.count(1)


@router.get('/', response_class=HTMLResponse)
@cache(ttl=60)
async def start(session: OptionalSession) -> str:
    if session is None or session.user is None:
        return f'<a href="/login?next=/orders">Sign in</a> <!-- {next(runs)} -->'
    return f'Hello, {session.user.name} <!-- {next(runs)} -->'


@router.get('/login')
async def log_in(request: Request, next: str = '/') -> RedirectResponse:  # noqa: A002, its name in the URL
    verifier = secrets.token_urlsafe(48)
    digest = hashlib.sha256(verifier.encode()).digest()
    asked = {
        'client_id': 'shop',
        'redirect_uri': str(request.url_for('come_back')),
        'state': await states.create({'next': next, 'verifier': verifier}, request=request),
        'code_challenge': base64.urlsafe_b64encode(digest).rstrip(b'=').decode(),
    }
    return RedirectResponse(f'{PROVIDER}/authorize?{urlencode(asked)}')


@router.get('/callback')
async def come_back(request: Request, code: str, state: str) -> RedirectResponse:
    begun = await states.consume(state, request=request)
    async with httpx.AsyncClient(base_url=PROVIDER) as provider:
        form = {'client_id': 'shop', 'code': code, 'code_verifier': begun['verifier']}
        token = (await provider.post('/token', data=form)).raise_for_status().json()['access_token']
        who = (await provider.get('/userinfo', headers={'authorization': f'Bearer {token}'})).raise_for_status().json()
    await sessions.create(request, user=SessionUser(id=who['sub'], name=who['name']))
    return RedirectResponse(begun['next'], 303)


@router.get('/orders')
@cache(ttl=60)
async def orders(session: SessionDep) -> dict[str, object]:
    return {'orders of': session.user and session.user.name, 'run': next(runs)}


@router.get('/logout')
async def log_out(session: SessionDep) -> RedirectResponse:
    await session.invalidate()
    return RedirectResponse('/', 303)


app = FastAPI(lifespan=cache.lifespan)
app.include_router(router)
sessions.install(app)
