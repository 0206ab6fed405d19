"""`KeyValueCache`: stores of py-key-value-aio: memory, disk, valkey-glide, DynamoDB by moto as a server on loopback."""

import asyncio
import json
from contextlib import asynccontextmanager

import pytest
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from aiocache.serializers import NullSerializer
from fastapi import FastAPI
from glide_shared.config import GlideClientConfiguration, NodeAddress
from key_value.aio.stores.disk import DiskStore
from key_value.aio.stores.dynamodb import DynamoDBStore
from key_value.aio.stores.memory import MemoryStore
from key_value.aio.stores.valkey import ValkeyStore

from fastapi_caching_route import CachePolicy, ConfigurationError, FastAPICache
from fastapi_caching_route.key_value import KeyValueCache
from tests.conftest import serve
from tests.support import asgi_call, asgi_scope, caching_router

pytestmark = pytest.mark.filterwarnings('ignore:A configured store is unstable:UserWarning')
CREDENTIALS = {'region_name': 'eu-central-1', 'aws_access_key_id': 'test', 'aws_secret_access_key': 'test'}


@pytest.fixture(scope='module')
def dynamodb():
    for port in serve('moto_server', '-H', '127.0.0.1', '-p', '{port}'):
        yield f'http://127.0.0.1:{port}'


def consistent(params, **_):
    """Let DynamoDB read what was written last."""
    return {**params, 'ConsistentRead': True}


@asynccontextmanager
async def dynamodb_client(url, sent=None):
    config = AioConfig(retries={'max_attempts': 0})
    async with get_session().create_client('dynamodb', endpoint_url=url, config=config, **CREDENTIALS) as client:
        client.meta.events.register('provide-client-params.dynamodb.GetItem', consistent)
        if sent is not None:
            client.meta.events.register('before-send.dynamodb.GetItem', lambda request, **_: sent.append(request.body))
        yield client


@pytest.fixture(params=['memory', 'disk', 'dynamodb', 'valkey'])
async def new_store(request, tmp_path, namespace):
    """Makes another cache over the same store."""
    if request.param == 'dynamodb':
        async with dynamodb_client(request.getfixturevalue('dynamodb')) as client:
            store = DynamoDBStore(client=client, table_name=namespace)
            yield lambda **options: FastAPICache(KeyValueCache(store, namespace=namespace), store_timeout=10, **options)
    elif request.param == 'valkey':  # by valkey-glide, on a server that speaks the same protocol
        nodes = [NodeAddress('127.0.0.1', request.getfixturevalue('redis_port'))]
        async with ValkeyStore(config=GlideClientConfiguration(nodes, request_timeout=10_000)) as store:
            yield lambda **options: FastAPICache(KeyValueCache(store, namespace=namespace), store_timeout=10, **options)
    elif request.param == 'disk':
        async with DiskStore(directory=tmp_path) as store:
            yield lambda **options: FastAPICache(KeyValueCache(store, namespace=namespace), store_timeout=10, **options)
    else:
        store = MemoryStore()
        yield lambda **options: FastAPICache(KeyValueCache(store, namespace=namespace), store_timeout=10, **options)


def app_of(cache):
    app, router, runs = FastAPI(), caching_router(), []

    @router.get('/users/{user_id}')
    @cache(ttl=60, tags=['user:{user_id}'], stale_while_revalidate=60)
    async def get_user(user_id: int) -> dict[str, int]:
        runs.append(user_id)
        return {'id': user_id, 'run': len(runs)}

    app.include_router(router)
    return app, get_user


async def ask(app, path):
    start, body = await asgi_call(app, asgi_scope(path=path))
    return dict(start['headers']).get(b'x-cache'), json.loads(body['body'])['run']


async def test_responses_are_stored_shared_and_invalidated(new_store):
    one, other = new_store(), new_store()
    (app, get_user), (second, _) = app_of(one), app_of(other)
    async with one, other:
        assert await ask(app, '/users/1') == (b'MISS', 1)
        assert await ask(app, '/users/1') == (b'HIT', 1)
        assert await ask(second, '/users/1') == (b'HIT', 1)
        assert await ask(app, '/users/2') == (b'MISS', 2)
        await other.invalidate_tags('user:1')
        assert await ask(app, '/users/1') == (b'MISS', 3)
        assert await ask(app, '/users/2') == (b'HIT', 2)
        await one.invalidate_endpoint(get_user, user_id=2)
        assert await ask(app, '/users/2') == (b'MISS', 4)
        await one.invalidate_path('/users', prefix=True)
        assert await ask(app, '/users/1') == (b'MISS', 5)
        await one.clear()
        assert await ask(app, '/users/1') == (b'MISS', 6)
        assert await ask(app, '/users/1') == (b'HIT', 6)
        await one.invalidate_tags('user:1', soft=True)
        assert await ask(app, '/users/1') == (b'HIT', 6)  # stale, and renewed behind it
        assert await ask(app, '/users/1') == (b'HIT', 7)


