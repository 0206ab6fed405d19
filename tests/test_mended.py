"""Holes that an attack has found in what lets answers be shared, and that are closed."""

import contextvars
from typing import Annotated

import pytest
from fastapi import APIRouter, Cookie, Depends, FastAPI, Header, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, Response
from starlette.applications import Starlette
from starlette.routing import Host, Mount
from starlette.testclient import TestClient

from fastapi_caching_route import CacheContext, CachingRoute, ConfigurationError, FastAPICache
from tests.support import Clock, Elsewhere, asgi_call, asgi_scope, caching_router, client_of, marks, memory_cache

tenant_now = contextvars.ContextVar('tenant')


class Tenant:
    def __init__(self, name):
        self.name = name

    async def __call__(self):
        tenant_now.set(self.name)


def of_factory(cache, _):
    """An app for each tenant, from one function."""

    def make(name):
        app, router = FastAPI(), caching_router()

        def tenant():
            return name

        @cache(ttl=60)
        @router.get('/x')
        async def endpoint(tenant: Annotated[str, Depends(tenant)]):
            return tenant

        app.include_router(router)
        return app

    return make


def of_includes(cache, router):
    """One router that is included for each tenant."""

    @cache(ttl=60)
    @router.get('/x')
    async def endpoint():
        return tenant_now.get()

    def make(name):
        app = FastAPI()
        app.include_router(router, dependencies=[Depends(Tenant(name))])
        return app

    return make


@pytest.mark.parametrize('kind', [of_factory, of_includes])
@pytest.mark.parametrize('explained', [False, True])
def test_no_process_gives_one_tenant_the_answer_of_another_in_whatever_order_they_ask(kind, explained):
    backend = Elsewhere()

    def process():
        cache = FastAPICache(backend)
        make = kind(cache, caching_router())
        app = Starlette(routes=[Host(f'{name}.test', make(name)) for name in ('ann', 'bob')])
        if explained:
            cache.explain(app.routes[-1].app)
        return TestClient(app)

    for order in (['ann', 'bob'], ['bob', 'ann'], ['bob', 'ann']):
        client = process()
        answers = [client.get('/x', headers={'host': f'{name}.test'}) for name in order]
        assert [it.json() for it in answers] == order
    assert marks(*answers) == ['HIT', 'HIT']


class Counted:
    """Tells by nothing that could be put into a key which one it is."""

    def __init__(self, name):
        self.names = [name]

    async def __call__(self):
        tenant_now.set(self.names[0])


# Of two apps neither of which knows of the other, and that hold no text, each needs a namespace of its own: see safety.md.
@pytest.mark.parametrize(('guard', 'is_mounted'), [(Tenant, True), (Tenant, False), (Counted, True)])
def test_where_an_app_cannot_be_looked_into_no_order_of_requests_counts(guard, is_mounted):
    backend = Elsewhere()

    def process():
        cache, router = FastAPICache(backend), caching_router()

        @cache(ttl=60)
        @router.get('/x')
        async def endpoint():
            return tenant_now.get()

        apps = {}
        for name in ('ann', 'bob'):
            apps[name] = FastAPI()
            apps[name].include_router(router, dependencies=[Depends(guard(name))])

        async def dispatch(scope, receive, send):
            host = dict(scope['headers'])[b'host'].decode().partition('.')[0]
            await apps[host](scope, receive, send)

        return TestClient(Starlette(routes=[Mount('/', dispatch)]) if is_mounted else dispatch)

    for order in (['ann', 'bob'], ['bob', 'ann']):
        client = process()
        assert [client.get('/x', headers={'host': f'{name}.test'}).json() for name in order * 2] == order * 2


def test_two_caches_over_one_backend_tell_apart_what_holds_different_texts():
    backend = Elsewhere()

    def app_of(name):
        cache, router = FastAPICache(backend), caching_router()

        @router.get('/x')
        @cache(ttl=60)
        async def endpoint():
            return name

        return client_of(router)

    assert [app_of(name).get('/x').json() for name in ('ann', 'bob', 'ann')] == ['ann', 'bob', 'ann']


def check_key(x_key: Annotated[str, Header(min_length=8)]):
    if x_key != 'correct-key':
        raise HTTPException(401)


