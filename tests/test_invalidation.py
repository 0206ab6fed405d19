"""Invalidation, as clients see it: by key, tag, endpoint, path and namespace, by writes, hard and soft."""

import asyncio
import itertools
import sys
import threading
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated
from urllib.parse import quote
from uuid import UUID

import pytest
from aiocache import RedisCache
from fastapi import APIRouter, BackgroundTasks, Body, Depends, FastAPI, Header, HTTPException, Query, Request, Response
from fastapi import Path as PathParameter
from fastapi.responses import JSONResponse, StreamingResponse
from fastapi.security import APIKeyHeader
from pydantic import AfterValidator
from starlette.testclient import TestClient

from fastapi_caching_route import (
    CacheContext,
    CachePolicy,
    CachingRoute,
    ConfigurationError,
    FastAPICache,
    InvalidationError,
)
from fastapi_caching_route._entry import Entry
from fastapi_caching_route._moments import Moments
from tests.support import FASTAPI, Clock, Elsewhere, asgi_scope, caching_router, client_of, marks, memory_cache, patient

serials = itertools.count()


@pytest.fixture
def backend(new_backend):
    return new_backend(namespace=f'invalidation{next(serials)}')


@pytest.fixture
def cache(backend):
    return FastAPICache(backend, store_timeout=5)


async def closing(backend):
    await (backend.client.aclose() if isinstance(backend, RedisCache) else backend.close())


@pytest.fixture
def client(cache, backend):
    """A shop: its routes, and a client of it."""
    router = caching_router()
    runs = []

    @router.get('/users/{user_id}')
    @cache(ttl=60, tags=['users', 'user:{user_id}'])
    async def get_user(
        user_id: int,
        page: int = 1,
        x_plan: Annotated[str, Header()] = '',
        key: str = Depends(APIKeyHeader(name='x-key', auto_error=False)),
    ):
        runs.append(user_id)
        return user_id

    @router.get('/users/{user_id}/posts/{slug}')
    @cache(ttl=60, namespace='posts', tags=lambda request: [f'author:{request.path_params["user_id"]}'])
    async def get_post(user_id: int, slug: str, response: Response):
        response.headers['vary'] = 'accept-language'
        runs.append(slug)
        return slug

    @router.get('/keyed')
    @cache(ttl=60, key_builder=lambda request: 'my key')
    async def keyed():
        runs.append('keyed')
        return 'keyed'

    with client_of(router) as client:
        client.cache, client.runs, client.get_user, client.get_post, client.keyed = (
            cache,
            runs,
            get_user,
            get_post,
            keyed,
        )
        yield client
        client.portal.call(closing, backend)


REQUESTS = {
    'user 7': ('/users/7', {}),
    'user 07': ('/users/07', {}),
    'page 2 of user 7': ('/users/7?page=2', {}),
    'user 7 of a plan': ('/users/7', {'x-plan': 'gold'}),
    'user 7 of somebody': ('/users/7', {'x-key': 'k'}),
    'user 8': ('/users/8', {}),
    'post of 7': ('/users/7/posts/a', {}),
    'german post of 7': ('/users/7/posts/a', {'accept-language': 'de'}),
    'post of 8': ('/users/8/posts/a', {}),
    'keyed': ('/keyed', {}),
}


def asked(client):
    """What each request finds."""
    return {name: marks(client.get(path, headers=headers))[0] for name, (path, headers) in REQUESTS.items()}


def missing(client):
    return {name for name, mark in asked(client).items() if mark == 'MISS'}


USER_7 = {'user 7', 'user 07', 'page 2 of user 7', 'user 7 of a plan', 'user 7 of somebody'}
POSTS = {'post of 7', 'german post of 7', 'post of 8'}


@pytest.mark.parametrize(
    ('invalidate', 'gone'),
    [
        pytest.param(lambda it: it.cache.invalidate_tags('user:7'), USER_7, id='tag'),
        pytest.param(lambda it: it.cache.invalidate_tags('user:8', 'author:8'), {'user 8', 'post of 8'}, id='two tags'),
        pytest.param(lambda it: it.cache.invalidate_tags('users'), USER_7 | {'user 8'}, id='tag of all'),
        pytest.param(lambda it: it.cache.invalidate_tags('author:7'), {'post of 7', 'german post of 7'}, id='callable'),
        pytest.param(lambda it: it.cache.invalidate_tags('user:', 'user', '7', 'user:70'), set(), id='other tags'),
        pytest.param(lambda it: it.cache.invalidate_endpoint(it.get_user), USER_7 | {'user 8'}, id='endpoint'),
        pytest.param(
            lambda it: it.cache.invalidate_endpoint(it.get_user, user_id=7), USER_7, id='endpoint with values'
        ),
        pytest.param(
            lambda it: it.cache.invalidate_endpoint(it.get_user, user_id='007'), USER_7, id='validated values'
        ),
        pytest.param(
            lambda it: it.cache.invalidate_endpoint(it.get_post, user_id=8, slug='a'), {'post of 8'}, id='two values'
        ),
        pytest.param(lambda it: it.cache.invalidate_path('/users/7'), USER_7 - {'user 07'}, id='path'),
        pytest.param(
            lambda it: it.cache.invalidate_path('/users/7', prefix=True),
            USER_7 - {'user 07'} | {'post of 7', 'german post of 7'},
            id='prefix',
        ),
        pytest.param(
            lambda it: it.cache.invalidate_path('/users', prefix=True), USER_7 | {'user 8'} | POSTS, id='prefix of all'
        ),
        pytest.param(
            lambda it: it.cache.invalidate_path('/users/', prefix=True), USER_7 | {'user 8'} | POSTS, id='slash'
        ),
        pytest.param(lambda it: it.cache.invalidate_path('/use', prefix=True), set(), id='no boundary'),
        pytest.param(lambda it: it.cache.invalidate_path('/users'), set(), id='only that path'),
        pytest.param(lambda it: it.cache.invalidate_path('/', prefix=True), set(REQUESTS), id='root'),
        pytest.param(lambda it: it.cache.invalidate_namespace('posts'), POSTS, id='namespace'),
        pytest.param(lambda it: it.cache.invalidate_cached('my key'), {'keyed'}, id='key'),
        pytest.param(lambda it: it.cache.invalidate_endpoint(it.keyed), {'keyed'}, id='endpoint with a key'),
        pytest.param(lambda it: it.cache.clear(), set(REQUESTS), id='clear'),
    ],
)
@pytest.mark.parametrize('soft', [False, True], ids=['hard', 'soft without a window'])
def test_what_is_invalidated_is_gone_and_nothing_else(client, invalidate, gone, soft, monkeypatch):
    assert missing(client) == set(REQUESTS)
    assert missing(client) == set()
    if soft:
        for name in ('tags', 'endpoint', 'path', 'namespace', 'cached'):
            hard = getattr(client.cache, f'invalidate_{name}')
            monkeypatch.setattr(
                client.cache, f'invalidate_{name}', lambda *args, hard=hard, **more: hard(*args, soft=True, **more)
            )
        clear = client.cache.clear
        monkeypatch.setattr(client.cache, 'clear', lambda: clear(soft=True))
    client.portal.call(invalidate, client)
    assert missing(client) == gone
    assert missing(client) == set()


