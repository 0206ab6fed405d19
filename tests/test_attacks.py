"""What an attacker, or an unlucky user, could want of the cache, and does not get."""

import asyncio
import dataclasses
import functools
import itertools
import pickle
import time
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime, timezone
from typing import Annotated, ClassVar
from zoneinfo import ZoneInfo

import pytest
from aiocache import SimpleMemoryCache
from fastapi import Cookie, Depends, FastAPI, Form, Header, HTTPException, Path, Query, Request, Response, Security
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from fastapi.security import APIKeyHeader, APIKeyQuery, HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from starlette.authentication import AuthCredentials, AuthenticationBackend, SimpleUser
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.testclient import TestClient

from fastapi_caching_route import CachedResponse, CachingRoute, ConfigurationError, FastAPICache
from fastapi_caching_route._entry import Entry
from fastapi_caching_route._wire import encode
from tests.support import asgi_call, asgi_scope, caching_router, client_of, marks, memory_cache
from tests.test_store import Bytes, closing


def twins(endpoint):
    """The endpoint in two apps, cached and not."""
    router, cache, plain = caching_router(), memory_cache(), FastAPI()
    cache(ttl=60)(router.get('/')(endpoint))
    plain.get('/')(endpoint)
    return client_of(router), TestClient(plain)


class NamedInUnderscores(BaseModel):
    model_config = ConfigDict(populate_by_name=True)
    x_token: str = Field('d', alias='foo')


class Counted(BaseModel):
    a: int = 0


async def a_literal_alias(it: Annotated[str, Header(alias='x_token')] = 'd'):
    return it


async def an_alias_that_is_the_name(x_token: Annotated[str, Header(alias='x_token')] = 'd'):
    return x_token


async def a_header_model_by_name(it: Annotated[NamedInUnderscores, Header()]):
    return it.x_token


async def a_validator_beside_a_model(
    it: Annotated[Counted, BeforeValidator(lambda given: {'a': len(given) if given else 0}), Query()],
):
    return it.a


def fields(**values):
    return {'headers': [(name.encode(), value.encode()) for name, value in values.items()]}


@pytest.mark.parametrize(
    ('endpoint', 'requests'),
    [
        (a_literal_alias, [fields(x_token='a'), fields(x_token='b')]),
        (an_alias_that_is_the_name, [fields(x_token='a'), fields(x_token='b')]),
        (an_alias_that_is_the_name, [fields(**{'x-token': 'a'}), fields(**{'x-token': 'b'})]),
        (a_header_model_by_name, [fields(**{'x-token': 'a'}), fields(**{'x-token': 'b'})]),
        (a_header_model_by_name, [fields(foo='a'), fields(foo='b')]),
        (a_validator_beside_a_model, [{'params': {'a': 1, 'p': 2, 'x': 1}}, {'params': {'a': 1}}]),
    ],
)
def test_no_way_of_naming_a_parameter_hides_it_from_the_key(endpoint, requests):
    cached, plain = twins(endpoint)
    for asked in requests * 2:
        assert cached.get('/', **asked).json() == plain.get('/', **asked).json()


def test_one_host_never_gets_the_answer_of_another_by_a_parameter_of_its_name():
    router, cache, app, inner = caching_router(), memory_cache(), FastAPI(), FastAPI()

    @cache(ttl=60)
    @router.get('/')
    async def endpoint(tenant: Annotated[str, Path()]):
        return tenant

    inner.include_router(router)
    app.host('{tenant}.example.org', inner)
    client = TestClient(app)
    hosts = ['a', 'b', 'a', 'b']
    assert [client.get(f'http://{it}.example.org/').json() for it in hosts] == hosts
    assert marks(client.get('http://a.example.org/')) == ['HIT']


def test_one_app_never_shows_the_fields_that_the_response_model_of_another_lets_through():
    class Public(BaseModel):
        name: str

    cache, inside, outside = memory_cache(), caching_router(), caching_router()

    @cache(ttl=60)
    async def endpoint():
        return {'name': 'n', 'secret': 's'}

    inside.get('/')(endpoint)
    outside.get('/', response_model=Public)(endpoint)
    assert client_of(inside).get('/').json() == {'name': 'n', 'secret': 's'}
    assert client_of(outside).get('/').json() == {'name': 'n'}


@pytest.mark.parametrize('kind', ['function', 'closure'])
def test_an_app_that_lets_nobody_in_never_serves_the_answer_of_one_that_does(kind):
    router, cache, open_app, closed_app = caching_router(), memory_cache(), FastAPI(), FastAPI()

    def admit(allowed):
        def guard():
            if not allowed:
                raise HTTPException(403)

        return guard

    def deny():
        raise HTTPException(403)

    @cache(ttl=60)
    @router.get('/')
    async def endpoint():
        return 'internal'

    open_app.include_router(router, dependencies=[Depends(admit(allowed=True))])
    denying = deny if kind == 'function' else admit(allowed=False)
    closed_app.include_router(router, dependencies=[Depends(denying)])
    assert TestClient(open_app).get('/').status_code == 200
    assert TestClient(closed_app).get('/').status_code == 403


def test_values_of_an_overriding_function_never_outlive_it():
    router, cache, app = caching_router(), memory_cache(), FastAPI()

    def value():
        return 'original'

    @cache(ttl=60)
    @router.get('/')
    async def endpoint(it: Annotated[str, Depends(value)]):
        return it

    app.include_router(router)
    client, answers = TestClient(app), []
    for person in ('ann', 'bob'):
        app.dependency_overrides[value] = make(person)
        answers += [client.get('/').json(), client.get('/').json()]
    assert answers == ['ann', 'ann', 'bob', 'bob']


def make(person):
    return lambda: person


