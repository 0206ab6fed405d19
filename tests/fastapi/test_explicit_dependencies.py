"""Explicit dependencies, named in `@cache(dependencies=[...])`: they run although the endpoint does not."""

from typing import Annotated

import pytest
from fastapi import Body, Depends, FastAPI, Form, Header, HTTPException, Request, Security
from fastapi.security import SecurityScopes
from starlette.testclient import TestClient

from tests.support import caching_router, client_of, marks, memory_cache


def test_a_check_runs_on_misses_and_hits_once_and_may_refuse():
    router, cache, runs = caching_router(), memory_cache(), []
    banned = set()

    def check(x_user: Annotated[str, Header()]):
        runs.append(x_user)
        if x_user in banned:
            raise HTTPException(403, 'banned', headers={'x-why': 'banned'})

    @cache(ttl=60, dependencies=[Depends(check)])
    @router.get('/')
    async def endpoint():
        return 'answer'

    client = client_of(router)
    asked = {'headers': {'x-user': 'ann'}}
    assert marks(client.get('/', **asked), client.get('/', **asked)) == ['MISS', 'HIT']
    assert runs == ['ann', 'ann']
    banned.add('ann')
    refused = client.get('/', **asked)
    assert (refused.status_code, refused.json(), refused.headers['x-why']) == (403, {'detail': 'banned'}, 'banned')
    assert 'x-cache' not in refused.headers
    banned.clear()
    assert marks(client.get('/', **asked)) == ['HIT']


def test_an_invalid_input_of_a_check_is_a_422_and_never_falls_through_to_the_endpoint():
    router, cache, runs = caching_router(), memory_cache(), []

    def check(limit: int):
        pass

    @cache(ttl=60, dependencies=[Depends(check)])
    @router.get('/')
    async def endpoint():
        runs.append(1)

    client = client_of(router)
    for path in ('/', '/?limit=x', '/'):
        response = client.get(path)
        assert (response.status_code, response.json()['detail'][0]['loc']) == (422, ['query', 'limit'])
    assert runs == []


def test_the_inputs_of_a_check_are_part_of_the_key():
    router, cache = caching_router(), memory_cache()

    def tenant(request: Request, x_tenant: Annotated[str, Header()]):
        request.state.tenant = x_tenant

    @cache(ttl=60, dependencies=[Depends(tenant)])
    @router.get('/')
    async def endpoint(request: Request):
        return request.state.tenant

    client = client_of(router)
    tenants = ['a', 'b', 'a']
    responses = [client.get('/', headers={'x-tenant': it}) for it in tenants]
    assert [it.json() for it in responses] == tenants
    assert marks(*responses) == ['MISS', 'MISS', 'HIT']


def test_what_a_check_leaves_in_the_state_is_there_for_the_key_builder_and_the_endpoint():
    router, cache, runs = caching_router(), memory_cache(), []

    def user(request: Request, x_user: Annotated[str, Header()]):
        runs.append('check')
        request.state.user = x_user

    @cache(ttl=60, dependencies=[Depends(user)], key_builder=lambda request: f'user:{request.state.user}')
    @router.get('/')
    async def endpoint(request: Request):
        runs.append('endpoint')
        return request.state.user

    client = client_of(router)
    responses = [client.get('/', headers={'x-user': it}) for it in ('a', 'b', 'a')]
    assert [it.json() for it in responses] == ['a', 'b', 'a']
    assert marks(*responses) == ['MISS', 'MISS', 'HIT']
    assert runs == ['check', 'endpoint', 'check', 'endpoint', 'check']


def test_a_check_that_the_route_has_too_runs_once_with_the_default_key():
    router, cache, runs = caching_router(), memory_cache(), []

    def check():
        runs.append('check')

    @cache(ttl=60, dependencies=[Depends(check)])
    @router.get('/', dependencies=[Depends(check)])
    async def endpoint():
        runs.append('endpoint')

    client = client_of(router)
    assert marks(client.get('/'), client.get('/')) == ['MISS', 'HIT']
    assert runs == ['check', 'endpoint', 'check']


def test_sub_dependencies_scopes_and_the_cache_of_dependencies_work_as_in_a_route():
    router, cache, plain, runs = caching_router(), memory_cache(), FastAPI(), []

    def connection():
        runs.append('connection')
        return 'c'

    def scoped(scopes: SecurityScopes, it: Annotated[str, Depends(connection)]):
        runs.append((scopes.scope_str, it))

    def other(it: Annotated[str, Depends(connection)]):
        runs.append(('other', it))

    async def endpoint():
        return 'answer'

    dependencies = [Security(scoped, scopes=['read', 'write']), Depends(other)]
    router.get('/')(cache(ttl=60, dependencies=dependencies)(endpoint))
    plain.get('/', dependencies=dependencies)(endpoint)
    client = client_of(router)
    seen = []
    for asked in (TestClient(plain), client, client):
        asked.get('/')
        seen.append(runs.copy())
        runs.clear()
    assert seen[0] == seen[1] == seen[2]
    assert ('read write', 'c') in seen[0]