def test_invalidating_by_key_says_how_many_keys_were_deleted(client):
    client.get('/keyed')
    assert [client.portal.call(client.cache.invalidate_cached, 'my key') for _ in range(2)] == [1, 0]


def test_other_things_in_the_store_are_left_alone(client, backend):
    asked(client)
    client.portal.call(lambda: backend.set('mine', 'value', namespace='elsewhere'))
    client.portal.call(lambda: backend.set('mine', 'value'))
    client.portal.call(client.cache.clear)
    assert client.portal.call(lambda: backend.get('mine', namespace='elsewhere')) == 'value'
    assert client.portal.call(backend.get, 'mine') == 'value'
    assert missing(client) == set(REQUESTS)


@pytest.mark.parametrize(
    ('invalidate', 'message'),
    [
        (lambda it: it.cache.invalidate_endpoint(len), 'not decorated with this cache'),
        (lambda it: memory_cache().invalidate_endpoint(it.get_user), 'not decorated with this cache'),
        (lambda it: it.cache.invalidate_endpoint(it.get_user, nobody=7), 'its path parameters are user_id; got nobody'),
        (lambda it: it.cache.invalidate_endpoint(it.get_post, slug='a'), 'are slug, user_id; got slug'),
        (lambda it: it.cache.invalidate_endpoint(it.get_user, user_id='x'), "'x' is not a valid user_id: .*integer"),
        (lambda it: it.cache.invalidate_endpoint(it.keyed, page=1), 'its path parameters are none; got page'),
        (lambda it: it.cache.invalidate_tags(), 'one or more texts'),
        (lambda it: it.cache.invalidate_tags(['a']), 'one or more texts'),
        (lambda it: it.cache.invalidate_path('users'), 'begins with a slash'),
        (lambda it: it.cache.invalidate_path('/users?page=2'), 'has no query'),
        (lambda it: it.cache.invalidate_namespace(7), 'namespace must be a str'),
        (lambda it: it.cache.invalidate_cached(7), 'a key is a str'),
    ],
)
def test_what_cannot_be_meant_is_refused(client, invalidate, message):
    asked(client)
    with pytest.raises(ConfigurationError, match=message):
        client.portal.call(invalidate, client)
    assert missing(client) == set()


def test_an_answer_that_was_computed_before_an_invalidation_is_never_served_after_it(cache, backend):
    router, truth = caching_router(), ['old']
    inside, go_on = asyncio.Event(), asyncio.Event()

    @router.get('/')
    @cache(ttl=60, tags=['it'])
    async def slow():
        found = truth[0]
        if found == 'old':
            inside.set()
            await go_on.wait()
        return found

    async def scenario(app):
        import httpx  # noqa: PLC0415, here alone

        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url='http://test') as client:
            first = asyncio.ensure_future(client.get('/'))
            await inside.wait()
            truth[0] = 'new'
            await cache.invalidate_tags('it')
            go_on.set()
            late = await first
            found = [await client.get('/') for _ in range(2)]
            await closing(backend)
            return [late, *found]

    app = FastAPI()
    app.include_router(router)
    late, *found = asyncio.run(scenario(app))
    assert late.json() == 'old'  # it was asked before
    assert late.headers.get('cache-status').endswith('detail=invalidated')
    assert [it.json() for it in found] == ['new', 'new']
    assert marks(*found) == ['MISS', 'HIT']


def test_a_soft_invalidation_lets_one_request_renew_what_all_others_are_served(cache, backend):
    clock = Clock()
    cache.clock = clock
    router, runs = caching_router(), []

    @router.get('/{name}')
    @cache(ttl=60, stale_while_revalidate=30, tags=['it'])
    async def endpoint(name: str):
        runs.append(name)
        return len(runs)

    with client_of(router) as client:
        assert client.get('/a').json() == 1
        clock.now += 10
        client.portal.call(lambda: cache.invalidate_tags('it', soft=True))
        clock.now += 5
        stale = client.get('/a')
        assert (stale.json(), stale.headers['age']) == (1, '15')
        assert stale.headers['cache-status'] == 'FastAPICache; hit; ttl=-5'
        assert marks(stale) == ['HIT']
        renewed = client.get('/a')
        assert (renewed.json(), renewed.headers['age'], len(runs)) == (2, '0', 2)
        client.portal.call(lambda: cache.invalidate_tags('it', soft=True))
        clock.now += 31
        assert client.get('/a').json() == 3  # its window is over
        client.portal.call(lambda: cache.invalidate_tags('it', soft=True))
        client.portal.call(cache.invalidate_tags, 'it')
        assert marks(client.get('/a')) == ['MISS']
        client.portal.call(closing, backend)


def test_a_stale_entry_is_renewed_after_its_lifetime_too():
    clock, router, runs = Clock(), caching_router(), []
    cache = memory_cache(clock=clock, policy=CachePolicy(stale_while_revalidate=30))

    @router.post('/')
    @cache(ttl=60)
    async def endpoint(body: Annotated[int, Body()], tasks: Annotated[int, Query()] = 0):
        runs.append(body)
        return len(runs)

    client = client_of(router)
    answers = []
    for seconds in (0, 61, 0, 89, 0, 91):
        clock.now += seconds
        answers.append(client.post('/', json=7).json())
    assert (answers, runs) == ([1, 1, 2, 2, 3, 4], [7, 7, 7, 7])


def test_a_renewal_that_fails_is_nobodys_and_leaves_the_stale_entry(caplog):
    clock, router, runs = Clock(), caching_router(), []
    cache = memory_cache(clock=clock)

    @router.get('/')
    @cache(ttl=60, stale_while_revalidate=30)
    async def endpoint():
        runs.append(1)
        if len(runs) > 1:
            raise RuntimeError('broken')
        return 'good'

    client = client_of(router)
    client.get('/')
    clock.now += 61
    assert [client.get('/').json() for _ in range(2)] == ['good', 'good']
    assert 'broken' in caplog.text
    clock.now += 31
    with pytest.raises(RuntimeError):
        client.get('/')


