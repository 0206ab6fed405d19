"""`CacheContext.key` of routes without a key builder, for `get_cached`, `set_cached` and `invalidate_cached`."""

import asyncio
import copy
import pickle
from typing import Annotated, Any

import pytest
from aiocache import SimpleMemoryCache
from fastapi import Depends, FastAPI, Header, Request
from fastapi.responses import JSONResponse

from fastapi_caching_route import (
    CacheContextDep,
    CachedResponse,
    CacheParams,
    CachePolicy,
    CachingRouter,
    ConfigurationError,
    FastAPICache,
    MemoryCache,
)
from tests.support import Clock, asgi_call, asgi_scope, caching_router, client_of, found, marks, memory_cache


class Shop:
    """A route that notes its keys, and one request to it."""

    def __init__(self, *, cache: Any = None, **options: Any) -> None:
        self.clock = Clock()
        self.cache = cache or memory_cache(clock=self.clock)
        self.keys: list[Any] = []
        router = caching_router()

        @router.get('/items/{item}')
        @self.cache(**{'ttl': 60, **options})
        async def get_item(
            item: int, context: CacheContextDep, plan: Annotated[str, Header()] = 'free', page: int = 1
        ) -> str:
            context.tags.add('seen')
            self.keys.append(context.key)
            return 'of the endpoint'

        self.get_item = get_item
        self.client = client_of(router)
        assert found(self.client, '/items/7') == ['MISS']
        self.key = self.keys[0]

    async def set(self, text='by hand', params=None):
        return await self.cache.set_cached(self.key, JSONResponse(text), params)

    def get(self, path='/items/7', **headers):
        return self.client.get(path, headers=headers).json()


async def test_a_response_can_be_replaced_and_is_for_the_same_requests_only():
    shop = Shop()
    assert await shop.set()
    assert (await shop.cache.get_cached(shop.key)).body == b'"by hand"'
    assert shop.get() == shop.get('/items/7?page=1') == 'by hand'
    assert shop.get('/items/8') == shop.get('/items/7?page=2') == shop.get(plan='gold') == 'of the endpoint'
    assert await shop.cache.invalidate_cached(shop.key) == 1
    assert await shop.cache.get_cached(shop.key) is None
    assert shop.get() == 'of the endpoint'


@pytest.mark.parametrize(
    'invalidate',
    [
        lambda shop: shop.cache.invalidate_endpoint(shop.get_item),
        lambda shop: shop.cache.invalidate_endpoint(shop.get_item, item=7),
        lambda shop: shop.cache.invalidate_path('/items/7'),
        lambda shop: shop.cache.invalidate_path('/items/*'),
        lambda shop: shop.cache.invalidate_tags('item:7'),
        lambda shop: shop.cache.invalidate_tags('seen'),
        lambda shop: shop.cache.invalidate_namespace('shop'),
        lambda shop: shop.cache.clear(),
    ],
    ids=['endpoint', 'its values', 'path', 'below', 'tag', 'added tag', 'namespace', 'all'],
)
async def test_it_is_invalidated_by_all_that_its_route_is(invalidate):
    shop = Shop(tags=['item:{item}'], namespace='shop')
    await shop.set()
    assert shop.get() == 'by hand'
    await invalidate(shop)
    assert shop.get() == 'of the endpoint'


async def test_it_has_the_ttl_of_its_route_or_its_own():
    shop = Shop(ttl=5)
    await shop.set()
    shop.clock.now += 6
    assert shop.get() == 'of the endpoint'
    await shop.set(params={'ttl': '1m'})
    shop.clock.now += 50
    assert shop.get() == 'by hand'
    with pytest.raises(ConfigurationError, match='ttl'):
        await shop.set(params={'ttl': 'soon'})


async def test_it_is_listed_with_its_route():
    shop = Shop(tags=['item:{item}'])
    await shop.set()
    (entry,) = [it async for it in shop.cache.entries(endpoint=shop.get_item)]
    assert (entry.route, entry.path, entry.tags) == ('/items/{item}', '/items/7', ('seen', 'item:7'))


