"""A slow upstream that fails now and then: a client gets the stored response at once, and it is renewed after that."""

import asyncio

from fastapi import APIRouter, FastAPI, HTTPException

from fastapi_caching_route import CachingRoute, FastAPICache

router = APIRouter(route_class=CachingRoute)
cache = FastAPICache()
upstream = {'asked': 0, 'down': False}


@router.get('/rates')
@cache(ttl=1, stale_while_revalidate=60, stale_if_error=3600)
async def rates() -> dict[str, int]:
    upstream['asked'] += 1
    await asyncio.sleep(1)
    if upstream['down']:
        raise HTTPException(502, 'the upstream is down')
    return {'asked': upstream['asked']}


@router.put('/upstream')
async def set_upstream(*, down: bool) -> None:
    upstream['down'] = down


app = FastAPI()
app.include_router(router)