def test_two_apps_whose_dependencies_differ_only_by_what_they_hold_never_share():
    cache, router, apps = memory_cache(), caching_router(), []

    def said(text):
        def dependency(response: Response):
            current.append(text)

        return dependency

    current: list[str] = []

    @cache(ttl=60, route_dependencies='on_miss')
    @router.get('/')
    async def endpoint():
        return current[-1]

    for text in ('a', 'b'):
        app = FastAPI()
        app.include_router(router, dependencies=[Depends(said(text))])
        apps.append(TestClient(app))
    assert [client.get('/').json() for client in (*apps, *apps)] == ['a', 'b', 'a', 'b']


def test_two_versions_of_a_route_with_other_response_models_never_share_one_backend():
    backend = SimpleMemoryCache()

    class Public(BaseModel):
        name: str

    async def endpoint():
        return {'name': 'n', 'secret': 's'}

    for options in ({}, {'response_model': Public}, {'status_code': 203}, {'response_model': dict[str, str]}):
        router, plain = caching_router(), FastAPI()
        router.get('/', **options)(endpoint)
        plain.get('/', **options)(endpoint)
        FastAPICache(backend)(ttl=60)(endpoint)
        response, expected = client_of(router).get('/'), TestClient(plain).get('/')
        assert (response.status_code, response.json()) == (expected.status_code, expected.json())


def test_an_invalid_value_is_not_taken_for_the_default_none():
    async def endpoint(limit: int | None = None):
        return limit

    cached, plain = twins(endpoint)
    for path in ('/', '/?limit=x', '/'):
        assert cached.get(path).status_code == plain.get(path).status_code


async def test_cookies_over_two_lines_do_not_poison_the_entry_of_one_line():
    async def endpoint(a: Annotated[str, Cookie()] = 'd'):
        return a

    router, cache, app, plain = caching_router(), memory_cache(), FastAPI(), FastAPI()
    cache(ttl=60)(router.get('/')(endpoint))
    plain.get('/')(endpoint)
    app.include_router(router)
    for headers in ([(b'cookie', b'a=1'), (b'cookie', b'a=2')], [(b'cookie', b'a=2')], [(b'cookie', b'a=1')]):
        bodies = [(await asgi_call(it, asgi_scope(headers=headers)))[1]['body'] for it in (app, plain)]
        assert bodies[0] == bodies[1]


async def test_an_endpoint_that_hears_that_its_client_has_left_does_not_leave_half_an_answer_to_the_next():
    router, cache, app = caching_router(), memory_cache(), FastAPI()

    @cache(ttl=60)
    @router.get('/')
    async def endpoint(request: Request):
        done = []
        for number in range(3):
            if await request.is_disconnected():
                break
            done.append(number)
            await asyncio.sleep(0)
        return done

    app.include_router(router)
    received = [{'type': 'http.request', 'body': b'', 'more_body': False}]

    async def leaving():
        return received.pop() if received else {'type': 'http.disconnect'}

    async def send(message):
        pass

    await app(asgi_scope(), leaving, send)
    answer = await asgi_call(app, asgi_scope())
    assert answer[1]['body'] == b'[0,1,2]'


def test_a_key_that_a_user_makes_never_meets_a_key_of_declared_inputs():
    backend = SimpleMemoryCache()
    cache, router = FastAPICache(backend), caching_router()

    @cache(ttl=60)
    @router.get('/home')
    async def home():
        return 'home'

    @cache(ttl=60, key_builder=lambda request: request.path_params['key'])
    @router.get('/echo/{key:path}')
    async def echo(key: str):
        return 'evil'

    client = client_of(router)
    client.get('/home')
    (key,) = backend._cache
    backend._cache.clear()
    assert client.get(f'/echo/{key}').json() == 'evil'
    assert client.get('/home').json() == 'home'


@pytest.mark.parametrize('kind', ['def', 'async def'])
def test_what_an_exception_handler_reads_of_one_request_is_not_served_to_another(kind):
    router, cache, app = caching_router(), memory_cache(accepted_status_codes={200, 404}), FastAPI()

    class MissingError(Exception):
        pass

    def handle(request: Request, error: Exception):
        return JSONResponse({'for': request.cookies.get('user')}, 404)

    async def handle_async(request: Request, error: Exception):
        return handle(request, error)

    app.add_exception_handler(MissingError, handle if kind == 'def' else handle_async)

    @cache(ttl=60)
    @router.get('/')
    async def endpoint():
        raise MissingError

    app.include_router(router)
    client = TestClient(app)
    answers = [client.get('/', headers={'cookie': f'user={it}'}).json() for it in ('bob', 'eve')]
    assert answers == [{'for': 'bob'}, {'for': 'eve'}]


def test_a_raised_404_is_stored_where_it_is_accepted_and_the_handler_is_the_frameworks_own():
    router, cache, runs = caching_router(), memory_cache(accepted_status_codes={404}), []

    @cache(ttl=60)
    @router.get('/')
    async def endpoint():
        runs.append(1)
        raise HTTPException(404, 'gone', headers={'x-why': 'test'})

    client = client_of(router)
    responses = [client.get('/') for _ in range(2)]
    assert marks(*responses) == ['MISS', 'HIT']
    assert [(it.status_code, it.json(), it.headers['x-why']) for it in responses] == [
        (404, {'detail': 'gone'}, 'test')
    ] * 2
    assert runs == [1]


