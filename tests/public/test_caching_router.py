"""Routers and apps all of whose GET routes are cached, without a decorator on each."""

from typing import Annotated

import pytest
from fastapi import APIRouter, Depends, FastAPI, Header, HTTPException, Request, WebSocket
from fastapi.security import APIKeyHeader
from starlette.responses import StreamingResponse
from starlette.testclient import TestClient

from fastapi_caching_route import (
    CachePolicy,
    CachingRoute,
    CachingRouter,
    ConfigurationError,
)
from tests.support import Clock, asgi_scope, client_of, found, marks, memory_cache


def by_caching_router(cache, **options):
    return CachingRouter(cache, ttl=60, **options)


def by_route_class(cache, **options):
    return APIRouter(route_class=cache.route_class(ttl=60), **options)


def installed(cache, **options):
    router = APIRouter(**options)
    cache.install(router, ttl=60)
    return router


WAYS = pytest.mark.parametrize('router_of', [by_caching_router, by_route_class, installed])


@WAYS
def test_each_get_of_a_router_is_cached_and_nothing_else(router_of):
    cache, runs = memory_cache(), []
    router = router_of(cache)

    @router.get('/a')
    async def a(page: int = 1):
        runs.append(page)
        return page

    @router.get('/b/{name}')
    def b(name: str):
        runs.append(name)
        return name

    @router.post('/c')
    async def c():
        runs.append('c')

    client = client_of(router)
    assert found(client, '/a', '/a', '/a?page=2', '/a?page=1') == ['MISS', 'HIT', 'MISS', 'HIT']
    assert found(client, '/b/x', '/b/y', '/b/x') == ['MISS', 'MISS', 'HIT']
    assert marks(client.post('/c'), client.post('/c')) == [None, None]
    assert runs == [1, 2, 'x', 'y', 'c', 'c']
    assert client.head('/a').status_code == 405


def test_an_app_can_cache_all_routes_that_are_added_to_it():
    cache, app = memory_cache(), FastAPI()
    cache.install(app, ttl=60)

    @app.get('/')
    async def root():
        return 1

    plain = APIRouter()

    @plain.get('/plain')
    async def of_an_included_router():
        return 1

    app.include_router(plain)
    client = TestClient(app)
    assert found(client, '/', '/') == ['MISS', 'HIT']
    assert found(client, '/plain', '/plain', '/openapi.json', '/openapi.json', '/docs') == [None] * 5


@WAYS
def test_skip_leaves_a_route_out_above_and_below_its_decorator(router_of):
    cache = memory_cache()
    router = router_of(cache)

    @cache.skip
    @router.get('/above')
    async def above():
        return 1

    @router.get('/below')
    @cache.skip
    def below():
        return 1

    class Pages:
        @cache.skip
        def page(self):
            return 1

    router.get('/method')(Pages().page)
    client = client_of(router)
    assert found(client, *['/above', '/below', '/method'] * 2) == [None] * 6
    assert 'cache-status' not in client.get('/above').headers


def test_skip_concerns_only_the_routers_of_its_own_cache():
    first, second = memory_cache(), memory_cache()
    one, two = CachingRouter(first, ttl=60, prefix='/1'), CachingRouter(second, ttl=60, prefix='/2')

    @one.get('/')
    @two.get('/')
    @first.skip
    async def endpoint():
        return 1

    assert found(client_of(one, two), '/1/', '/1/', '/2/', '/2/') == [None, None, 'MISS', 'HIT']


@pytest.mark.parametrize('skip_first', [True, False])
def test_cache_and_skip_on_one_endpoint_are_an_error(skip_first):
    cache = memory_cache()

    async def endpoint(): ...

    first, then = (cache.skip, cache(ttl=1)) if skip_first else (cache(ttl=1), cache.skip)
    with pytest.raises(ConfigurationError, match=r'endpoint: it has both @cache\(...\) and @cache.skip; remove one'):
        then(first(endpoint))


@pytest.mark.parametrize('above', [True, False])
def test_a_decorator_of_its_own_wins_with_its_own_ways(above):
    clock, runs = Clock(), []
    cache = memory_cache(clock=clock)
    router = CachingRouter(cache, ttl=60)

    async def named(page: int = 1):
        runs.append(page)

    async def endpoint(_: Annotated[None, Depends(named)]):
        return 1

    if above:
        cache(ttl=5)(router.get('/')(endpoint))
    else:
        router.get('/')(cache(ttl=5)(endpoint))
    client = client_of(router)
    assert found(client, '/', '/') == ['MISS', 'HIT']
    assert runs == [1]  # a dependency with a name, which authorizes nobody
    clock.now += 6
    assert found(client, '/') == ['MISS']