def test_a_stale_entry_is_behind_the_guards_too():
    clock, router, runs, revoked = Clock(), caching_router(), [], []
    cache = memory_cache(clock=clock)

    async def guard():
        if revoked:
            raise HTTPException(403)

    @router.get('/', dependencies=[Depends(guard)])
    @cache(ttl=60, stale_while_revalidate=30)
    async def endpoint():
        runs.append(1)
        return 'secret'

    client = client_of(router)
    client.get('/')
    clock.now += 61
    revoked.append(1)
    assert client.get('/').status_code == 403
    assert len(runs) == 1  # and who is not let in does not renew


# Writes


def shop(cache, route_class=CachingRoute, **options):
    """Routes that read and routes that write, and what they have run."""
    router, runs = APIRouter(route_class=CachingRoute), []
    writes = APIRouter(route_class=route_class)

    @router.get('/things')
    @cache(ttl=60)
    async def list_things(page: int = 1):
        runs.append('list')
        return len(runs)

    @router.get('/things/{thing_id}')
    @cache(ttl=60, tags=['thing:{thing_id}'])
    async def get_thing(thing_id: int):
        runs.append(thing_id)
        return len(runs)

    return router, writes, list_things, get_thing, runs


def found(client, *paths):
    return marks(*(client.get(path) for path in paths))


THINGS = ('/things', '/things?page=2', '/things/7', '/things/8')


@pytest.mark.parametrize('method', ['PUT', 'PATCH', 'DELETE', 'POST', 'PURGE'])
def test_a_write_invalidates_its_own_path(cache, backend, method):
    router, writes, *_ = shop(cache)

    @writes.api_route('/things', methods=[method])
    @writes.api_route('/things/{any_name}', methods=[method])
    async def write():
        return 'written'

    with client_of(router, writes) as client:
        found(client, *THINGS)
        assert client.request(method, '/things/7').status_code == 200
        assert found(client, *THINGS) == ['HIT', 'HIT', 'MISS', 'HIT']
        assert client.request(method, '/things').status_code == 200
        assert found(client, *THINGS) == ['MISS', 'MISS', 'HIT', 'HIT']
        client.portal.call(closing, backend)


@pytest.mark.parametrize(
    'case', ['switched off', 'an error', 'an exception', 'a safe method', 'a plain route', 'decorated']
)
def test_a_write_invalidates_nothing_where_it_must_not(case):
    cache = memory_cache(invalidate_on_write=case != 'switched off')
    router, writes, *_ = shop(cache, **({'route_class': APIRouter().route_class} if case == 'a plain route' else {}))
    decorate = cache(ttl=60) if case == 'decorated' else lambda it: it

    @writes.api_route('/things/7', methods=['OPTIONS'] if case == 'a safe method' else ['POST'])
    @decorate
    async def write():
        if case == 'an exception':
            raise HTTPException(409)
        return JSONResponse('no', 404) if case == 'an error' else 'written'

    client = client_of(router, writes)
    found(client, *THINGS)
    client.request('OPTIONS' if case == 'a safe method' else 'POST', '/things/7')
    assert found(client, *THINGS) == ['HIT'] * 4


def test_a_write_of_a_path_that_nobody_caches_costs_the_store_nothing(redis_port):
    backend = RedisCache(endpoint='127.0.0.1', port=redis_port, namespace='quiet')
    cache = FastAPICache(backend, store_timeout=5)
    router, writes, *_ = shop(cache)

    @writes.post('/elsewhere')
    async def write():
        return 'written'

    with client_of(router, writes) as client:
        found(client, '/things')
        before = client.portal.call(backend.client.get, 'quiet::%last')
        client.post('/elsewhere')
        assert client.portal.call(backend.client.get, 'quiet::%last') == before
        client.portal.call(closing, backend)


def test_a_write_behind_prefixes_and_mounts_invalidates_its_own_path():
    cache = memory_cache()
    router, writes, *_ = shop(cache)

    @writes.put('/things/{thing_id}')
    async def write(thing_id: int):
        return 'written'

    inner, outer = FastAPI(), FastAPI()
    inner.include_router(router, prefix='/{tenant}')
    inner.include_router(writes, prefix='/{tenant}')
    outer.mount('/api', inner)
    client = TestClient(outer)
    paths = ['/api/a/things/7', '/api/b/things/7', '/api/a/things']
    found(client, *paths)
    client.put('/api/a/things/7')
    assert found(client, *paths) == ['MISS', 'HIT', 'HIT']
    asyncio.run(cache.invalidate_path('/api/b', prefix=True))
    assert found(client, *paths) == ['HIT', 'MISS', 'HIT']


def test_a_stream_that_writes_until_its_end_invalidates_at_its_end_too():
    cache = memory_cache()
    router, writes, *_ = shop(cache)
    seen = []

    @writes.post('/things')
    async def write():
        async def stream():
            yield b'1'
            seen.extend(found(client, '/things'))  # somebody reads while it is written
            yield b'2'

        return StreamingResponse(stream())

    client = client_of(router, writes)
    found(client, '/things')
    client.post('/things')
    assert (seen, found(client, '/things')) == (['MISS'], ['MISS'])


ROUTE_CLASSES = pytest.mark.parametrize('route_class', [CachingRoute, APIRouter().route_class])


@ROUTE_CLASSES
@pytest.mark.parametrize('kind', ['async', 'sync'])
@pytest.mark.parametrize(
    ('options', 'expected'),
    [
        ({'tags': ['thing:{thing_id}']}, ['HIT', 'HIT', 'MISS', 'HIT']),
        ({'tags': lambda request: [f'thing:{request.headers["x-thing"]}']}, ['HIT', 'HIT', 'HIT', 'MISS']),
        ({'paths': ['/things/{thing_id}', '/things']}, ['MISS', 'MISS', 'MISS', 'HIT']),
        ({'endpoints': ['list_things']}, ['MISS', 'MISS', 'HIT', 'HIT']),
    ],
)
def test_a_decorated_write_invalidates_what_it_names(cache, backend, route_class, options, kind, expected):
    router, writes, list_things, *_ = shop(cache, route_class=route_class)
    if 'endpoints' in options:
        options = {'endpoints': [list_things]}

    if kind == 'async':

        @writes.post('/change/{thing_id}')
        @cache.invalidates(**options)
        async def write(thing_id: int, change: Annotated[str, Body()]) -> str:
            return change
    else:

        @writes.post('/change/{thing_id}')
        @cache.invalidates(**options)
        def write(thing_id: int, change: Annotated[str, Body()]) -> str:
            return change

    with client_of(router, writes) as client:
        found(client, *THINGS)
        response = client.post('/change/07', json='new', headers={'x-thing': '8'})
        assert (response.status_code, response.json()) == (200, 'new')
        assert found(client, *THINGS) == expected
        assert client.post('/change/x', json='new').status_code == 422
        schema = client.get('/openapi.json').json()['paths']['/change/{thing_id}']['post']
        assert [it['name'] for it in schema['parameters']] == ['thing_id']
        client.portal.call(closing, backend)


