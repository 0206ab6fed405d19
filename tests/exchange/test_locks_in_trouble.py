"""Locks that cannot be given back, or whose holder cannot store anything: nobody waits for their lease."""

import asyncio

import pytest
import redis
import redis.asyncio

from fastapi_caching_route import FastAPICache
from fastapi_caching_route.redis import RedisClientCache
from tests.backends.fakes import Elsewhere
from tests.exchange.herds import App, Gate, counting, namespaces, seen


def lacking(port, commands):
    """A backend whose user may not run these commands."""
    with redis.Redis(port=port) as server:
        server.acl_setuser('u', enabled=True, passwords='+p', keys='*', commands=['+@all', *commands.split()])
    return RedisClientCache(lambda: redis.asyncio.Redis(port=port, username='u', password='p'))


def locks_in(backend):
    return [it for it in backend.kept if 'lock:' in it]


async def ended(*apps):
    for app in apps:
        await app.cache._settings.store.close()


@pytest.mark.parametrize('commands', ['-eval', '-del', '-eval -del'])
async def test_a_redis_that_cannot_release_by_script_delays_no_request(redis_server, commands, waits):
    backend = lacking(redis_server.port, commands)
    apps = [App(backend, store_timeout=5) for _ in range(2)]
    for app in apps:
        counting(app, lock=True)
    began_at = waits.now
    for _ in range(3):
        assert [seen([await app.ask()])[0].mark for app in apps] == [None, None]
    assert waits.now - began_at < 2.5
    await ended(*apps)
    with redis.Redis(port=redis_server.port) as server:
        assert server.keys('*lock*') == []


async def test_a_holder_that_cannot_store_lets_other_processes_run_meanwhile(redis_server, waits):
    backend = lacking(redis_server.port, '-eval')
    one, other = (App(backend, store_timeout=5) for _ in range(2))
    for app in (one, other):
        counting(app, lock=True)
    one.gate = Gate()
    first = one.ask()
    await one.gate.reached.wait()
    began_at = waits.now
    assert seen([await other.ask()])[0].body == b'1'
    assert waits.now - began_at < 2.5
    assert not first.done()
    one.gate.open.set()
    await first
    await ended(one, other)


@pytest.mark.parametrize('commands', ['-eval', '-del', '-eval -del'])
async def test_a_lock_of_user_code_is_released_without_a_script(redis_server, commands):
    one, other = (FastAPICache(lacking(redis_server.port, commands), store_timeout=5) for _ in range(2))
    async with one, other:
        for cache in (one, other, one):
            async with cache.lock('report', timeout=2) as lock:
                await lock.check()
                assert await cache._settings.store.release(lock._key(), 'of another') is False


async def test_a_token_is_deleted_again_if_the_store_could_not_do_it():
    backend = Elsewhere()
    app = App(backend, store_timeout=5)
    app.gate = Gate()
    counting(app, lock=True)
    asking = app.ask()
    await app.gate.reached.wait()
    backend.failing.add('get')  # a release begins with it
    app.gate.open.set()
    await asking
    await asyncio.sleep(0.05)
    assert 'get' in backend.commands
    backend.failing.clear()
    assert locks_in(backend)
    await ended(app)
    assert not locks_in(backend)


async def test_a_token_of_user_code_is_deleted_again_if_the_store_could_not_do_it():
    backend = Elsewhere()
    cache = FastAPICache(backend, store_timeout=5)
    async with cache:
        async with cache.lock('report'):
            backend.failing.add('get')
        backend.failing.clear()
        assert locks_in(backend)
        async with cache.lock('report', timeout=2):
            pass


class Late(Elsewhere):
    """A backend that takes a while to add the token of a lock."""

    async def _add(self, key, *arguments, **options):
        if 'lock:' in key:
            await asyncio.sleep(0.3)
        return await super()._add(key, *arguments, **options)


async def test_a_token_that_arrives_after_the_time_out_is_deleted():
    backend = Late()
    app = App(backend, store_timeout=0.1)
    counting(app, lock=True)
    await app.ask()
    assert not locks_in(backend)
    await asyncio.sleep(0.3)
    assert locks_in(backend)
    await ended(app)
    assert not locks_in(backend)


class Small(Elsewhere):
    """A backend that has no room for an entry while `room` is failing."""

    async def _set(self, key, value, *arguments, **options):
        if 'room' in self.failing and isinstance(value, bytes) and b'GET:/' in value:
            return False
        return await super()._set(key, value, *arguments, **options)


async def test_while_a_store_takes_no_entry_for_a_key_other_processes_do_not_wait(clock):
    backend = Small()
    backend.failing.add('room')
    one, other = (App(backend, store_timeout=5, clock=clock) for _ in range(2))
    for app in (one, other):
        counting(app, lock=True)
        assert seen([await app.ask()])[0].said.endswith('detail=store-error')
    await ended(one, other)
    one.gate = Gate()
    first = one.ask()
    await one.gate.reached.wait()
    assert seen(await asyncio.wait_for(asyncio.gather(other.ask()), 2))[0].said.endswith('detail=store-error')
    backend.failing.clear()
    one.gate.open.set()
    await first
    assert seen([await other.ask()])[0].mark == 'HIT'
    await ended(one, other)
    await one.cache.clear()
    one.gate = Gate()
    first = one.ask()
    await one.gate.reached.wait()
    assert locks_in(backend)  # it can be stored again, so others wait for it again
    one.gate.open.set()
    await first
    await ended(one, other)


async def test_what_is_never_stored_takes_no_lock():
    backend = Elsewhere(namespace=f'lock{next(namespaces)}')
    app = App(backend, store_timeout=5)
    counting(app, lock=True, store=False)
    await app.ask()
    await ended(app)
    assert 'add' not in backend.commands
