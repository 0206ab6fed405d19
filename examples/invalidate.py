"""A write that makes the stored answer of a read go away."""

from aiocache import SimpleMemoryCache
from fastapi import APIRouter, FastAPI, HTTPException, Request
from pydantic import BaseModel

from fastapi_caching_route import CachingRoute, FastAPICache

router = APIRouter(prefix='/users', route_class=CachingRoute)
cache = FastAPICache(SimpleMemoryCache())
names: dict[int, str] = {}


class NewUser(BaseModel):
    name: str


class User(BaseModel):
    id: int
    name: str


def user_key(request: Request) -> str:
    return f'user:{request.path_params["user_id"]}'


@router.post('')
async def create_user(new: NewUser) -> User:
    user_id = len(names) + 1
    names[user_id] = new.name
    return User(id=user_id, name=new.name)


@router.get('/{user_id}')
@cache(ttl=60, key_builder=user_key)
async def get_user(user_id: int) -> User:
    if user_id not in names:
        raise HTTPException(404, 'No such user')
    return User(id=user_id, name=names[user_id])


@router.patch('/{user_id}')
async def rename_user(user_id: int, change: NewUser) -> User:
    if user_id not in names:
        raise HTTPException(404, 'No such user')
    names[user_id] = change.name
    await cache.invalidate_cached(f'user:{user_id}')
    return User(id=user_id, name=change.name)


app = FastAPI()
app.include_router(router)