@ROUTE_CLASSES
def test_without_an_argument_a_write_invalidates_its_own_path(route_class):
    cache = memory_cache(invalidate_on_write=False)
    router, writes, *_ = shop(cache, route_class=route_class)

    @writes.put('/things/{thing_id}')
    @cache.invalidates()
    async def write(thing_id: int):
        return 'written'

    client = client_of(router, writes)
    found(client, *THINGS)
    client.put('/things/7')
    assert found(client, *THINGS) == ['HIT', 'HIT', 'MISS', 'HIT']


@ROUTE_CLASSES
@pytest.mark.parametrize('failure', ['exception', 'response', 'status', 'in a dependency', 'invalid answer'])
def test_a_decorated_write_that_fails_invalidates_nothing(route_class, failure):
    cache = memory_cache()
    router, writes, *_ = shop(cache, route_class=route_class)

    async def dependency(response: Response):
        if failure == 'in a dependency':
            response.status_code = 409

    @writes.post('/change', dependencies=[Depends(dependency)])
    @cache.invalidates(paths=['/things'])
    async def write(response: Response):
        if failure == 'exception':
            raise HTTPException(409)
        if failure == 'status':
            response.status_code = 409
        return JSONResponse('no', 409) if failure == 'response' else 'written'

    client = client_of(router, writes)
    found(client, *THINGS)
    expected = 200 if failure == 'invalid answer' else 409
    assert client.post('/change').status_code == expected
    assert found(client, *THINGS)[0] == ('MISS' if expected == 200 else 'HIT')


def test_a_decorator_of_a_write_works_above_its_route_on_a_caching_route():
    cache = memory_cache()
    router, writes, *_ = shop(cache)

    @cache.invalidates(tags=['thing:{thing_id}'])
    @cache.invalidates(paths=['/things'])
    @writes.post('/change/{thing_id}')
    async def write(thing_id: int):
        return 'written'

    client = client_of(router, writes)
    found(client, *THINGS)
    client.post('/change/7')
    assert found(client, *THINGS) == ['MISS', 'MISS', 'MISS', 'HIT']


@ROUTE_CLASSES
def test_several_decorators_of_one_write_all_count(route_class):
    cache, other = memory_cache(), memory_cache()
    router, writes, *_ = shop(cache, route_class=route_class)

    @router.get('/other')
    @other(ttl=60)
    async def of_other():
        return 1

    @writes.post('/change/{thing_id}')
    @other.invalidates(endpoints=[of_other])
    @cache.invalidates(tags=['thing:{thing_id}'])
    @cache.invalidates(paths=['/things'])
    async def write(thing_id: int):
        return 'written'

    client = client_of(router, writes)
    found(client, *THINGS, '/other')
    client.post('/change/7')
    assert found(client, *THINGS, '/other') == ['MISS', 'MISS', 'MISS', 'HIT', 'MISS']


async def test_a_decorated_write_can_be_called_like_any_function():
    cache = memory_cache()

    @cache.invalidates(tags=['a'])
    async def write(thing_id: int) -> int:
        """What it does."""
        return thing_id

    @cache.invalidates(tags=['a'])
    def write_in_thread(thing_id: int) -> int:
        return thing_id

    assert await write(7) == 7
    assert write_in_thread(thing_id=7) == 7
    assert (write.__name__, write.__doc__, write.__module__) == ('write', 'What it does.', __name__)


@pytest.mark.parametrize(
    ('decorate', 'message'),
    [
        (lambda cache: cache(tags='user'), 'tags must be a list of texts'),
        (lambda cache: cache(tags=['user:{user.id}']), 'with names of path parameters in braces'),
        (lambda cache: cache(tags=['user:{}']), 'with names of path parameters in braces'),
        (lambda cache: cache(tags=['user:{user_id!r}']), 'with names of path parameters in braces'),
        (lambda cache: cache(tags=['user:{']), 'with names of path parameters in braces'),
        (lambda cache: cache(tags=['user:{nobody}']), "'user:{nobody}' names nobody, .* there are user_id"),
        (lambda cache: cache(stale_while_revalidate=-1), 'stale_while_revalidate is in seconds'),
        (lambda cache: cache(stale_if_error='1'), 'stale_if_error is in seconds'),
        (lambda cache: cache.invalidates(tags=['user:{nobody}']), "'user:{nobody}' names nobody"),
        (lambda cache: cache.invalidates(paths=['/{nobody}']), "'/{nobody}' names nobody"),
        (lambda cache: cache.invalidates(paths='/users'), 'paths must be a list of texts'),
        (lambda cache: cache.invalidates(endpoints=[len]), 'not decorated with this cache'),
        (lambda cache: cache.invalidates(len), 'needs its parentheses'),
    ],
)
@pytest.mark.parametrize('above', [False, True])
def test_a_mistake_is_found_when_the_route_is_built(decorate, message, above):
    cache, router = memory_cache(), caching_router()

    async def endpoint(user_id: int):
        return user_id

    route = router.get('/{user_id}')
    with pytest.raises(ConfigurationError, match=message):
        decorate(cache)(route(endpoint)) if above else route(decorate(cache)(endpoint))


def test_tags_may_name_a_parameter_in_the_prefix_of_an_include():
    cache, router = memory_cache(), caching_router()

    @router.get('/users/{user_id}')
    @cache(ttl=60, tags=['org:{org}', 'user:{org}/{user_id}'])
    async def endpoint(org: str, user_id: int):
        return user_id

    app = FastAPI()
    app.include_router(router, prefix='/orgs/{org}')
    client = TestClient(app)
    paths = ['/orgs/a/users/7', '/orgs/a/users/8', '/orgs/b/users/7']

    def after(invalidation):
        asyncio.run(invalidation)
        return found(client, *paths)

    # Before any request, nobody knows of the prefix: then all entries of the endpoint go.
    asyncio.run(cache.invalidate_endpoint(endpoint, org='a', user_id=7))
    assert found(client, *paths) == ['MISS'] * 3
    assert after(cache.invalidate_tags('org:a')) == ['MISS', 'MISS', 'HIT']
    assert after(cache.invalidate_tags('user:a/7')) == ['MISS', 'HIT', 'HIT']
    assert after(cache.invalidate_endpoint(endpoint, org='a', user_id=7)) == ['MISS', 'HIT', 'HIT']
    assert after(cache.invalidate_endpoint(endpoint, user_id=7)) == ['MISS', 'HIT', 'MISS']


