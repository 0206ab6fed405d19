"""Near copies: what they save, and that nothing is served from them which the backend would not serve."""

import asyncio
import math

import pytest
import redis
from aiocache import MemcachedCache, RedisCache
from fastapi import FastAPI, HTTPException

from fastapi_caching_route import ConfigurationError, FastAPICache, LMDBCache, MemoryCache, NearCopies
from fastapi_caching_route._store.latest import latest
from tests.support import asgi_call, asgi_scope, caching_router, client_of, marks

TRUSTS = [0, 30]


@pytest.fixture(params=['redis', 'memcached'])
def new_backend(request):
    port = request.getfixturevalue(f'{request.param}_port')
    kinds = {'redis': RedisCache, 'memcached': MemcachedCache}
    return lambda namespace: kinds[request.param](endpoint='127.0.0.1', port=port, namespace=namespace)


def worker(backend, trust, data=None, **options):
    """A cache over a backend, as one of several processes has it, and what its endpoint reads."""
    cache, router = FastAPICache(backend, store_timeout=5, near=NearCopies(trust=trust)), caching_router()
    data = {} if data is None else data

    @router.get('/things/{number}')
    @cache(ttl=60, tags=['thing:{number}'], **options)
    async def thing(number: int):
        return data.setdefault(number, 0)

    @router.post('/things/{number}/invalidate')
    async def change(number: int, kind: str = 'hard'):
        data[number] = data.get(number, 0) + 1
        await cache.invalidate_tags(f'thing:{number}', soft=kind == 'soft')

    return cache, router, data


@pytest.mark.parametrize('trust', TRUSTS)
def test_an_invalidation_by_this_process_counts_at_once(new_backend, trust):
    cache, router, data = worker(new_backend(f'own{trust}'), trust)
    with client_of(router, lifespan=cache.lifespan) as client:
        for number in range(3):
            assert marks(*(client.get('/things/1') for _ in range(3))) == ['MISS', 'HIT', 'HIT']
            client.post('/things/1/invalidate')
            assert client.get('/things/1').json() == number + 1
            client.post('/things/1/invalidate')
            client.get('/things/1')
            client.post('/things/1/invalidate')
            assert client.get('/things/1').json() == number + 3
            client.post('/things/1/invalidate')
            data[1] = number + 1


@pytest.mark.parametrize('trust', TRUSTS)
def test_an_invalidation_by_another_process_counts_after_the_time_that_copies_are_trusted(
    new_backend, trust, monkeypatch
):
    here, router, data = worker(new_backend(f'other{trust}'), trust)
    there, other, _ = worker(new_backend(f'other{trust}'), trust, data)
    with client_of(router, lifespan=here.lifespan) as client, client_of(other, lifespan=there.lifespan) as second:
        assert marks(client.get('/things/1'), client.get('/things/1'), second.get('/things/1')) == [
            'MISS',
            'HIT',
            'HIT',
        ]
        second.post('/things/1/invalidate')
        with monkeypatch.context() as patch:
            patch.setattr(latest, 'at', -math.inf)  # another process would have noted it for itself
            assert marks(client.get('/things/1')) == ['MISS' if trust == 0 else 'HIT']
        assert second.get('/things/1').json() == data[1] == 1


def test_a_copy_that_is_trusted_needs_no_backend_and_a_copy_that_is_not_needs_a_small_read(redis_server):
    backend = RedisCache(endpoint='127.0.0.1', port=redis_server.port)
    with redis.Redis(port=redis_server.port) as server:
        for trust, reads in ((0, 3), (30, 0)):
            server.flushall()
            cache, router, _ = worker(backend, trust)
            with client_of(router, lifespan=cache.lifespan) as client:
                client.get('/things/1'), client.get('/things/1')
                server.config_resetstat()
                assert marks(*(client.get('/things/1') for _ in range(3))) == ['HIT'] * 3
                stats = server.info('commandstats')
                assert stats.get('cmdstat_mget', {'calls': 0})['calls'] == reads
                assert server.info('stats')['keyspace_hits'] == reads  # one key each: the entry itself is not read


async def test_one_turn_of_the_event_loop_reads_once_for_all_of_its_copies(redis_server):
    backend = RedisCache(endpoint='127.0.0.1', port=redis_server.port)
    cache, router, _ = worker(backend, 0)
    app = FastAPI()
    app.include_router(router)
    async with cache:
        scopes = [asgi_scope(path=f'/things/{number}') for number in range(16)]
        for _ in range(2):
            await asyncio.gather(*(asgi_call(app, dict(scope)) for scope in scopes))
        with redis.Redis(port=redis_server.port) as server:
            server.config_resetstat()
            await asyncio.gather(*(asgi_call(app, dict(scope)) for scope in scopes))
            assert server.info('commandstats')['cmdstat_mget']['calls'] == 1