def test_answers_of_an_exception_handler_are_stored_for_requests_that_are_equal_in_all_that_it_could_read():
    router, cache, app, runs = caching_router(), memory_cache(accepted_status_codes={200, 404}), FastAPI(), []
    missing = [True]

    @app.exception_handler(KeyError)
    async def handle(request: Request, error: KeyError):
        return JSONResponse({'language': request.headers.get('accept-language')}, 404)

    @cache(ttl=60)
    @router.get('/')
    async def endpoint():
        runs.append(1)
        if missing[0]:
            raise KeyError
        return 'found'

    app.include_router(router)
    client = TestClient(app)
    asked = [{'accept-language': it} for it in ('de', 'fr', 'de', 'fr')]
    responses = [client.get('/', headers=it) for it in asked]
    assert [it.json() for it in responses] == [{'language': it['accept-language']} for it in asked]
    assert marks(*responses) == ['MISS', 'MISS', 'HIT', 'HIT']
    with_cookie = client.get('/', headers={'cookie': 'a=1', 'accept-language': 'de'})
    assert with_cookie.headers['cache-status'].endswith('detail=exception-handler')
    missing[0] = False
    assert marks(client.get('/', headers={'accept-language': 'it'})) == ['MISS']
    assert marks(*(client.get('/', headers=it) for it in asked)) == ['HIT'] * 4


def test_an_exception_handler_is_no_obstacle_where_all_of_the_request_is_in_the_key():
    router, cache, app = caching_router(), memory_cache(accepted_status_codes={404}), FastAPI()

    @app.exception_handler(KeyError)
    async def handle(request: Request, error: Exception):
        return JSONResponse({'language': request.headers.get('accept-language')}, 404)

    @cache(ttl=60)
    @router.get('/')
    async def endpoint(request: Request):
        raise KeyError

    app.include_router(router)
    client = TestClient(app)
    asked = [{'accept-language': it} for it in ('de', 'fr', 'de')]
    responses = [client.get('/', headers=it) for it in asked]
    assert [it.json() for it in responses] == [{'language': it['accept-language']} for it in asked]
    assert marks(*responses) == ['MISS', 'MISS', 'HIT']


class ReadingHandler(CachingRoute):
    def get_route_handler(self):
        original = super().get_route_handler()

        async def handler(request: Request):
            response = await original(request)
            return JSONResponse({'user': request.headers.get('x-user'), 'status': response.status_code})

        return handler


class ReadingHandle(APIRoute):
    async def handle(self, scope, receive, send):
        await JSONResponse({'user': dict(scope['headers']).get(b'x-user', b'').decode()})(scope, receive, send)


class Mixed(CachingRoute, ReadingHandle):
    pass


@pytest.mark.parametrize('route_class', [ReadingHandler, Mixed])
def test_a_route_class_with_a_handler_of_its_own_is_taken_to_read_everything(route_class):
    router, cache = caching_router(), memory_cache()
    router.route_class = route_class

    @cache(ttl=60)
    @router.get('/')
    async def endpoint():
        return 'answer'

    client = client_of(router)
    users = ['a', 'b', 'a']
    responses = [client.get('/', headers={'x-user': it}) for it in users]
    assert [it.json()['user'] for it in responses] == users
    assert marks(*responses) == ['MISS', 'MISS', 'HIT']


def test_a_user_object_of_any_make_keeps_a_raw_request_from_sharing():
    router, cache, app = caching_router(), memory_cache(), FastAPI()

    @cache(ttl=60)
    @router.get('/')
    async def endpoint(request: Request):
        return request.scope['user']['name']

    app.include_router(router)

    class Login:
        def __init__(self, app):
            self.app = app

        async def __call__(self, scope, receive, send):
            scope['user'] = {'name': scope['query_string'].decode()}
            scope['query_string'] = b''
            await self.app(scope, receive, send)

    client = TestClient(Login(app))
    assert [client.get(f'/?{it}').json() for it in ('ann', 'bob')] == ['ann', 'bob']


async def test_request_fields_that_can_be_read_only_once_are_read_by_all():
    async def endpoint(a: Annotated[str, Header()] = 'd'):
        return a

    router, cache, app = caching_router(), memory_cache(), FastAPI()
    cache(ttl=60)(router.get('/')(endpoint))
    app.include_router(router)
    for value in (b'1', b'2', b'1'):
        scope = asgi_scope()
        scope['headers'] = iter([(b'a', value)])
        assert (await asgi_call(app, scope))[1]['body'] == b'"%s"' % value


async def test_response_fields_that_can_be_read_only_once_are_all_sent():
    class Once(Response):
        async def __call__(self, scope, receive, send):
            headers = ((name, value) for name, value in [(b'X-A', b'1'), (b'content-type', b'text/plain')])
            await send({'type': 'http.response.start', 'status': 200, 'headers': headers})
            await send({'type': 'http.response.body', 'body': b'a'})

    async def endpoint():
        return Once()

    cached, _ = twins(endpoint)
    for response in (cached.get('/'), cached.get('/')):
        assert (response.headers['x-a'], response.headers['content-type']) == ('1', 'text/plain')


def test_a_form_without_content_is_not_another_kind_of_form_without_content():
    router, cache, plain = caching_router(), memory_cache(), FastAPI()

    async def endpoint(a: Annotated[str, Form()] = 'd'):
        return a

    cache(ttl=60)(router.post('/')(endpoint))
    plain.post('/')(endpoint)
    cached, uncached = client_of(router), TestClient(plain)
    for headers in ({}, {'content-type': 'multipart/form-data'}, {'content-type': 'text/plain'}):
        statuses = [it.post('/', headers=headers).status_code for it in (cached, cached, uncached)]
        assert len(set(statuses)) == 1


BERLIN = datetime(2026, 1, 1, tzinfo=ZoneInfo('Europe/Berlin'))


