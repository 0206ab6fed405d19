"""Soft invalidations: entries become stale, and one request renews them."""

import asyncio
from typing import Annotated

import pytest
from fastapi import Body, Depends, HTTPException, Query, Request, Response

from fastapi_caching_route import CachePolicy, FastAPICache
from tests.exchange.herds import App, Gate, counting, seen
from tests.support import Clock, caching_router, client_of, closing, marks, memory_cache


def test_a_soft_invalidation_lets_one_request_renew_what_all_others_are_served(backend, clock):
    cache = FastAPICache(backend, store_timeout=5, clock=clock)
    router, runs = caching_router(), []

    @router.get('/{name}')
    @cache(ttl=60, stale_while_revalidate=30, tags=['it'])
    async def endpoint(name: str):
        runs.append(name)
        return len(runs)

    with client_of(router) as client:
        assert client.get('/a').json() == 1
        clock.now += 10
        client.portal.call(lambda: cache.invalidate_tags('it', soft=True))
        clock.now += 5
        stale = client.get('/a')
        assert (stale.json(), stale.headers['age']) == (1, '15')
        assert stale.headers['cache-status'] == 'FastAPICache; hit; ttl=-5'
        assert marks(stale) == ['HIT']
        renewed = client.get('/a')
        assert (renewed.json(), renewed.headers['age'], len(runs)) == (2, '0', 2)
        client.portal.call(lambda: cache.invalidate_tags('it', soft=True))
        clock.now += 31
        assert client.get('/a').json() == 3  # its window is over
        client.portal.call(lambda: cache.invalidate_tags('it', soft=True))
        client.portal.call(cache.invalidate_tags, 'it')
        assert marks(client.get('/a')) == ['MISS']
        client.portal.call(closing, backend)


def test_a_stale_entry_is_renewed_after_its_lifetime_too():
    clock, router, runs = Clock(), caching_router(), []
    cache = memory_cache(clock=clock, policy=CachePolicy(stale_while_revalidate=30))

    @router.post('/')
    @cache(ttl=60)
    async def endpoint(body: Annotated[int, Body()], tasks: Annotated[int, Query()] = 0):
        runs.append(body)
        return len(runs)

    client = client_of(router)
    answers = []
    for seconds in (0, 61, 0, 89, 0, 91):
        clock.now += seconds
        answers.append(client.post('/', json=7).json())
    assert (answers, runs) == ([1, 1, 2, 2, 3, 4], [7, 7, 7, 7])


def test_a_renewal_that_fails_is_nobodys_and_leaves_the_stale_entry(caplog):
    clock, router, runs = Clock(), caching_router(), []
    cache = memory_cache(clock=clock)

    @router.get('/')
    @cache(ttl=60, stale_while_revalidate=30)
    async def endpoint():
        runs.append(1)
        if len(runs) > 1:
            raise RuntimeError('broken')
        return 'good'

    client = client_of(router)
    client.get('/')
    clock.now += 61
    assert [client.get('/').json() for _ in range(2)] == ['good', 'good']
    assert 'broken' in caplog.text
    clock.now += 31
    with pytest.raises(RuntimeError):
        client.get('/')


def test_a_stale_entry_is_behind_the_guards_too():
    clock, router, runs, revoked = Clock(), caching_router(), [], []
    cache = memory_cache(clock=clock)

    async def guard():
        if revoked:
            raise HTTPException(403)

    @router.get('/', dependencies=[Depends(guard)])
    @cache(ttl=60, stale_while_revalidate=30)
    async def endpoint():
        runs.append(1)
        return 'secret'

    client = client_of(router)
    client.get('/')
    clock.now += 61
    revoked.append(1)
    assert client.get('/').status_code == 403
    assert len(runs) == 1  # and who is not let in does not renew


async def test_who_comes_after_a_soft_invalidation_does_not_get_the_older_answer_as_fresh():
    app = App()
    app.gate = Gate()
    counting(app, tags=['all'])
    leading = app.ask()
    await app.gate.reached.wait()
    await app.cache.invalidate_tags('all', soft=True)
    late = app.ask()
    await asyncio.sleep(0.01)
    app.gate.open.set()
    assert [it.body for it in seen(await asyncio.gather(leading, late))] == [b'1', b'2']


def test_a_soft_invalidation_has_what_can_be_validated_validated(cache):
    router, rendered = caching_router(), []

    @router.get('/')
    @cache(ttl=60, revalidate=True, tags=['it'])
    async def endpoint(request: Request):
        if 'if-none-match' in request.headers:
            return Response(status_code=304)
        rendered.append(1)
        return Response('whole', headers={'etag': '"v1"'})

    with client_of(router) as client:
        client.get('/')
        client.portal.call(lambda: cache.invalidate_tags('it', soft=True))
        assert (client.get('/').text, rendered) == ('whole', [1])
        client.portal.call(lambda: cache.invalidate_tags('it'))
        assert (client.get('/').text, rendered) == ('whole', [1, 1])