@pytest.mark.parametrize('trust', TRUSTS)
def test_a_soft_invalidation_makes_copies_stale(new_backend, trust):
    cache, router, data = worker(new_backend(f'soft{trust}'), trust, stale_while_revalidate=60)
    with client_of(router, lifespan=cache.lifespan) as client:
        assert marks(client.get('/things/1'), client.get('/things/1')) == ['MISS', 'HIT']
        client.post('/things/1/invalidate?kind=soft')
        assert 'ttl=-' in client.get('/things/1').headers['cache-status']  # it is renewed after that
        assert client.get('/things/1').json() == data[1]


@pytest.mark.parametrize('trust', TRUSTS)
def test_a_flushed_backend_loses_its_copies_too(redis_server, trust):
    cache, router, data = worker(RedisCache(endpoint='127.0.0.1', port=redis_server.port), trust)
    with client_of(router, lifespan=cache.lifespan) as client, redis.Redis(port=redis_server.port) as server:
        client.get('/things/1'), client.get('/things/1')
        data[1] = 7
        server.flushall()
        assert client.get('/things/1').json() == (7 if trust == 0 else 0)


@pytest.mark.parametrize('trust', TRUSTS)
def test_an_entry_that_another_process_has_renewed_is_found_where_the_copy_of_the_old_one_is_stale(
    redis_port, trust, clock
):
    runs = []

    def process():
        backend = RedisCache(endpoint='127.0.0.1', port=redis_port, namespace=f'renewed{trust}')
        near = NearCopies(trust=trust)
        cache, router = FastAPICache(backend, store_timeout=5, near=near, clock=clock), caching_router()
        cache._settings.store._parts.copies._table._clock = clock

        @router.get('/')
        @cache(ttl=60)
        async def endpoint():
            runs.append(1)
            return len(runs)

        return client_of(router, lifespan=cache.lifespan)

    with process() as here, process() as there:
        assert marks(here.get('/'), here.get('/'), there.get('/')) == ['MISS', 'HIT', 'HIT']
        clock.now += 61
        assert there.get('/').json() == 2
        assert (here.get('/').json(), runs) == (2, [1, 1])


def test_a_copy_that_is_not_alive_any_more_costs_one_more_read_once(redis_server):
    cache, router, _ = worker(RedisCache(endpoint='127.0.0.1', port=redis_server.port), 0)
    other, runs = FastAPICache(RedisCache(endpoint='127.0.0.1', port=redis_server.port)), []

    @router.get('/once')
    @cache(ttl=60, tags=['once'])
    async def once():
        runs.append(1)
        if len(runs) > 1:
            raise HTTPException(503)
        return 1

    with client_of(router, lifespan=cache.lifespan) as client, redis.Redis(port=redis_server.port) as server:

        def reads():
            server.config_resetstat()
            client.get('/once')
            return server.info('commandstats')['cmdstat_mget']['calls']

        assert marks(client.get('/once'), client.get('/once')) == ['MISS', 'HIT']
        assert [reads() for _ in range(2)] == [1, 1]
        client.portal.call(other.invalidate_tags, 'once')
        assert [reads() for _ in range(3)] == [2, 1, 1]
        assert len(runs) == 4


def test_copies_are_bounded_in_bytes(redis_server):
    backend = RedisCache(endpoint='127.0.0.1', port=redis_server.port)
    cache, router = FastAPICache(backend, store_timeout=5, near=NearCopies(max_bytes=10_000)), caching_router()

    @router.get('/things/{number}')
    @cache(ttl=60)
    async def thing(number: int):
        return 'x' * 1000

    with client_of(router, lifespan=cache.lifespan) as client:
        for number in range(100):
            client.get(f'/things/{number}')
        assert marks(*(client.get(f'/things/{number}') for number in range(100))) == ['HIT'] * 100
    assert 0 < cache._settings.store._parts.copies._table.stats().bytes <= 10_000


@pytest.mark.parametrize('trust', [-1, 61, True, 'x', float('nan')])
def test_trust_is_a_number_of_seconds_within_its_bounds(trust):
    with pytest.raises(ConfigurationError, match='trust must be a number of seconds from 0 to 60'):
        NearCopies(trust=trust)


def test_only_near_copies_are_near():
    with pytest.raises(ConfigurationError, match=r'near must be NearCopies\(\.\.\.\) or None, got int'):
        FastAPICache(near=5)
    with pytest.raises(ConfigurationError, match='max_bytes'):
        NearCopies(max_bytes=0)


def test_a_backend_that_answers_at_once_takes_no_copies(tmp_path):
    for backend in (MemoryCache(), LMDBCache(tmp_path / 'store')):
        cache, router, data = worker(backend, 30)
        with client_of(router, lifespan=cache.lifespan) as client:
            assert marks(client.get('/things/1'), client.get('/things/1')) == ['MISS', 'HIT']
            client.post('/things/1/invalidate')
            assert client.get('/things/1').json() == data[1]
