"""`clear(namespace=...)` of a backend deletes what is in that namespace, and nothing of other users."""

import pytest
from fastapi import Response
from redis import RedisError
from redis.asyncio import Redis

from fastapi_caching_route import Compression, FastAPICache, LMDBCache
from fastapi_caching_route._core.owner import OURS, SIGNED, WITH_HEAD
from fastapi_caching_route._store import wire
from fastapi_caching_route.redis import CLEARED_AT_ONCE, RedisClientCache
from tests.support import caching_router, client_of


@pytest.fixture(params=['redis', 'lmdb'])
def new_backend(request, tmp_path):
    if request.param == 'lmdb':
        return lambda namespace: LMDBCache(tmp_path / 'store', namespace=namespace)
    port = request.getfixturevalue('redis_server').port
    return lambda namespace: RedisClientCache(Redis(port=port), namespace=namespace)


def app_on(backend, **options):
    """A client of two routes, one of which has a namespace of its own; and how often their endpoints ran."""
    cache, router, runs = FastAPICache(backend, store_timeout=5, **options), caching_router(), []

    @router.get('/plain')
    @cache(ttl=60)
    async def plain() -> str:
        runs.append('plain')
        return 'x' * 3000

    @router.get('/own')
    @cache(ttl=60, namespace='b', tags=[f'{number:0100}' for number in range(60)])
    async def own(response: Response) -> str:
        runs.append('own')
        response.headers['vary'] = 'accept'
        return 'x' * 3000

    return cache, client_of(router, lifespan=cache.lifespan), runs


async def records_in(cache, namespace):
    """The keys of records of variants."""
    return [key async for page, _ in cache._settings.store.listed(f'{namespace}::') for key in page.records]


NAMESPACES = ('a', 'ab', 'a:b', 'a:c')


@pytest.mark.parametrize(
    'options',
    [{}, {'signing_key': 'a key of the servers'}, {'compress': Compression('gzip')}],
    ids=['plain', 'signed', 'coded'],
)
def test_only_the_entries_of_a_namespace_are_deleted(new_backend, options):
    for namespace in NAMESPACES:
        _, client, runs = app_on(new_backend(namespace), **options)
        with client:
            for path in ('/plain', '/own'):
                assert [client.get(path).status_code for _ in range(2)] == [200, 200]
        assert runs == ['plain', 'own']
    cache, client, runs = app_on(new_backend('a'), **options)
    with client:
        assert client.portal.call(cache.backend.clear, 'a') is True
        assert client.portal.call(records_in, cache, 'a:b') == []
        assert [client.get(path).headers['x-cache'] for path in ('/plain', '/own')] == ['MISS', 'MISS']
        client.portal.call(cache.backend.close)  # the client that has cleared
    for namespace in NAMESPACES[1:]:
        _, client, runs = app_on(new_backend(namespace), **options)
        with client:
            assert [client.get(path).headers['x-cache'] for path in ('/plain', '/own')] == ['HIT', 'HIT'], namespace
        assert runs == []


async def test_values_of_other_users_are_deleted_in_their_namespace_only(new_backend):
    backends = {it: new_backend(it) for it in ('a', 'ab', 'with space', 'b')}
    for backend in backends.values():
        await backend.set('key', 'text')
        await backend.set('fcr', [1] * 1000)
    await backends['b'].clear('a')
    assert [await it.get('key') for it in backends.values()] == [None, 'text', 'text', 'text']
    await backends['with space'].clear(namespace='with space')
    assert [await it.get('fcr') for it in backends.values()] == [None, [1] * 1000, None, [1] * 1000]
    for backend in backends.values():
        await backend.close()


@pytest.mark.parametrize(
    'namespace', ['a\\b', 'a\\', '\\*', 'a*b', 'a?b', 'a[b', 'a]b', 'a[^b]c', '^a', '-', 'ä', 'a{b}', 'a:b']
)
async def test_a_namespace_may_have_any_characters(new_backend, namespace):
    backends = [new_backend(it) for it in (namespace, f'{namespace}2', f'2{namespace}', 'axb')]
    for backend in backends:
        await backend.set('key', 'text')
        await backend.set('key' * 600, 'text')
    assert await backends[0].clear(namespace) is True
    for backend, left in zip(backends, [None, 'text', 'text', 'text'], strict=True):
        assert await backend.multi_get(['key', 'key' * 600]) == [left, left]
        await backend.close()


class Counting(Redis):
    """A client that counts its round trips."""

    trips = 0

    async def execute_command(self, *args, **options):
        self.trips += 1
        return await super().execute_command(*args, **options)

    def pipeline(self, *args, **options):
        self.trips += 1  # each of them is sent once
        return super().pipeline(*args, **options)


async def test_many_keys_are_deleted_in_few_round_trips(redis_server):
    client, number = Counting(port=redis_server.port), 4 * CLEARED_AT_ONCE + 1
    backend, other = (RedisClientCache(lambda: client, namespace=it) for it in ('a', 'ab'))
    pipeline = client.pipeline(transaction=False)
    for it in range(number):
        pipeline.set(f'a:{it}', 'x')
        pipeline.set(f'ab:{it}', 'x')
    await pipeline.execute()
    client.trips = 0
    await backend.clear('a')
    assert client.trips < 50
    assert await client.dbsize() == number
    assert await other.exists('1')
    await client.aclose()


async def test_nothing_is_deleted_if_redis_does_not_tell_whose_it_is(redis_server):
    async with Redis(port=redis_server.port) as client:
        backend = RedisClientCache(lambda: client, namespace='a')
        await client.set('a:b:key', 'x')
        await client.acl_setuser('default', commands=['-getrange'])
        with pytest.raises(RedisError):
            await backend.clear('a')
        assert await client.exists('a:b:key')


async def test_a_value_that_is_no_text_is_deleted_too(redis_server):
    client = Redis(port=redis_server.port)
    backend = RedisClientCache(client, namespace='a')
    await client.rpush('a:list', 'x')
    await client.rpush('ab:list', 'x')
    await backend.clear('a')
    assert await client.keys() == [b'ab:list']
    await client.aclose()


def test_what_tells_the_owner_is_what_is_written():
    assert (WITH_HEAD, SIGNED) == (wire.MAGICS, wire.SIGNED)
    assert all(it.startswith(OURS) for it in (*wire.MAGICS, wire.SIGNED, wire.MARK))
