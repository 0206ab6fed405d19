"""Requests that wait for one command together: one that is cancelled, one that fails, and nodes of a cluster."""

import asyncio

import anyio
import pytest
import redis
import redis.asyncio
from fastapi import FastAPI, Response
from starlette.middleware.base import BaseHTTPMiddleware

from fastapi_caching_route import FastAPICache
from fastapi_caching_route.redis import RedisClientCache
from tests.backends.fakes import Elsewhere
from tests.support import asgi_call, asgi_scope, caching_router

pytestmark = pytest.mark.usefixtures('no_machine_is_slow')


def shop(backend, **options):
    cache, app, router = FastAPICache(backend, **{'store_timeout': 5, **options}), FastAPI(), caching_router()

    @router.get('/things/{number}')
    @cache(ttl=60, tags=['things'])
    async def thing(number: int):
        return number

    @router.get('/large/{number}')
    @cache(ttl=60)
    async def large(number: int):
        return Response(b'x' * 200_000)

    app.include_router(router)
    return cache, app


async def ask(app, path):
    start, *_ = await asgi_call(app, asgi_scope(path=path))
    return dict(start['headers']).get(b'x-cache', b'none').decode()


async def in_a_scope(app, path):
    with anyio.move_on_after(0.05):
        await ask(app, path)


async def in_a_group(app, path):
    with anyio.move_on_after(0.05):
        async with anyio.create_task_group() as group:
            group.start_soon(ask, app, path)


async def with_a_time_out(app, path):
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(ask(app, path), 0.05)


async def by_its_task(app, path):
    asking = asyncio.ensure_future(ask(app, path))
    await asyncio.sleep(0.05)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking


@pytest.mark.parametrize('has_middleware', [False, True])
@pytest.mark.parametrize('cancelled', [in_a_scope, in_a_group, with_a_time_out, by_its_task])
async def test_a_request_that_is_cancelled_stops_at_once_and_the_others_get_what_was_read(
    cancelled, has_middleware, skipping_time
):
    backend = Elsewhere()
    cache, app = shop(backend)
    if has_middleware:

        async def passing(request, call_next):
            return await call_next(request)

        app.add_middleware(BaseHTTPMiddleware, dispatch=passing)
    async with cache:
        for number in range(4):
            await ask(app, f'/things/{number}'), await ask(app, f'/things/{number}')
        backend.slow['multi_get'] = 0.5
        others = [asyncio.ensure_future(ask(app, f'/things/{number}')) for number in range(3)]
        began, turns = skipping_time.now, skipping_time.turns
        await cancelled(app, '/things/3')
        assert skipping_time.now - began < 0.4
        assert await asyncio.wait_for(asyncio.gather(*others), 10) == ['HIT'] * 3
        assert skipping_time.turns - turns < 1000  # nothing has asked again and again whether it may end


async def test_large_and_small_entries_of_one_turn_are_all_stored(redis_port):
    cache, app = shop(RedisClientCache(lambda: redis.asyncio.Redis(port=redis_port), namespace='turn'))
    paths = [f'/{kind}/{number}' for number in range(5) for kind in ('things', 'large')]
    async with cache:
        await ask(app, '/things/99')
        for mark in ('MISS', 'HIT', 'HIT'):
            assert await asyncio.gather(*(ask(app, path) for path in paths)) == [mark] * len(paths)


async def test_of_entries_that_are_stored_together_only_those_are_missing_that_were_not_taken(redis_server):
    with redis.Redis(port=redis_server.port) as server:
        server.acl_setuser('u', enabled=True, passwords='+p', commands=['+@all'])
        server.execute_command('ACL', 'SETUSER', 'u', 'resetkeys', '~*things/1*', '~*journal*', '%R~*')
    cache, app = shop(RedisClientCache(lambda: redis.asyncio.Redis(port=redis_server.port, username='u', password='p')))
    paths = [f'/things/{number}' for number in (1, 2, 10, 3, 11)]
    async with cache:
        for taken in ('MISS', 'HIT'):
            got = await asyncio.gather(*(ask(app, path) for path in paths))
            assert got == [taken, 'none', taken, 'none', taken]


async def test_large_entries_that_are_known_are_read_by_one_command(redis_server):
    cache, app = shop(RedisClientCache(lambda: redis.asyncio.Redis(port=redis_server.port), namespace='known'))
    server = redis.asyncio.Redis(port=redis_server.port)
    paths = [f'/large/{number}' for number in range(12)]
    async with cache:
        for _ in range(3):
            await asyncio.gather(*(ask(app, path) for path in paths))
        await server.config_resetstat()
        assert await asyncio.gather(*(ask(app, path) for path in paths)) == ['HIT'] * 12
        calls = {name: it['calls'] for name, it in (await server.info('commandstats')).items()}
    await server.aclose()
    assert calls['cmdstat_eval'] == 1
    assert 'cmdstat_mget' not in calls
