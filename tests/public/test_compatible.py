"""All that fastapi-caching-route 0.6.0 had: its names, its options, and what they mean."""

import warnings

import pytest
from aiocache import SimpleMemoryCache
from fastapi import FastAPI, Response
from starlette.datastructures import Headers, MutableHeaders
from starlette.testclient import TestClient

import fastapi_caching_route
from fastapi_caching_route import CachedResponse, ConfigurationError, FastAPICache, main
from tests.support import caching_router, client_of, found, marks, memory_cache


def warnings_of(caplog):
    return [it.getMessage() for it in caplog.records if it.levelname == 'WARNING']


def test_its_module_has_the_same_objects_as_the_package():
    names = {'FastAPICache', 'CachingRoute', 'CachedResponse', 'CacheParams', 'CacheParamsBase', 'KeyBuilder'}
    assert set(main.__all__) == {*names, 'RouteHandler', 'DEFAULT_ACCEPTED_STATUS_CODES'}
    assert all(getattr(main, name) is getattr(fastapi_caching_route, name) for name in main.__all__)


@pytest.mark.parametrize('given', [Response(), MutableHeaders()], ids=['response', 'headers'])
def test_the_cache_header_is_set_on_a_response_or_on_headers(given):
    headers = given if isinstance(given, MutableHeaders) else given.headers
    for hit, value in ((True, 'HIT'), (False, 'MISS')):
        memory_cache().set_cache_header(given, hit=hit)
        assert headers.getlist('x-cache') == [value]


async def test_a_stored_response_is_read_like_a_dict():
    cache = memory_cache()
    given = {'content': b'body', 'headers': [('x-a', '1'), ('X-A', '2')], 'status_code': 200, 'more': object()}
    assert await cache.set_cached('key', given, {'ttl': 60}) is True
    stored = await cache.get_cached('key')
    assert (stored['content'], stored['status_code']) == (b'body', 200)
    assert [it for it in stored['headers'] if it[0] == 'x-a'] == [('x-a', '1'), ('x-a', '2')]
    assert dict(stored) == {name: stored[name] for name in ('content', 'headers', 'status_code')}
    assert stored.get('other') is None
    assert await cache.set_cached('other', dict(stored)) is True
    assert (await cache.get_cached('other')).body == b'body'


def test_a_stored_response_is_made_of_its_content_or_its_body():
    by_name = CachedResponse(content=b'a', headers=[('A', 'b')], status_code=404)
    assert by_name == CachedResponse(b'a', 404, Headers({'a': 'b'})) == CachedResponse(b'a', 404, {'a': 'b'})
    for wrong in ({}, {'body': b'', 'content': b''}):
        with pytest.raises(TypeError, match='either body or content'):
            CachedResponse(**wrong)


@pytest.mark.parametrize(
    'given',
    [
        {},
        {'content': 'text'},
        {'content': 5},
        {'content': b'', 'headers': 5},
        {'content': b'', 'headers': [('a',)]},
        {'content': b'', 'headers': [('a', '\u20ac')]},
        {'content': b'', 'headers': [(b'a', b'b')]},
    ],
)
async def test_a_dict_that_is_no_response_is_refused(given):
    with pytest.raises(ConfigurationError, match=r"a dict like \{'content'"):
        await memory_cache().set_cached('key', given)


@pytest.mark.parametrize('headers', [[('a', 'b\r\nset-cookie: c=1')], [('a\r\nb', 'c')], [('set-cookie', 'c=1')]])
async def test_a_dict_with_headers_that_must_not_be_sent_is_not_stored(headers):
    cache = memory_cache()
    with pytest.raises(ConfigurationError, match='must not be stored'):
        await cache.set_cached('key', {'content': b'', 'headers': headers})
    assert await cache.get_cached('key') is None


async def test_whether_a_response_was_stored_is_returned():
    full = FastAPICache(fastapi_caching_route.MemoryCache(max_bytes=10_000))
    assert await full.set_cached('key', CachedResponse(b'a' * 1000)) is True
    assert await full.set_cached('key', CachedResponse(b'a' * 20_000)) is False
    assert await memory_cache().set_cached('key', CachedResponse(b''), {'ttl': 0}) is False
    assert await FastAPICache.deferred().set_cached('key', CachedResponse(b'')) is False