@pytest.mark.parametrize(
    'options',
    [
        {'identity': 'shared'},
        {'identity': lambda _: 'all'},
        {'key_builder': lambda _: 'key'},
        {'identity': 'shared', 'dependencies': [Depends(check_key)]},
    ],
    ids=['shared', 'identity', 'key_builder', 'explicit'],
)
def test_what_a_guard_says_of_values_that_are_not_valid_is_its_clients_alone(options):
    router, cache = caching_router(), memory_cache()
    guards = [] if 'dependencies' in options else [Depends(check_key)]

    @router.get('/', dependencies=guards)
    @cache(ttl=60, status_ttl={422: 60}, **options)
    async def endpoint():
        return 'report'

    client = client_of(router)
    assert client.get('/', headers={'x-key': 's3cret'}).status_code == 422
    answer = client.get('/', headers={'x-key': 'correct-key'})
    assert (answer.status_code, answer.json()) == (200, 'report')
    assert client.get('/', headers={'x-key': 's3cret'}).status_code == 422


def test_values_that_are_not_valid_do_not_count_as_a_failure_of_the_endpoint():
    clock, router, runs = Clock(), caching_router(), []
    cache = memory_cache(clock=clock)

    @router.get('/', dependencies=[Depends(check_key)])
    @cache(ttl=10, stale_if_error=100, identity='shared')
    async def endpoint():
        runs.append(1)
        return len(runs)

    client = client_of(router)

    @client.app.exception_handler(RequestValidationError)
    async def unavailable(request: Request, error: RequestValidationError):
        return JSONResponse('unavailable', 503)

    right = {'x-key': 'correct-key'}
    client.get('/', headers=right)
    clock.now += 11
    assert client.get('/', headers={'x-key': 'short'}).status_code in {422, 503}
    assert client.get('/', headers=right).json() == 2


def test_a_route_without_guards_may_have_its_422_stored():
    router, cache = caching_router(), memory_cache()

    @router.get('/')
    @cache(status_ttl={422: 60})
    async def endpoint(number: int):
        return number

    client = client_of(router)
    assert marks(client.get('/?number=x'), client.get('/?number=x')) == ['MISS', 'HIT']
    assert client.get('/?number=1').json() == 1


def test_a_refusal_is_not_stored_where_guards_run_on_misses_only():
    router, cache = caching_router(), memory_cache()

    def guard(x_token: Annotated[str, Header()] = ''):
        if not x_token:
            raise HTTPException(404)

    @router.get('/', dependencies=[Depends(guard)])
    @cache(key_builder=lambda _: 'key', status_ttl={404: 60}, route_dependencies='on_miss')
    async def endpoint():
        return 'for members'

    client = client_of(router)
    assert client.get('/').status_code == 404
    assert client.get('/', headers={'x-token': 'good'}).json() == 'for members'


def test_what_is_wrong_with_a_range_or_a_precondition_is_not_told_to_others(tmp_path):
    router, cache = caching_router(), memory_cache()
    (tmp_path / 'file').write_text('content')

    @router.get('/file')
    @cache(ttl=60, status_ttl={400: 30})
    async def file():
        return FileResponse(tmp_path / 'file')

    @router.get('/raw')
    @cache(ttl=60, status_ttl={400: 30})
    async def raw(request: Request):
        asks = any(name in request.headers for name in ('if-match', 'if-none-match', 'if-unmodified-since'))
        return Response('bad' if asks else 'good', 400 if asks else 200)

    client = client_of(router)
    client.get('/file', headers={'range': 'bytes=a-'})
    assert client.get('/file').text == 'content'
    for name in ('if-match', 'if-none-match', 'if-unmodified-since'):
        assert client.get('/raw', headers={name: '"x"'}).headers['cache-status'].endswith('detail=precondition')
    assert client.get('/raw').text == 'good'


@pytest.mark.parametrize('identity', ['auto', 'shared'])
def test_what_differs_by_a_cookie_is_not_told_to_be_for_all(identity):
    router, cache = caching_router(), memory_cache()

    @cache(ttl=60, cache_control='public, max-age=60', identity=identity)
    async def endpoint(session: Annotated[str, Cookie()] = ''):
        return session

    with pytest.raises(ConfigurationError, match='public'):
        router.get('/')(endpoint)


def test_what_only_a_guard_reads_of_a_cookie_keeps_nothing_from_being_for_all():
    router, cache = caching_router(), memory_cache()

    def check(csrf: Annotated[str, Cookie()] = ''):
        """A guard."""

    @router.get('/', dependencies=[Depends(check)])
    @cache(ttl=60, cache_control='public, max-age=60', identity='shared')
    async def endpoint():
        return 'for all'

    assert client_of(router).get('/').headers['cache-control'] == 'public, max-age=60'


