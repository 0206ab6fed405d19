"""No crafted request gets the response to another one, or changes it for others."""

from contextvars import ContextVar
from typing import Annotated

import pytest
from aiocache import SimpleMemoryCache
from fastapi import Cookie, Depends, FastAPI, Header, Path, Query, Request, Response, Security
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from starlette.testclient import TestClient

from fastapi_caching_route import FastAPICache
from tests.promises.attacks import attacked, key_header
from tests.support import asgi_call, asgi_scope, caching_router, client_of, marks, memory_cache, twins


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


def test_absent_and_empty_are_two_variants(backend):
    router, cache = caching_router(), FastAPICache(backend, store_timeout=5)

    @cache(ttl=60, key_builder=lambda _: 'one')
    @router.get('/')
    async def endpoint(request: Request):
        return Response(str(request.headers.get('x-plan')), headers={'vary': 'X-Plan, Accept-Language'})

    with attacked(backend, router) as client:
        for headers in ({}, {'x-plan': ''}, {'x-plan': 'a'}) * 2:
            assert client.get('/', headers=headers).text == str(headers.get('x-plan'))


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