@pytest.mark.parametrize(
    ('default', 'given', 'shared'),
    [
        (datetime(2026, 1, 1, tzinfo=timezone.utc), '2026-01-01T00:00:00Z', True),
        (datetime(2026, 1, 1, tzinfo=timezone.utc), '2026-01-01T01:00:00+01:00', False),
        (BERLIN, '2026-01-01T00:00:00+01:00', False),
    ],
)
def test_a_moment_is_its_default_only_where_nobody_can_tell(default, given, shared):
    async def endpoint(at: datetime = default):
        return f'{at} {at.tzname()}'

    cached, _ = twins(endpoint)
    assert marks(cached.get('/'), cached.get('/', params={'at': given})) == ['MISS', 'HIT' if shared else 'MISS']


def test_a_list_made_anew_each_time_is_a_default_like_any_other():
    async def endpoint(q: Annotated[list[str], Query(default_factory=list)]):
        return q

    cached, _ = twins(endpoint)
    assert marks(cached.get('/'), cached.get('/?utm_source=a'), cached.get('/?q=a')) == ['MISS', 'HIT', 'MISS']


async def test_a_body_that_is_changed_by_hand_gets_its_own_length_and_tag():
    cache, router = memory_cache(), caching_router()

    @cache(ttl=60, key_builder=lambda _: 'one')
    @router.get('/')
    async def endpoint():
        return 'answer'

    client = client_of(router)
    tag = client.get('/').headers['etag']
    stored = await cache.get_cached('one')
    await cache.set_cached('one', dataclasses.replace(stored, body=b'"another, longer one"'))
    response = client.get('/', headers={'if-none-match': tag})
    assert (response.status_code, response.json()) == (200, 'another, longer one')
    assert response.headers['content-length'] == str(len(response.content))


@pytest.mark.parametrize(
    ('response', 'reason'),
    [
        (Response(headers={'cache-control': 'no-store'}), 'no-store'),
        (Response(headers={'set-cookie': 'a=1'}), 'set-cookie'),
        (CachedResponse(b'', 500), 'status'),
    ],
)
async def test_what_must_not_be_stored_cannot_be_stored_by_hand(response, reason):
    with pytest.raises(ConfigurationError, match=f'must not be stored, because of its {reason}'):
        await memory_cache().set_cached('key', response)


def test_the_decorator_without_parentheses_says_so():
    with pytest.raises(ConfigurationError, match='needs its parentheses'):

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
        lambda: memory_cache()(key_builder=AsyncBuilder())(lambda: None),
    ],
)
def test_misuse_has_a_clear_error(misuse):
    with pytest.raises(ConfigurationError):
        misuse()


async def test_a_key_that_is_no_text_has_a_clear_error():
    with pytest.raises(ConfigurationError, match='a key is a str, got 5'):
        await memory_cache().get_cached(5)


class AsyncBuilder:
    async def __call__(self, request):
        return 'key'


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


def test_an_endpoint_that_is_decorated_late_is_cached_from_then_on():
    cache, router = memory_cache(), caching_router()

    @router.get('/')
    async def endpoint():
        return 'answer'

    client = client_of(router)
    assert marks(client.get('/')) == [None]
    cache(ttl=60)(endpoint)
    assert marks(client.get('/'), client.get('/')) == ['MISS', 'HIT']


key_header = APIKeyHeader(name='X-Key', auto_error=False)
names = itertools.count()


@pytest.fixture
def backend(new_backend):
    return new_backend(namespace=f'attack{next(names)}')


@contextmanager
def attacked(backend, *routers, middleware=(), **options):
    """A client of an app whose routes are cached in this backend; the backend is closed in the loop that used it."""
    app = FastAPI()
    for router in routers:
        app.include_router(router, **options)
    for kind, arguments in middleware:
        app.add_middleware(kind, **arguments)
    with TestClient(app) as client:
        yield client
        client.portal.call(closing, backend)


def check(key: Annotated[str | None, Security(key_header)]):
    if key is None:
        raise HTTPException(401)
    if key.startswith('bad'):
        raise HTTPException(403)
    return key


def test_nobody_without_a_key_learns_anything_from_an_entry(backend):
    router, cache = caching_router(dependencies=[Depends(check)]), FastAPICache(backend, store_timeout=5)

    @cache(ttl=60)
    @router.get('/')
    async def endpoint():
        return 'secret'

    with attacked(backend, router) as client:
        tag = client.get('/', headers={'x-key': 'good'}).headers['etag']
        for headers in ({}, {'x-key': 'bad'}, {'if-none-match': '*'}, {'if-none-match': tag}, {'x-key': ''}):
            response = client.get('/', headers=headers)
            assert response.status_code in {401, 403} or headers == {'x-key': ''}
            assert headers == {'x-key': ''} or 'secret' not in response.text
            assert headers == {'x-key': ''} or not {'etag', 'x-cache', 'age'} & set(response.headers)


def test_one_bearer_never_gets_what_another_one_has_left_in_the_store(backend):
    router, cache, runs = caching_router(), FastAPICache(backend, store_timeout=5), []

    @cache(ttl=60)
    @router.get('/')
    async def endpoint(it: Annotated[HTTPAuthorizationCredentials | None, Security(HTTPBearer(auto_error=False))]):
        runs.append(1)
        return it.credentials if it else 'anonymous'

    with attacked(backend, router) as client:
        for _ in range(2):
            for person in ('ann', 'bob', 'ann '):
                given = client.get('/', headers={'authorization': f'Bearer {person}'}).json()
                assert given.strip() == person.strip()
            assert client.get('/').json() == 'anonymous'
    assert len(runs) in {3, 4}


def test_a_cookie_that_an_endpoint_sets_is_never_replayed_to_another_client(backend):
    router, cache = caching_router(), FastAPICache(backend, store_timeout=5)

    @cache(ttl=60)
    @router.get('/')
    async def endpoint(response: Response, user: str = ''):
        if user:
            response.set_cookie('session', f'of {user}')
        return 'answer'

    with attacked(backend, router) as client:
        assert 'set-cookie' in client.get('/?user=ann').headers
        client.cookies.clear()
        for _ in range(2):
            assert 'set-cookie' not in client.get('/').headers
            assert 'x-cache' not in client.get('/?user=ann').headers
            client.cookies.clear()


