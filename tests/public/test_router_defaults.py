"""What belongs to a router whose routes are cached: writes, the console, reports, documents, options, mistakes."""

from typing import Annotated

import pytest
from fastapi import APIRouter, Depends, FastAPI, Response
from fastapi.routing import APIRoute
from fastapi.security import APIKeyHeader
from starlette.testclient import TestClient

from fastapi_caching_route import (
    CacheContextDep,
    CacheControl,
    CachePolicy,
    CachingRoute,
    CachingRouter,
    ConfigurationError,
    FastAPICache,
)
from fastapi_caching_route.console import console_router
from tests.support import FASTAPI, Clock, client_of, found, memory_cache


def test_writes_of_the_router_invalidate_their_path_and_what_they_name():
    cache, runs = memory_cache(), []
    router = CachingRouter(cache, ttl=60, policy=CachePolicy(tags=['items']))

    @router.get('/items')
    async def items():
        runs.append(1)
        return len(runs)

    @router.post('/items')
    async def add(): ...

    @router.put('/one')
    @cache.invalidates(endpoints=[items])
    async def change(): ...

    @router.put('/two')
    async def change_by_context(context: CacheContextDep):
        context.invalidate(endpoints=[items])

    @router.delete('/three')
    @cache.invalidates(tags=['items'])
    async def delete(): ...

    client = client_of(router)
    for method, path in (('POST', '/items'), ('PUT', '/one'), ('PUT', '/two'), ('DELETE', '/three')):
        assert found(client, '/items', '/items') == ['MISS', 'HIT']
        assert client.request(method, path).status_code == 200
    assert found(client, '/items') == ['MISS']


def test_a_get_that_invalidates_is_not_cached():
    cache = memory_cache()
    router = CachingRouter(cache, ttl=60)

    @router.get('/refresh')
    @cache.invalidates(paths=['/page'])
    async def refresh():
        return 1

    @router.get('/page')
    async def page():
        return 1

    client = client_of(router)
    assert found(client, '/page', '/page', '/refresh', '/page', '/refresh', '/page') == [
        *('MISS', 'HIT', None, 'MISS', None, 'MISS')
    ]


async def test_its_endpoints_can_be_invalidated_by_name_and_listed():
    cache = memory_cache()
    router = CachingRouter(cache, ttl=60, prefix='/items')

    @router.get('/{item}')
    async def get_item(item: int):
        return item

    client = client_of(router)
    assert found(client, '/items/1', '/items/2', '/items/1') == ['MISS', 'MISS', 'HIT']
    assert [it.path async for it in cache.entries(endpoint=get_item)] == ['/items/1', '/items/2']
    await cache.invalidate_endpoint(get_item, item=1)
    assert found(client, '/items/1', '/items/2') == ['MISS', 'HIT']
    cache.invalidate_soon(endpoints=[get_item])
    assert found(client, '/items/1', '/items/2') == ['MISS', 'MISS']

    other = memory_cache()
    with pytest.raises(ConfigurationError, match='not decorated with this cache'):
        await other.invalidate_endpoint(get_item)


def test_the_pages_of_the_console_are_never_cached():
    cache, app = memory_cache(), FastAPI()
    cache.install(app, ttl=60)
    router = CachingRouter(cache, ttl=60, prefix='/admin')
    router.include_router(console_router(cache, unguarded=True), prefix='/cache')
    app.include_router(router)
    app.include_router(console_router(cache, unguarded=True), prefix='/cache')
    client = TestClient(app)
    for path in ('/', '/console.js', '/stats.json', '/routes.json', '/entries.json'):
        for prefix in ('/cache', '/admin/cache'):
            for _ in range(2):
                response = client.get(prefix + path)
                assert response.status_code == 200
                assert response.headers['cache-control'] == 'no-store'
                assert 'x-cache' not in response.headers
                assert 'cache-status' not in response.headers


