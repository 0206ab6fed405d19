"""What is stored can be listed and erased, where the backend can list it."""

import asyncio
from functools import partial
from typing import Annotated

import pytest
import redis
from aiocache import RedisCache, SimpleMemoryCache
from fastapi import FastAPI, Header, Response
from fastapi.responses import PlainTextResponse

from fastapi_caching_route import (
    CacheError,
    CacheParams,
    ConfigurationError,
    FastAPICache,
    LMDBCache,
    MemoryCache,
    NearCopies,
)
from fastapi_caching_route.redis import RedisClientCache
from tests.backends.fakes import Elsewhere
from tests.backends.links import Counting
from tests.support import Clock, asgi_call, asgi_scope, caching_router, closing

KINDS = ['memory', 'aiocache', 'lmdb', 'redis', 'redis, near']


class Shop:
    """An app with entries of several kinds."""

    def __init__(self, backend, **options):
        self.clock = Clock()
        self.cache = cache = FastAPICache(backend, clock=self.clock, store_timeout=5, **options)
        router = caching_router(prefix='/shop')

        @router.get('/items/{item}')
        @cache(ttl=60, tags=['item:{item}', 'items'], stale_while_revalidate=60)
        async def item(item: int):
            return {'item': item}

        @router.get('/texts/{name}')
        @cache(ttl=600, namespace='texts')
        async def text(name: str):
            return PlainTextResponse('text', headers={'vary': 'accept-language'})

        self.item, self.text = item, text
        self.app = FastAPI()
        self.app.include_router(router)

    async def ask(self, *paths, headers=()):
        for path in paths:
            await asgi_call(self.app, asgi_scope(path=f'/shop{path}', headers=headers))

    async def listed(self, **wanted):
        return sorted([it async for it in self.cache.entries(**wanted)], key=lambda it: (it.path, it.key))

    async def paths(self, **wanted):
        return [it.path for it in await self.listed(**wanted)]


@pytest.fixture(params=KINDS)
async def shop(request, tmp_path, redis_port, namespace):
    backends = {
        'memory': MemoryCache,
        'aiocache': SimpleMemoryCache,
        'lmdb': lambda **options: LMDBCache(tmp_path / 'cache', **options),
    }
    options = {'near': NearCopies()} if request.param.endswith('near') else {}
    new = backends.get(request.param, lambda **it: RedisClientCache(lambda: redis.asyncio.Redis(port=redis_port), **it))
    shop = Shop(new(namespace=namespace), **options)
    shop.again = partial(new, namespace=namespace)
    async with shop.cache:
        yield shop


async def test_an_entry_is_described_without_its_body(shop):
    await shop.ask('/items/7')
    shop.clock.now += 5
    (it,) = await shop.listed()
    assert (it.route, it.path, it.status, it.age, it.ttl_left) == ('/shop/items/{item}', '/shop/items/7', 200, 5, 55)
    assert (it.tags, it.body_bytes, it.stored_at) == (('item:7', 'items'), len(b'{"item":7}'), shop.clock.now - 5)
    assert it.endpoint.endswith('.item')
    assert it.key.endswith(it.key.rpartition('::')[2])
    assert it.size > it.body_bytes
    assert (it.is_alive, it.is_fresh, it.variant_of) == (True, True, None)
    assert not [name for name in it.__slots__ if name in {'body', 'headers'}]


async def test_entries_are_found_by_route_endpoint_path_and_tag(shop):
    await shop.ask('/items/1', '/items/2', '/texts/a')
    assert await shop.paths() == ['/shop/items/1', '/shop/items/2', '/shop/texts/a']
    assert await shop.paths(route='/shop/texts/{name}') == ['/shop/texts/a']
    assert await shop.paths(endpoint=shop.item) == ['/shop/items/1', '/shop/items/2']
    assert await shop.paths(path='/shop/items/2') == ['/shop/items/2']
    assert await shop.paths(tag='item:1') == ['/shop/items/1']
    assert await shop.paths(tag='item:1', path='/shop/items/2') == []
    assert await shop.paths(tag='unknown') == []


