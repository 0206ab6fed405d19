"""A server of the store is down, and this process has used it before: what holds then, and when it is back."""

import asyncio

import pytest
from aiocache import MemcachedCache, RedisCache
from fastapi import HTTPException

from tests.exchange.herds import App, Gate, counting, seen, settled


@pytest.fixture(params=['redis', 'memcached'])
def server(request, redis_server, memcached_server):
    return redis_server if request.param == 'redis' else memcached_server


@pytest.fixture
def backend(server, redis_server):
    kind = RedisCache if server is redis_server else MemcachedCache
    return kind(endpoint='127.0.0.1', port=server.port)


async def until_it_is_not_asked(app):
    while not app.cache._settings.store.backend.breaker.is_open('reading'):
        await app.ask()


async def test_waiting_requests_share_the_response(server, backend):
    app = App(backend, store_timeout=5)
    app.gate = Gate()
    counting(app, tags=['all'])
    app.gate.open.set()
    assert [it.mark for it in seen([await app.ask(), await app.ask()])] == ['MISS', 'HIT']
    server.process.kill()
    server.process.wait()
    await until_it_is_not_asked(app)
    before, app.gate = len(app.runs), Gate()
    asking = [app.ask() for _ in range(20)]
    await settled(app, app.gate.reached, 19)
    app.gate.open.set()
    answers = seen(await asyncio.gather(*asking))
    assert len(app.runs) == before + 2  # those that came after the first run had begun share the second one
    assert sorted(it.mark or '' for it in answers) == [''] * 2 + ['HIT'] * 18
    assert answers[0].said.endswith('detail=store-error')
    await app.cache._settings.store.close()


async def test_what_was_superseded_meanwhile_does_not_come_back(server, backend, clock):
    app, statuses = App(backend, store_timeout=0.3, clock=clock), [200]

    @app.router.get('/')
    @app.cache(ttl=60, stale_if_error=86400)
    async def endpoint():
        if statuses[-1] != 200:
            raise HTTPException(statuses[-1])
        return 'old'

    async def ask(status):
        statuses.append(status)
        return seen([await app.ask()])[0].status

    await ask(200)
    clock.now += 100
    server.freeze()
    await until_it_is_not_asked(app)
    assert await ask(404) == 404
    server.resume()
    breaker = app.cache._settings.store.backend.breaker
    for kind in breaker.all_open():  # it works again
        breaker.worked(kind)
    assert [await ask(503) for _ in range(3)] == [503] * 3
    await app.cache._settings.store.close()