def test_an_error_with_a_time_of_its_own_has_no_stale_window():
    clock, router, found = Clock(), caching_router(), []
    cache = memory_cache(clock=clock)

    @router.get('/')
    @cache(ttl=60, stale_while_revalidate=3600, stale_if_error=3600, status_ttl={404: 5})
    async def endpoint():
        if not found:
            raise HTTPException(404)
        return 'there'

    client = client_of(router)
    assert client.get('/').status_code == 404
    found.append(1)
    clock.now += 6
    assert client.get('/').json() == 'there'
    clock.now += 61
    assert client.get('/').headers['x-cache'] == 'HIT'


def test_a_renewal_that_fails_takes_the_place_of_nothing():
    clock, router, broken = Clock(), caching_router(), []
    cache = memory_cache(clock=clock)

    @router.get('/')
    @cache(ttl=10, stale_while_revalidate=3600, status_ttl={500: 30})
    async def endpoint():
        return Response('broken' if broken else 'good', 500 if broken else 200)

    client = client_of(router)
    client.get('/')
    broken.append(1)
    clock.now += 11
    assert [client.get('/').text for _ in range(3)] == ['good'] * 3


def test_a_store_if_that_must_be_awaited_stores_nothing(caplog):
    router, cache = caching_router(), memory_cache()

    async def wanted(response):
        return False

    @router.get('/')
    @cache(ttl=60, store_if=lambda response: wanted(response))  # noqa: PLW0108, an async function itself is refused
    async def endpoint():
        return 'answer'

    client = client_of(router)
    assert marks(client.get('/'), client.get('/')) == [None, None]
    assert ['must be awaited' in it.getMessage() for it in caplog.records] == [True]


def test_explicit_dependencies_run_again_where_a_route_class_tries_again():
    tries = []

    def check(x_token: Annotated[str, Header()] = ''):
        tries.append(1)
        if len(tries) == 1:
            raise ConnectionError
        if x_token != 'good':
            raise HTTPException(401)

    class Again(CachingRoute):
        def get_route_handler(self):
            handler = super().get_route_handler()

            async def twice(request):
                try:
                    return await handler(request)
                except ConnectionError:
                    return await handler(request)

            return twice

    router, cache = APIRouter(route_class=Again), memory_cache()

    @router.get('/')
    @cache(ttl=60, dependencies=[Depends(check)])
    async def endpoint():
        return 'secret'

    assert client_of(router).get('/').status_code == 401
    assert len(tries) == 2


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


def test_a_failure_is_stored_for_its_time_where_what_is_stored_cannot_be_used_any_more():
    clock, router, runs = Clock(), caching_router(), []
    cache = memory_cache(clock=clock)

    @router.get('/')
    @cache(ttl=1, revalidate=True, status_ttl={503: 30})
    async def endpoint():
        runs.append(1)
        return Response('', 503 if len(runs) > 1 else 200, headers={'etag': '"a"'})

    client = client_of(router)
    client.get('/')
    clock.now += 2
    assert [client.get('/').status_code for _ in range(4)] == [503] * 4
    assert len(runs) == 2


def test_a_missing_page_is_stored_though_a_browser_asks_with_a_condition():
    router, cache, runs = caching_router(), memory_cache(), []

    @router.get('/')
    @cache(ttl=10, status_ttl={404: 30})
    async def endpoint():
        runs.append(1)
        raise HTTPException(404)

    client = client_of(router)
    assert [client.get('/', headers={'if-none-match': '"a"'}).status_code for _ in range(3)] == [404] * 3
    assert len(runs) == 1


def test_a_window_that_the_endpoint_chooses_counts_for_errors_too():
    clock, router = Clock(), caching_router()
    cache = memory_cache(clock=clock)

    @router.get('/')
    @cache(ttl=10, status_ttl={404: 5})
    async def endpoint(context: Annotated[CacheContext, Depends()]):
        context.stale_while_revalidate = 100
        return Response(status_code=404)

    client = client_of(router)
    client.get('/')
    clock.now += 6
    assert 'hit; ttl=-1' in client.get('/').headers['cache-status']


async def test_a_debug_message_before_the_start_does_no_harm():
    router, cache = caching_router(), memory_cache()

    class Debugging(Response):
        async def __call__(self, scope, receive, send):
            await send({'type': 'http.response.debug', 'info': {}})
            await super().__call__(scope, receive, send)

    router.get('/')(cache(ttl=60)(lambda: Debugging('page')))
    sent = await asgi_call(client_of(router).app, asgi_scope())
    assert [it['type'] for it in sent] == ['http.response.debug', 'http.response.start', 'http.response.body']
