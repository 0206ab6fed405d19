"""Entries in real backends."""

import asyncio
import time

import pytest
from aiocache import MemcachedCache, RedisCache
from aiocache.serializers import JsonSerializer, PickleSerializer, StringSerializer

from fastapi_caching_route import FastAPICache
from fastapi_caching_route._store.opening import store_over
from tests.backends.fakes import Elsewhere
from tests.servers import free_port
from tests.store.entries import ENTRY, keep, look_up
from tests.support import Clock, caching_router, client_of, closing, marks

pytestmark = pytest.mark.usefixtures('no_machine_is_slow')


async def test_an_entry_is_found_under_its_own_key_alone(new_backend, namespace):
    backend = new_backend(namespace=namespace)
    store = store_over(backend, 5)
    stored = await keep(store)
    assert await look_up(store) == stored
    assert await look_up(store, 'other') is None
    await closing(backend)


async def test_what_is_run_after_an_invalidation_by_another_process_is_stored_at_once(redis_port, namespace):
    backends = [RedisCache(endpoint='127.0.0.1', port=redis_port, namespace=namespace) for _ in range(2)]
    here, there = (store_over(backend, 5) for backend in backends)
    await keep(here)  # it knows the journal by now
    await there.invalidate(ENTRY.names)
    assert await look_up(here, 'api::GET:/missing') is None
    stored = await keep(here)
    assert await look_up(here) == await look_up(there) == stored
    for backend in backends:
        await closing(backend)


@pytest.mark.parametrize('key', ['plain', 'ü', 'a b', 'a_b', 'a\n\r\x00b', 'x' * 500, '::', '%', '🎉', 'user:7'])
async def test_any_key_of_a_user_works_on_any_backend(new_backend, namespace, key):
    backend = new_backend(namespace=namespace)
    cache, router = FastAPICache(backend, store_timeout=5), caching_router()

    @cache(ttl=60, key_builder=lambda request: request.query_params['key'])
    @router.get('/')
    async def endpoint(key: str):
        return key

    client = client_of(router)
    with client:
        responses = [client.get('/', params={'key': key}) for _ in range(2)]
        assert marks(*responses) == ['MISS', 'HIT']
        assert [it.json() for it in responses] == [key, key]
        assert marks(client.get('/', params={'key': f'{key}.'})) == ['MISS']
        client.portal.call(closing, backend)


async def test_miss_hit_invalidate_miss(new_backend, namespace):
    backend = new_backend(namespace=namespace)
    cache, router = FastAPICache(backend, store_timeout=5), caching_router()

    @cache(ttl=60, key_builder=lambda request: 'user:7')
    @router.get('/')
    async def endpoint():
        return b'\xff\x00'.hex()

    with client_of(router) as client:
        assert marks(client.get('/'), client.get('/')) == ['MISS', 'HIT']
        stored = client.portal.call(cache.get_cached, 'user:7')
        assert stored.body == b'"ff00"'
        assert client.portal.call(cache.invalidate_cached, 'user:7') == 1
        assert client.portal.call(cache.invalidate_cached, 'user:7') == 0
        assert marks(client.get('/')) == ['MISS']
        client.portal.call(closing, backend)


async def test_keys_in_redis_can_be_read(redis_port):
    backend = RedisCache(endpoint='127.0.0.1', port=redis_port, namespace='readable')
    cache, router = FastAPICache(backend, store_timeout=5), caching_router(prefix='/users')

    @cache(ttl=60, namespace='users')
    @router.get('/{user_id}')
    async def endpoint(user_id: int):
        return user_id

    with client_of(router) as client:
        assert marks(client.get('/users/7'), client.get('/users/7')) == ['MISS', 'HIT']
        (key,) = client.portal.call(backend.client.keys, 'readable:users:*')
        assert key.startswith(b'readable:users::GET:/users/7:')
        assert client.portal.call(backend.client.pttl, key) > 59_000
        client.portal.call(closing, backend)


