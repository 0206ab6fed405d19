"""FastAPICache: its options, and entries by their keys."""

import asyncio
import inspect
import re
import typing

import pytest
from aiocache import SimpleMemoryCache
from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.datastructures import Headers

import fastapi_caching_route
from fastapi_caching_route import (
    DEFAULT_ACCEPTED_STATUS_CODES,
    CachedResponse,
    CacheError,
    CachePolicy,
    CachingRoute,
    ConfigurationError,
    FastAPICache,
)
from tests.support import Clock, caching_router, client_of, marks, memory_cache


@pytest.mark.parametrize(
    ('root', 'policy', 'own', 'key'),
    [
        (None, 'concat', None, 'user:7'),
        ('api', 'concat', None, 'api::user:7'),
        ('api', 'concat', 'users', 'api:users::user:7'),
        ('api', 'replace', 'users', 'users::user:7'),
        (None, 'concat', 'users', 'users::user:7'),
        (None, 'replace', 'users', 'users::user:7'),
        ('api:', 'concat', 'users', 'api:users::user:7'),
    ],
)
async def test_namespaces_are_joined_or_replaced_alike_for_routes_and_for_keys(root, policy, own, key):
    backend = SimpleMemoryCache(namespace=root)
    cache, router = FastAPICache(backend, namespace_policy=policy), caching_router()

    @cache(ttl=60, namespace=own, key_builder=lambda request: f'user:{request.path_params["user_id"]}')
    @router.get('/{user_id}')
    async def endpoint(user_id: int):
        return user_id

    client = client_of(router)
    assert marks(client.get('/7'), client.get('/7')) == ['MISS', 'HIT']
    assert list(backend._cache) == [key]
    assert (await cache.get_cached('user:7', namespace=own)).body == b'7'
    assert await cache.get_cached('user:8', namespace=own) is None
    assert [await cache.invalidate_cached('user:7', namespace=own) for _ in range(2)] == [1, 0]
    assert marks(client.get('/7')) == ['MISS']


async def test_a_response_can_be_stored_by_hand_and_is_served_like_any_other():
    cache, router = memory_cache(), caching_router()

    @cache(ttl=60, key_builder=lambda _: 'one')
    @router.get('/')
    async def endpoint():
        return 'of the endpoint'

    client = client_of(router)
    await cache.set_cached('one', JSONResponse({'by': 'hand'}), {'ttl': 60})
    response = client.get('/')
    assert (response.headers['x-cache'], response.json()) == ('HIT', {'by': 'hand'})
    assert client.get('/', headers={'if-none-match': response.headers['etag']}).status_code == 304
    stored = await cache.get_cached('one')
    await cache.set_cached('two', stored)
    again = await cache.get_cached('two')
    assert (again.body, again.status_code, again.headers['content-type']) == (
        b'{"by":"hand"}',
        200,
        'application/json',
    )


async def test_what_is_stored_by_hand_ends_with_its_ttl():
    clock = Clock()
    cache = memory_cache(clock=clock)
    await cache.set_cached('a', CachedResponse(b'body', headers=Headers({'x-a': '1'})), {'ttl': 0.5})
    await cache.set_cached('never', CachedResponse(b'body'), {'ttl': 0})
    assert (await cache.get_cached('a')).headers['x-a'] == '1'
    assert await cache.get_cached('never') is None
    clock.now += 0.6
    assert await cache.get_cached('a') is None


