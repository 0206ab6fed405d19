"""The smallest cached application: the answer takes a second, and then a minute long it takes none."""

import asyncio

from fastapi import APIRouter, FastAPI

from fastapi_caching_route import CachingRoute, FastAPICache

router = APIRouter(route_class=CachingRoute)
cache = FastAPICache()


@cache(ttl=60)
@router.get('/')
async def slow() -> dict[str, str]:
    await asyncio.sleep(1)
    return {'message': 'That took a second.'}


app = FastAPI()
app.include_router(router)
