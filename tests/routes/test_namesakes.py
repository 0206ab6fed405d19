"""Apps, routes and endpoints of one name never share entries."""

import asyncio
import contextvars
from functools import partial
from typing import Annotated

import pytest
from aiocache import SimpleMemoryCache
from fastapi import Depends, FastAPI, HTTPException, Response
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.routing import Host, Mount
from starlette.testclient import TestClient

from fastapi_caching_route import FastAPICache
from tests.backends.fakes import Elsewhere
from tests.support import caching_router, client_of, found, marks, memory_cache


def made(cache, name):
    """A router like others, made by a function."""
    router = caching_router(prefix=f'/{name}')

    @router.get('/{number}')
    @cache(ttl=60)
    async def get(number: int):
        return name

    return router, get


def test_endpoints_of_one_name_are_told_apart_in_whatever_order_they_are_made():
    backend = Elsewhere()
    here, there = FastAPICache(backend), FastAPICache(backend)
    (users, _), (items, _) = made(here, 'users'), made(here, 'items')
    client = client_of(users, items)
    found(client, '/users/1', '/items/1')
    _, get_items = made(there, 'items')  # as another process may, which has no need of users
    asyncio.run(there.invalidate_endpoint(get_items, number=1))
    assert found(client, '/users/1', '/items/1') == ['HIT', 'MISS']
    asyncio.run(there.invalidate_endpoint(get_items))
    assert found(client, '/users/1', '/items/1') == ['HIT', 'MISS']


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


class Greeter:
    cache = memory_cache()

    def __init__(self, greeting):
        self.greeting = greeting

    async def greet(self):
        return self.greeting

    @cache(ttl=60)
    async def salute(self):
        return self.greeting


def test_a_bound_method_is_cached_for_its_own_instance():
    cache, english, german = memory_cache(), caching_router(prefix='/en'), caching_router(prefix='/de')
    for router, greeter in ((english, Greeter('hello')), (german, Greeter('hallo'))):
        cache(ttl=60)(router.get('/')(greeter.greet))
    client = client_of(english, german)
    assert [client.get(path).json() for path in ('/en/', '/de/', '/en/')] == ['hello', 'hallo', 'hello']
    assert marks(client.get('/en/'), client.get('/de/')) == ['HIT', 'HIT']


@pytest.mark.parametrize('kind', ['method', 'closure', 'partial'])
def test_endpoints_of_one_name_and_path_in_two_apps_never_share_entries(kind):
    cache = Greeter.cache

    def closure(greeting):
        @cache(ttl=60)
        async def endpoint():
            return greeting

        return endpoint

    @cache(ttl=60)
    async def salute(greeting: str = 'hello'):
        return greeting

    clients = []
    for greeting in ('hello', 'hallo'):
        router = caching_router()
        made = {
            'method': lambda it=greeting: Greeter(it).salute,
            'closure': lambda it=greeting: closure(it),
            'partial': lambda it=greeting: partial(salute, it),
        }
        router.get(f'/{kind}')(made[kind]())
        clients.append(client_of(router))
    answers = [client.get(f'/{kind}').json() for client in (*clients, *clients)]
    assert answers == ['hello', 'hallo', 'hello', 'hallo']


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


# Two apps that do not know each other, and hold no text, need namespaces of their own: see safety.md.
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