@pytest.mark.parametrize(
    ('of_cache', 'of_routes', 'given', 'lifetime'),
    [
        pytest.param(60, [], None, 60, id='of the cache'),
        pytest.param(None, [('', 60)], None, 60, id='of the route'),
        pytest.param(3600, [('', 60)], None, 60, id='of the route before that of the cache'),
        pytest.param(60, [('', 3600)], None, 3600, id='of the route though it is longer'),
        pytest.param(None, [('', 60), ('', 5)], None, 5, id='the shortest of several routes'),
        pytest.param(None, [('', 60), ('', 0)], None, 60, id='a route that stores nothing says nothing'),
        pytest.param(60, [('other', 5)], None, 60, id='not of a route in another namespace'),
        pytest.param(None, [('', 60)], 600, 600, id='what is given counts alone'),
        pytest.param(None, [('other', 5)], None, 30 * 24 * 3600, id='nobody says how long'),
    ],
)
async def test_what_is_stored_by_hand_without_a_ttl_has_that_of_its_route_or_of_the_cache(
    of_cache, of_routes, given, lifetime
):
    clock, router = Clock(), caching_router()
    cache = memory_cache(clock=clock, policy=CachePolicy(ttl=of_cache, namespace='users'))
    for number, (namespace, ttl) in enumerate(of_routes):
        options = {'namespace': namespace} if namespace else {}

        @cache(ttl=ttl, key_builder=lambda request: request.url.path, **options)
        @router.get(f'/{number}')
        async def endpoint():
            return 'of the endpoint'

    await cache.set_cached('/0', CachedResponse(b'body'), None if given is None else {'ttl': given})
    clock.now += lifetime - 1
    assert (await cache.get_cached('/0', 'users')).body == b'body'
    clock.now += 2
    assert await cache.get_cached('/0', 'users') is None


def test_parameters_are_completed_with_the_defaults_of_the_cache():
    cache = memory_cache(policy=CachePolicy(ttl=5, namespace='users'))
    assert cache.prepare_cache_params({'ttl': 7}) == {
        'namespace': 'users',
        'ttl': 7,
        'key_builder': None,
        'dependencies': (),
        'vary_headers': (),
    }
    assert cache.prepare_cache_params()['ttl'] == 5
    with pytest.raises(ConfigurationError, match='must not be negative'):
        cache.prepare_cache_params({'ttl': -1})


def test_the_header_and_its_values_can_be_chosen():
    cache, router = (
        memory_cache(cache_header='X-From', cache_header_hit='store', cache_header_miss='app'),
        caching_router(),
    )

    @cache(ttl=60)
    @router.get('/')
    async def endpoint():
        return 'answer'

    client = client_of(router)
    assert [client.get('/').headers['x-from'] for _ in range(2)] == ['app', 'store']
    response = JSONResponse({})
    cache.set_cache_header(response, hit=True)
    assert response.headers['X-From'] == 'store'
    cache.set_cache_header(response, hit=False)
    assert response.headers.getlist('x-from') == ['app']


def test_other_statuses_are_stored_where_they_are_accepted():
    cache, router = memory_cache(accepted_status_codes={200, 404}), caching_router()

    @cache(ttl=60)
    @router.get('/{status}')
    async def endpoint(status: int):
        return JSONResponse({}, status)

    client = client_of(router)
    assert marks(*(client.get(f'/{status}') for status in (404, 404, 418, 418))) == ['MISS', 'HIT', None, None]
    assert client.get('/404').status_code == 404
    assert client.get('/404', headers={'if-none-match': '*'}).status_code == 404
    assert {200} == DEFAULT_ACCEPTED_STATUS_CODES


@pytest.mark.parametrize(
    ('options', 'fault'),
    [
        ({'namespace_policy': 'join'}, "namespace_policy is 'concat' or 'replace', got 'join'"),
        ({'cache_header': ''}, 'cache_header must be'),
        ({'cache_header': 'a b'}, 'cache_header must be'),
        ({'namespace_policy': ['concat']}, 'namespace_policy is'),
        ({'clock': 1}, 'clock is a function'),
        ({'clock': lambda: None}, 'clock is a function'),
        ({'clock': asyncio.sleep}, 'clock is a function'),
        ({'document': 1}, 'document is True or False'),
        ({'invalidate_on_write': 'no'}, 'invalidate_on_write is True or False'),
        ({'store_timeout': 0}, 'store_timeout must be'),
        ({'recording_budget': 0}, 'recording_budget must be'),
        ({'cache_header_hit': 'a\r\nset-cookie: b'}, 'cache_header_hit must be'),
        ({'accepted_status_codes': {200, 206}}, 'except 206, 304, 412 and 416'),
        ({'accepted_status_codes': {100}}, 'final statuses'),
        ({'accepted_status_codes': {'200'}}, 'final statuses'),
    ],
)
def test_a_fault_in_the_options_of_the_cache_is_named(options, fault):
    with pytest.raises(ConfigurationError, match=fault):
        memory_cache(**options)


