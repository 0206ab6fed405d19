"""`FastAPICache`: its options and attributes."""

import asyncio
import inspect
import re
import typing
from typing import Annotated

import pytest
from aiocache import SimpleMemoryCache
from fastapi import FastAPI, File
from fastapi.responses import JSONResponse
from starlette.testclient import TestClient

import fastapi_caching_route
from fastapi_caching_route import (
    DEFAULT_ACCEPTED_STATUS_CODES,
    CachePolicy,
    CachingRoute,
    ConfigurationError,
    FastAPICache,
)
from tests.support import caching_router, client_of, marks, memory_cache


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
        ({'namespace_policy': 'join'}, "namespace_policy must be 'concat' or 'replace', got 'join'"),
        ({'cache_header': ''}, 'cache_header must be'),
        ({'cache_header': 'a b'}, 'cache_header must be'),
        ({'namespace_policy': ['concat']}, 'namespace_policy must be'),
        ({'clock': 1}, 'clock must be a function'),
        ({'clock': lambda: None}, 'clock must be a function'),
        ({'clock': asyncio.sleep}, 'clock must be a function'),
        ({'document': 1}, 'document must be True or False'),
        ({'invalidate_on_write': 'no'}, 'invalidate_on_write must be True or False'),
        ({'store_timeout': 0}, 'store_timeout must be'),
        ({'recording_budget': 0}, 'recording_budget must be'),
        ({'cache_header_hit': 'a\r\nset-cookie: b'}, 'cache_header_hit must be'),
        ({'accepted_status_codes': {99}}, 'accepted_status_codes must be statuses'),
        ({'accepted_status_codes': {'200'}}, 'accepted_status_codes must be statuses'),
        ({'accepted_status_codes': 200}, 'accepted_status_codes must be statuses'),
        ({'enabled': 'no'}, 'enabled must be True or False'),
    ],
)
def test_a_fault_in_the_options_of_the_cache_is_named(options, fault):
    with pytest.raises(ConfigurationError, match=fault):
        memory_cache(**options)


def test_a_backend_that_is_none_is_refused():
    with pytest.raises(
        ConfigurationError, match=re.escape('such as MemoryCache() or RedisCache(...), got an object of dict')
    ):
        FastAPICache({})


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


def test_the_backend_of_a_cache_cannot_be_replaced():
    backend = SimpleMemoryCache()
    cache = FastAPICache(backend)
    assert cache.backend is backend
    with pytest.raises(ConfigurationError, match='build a new FastAPICache'):
        cache.backend = SimpleMemoryCache()
    assert cache.backend is backend


@pytest.mark.anyio
@pytest.mark.parametrize('how', ['concat', 'replace'])
async def test_a_namespace_of_no_letters_is_none(how):
    runs, app = [], FastAPI()
    backend = SimpleMemoryCache(namespace='api')
    default = FastAPICache(backend, namespace_policy=how)
    told = FastAPICache(backend, namespace_policy=how, policy=CachePolicy(namespace=''))
    for path, cache, options in (('/none', default, {}), ('/empty', default, {'namespace': ''}), ('/policy', told, {})):

        async def endpoint(file: Annotated[bytes, File()] = b''):
            runs.append(1)
            return len(runs)

        router = caching_router()
        router.get(path)(cache(ttl=60, key_builder=lambda request: 'key', **options)(endpoint))
        app.include_router(router)
    client = TestClient(app)
    assert [client.get(it).json() for it in ('/none', '/empty', '/policy')] == [1, 1, 1]
    stored = await default.get_cached('key', namespace='')
    assert stored is not None
    assert stored.body == b'1'
    await default.set_cached('other', stored, {'namespace': '', 'ttl': 60})
    assert await default.get_cached('other') is not None
    assert await default.invalidate_cached('key', namespace='') == 1
    assert client.get('/none').json() == 2
    await default.invalidate_namespace('api')  # of other routes, that have this one
    assert client.get('/empty').json() == 2
    assert CachePolicy(namespace='').namespace is None
