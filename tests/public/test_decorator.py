"""`@cache(...)`: what can be decorated, and mistakes that are found at once."""

import asyncio
import re
from datetime import timedelta
from typing import Annotated

import pytest
from aiocache import SimpleMemoryCache
from fastapi import APIRouter, Depends, FastAPI, Request

from fastapi_caching_route import CacheError, CachePolicy, ConfigurationError, FastAPICache
from tests.support import caching_router, client_of, found, marks, memory_cache


def test_the_decorator_without_parentheses_says_so():
    with pytest.raises(ConfigurationError, match='needs parentheses'):

        @memory_cache()
        async def endpoint():
            pass


@pytest.mark.parametrize(
    'misuse',
    [
        lambda: memory_cache(accepted_status_codes=200),
        lambda: memory_cache(policy={'ttl': 1}),
        lambda: memory_cache(version=3),
        lambda: FastAPICache(SimpleMemoryCache(ttl=-5)),
        lambda: memory_cache()(vary_headers=5)(lambda: None),
        lambda: memory_cache()(vary_headers=(it for it in ['x-a']))(lambda: None),
    ],
)
def test_misuse_has_a_clear_error(misuse):
    with pytest.raises(ConfigurationError):
        misuse()


def test_an_endpoint_that_is_decorated_twice_is_told(caplog):
    cache = memory_cache()
    cache(ttl=60)(cache(ttl=5)(endpoint_of_its_own()))
    cache(ttl=60)(cache(ttl=60)(endpoint_of_its_own()))
    memory_cache()(ttl=5)(cache(ttl=60)(endpoint_of_its_own()))
    (message,) = caplog.messages
    assert 'it is decorated twice, and only the last decorator applies' in message


@pytest.mark.parametrize('is_first', [True, False])
def test_a_write_that_is_cached_and_invalidates_is_told(caplog, is_first):
    cache = memory_cache()
    first, second = (cache(ttl=60), cache.invalidates(tags=['a'])) if is_first else (cache.invalidates(), cache())
    endpoint = second(first(endpoint_of_its_own()))
    (message,) = caplog.messages
    assert 'it has @cache.invalidates as well: hits do not run it' in message
    router = caching_router()
    router.post('/items')(endpoint)
    app = FastAPI()
    app.include_router(router)
    assert any('hits do not run it' in it for it in cache.explain(app)[-1].warnings)


def endpoint_of_its_own():
    async def endpoint():
        return 1

    return endpoint


def test_a_static_method_can_be_decorated_above_and_below():
    cache, router = memory_cache(), caching_router()

    class Endpoints:
        @cache(ttl=60)
        @staticmethod
        async def above():
            return 'above'

        @staticmethod
        @cache(ttl=60)
        async def below():
            return 'below'

    router.get('/above')(Endpoints.above)
    router.get('/below')(Endpoints.below)
    client = client_of(router)
    assert marks(*(client.get(it) for it in ('/above', '/above', '/below', '/below'))) == ['MISS', 'HIT'] * 2


def test_a_static_method_can_have_its_route_in_the_class_body():
    # Not async: older releases of FastAPI do not await such an object.
    cache, router = memory_cache(), caching_router()
    skipping = APIRouter(route_class=cache.route_class(ttl=60))

    class Endpoints:
        @router.get('/above')
        @cache(ttl=60)
        @staticmethod
        def above():
            return 'above'

        @router.get('/below')
        @staticmethod
        @cache(ttl=60)
        def below():
            return 'below'

        @skipping.get('/skipped')
        @cache.skip
        @staticmethod
        def skipped():
            return 'skipped'

    client = client_of(router, skipping)
    assert marks(*(client.get(it) for it in ('/above', '/above', '/below', '/below'))) == ['MISS', 'HIT'] * 2
    assert marks(client.get('/skipped'), client.get('/skipped')) == [None] * 2
    assert Endpoints.above.__name__ == 'above'


def test_an_endpoint_that_is_decorated_late_is_cached_from_then_on():
    cache, router = memory_cache(), caching_router()

    @router.get('/')
    async def endpoint():
        return 'answer'

    client = client_of(router)
    assert marks(client.get('/')) == [None]
    cache(ttl=60)(endpoint)
    assert marks(client.get('/'), client.get('/')) == ['MISS', 'HIT']