def test_a_backend_that_is_none_is_refused():
    with pytest.raises(ConfigurationError, match=re.escape('like MemoryCache() or RedisCache(...), got {}')):
        FastAPICache({})


@pytest.mark.parametrize(
    ('options', 'fault'),
    [
        ({'ttl': -1}, 'ttl is in seconds and must not be negative, got -1'),
        ({'ttl': float('nan')}, 'ttl is in seconds'),
        ({'ttl': '60'}, 'ttl is in seconds'),
        ({'ttl': True}, 'ttl is in seconds'),
        ({'max_body_size': -1}, 'max_body_size is in whole bytes'),
        ({'max_body_size': 1.5}, 'max_body_size is in whole bytes'),
        ({'key_builder': 'user:7'}, 'key_builder must be a plain function'),
        ({'dependencies': [print]}, 'dependencies must be a list like [Depends(check)]'),
        ({'dependencies': print}, 'dependencies must be a list like [Depends(check)]'),
        ({'vary_headers': 'accept'}, 'vary_headers must be a list of header names'),
        ({'vary_headers': ['']}, 'vary_headers must be'),
        ({'vary_headers': ['*']}, 'vary_headers must be'),
        ({'vary_headers': ['a b']}, 'vary_headers must be'),
        ({'namespace': 'a::b'}, 'namespace must be a str'),
        ({'namespace': ':a'}, 'namespace must be a str'),
        ({'namespace': 7}, 'namespace must be a str'),
    ],
)
def test_a_fault_in_a_decoration_is_named_with_the_endpoint(options, fault):
    async def endpoint():
        pass

    with pytest.raises(ConfigurationError, match=re.escape(fault)) as raised:
        memory_cache()(**options)(endpoint)
    assert '@cache on test_a_fault_in_a_decoration_is_named_with_the_endpoint.<locals>.endpoint: ' in str(raised.value)
    assert isinstance(raised.value, ValueError)
    assert isinstance(raised.value, CacheError)


def test_an_async_key_builder_is_refused():
    async def build(request: Request):
        return 'key'

    with pytest.raises(ConfigurationError, match='key_builder must be a plain function'):
        memory_cache()(key_builder=build)(lambda: None)


def test_what_cannot_be_decorated_is_refused():
    class Slotted:
        __slots__ = ()

        def method(self):
            pass

    with pytest.raises(ConfigurationError, match='takes no attributes; decorate a function, in the class body'):
        memory_cache()(ttl=60)(Slotted().method)
    with pytest.raises(ConfigurationError, match='an endpoint must be callable'):
        memory_cache()(ttl=60)('endpoint')


def test_the_last_of_two_decorations_counts():
    old, new, router = memory_cache(cache_header='x-old'), memory_cache(cache_header='x-new'), caching_router()

    @new(ttl=60)
    @old(ttl=60)
    @router.get('/')
    async def endpoint():
        return 'answer'

    headers = client_of(router).get('/').headers
    assert ('x-new' in headers, 'x-old' in headers) == (True, False)


def test_a_callable_object_can_be_an_endpoint():
    cache, router, runs = memory_cache(), caching_router(), []

    class Endpoint:
        def __call__(self, q: str = ''):
            runs.append(q)
            return q

    router.get('/')(cache(ttl=60)(Endpoint()))
    client = client_of(router)
    assert marks(client.get('/'), client.get('/'), client.get('/?q=a')) == ['MISS', 'HIT', 'MISS']
    assert runs == ['', 'a']


