"""The lock: one run of the endpoint in all processes that share a store."""

import asyncio
import json

import pytest
import redis
from aiocache import MemcachedCache, RedisCache
from fastapi import FastAPI, Request, Response

from fastapi_caching_route import FastAPICache
from fastapi_caching_route._store import held_tokens, lock
from tests.backends.fakes import Elsewhere
from tests.exchange.herds import App, Gate, Waits, counting, namespaces, seen, settled
from tests.support import asgi_call, asgi_scope, caching_router


@pytest.fixture(params=['redis', 'memcached'])
def two(request, clock):
    port, namespace = request.getfixturevalue(f'{request.param}_port'), f'lock{next(namespaces)}'
    kind = RedisCache if request.param == 'redis' else MemcachedCache
    apps = [
        App(kind(endpoint='127.0.0.1', port=port, namespace=namespace), store_timeout=5, clock=clock) for _ in range(2)
    ]
    for app in apps:
        app.runs = apps[0].runs
        app.gate = apps[0].gate = apps[0].gate or Gate()
    return apps


async def ended(*apps):
    for app in apps:
        await app.cache._settings.store.close()


async def test_one_process_renews_for_all(two, clock):
    for app in two:
        counting(app, ttl=10, stale_while_revalidate=600, lock=True)
    two[0].gate.open.set()
    await two[0].ask()
    await ended(two[0])  # the lock is released
    clock.now += 11
    two[0].gate = two[1].gate = Gate()
    renewing = two[0].ask()
    await two[0].gate.reached.wait()
    assert seen([await two[1].ask()])[0].body == b'1'
    assert len(two[0].runs) == 2
    two[0].gate.open.set()
    await renewing
    await ended(*two)


async def test_a_renewal_that_is_cancelled_as_it_takes_the_lock_leaves_no_flight_behind(clock):
    backend = Elsewhere()
    app = App(backend, clock=clock, store_timeout=5)
    counting(app, ttl=10, stale_while_revalidate=600, lock=True)
    await app.ask()
    await ended(app)
    clock.now += 11
    backend.slow['add'] = 0.1
    renewing = app.ask()
    await asyncio.sleep(0.05)
    assert (backend.commands[-1], len(app.cache._settings.runtime.flights)) == ('add', 1)
    renewing.cancel()
    await asyncio.gather(renewing, return_exceptions=True)
    assert len(app.cache._settings.runtime.flights) == 0
    await ended(app)


# Across processes: caches that know nothing of each other, on one store


async def test_one_process_runs_the_endpoint_for_all(two):
    for app in two:
        counting(app, lock=True)
    asking = [app.ask() for app in two for _ in range(20)]
    await settled(two[0], two[0].gate.reached, 19)
    await asyncio.sleep(0.1)
    assert len(two[0].runs) == 1
    two[0].gate.open.set()
    answers = seen(await asyncio.gather(*asking))
    assert {it.body for it in answers} == {b'1'}
    assert len(two[0].runs) == 1
    assert all(it.mark == 'HIT' for it in answers) is False
    assert sum(it.mark == 'HIT' for it in answers) == 39
    await ended(*two)


async def test_without_a_lock_each_process_runs_it(two):
    for app in two:
        counting(app)
    asking = [app.ask() for app in two]
    for _ in range(1000):  # a busy machine takes its time to reach the store
        if len(two[0].runs) == 2:
            break
        await asyncio.sleep(0.005)
    assert len(two[0].runs) == 2
    two[0].gate.open.set()
    await asyncio.gather(*asking)
    await ended(*two)


async def test_a_lock_whose_owner_is_gone_ends_by_itself(two, monkeypatch):
    async def released(*_):
        """Nothing is released."""

    monkeypatch.setattr(two[0].cache._settings.store.backend.__class__, 'release', released)  # as if it was killed
    monkeypatch.setattr(lock, 'time', Waits())  # no request runs out of patience
    monkeypatch.setattr(held_tokens, 'time', Waits())
    for app in two:
        counting(app, lock=True, collapse_timeout=2)
    first = two[0].ask()
    await two[0].gate.reached.wait()
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    two[0].gate.open.set()
    answers = seen([await asyncio.wait_for(two[1].ask(), 60)])  # others would wait for it by a real clock
    assert [it.body for it in answers] == [b'2']
    await ended(*two)


