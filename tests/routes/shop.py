"""Routes that read things and routes that write them."""

import pytest
from fastapi import APIRouter

from fastapi_caching_route import CachingRoute


def shop(cache, route_class=CachingRoute, **options):
    """Routes that read and routes that write, and what they have run."""
    router, runs = APIRouter(route_class=CachingRoute), []
    writes = APIRouter(route_class=route_class)

    @router.get('/things')
    @cache(ttl=60)
    async def list_things(page: int = 1):
        runs.append('list')
        return len(runs)

    @router.get('/things/{thing_id}')
    @cache(ttl=60, tags=['thing:{thing_id}'])
    async def get_thing(thing_id: int):
        runs.append(thing_id)
        return len(runs)

    return router, writes, list_things, get_thing, runs


THINGS = ('/things', '/things?page=2', '/things/7', '/things/8')


ROUTE_CLASSES = pytest.mark.parametrize('route_class', [CachingRoute, APIRouter().route_class])