async def test_another_process_lists_entries_of_routes_that_it_does_not_have(shop):
    if isinstance(shop.cache.backend, MemoryCache | SimpleMemoryCache):
        pytest.skip('not shared')
    await shop.ask('/items/7')
    (own,) = await shop.listed()
    other = FastAPICache(shop.again(), clock=shop.clock, store_timeout=5)
    async with other:
        assert [it async for it in other.entries(route='/shop/items/{item}')] == [own]
    assert own.endpoint_seconds > 0


async def test_tags_are_listed_as_they_were_given_and_of_many_the_first(shop):
    cache, router = shop.cache, caching_router()

    @router.get('/many')
    @cache(ttl=60, tags=['ü%:1', *(f't{number}' for number in range(300))])
    async def many(response: Response):
        response.headers['content-encoding'] = 'x-none'

    shop.app.include_router(router)
    await asgi_call(shop.app, asgi_scope(path='/many'))
    (it,) = await shop.listed(route='/many')
    assert (it.tags[:2], len(it.tags), it.coding) == (('ü%:1', 't0'), 256, 'x-none')


@pytest.mark.parametrize('signing_key', [None, 'k' * 32], ids=['plain', 'signed'])
async def test_listing_in_redis_reads_heads_and_no_bodies(redis_server, signing_key):
    proxy = Counting(redis_server.port)
    await proxy.turn('pass')
    backend = RedisClientCache(lambda: redis.asyncio.Redis(port=proxy.port))
    cache, router = FastAPICache(backend, signing_key=signing_key, store_timeout=5), caching_router()

    @router.get('/{path}')
    @cache(ttl=60)
    async def large(response: Response, path: str):
        response.headers['x-more'] = path[:1] * (5000 if path == 'long' else 1)
        return 'x' * 100_000

    app = FastAPI()
    app.include_router(router)
    async with cache:
        for path in ('/a', '/b', '/long'):
            await asgi_call(app, asgi_scope(path=path))
        before = proxy.received
        found = {it.path: it.body_bytes async for it in cache.entries()}
        read = proxy.received - before
    await proxy.close()
    assert found == dict.fromkeys(('/a', '/b', '/long'), 100_002)
    assert (read < 20_000) is (signing_key is None)  # what is signed is checked whole


async def test_a_listing_counts_as_no_use(tmp_path):
    shop = Shop(LMDBCache(tmp_path / 'cache'))
    async with shop.cache:
        await shop.ask('/items/1')
        shop.cache.backend.store.writer.used.clear()
        assert await shop.paths() == ['/shop/items/1']
        assert shop.cache.backend.store.writer.used <= {b'{%journal}'}


async def test_variants_name_what_they_are_variants_of(shop):
    for language in (b'de', b'fr'):
        await shop.ask('/texts/a', headers=[(b'accept-language', language)])
    found = await shop.listed()
    assert len({it.key for it in found}) == 2
    assert len({it.variant_of for it in found}) == 1
    assert all(it.key.startswith(f'{it.variant_of}:') for it in found)


async def test_what_was_invalidated_is_listed_only_on_request(shop):
    await shop.ask('/items/1', '/items/2')
    await shop.cache.invalidate_tags('item:1')
    assert await shop.paths() == ['/shop/items/2']
    assert [(it.path, it.is_alive) for it in await shop.listed(dead=True)] == [
        ('/shop/items/1', False),
        ('/shop/items/2', True),
    ]


async def test_what_was_made_stale_is_listed_as_stale(shop):
    await shop.ask('/items/1')
    shop.clock.now += 1
    await shop.cache.invalidate_tags('item:1', soft=True)
    shop.clock.now += 1
    (it,) = await shop.listed()
    assert (it.is_alive, it.is_fresh, it.ttl_left <= 0) == (True, False, True)


async def test_many_entries_are_listed_once_each(shop):
    paths = [f'/items/{number}' for number in range(250)]
    await asyncio.gather(*(shop.ask(path) for path in paths))
    found = await shop.paths()
    assert len(set(found)) == 250
    if not isinstance(shop.cache.backend, RedisClientCache):  # `SCAN` may say one twice
        assert len(found) == 250


