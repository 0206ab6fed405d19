"""A write that knows only while it runs whose stored responses it makes outdated."""

from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, HTTPException
from fastapi.security import APIKeyHeader

from fastapi_caching_route import CacheContext, CachingRoute, FastAPICache

router = APIRouter(route_class=CachingRoute)
cache = FastAPICache()
tokens = {'of-ada': 7, 'of-grace': 8}
orders = {7: ['tea'], 8: ['rum']}


def current_user(token: Annotated[str, Depends(APIKeyHeader(name='X-Token'))]) -> int:
    if token not in tokens:
        raise HTTPException(403, 'Unknown token')
    return tokens[token]


CurrentUser = Annotated[int, Depends(current_user)]
Context = Annotated[CacheContext, Depends()]


@router.get('/orders')
@cache(ttl=60)
async def list_orders(user_id: CurrentUser, context: Context) -> list[str]:
    context.tags.add(f'orders of {user_id}')
    return orders[user_id]


@router.post('/checkout')
async def check_out(item: str, user_id: CurrentUser, context: Context) -> int:
    orders[user_id].append(item)
    context.invalidate(tags=[f'orders of {user_id}'])  # before the response leaves, if it is a 2xx or 3xx
    return len(orders[user_id])


app = FastAPI(lifespan=cache.lifespan)
app.include_router(router)