def test_explain_and_the_console_show_by_what_a_route_is_cached():
    cache = memory_cache()
    router = CachingRouter(cache, ttl=60)

    async def named(page: int = 1): ...

    @router.get('/default')
    async def default(_: Annotated[None, Depends(named)]): ...

    @router.get('/own')
    @cache(ttl=5)
    async def own(): ...

    @router.get('/skipped')
    @cache.skip
    async def skipped(): ...

    @router.post('/write')
    async def write(): ...

    reports = {it.path: it for it in cache.explain(client_of(router).app)}
    by_router = reports['/default']
    assert by_router.cached
    assert by_router.ttl == 60
    assert any('named' in it for it in by_router.guards)
    assert by_router.conditions == ('cached by its router, with all dependencies on hits',)
    assert reports['/own'].ttl == 5
    assert reports['/own'].conditions == ()
    assert reports['/skipped'].why_not == 'not cached by its router: @cache.skip'
    assert reports['/write'].why_not == 'not decorated'

    app = client_of(router).app
    app.include_router(console_router(cache, unguarded=True), prefix='/cache')
    routes = TestClient(app).get('/cache/routes.json').json()
    shown = next(it for it in routes if it['path'] == '/default')
    assert shown['cached']
    assert not shown['is_of_other_cache']


@pytest.mark.parametrize('above', [True, False])
def test_the_schema_describes_what_is_cached_and_only_that(above):
    cache = memory_cache(document=True)
    router = CachingRouter(cache, ttl=60)
    router.get('/default')(lambda: 1)

    async def left_out(): ...

    async def written(): ...

    for path, endpoint, decorator in (('/skipped', left_out, cache.skip), ('/writes', written, cache.invalidates())):
        if above:
            decorator(router.get(path)(endpoint))
        else:
            router.get(path)(decorator(endpoint))
    paths = client_of(router).get('/openapi.json').json()['paths']
    assert '304' in paths['/default']['get']['responses']
    assert '304' not in paths['/skipped']['get']['responses']
    assert '304' not in paths['/writes']['get']['responses']
    assert 'headers' not in paths['/skipped']['get']['responses']['200']


def test_a_route_class_of_ones_own_stays_in_use():
    seen = []

    class Timed(APIRoute):
        def get_route_handler(self):
            handler = super().get_route_handler()

            async def timed(request):
                seen.append(request.url.path)
                return await handler(request)

            return timed

    router = CachingRouter(memory_cache(), ttl=60, route_class=Timed)
    router.get('/')(lambda: 1)
    assert isinstance(router.routes[0], Timed)
    assert isinstance(router.routes[0], CachingRoute)
    assert found(client_of(router), '/', '/') == ['MISS', 'HIT']
    assert seen == ['/']


def test_a_router_that_others_build_is_cached_where_they_take_a_route_class():
    def router_of_others(**options):
        router = APIRouter(**options)

        @router.get('/things')
        async def things():
            return []

        return router

    cache = memory_cache()
    cached, plain = router_of_others(route_class=cache.route_class(ttl=60)), router_of_others(prefix='/plain')
    client = client_of(cached, plain)
    assert found(client, '/things', '/things', '/plain/things', '/plain/things') == ['MISS', 'HIT', None, None]


def test_a_later_install_replaces_the_defaults_of_an_earlier_one():
    clock = Clock()
    cache, router = memory_cache(clock=clock), APIRouter()
    cache.install(router)
    router.get('/plain')(lambda: 1)
    cache.install(router, ttl=60)
    router.get('/long')(lambda: 1)
    cache.install(router, ttl=5)
    router.get('/short')(lambda: 1)
    client = client_of(router)
    assert found(client, '/plain', '/plain', '/long', '/short') == [None, None, 'MISS', 'MISS']
    clock.now += 6
    assert found(client, '/long', '/short') == ['HIT', 'MISS']


def test_store_false_gives_all_routes_of_a_router_validators():
    router = CachingRouter(memory_cache(), store=False, cache_control=CacheControl(max_age=60))
    router.get('/')(lambda: 1)
    client = client_of(router)
    first = client.get('/')
    assert first.headers['cache-control'] == 'max-age=60'
    assert client.get('/', headers={'if-none-match': first.headers['etag']}).status_code == 304
    assert found(client, '/') == [None]