@pytest.mark.parametrize('how', ['raw request', 'tags of a callable', 'tags of a dependency'])
async def test_it_is_refused_where_the_key_does_not_tell_enough(how):
    cache, router, keys = memory_cache(), caching_router(), []
    tags = {
        'raw request': (),
        'tags of a callable': lambda request: ['a'],
        'tags of a dependency': Depends(lambda: ['a']),
    }
    raw = {'raw request': lambda request: request.headers.get('x-theme')}.get(how, lambda _: None)

    def theme(request: Request):
        return raw(request)

    def nothing():
        return None

    @router.get('/')
    @cache(ttl=60, tags=tags[how])
    async def endpoint(context: CacheContextDep, _: Annotated[Any, Depends(theme if how in raw_ways else nothing)]):
        keys.append(context.key)

    client_of(router).get('/')
    with pytest.raises(ConfigurationError, match=r'set_cached\(.*(raw request|not known by now)'):
        await cache.set_cached(keys[0], CachedResponse(b'1'))


raw_ways = {'raw request'}


@pytest.mark.parametrize('by', ['by hand', 'by the endpoint'])
async def test_a_response_that_varies_by_more_than_the_key_is_refused(by):
    cache, router, keys = memory_cache(), caching_router(), []
    vary = {'vary': 'x-theme'}

    @router.get('/')
    @cache(ttl=60)
    async def endpoint(context: CacheContextDep):
        keys.append(context.key)
        return JSONResponse('light', headers=vary if by == 'by the endpoint' else {})

    client = client_of(router)
    assert found(client, '/', '/') == ['MISS', 'HIT']
    with pytest.raises(ConfigurationError, match='reason is vary'):
        await cache.set_cached(keys[0], JSONResponse('dark', headers=vary if by == 'by hand' else {}))
    assert client.get('/').json() == 'light'


async def test_headers_in_the_key_may_be_in_vary():
    shop = Shop()
    await shop.cache.set_cached(shop.key, JSONResponse('by hand', headers={'vary': 'plan'}))
    assert shop.get() == 'by hand'
    assert shop.get(plan='gold') == 'of the endpoint'


async def test_a_key_of_another_cache_or_another_namespace_is_refused():
    shop = Shop()
    with pytest.raises(ConfigurationError, match='the key of another cache'):
        await FastAPICache().set_cached(shop.key, CachedResponse(b'1'))
    with pytest.raises(ConfigurationError, match='no request would find this response'):
        await shop.set(params=CacheParams(namespace='other'))


async def test_what_must_not_be_stored_is_refused_as_for_the_route():
    shop = Shop(max_body_size=20)
    with pytest.raises(ConfigurationError, match='reason is set-cookie'):
        await shop.cache.set_cached(shop.key, JSONResponse(1, headers={'set-cookie': 'a=1'}))
    with pytest.raises(ConfigurationError, match='reason is status'):
        await shop.cache.set_cached(shop.key, JSONResponse(1, 500))
    assert shop.get() == 'of the endpoint'


async def test_it_works_on_routes_that_their_router_caches():
    cache, keys = memory_cache(), []
    router = CachingRouter(cache, policy=CachePolicy(ttl=60, namespace='shop'))

    @router.get('/')
    async def endpoint(context: CacheContextDep):
        keys.append(context.key)
        return 1

    client = client_of(router)
    client.get('/')
    assert await cache.set_cached(keys[0], JSONResponse(2))
    response = client.get('/')
    assert (marks(response), response.json()) == (['HIT'], 2)


