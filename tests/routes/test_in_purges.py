"""Purges that invalidate something themselves."""

import asyncio

from fastapi_caching_route import FastAPICache
from fastapi_caching_route._routes import purging
from tests.support import caching_router, client_of, until


async def test_what_a_purge_invalidates_itself_is_invalidated_and_not_purged_again(monkeypatch, caplog):
    for name, seconds in {'AGAIN_SECONDS': 0.05, 'SLOT_SECONDS': 0.02, 'ANSWER_SECONDS': 0.02}.items():
        monkeypatch.setattr(purging, name, seconds)
    got = []

    async def purge(request):
        got.append(request.tags)
        if len(got) > 10:
            return
        await cache.invalidate_tags('user:8')
        await asyncio.create_task(cache.invalidate_tags('user:9'))
        cache.invalidate_soon(tags=['user:9'])

    router, cache = caching_router(), FastAPICache(purge=purge, surrogate_keys='Surrogate-Key')

    @router.get('/u/{number}')
    @cache(ttl=60, tags=['user:{number}'])
    async def endpoint(number: int):
        return number

    client = client_of(router)
    for number in (7, 8, 9):
        client.get(f'/u/{number}')
    for _ in range(2):
        await cache.invalidate_tags('user:7')
        await until(lambda: cache.stats().purges.waiting == 0 and len(got) % 2 == 0)
        assert [client.get(f'/u/{it}').headers['x-cache'] for it in (7, 8, 9)] == ['MISS'] * 3
    assert got == [('user:7',)] * 4
    assert [it.message.count('tag:user:8') for it in caplog.records if 'purge= has itself' in it.message] == [1]