def test_a_check_can_be_overridden_in_tests():
    router, cache, app = caching_router(), memory_cache(), FastAPI()

    def check():
        raise HTTPException(403)

    @cache(ttl=60, dependencies=[Depends(check)])
    @router.get('/')
    async def endpoint():
        return 'answer'

    app.include_router(router)
    client = TestClient(app)
    assert client.get('/').status_code == 403
    app.dependency_overrides[check] = lambda: None
    assert marks(client.get('/'), client.get('/')) == ['MISS', 'HIT']
    app.dependency_overrides.clear()
    assert client.get('/').status_code == 403


@pytest.mark.parametrize('builder', [None, lambda request: 'key'], ids=['declared key', 'key builder'])
def test_methods_that_are_never_cached_are_checked_too(builder):
    router, cache, runs = caching_router(), memory_cache(), []

    def check(x_key: Annotated[str, Header()] = ''):
        runs.append('check')
        if x_key != 'ok':
            raise HTTPException(401)

    @cache(ttl=60, dependencies=[Depends(check)], key_builder=builder)
    @router.api_route('/', methods=['GET', 'PUT', 'DELETE'])
    async def endpoint():
        runs.append('endpoint')
        return 'done'

    client = client_of(router)
    methods = ['GET', 'PUT', 'DELETE']
    assert [client.request(it, '/').status_code for it in methods] == [401] * 3
    allowed = [client.request(it, '/', headers={'x-key': 'ok'}) for it in methods]
    assert [it.status_code for it in allowed] == [200] * 3
    assert marks(*allowed) == ['MISS', None, None]
    assert runs == ['check'] * 3 + ['check', 'endpoint'] * 3
    assert client.post('/').status_code == 405


def test_checks_do_not_change_the_schema():
    schemas = []
    for cached in (True, False):
        router, cache = caching_router(), memory_cache()

        async def endpoint(a: int = 0):
            return a

        router.get('/', name='endpoint')(endpoint)
        if cached:
            cache(ttl=60, dependencies=[Depends(lambda x_key='': None)])(endpoint)
        client = client_of(router)
        client.get('/')
        schemas.append(client.get('/openapi.json').json())
    assert schemas[0] == schemas[1]


def test_an_override_brings_its_own_inputs_into_the_key():
    router, cache, app = caching_router(), memory_cache(), FastAPI()

    def tenant(x_tenant: Annotated[str, Header()] = ''):
        leave.append(x_tenant)

    leave: list[str] = []

    def plain():
        leave.append('')

    @cache(ttl=60, dependencies=[Depends(plain)])
    @router.get('/')
    async def endpoint():
        return leave[-1]

    app.include_router(router)
    app.dependency_overrides[plain] = tenant
    client = TestClient(app)
    responses = [client.get('/', headers={'x-tenant': it}) for it in 'abab']
    assert responses[0].headers['vary'] == 'x-tenant'
    assert marks(*responses) == ['MISS', 'MISS', 'HIT', 'HIT']


@pytest.mark.parametrize('builder', [None, lambda request: 'key'], ids=['declared key', 'key builder'])
def test_a_check_and_the_endpoint_can_both_read_the_body(builder):
    router, cache = caching_router(), memory_cache()

    async def check(request: Request):
        if (await request.json())['name'] == 'evil':
            raise HTTPException(403)

    @cache(ttl=60, dependencies=[Depends(check)], key_builder=builder)
    @router.post('/')
    async def endpoint(name: Annotated[str, Body(embed=True)]):
        return name

    client = client_of(router)
    responses = [client.post('/', json={'name': it}) for it in ('a', 'a', 'evil')]
    assert [it.status_code for it in responses] == [200, 200, 403]
    assert marks(*responses) == ['MISS', 'HIT', None]


def test_a_body_over_the_limit_reaches_the_check_and_the_endpoint_whole():
    router, cache, seen = caching_router(), memory_cache(), []

    async def check(request: Request):
        seen.append(len(await request.body()))

    @cache(ttl=60, dependencies=[Depends(check)], max_body_size=100)
    @router.post('/')
    async def endpoint(request: Request):
        return len(await request.body())

    client = client_of(router)

    def chunks():
        for _ in range(10):
            yield b'x' * 50

    response = client.post('/', content=chunks())
    assert (response.json(), seen, response.headers.get('x-cache')) == (500, [500], None)


def test_a_form_is_read_by_a_check_as_the_route_reads_it():
    router, cache = caching_router(), memory_cache()

    def check(name: Annotated[str, Form()]):
        if name == 'evil':
            raise HTTPException(403)

    @cache(ttl=60, dependencies=[Depends(check)])
    @router.post('/')
    async def endpoint(name: Annotated[str, Form()], age: Annotated[int, Form()]):
        return [name, age]

    client = client_of(router)
    responses = [client.post('/', data={'name': it, 'age': 7}) for it in ('a', 'a', 'evil')]
    assert [it.status_code for it in responses] == [200, 200, 403]
    assert marks(*responses) == ['MISS', 'HIT', None]


def test_a_request_that_goes_by_the_cache_is_checked_too():
    router, cache = caching_router(), memory_cache()

    def check():
        raise HTTPException(403)

    @cache(ttl=60, dependencies=[Depends(check)])
    @router.get('/')
    async def endpoint(request: Request):
        return 'answer'

    assert client_of(router).get('/', headers={'cookie': 'a=1'}).status_code == 403