async def test_the_backend_keeps_being_the_users_own():
    backend = SimpleMemoryCache()
    cache, router = FastAPICache(backend), caching_router()

    @cache(ttl=60)
    @router.get('/')
    async def endpoint():
        return 'answer'

    client = client_of(router)
    await backend.set('mine', 'value')
    assert marks(client.get('/'), client.get('/')) == ['MISS', 'HIT']
    assert await backend.get('mine') == 'value'
    await backend.clear()
    assert marks(client.get('/')) == ['MISS']


async def test_a_value_of_somebody_else_or_of_another_key_is_a_miss():
    backend = SimpleMemoryCache()
    cache, router = FastAPICache(backend), caching_router()

    @cache(ttl=60, key_builder=lambda request: request.url.path.strip('/'))
    @router.get('/{name}')
    async def endpoint(name: str):
        return name

    client = client_of(router)
    await backend.set('foreign', {'status': 200})
    assert marks(client.get('/foreign'), client.get('/mine'), client.get('/mine')) == ['MISS', 'MISS', 'HIT']
    backend._cache['other'] = backend._cache['mine']
    response = client.get('/other')
    assert (response.json(), response.headers['x-cache']) == ('other', 'MISS')


def public_callables():
    for name in fastapi_caching_route.__all__:
        it = getattr(fastapi_caching_route, name)
        if isinstance(it, type) and not typing.get_args(it):
            yield from (
                member
                for _, member in inspect.getmembers(it, inspect.isfunction)
                if member.__module__.startswith('fastapi_caching_route')
            )
            if not issubclass(it, Exception | CachingRoute):
                yield it


@pytest.mark.parametrize('it', [*public_callables()], ids=lambda it: it.__qualname__)
def test_type_hints_of_every_public_callable_can_be_resolved(it):
    assert isinstance(typing.get_type_hints(it), dict)


def test_every_public_name_is_there_and_documented():
    for name in fastapi_caching_route.__all__:
        it = getattr(fastapi_caching_route, name)
        assert not isinstance(it, type) or typing.get_args(it) or inspect.getdoc(it)


async def is_async(request):
    return 'name'


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'key_builder': lambda: 'key'}, 'key_builder is called with the request alone'),
        ({'key_builder': lambda request, response: 'key'}, 'key_builder is called with the request alone'),
        ({'key_builder': is_async}, 'key_builder must be a plain function'),
        ({'identity': lambda: 'name'}, 'identity is called with the request alone'),
        ({'tags': lambda request, user: ['tag']}, 'tags is called with the request alone'),
    ],
)
def test_a_callable_that_cannot_be_called_with_the_request_is_refused(options, message):
    with pytest.raises(ConfigurationError, match=message):
        FastAPICache()(**options)(endpoint_of_nothing)


def endpoint_of_nothing(): ...


@pytest.mark.parametrize(
    'options',
    [
        {'key_builder': lambda request, *others, more=1: 'key'},
        {'key_builder': str},
        {'identity': is_async},
        {'tags': lambda request: ['tag']},
    ],
)
def test_a_callable_that_takes_more_than_it_needs_is_fine(options):
    FastAPICache()(**options)(lambda: None)


@pytest.mark.parametrize('thing', [FastAPI(), APIRouter()], ids=lambda it: type(it).__name__)
def test_what_is_no_endpoint_cannot_be_decorated(thing):
    with pytest.raises(ConfigurationError, match='decorate the functions behind the routes'):
        FastAPICache()(ttl=5)(thing)


def test_varying_with_the_whole_cookie_field_is_warned_of(caplog):
    FastAPICache()(ttl=5, vary_headers=['Cookie'])(lambda: None)
    assert [it.message for it in caplog.records if 'hardly two clients share' in it.message]
    caplog.clear()
    FastAPICache()(ttl=5, vary_headers=['accept-language'])(lambda: None)
    assert not caplog.records