def test_options_of_routers_and_of_the_cache_go_where_they_belong():
    router = CachingRouter(
        memory_cache(), ttl='1m', namespace='shop', stale_if_error=30, prefix='/shop', tags=['shop'], deprecated=True
    )

    @router.get('/')
    async def endpoint(): ...

    app = client_of(router).app
    operation = TestClient(app).get('/openapi.json').json()['paths']['/shop/']['get']
    assert operation['tags'] == ['shop']
    assert operation['deprecated']
    (report,) = [it for it in memory_cache().explain(app) if it.cached]
    assert (report.ttl, report.namespace, report.stale_if_error, report.tags) == (60, 'shop', 30, ())


@pytest.mark.parametrize(
    ('build', 'error', 'match'),
    [
        (lambda cache: CachingRouter(cache, ttl=-1), ConfigurationError, 'the defaults of a router: ttl must'),
        (lambda cache: CachingRouter(cache, expire=60), TypeError, "CachingRouter.*'expire'; did you mean 'ttl'"),
        (lambda cache: CachingRouter(cache, version='2'), TypeError, r'option of caches: FastAPICache\(...\)'),
        (lambda cache: CachingRouter(cache, tags=['item:{item}']), ConfigurationError, r'CachePolicy\(tags='),
        (lambda _: CachingRouter('redis://'), ConfigurationError, 'takes a FastAPICache first, got str'),
        (lambda cache: cache.route_class(policy='x'), ConfigurationError, 'policy must be a CachePolicy'),
        (lambda cache: cache.install(FastAPI(), expire=60), TypeError, "did you mean 'ttl'"),
        (lambda cache: cache.skip('endpoint'), ConfigurationError, 'must be callable'),
    ],
)
def test_mistakes_are_told_when_the_router_is_built(build, error, match):
    with pytest.raises(error, match=match):
        build(memory_cache())


async def test_tags_that_a_route_cannot_fill_are_told_at_the_start(caplog):
    cache, strict = memory_cache(), memory_cache(strict=True)

    def app_of(cache):
        router = CachingRouter(cache, ttl=60, policy=CachePolicy(tags=['item:{item}']))
        router.get('/items/{item}')(lambda item: item)
        router.get('/items')(lambda: 1)
        app = FastAPI(lifespan=cache.lifespan)
        app.include_router(router, prefix='/api')
        return app

    with TestClient(app_of(cache)) as client:
        assert found(client, '/api/items/1', '/api/items/1', '/api/items') == ['MISS', 'HIT', None]
    (told,) = [it for it in caplog.messages if 'the tags of its router' in it]
    assert told.startswith('/api/items: the tags of its router name item')
    with pytest.raises(ConfigurationError, match=r'the tags of its router name item'):
        async with strict.lifespan(app_of(strict)):
            pass


def test_public_is_not_sent_where_responses_are_for_one_client(caplog):
    router = CachingRouter(memory_cache(), ttl=60, cache_control=CacheControl(public=True, max_age=5))
    router.get('/open')(lambda: 1)

    @router.get('/own')
    async def own(key: Annotated[str, Depends(APIKeyHeader(name='X-Key'))], response: Response):
        return key

    client = client_of(router)
    assert client.get('/open').headers['cache-control'] == 'public, max-age=5'
    assert client.get('/own', headers={'x-key': 'a'}).headers['cache-control'] == 'private, max-age=5'
    assert any('private is sent instead' in it for it in caplog.messages)


def test_the_switch_of_the_cache_turns_routers_off():
    cache = FastAPICache()
    router = CachingRouter(cache, ttl=60)
    router.get('/')(lambda: 1)
    client = client_of(router)
    with cache.disabled():
        assert found(client, '/', '/') == [None, None]
    assert found(client, '/', '/') == ['MISS', 'HIT']


@pytest.mark.skipif(FASTAPI < (0, 135), reason='older releases have no EventSourceResponse')
def test_events_that_an_endpoint_yields_are_never_stored():
    from fastapi.sse import EventSourceResponse  # noqa: PLC0415, only newer releases have it

    router, runs = CachingRouter(memory_cache(), ttl=60), []

    @router.get('/', response_class=EventSourceResponse)
    async def endpoint():
        runs.append(1)
        yield {'run': len(runs)}

    client = client_of(router)
    assert '"run": 1' in client.get('/').text.replace('"run":1', '"run": 1')
    assert '"run": 2' in client.get('/').text.replace('"run":2', '"run": 2')