def test_a_tags_callable_that_fails_keeps_the_answer_from_being_stored(caplog):
    cache, router = memory_cache(), caching_router()

    @router.get('/{kind}')
    @cache(
        ttl=60,
        tags=lambda request: {'none': None, 'text': 'a', 'numbers': [7], 'good': {'a'}}[request.path_params['kind']],
    )
    async def endpoint(kind: str):
        return kind

    client = client_of(router)
    for kind in ('none', 'text', 'numbers', 'raises'):
        responses = [client.get(f'/{kind}') for _ in range(2)]
        assert [it.json() for it in responses] == [kind, kind]
        assert responses[1].headers['cache-status'] == 'FastAPICache; fwd=uri-miss; detail=tags'
    assert found(client, '/good', '/good') == ['MISS', 'HIT']
    assert caplog.text.count('the tags callable must return a list of texts') == 1


# CacheContext


def test_the_context_decides_about_this_answer_alone(cache, backend):
    clock, router, keys = Clock(), caching_router(), []
    cache.clock = clock

    async def dependency(context: Annotated[CacheContext, Depends()]):
        context.tags.add('by dependency')

    @router.get('/{kind}', dependencies=[Depends(dependency)])
    @cache(ttl=60)
    async def endpoint(kind: str, context: Annotated[CacheContext, Depends()]):
        keys.append(context.key)
        match kind:
            case 'short':
                context.ttl = 5
            case 'long':
                context.ttl = 100
            case 'over':
                context.ttl = -3.5
            case 'secret':
                context.no_store('it is\r\nX-Evil: a "secret"')
            case 'tagged':
                context.tags |= {'by endpoint'}
            case 'window':
                context.stale_while_revalidate = 10
        return kind

    with client_of(router) as client:
        kinds = ('plain', 'short', 'long', 'over', 'secret', 'tagged', 'window')
        first = {kind: client.get(f'/{kind}') for kind in kinds}
        assert {kind for kind, response in first.items() if 'x-cache' not in response.headers} == {'over', 'secret'}
        assert (
            first['secret'].headers['cache-status']
            == 'FastAPICache; fwd=uri-miss; detail="it is??X-Evil: a \\"secret\\""'
        )
        assert [key.partition(':')[0] for key in keys] == ['GET'] * len(kinds)
        clock.now += 6
        assert found(client, '/plain', '/short', '/long') == ['HIT', 'MISS', 'HIT']
        client.portal.call(cache.invalidate_tags, 'by endpoint')
        assert found(client, '/plain', '/tagged') == ['HIT', 'MISS']
        clock.now += 55
        assert client.get('/window').headers['cache-status'] == 'FastAPICache; hit; ttl=-1'
        assert found(client, '/plain', '/window', '/long') == ['MISS', 'HIT', 'HIT']
        client.portal.call(cache.invalidate_tags, 'by dependency')
        assert found(client, '/plain', '/window', '/long') == ['MISS', 'MISS', 'MISS']
        client.portal.call(closing, backend)


def test_the_context_is_not_raw_access_and_not_a_guard():
    cache, router = memory_cache(), caching_router()

    @router.get('/')
    @cache(ttl=60)
    async def endpoint(context: Annotated[CacheContext, Depends()]):
        return 1

    client = client_of(router)
    client.get('/?a=1', headers={'cookie': 'a=b', 'x-any': 'thing'})
    assert marks(client.get('/', headers={'authorization': 'x'})) == ['HIT']


def test_the_context_is_harmless_where_nothing_is_cached():
    router = APIRouter()

    @router.get('/')
    async def endpoint(context: Annotated[CacheContext, Depends()]):
        context.ttl = 5
        context.tags = ['a']
        context.stale_if_error = None
        context.no_store()
        return [context.key, context.ttl, context.tags, context.stale_if_error, context.stale_while_revalidate]

    assert client_of(router).get('/').json() == [None, 5, ['a'], None, None]


@pytest.mark.parametrize(
    ('name', 'value'), [('ttl', 'x'), ('ttl', float('nan')), ('stale_if_error', []), ('tags', 'abc'), ('tags', 7)]
)
def test_the_context_takes_no_nonsense(name, value):
    context = CacheContext(Request({'type': 'http'}))
    with pytest.raises(ConfigurationError, match=name):
        setattr(context, name, value)
    with pytest.raises(AttributeError):
        context.key = 'mine'


def test_the_key_of_a_key_builder_is_the_one_to_invalidate_by():
    cache, router, keys = memory_cache(), caching_router(), []

    @router.get('/')
    @cache(ttl=60, key_builder=lambda request: 'my key')
    async def endpoint(context: Annotated[CacheContext, Depends()]):
        keys.append(context.key)
        return 1

    client = client_of(router)
    client.get('/')
    asyncio.run(cache.invalidate_cached(keys[0]))
    assert found(client, '/') == ['MISS']


def test_tags_and_refusals_count_until_the_end_of_a_stream(cache, backend):
    router = caching_router()

    @router.get('/{kind}')
    @cache(ttl=60)
    async def endpoint(kind: str, context: Annotated[CacheContext, Depends()]):
        async def stream():
            yield b'1'
            if kind == 'tagged':
                context.tags.add('late')
            else:
                context.no_store('half of it is missing')
            yield b'2'

        return StreamingResponse(stream())

    with client_of(router) as client:
        assert found(client, '/tagged', '/tagged') == ['MISS', 'HIT']
        assert found(client, '/refused', '/refused') == ['MISS', 'MISS']
        client.portal.call(cache.invalidate_tags, 'late')
        assert found(client, '/tagged') == ['MISS']
        client.portal.call(closing, backend)


# A store that is down


def test_a_write_is_answered_while_the_store_is_down_and_its_invalidation_is_written_later(caplog, redis_server):
    caplog.set_level('INFO')
    backend = RedisCache(endpoint='127.0.0.1', port=redis_server.port, namespace='owed')
    cache = FastAPICache(backend, store_timeout=0.5)
    router, writes, *_ = shop(cache)

    @writes.put('/things/{thing_id}')
    @cache.invalidates(tags=['thing:{thing_id}'])
    async def write(thing_id: int):
        return 'written'

    with client_of(router, writes) as client:
        assert found(client, '/things/7', '/things/7') == ['MISS', 'HIT']
        redis_server.freeze()
        assert client.put('/things/7').json() == 'written'
        with pytest.raises(InvalidationError, match='tried again'):
            client.portal.call(cache.invalidate_tags, 'thing:8')
        redis_server.resume()
        # The old entry is still there, and this process does not use it, written or not.
        assert found(client, '/things/7') in (['MISS'], [None])
        assert 'could not be written yet' in caplog.text
        client.portal.call(cache.store.settled)
        assert 'all invalidations are written' in caplog.text
        assert not cache.store.debts
        found(client, '/things/7')
        assert found(client, '/things/7') == ['HIT']
        client.portal.call(closing, backend)


