"""Writes that make stored answers of reads go away."""

from fastapi import APIRouter, FastAPI, HTTPException
from pydantic import BaseModel

from fastapi_caching_route import CachingRoute, FastAPICache

router = APIRouter(prefix='/users', route_class=CachingRoute)
cache = FastAPICache()
names: dict[int, str] = {}


class NewUser(BaseModel):
    name: str


class User(BaseModel):
    id: int
    name: str


@router.get('')
@cache(ttl=60, tags=['users'])
async def list_users() -> list[User]:
    return [User(id=user_id, name=name) for user_id, name in names.items()]


@router.post('')  # its own path is that of the list, which is invalidated by itself
async def create_user(new: NewUser) -> User:
    user_id = len(names) + 1
    names[user_id] = new.name
    return User(id=user_id, name=new.name)


@router.get('/{user_id}')
@cache(ttl=60)
async def get_user(user_id: int) -> User:
    if user_id not in names:
        raise HTTPException(404, 'No such user')
    return User(id=user_id, name=names[user_id])


@router.patch('/{user_id}')  # invalidates the user by itself, and the list because it says so
@cache.invalidates(tags=['users'])
async def rename_user(user_id: int, change: NewUser) -> User:
    if user_id not in names:
        raise HTTPException(404, 'No such user')
    names[user_id] = change.name
    return User(id=user_id, name=change.name)


app = FastAPI()
app.include_router(router)