def test_sessions_never_mix_whether_the_endpoint_or_a_dependency_reads_them(backend):
    router, cache = caching_router(), FastAPICache(backend, store_timeout=5)

    def who(request: Request):
        return request.session.get('user', 'nobody')

    @router.get('/login')
    async def login(request: Request, user: str):
        request.session['user'] = user

    @cache(ttl=60)
    @router.get('/by-endpoint')
    async def by_endpoint(request: Request):
        return who(request)

    @cache(ttl=60)
    @router.get('/by-dependency')
    async def by_dependency(user: Annotated[str, Depends(who)]):
        return user

    session = (SessionMiddleware, {'secret_key': 'k' * 32})
    with attacked(backend, router, middleware=[session]) as client:
        for person in ('ann', 'bob'):
            client.cookies.clear()
            client.get(f'/login?user={person}')
            for path in ('/by-endpoint', '/by-dependency'):
                assert [client.get(path).json() for _ in range(2)] == [person] * 2
        client.cookies.clear()
        assert [client.get('/by-endpoint').json() for _ in range(2)] == ['nobody'] * 2


def test_users_of_an_authentication_middleware_never_mix(backend):
    router, cache = caching_router(), FastAPICache(backend, store_timeout=5)

    class ByQuery(AuthenticationBackend):
        async def authenticate(self, conn):
            user = conn.headers.get('x-forwarded-user')  # of a proxy: a field like any other, and no credential to us
            return None if user is None else (AuthCredentials(), SimpleUser(user))

    @cache(ttl=60)
    @router.get('/')
    async def endpoint(request: Request):
        return request.user.display_name

    middleware = (AuthenticationMiddleware, {'backend': ByQuery()})
    with attacked(backend, router, middleware=[middleware]) as client:
        for person in ('ann', 'bob', 'ann'):
            assert client.get('/', headers={'x-forwarded-user': person}).json() == person
        assert [client.get('/').json() for _ in range(2)] == ['', '']


def test_a_tenant_in_a_context_variable_never_meets_another_one(backend):
    tenant: ContextVar[str] = ContextVar('tenant', default='none')

    async def enter(x_tenant: Annotated[str, Header()] = 'none'):
        tenant.set(x_tenant)

    router, cache = caching_router(dependencies=[Depends(enter)]), FastAPICache(backend, store_timeout=5)

    @cache(ttl=60)
    @router.get('/')
    async def endpoint():
        return tenant.get()

    with attacked(backend, router) as client:
        for it in ('a', 'b', 'a', 'b'):
            assert client.get('/', headers={'x-tenant': it}).json() == it
        assert client.get('/').json() == 'none'


@pytest.mark.parametrize(
    ('one', 'other'),
    [
        ('/files/a%2Fb', '/files/a%252Fb'),
        ('/files/a', '/files/a/'),
        ('/files/a', '/files/A'),
        ('/files/a?x=1', '/files/a%3Fx=1'),
        ('/files/%00', '/files/%2500'),
        ('/files/a;b', '/files/a'),
        ('/files/..%2Fb', '/files/b'),
    ],
)
def test_no_way_of_writing_a_path_reaches_the_answer_of_another_one(one, other):
    router, cache = caching_router(), memory_cache()

    @cache(ttl=60)
    @router.get('/files/{name:path}')
    async def endpoint(name: str):
        return name

    plain = FastAPI()
    plain.get('/files/{name:path}')(endpoint)
    client = client_of(router)
    for path in (one, other, one, other):
        assert client.get(path).json() == TestClient(plain).get(path).json()


@pytest.mark.parametrize(
    'queries',
    [
        ['', '?q=', '?q', '?q=&q='],
        ['?q=a&q=b', '?q=b&q=a', '?q=a,b', '?q=a%26q=b', "?q=a', 'b"],
        ['?q=a&r=b', '?q=a%26r=b', '?r=b', "?q=(('a',),)"],
        ['?q=%00', '?q=%2500', '?q=%C3%A9', '?q=%C3%83%C2%A9', '?q=%FF', '?q=%FE'],
    ],
)
def test_no_crafted_query_reaches_the_answer_of_another_one(queries):
    async def endpoint(q: Annotated[list[str] | None, Query()] = None, r: str | None = None):
        return [q, r]

    cached, plain = twins(endpoint)
    for query in queries * 2:
        assert cached.get(f'/{query}').json() == plain.get(f'/{query}').json()


@pytest.mark.parametrize(
    'field', ['x-forwarded-host', 'x-forwarded-proto', 'forwarded', 'x-http-method-override', 'x-original-url', 'host']
)
def test_fields_that_nobody_declares_cannot_change_what_others_get(field):
    async def endpoint(q: str = ''):
        return q

    cached, _ = twins(endpoint)
    poisoned, clean = cached.get('/', headers={field: 'evil.example'}), cached.get('/')
    assert marks(poisoned, clean) == ['MISS', 'HIT']
    assert 'evil' not in str(clean.headers) + clean.text


def test_the_host_of_one_request_never_gets_into_the_links_of_another():
    async def endpoint(request: Request):
        return str(request.url_for('endpoint'))

    cached, plain = twins(endpoint)
    for host in ('evil.example', 'good.example', 'evil.example', 'good.example'):
        assert cached.get('/', headers={'host': host}).json() == plain.get('/', headers={'host': host}).json()