@pytest.mark.parametrize(
    ('root', 'policy', 'given', 'joined'),
    [
        ('api', 'concat', 'users', 'api:users'),
        ('api', 'replace', 'users', 'users'),
        (None, 'concat', 'users', 'users'),
        ('api', 'concat', '', None),
    ],
)
async def test_prepared_params_hold_the_joined_namespace_which_is_not_joined_again(root, policy, given, joined):
    cache = FastAPICache(SimpleMemoryCache(namespace=root), namespace_policy=policy)
    params = cache.prepare_cache_params({'namespace': given, 'ttl': 60})
    assert params == {'namespace': joined or root, 'ttl': 60}
    assert await cache.set_cached('key', CachedResponse(b'body'), {**params}) is True
    assert (await cache.get_cached('key', given)).body == b'body'
    assert (await cache.get_cached('key', params['namespace'])).body == b'body'
    assert await cache.invalidate_cached('key', params['namespace']) == 1
    assert cache.prepare_cache_params(params) == params


@pytest.mark.parametrize('codes', [range(100, 600), iter([200, 404, 206]), (it for it in (100, 200, 404, 304))])
def test_any_iterable_of_statuses_is_taken_and_those_that_are_never_stored_are_left_out(codes, caplog):
    cache = memory_cache(accepted_status_codes=codes)
    assert {200, 404} <= cache.accepted_status_codes
    assert cache.accepted_status_codes.isdisjoint({*range(100, 200), 206, 304, 412, 416})
    (said,) = warnings_of(caplog)
    assert 'leave them out' in said


def test_statuses_that_can_be_stored_need_no_warning(caplog):
    assert memory_cache(accepted_status_codes=range(200, 206)).accepted_status_codes == frozenset(range(200, 206))
    assert not caplog.records


def test_vary_headers_are_stripped_and_empty_ones_ignored_with_a_warning(caplog):
    cache, router = memory_cache(), caching_router()

    @router.get('/')
    @cache(ttl=60, vary_headers=[' Accept-Language ', '', '  '])
    async def endpoint():
        return 'answer'

    assert client_of(router).get('/').headers['vary'] == 'accept-language'
    (said,) = warnings_of(caplog)
    assert 'endpoint: vary_headers contains an empty name' in said


@pytest.mark.parametrize('root', [None, 'api', 'api:', ':a::b:'])
@pytest.mark.parametrize('own', ['users:', ':users', 'a::b', 'a:::b', '::', '', ':'])
async def test_colons_may_stand_anywhere_in_a_namespace(root, own):
    cache, router = FastAPICache(SimpleMemoryCache(namespace=root)), caching_router()

    @router.get('/{name}')
    @cache(ttl=60, namespace=own, key_builder=lambda request: request.path_params['name'])
    async def endpoint(name: str):
        return name

    client = client_of(router)
    assert found(client, '/a', '/a', '/b') == ['MISS', 'HIT', 'MISS']
    assert (await cache.get_cached('a', own)).body == b'"a"'
    assert await cache.invalidate_cached('a', own) == 1
    assert marks(client.get('/a')) == ['MISS']
    if own.strip(':'):
        await cache.invalidate_namespace(own)
        assert marks(client.get('/a')) == ['MISS']
    else:
        with pytest.raises(ConfigurationError, match='takes the namespace of a route'):
            await cache.invalidate_namespace(own)


@pytest.mark.parametrize(('left', 'right'), [(('a', ':b'), ('a:', 'b')), (('a::b', 'c'), ('a', 'b::c'))])
async def test_no_key_is_that_of_another_namespace(left, right):
    cache = memory_cache()
    await cache.set_cached(left[1], CachedResponse(b'left'), {'namespace': left[0]})
    assert await cache.get_cached(right[1], right[0]) is None


def test_nothing_of_it_is_deprecated():
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        assert main.FastAPICache(SimpleMemoryCache(), namespace_policy='replace') is not None


@pytest.mark.parametrize('method', ['PUT', 'PATCH', 'DELETE'])
def test_one_function_may_read_and_write_on_stacked_routes(method, caplog):
    cache, router, runs = FastAPICache(), caching_router(), []

    @cache(ttl=60)
    @router.get('/')
    @router.api_route('/', methods=[method])
    async def endpoint():
        runs.append(1)

    app = FastAPI(lifespan=cache.lifespan)
    app.include_router(router)
    with TestClient(app) as client:
        assert marks(client.get('/'), client.get('/'), client.request(method, '/')) == ['MISS', 'HIT', None]
    assert len(runs) == 2
    (message,) = warnings_of(caplog)
    assert f'also has a route for {method}, which cannot be cached' in message


async def test_other_keys_of_a_dict_that_is_stored_are_ignored():
    cache = memory_cache()
    assert await cache.set_cached('k', {'content': b'a', 'headers': [], 'status_code': 200, 'etag': '"x"', 'other': 1})
    assert sorted(await cache.get_cached('k')) == ['content', 'headers', 'status_code']