async def test_an_erased_entry_is_gone_with_its_bytes(shop):
    await shop.ask('/items/1', '/items/2', '/texts/a')
    await shop.cache.invalidate_tags('item:1')
    assert await shop.cache.erase(tags=['items']) == 2
    assert await shop.paths(dead=True) == ['/shop/texts/a']
    assert await shop.cache.erase(paths=['/shop/texts/a']) == 1
    await shop.ask('/items/1', '/texts/a')
    assert await shop.cache.erase(everything=True) == 2
    assert await shop.paths(dead=True) == []


async def test_what_is_stored_by_hand_has_no_route(shop):
    await shop.cache.set_cached('by hand', PlainTextResponse('given'), CacheParams(ttl=60))
    (it,) = await shop.listed()
    assert (it.route, it.path, it.tags, it.body_bytes) == ('', '', (), 5)


async def test_keys_of_others_are_left_alone(redis_port, namespace):
    async with redis.asyncio.Redis(port=redis_port) as client:
        await client.set(f'{namespace}*', 'of others')
        await client.set(f'{namespace}::text', 'of others')
        shop = Shop(RedisClientCache(lambda: redis.asyncio.Redis(port=redis_port), namespace=namespace))
        async with shop.cache:
            await shop.ask('/items/1')
            assert await shop.paths() == ['/shop/items/1']
            assert await shop.cache.erase(everything=True) == 1
        assert await client.get(f'{namespace}::text') == b'of others'


async def test_a_backend_that_cannot_list_says_so_and_invalidates_nothing():
    shop = Shop(Elsewhere())
    await shop.ask('/items/1')
    with pytest.raises(ConfigurationError, match='Elsewhere cannot list what it stores'):
        await shop.listed()
    with pytest.raises(ConfigurationError, match='cannot list'):
        await shop.cache.erase(tags=['items'])
    messages = await asgi_call(shop.app, asgi_scope(path='/shop/items/1'))
    assert dict(messages[0]['headers'])[b'x-cache'] == b'HIT'


async def test_a_backend_whose_keys_are_built_by_the_user_says_that_it_cannot_list(redis_port):
    backend = RedisCache(port=redis_port, key_builder=lambda key, namespace: f'of-us/{namespace}{key}')
    shop = Shop(backend)
    async with shop.cache:
        await shop.ask('/items/1')
        with pytest.raises(ConfigurationError, match='its key_builder turns keys'):
            await shop.cache.erase(everything=True)
    await closing(backend)


async def test_memcached_cannot_list(new_backend, backend_kind):
    if backend_kind != 'memcached':
        pytest.skip('only there')
    shop = Shop(new_backend())
    async with shop.cache:
        with pytest.raises(ConfigurationError, match='cannot list'):
            await shop.listed()


async def test_a_backend_that_fails_is_an_error_and_no_empty_list(redis_server):
    shop = Shop(RedisClientCache(lambda: redis.asyncio.Redis(port=redis_server.port, retry=None)))
    await shop.ask('/items/1')
    redis_server.process.kill()
    redis_server.process.wait()
    with pytest.raises(CacheError, match='the cache backend failed'):
        await shop.listed()
    await shop.cache._settings.store.close()


async def test_a_cache_without_its_backend_lists_nothing():
    cache = FastAPICache.deferred()
    assert [it async for it in cache.entries()] == []


async def test_erasing_needs_a_name():
    with pytest.raises(ConfigurationError):
        await FastAPICache().erase()


async def test_an_entry_of_a_header_is_none_of_a_variant():
    cache, router, app = FastAPICache(), caching_router(), FastAPI()

    @router.get('/')
    @cache(ttl=60)
    async def endpoint(response: Response, x_part: Annotated[str, Header()] = ''):
        return x_part

    app.include_router(router)
    await asgi_call(app, asgi_scope(headers=[(b'x-part', b'one')]))
    assert [it.variant_of async for it in cache.entries()] == [None]
