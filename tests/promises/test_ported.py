"""What users of the three models have, ported by docs/migration.md alone: blocks of their READMEs in words of our own.

tests/models/README.md lists the features, each with its test.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Annotated, Any

import pytest
from aiocache import RedisCache, SimpleMemoryCache
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import StreamingResponse
from fastapi.security import APIKeyHeader
from pydantic import BaseModel
from starlette.testclient import TestClient

from fastapi_caching_route import (
    CacheContextDep,
    CacheControl,
    CachePolicy,
    CachingRoute,
    CachingRouter,
    FastAPICache,
    MemoryCache,
)
from fastapi_caching_route.console import console_router
from tests.support import caching_router, client_of, found, marks, memory_cache


class Score(BaseModel):
    name: str
    points: int


@dataclass
class Pair:
    left: int
    right: str


# fastapi-caching-route 0.6.0: its examples, as its README describes them


def guarded_shop():
    """Hits and misses, an API key, a stream, query parameters, and what is not stored."""
    runs = []

    def check(key: Annotated[str, Depends(APIKeyHeader(name='X-Key'))]):
        if key != 'right':
            raise HTTPException(403)

    cache = FastAPICache(SimpleMemoryCache(namespace='api'))
    router = APIRouter(route_class=CachingRoute)

    @cache(dependencies=[Depends(check)])
    @router.get('/private', dependencies=[Depends(check)])
    def private():
        runs.append('private')
        return {'for': 'members'}

    @cache()
    @router.get('/stream')
    def stream():
        runs.append('stream')
        return StreamingResponse(iter(['one', 'two']), media_type='text/plain')

    @cache(ttl=60, namespace='queries')
    @router.get('/query')
    def query(a: str = '', b: str = ''):
        runs.append('query')
        return a + b

    @cache()
    @router.get('/missing')
    def missing():
        runs.append('missing')
        raise HTTPException(404)

    @router.get('/plain')
    def plain():
        runs.append('plain')

    return client_of(router), runs


def test_what_an_example_with_keys_streams_and_queries_serves():
    client, runs = guarded_shop()
    right, wrong = {'x-key': 'right'}, {'x-key': 'wrong'}
    assert client.get('/private', headers=wrong).status_code == 403
    assert marks(*(client.get('/private', headers=right) for _ in range(2))) == ['MISS', 'HIT']
    assert client.get('/private', headers=wrong).status_code == 403
    assert client.get('/private').status_code in {401, 403}
    tag = client.get('/private', headers=right).headers['etag']
    unchanged = client.get('/private', headers={**right, 'if-none-match': f'"other", W/{tag}'})
    assert (unchanged.status_code, unchanged.content) == (304, b'')
    assert client.get('/private', headers={**right, 'if-none-match': '*'}).status_code == 304
    assert found(client, '/stream', '/stream') == ['MISS', 'HIT']
    assert client.get('/stream').text == 'onetwo'
    assert found(client, '/query?a=a&b=b', '/query?b=b&a=a', '/query?a=b&b=a') == ['MISS', 'HIT', 'MISS']
    assert found(client, '/missing', '/missing', '/plain', '/plain') == [None] * 4
    assert runs == ['private', 'stream', 'query', 'query', *['missing'] * 2, *['plain'] * 2]


async def test_what_an_example_with_a_key_builder_and_a_write_serves():
    names, cache = {7: 'Ann'}, FastAPICache(SimpleMemoryCache())
    router = APIRouter(route_class=CachingRoute)

    def key_of(user_id: Any) -> str:
        return f'user:{user_id}'

    @cache(key_builder=lambda request: key_of(request.scope['path_params']['user_id']))
    @router.get('/users/{user_id}')
    def read(user_id: int):
        return names[user_id]

    @router.patch('/users/{user_id}')
    async def write(user_id: int, name: str):
        names[user_id] = name
        return await cache.invalidate_cached(key_of(user_id))

    client = client_of(router)
    assert [client.get('/users/7').json() for _ in range(2)] == ['Ann', 'Ann']
    assert client.patch('/users/7?name=Bea').json() == 1
    assert (client.get('/users/7').json(), found(client, '/users/7')) == ('Bea', ['HIT'])


# fastapi-cache2-fork


async def test_fork_quick_start_with_redis_at_start_up_and_a_function(redis_port):
    cache, runs = FastAPICache.deferred(policy=CachePolicy(ttl=60)), []

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None, None]:
        cache.use(RedisCache(endpoint='127.0.0.1', port=redis_port, namespace='ported'))
        async with cache.lifespan(app):
            yield

    router = caching_router()

    @cache.function()
    async def number() -> int:
        runs.append('function')
        return 1

    @router.get('/')
    @cache()
    async def index() -> dict[str, str]:
        runs.append('endpoint')
        return {'hello': str(await number() + await number())}

    app = FastAPI(lifespan=lifespan)
    app.include_router(router)
    with TestClient(app) as client:
        assert found(client, '/', '/') == ['MISS', 'HIT']
        assert client.get('/').json() == {'hello': '2'}
        client.portal.call(cache.clear)
    assert runs == ['endpoint', 'function']


@pytest.mark.parametrize('made', [Score(name='a', points=1), Pair(1, 'b'), [1, 'c'], 'text', None], ids=repr)
def test_fork_what_an_endpoint_returns_comes_back_as_the_same_json(made):
    cache, router = memory_cache(), caching_router()

    @router.get('/')
    @cache(ttl=60)
    async def endpoint():
        return made

    client = client_of(router)
    first, then = client.get('/'), client.get('/')
    assert marks(first, then) == ['MISS', 'HIT']
    assert (first.content, first.headers['content-type']) == (then.content, then.headers['content-type'])


async def test_fork_functions_return_the_type_of_their_annotation():
    cache, runs = memory_cache(), []

    @cache.function(ttl=60)
    async def score(name: str) -> Score:
        runs.append(name)
        return Score(name=name, points=1)

    @cache.function(ttl=60)
    def pair() -> Pair:
        return Pair(1, 'a')

    assert [await score('a') for _ in range(2)] == [Score(name='a', points=1)] * 2
    assert runs == ['a']
    assert [await asyncio.to_thread(pair) for _ in range(2)] == [Pair(1, 'a')] * 2


def test_fork_a_coder_of_ones_own_is_a_response_class_here():
    class Shouted(Response):
        media_type = 'text/x-shouted'

        def render(self, content):
            return str(content).upper().encode()

    cache, router = memory_cache(), caching_router()

    @router.get('/', response_class=Shouted)
    @cache(ttl=60)
    async def endpoint():
        return 'hello'

    client = client_of(router)
    first, then = client.get('/'), client.get('/')
    assert [it.content for it in (first, then)] == [b'HELLO'] * 2
    assert then.headers['content-type'].startswith('text/x-shouted')


def test_fork_a_key_of_method_path_and_sorted_query():
    def key_of(request: Request) -> str:
        return f'{request.method.lower()} {request.url.path} {sorted(request.query_params.items())!r}'

    cache = memory_cache(policy=CachePolicy(ttl=60, key_builder=key_of))
    router = caching_router()

    @router.get('/')
    @cache()
    async def endpoint():
        return 1

    assert found(client_of(router), '/?a=1&b=2', '/?b=2&a=1', '/?a=2') == ['MISS', 'HIT', 'MISS']


def test_fork_the_context_chooses_how_long():
    cache, router = memory_cache(), caching_router()

    @router.get('/')
    @cache(ttl=60, namespace='test')
    async def endpoint(new_expire: int, context: CacheContextDep):
        context.ttl = new_expire
        return 42

    response = client_of(router).get('/?new_expire=7')
    assert response.headers['x-cache'] == 'MISS'
    status = client_of(router).get('/?new_expire=7').headers['cache-status']
    assert any(f'ttl={it}' in status for it in (5, 6, 7))
    assert found(client_of(router), '/?new_expire=0', '/?new_expire=0') == [None, None]


async def test_fork_ten_requests_at_once_run_an_expensive_endpoint_once():
    cache, runs, gate = memory_cache(), [], asyncio.Event()

    @cache.function(ttl=60)
    async def expensive() -> int:
        runs.append(1)
        await gate.wait()
        return len(runs)

    asking = [asyncio.create_task(expensive()) for _ in range(10)]
    await asyncio.sleep(0)
    gate.set()
    assert await asyncio.gather(*asking) == [1] * 10


def test_fork_the_header_has_the_name_of_the_old_one_and_no_store_is_heard():
    cache = memory_cache(cache_header='X-FastAPI-Cache')
    router = caching_router()

    @router.get('/')
    @cache(ttl=60)
    async def endpoint(request: Request, response: Response):
        response.headers['x-path'] = request.url.path
        return 1

    client = client_of(router)
    assert 'x-fastapi-cache' not in client.get('/', headers={'cache-control': 'no-store'}).headers
    responses = [client.get('/') for _ in range(2)]
    assert [it.headers['x-fastapi-cache'] for it in responses] == ['MISS', 'HIT']
    assert {it.headers['x-path'] for it in responses} == {'/'}


async def test_fork_clear_by_namespace_by_key_and_enable_false():
    cache = FastAPICache(MemoryCache(), enabled=False)
    router = caching_router()

    @router.get('/users')
    @cache(ttl=60, namespace='users', key_builder=lambda _: 'all')
    async def users():
        return 1

    client = client_of(router)
    assert found(client, '/users', '/users') == [None, None]
    cache.enabled = True
    assert found(client, '/users', '/users') == ['MISS', 'HIT']
    await cache.invalidate_namespace('users')
    assert found(client, '/users', '/users') == ['MISS', 'HIT']
    assert await cache.invalidate_cached('all', namespace='users') == 1
    assert found(client, '/users') == ['MISS']


def test_fork_max_age_is_the_time_that_is_left():
    cache, router = memory_cache(), caching_router()

    @router.get('/')
    @cache(ttl=60, cache_control='max-age=ttl')
    async def endpoint():
        return 1

    client = client_of(router)
    assert client.get('/').headers['cache-control'] == 'max-age=60'
    assert client.get('/').headers['cache-control'] in {'max-age=60', 'max-age=59', 'max-age=58'}


# fastapi-cachex


def quick_start():
    cache, router, runs = FastAPICache(), caching_router(), []

    def ran(name):
        runs.append(name)
        return {'hello': name}

    @router.get('/')
    @cache(ttl=60)
    async def root():
        return ran('/')

    @router.get('/no-cache')
    @cache(store=False, cache_control='no-cache')
    async def no_cache():
        return ran('/no-cache')

    @router.get('/no-store')
    @cache(store=False, cache_control='no-store')
    async def no_store():
        return ran('/no-store')

    @router.get('/private')
    @cache(store=False, cache_control=CacheControl(private=True, max_age=60))
    async def private():
        return ran('/private')

    @router.get('/things/{thing}')
    @cache(ttl=60)
    async def thing(thing: int):
        return thing

    @router.get('/clear')
    async def clear(given: Annotated[FastAPICache, Depends(cache.dependency)]):
        await given.invalidate_path('/')
        await given.invalidate_path('/things/*')

    return SimpleNamespace(client=client_of(router), cache=cache, runs=runs)


def test_cachex_quick_start():
    shop = quick_start()
    assert found(shop.client, '/', '/', '/things/1', '/things/1') == ['MISS', 'HIT', 'MISS', 'HIT']
    assert shop.client.get('/clear').status_code == 200
    assert found(shop.client, '/', '/things/1') == ['MISS', 'MISS']


@pytest.mark.parametrize(
    ('path', 'said'), [('/no-cache', 'no-cache'), ('/no-store', 'no-store'), ('/private', 'private, max-age=60')]
)
def test_cachex_endpoints_that_are_not_stored_say_so(path, said):
    shop = quick_start()
    first, then = shop.client.get(path), shop.client.get(path)
    assert marks(first, then) == [None, None]
    assert shop.runs == [path] * 2
    assert then.headers['cache-control'] == said
    if path != '/no-store':
        unchanged = shop.client.get(path, headers={'if-none-match': first.headers['etag']})
        assert unchanged.status_code == 304


def test_cachex_hosts_are_kept_apart():
    cache = memory_cache(policy=CachePolicy(ttl=60, host=True))
    router = CachingRouter(cache)
    router.get('/')(lambda: 1)
    client = client_of(router)
    asked = [client.get('/', headers={'host': it}) for it in ('a.example', 'b.example', 'a.example')]
    assert marks(*asked) == ['MISS', 'MISS', 'HIT']


async def test_cachex_counts_keys_and_hits_can_be_seen():
    shop = quick_start()
    found(shop.client, '/things/1', '/things/2', '/things/2', '/')
    paths = sorted([it.path async for it in shop.cache.entries()])
    assert paths == ['/', '/things/1', '/things/2']
    (entry,) = [it async for it in shop.cache.entries(path='/things/1')]
    assert entry.status == 200
    assert entry.ttl_left > 0
    assert shop.cache.stats().total.hits == 1
    assert await shop.cache.erase(paths=['/things/*']) == 2
    app = FastAPI()
    app.include_router(console_router(shop.cache, unguarded=True), prefix='/cache')
    listed = TestClient(app).get('/cache/entries.json').json()['entries']
    assert [it['path'] for it in listed] == ['/']


DIRECTIVES = {
    'max_age': (60, 'max-age=60'),
    's_maxage': (60, 's-maxage=60'),
    'no_transform': (True, 'no-transform'),
    'must_understand': (True, 'must-understand'),
    'must_revalidate': (True, 'must-revalidate'),
    'proxy_revalidate': (True, 'proxy-revalidate'),
    'private': (True, 'private'),
    'public': (True, 'public'),
    'immutable': (True, 'immutable'),
    'stale_while_revalidate': (60, 'stale-while-revalidate=60'),
    'stale_if_error': (60, 'stale-if-error=60'),
}


@pytest.mark.parametrize('name', DIRECTIVES)
def test_cachex_directives_are_sent_with_misses_and_hits(name):
    value, said = DIRECTIVES[name]
    cache, router = memory_cache(), caching_router()

    @router.get('/')
    @cache(ttl=60, cache_control=CacheControl(**{name: value}))
    async def endpoint():
        return 1

    client = client_of(router)
    responses = [client.get('/') for _ in range(2)]
    assert marks(*responses) == ['MISS', 'HIT']
    assert {it.headers['cache-control'] for it in responses} == {said}


@pytest.mark.parametrize('method', ['PUT', 'PATCH', 'DELETE'])
def test_cachex_other_methods_reach_the_endpoint(method):
    cache, router, runs = memory_cache(), caching_router(), []

    @router.api_route('/', methods=['GET', method])
    @cache(ttl=60)
    async def endpoint():
        runs.append(1)

    client = client_of(router)
    assert marks(client.get('/'), client.request(method, '/'), client.get('/')) == ['MISS', None, 'MISS']
    assert len(runs) == 3
