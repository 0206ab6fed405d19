"""aiocache's own plugins on the user's backend: they count each command of the cache once, on the user's object."""

import asyncio
from collections import Counter

import pytest
import redis
import redis.asyncio
from aiocache import MemcachedCache, RedisCache, SimpleMemoryCache
from aiocache.plugins import BasePlugin, HitMissRatioPlugin, TimingPlugin

from fastapi_caching_route import FastAPICache, MemoryCache
from fastapi_caching_route.redis import RedisClientCache
from tests.support import asgi_call, asgi_scope, caching_router, client_of, found


class Counting(BasePlugin):
    """Counts commands, keys that are read, and values that are found."""

    def __init__(self):
        self.commands = Counter()
        self.before = Counter()
        self.backends = set()

    def __getattribute__(self, name):
        when, _, command = name.partition('_')
        return self._hook(when, command) if when in {'pre', 'post'} else super().__getattribute__(name)

    def _hook(self, when, command):
        async def hook(backend, *args, took=0, ret=None, **options):
            self.backends.add(id(backend))
            (self.before if when == 'pre' else self.commands)[command] += 1
            if (when, command) == ('post', 'multi_get'):
                self.commands.update(keys=len(args[0]), found=sum(it is not None for it in ret))
            if (when, command) == ('post', 'get'):
                self.commands.update(keys=1, found=int(ret is not None))

        return hook


KINDS = {
    'redis': lambda port, **options: RedisCache(endpoint='127.0.0.1', port=port, **options),
    'client': lambda port, **options: RedisClientCache(redis.asyncio.Redis(port=port), **options),
    'url': lambda port, **options: RedisClientCache(f'redis://127.0.0.1:{port}', **options),
    'memcached': lambda port, **options: MemcachedCache(port=port, **options),
    'memory': lambda _, **options: MemoryCache(**options),
    'simple memory': lambda _, **options: SimpleMemoryCache(**options),
}


def used(cache):
    """Use a cache in each way: misses, hits, a lock, invalidations, and a response that user code stores and reads."""
    router = caching_router()

    @router.get('/things/{number}')
    @cache(ttl=60, lock=True, tags=['thing:{number}'])
    async def thing(number: int):
        return number

    with client_of(router, lifespan=cache.lifespan) as client:
        assert found(client, *['/things/1', '/things/2'] * 2) == ['MISS', 'MISS', 'HIT', 'HIT']
        client.portal.call(cache.invalidate_tags, 'thing:1')
        client.portal.call(cache.invalidate_cached, 'some key')
        assert found(client, '/things/1', '/things/2', '/things/1') == ['MISS', 'HIT', 'HIT']


@pytest.mark.parametrize('kind', KINDS)
def test_the_plugins_of_aiocache_count_each_command_once(kind, redis_port, memcached_port):
    counting = Counting()
    backend = KINDS[kind](
        memcached_port if kind == 'memcached' else redis_port,
        namespace=f'counted-{kind.replace(" ", "-")}',
        plugins=[HitMissRatioPlugin(), TimingPlugin(), counting],
    )
    used(FastAPICache(backend, store_timeout=5))
    commands = dict(counting.commands)
    keys, hits = commands.pop('keys'), commands.pop('found')
    assert counting.backends == {id(backend)}
    assert counting.before == commands
    assert backend.hit_miss_ratio == {'total': keys, 'hits': hits, 'hit_ratio': hits / keys}
    timed = {name.removesuffix('_total'): it for name, it in backend.profiling.items() if name.endswith('_total')}
    assert timed == commands
    assert commands['multi_get'] + commands.get('get', 0) > 0
    assert commands['set'] > 0


@pytest.mark.parametrize('kind', ['redis', 'client', 'url'])
def test_commands_are_counted_as_redis_counts_them(kind, redis_server):
    backend = KINDS[kind](redis_server.port, namespace='ratio', plugins=[HitMissRatioPlugin(), TimingPlugin()])
    used(FastAPICache(backend, store_timeout=5))
    with redis.Redis(port=redis_server.port) as server:
        calls = {name.removeprefix('cmdstat_'): it['calls'] for name, it in server.info('commandstats').items()}
    assert backend.hit_miss_ratio['total'] >= calls['mget']
    assert backend.profiling['multi_get_total'] == calls['mget']


@pytest.mark.parametrize('new_backend', [MemoryCache, SimpleMemoryCache])
async def test_many_requests_at_a_time_are_counted_in_memory_too(new_backend):
    counting = Counting()
    backend = new_backend(plugins=[counting, HitMissRatioPlugin()])
    cache, router = FastAPICache(backend, store_timeout=5), caching_router()

    @router.get('/things/{number}')
    @cache(ttl=60)
    async def thing(number: int):
        return number

    app = client_of(router).app
    for _ in range(2):
        await asyncio.gather(*(asgi_call(app, asgi_scope(path=f'/things/{number}')) for number in range(20)))
    assert counting.commands['set'] == 20
    assert backend.hit_miss_ratio['hits'] == counting.commands['found'] >= 20
    assert backend.hit_miss_ratio['total'] == counting.commands['keys']
