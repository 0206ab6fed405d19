"""A response is compressed once for all clients that wait for it."""

import asyncio
import gc

import httpx
from fastapi import FastAPI, Response

from fastapi_caching_route import Compression, FastAPICache
from fastapi_caching_route._core import codings
from fastapi_caching_route._store import compressed
from tests.support import caching_router

TEXT = 'some text that is repeated; ' * 1000


async def test_for_many_clients_that_refuse_what_is_plain_a_response_is_compressed_once(clock, monkeypatch):
    calls, refusing = [], {'accept-encoding': 'gzip, identity;q=0'}
    monkeypatch.setattr(compressed, 'encoded', lambda *given: calls.append(given) or codings.encoded(*given))
    cache, app, router, may_go_on = (
        FastAPICache(clock=clock, compress=Compression('gzip')),
        FastAPI(),
        caching_router(),
        asyncio.Event(),
    )

    @router.get('/')
    @cache(ttl=60)
    async def page():
        await may_go_on.wait()
        return Response(TEXT, media_type='text/plain')

    app.include_router(router)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url='http://s', headers=refusing) as client:
        asked = [asyncio.create_task(client.get('/')) for _ in range(20)]
        await asyncio.sleep(0.05)
        may_go_on.set()
        responses = await asyncio.gather(*asked)
    assert {(it.headers['content-encoding'], it.text) for it in responses} == {('gzip', TEXT)}
    assert len(calls) == 1  # for all of these clients, and for the store behind the first response
    gc.collect()
    assert not cache._settings.runtime.coded_entries._found
