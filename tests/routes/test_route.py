"""`CachingRoute` end to end: what clients see, and how often the endpoint ran."""

from copy import copy
from typing import Annotated

import pytest
from fastapi import APIRouter, Depends, FastAPI, Header, HTTPException, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.testclient import TestClient

from fastapi_caching_route import CachePolicy, CachingRoute
from fastapi_caching_route._routes import reached
from tests.support import Clock, caching_router, client_of, found, marks, memory_cache


def test_the_second_request_is_a_hit_and_the_third_a_304():
    runs, router, cache = [], caching_router(), memory_cache()

    @cache(ttl=60)
    @router.get('/')
    async def endpoint():
        runs.append(1)
        return {'n': len(runs)}

    client = client_of(router)
    miss, hit = client.get('/'), client.get('/')
    unchanged = client.get('/', headers={'if-none-match': hit.headers['etag']})
    again = client.get('/')

    assert marks(miss, hit, unchanged, again) == ['MISS', 'HIT', 'HIT', 'HIT']
    assert [r.status_code for r in (miss, hit, unchanged, again)] == [200, 200, 304, 200]
    assert miss.json() == hit.json() == again.json() == {'n': 1}
    assert miss.headers['etag'] == hit.headers['etag'] == unchanged.headers['etag']
    assert hit.headers['content-type'] == 'application/json'
    assert (unchanged.content, 'content-length' in unchanged.headers, 'content-type' in unchanged.headers) == (
        b'',
        False,
        False,
    )
    assert runs == [1]


@pytest.mark.parametrize('above', [True, False], ids=['cache above route', 'cache below route'])
@pytest.mark.parametrize('kind', ['def', 'async def'])
def test_both_decorator_orders_and_both_kinds_of_function_are_cached(above, kind):
    runs, router, cache = [], caching_router(), memory_cache()

    if kind == 'def':

        def endpoint(n: int):
            runs.append(n)
            return n
    else:

        async def endpoint(n: int):
            runs.append(n)
            return n

    cached, routed = cache(ttl=60), router.get('/{n}')
    assert (cached(routed(endpoint)) if above else routed(cached(endpoint))) is endpoint

    client = client_of(router)
    assert marks(client.get('/1'), client.get('/1'), client.get('/2')) == ['MISS', 'HIT', 'MISS']
    assert runs == [1, 2]


def test_an_undecorated_endpoint_is_not_affected():
    router = caching_router()

    @router.get('/')
    async def endpoint():
        return 'plain'

    response = client_of(router).get('/')
    assert response.json() == 'plain'
    assert not {'x-cache', 'etag', 'age'} & set(response.headers)


def test_a_plain_route_ignores_the_decoration():
    router, cache, runs = APIRouter(), memory_cache(), []

    @cache(ttl=60)
    @router.get('/')
    async def endpoint():
        runs.append(1)

    client = client_of(router)
    assert marks(client.get('/'), client.get('/')) == [None, None]
    assert runs == [1, 1]


def test_one_function_behind_several_routes_has_entries_of_its_own_for_each():
    router, cache = caching_router(), memory_cache()

    @cache(ttl=60)
    @router.get('/a')
    @router.get('/b')
    async def endpoint(request: Request):
        return request.url.path

    client = client_of(router)
    assert [client.get(path).json() for path in ('/a', '/b', '/a')] == ['/a', '/b', '/a']
    assert marks(client.get('/a'), client.get('/b')) == ['HIT', 'HIT']


def test_routers_with_prefixes_nested_included_twice_and_mounted_each_have_their_own_entries():
    inner, middle, cache, runs = caching_router(prefix='/inner'), caching_router(), memory_cache(), []

    @cache(ttl=60)
    @inner.get('/{n}')
    async def endpoint(n: int, request: Request):
        runs.append(request.url.path)
        return request.url.path

    middle.include_router(inner, prefix='/one')
    middle.include_router(inner, prefix='/two')
    app, sub = FastAPI(), FastAPI()
    app.include_router(middle, prefix='/app')
    sub.include_router(middle)
    app.mount('/sub', sub)
    client = TestClient(app)
    paths = [f'{prefix}/{it}/inner/1' for prefix in ('/app', '/sub') for it in ('one', 'two')]
    assert [client.get(path).json() for path in paths] == paths
    assert marks(*map(client.get, paths)) == ['HIT'] * 4
    assert runs == paths


