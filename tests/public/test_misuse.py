"""What is passed by mistake is refused, with the remedy."""

from typing import Annotated

import pytest
from fastapi import APIRouter, Depends, FastAPI
from starlette.applications import Starlette
from starlette.testclient import TestClient

from fastapi_caching_route import (
    CacheContext,
    CachingRoute,
    CachingRouter,
    ConfigurationError,
    FastAPICache,
    default_key,
)
from tests.support import found, marks, memory_cache

cache = memory_cache()


@pytest.mark.parametrize('thing', [None, FastAPI(), APIRouter(), Starlette()], ids=lambda it: type(it).__name__)
@pytest.mark.parametrize('decorate', [cache(ttl=60), cache.skip, cache.invalidates()], ids=['cache', 'skip', 'write'])
def test_what_is_no_endpoint_cannot_be_decorated(decorate, thing):
    with pytest.raises(ConfigurationError, match='decorate the functions behind the routes, not apps or routers'):
        decorate(thing)


@pytest.mark.parametrize('decorate', [cache(ttl=60), cache.skip, cache.invalidates()], ids=['cache', 'skip', 'write'])
def test_a_class_without_attributes_of_its_own_cannot_be_decorated(decorate):
    with pytest.raises(ConfigurationError, match='does not allow attributes; decorate a function'):
        decorate(dict)


@pytest.mark.parametrize('decorate', [cache.invalidates, cache.function, cache])
def test_a_decorator_without_its_parentheses_says_so(decorate):
    with pytest.raises(ConfigurationError, match='needs parentheses'):
        decorate(lambda: 1)


@pytest.mark.parametrize(
    ('called', 'call'),
    [
        ('cache', cache),
        ('route_class', cache.route_class),
        ('install', lambda **options: cache.install(FastAPI(), **options)),
        ('CachingRouter', lambda **options: CachingRouter(cache, **options)),
    ],
)
@pytest.mark.parametrize(('option', 'hint'), [('wrong', ''), ('expire', r"; did you mean 'ttl'\?")])
def test_an_unknown_option_is_named_with_what_was_called(called, call, option, hint):
    with pytest.raises(TypeError, match=rf"^{called}\(\) got an unexpected keyword argument '{option}'{hint}$"):
        call(**{option: 1})


@pytest.mark.parametrize(
    ('option', 'hint'),
    [
        ('stale_ttl', "did you mean 'stale_while_revalidate'"),
        ('private', "did you mean 'cache_control'"),
        ('coalesce', "did you mean 'collapse'"),
        ('with_lock', "did you mean 'lock'"),
        ('prefix', "did you mean 'namespace'"),
    ],
)
def test_an_option_of_another_cache_is_told_with_ours(option, hint):
    with pytest.raises(TypeError, match=hint):
        cache(**{option: 1})


def test_the_namespace_of_a_cache_is_told_to_be_one_of_its_backend():
    for option in ('namespace', 'prefix', 'key_prefix'):
        with pytest.raises(TypeError, match=r'namespace is an option of backends: FastAPICache\(.redis://'):
            FastAPICache(**{option: 'shop'})


def test_a_context_that_is_no_dependency_says_how_to_declare_it():
    async def endpoint(context: CacheContext): ...

    with pytest.raises(ConfigurationError, match=r'write `context: CacheContextDep`'):
        APIRouter(route_class=CachingRoute).get('/')(endpoint)


@pytest.mark.parametrize(
    ('decorate', 'remedy'),
    [
        (cache(ttl=60, tags=['of:{user}']), r'add the tag to context\.tags of a CacheContext'),
        (cache.invalidates(tags=['of:{user}']), r'call context\.invalidate\(tags=\[\.\.\.\]\) of a CacheContext'),
    ],
    ids=['read', 'write'],
)
def test_a_tag_that_the_route_cannot_fill_in_is_refused_with_another_way(decorate, remedy):
    async def endpoint(user: Annotated[str, Depends(lambda: 'ada')], page: int = 1): ...

    route = APIRouter(route_class=CachingRoute).post('/orders/{order}')
    with pytest.raises(ConfigurationError, match=rf'user, which is not .* its parameters: order, page; .*{remedy}'):
        route(decorate(endpoint))


@pytest.mark.parametrize('wrong', [None, 'CachingRoute', dict, APIRouter()])
def test_a_router_takes_only_classes_of_routes(wrong):
    with pytest.raises(ConfigurationError, match='route_class must be a subclass of APIRoute'):
        CachingRouter(cache, route_class=wrong)


@pytest.mark.parametrize('wrong', [None, {}, 'request', FastAPI()])
async def test_what_takes_a_request_says_so(wrong):
    with pytest.raises(ConfigurationError, match='default_key takes the request of an endpoint or a dependency'):
        await default_key(wrong)
    with pytest.raises(ConfigurationError, match='invalidate_request takes the request of an endpoint'):
        await cache.invalidate_request(wrong)


def test_install_without_a_ttl_caches_only_what_is_decorated():
    app, own = FastAPI(), FastAPICache()
    own.install(app, ttl=None)

    @app.get('/plain')
    async def plain():
        return 1

    @app.get('/decorated')
    @own(ttl=60)
    async def decorated():
        return 1

    assert found(TestClient(app), '/plain', '/plain') == [None, None]
    assert found(TestClient(app), '/decorated', '/decorated') == ['MISS', 'HIT']


def test_install_with_the_policy_of_the_cache_caches_all_of_it():
    app, own = FastAPI(), FastAPICache()
    own.install(app, policy=own.policy)

    @app.get('/plain')
    async def plain():
        return 1

    assert found(TestClient(app), '/plain', '/plain') == ['MISS', 'HIT']


@pytest.mark.parametrize('late', ['cache', 'skip', 'invalidates'])
def test_a_decorator_after_the_first_request_has_an_effect(late):
    app, own = FastAPI(), FastAPICache()
    own.install(app, policy=own.policy if late == 'skip' else None)

    @app.get('/tagged')
    @own(ttl=60, tags=['a'])
    async def tagged():
        return 1

    @app.get('/')
    async def endpoint():
        return 1

    client = TestClient(app)
    client.get('/')
    before = marks(client.get('/'), client.get('/tagged'))
    {'cache': own(ttl=60), 'skip': own.skip, 'invalidates': own.invalidates(tags=['a'])}[late](endpoint)
    after = marks(client.get('/'), client.get('/'), client.get('/tagged'))
    assert (before, after) == {
        'cache': ([None, 'MISS'], ['MISS', 'HIT', 'HIT']),
        'skip': (['HIT', 'MISS'], [None, None, 'HIT']),
        'invalidates': ([None, 'MISS'], [None, None, 'MISS']),
    }[late]


def test_other_options_after_the_first_request_have_an_effect():
    app, own = FastAPI(), FastAPICache()
    own.install(app)

    @app.get('/')
    @own(ttl=60)
    async def endpoint():
        return 1

    client = TestClient(app)
    assert found(client, '/', '/') == ['MISS', 'HIT']
    own(ttl=60, skip=lambda request: True)(endpoint)
    assert found(client, '/', '/') == [None, None]