@pytest.mark.parametrize('broken', ['failing', 'hanging'])
def test_what_could_not_be_invalidated_yet_is_not_used_by_this_process(broken, caplog, monkeypatch):
    monkeypatch.setattr('fastapi_caching_route._debts.FIRST_WAIT', 0.01)
    backend = Elsewhere(namespace='owed')
    cache, sibling = FastAPICache(backend, store_timeout=0.02), FastAPICache(backend, store_timeout=0.02)
    router, writes, *_ = shop(cache)

    @router.get('/sibling')
    @sibling(ttl=60, tags=['thing:7'])
    async def of_sibling():
        return 1

    @writes.put('/things/{thing_id}')
    @cache.invalidates(tags=['thing:{thing_id}'])
    async def write(thing_id: int):
        return 'written'

    paths = ('/things/7', '/sibling', '/things')
    with client_of(router, writes) as client:
        found(client, *paths)
        getattr(backend, broken).add('set')
        assert client.put('/things/7').json() == 'written'
        with pytest.raises(InvalidationError, match='tried again'):
            client.portal.call(cache.invalidate_path, '/things')
        # Everything is there to be read, and only what is owed is not used. Nothing can be stored.
        assert found(client, *paths, '/things?page=2') == [None] * 4
        getattr(backend, broken).clear()
        client.portal.call(cache.store.settled)
        assert found(client, *paths) == ['MISS'] * 3
        assert found(client, *paths) == ['HIT'] * 3
    assert caplog.text.count('could not be written yet') == 1  # of one outage


# What fresh eyes have found


def test_what_a_dependency_commits_in_its_teardown_is_read_by_the_next_request():
    cache, router, rows = memory_cache(), caching_router(), {'committed': 'old'}
    client = None
    meanwhile = []

    @router.get('/row')
    @cache(ttl=60)
    async def read():
        return rows['committed']

    async def session():
        yield
        meanwhile.extend(client.get('/row').json() for _ in range(2))  # somebody reads before the commit
        rows['committed'] = 'new'

    @router.put('/row', dependencies=[Depends(session)])
    async def write():
        return 'written'

    client = client_of(router)
    client.get('/row')
    client.put('/row')
    assert meanwhile == ['old', 'old']
    assert client.get('/row').json() == 'new'


def test_what_a_background_task_writes_is_read_by_the_next_request():
    cache, router, rows = memory_cache(), caching_router(), ['old']

    @router.get('/row')
    @cache(ttl=60)
    async def read():
        return rows[-1]

    @router.put('/row')
    async def write(tasks: BackgroundTasks):
        tasks.add_task(lambda: [client.get('/row'), rows.append('new')])

    client = client_of(router)
    client.get('/row')
    client.put('/row')
    assert client.get('/row').json() == 'new'


def test_a_tag_of_a_parameter_that_is_not_in_the_path_keeps_the_answer_from_being_stored(caplog):
    cache, router = memory_cache(), caching_router()

    @router.get('/users')
    @cache(ttl=60, tags=['user:{user_id}'])
    async def endpoint(user_id: int):
        return user_id

    client = client_of(router)
    for _ in range(2):
        response = client.get('/users?user_id=7')
        assert (response.json(), response.headers['cache-status']) == (7, 'FastAPICache; fwd=uri-miss; detail=tags')
    assert 'names a parameter that is not in the path' in caplog.text


class Methods:
    def __init__(self, number):
        self.number = number

    async def read(self):
        return self.number

    async def write(self):
        return self.number


@ROUTE_CLASSES
def test_bound_methods_read_and_write_too(route_class):
    cache = memory_cache(invalidate_on_write=False)
    router, writes = caching_router(), APIRouter(route_class=route_class)
    one, two = Methods(1), Methods(2)
    for number, it in enumerate((one, two), 1):
        read = cache.invalidates(tags=['x'])(cache(ttl=60, tags=[f'of {number}'])(it.read))
        router.get(f'/{number}')(cache(ttl=60, tags=[f'of {number}'])(it.read) if number == 1 else read)
        writes.put(f'/{number}')(cache.invalidates(tags=[f'of {number}'])(it.write))
    client = client_of(router, writes)
    assert found(client, '/1', '/2', '/1', '/2') == ['MISS', 'MISS', 'HIT', 'HIT']
    client.put('/2')
    assert found(client, '/1', '/2') == ['HIT', 'MISS']
    asyncio.run(cache.invalidate_endpoint(one.read))
    assert found(client, '/1', '/2') == ['MISS', 'HIT']


def test_a_cached_post_that_invalidates_something_does_so_only_when_its_endpoint_runs():
    cache = memory_cache()
    router, runs = caching_router(), []

    @router.get('/counted')
    @cache(ttl=60, tags=['counted'])
    async def counted():
        return len(runs)

    @router.post('/search')
    @cache(ttl=60)
    @cache.invalidates(tags=['counted'])
    async def search(text: Annotated[str, Body()]):
        runs.append(text)
        return text

    client = client_of(router)
    found(client, '/counted')
    assert marks(client.post('/search', json='a')) == ['MISS']
    assert found(client, '/counted') == ['MISS']
    assert marks(client.post('/search', json='a')) == ['HIT']
    assert found(client, '/counted') == ['HIT']


def test_a_tag_that_is_no_text_never_breaks_a_stream(caplog):
    cache, router = memory_cache(), caching_router()

    @router.get('/')
    @cache(ttl=60)
    async def endpoint(context: Annotated[CacheContext, Depends()]):
        async def stream():
            yield b'1'
            context.tags.add(7)
            yield b'2'

        return StreamingResponse(stream())

    client = client_of(router)
    assert [client.get('/').text for _ in range(2)] == ['12', '12']
    assert found(client, '/') == ['MISS']


def test_a_parameter_of_the_query_is_no_path_parameter(client):
    asked(client)
    with pytest.raises(ConfigurationError, match='its path parameters are user_id; got page, user_id'):
        client.portal.call(lambda: client.cache.invalidate_endpoint(client.get_user, user_id=7, page=1))