@pytest.mark.parametrize('serializer', [JsonSerializer, StringSerializer, PickleSerializer])
async def test_the_serializer_of_the_user_is_never_used_for_entries(new_backend, namespace, serializer):
    backend = new_backend(namespace=namespace, serializer=serializer())
    cache, router = FastAPICache(backend, store_timeout=5), caching_router()

    @cache(ttl=60)
    @router.get('/')
    async def endpoint():
        return 'answer'

    with client_of(router) as client:
        assert marks(client.get('/'), client.get('/')) == ['MISS', 'HIT']
        client.portal.call(lambda: backend.set('mine', 'value'))
        assert client.portal.call(lambda: backend.get('mine')) == 'value'
        client.portal.call(closing, backend)


@pytest.mark.parametrize('ttl', [0.0001, 0.5, 1.5, 1, 40 * 24 * 3600])
async def test_any_ttl_is_fit_for_any_backend_and_the_entry_itself_decides(new_backend, namespace, ttl):
    clock = Clock()
    backend = new_backend(namespace=namespace)
    cache, router = FastAPICache(backend, store_timeout=5, clock=clock), caching_router()

    @cache(ttl=ttl)
    @router.get('/')
    async def endpoint():
        return 'answer'

    with client_of(router) as client:
        assert marks(client.get('/')) == ['MISS']
        if ttl >= 0.5:
            assert marks(client.get('/')) == ['HIT']
        clock.now += ttl + 0.01
        assert marks(client.get('/')) == ['MISS']
        client.portal.call(closing, backend)


@pytest.mark.parametrize('kind', [RedisCache, MemcachedCache])
def test_a_backend_that_is_not_there_costs_the_cache_alone(kind, caplog):
    cache, router = FastAPICache(kind(endpoint='127.0.0.1', port=free_port())), caching_router()

    @cache(ttl=60)
    @router.get('/')
    async def endpoint():
        return 'answer'

    with client_of(router) as client:
        responses = [client.get('/') for _ in range(3)]
    assert [it.json() for it in responses] == ['answer'] * 3
    assert [it.levelname for it in caplog.records if it.name == 'fastapi_caching_route'] == ['WARNING']


def test_an_answer_that_could_not_be_stored_is_not_called_a_miss():
    cache, router = FastAPICache(RedisCache(endpoint='127.0.0.1', port=free_port())), caching_router()

    @cache(ttl=60)
    @router.get('/')
    async def endpoint():
        return 'answer'

    with client_of(router) as client:
        response = client.get('/')
    assert (response.json(), marks(response)) == ('answer', [None])
    assert response.headers['cache-status'] == 'FastAPICache; fwd=uri-miss; detail=store-error'


async def test_a_command_that_takes_too_long_is_left_to_end_by_itself():
    backend = Elsewhere()
    store = store_over(backend, 0.02)
    stored = await keep(store)
    backend.slow['multi_get'] = 0.1
    began = time.monotonic()
    assert await look_up(store) is None
    assert time.monotonic() - began < 0.09
    await asyncio.sleep(0.2)
    assert backend.ended == backend.commands
    backend.slow.clear()
    assert await look_up(store) == stored


async def test_a_request_that_is_cancelled_does_not_cancel_the_command():
    backend = Elsewhere()
    store = store_over(backend, 5)
    stored = await keep(store)
    backend.slow['multi_get'] = 0.05
    asking = asyncio.ensure_future(store.visit().look_up(ENTRY.key))
    await asyncio.sleep(0.01)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await asyncio.sleep(0.1)
    assert backend.ended == backend.commands
    assert await look_up(store) == stored


async def test_aiocache_switched_off_means_no_cache(monkeypatch, new_backend, namespace):
    monkeypatch.setenv('AIOCACHE_DISABLE', '1')
    cache, router, runs = FastAPICache(new_backend(namespace=namespace)), caching_router(), []

    @cache(ttl=60)
    @router.get('/')
    async def endpoint():
        runs.append(1)
        return 'answer'

    with client_of(router) as client:
        assert [client.get('/').json() for _ in range(2)] == ['answer'] * 2
    assert runs == [1, 1]


def test_an_answer_too_large_for_memcached_is_answered_all_the_same(memcached_port):
    backend = MemcachedCache(endpoint='127.0.0.1', port=memcached_port)
    cache, router = FastAPICache(backend, store_timeout=5), caching_router()

    @cache(ttl=60)
    @router.get('/')
    async def endpoint():
        return 'x' * 2_000_000

    with client_of(router) as client:
        assert [len(client.get('/').json()) for _ in range(2)] == [2_000_000] * 2
        client.portal.call(closing, backend)