async def test_only_its_owner_takes_a_lock_away(two):
    store = two[0].cache._settings.store
    assert await store.add('lock-key', 'mine', 60) is True
    await store.release('lock-key', 'yours')
    assert await store.add('lock-key', 'yours', 60) is False
    await store.release('lock-key', 'mine')
    assert await store.add('lock-key', 'yours', 60) is True
    await store.release('lock-key', 'yours')
    await ended(*two)


async def test_only_its_owner_takes_a_lock_away_from_any_backend():
    store = FastAPICache(Elsewhere())._settings.store
    assert await store.add('lock-key', 'mine', 60) is True
    await store.release('lock-key', 'yours')
    assert await store.add('lock-key', 'yours', 60) is False
    await store.release('lock-key', 'mine')
    assert await store.add('lock-key', 'yours', 60) is True


async def test_what_is_not_stored_lets_the_next_process_run(two):
    def of(app):
        @app.router.get('/')
        @app.cache(ttl=60, lock=True)
        async def endpoint():
            app.runs.append(1)
            await app.gate.pass_through()
            return Response('mine', headers={'cache-control': 'no-store'})

    for app in two:
        of(app)
    asking = [app.ask() for app in two]
    await two[0].gate.reached.wait()
    two[0].gate.open.set()
    await asyncio.gather(*asking)
    assert len(two[0].runs) == 2
    await ended(*two)


async def test_a_lock_in_a_store_that_is_down_holds_nobody_up():
    backend = Elsewhere()
    app = App(backend, store_timeout=0.05)
    counting(app, lock=True)
    for command in ('multi_get', 'set', 'add'):
        backend.failing.add(command)
    app.gate = Gate()
    asking = [app.ask() for _ in range(20)]
    await settled(app, app.gate.reached, 19)
    app.gate.open.set()
    assert {it.body for it in seen(await asyncio.gather(*asking))} == {b'1'}
    assert len(app.runs) == 1


async def test_what_varies_in_another_process_stays_what_it_is(redis_port):
    namespace = f'herds{next(namespaces)}'

    def process(name):
        cache, router = FastAPICache(RedisCache(port=redis_port, namespace=namespace)), caching_router()

        @router.get('/')
        @cache(ttl=60, lock=True)
        async def endpoint(request: Request, response: Response):
            await asyncio.sleep(0.2)
            agent = request.headers['user-agent']
            if agent == 'de':
                response.headers['vary'] = 'user-agent'
            return [name, agent]

        app = FastAPI()
        app.include_router(router)
        return app, cache

    (first, one), (second, other) = process('A'), process('B')

    async def asked(app, agent, after=0.0):
        await asyncio.sleep(after)
        sent = await asgi_call(app, asgi_scope(headers=[(b'user-agent', agent)]))
        return json.loads(sent[1]['body'])[1]

    async with one, other:
        assert await asyncio.gather(asked(first, b'de'), asked(second, b'en', 0.1)) == ['de', 'en']
        assert [await asked(first, agent) for agent in (b'de', b'en', b'fr')] == ['de', 'en', 'fr']


@pytest.mark.parametrize('value', ['of others', 'fcrmtoken', ['a', 'list']], ids=str)
async def test_what_never_expires_under_a_lock_delays_one_request_and_no_later_one(value, redis_server, caplog, waits):
    app = App(RedisCache(endpoint='127.0.0.1', port=redis_server.port), store_timeout=5)
    app.gate = Gate()
    counting(app, ttl=60, lock=True, collapse_timeout=60)
    async with redis.asyncio.Redis(port=redis_server.port) as client:
        asking = app.ask()
        await app.gate.reached.wait()
        (key,) = [it async for it in client.scan_iter('*%lock*')]
        app.gate.open.set()
        await asking
        await ended(app)
        await app.cache.clear()
        await (client.set(key, value) if isinstance(value, str) else client.rpush(key, *value))
        began_at = waits.now
        assert seen([await app.ask()])[0].mark == 'MISS'
        waited = waits.now - began_at
        assert await client.ttl(key) != -1
        await ended(app)
        assert not await client.exists(key)
    assert waited < 32  # and not for all of its patience
    assert [it.levelname for it in caplog.records if 'a lock in the cache backend' in it.message] == ['WARNING']