def test_a_hit_carries_no_field_of_the_request_that_filled_it():
    async def endpoint(request: Request):
        return Response('answer', headers={'x-echo': request.headers.get('x-noise', '')})

    cached, _ = twins(endpoint)
    secret = cached.get('/', headers={'x-noise': 'secret', 'user-agent': 'secret', 'traceparent': 'secret'})
    assert secret.headers['x-echo'] == 'secret'
    response = cached.get('/')
    assert 'secret' not in str(response.headers)


def test_a_refusal_is_never_stored(backend):
    router, cache = caching_router(dependencies=[Depends(check)]), FastAPICache(backend, store_timeout=5)

    @cache(ttl=60)
    @router.get('/')
    async def endpoint():
        return 'answer'

    with attacked(backend, router) as client:
        assert client.get('/').status_code == 401
        assert marks(client.get('/', headers={'x-key': 'good'})) == ['MISS']
        assert client.get('/').status_code == 401


def test_anonymous_never_gets_the_answer_of_somebody(backend):
    router, cache = caching_router(), FastAPICache(backend, store_timeout=5)

    @cache(ttl=60)
    @router.get('/')
    async def endpoint(key: Annotated[str | None, Security(key_header)]):
        return key

    with attacked(backend, router) as client:
        answers = [client.get('/', headers=it).json() for it in ({'x-key': 'ann'}, {}, {'x-key': ''}, {})]
    assert answers[0] == 'ann'
    assert 'ann' not in str(answers[1:])


def test_a_head_request_cannot_empty_the_answer_of_a_get(backend):
    router, cache = caching_router(), FastAPICache(backend, store_timeout=5)

    @cache(ttl=60)
    @router.api_route('/', methods=['GET', 'HEAD'])
    async def endpoint():
        return 'answer'

    with attacked(backend, router) as client:
        client.head('/')
        assert client.get('/').json() == 'answer'
        client.head('/')
        assert client.get('/').json() == 'answer'


def test_two_schemes_together_are_both_in_the_key(backend):
    router, cache = caching_router(), FastAPICache(backend, store_timeout=5)
    query = APIKeyQuery(name='key', auto_error=False)

    @cache(ttl=60)
    @router.get('/')
    async def endpoint(one: Annotated[str | None, Security(key_header)], two: Annotated[str | None, Security(query)]):
        return [one, two]

    asked = [({'x-key': 'a'}, 'b'), ({'x-key': 'b'}, 'a'), ({}, 'a'), ({'x-key': 'a'}, None)]
    with attacked(backend, router) as client:
        for headers, key in asked * 2:
            response = client.get('/', headers=headers, params={'key': key} if key else {})
            assert response.json() == [headers.get('x-key'), key]


def test_absent_and_empty_are_two_variants(backend):
    router, cache = caching_router(), FastAPICache(backend, store_timeout=5)

    @cache(ttl=60, key_builder=lambda _: 'one')
    @router.get('/')
    async def endpoint(request: Request):
        return Response(str(request.headers.get('x-plan')), headers={'vary': 'X-Plan, Accept-Language'})

    with attacked(backend, router) as client:
        for headers in ({}, {'x-plan': ''}, {'x-plan': 'a'}) * 2:
            assert client.get('/', headers=headers).text == str(headers.get('x-plan'))


class Executed:
    """A pickle that says so when it is loaded."""

    ran: ClassVar[list[int]] = []

    def __reduce__(self):
        return Executed.ran.append, (1,)


@pytest.mark.parametrize('kind', ['pickle', 'json', 'another route', 'line break', 'version'])
def test_nothing_that_is_planted_in_the_store_is_executed_or_served(new_backend, kind):
    backend = new_backend(namespace=f'attack{next(names)}', serializer=Bytes())
    cache, router = FastAPICache(backend, store_timeout=5), caching_router()

    @cache(ttl=60, key_builder=lambda request: request.url.path.strip('/'))
    @router.get('/{name}')
    async def endpoint(name: str):
        return name

    now, full = time.time(), f'{backend.namespace}::victim'
    evil = Entry(full, 200, ((b'content-type', b'text/html'),), b'evil', now, 1000)
    planted = {
        'pickle': pickle.dumps(Executed()),
        'json': b'{"status": 200, "body": "evil"}',
        'another route': encode(dataclasses.replace(evil, key=f'{backend.namespace}::other')),
        'line break': encode(dataclasses.replace(evil, headers=((b'x-a', b'b\r\nset-cookie: evil'),))),
        'version': b'fcr\x09' + encode(evil)[4:],
    }[kind]
    with attacked(backend, router) as client:
        client.portal.call(lambda: backend.set(full, planted, namespace=''))
        response = client.get('/victim')
    assert (response.json(), response.headers['x-cache']) == ('victim', 'MISS')
    assert 'evil' not in str(response.headers)
    assert Executed.ran == []


@pytest.mark.parametrize('identity', ['shared', lambda request: 'tenant'])
def test_a_guard_that_does_not_run_on_hits_counts_in_the_key_whoever_shares(identity):
    def guard(x_token: Annotated[str, Header()] = ''):
        if x_token != 'ok':
            raise HTTPException(401)

    router, cache = caching_router(dependencies=[Depends(guard)]), memory_cache()

    @cache(ttl=60, identity=identity, route_dependencies='on_miss')
    @router.get('/')
    async def endpoint():
        return 'secret'

    client = client_of(router)
    assert [client.get('/', headers={'x-token': it}).status_code for it in ('ok', 'bad', 'ok', '')] == [200, 401] * 2