def test_all_dependencies_run_on_hits_and_only_the_endpoint_does_not():
    cache, runs = memory_cache(), []

    async def outside():
        runs.append('outside')

    async def audit(page: int = 1):
        runs.append('audit')
        if page > 2:
            raise HTTPException(403)
        return page

    def user(name: Annotated[str, Header()] = 'nobody', page: int = Depends(audit)):
        runs.append('user')
        return f'{name} {page}'

    router = CachingRouter(cache, ttl=60, dependencies=[Depends(outside)])

    @router.get('/')
    async def endpoint(name: Annotated[str, Depends(user)]):
        runs.append('endpoint')
        return name

    client = client_of(router)
    assert found(client, '/', '/') == ['MISS', 'HIT']
    assert runs == ['outside', 'audit', 'user', 'endpoint', 'outside', 'audit', 'user']
    assert client.get('/?page=3').status_code == 403
    assert client.get('/', headers={'name': 'ann'}).json() == 'ann 1'
    assert client.get('/').json() == 'nobody 1'


def test_a_refusal_by_a_named_dependency_holds_on_hits_too():
    allowed = {'ann', 'bob'}
    cache = memory_cache()

    def member(name: str):
        if name not in allowed:
            raise HTTPException(403)

    router = CachingRouter(cache, ttl=60)

    @router.get('/', dependencies=[])
    async def endpoint(_: Annotated[None, Depends(member)]):
        return 1

    client = client_of(router)
    assert found(client, '/?name=ann', '/?name=ann') == ['MISS', 'HIT']
    allowed.remove('ann')
    assert client.get('/?name=ann').status_code == 403


@pytest.mark.parametrize(
    ('options', 'runs_on_hits'),
    [
        ({}, True),
        ({'policy': CachePolicy()}, True),
        ({'policy': CachePolicy(route_dependencies='on_miss')}, False),
        ({'route_dependencies': 'always'}, False),
        ({'on_miss_only': 'named'}, False),
    ],
    ids=str,
)
def test_which_dependencies_run_on_hits_can_be_said_for_a_router(options, runs_on_hits):
    runs = []

    async def named():
        runs.append(1)

    given = {name: [named] if it == 'named' else it for name, it in options.items()}
    router = CachingRouter(memory_cache(policy=CachePolicy(route_dependencies='on_miss')), **{'ttl': 60, **given})

    @router.get('/')
    async def endpoint(_: Annotated[None, Depends(named)]):
        return 1

    assert found(client_of(router), '/', '/') == ['MISS', 'HIT']
    assert len(runs) == 1 + runs_on_hits


def test_clients_with_other_credentials_get_other_entries():
    router = CachingRouter(memory_cache(), ttl=60)

    @router.get('/')
    async def endpoint(key: Annotated[str, Depends(APIKeyHeader(name='X-Key'))]):
        return key

    client = client_of(router)
    asked = [client.get('/', headers={'x-key': it}) for it in ('a', 'b', 'a', 'b')]
    assert [it.json() for it in asked] == ['a', 'b', 'a', 'b']
    assert marks(*asked) == ['MISS', 'MISS', 'HIT', 'HIT']
    assert client.get('/').status_code in {401, 403}


def test_one_function_on_two_routers_has_the_defaults_of_each():
    clock, runs = Clock(), []
    cache = memory_cache(clock=clock)
    short = CachingRouter(cache, ttl=5, prefix='/short', policy=CachePolicy(tags=['short']))
    long = CachingRouter(cache, ttl=60, prefix='/long')
    plain = APIRouter(prefix='/plain', route_class=CachingRoute)

    @short.get('/')
    @long.get('/')
    @plain.get('/')
    async def endpoint():
        runs.append(1)
        return len(runs)

    client = client_of(short, long, plain)
    assert found(client, *['/short/', '/long/', '/plain/'] * 2) == ['MISS', 'MISS', None, 'HIT', 'HIT', None]
    clock.now += 6
    assert found(client, '/short/', '/long/') == ['MISS', 'HIT']


