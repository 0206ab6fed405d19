"""sse-starlette sends events as they come: such streams pass through the cache."""

import asyncio

from fastapi import FastAPI
from starlette.testclient import TestClient

from tests.add_ons.libraries import library
from tests.support import caching_router, memory_cache

sse = library('sse-starlette', 'sse_starlette')


def test_each_client_gets_a_stream_of_its_own():
    router, cache, runs = caching_router(), memory_cache(), []

    @router.get('/ticks')
    @cache(ttl=60)
    async def ticks() -> sse.EventSourceResponse:
        runs.append(1)

        async def events():
            for number in range(3):
                yield {'data': f'{len(runs)}.{number}'}
                await asyncio.sleep(0)

        return sse.EventSourceResponse(events())

    app = FastAPI()
    app.include_router(router)
    client = TestClient(app)
    streams = [client.get('/ticks') for _ in range(2)]
    assert [it.text.split() for it in streams] == [
        ['data:', f'{run}.0', 'data:', f'{run}.1', 'data:', f'{run}.2'] for run in (1, 2)
    ]
    assert all('x-cache' not in it.headers and 'etag' not in it.headers for it in streams)
    assert all('stored' not in it.headers['cache-status'] for it in streams)