@pytest.mark.parametrize('identity', ['shared', lambda request: 'tenant'])
def test_sharing_leaves_out_who_asks_and_never_what_is_asked(identity):
    router, cache = caching_router(), memory_cache()

    def load(item_id: int, session: Annotated[str, Cookie()] = '', key: Annotated[str, Security(key_header)] = ''):
        return item_id

    async def load_raw(request: Request, key: Annotated[str, Security(key_header)] = ''):
        return str(request.url)

    @cache(ttl=60, identity=identity)
    @router.get('/declared')
    async def declared(it: Annotated[int, Depends(load)]):
        return it

    @cache(ttl=60, identity=identity)
    @router.get('/raw')
    async def raw(it: Annotated[str, Depends(load_raw)]):
        return it

    client = client_of(router)
    people = [{'x-key': it, 'cookie': f'session={it}'} for it in ('ann', 'bob')]
    for number in (1, 2):
        responses = [client.get(f'/declared?item_id={number}', headers=it) for it in people]
        assert [it.json() for it in responses] == [number] * 2
        assert marks(*responses) == ['MISS', 'HIT']
        responses = [client.get(f'/raw?{number}', headers=it) for it in people]
        assert all(it.json().endswith(f'/raw?{number}') for it in responses)
        assert marks(*responses) == ['MISS', 'HIT']


@pytest.mark.parametrize('vary', [[], ['cookie']])
def test_a_session_that_is_made_while_answering_is_nobody_elses(vary):
    router, cache, numbers = caching_router(), memory_cache(), itertools.count()

    @cache(ttl=60, vary_headers=vary)
    @router.get('/')
    async def endpoint(request: Request):
        return request.session.setdefault('csrf', next(numbers))

    app = FastAPI()
    app.include_router(router)
    app.add_middleware(SessionMiddleware, secret_key='k' * 32)
    assert [TestClient(app).get('/').json() for _ in range(3)] == [0, 1, 2]


def test_a_session_that_changes_deep_inside_is_not_stored_with_the_answer():
    router, cache, numbers = caching_router(), memory_cache(), itertools.count()

    @router.get('/login')
    async def login(request: Request):
        request.session['seen'] = []

    @cache(ttl=60, vary_headers=['cookie'])
    @router.get('/')
    async def endpoint(request: Request):
        request.session['seen'].append(next(numbers))
        return request.session['seen']

    app = FastAPI()
    app.include_router(router)
    app.add_middleware(SessionMiddleware, secret_key='k' * 32)
    client = TestClient(app)
    client.get('/login')
    assert marks(client.get('/')) == [None]


def test_a_function_round_a_scheme_sees_the_credential_and_so_it_counts():
    bearer, current = HTTPBearer(), ContextVar('current', default='')

    @functools.wraps(bearer)
    async def traced(request: Request):
        credential = await bearer(request)
        current.set(credential.credentials)
        return credential

    def tracing(call):
        @functools.wraps(call)
        async def traced_call(self, request: Request):
            credential = await call(self, request)
            current.set(credential.credentials)
            return credential

        return traced_call

    class Own(HTTPBearer):
        __call__ = tracing(HTTPBearer.__call__)

    for guard in (traced, Own()):
        router, cache = caching_router(dependencies=[Depends(guard)]), memory_cache()

        @cache(ttl=60)
        @router.get('/')
        async def endpoint():
            return current.get()

        client = client_of(router)
        for person in ('ann', 'bob', 'ann'):
            assert client.get('/', headers={'authorization': f'Bearer {person}'}).json() == person


class AuthorizationModel(BaseModel):
    authorization: str


def by_model(it: Annotated[AuthorizationModel, Header()]):
    return it.authorization


def by_validation_alias(it: Annotated[str, Header(alias='Authorization')]):
    return it


@pytest.mark.parametrize('declared', [by_model, by_validation_alias])
def test_however_authorization_is_declared_a_token_that_is_revoked_gets_nothing(declared):
    router, cache, allowed = caching_router(), memory_cache(), {'a'}

    def user(token: Annotated[str, Depends(declared)]):
        if token not in allowed:
            raise HTTPException(401)

    @cache(ttl=60)
    @router.get('/')
    async def endpoint(it: Annotated[None, Depends(user)]):
        return 'answer'

    client = client_of(router)
    statuses = [client.get('/', headers={'authorization': 'a'}).status_code for _ in range(2)]
    allowed.clear()
    assert [*statuses, client.get('/', headers={'authorization': 'a'}).status_code] == [200, 200, 401]


def test_the_vary_of_an_endpoint_counts_also_for_a_field_that_a_scheme_checks():
    router, cache, current = caching_router(dependencies=[Security(key_header)]), memory_cache(), ContextVar('current')

    @cache(ttl=60)
    @router.get('/')
    async def endpoint(response: Response):
        response.headers['vary'] = 'X-Key'
        return current.get()

    app = FastAPI()
    app.include_router(router)

    class Enter:
        async def __call__(self, scope, receive, send):
            current.set(dict(scope.get('headers', ())).get(b'x-key', b'').decode())
            await app(scope, receive, send)

    client = TestClient(Enter())
    for person in ('ann', 'bob', 'ann', 'bob'):
        assert client.get('/', headers={'x-key': person}).json() == person


def test_a_field_that_a_guard_has_set_for_one_client_is_not_shown_to_another():
    def guard(response: Response, key: Annotated[str, Security(key_header)]):
        response.headers['x-both'] = 'guard'
        if key == 'admin':
            response.headers['x-admin'] = 'root'

    def named(response: Response):
        response.headers['x-named'] = 'kept'

    router, cache, plain = caching_router(dependencies=[Depends(guard)]), memory_cache(), FastAPI()

    async def endpoint(response: Response, it: Annotated[None, Depends(named)]):
        response.headers['x-both'] = 'endpoint'
        return 'answer'

    router.get('/')(cache(ttl=60, identity='shared')(endpoint))
    plain.get('/', dependencies=[Depends(guard)])(endpoint)
    client = client_of(router)
    for person in ('admin', 'bob', 'admin'):
        response, expected = (it.get('/', headers={'x-key': person}) for it in (client, TestClient(plain)))
        for name in ('x-admin', 'x-both', 'x-named'):
            assert response.headers.get_list(name) == expected.headers.get_list(name)
    assert marks(response) == ['HIT']


