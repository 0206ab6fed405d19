"""A store without room takes no new mark, but it deletes: so an invalidation holds there, too."""

import asyncio
from contextlib import contextmanager
from functools import partial

import aiomcache
import pytest
import redis
from aiocache import MemcachedCache, RedisCache
from fastapi import FastAPI

from fastapi_caching_route import FastAPICache
from fastapi_caching_route._backends.breaker import FAILURES_TO_OPEN
from fastapi_caching_route._store.marks import Marks
from tests.conftest import run
from tests.support import asgi_call, asgi_scope, caching_router, client_of, marks


@pytest.fixture
def full_redis(redis_server):
    """A Redis, and what makes it full: `maxmemory-policy` is `noeviction` by default."""
    with redis.Redis(port=redis_server.port) as server:
        yield redis_server.port, server


@contextmanager
def two_workers(new_backend):
    """Two caches over one backend, as two processes have them; and what the endpoints read."""
    data = {'1': 'old', '2': 'old'}

    def worker():
        cache, router = FastAPICache(new_backend(), store_timeout=5), caching_router()

        @router.get('/things/{number}')
        @cache(ttl=3600, stale_while_revalidate=3600, tags=['all', 'thing:{number}'])
        async def thing(number: str):
            return data[number]

        @router.put('/things/{number}')
        async def change(number: str, value: str):
            data[number] = value

        @router.post('/invalidate/{tag}')
        async def invalidate(tag: str, kind: str = 'hard'):
            data.update(dict.fromkeys(data, 'new'))
            await cache.invalidate_tags(tag, soft=kind == 'soft')

        return client_of(router, lifespan=cache.lifespan)

    with worker() as here, worker() as there:
        for number in data:
            assert marks(here.get(f'/things/{number}'), there.get(f'/things/{number}')) == ['MISS', 'HIT']
        yield here, there


def on_redis(port):
    return lambda: RedisCache(endpoint='127.0.0.1', port=port)


def test_a_write_reaches_the_other_process_although_redis_is_full(full_redis, caplog):
    port, server = full_redis
    with two_workers(on_redis(port)) as (here, there):
        server.config_set('maxmemory', '1')
        assert here.put('/things/1?value=new').status_code == 200
        assert [it.get('/things/1').json() for it in (here, there, there)] == ['new'] * 3
        assert marks(there.get('/things/2'), there.get('/things/2')) == [
            'HIT',
            'HIT',
        ]  # of which nothing was invalidated
        assert 'has not taken the invalidation of' not in caplog.text
        server.config_set('maxmemory', '0')


@pytest.mark.parametrize('kind', ['hard', 'soft'])
def test_no_invalidation_error_is_raised_where_redis_is_full_since_it_is_invalidated(full_redis, kind):
    port, server = full_redis
    with two_workers(on_redis(port)) as (here, there):
        server.config_set('maxmemory', '1')
        for _ in range(
            2 * FAILURES_TO_OPEN
        ):  # the cache stops asking a store that takes nothing; what is deleted is deleted all the same
            assert here.post(f'/invalidate/all?kind={kind}').status_code == 200
        responses = [there.get(f'/things/{number}') for number in (1, 2)]
        is_soft = kind == 'soft'  # it is written, and a stale entry may be served while it cannot be renewed
        assert [it.json() for it in responses] == ['old' if is_soft else 'new'] * 2
        assert all('ttl=-' in it.headers['cache-status'] for it in responses) == is_soft
        server.config_set('maxmemory', '0')


def test_what_was_invalidated_while_redis_was_full_is_not_used_when_it_has_room_again(full_redis):
    port, server = full_redis
    with two_workers(on_redis(port)) as (here, there):
        server.config_set('maxmemory', '1')
        here.post('/invalidate/thing:1')
        server.config_set('maxmemory', '0')
        assert there.get('/things/1').json() == 'new'
        assert there.get('/things/2').json() == 'old'


def test_a_write_reaches_the_other_process_although_memcached_is_full(caplog):
    options = ('-p', '{port}', '-l', '127.0.0.1', '-U', '0', '-u', 'nobody', '-M', '-m', '2')
    for server in run('memcached', *options):
        port = server.port
        new_backend = partial(MemcachedCache, endpoint='127.0.0.1', port=port, pool_size=4)
        with two_workers(new_backend) as (here, there):
            asyncio.run(fill_memcached(port))
            here.put('/things/1?value=new')
            assert [it.get('/things/1').json() for it in (here, there)] == ['new', 'new']
            assert 'out of memory' in caplog.text
            for _ in range(2 * FAILURES_TO_OPEN):  # in the end, memcached is not even asked for new marks
                assert here.post('/invalidate/all').status_code == 200
            assert [there.get(f'/things/{number}').json() for number in (1, 2)] == ['new', 'new']
            assert 'has not taken the invalidation of' not in caplog.text


async def fill_memcached(port):
    """Take all of its memory, in pieces of each size that marks have."""
    client = aiomcache.Client('127.0.0.1', port)

    async def fill(size):
        for number in range(50_000):
            await client.set(b'%d:%d' % (size, number), b'x' * size)

    for size in (1, 30, 60, 90, 120, 200):
        with pytest.raises(aiomcache.exceptions.ClientException, match='out of memory'):
            await fill(size)
    await client.close()


async def test_a_run_that_an_invalidation_overtakes_is_not_stored_when_there_is_room_again():
    """The token of the last invalidation is deleted before the marks, or a name added by the endpoint is missed."""
    kept, is_full, marks_are_gone, go_on = {}, False, asyncio.Event(), asyncio.Event()

    class Table:
        async def get(self, keys):
            return [kept.get(key) for key in keys]

        async def set(self, key, value, span):
            return not is_full

        async def add(self, key, value, span):
            return kept.setdefault(key, value) is value

        async def delete(self, key):
            kept.pop(key, None)
            if 'tag' in key:
                marks_are_gone.set()
                await go_on.wait()

    store, here, there = Table(), Marks(''), Marks('')
    begun = await here.marks_before(store, ('path:/1',), key='k', windowed=False)
    is_full = True
    invalidating = asyncio.ensure_future(there.invalidate(store, ('tag:a',), None))
    await marks_are_gone.wait()
    assert await here.marks_after(store, begun, ('path:/1', 'tag:a'), key='k', windowed=False, span=60.0) is None
    go_on.set()
    await invalidating


async def test_an_entry_is_served_from_a_full_redis_that_has_lost_the_token_of_the_last_invalidation(full_redis):
    port, server = full_redis
    cache, app, router, runs = FastAPICache(on_redis(port)(), store_timeout=5), FastAPI(), caching_router(), []

    @router.get('/')
    @cache(ttl=60)
    async def endpoint():
        runs.append(1)

    app.include_router(router)
    async with cache:
        await asgi_call(app, asgi_scope())
        server.config_set('maxmemory', '1')
        server.delete('%last')
        for _ in range(2 * FAILURES_TO_OPEN):
            start, *_ = await asgi_call(app, asgi_scope())
            assert dict(start['headers'])[b'x-cache'] == b'HIT'
        assert runs == [1]
        server.config_set('maxmemory', '0')