@pytest.mark.parametrize('namespace', ['my app', ':colons:', 'ü'])
def test_any_namespace_of_a_backend_will_do(new_backend, namespace):
    backend = new_backend(namespace=f'{namespace}{next(serials)}')
    cache, router = FastAPICache(backend, store_timeout=5), caching_router()

    @router.get('/')
    @cache(ttl=60, tags=['it', 'any thing'])
    async def endpoint():
        return 1

    with client_of(router) as client:
        assert found(client, '/', '/') == ['MISS', 'HIT']
        client.portal.call(cache.invalidate_tags, 'any thing')
        assert found(client, '/', '/') == ['MISS', 'HIT']
        client.portal.call(closing, backend)


def test_a_write_in_a_mounted_router_invalidates_its_own_path():
    cache = memory_cache()
    router, *_ = shop(cache)

    @router.put('/things/{thing_id}')
    async def write(thing_id: int):
        return 'written'

    app = FastAPI()
    app.mount('/in', router)
    client = TestClient(app)
    found(client, '/in/things/7', '/in/things/8')
    client.put('/in/things/7')
    assert found(client, '/in/things/7', '/in/things/8') == ['MISS', 'HIT']


@pytest.mark.parametrize('path', ['users/7', '/users?page=1', '/users#top'])
def test_a_template_of_a_path_is_a_path(path):
    with pytest.raises(ConfigurationError, match='begins with a slash and has no query'):
        memory_cache().invalidates(paths=[path])


def test_many_tags_of_one_answer_are_stored_in_turn():
    backend = Elsewhere()
    cache, router = FastAPICache(backend, store_timeout=5), caching_router()

    @router.get('/')
    @cache(ttl=60)
    async def endpoint(context: Annotated[CacheContext, Depends()]):
        context.tags |= {f'user:{number}' for number in range(500)}
        return 1

    client = client_of(router)
    assert found(client, '/', '/') == ['MISS', 'HIT']
    assert backend.commands.count('multi_get') <= 8
    asyncio.run(cache.invalidate_tags('user:499'))
    assert found(client, '/', '/') == ['MISS', 'HIT']


def test_threads_that_read_while_others_invalidate_never_find_what_is_gone():
    moments, wrong, stop = Moments(), [], threading.Event()
    asyncio.run(moments.invalidate(None, ['a'], None))
    old = Entry('k', 200, (), b'', 0.0, 60.0, names=('a', 'b'), marks=0)

    def read():
        while not stop.is_set():
            for coroutine in (moments.stale_at(None, old, ()), moments.land(None, 0, ('a',), windowed=False)):
                found = at_once(coroutine)
                if found is not None:
                    wrong.append(found)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    readers = [threading.Thread(target=read) for _ in range(2)]
    try:
        for reader in readers:
            reader.start()
        for number in range(3000):
            at_once(moments.invalidate(None, ['a'], None))
            at_once(moments.invalidate(None, [f'other{number}'], 1.0))
    finally:
        stop.set()
        for reader in readers:
            reader.join()
        sys.setswitchinterval(interval)
    assert wrong == []


