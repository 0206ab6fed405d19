"""What functions return, kept by aiocache's own decorator on the same backend, beside whole responses."""

import asyncio

from aiocache import SimpleMemoryCache, cached
from fastapi import APIRouter, FastAPI

from fastapi_caching_route import CachingRoute, FastAPICache

cache = FastAPICache(SimpleMemoryCache())
router = APIRouter(route_class=CachingRoute)
runs = {'report': 0, 'total': 0}


@cached(ttl=60, namespace='functions:')  # type: ignore[untyped-decorator]  # aiocache has no types
async def total(year: int) -> int:
    """Used by several endpoints, and by jobs that are no requests at all."""
    runs['total'] += 1
    await asyncio.sleep(1)
    return year * 10


@router.get('/reports/{year}')
@cache(ttl=60)
async def report(year: int, currency: str = 'EUR') -> dict[str, int | str]:
    runs['report'] += 1
    return {'total': await total(year), 'currency': currency, **{f'runs of {name}': it for name, it in runs.items()}}


app = FastAPI()
app.include_router(router)