def test_the_dependencies_of_each_inclusion_are_part_of_the_key():
    router, cache = caching_router(), memory_cache()

    def tenant(x_tenant: str = ''):
        return x_tenant

    @cache(ttl=60)
    @router.get('/')
    async def endpoint(response: Response):
        return 'answer'

    app = FastAPI()
    app.include_router(router, prefix='/with', dependencies=[Depends(tenant)])
    app.include_router(router, prefix='/without')
    client = TestClient(app)
    assert marks(*(client.get(f'/with/?x_tenant={it}') for it in ('a', 'b', 'a'))) == ['MISS', 'MISS', 'HIT']
    assert marks(*(client.get(f'/without/?x_tenant={it}') for it in ('a', 'b'))) == ['MISS', 'HIT']


def test_a_response_model_and_the_injected_response_shape_the_answer_once():
    router, cache, runs = caching_router(), memory_cache(accepted_status_codes={201}), []

    class Item(BaseModel):
        name: str

    @cache(ttl=60)
    @router.get('/', response_model=Item)
    async def endpoint(response: Response):
        runs.append(1)
        response.headers['x-made-by'] = 'endpoint'
        response.status_code = 201
        return {'name': 'a', 'secret': 'b'}

    client = client_of(router)
    for response in (client.get('/'), client.get('/')):
        assert (response.status_code, response.json(), response.headers['x-made-by']) == (
            201,
            {'name': 'a'},
            'endpoint',
        )
    assert runs == [1]


@pytest.mark.parametrize(
    'response',
    [
        JSONResponse({'a': 1}),
        HTMLResponse('<p>é</p>'),
        PlainTextResponse('ü'.encode('latin-1'), media_type='text/plain; charset=latin-1'),
        Response(b'\x00\xff', media_type='application/octet-stream', headers={'x-a': '1', 'content-language': 'de'}),
    ],
    ids=['json', 'html', 'text', 'bytes'],
)
def test_a_returned_response_is_the_same_on_miss_and_hit(response):
    router, cache = caching_router(), memory_cache()

    @cache(ttl=60)
    @router.get('/cached')
    @router.get('/plain')
    async def endpoint():
        return response

    app = FastAPI()
    app.get('/uncached')(lambda: response)
    app.include_router(router)
    client = TestClient(app)
    plain, miss, hit = client.get('/uncached'), client.get('/cached'), client.get('/cached')
    ours = {'etag', 'x-cache', 'age', 'cache-status'}
    for answer in (miss, hit):
        assert (answer.status_code, answer.content) == (plain.status_code, plain.content)
        assert {k: v for k, v in answer.headers.items() if k not in ours} == dict(plain.headers)


def test_defaults_come_from_the_policy_of_the_cache():
    clock, router = Clock(), caching_router()
    cache = memory_cache(clock=clock, policy=CachePolicy(ttl=5, vary_headers=['X-Plan']))

    @cache()
    @router.get('/')
    async def endpoint():
        return 'answer'

    client = client_of(router)
    assert client.get('/').headers['vary'] == 'x-plan'
    assert marks(client.get('/', headers={'x-plan': 'a'})) == ['MISS']
    clock.now += 6
    assert marks(client.get('/', headers={'x-plan': 'a'})) == ['MISS']


@pytest.mark.parametrize('method', ['PUT', 'PATCH', 'DELETE', 'OPTIONS'])
def test_other_methods_always_reach_the_endpoint(method):
    router, cache, runs = caching_router(), memory_cache(), []

    @cache(ttl=60)
    @router.api_route('/', methods=['GET', method])
    async def endpoint():
        runs.append(1)
        return 'answer'

    client = client_of(router)
    assert marks(client.get('/'), client.request(method, '/'), client.request(method, '/')) == ['MISS', None, None]
    assert runs == [1, 1, 1]


