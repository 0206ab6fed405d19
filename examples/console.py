"""The console behind HTTP Basic: numbers, routes, entries, one URL looked up, invalidation."""

import asyncio
import os
import secrets
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, HTTPException
from fastapi.security import HTTPBasic, HTTPBasicCredentials

from fastapi_caching_route import CachingRoute, FastAPICache
from fastapi_caching_route.console import console_router

PASSWORD = os.environ.get('CONSOLE_PASSWORD', 'change-me')

cache = FastAPICache()
router = APIRouter(route_class=CachingRoute)


@router.get('/products/{product_id}')
@cache(ttl=300, tags=['product:{product_id}'], stale_while_revalidate=60)
async def get_product(product_id: int) -> dict[str, int]:
    await asyncio.sleep(0.2)
    return {'product': product_id}


def admin(credentials: Annotated[HTTPBasicCredentials, Depends(HTTPBasic())]) -> None:
    if not secrets.compare_digest(credentials.password.encode(), PASSWORD.encode()):
        raise HTTPException(401, headers={'WWW-Authenticate': 'Basic'})


app = FastAPI(lifespan=cache.lifespan)
app.include_router(router)
app.include_router(console_router(cache, dependencies=[Depends(admin)]), prefix='/cache')