def at_once(coroutine):
    """What a coroutine gives that never waits."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError('it waits')


# What an attack has found


def made(cache, name):
    """A router like others, made by a function."""
    router = caching_router(prefix=f'/{name}')

    @router.get('/{number}')
    @cache(ttl=60)
    async def get(number: int):
        return name

    return router, get


def test_endpoints_of_one_name_are_told_apart_in_whatever_order_they_are_made():
    backend = Elsewhere()
    here, there = FastAPICache(backend), FastAPICache(backend)
    (users, _), (items, _) = made(here, 'users'), made(here, 'items')
    client = client_of(users, items)
    found(client, '/users/1', '/items/1')
    _, get_items = made(there, 'items')  # as another process may, which has no need of users
    asyncio.run(there.invalidate_endpoint(get_items, number=1))
    assert found(client, '/users/1', '/items/1') == ['HIT', 'MISS']
    asyncio.run(there.invalidate_endpoint(get_items))
    assert found(client, '/users/1', '/items/1') == ['HIT', 'MISS']


def test_a_method_stands_for_all_that_are_bound_of_it():
    cache, router = memory_cache(), caching_router()

    class Methods:
        @cache(ttl=60)
        async def get(self, number: int):
            return number

    for name in 'ab':
        router.get(f'/{name}/{{number}}')(Methods().get)
    client = client_of(router)
    found(client, '/a/1', '/b/1', '/b/2')
    asyncio.run(cache.invalidate_endpoint(Methods.get, number=1))
    assert found(client, '/a/1', '/b/1', '/b/2') == ['MISS', 'MISS', 'HIT']


def test_a_parameter_of_an_include_that_nobody_declares_is_no_error_before_the_first_request(caplog):
    cache, router = memory_cache(), caching_router()

    @router.get('/users/{user_id}')
    @cache(ttl=60)
    async def get_user(user_id: int):
        return 1

    asyncio.run(cache.invalidate_endpoint(get_user, tenant='a', user_id=7))
    assert 'all its entries are invalidated' in caplog.text


def test_an_endpoint_that_nothing_routes_is_an_error():
    cache = memory_cache()

    @cache(ttl=60)
    async def endpoint():
        return 1

    with pytest.raises(ConfigurationError, match='no CachingRoute serves it in this process'):
        asyncio.run(cache.invalidate_endpoint(endpoint))


PLAIN = APIRouter().route_class


@pytest.mark.parametrize('route_class', [CachingRoute, PLAIN])
@pytest.mark.parametrize('kind', ['async', 'sync', 'async stream', 'sync stream'])
def test_a_stream_of_a_decorated_write_invalidates_at_its_end(route_class, kind):
    cache = memory_cache(invalidate_on_write=False)
    router, writes, *_ = shop(cache, route_class=route_class)
    seen = []

    def parts():
        yield b'1'
        seen.extend(found(client, '/things'))
        yield b'2'

    async def async_parts():
        for part in parts():
            yield part

    if kind == 'async':

        @writes.post('/change')
        @cache.invalidates(paths=['/things'])
        async def write():
            return StreamingResponse(async_parts())
    elif kind == 'sync':

        @writes.post('/change')
        @cache.invalidates(paths=['/things'])
        def write():
            return StreamingResponse(async_parts())
    elif FASTAPI < (0, 160):
        pytest.skip('endpoints that yield came later')
    elif kind == 'async stream':

        @writes.post('/change', response_class=StreamingResponse)
        @cache.invalidates(paths=['/things'])
        async def write():
            async for part in async_parts():
                yield part
    else:

        @writes.post('/change', response_class=StreamingResponse)
        @cache.invalidates(paths=['/things'])
        def write():
            yield from parts()

    client = client_of(router, writes)
    found(client, '/things')
    assert client.post('/change').content == b'12'
    assert (len(seen), found(client, '/things')) == (1, ['MISS'])


@ROUTE_CLASSES
@pytest.mark.parametrize(('status', 'expected'), [(303, 'MISS'), (202, 'MISS'), (404, 'HIT')])
@pytest.mark.parametrize('kind', ['async', 'sync'])
def test_a_write_may_raise_its_answer(route_class, status, expected, kind):
    cache = memory_cache(invalidate_on_write=False)
    router, writes, *_ = shop(cache, route_class=route_class)

    def write():
        raise HTTPException(status, headers={'location': '/things'})

    async def write_async():
        write()

    writes.post('/change')(cache.invalidates(paths=['/things'])(write if kind == 'sync' else write_async))
    client = client_of(router, writes)
    found(client, '/things')
    assert client.post('/change', follow_redirects=False).status_code == status
    assert found(client, '/things') == [expected]


def number(thing_id: int):
    return thing_id


@ROUTE_CLASSES
@pytest.mark.parametrize('kind', ['alias', 'dependency', 'undeclared'])
def test_templates_of_a_write_hold_validated_values_wherever_they_are_declared(route_class, kind):
    cache = memory_cache()
    router, writes, *_ = shop(cache, route_class=route_class)
    decorate = cache.invalidates(tags=['thing:{thing_id}'])

    async def by_alias(its: Annotated[int, PathParameter(alias='thing_id')]):
        return its

    async def by_dependency(its: Annotated[int, Depends(number)]):
        return its

    async def undeclared():
        return 1

    endpoint = {'alias': by_alias, 'dependency': by_dependency, 'undeclared': undeclared}[kind]
    writes.post('/change/{thing_id}')(decorate(endpoint))
    client = client_of(router, writes)
    found(client, '/things/7')
    assert client.post('/change/7' if kind == 'undeclared' else '/change/07').status_code == 200
    assert found(client, '/things/7') == ['MISS']


class Opaque:
    """A value that is written with its address."""

    def __init__(self, number):
        self.number = number


def test_path_values_that_have_no_text_are_those_that_were_received():
    cache, router = memory_cache(), caching_router()

    @router.get('/{value}')
    @cache(ttl=60)
    async def endpoint(value: Annotated[int, AfterValidator(Opaque)]):
        return value.number

    client = client_of(router)
    found(client, '/7', '/8')
    asyncio.run(cache.invalidate_endpoint(endpoint, value=7))
    assert found(client, '/7', '/8') == ['MISS', 'HIT']


class Size(Enum):
    SMALL = 's'


@pytest.mark.parametrize(
    ('kind', 'paths', 'given', 'gone'),
    [
        (Size, ['s'], Size.SMALL, ['MISS']),
        (float, ['1.50', '-0.0', '0'], 0, ['HIT', 'MISS', 'MISS']),
        (Decimal, ['1.50', '1.5', '15e-1', '2'], '1.500', ['MISS', 'MISS', 'MISS', 'HIT']),
        (
            datetime,
            ['2026-01-01T00:00:00Z', '2026-01-01T01:00:00+01:00'],
            '2025-12-31T23:00:00-01:00',
            ['MISS', 'MISS'],
        ),
        (UUID, ['12345678123456781234567812345678'], UUID('12345678-1234-5678-1234-567812345678'), ['MISS']),
        (bool, ['true', 'yes', '0'], True, ['MISS', 'MISS', 'HIT']),
        (str, ['a b', 'ü', '%'], 'ü', ['HIT', 'MISS', 'HIT']),
    ],
)
def test_equal_path_values_are_one_however_they_are_written(kind, paths, given, gone):
    cache, router = memory_cache(), caching_router()

    async def endpoint(value):
        return 1

    endpoint.__annotations__['value'] = kind
    router.get('/{value}')(cache(ttl=60)(endpoint))
    client = client_of(router)
    urls = [f'/{quote(it)}' for it in paths]
    assert found(client, *urls) == ['MISS'] * len(urls)
    asyncio.run(cache.invalidate_endpoint(endpoint, value=given))
    assert found(client, *urls) == gone


def test_a_write_invalidates_its_own_path_in_a_mounted_app_too():
    cache = memory_cache()
    router, writes, *_ = shop(cache)

    @writes.put('/things/{thing_id}')
    async def write(thing_id: int):
        return 'written'

    inner, outer = FastAPI(), FastAPI()
    inner.include_router(router)
    outer.include_router(writes, prefix='/a')
    outer.mount('/a', inner)
    outer.mount('/b', inner)
    client = TestClient(outer)
    paths = ['/a/things/7', '/b/things/7', '/a/things/8']
    found(client, *paths)
    assert client.put('/a/things/7').status_code == 200
    assert found(client, *paths) == ['MISS', 'HIT', 'HIT']


@ROUTE_CLASSES
def test_a_static_method_can_be_a_decorated_write(route_class):
    cache = memory_cache(invalidate_on_write=False)
    router, writes, *_ = shop(cache, route_class=route_class)

    class Static:
        @cache.invalidates(paths=['/things'])
        @staticmethod
        async def write():
            return 'written'

    writes.post('/change')(Static.write)
    client = client_of(router, writes)
    found(client, '/things')
    assert client.post('/change').json() == 'written'
    assert found(client, '/things') == ['MISS']


@pytest.mark.parametrize('namespace', [None, ''])
def test_no_namespace_is_not_a_namespace_to_invalidate(namespace):
    with pytest.raises(ConfigurationError, match='takes the namespace of a route'):
        asyncio.run(memory_cache().invalidate_namespace(namespace))


def test_endpoints_are_a_list(client):
    with pytest.raises(ConfigurationError, match='endpoints must be a list'):
        client.cache.invalidates(endpoints=client.get_user)


async def test_a_stream_has_invalidated_before_its_client_has_the_end_of_it():
    backend = Elsewhere()
    cache = FastAPICache(backend, store_timeout=5)
    router, writes, *_ = shop(cache)

    @writes.post('/things')
    async def write():
        return StreamingResponse(iter([b'1', b'2']))

    app, written = FastAPI(), []
    app.include_router(router)
    app.include_router(writes)

    async def send(message):
        if message['type'] == 'http.response.start' or not message.get('more_body', False):
            written.append(backend.commands.count('set'))

    await app(asgi_scope('POST', '/things'), patient(), send)
    at_the_start, at_the_end = written
    assert at_the_end == 2 * at_the_start > 0