@pytest.mark.parametrize('backend', [MemoryCache, SimpleMemoryCache])
async def test_a_response_that_is_being_computed_is_not_used_after_its_key_was_invalidated(backend):
    cache, router, keys, version = FastAPICache(backend()), caching_router(), [], [1]
    began, going_on = asyncio.Event(), asyncio.Event()

    @router.get('/')
    @cache(ttl=60)
    async def endpoint(context: CacheContextDep) -> int:
        keys.append(context.key)
        made_of = version[0]
        began.set()
        if made_of == 1:
            await going_on.wait()
        return made_of

    app = FastAPI()
    app.include_router(router)
    first = asyncio.create_task(asgi_call(app, asgi_scope()))
    await began.wait()
    version[0] = 2
    assert await cache.invalidate_cached(keys[0]) == 0
    going_on.set()
    await first
    assert [(await asgi_call(app, asgi_scope()))[-1]['body'] for _ in range(2)] == [b'2', b'2']
    assert len(keys) == 2


@pytest.mark.parametrize('namespace', [None, 'shop'])
async def test_the_text_of_a_key_finds_and_invalidates_its_entry(namespace):
    shop = Shop(namespace=namespace)
    text = str(shop.key)
    assert type(text) is str
    assert (await shop.cache.get_cached(text, namespace)).body == b'"of the endpoint"'
    assert await shop.cache.get_cached(text, 'another') is None
    assert await shop.cache.invalidate_cached(text, 'another') == 0
    assert await shop.cache.invalidate_cached(text, namespace) == 1
    assert await shop.cache.get_cached(text, namespace) is None
    assert await shop.cache.invalidate_cached(text, namespace) == 0
    assert shop.get() == 'of the endpoint'
    assert len(shop.keys) == 2


async def test_the_text_of_a_key_is_no_place_to_store_a_response():
    shop = Shop()
    with pytest.raises(ConfigurationError, match='pass the key itself'):
        await shop.cache.set_cached(str(shop.key), JSONResponse('by hand'))
    assert shop.get() == 'of the endpoint'


async def test_a_key_builder_may_build_the_text_of_a_key():
    shop, router = Shop(), caching_router()
    text = str(shop.key)

    @router.get('/')
    @shop.cache(ttl=60, key_builder=lambda request: text)
    async def built() -> str:
        return 'built'

    client = client_of(router)
    assert client.get('/').json() == 'built'
    assert (await shop.cache.get_cached(text)).body == b'"built"'
    assert await shop.cache.set_cached(text, JSONResponse('by hand'))
    assert (client.get('/').json(), shop.get()) == ('by hand', 'of the endpoint')
    assert await shop.cache.invalidate_cached(text) == 1
    assert client.get('/').json() == 'built'


@pytest.mark.parametrize('copied', [copy.copy, copy.deepcopy])
async def test_a_copy_of_a_key_is_as_good_as_the_key(copied):
    shop = Shop(namespace='shop')
    assert await shop.cache.set_cached(copied(shop.key), JSONResponse('by hand'))
    assert shop.get() == 'by hand'
    assert await shop.cache.invalidate_cached(copied([shop.key])[0]) == 1
    assert shop.get() == 'of the endpoint'


@pytest.mark.parametrize('protocol', range(pickle.HIGHEST_PROTOCOL + 1))
async def test_a_key_is_not_pickled_but_its_text_is(protocol):
    shop = Shop()
    with pytest.raises(TypeError, match=r'pass str\(context\.key\)'):
        pickle.dumps(shop.key, protocol)
    text = pickle.loads(pickle.dumps(str(shop.key), protocol))
    assert await shop.cache.invalidate_cached(text) == 1


async def test_the_key_of_a_function_is_pickled():
    cache, runs = FastAPICache(MemoryCache()), []

    @cache.function(ttl=60, namespace='rates')
    async def rate(currency: str) -> int:
        runs.append(currency)
        return len(runs)

    assert [await rate('EUR'), await rate('EUR')] == [1, 1]
    assert await cache.invalidate_cached(pickle.loads(pickle.dumps(rate.key('EUR')))) == 1
    assert await rate('EUR') == 2
