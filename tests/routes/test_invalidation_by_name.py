"""Invalidation by key, tag, endpoint, path and namespace, as clients see it."""

import asyncio
import itertools
from typing import Annotated

import pytest
from fastapi import Depends, Header, Request, Response
from fastapi.security import APIKeyHeader

from fastapi_caching_route import CacheContext, ConfigurationError, FastAPICache
from tests.backends.fakes import Elsewhere
from tests.support import asgi_scope, caching_router, client_of, closing, found, marks, memory_cache

serials = itertools.count()


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
        pytest.param(lambda it: it.cache.invalidate_path('/users/*'), USER_7 | {'user 8'} | POSTS, id='pattern'),
        pytest.param(
            lambda it: it.cache.invalidate_path('/users/7/*'), {'post of 7', 'german post of 7'}, id='below a path'
        ),
        pytest.param(lambda it: it.cache.invalidate_path('/use/*'), set(), id='pattern of no boundary'),
        pytest.param(lambda it: it.cache.invalidate_path('/*'), set(REQUESTS), id='pattern of all'),
        pytest.param(
            lambda it: it.cache.invalidate_request(Request(asgi_scope(path='/users/7', query=b'page=5'))),
            USER_7 - {'user 07'},
            id='path of a request',
        ),
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
        for name in ('tags', 'endpoint', 'path', 'request', 'namespace', 'cached'):
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
        (lambda it: it.cache.invalidate_tags(), 'one or more str'),
        (lambda it: it.cache.invalidate_tags(['a']), 'one or more str'),
        (lambda it: it.cache.invalidate_path('users'), 'must begin with a slash'),
        (lambda it: it.cache.invalidate_path('/users?page=2'), 'have no query'),
        (lambda it: it.cache.invalidate_path('/users/*/posts'), r"the only pattern for paths is '/\*' at the end"),
        (lambda it: it.cache.invalidate_path('/users/7*'), 'the only pattern'),
        (lambda it: it.cache.invalidate_path('*'), 'must begin with a slash'),
        (lambda it: it.cache.erase(paths=['/*/7']), 'the only pattern'),
        (lambda it: it.cache.invalidate_namespace(7), 'namespace must be a str'),
        (lambda it: it.cache.invalidate_cached(7), 'key must be a str'),
    ],
)
def test_what_cannot_be_meant_is_refused(client, invalidate, message):
    asked(client)
    with pytest.raises(ConfigurationError, match=message):
        client.portal.call(invalidate, client)
    assert missing(client) == set()


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


@pytest.mark.parametrize('path', ['users/7', '/users?page=1', '/users#top'])
def test_a_template_of_a_path_is_a_path(path):
    with pytest.raises(ConfigurationError, match='must begin with a slash and have no query'):
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


def test_an_endpoint_that_nothing_routes_is_an_error():
    cache = memory_cache()

    @cache(ttl=60)
    async def endpoint():
        return 1

    with pytest.raises(ConfigurationError, match='no CachingRoute serves it in this process'):
        asyncio.run(cache.invalidate_endpoint(endpoint))


@pytest.mark.parametrize('namespace', [None, ''])
def test_no_namespace_is_not_a_namespace_to_invalidate(namespace):
    with pytest.raises(ConfigurationError, match='takes the namespace of a route'):
        asyncio.run(memory_cache().invalidate_namespace(namespace))


def test_endpoints_are_a_list(client):
    with pytest.raises(ConfigurationError, match='endpoints must be a list'):
        client.cache.invalidates(endpoints=client.get_user)