async def test_functions_are_stored(new_store):
    cache, runs = new_store(), []

    @cache.function(ttl=60, tags=['year:{year}'])
    async def total(year: int) -> bytes:
        runs.append(year)
        return b'\xff'

    async with cache:
        assert [await total(1), await total(1)] == [b'\xff', b'\xff']
        await total.invalidate(1)
        assert await total(1) == b'\xff'
        await cache.invalidate_tags('year:1')
        assert await total(1) == b'\xff'
    assert runs == [1, 1, 1]


async def test_a_run_that_was_invalidated_meanwhile_is_not_stored(new_store):
    one, other, runs = new_store(), new_store(), []
    began, goes_on = asyncio.Event(), asyncio.Event()

    @one.function(ttl=60, tags=['all'])
    async def count() -> int:
        runs.append(1)
        number = len(runs)
        began.set()
        await goes_on.wait()
        return number

    async with one, other:
        running = asyncio.create_task(count())
        await began.wait()
        await other.invalidate_tags('all')
        goes_on.set()
        assert await running == 1
        assert [await count(), await count()] == [2, 2]


async def test_what_adds_in_two_steps_locks_nothing(new_store):
    cache = new_store()

    async def load() -> int:
        return 1

    with pytest.raises(ConfigurationError, match='lock=True needs a backend with an atomic add, and KeyValueCache has'):
        cache(ttl=60, lock=True)(load)
    with pytest.raises(ConfigurationError, match='lock=True needs'):
        cache.function(ttl=60, lock=True)
    with pytest.raises(ConfigurationError, match='lock=True needs'):
        new_store(policy=CachePolicy(lock=True))
    with pytest.raises(ConfigurationError, match='KeyValueCache has no locks'):
        async with cache.lock('report'):
            pass
    deferred = FastAPICache.deferred()
    deferred.function(ttl=60, lock=True)(load)
    with pytest.raises(ConfigurationError, match='lock=True needs'):
        deferred.use(cache.backend)


async def test_what_is_stored_cannot_be_listed(new_store):
    cache = new_store()
    with pytest.raises(ConfigurationError, match='cannot list what it stores'):
        [it async for it in cache.entries()]


async def test_a_response_that_is_too_large_for_dynamodb_is_sent_and_not_stored(dynamodb):
    async with dynamodb_client(dynamodb) as client:
        backend = KeyValueCache(DynamoDBStore(client=client, table_name='large'))
        cache, runs = FastAPICache(backend, store_timeout=10), []

        @cache.function(ttl=60)
        async def load(size: int) -> str:
            runs.append(size)
            return 'x' * size

        async with cache:
            for size in (*[500_000] * 8, 5, 5):
                assert len(await load(size)) == size
            assert runs == [*[500_000] * 8, 5]  # it is no failure of the store, which is asked again each time
            assert cache.stats().store.state == 'up'


async def test_dynamodb_is_asked_for_what_was_written_last(dynamodb):
    sent = []
    async with dynamodb_client(dynamodb, sent) as client:
        cache = FastAPICache(KeyValueCache(DynamoDBStore(client=client, table_name='reads')), store_timeout=10)

        @cache.function(ttl=60)
        async def load() -> int:
            return 1

        async with cache:
            await load()
    assert sent
    assert all(json.loads(it)['ConsistentRead'] is True for it in sent)


def test_a_function_that_makes_stores_is_called_for_each_event_loop():
    made, shared = [], MemoryStore()

    def new():
        made.append(asyncio.get_running_loop())
        return shared

    backend = KeyValueCache(new)

    async def main():
        cache = FastAPICache(backend, store_timeout=10)

        @cache.function(ttl=60, key=lambda: 1)
        async def load() -> int:
            return len(made)

        async with cache:
            return await load()

    assert [asyncio.run(main()), asyncio.run(main())] == [1, 1]
    assert len(made) == 2


async def test_values_of_your_own_are_kept_as_in_any_cache_of_aiocache(tmp_path):
    async with DiskStore(directory=tmp_path) as store:
        cache = KeyValueCache(store, collection='own', namespace='mine')
        await cache.set('a', {'b': [1]}, ttl=60)
        assert await cache.get('a') == {'b': [1]}
        assert await cache.multi_get(['a', 'c']) == [{'b': [1]}, None]
        assert await cache.add('c', 5)
        with pytest.raises(ValueError, match='already exists'):
            await cache.add('c', 6)
        assert [await cache.exists('c'), await cache.delete('c'), await cache.delete('c')] == [True, 1, 0]
        with pytest.raises(NotImplementedError):
            await cache.expire('a', 5)
        raw = KeyValueCache(store, serializer=NullSerializer())
        with pytest.raises(TypeError, match='stores str and bytes'):
            await raw.set('a', 5)


async def test_what_others_have_stored_is_a_miss():
    store = MemoryStore()
    cache = KeyValueCache(store)
    for value in ({}, {'b': 5}, {'b': '!'}, {'other': 'x'}):
        await store.put('a', value)
        assert await cache.get('a') is None


@pytest.mark.parametrize('store', [5, 'redis://', MemoryStore, None])
def test_what_is_no_store_is_refused(store):
    with pytest.raises(ConfigurationError, match='takes a store of py-key-value-aio'):
        KeyValueCache(store)
