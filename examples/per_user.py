"""Responses for each user, by the user that a token names, and not by the token: a new token finds the same entries."""

from typing import Annotated

import jwt
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from fastapi_caching_route import CachingRoute, FastAPICache

SECRET = 'only an example, but as long as HS256 wants it'
bearer = HTTPBearer()


def user_named_by(token: str) -> str:
    try:
        return str(jwt.decode(token, SECRET, algorithms=['HS256'])['sub'])
    except (jwt.InvalidTokenError, KeyError):
        raise HTTPException(401, 'That is no token of ours') from None


def current_user(credentials: Annotated[HTTPAuthorizationCredentials, Depends(bearer)]) -> str:
    """A guard: it runs before every answer, from the cache or not."""
    return user_named_by(credentials.credentials)


def by_user(request: Request) -> str:
    """Who shares entries: all requests of one user."""
    return user_named_by(request.headers['authorization'].removeprefix('Bearer '))


router = APIRouter(route_class=CachingRoute)
cache = FastAPICache()
runs = {'count': 0}


@router.get('/me')
@cache(ttl=60, identity=by_user)
async def me(user: Annotated[str, Depends(current_user)]) -> dict[str, str | int]:
    runs['count'] += 1
    return {'user': user, 'run': runs['count']}


app = FastAPI()
app.include_router(router)