def test_routers_with_other_defaults_share_no_entry_at_the_same_path():
    cache, runs = memory_cache(), []

    async def endpoint():
        runs.append(1)
        return len(runs)

    def client_with(**options):
        router = CachingRouter(cache, **options)
        router.get('/')(endpoint)
        return client_of(router)

    first, second, third = client_with(ttl=60), client_with(ttl=5), client_with(ttl=60)
    assert found(first, '/') + found(second, '/') + found(third, '/') == ['MISS', 'MISS', 'HIT']


def test_an_include_at_two_places_with_other_dependencies_keeps_both_apart():
    cache, runs = memory_cache(), []
    router = CachingRouter(cache, ttl=60)

    @router.get('/{item}')
    async def endpoint(item: int):
        runs.append(item)
        return item

    async def guard(key: Annotated[str, Header()] = ''):
        if key != 'secret':
            raise HTTPException(401)

    app = FastAPI()
    app.include_router(router, prefix='/open')
    app.include_router(router, prefix='/guarded', dependencies=[Depends(guard)])
    client = TestClient(app)
    assert found(client, '/open/1', '/open/1') == ['MISS', 'HIT']
    assert client.get('/guarded/1').status_code == 401
    secret = {'key': 'secret'}
    assert marks(*(client.get('/guarded/1', headers=secret) for _ in range(2))) == ['MISS', 'HIT']
    assert client.get('/guarded/1').status_code == 401
    assert runs == [1, 1]


def test_nested_routers_keep_their_own_class():
    cache = memory_cache()
    outer, plain, inner = (
        CachingRouter(cache, ttl=60),
        APIRouter(prefix='/plain'),
        CachingRouter(cache, prefix='/inner'),
    )
    for router in (outer, plain, inner):
        router.get('/x')(lambda: 1)
    outer.include_router(plain)
    outer.include_router(inner)
    client = client_of(outer)
    assert found(client, *['/x', '/plain/x', '/inner/x'] * 2) == ['MISS', None, 'MISS', 'HIT', None, 'HIT']


def test_streams_of_events_are_never_stored_and_others_are():
    router, runs = CachingRouter(memory_cache(), ttl=60), []

    @router.get('/events')
    async def events():
        runs.append(1)
        return StreamingResponse(iter(['data: 1\n\n', 'data: 2\n\n']), media_type='text/event-stream')

    @router.get('/stream')
    async def stream():
        return StreamingResponse(iter(['a', 'b']))

    client = client_of(router)
    assert marks(client.get('/events'), client.get('/events')) == [None, None]
    assert runs == [1, 1]
    assert client.get('/events').text == 'data: 1\n\ndata: 2\n\n'
    assert found(client, '/stream', '/stream') == ['MISS', 'HIT']
    assert client.get('/stream').text == 'ab'


async def test_websockets_work_as_without_a_cache():
    app, received, sent = FastAPI(), [{'type': 'websocket.connect'}], []
    cache = memory_cache()
    cache.install(app, ttl=60)

    @app.websocket('/')
    async def greet(socket: WebSocket):
        await socket.accept()
        await socket.send_text('hello')

    async def receive():
        return received.pop() if received else {'type': 'websocket.disconnect', 'code': 1000}

    async def send(message):
        sent.append(message)

    await app({**asgi_scope(), 'type': 'websocket', 'scheme': 'ws', 'subprotocols': []}, receive, send)
    assert [it['type'] for it in sent] == ['websocket.accept', 'websocket.send']


def test_head_is_served_from_the_entry_of_get_where_a_route_has_both():
    router, runs = CachingRouter(memory_cache(), ttl=60), []

    @router.api_route('/', methods=['GET', 'HEAD', 'POST'])
    async def endpoint(request: Request):
        runs.append(request.method)
        return 1

    router.add_api_route('/head', lambda: None, methods=['HEAD'])
    client = client_of(router)
    assert marks(client.get('/'), client.head('/'), client.get('/')) == ['MISS', 'HIT', 'HIT']
    assert client.head('/').content == b''
    assert client.post('/').status_code == 200
    assert runs == ['GET', 'POST']
    assert found(client, '/') == ['MISS']  # the POST has invalidated its own path
    assert marks(client.head('/head'), client.head('/head')) == [None, None]