@pytest.mark.parametrize('field', ['cache-control: no-store', 'set-cookie: a=1', 'vary: *'])
@pytest.mark.parametrize('early', [True, False])
def test_what_a_check_says_about_storing_is_obeyed(field, early):
    router, cache = caching_router(), memory_cache()
    name, _, value = field.partition(': ')

    def check(response: Response):
        response.headers[name] = value

    options = {'identity': lambda request: 'tenant'} if early else {}

    @cache(ttl=60, dependencies=[Depends(check)], **options)
    @router.get('/')
    async def endpoint():
        return 'answer'

    client = client_of(router)
    assert marks(client.get('/'), client.get('/')) == [None, None]


def test_a_user_that_no_field_names_does_not_hide_behind_a_cookie():
    router, cache, app = caching_router(), memory_cache(), FastAPI()

    class ByAddress(AuthenticationBackend):
        async def authenticate(self, conn):
            return AuthCredentials(), SimpleUser(conn.headers['x-real-ip'])

    @cache(ttl=60, vary_headers=['cookie'])
    @router.get('/')
    async def endpoint(request: Request):
        return request.user.display_name

    app.include_router(router)
    app.add_middleware(AuthenticationMiddleware, backend=ByAddress())
    client = TestClient(app)
    for person in ('ann', 'bob', 'ann'):
        assert client.get('/', headers={'x-real-ip': person, 'cookie': 'lang=en'}).json() == person


@pytest.mark.parametrize('option', ['identity', 'key_builder'])
def test_no_credential_gets_into_the_log_and_no_line_of_it_can_be_forged(option, caplog):
    caplog.set_level('DEBUG')
    router, cache, tenants = caching_router(), memory_cache(), {'known': 'a'}

    @cache(ttl=60, **{option: lambda request: tenants[request.headers['x-key']]})
    @router.get('/{name}')
    async def endpoint(name: str):
        return 'answer'

    client = client_of(router)
    responses = [client.get('/a%0aFAKE: line', headers={'x-key': 'SECRET'}) for _ in range(2)]
    assert [it.json() for it in responses] == ['answer'] * 2
    assert marks(*responses) == [None, None]
    assert 'SECRET' not in caplog.text
    assert not [line for line in caplog.text.splitlines() if line.startswith('FAKE')]


def test_a_refusal_does_not_tell_whether_there_is_an_entry():
    router, cache = caching_router(dependencies=[Depends(check)]), memory_cache()

    @cache(ttl=60)
    @router.get('/{name}')
    async def endpoint(name: str):
        return name

    client = client_of(router)
    before = client.get('/a', headers={'x-key': 'bad'})
    assert marks(client.get('/a', headers={'x-key': 'good'})) == ['MISS']
    after = client.get('/a', headers={'x-key': 'bad'})
    assert (before.status_code, dict(before.headers)) == (after.status_code, dict(after.headers))


def test_a_bearer_that_a_guard_checks_is_covered_where_a_key_builder_makes_the_key():
    router, cache = caching_router(dependencies=[Security(HTTPBearer())]), memory_cache()

    @cache(ttl=60, key_builder=lambda _: 'one')
    @router.get('/')
    async def endpoint():
        return 'answer'

    client = client_of(router)
    assert marks(*(client.get('/', headers={'authorization': f'Bearer {it}'}) for it in 'ab')) == ['MISS', 'HIT']


def test_a_check_runs_although_the_dependency_that_had_it_is_overridden():
    router, cache, app = caching_router(), memory_cache(), FastAPI()

    def guard():
        raise HTTPException(401)

    def outer(it: Annotated[None, Depends(guard)]):
        return it

    @cache(ttl=60, dependencies=[Depends(guard)])
    @router.get('/')
    async def endpoint(it: Annotated[None, Depends(outer)]):
        return 'answer'

    app.include_router(router)
    app.dependency_overrides[outer] = lambda: None
    client = TestClient(app)
    assert [client.get('/').status_code for _ in range(2)] == [401, 401]


def test_a_304_does_not_put_the_field_of_a_guard_in_place_of_the_endpoints():
    def guard(response: Response):
        response.headers['content-security-policy'] = "default-src 'none'"

    router, cache = caching_router(dependencies=[Depends(guard)]), memory_cache()

    @cache(ttl=60)
    @router.get('/')
    async def endpoint(response: Response):
        response.headers['content-security-policy'] = "default-src 'self'"
        return 'answer'

    client = client_of(router)
    tag = client.get('/').headers['etag']
    unchanged = client.get('/', headers={'if-none-match': tag})
    assert unchanged.status_code == 304
    assert "'none'" not in unchanged.headers.get('content-security-policy', '')


def test_a_refusal_behind_an_early_check_is_marked_once():
    refusing = []

    def guard():
        if refusing:
            raise HTTPException(403)

    router, cache = caching_router(dependencies=[Depends(guard)]), memory_cache()

    @cache(ttl=60, key_builder=lambda _: 'one', dependencies=[Depends(lambda: None)])
    @router.get('/')
    async def endpoint():
        return 'answer'

    client = client_of(router)
    client.get('/')
    refusing.append(1)
    assert client.get('/').headers.get_list('cache-status') == ['FastAPICache; fwd=uri-miss; detail=status']


def test_the_age_that_an_answer_brings_along_counts():
    async def endpoint():
        return Response(headers={'age': '50', 'cache-control': 'max-age=60'})

    cached, _ = twins(endpoint)
    cached.get('/')
    assert cached.get('/').headers['age'] == '50'
