"""Routes that take the raw request: the address of the client and the URL that it sees are in the key."""

from typing import Annotated

import pytest
from fastapi import Depends, FastAPI, Request
from starlette.authentication import AuthCredentials, AuthenticationBackend, SimpleUser
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.testclient import TestClient

from fastapi_caching_route._core.inputs import names_a_person, raw_parts
from tests.support import asgi_call, asgi_scope, caching_router, client_of, marks, memory_cache

TELLING_WHERE_FROM = [
    *('x-forwarded-host', 'x-forwarded-proto', 'x-forwarded-port', 'x-forwarded-prefix', 'x-forwarded-server'),
    *('x-forwarded-for', 'forwarded', 'x-real-ip', 'true-client-ip', 'cf-connecting-ip'),
]


def raw_app(read, **options):
    router, cache, app = caching_router(), memory_cache(), FastAPI()
    router.get('/')(cache(ttl=60, **options)(read))
    app.include_router(router)
    return app


@pytest.mark.parametrize('name', TELLING_WHERE_FROM)
def test_a_header_of_a_proxy_that_one_client_makes_up_poisons_no_response_of_others(name):
    runs = []

    async def reset(request: Request):
        runs.append(1)
        return {'link': f'https://{request.headers.get(name, "example.org")}/reset'}

    client = TestClient(raw_app(reset))
    evil = [client.get('/', headers={name: 'evil.example'}) for _ in range(2)]
    good = [client.get('/') for _ in range(2)]
    assert {it.json()['link'] for it in good} == {'https://example.org/reset'}
    assert marks(*evil, *good) == ['MISS', 'HIT', 'MISS', 'HIT']
    assert len(runs) == 2


@pytest.mark.anyio
async def test_clients_of_different_addresses_share_nothing_and_the_port_does_not_count():
    runs = []

    async def who(request: Request):
        runs.append(1)
        return request.client.host if request.client else 'unknown'

    app = raw_app(who)

    async def ask(client):
        sent = await asgi_call(app, {**asgi_scope(headers=[(b'host', b'h')]), 'client': client})
        return sent[1]['body']

    clients = [('10.0.0.1', 1), ('10.0.0.2', 1), None, ('10.0.0.1', 2)]
    assert [await ask(it) for it in clients] == [b'"10.0.0.1"', b'"10.0.0.2"', b'"unknown"', b'"10.0.0.1"']
    assert len(runs) == 3


@pytest.mark.anyio
async def test_a_request_without_host_is_told_apart_by_the_address_that_it_came_to():
    async def url(request: Request):
        return str(request.base_url)

    app = raw_app(url)
    servers = [('10.0.0.1', 80), ('10.0.0.2', 80)] * 2
    got = [(await asgi_call(app, {**asgi_scope(), 'server': it}))[1]['body'] for it in servers]
    assert got == [b'"http://10.0.0.1/"', b'"http://10.0.0.2/"'] * 2


@pytest.mark.parametrize('through', ['endpoint', 'dependency'])
def test_explain_says_of_a_raw_route_all_that_does_not_count(through):
    router, cache, app = caching_router(), memory_cache(left_out_of_raw_keys=['X-Noise']), FastAPI()
    policy = {'ttl': 60, 'reads': 'all'}

    def host_of(request: Request):
        return request.url.netloc

    async def raw(request: Request):
        return 1

    async def of_dependency(host: Annotated[str, Depends(host_of)]):
        return host

    @router.get('/declared')
    @cache(ttl=60)
    async def declared():
        return 1

    router.get('/raw')(cache(**policy)(raw if through == 'endpoint' else of_dependency))
    app.include_router(router)
    reports = {it.path: it for it in cache.explain(app)}
    assert reports['/declared'].not_in_key == ()
    told = reports['/raw'].not_in_key
    assert [it for it in told if it.startswith('header ')] == ['header x-noise']
    assert 'the port of the client' in told
    assert 'request.state as middleware sets it' in told
    assert any('the whole raw request' in it for it in reports['/raw'].key)


def test_a_rate_limiter_by_address_keeps_its_responses_shared_where_identity_says_so():
    router, cache, seen = caching_router(), memory_cache(), []

    def limit(request: Request):
        seen.append(request.headers.get('x-real-ip'))

    @router.get('/', dependencies=[Depends(limit)])
    @cache(ttl=60, identity='shared')
    async def endpoint():
        return 'for all'

    client = client_of(router)
    assert marks(*(client.get('/', headers={'x-real-ip': it}) for it in 'ab')) == ['MISS', 'HIT']
    assert seen == ['a', 'b']


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


@pytest.mark.parametrize(
    ('headers', 'cached'),
    [
        ({}, True),
        ({'cookie': 'a=1'}, False),
        ({'authorization': 'Bearer x'}, False),
    ],
)
def test_a_raw_request_with_credentials_goes_by_the_cache_where_all_of_it_counts(headers, cached):
    router, cache = caching_router(), memory_cache()

    @cache(ttl=60, reads='all')
    @router.get('/')
    async def endpoint(request: Request):
        return dict(request.cookies)

    client = client_of(router)
    expected = ['MISS', 'HIT'] if cached else [None, None]
    assert marks(client.get('/', headers=headers), client.get('/', headers=headers)) == expected


def test_vary_headers_cover_the_credentials_of_a_raw_request():
    router, cache = caching_router(), memory_cache()

    @cache(ttl=60, vary_headers=['cookie', 'authorization'])
    @router.get('/')
    async def endpoint(request: Request):
        return dict(request.cookies)

    client = client_of(router)
    for it in ('a', 'b', 'a', 'b'):
        headers = {'cookie': f'a={it}', 'authorization': it}
        assert client.get('/', headers=headers).json() == {'a': it}
    assert marks(client.get('/', headers=headers)) == ['HIT']


USER = type('User', (), {'is_authenticated': True, 'username': 'ann'})()


UNNAMED = type('User', (), {'is_authenticated': True})()


@pytest.mark.parametrize(
    ('extra', 'covered', 'reason'),
    [
        ({}, (), None),
        ({'session': {}}, (), None),
        ({'session': {'user': 1}}, (), 'session'),
        ({'session': {'user': 1}}, (b'cookie',), 'session'),
        ({'session': {'user': 1}, 'headers': [(b'cookie', b'a=1')]}, (b'cookie',), None),
        ({'user': USER}, (), 'user'),
        ({'user': USER}, (b'authorization', b'cookie'), 'user'),
        ({'user': USER, 'headers': [(b'authorization', b'x')]}, (b'authorization',), None),
        ({'user': UNNAMED, 'headers': [(b'authorization', b'x')]}, (b'authorization',), 'user'),
        ({'user': type('Guest', (), {'is_authenticated': False})()}, (), None),
        ({'headers': [(b'cookie', b'a=1')]}, (), 'cookie'),
        ({'headers': [(b'authorization', b'x')]}, (), 'authorization'),
        ({'headers': [(b'authorization', b'x'), (b'cookie', b'a=1')]}, (b'authorization',), 'cookie'),
    ],
)
def test_whatever_names_a_person_keeps_a_raw_request_from_sharing(extra, covered, reason):
    assert names_a_person(asgi_scope() | extra, covered) == reason


def test_what_middleware_calls_the_user_is_part_of_a_raw_request():
    scopes = [asgi_scope() | {'user': SimpleUser(name)} for name in ('ada', 'bob')]
    ada, bob = (raw_parts(scope, ()) for scope in scopes)
    assert ada != bob
    assert ada == raw_parts(asgi_scope() | {'user': SimpleUser('ada')}, ())
