"""What functions return, cached beside whole responses: in one store, with the same tags."""

import asyncio

from fastapi import APIRouter, FastAPI

from fastapi_caching_route import CachingRoute, FastAPICache

cache = FastAPICache()
router = APIRouter(route_class=CachingRoute)
runs = {'report': 0, 'total': 0}


@cache.function(ttl=60, tags=['year:{year}'])
async def total(year: int) -> int:
    """Used by several endpoints, and by jobs that are no requests at all."""
    runs['total'] += 1
    await asyncio.sleep(1)
    return year * 10


@router.get('/reports/{year}')
@cache(ttl=60, tags=['year:{year}'])
async def report(year: int, currency: str = 'EUR') -> dict[str, int | str]:
    runs['report'] += 1
    return {'total': await total(year), 'currency': currency, **{f'runs of {name}': it for name, it in runs.items()}}


@router.post('/orders/{year}')
async def order(year: int) -> None:
    await cache.invalidate_tags(f'year:{year}')  # the result, and the responses that are made of it


app = FastAPI(lifespan=cache.lifespan)
app.include_router(router)
