"""Several workers, one Redis: what one has stored, all answer from, and what one invalidates is gone for all.

REDIS_PORT=6379 uvicorn redis_tags:app --workers 2
"""

import itertools
import os

from aiocache import RedisCache
from fastapi import APIRouter, FastAPI

from fastapi_caching_route import CachingRoute, FastAPICache

redis = RedisCache(endpoint='127.0.0.1', port=int(os.environ.get('REDIS_PORT', '6379')), namespace='shop')
cache = FastAPICache(redis)
router = APIRouter(prefix='/products', route_class=CachingRoute)
runs = itertools.count(1)


@router.get('/{product}')
@cache(ttl=300, tags=['products', 'product:{product}'], lock=True)
async def get_product(product: int) -> dict[str, int]:
    return {'product': product, 'worker': os.getpid(), 'run': next(runs)}


@router.post('/{product}/price')
@cache.invalidates(tags=['product:{product}'])
async def set_price(product: int, price: int) -> dict[str, int]:
    return {'product': product, 'price': price}


@router.post('/import')
async def import_all() -> None:
    await cache.invalidate_tags('products')


app = FastAPI(lifespan=cache.lifespan)
app.include_router(router)