@pytest.mark.parametrize(
    ('options', 'fault'),
    [
        ({'ttl': -1}, "ttl must be a number of seconds, a timedelta, or a text like '90s', '5m', '1h30m' or '7d', and"),
        ({'ttl': float('nan')}, 'ttl must be a number of seconds'),
        ({'ttl': '60'}, 'ttl must be a number of seconds'),
        ({'ttl': True}, 'ttl must be a number of seconds'),
        ({'ttl': timedelta(-1)}, 'not negative, got datetime.timedelta(days=-1)'),
        ({'status_ttl': {404: 'soon'}}, 'status_ttl must be a number of seconds'),
        ({'endpoint_timeout': ''}, 'endpoint_timeout must be a number of seconds'),
        ({'collapse_timeout': '-5s'}, 'collapse_timeout must be a number of seconds'),
        ({'max_body_size': -1}, 'max_body_size is in whole bytes'),
        ({'max_body_size': 1.5}, 'max_body_size is in whole bytes'),
        ({'key_builder': 'user:7'}, 'key_builder must be a callable'),
        ({'dependencies': [print]}, 'dependencies must be a list like [Depends(check)]'),
        ({'dependencies': print}, 'dependencies must be a list like [Depends(check)]'),
        ({'vary_headers': 'accept'}, 'vary_headers must be a list of names'),
        ({'vary_headers': ['*']}, 'vary_headers must be'),
        ({'vary_headers': ['a b']}, 'vary_headers must be'),
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


def test_a_key_builder_may_be_async():
    router, cache = caching_router(), memory_cache()

    async def build(request: Request):
        await asyncio.sleep(0)
        return request.query_params['key']

    @router.get('/')
    @cache(ttl=60, key_builder=build)
    async def endpoint():
        return 'answer'

    assert found(client_of(router), '/?key=a', '/?key=b', '/?key=a') == ['MISS', 'MISS', 'HIT']


def test_an_async_key_builder_that_fails_bypasses_the_cache():
    router, cache = caching_router(), memory_cache()

    async def build(request: Request):
        raise ValueError

    @router.get('/')
    @cache(ttl=60, key_builder=build)
    async def endpoint():
        return 'answer'

    assert found(client_of(router), '/', '/') == [None, None]


def test_a_named_policy_takes_the_place_of_the_defaults():
    router, cache = caching_router(), memory_cache(policy=CachePolicy(ttl=60, vary_headers=['x-tenant']))
    short = CachePolicy(ttl='1m', tags=['short'])

    @router.get('/a')
    @cache(policy=short)
    async def a(): ...

    @router.get('/b')
    @cache(policy=short, ttl='2m')
    async def b(): ...

    reports = {it.path: it for it in cache.explain(client_of(router).app) if it.path in {'/a', '/b'}}
    assert [reports[it].ttl for it in ('/a', '/b')] == [60, 120]
    assert not any('x-tenant' in part for it in reports.values() for part in it.key)


def test_a_named_policy_of_another_kind_is_refused():
    with pytest.raises(ConfigurationError, match=r'policy must be a CachePolicy'):
        memory_cache()(policy={'ttl': 60})(lambda: None)


def test_what_cannot_be_decorated_is_refused():
    class Slotted:
        __slots__ = ()

        def method(self):
            pass

    with pytest.raises(
        ConfigurationError, match='does not allow attributes; decorate a function, and a method in its class body'
    ):
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


async def is_async(request):
    return 'name'


def named_by_default(user: str = Depends(is_async)):
    return user


def named_by_annotation(user: Annotated[str, Depends(is_async)]):
    return user


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'key_builder': lambda: 'key'}, 'key_builder is called with the request alone'),
        ({'key_builder': lambda request, response: 'key'}, 'key_builder is called with the request alone'),
        ({'store_if': is_async}, 'store_if must be a plain function'),
        (
            {'identity': lambda: 'name'},
            r'identity is called with the request alone.*for a dependency, write identity=Depends\(\.\.\.\)',
        ),
        ({'identity': named_by_default}, r'declares dependencies.*for a dependency, write identity=Depends\(\.\.\.\)'),
        ({'identity': named_by_annotation}, r'declares dependencies.*write identity=Depends'),
        ({'skip': named_by_default}, r'skip is called with the request alone, but .* declares dependencies: [^;]*$'),
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
    assert [it.message for it in caplog.records if 'hardly any two clients share' in it.message]
    caplog.clear()
    FastAPICache()(ttl=5, vary_headers=['accept-language'])(lambda: None)
    assert not caplog.records