def test_an_endpoint_may_ask_other_routes_with_its_own_scope():
    router, cache = caching_router(), memory_cache()

    def guard(x_token: Annotated[str, Header()] = ''):
        if x_token != 'good':
            raise HTTPException(404)

    @router.get('/both', dependencies=[Depends(lambda: None)])
    @cache(ttl=60)
    async def both(request: Request):
        sent = []

        async def send(message):
            sent.append(message)

        for path in ('/secret', '/plain'):
            await router(dict(request.scope) | {'path': path}, request.receive, send)
        return [it['status'] for it in sent if it['type'] == 'http.response.start']

    @router.get('/secret', dependencies=[Depends(guard)])
    @cache(ttl=60, status_ttl={404: 60}, identity='shared')
    async def secret():
        return 'secret'

    @router.get('/plain')
    async def plain():
        return 'plain'

    client = client_of(router)
    client.get('/both')
    assert client.get('/secret', headers={'x-token': 'good'}).json() == 'secret'
    assert client.get('/plain').json() == 'plain'


@pytest.mark.parametrize('kind', ['itself', 'odd routes', 'app of itself'])
def test_odd_things_that_are_mounted_are_not_the_end_of_a_request(kind):
    class Odd:
        routes = property(lambda self: 1 / 0)

        async def __call__(self, scope, receive, send): ...

    class OfItself:
        app = property(lambda self: self)

        async def __call__(self, scope, receive, send): ...

    app, router, cache = FastAPI(), caching_router(), memory_cache()
    app.mount('/odd', {'itself': app, 'odd routes': Odd(), 'app of itself': OfItself()}[kind])
    router.get('/')(cache(ttl=60)(lambda: 'answer'))
    app.include_router(router)
    client = TestClient(app)
    assert marks(client.get('/'), client.get('/')) == ['MISS', 'HIT']


def test_a_route_that_is_reached_in_many_places_remembers_only_so_many_plans(monkeypatch):
    monkeypatch.setattr(reached, 'MAX_PLACES', 2)
    router, cache, app = caching_router(), memory_cache(), FastAPI()

    @cache(ttl=60)
    @router.get('/')
    async def endpoint():
        return 'x'

    for number in range(5):
        app.include_router(router, prefix=f'/{number}')
    client = TestClient(app)
    paths = [f'/{number}/' for number in range(5)]
    assert found(client, *paths, *paths) == ['MISS'] * 5 + ['HIT'] * 5
    assert len(router.routes[0]._places._known) <= 2


def test_middleware_sees_what_the_endpoint_leaves_in_the_scope():
    router, cache, seen = caching_router(), memory_cache(), []

    @router.get('/')
    @cache(ttl=60)
    async def endpoint(request: Request):
        request.scope['left'] = 'here'
        return 'x'

    app = FastAPI()
    app.include_router(router)

    async def outside(scope, receive, send):
        await app(scope, receive, send)
        seen.append(scope.get('left'))

    assert found(TestClient(outside), '/') == ['MISS']
    assert seen == ['here']


class Wrapping(APIRoute):
    """A route class of another library, which replaces the endpoint, and leaves no `__wrapped__`."""

    def __init__(self, path, endpoint, **options):
        async def wrapper(request: Request) -> list[int]:
            return [*await endpoint(), 1]

        wrapper.is_wrapper = True
        is_again = hasattr(endpoint, 'is_wrapper')  # older releases of FastAPI build a route once more for an include
        super().__init__(path, endpoint if is_again else wrapper, **options)


@pytest.mark.parametrize('bases', [(CachingRoute, Wrapping), (Wrapping, CachingRoute)], ids=['first', 'second'])
@pytest.mark.parametrize('above', [False, True], ids=['below', 'above'])
def test_a_route_class_that_replaces_the_endpoint_can_be_combined_in_either_order(bases, above):
    router, cache, runs = APIRouter(route_class=type('Both', bases, {})), memory_cache(), []

    async def endpoint():
        runs.append(1)
        return [0]

    if above:
        cache(ttl=60)(router.get('/')(endpoint))
    else:
        router.get('/')(cache(ttl=60)(endpoint))
    client = client_of(router)
    assert found(client, '/', '/') == ['MISS', 'HIT']
    assert client.get('/').json() == [0, 1]
    assert len(runs) == 1
    assert copy(router.routes[0]).endpoint is router.routes[0].endpoint
