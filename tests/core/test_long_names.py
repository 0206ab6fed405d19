"""Names and keys stay short, whatever clients send: long paths, values and tags take no memory to speak of."""

import os

import pytest
import redis
from aiocache import RedisCache
from fastapi import Request

from fastapi_caching_route import FastAPICache, MemoryCache
from fastapi_caching_route._core.key import MAX_KEY_BYTES
from fastapi_caching_route._store.moments import moments_of
from tests.support import asgi_call, asgi_scope, caching_router, client_of, marks

LONG = 57_000


def app_on(backend):
    cache, router = FastAPICache(backend, store_timeout=5), caching_router()

    @router.get('/files/{path:path}')
    @cache(ttl=600, tags=['file:{path}', 'all'])
    async def read(path: str) -> str:
        return 'x'

    @router.put('/files/{path:path}')
    async def write(path: str) -> None:
        pass

    @router.post('/invalidate/{kind}')
    async def invalidate(kind: str, request: Request) -> None:
        path = (await request.body()).decode()
        match kind:
            case 'tag':
                await cache.invalidate_tags(f'file:{path}')
            case 'values':
                await cache.invalidate_endpoint(read, path=path)
            case 'path':
                await cache.invalidate_path(f'/files/{path}')
            case 'prefix':
                await cache.invalidate_path(f'/files/{path.rpartition("/")[0]}', prefix=True)

    return cache, client_of(router, lifespan=cache.lifespan)


def long_path():
    return '/'.join(os.urandom(LONG // 30).hex() for _ in range(15))


async def test_many_long_paths_leave_what_is_warm():
    _, client = app_on(MemoryCache())

    async def ask(path):
        start, *_ = await asgi_call(client.app, asgi_scope(path=path))
        return dict(start['headers'])[b'x-cache']

    warm = [f'/files/{number}' for number in range(500)]
    for path in (*warm, *(f'/files/{long_path()}' for _ in range(300))):
        assert await ask(path) == b'MISS'
    assert [await ask(path) for path in warm].count(b'HIT') == 500


def test_an_entry_of_a_long_path_takes_some_kilobytes():
    cache, client = app_on(MemoryCache())
    client.get(f'/files/{long_path()}')
    assert cache.backend.stats().bytes < 15_000


def test_writes_to_long_paths_leave_short_names():
    cache, client = app_on(MemoryCache())
    for _ in range(50):
        client.put(f'/files/{long_path()}')
    names = list(moments_of(cache.backend)._hard)
    assert len(names) >= 50
    assert max(map(len, names)) <= MAX_KEY_BYTES


@pytest.mark.parametrize('kind', ['memory', 'redis'])
@pytest.mark.parametrize('way', ['write', 'tag', 'values', 'path', 'prefix'])
@pytest.mark.parametrize('character', ['a', 'ü'])
def test_a_long_path_is_invalidated_in_every_way_and_one_that_differs_at_its_end_is_not(way, kind, character, request):
    backend = MemoryCache()
    if kind == 'redis':
        port = request.getfixturevalue('redis_port')
        backend = RedisCache(endpoint='127.0.0.1', port=port, namespace=f'long{os.urandom(4).hex()}')
    _, client = app_on(backend)
    stem = character * 5000
    this, other = f'{stem}1/x', f'{stem}2/x'
    with client:
        for path in (this, other):
            assert marks(*(client.get(f'/files/{path}') for _ in range(2))) == ['MISS', 'HIT']
        if way == 'write':
            client.put(f'/files/{this}')
        else:
            client.post(f'/invalidate/{way}', content=this.encode())
        assert marks(client.get(f'/files/{this}'), client.get(f'/files/{other}')) == ['MISS', 'HIT']


def test_short_names_can_be_read_in_the_store(redis_port):
    namespace = f'long{os.urandom(4).hex()}'
    _, client = app_on(RedisCache(endpoint='127.0.0.1', port=redis_port, namespace=namespace))
    with client, redis.Redis(port=redis_port) as server:
        client.get('/files/a/b')
        client.get(f'/files/{long_path()}')
        client.put('/files/a/b')
        keys = [it.decode() for it in server.keys(f'{namespace}*')]
        names = [it.decode() for it in server.zrange(f'{namespace}::{{%journal}}:texts', 0, -1)]
    assert any(it.startswith(f'{namespace}::GET:/files/a/b:') for it in keys)
    assert 'hpath:/files/a/b' in names
    assert max(map(len, keys)) <= MAX_KEY_BYTES
