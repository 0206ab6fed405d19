"""Guards: they let a request in before an entry is served."""

from collections.abc import AsyncIterator
from typing import Annotated

import pytest
from fastapi import APIRouter, Body, Cookie, Depends, FastAPI, Header, HTTPException, Request, Response, Security
from fastapi.responses import JSONResponse
from fastapi.security import APIKeyHeader, SecurityScopes
from starlette.testclient import TestClient

from fastapi_caching_route import CachingRoute
from tests.fastapi.keyed import banned, check_key, key_header
from tests.support import caching_router, client_of, marks, memory_cache


def guarded_at(place, cache, runs):
    """An app whose one route is guarded at this place."""
    guard = [Depends(check_key)]
    options = {'route': ({}, {}, {}, guard), 'router': ({}, {'dependencies': guard}, {}, None)}
    options |= {'include': ({}, {}, {'dependencies': guard}, None), 'app': ({'dependencies': guard}, {}, {}, None)}
    app_options, router_options, include_options, route_guard = options[place]
    app, router, outer = FastAPI(**app_options), caching_router(**router_options), APIRouter()

    @cache(ttl=60)
    @router.get('/', dependencies=route_guard)
    async def endpoint():
        runs.append(1)
        return 'answer'

    outer.include_router(router, **include_options)
    app.include_router(outer, prefix='/x')
    return TestClient(app)


@pytest.mark.parametrize('place', ['route', 'router', 'include', 'app'])
def test_a_key_that_is_revoked_gets_nothing_from_then_on(place):
    runs = []
    client = guarded_at(place, memory_cache(), runs)
    asked = {'headers': {'x-key': 'ann'}}
    assert marks(client.get('/x/', **asked), client.get('/x/', **asked)) == ['MISS', 'HIT']
    banned.add('ann')
    refused = client.get('/x/', **asked)
    assert (refused.status_code, refused.json(), refused.headers['x-why']) == (
        403,
        {'detail': 'ann is banned'},
        'banned',
    )
    assert 'x-cache' not in refused.headers
    assert client.get('/x/').status_code in {401, 403}
    banned.clear()
    assert marks(client.get('/x/', **asked)) == ['HIT']
    assert runs == [1]


def test_a_guard_runs_once_per_request_on_hits_and_on_misses():
    calls, runs = [], []

    def counting(x_user: Annotated[str, Header()] = ''):
        calls.append(x_user)

    router, cache = caching_router(dependencies=[Depends(counting)]), memory_cache()

    @cache(ttl=60)
    @router.get('/')
    async def endpoint():
        runs.append(1)

    client = client_of(router)
    for count in (1, 2, 3):
        client.get('/')
        assert len(calls) == count
    assert runs == [1]


def test_a_scheme_that_stands_directly_in_the_dependencies_shares_among_all_whom_it_lets_in():
    router, cache, runs = caching_router(dependencies=[Security(key_header)]), memory_cache(), []

    @cache(ttl=60)
    @router.get('/')
    async def endpoint():
        runs.append(1)
        return 'answer'

    client = client_of(router)
    assert marks(*(client.get('/', headers={'x-key': it}) for it in ('a', 'b'))) == ['MISS', 'HIT']
    assert client.get('/').status_code in {401, 403}


@pytest.mark.parametrize(
    ('headers', 'detail'), [({'cookie': 'a=1'}, 'cookie'), ({'authorization': 'a'}, 'authorization')]
)
def test_a_refusal_is_visible_in_the_answer_and_once_in_the_log(headers, detail, caplog):
    caplog.set_level('INFO')
    router, cache = caching_router(), memory_cache()

    @cache(ttl=60, reads='all')
    @router.get('/')
    async def endpoint(request: Request):
        return 'answer'

    client = client_of(router)
    for _ in range(3):
        status = client.get('/', headers=headers).headers['cache-status']
        assert status == f'FastAPICache; fwd=bypass; detail={detail}'
    lines = [it for it in caplog.records if it.levelname == 'INFO' and it.name == 'fastapi_caching_route']
    assert len(lines) == 1
    assert 'bypasses the cache' in lines[0].message


class OwnScheme(APIKeyHeader):
    async def __call__(self, request: Request):
        return request.headers.get('x-tenant')


def test_a_scheme_that_is_called_in_its_own_way_may_read_anything():
    router, cache = caching_router(), memory_cache()

    @cache(ttl=60)
    @router.get('/')
    async def endpoint(tenant: Annotated[str, Security(OwnScheme(name='X-Key'))]):
        return tenant

    client = client_of(router)
    tenants = ['a', 'b', 'a']
    responses = [client.get('/', headers={'x-tenant': it, 'x-key': 'same'}) for it in tenants]
    assert [it.json() for it in responses] == tenants
    assert marks(*responses) == ['MISS', 'MISS', 'HIT']


@pytest.mark.parametrize('read', ['cookie', 'authorization'])
def test_a_named_dependency_that_declares_what_names_a_person_is_a_guard(read):
    router, cache, log = caching_router(), memory_cache(), []

    def by_cookie(session: Annotated[str, Cookie()] = ''):
        log.append('guard')
        return session

    def by_authorization(authorization: Annotated[str, Header()] = ''):
        log.append('guard')
        return authorization

    def plain(x_plan: Annotated[str, Header()] = ''):
        log.append('plain')

    guard = by_cookie if read == 'cookie' else by_authorization

    @cache(ttl=60)
    @router.get('/')
    async def endpoint(who: Annotated[str, Depends(guard)], what: Annotated[None, Depends(plain)]):
        return who

    client = client_of(router)
    asked = {'headers': {'cookie': 'session=a', 'authorization': 'a'}}
    if read == 'cookie':
        asked = {'headers': {'cookie': 'session=a'}}
    responses = [client.get('/', **asked) for _ in range(2)]
    assert marks(*responses) == ['MISS', 'HIT']
    assert log == ['guard', 'plain', 'guard']


def test_route_dependencies_on_miss_alone_still_run_security_schemes_and_count_their_inputs():
    router, cache, log = caching_router(dependencies=[Depends(check_key)]), memory_cache(), []

    def counting(x_plan: Annotated[str, Header()] = ''):
        log.append('counted')

    @cache(ttl=60, route_dependencies='on_miss')
    @router.get('/', dependencies=[Depends(counting)])
    async def endpoint():
        return 'answer'

    client = client_of(router)
    asked = {'headers': {'x-key': 'ann'}}
    assert marks(client.get('/', **asked), client.get('/', **asked)) == ['MISS', 'HIT']
    assert log == ['counted']
    assert marks(client.get('/', headers={'x-key': 'ann', 'x-plan': 'a'})) == ['MISS']
    banned.add('ann')
    assert client.get('/', **asked).status_code == 403


def test_scopes_overrides_and_teardown_of_guards_are_fastapis_own():
    router, cache, app, log = caching_router(), memory_cache(), FastAPI(), []

    async def resource() -> AsyncIterator[str]:
        log.append('open')
        yield 'r'
        log.append('closed')

    def guard(scopes: SecurityScopes, key: Annotated[str, Security(key_header)], it: Annotated[str, Depends(resource)]):
        log.append(scopes.scope_str)
        check_key(key)

    @cache(ttl=60)
    @router.get('/', dependencies=[Security(guard, scopes=['read'])])
    async def endpoint():
        log.append('endpoint')
        return 'answer'

    app.include_router(router)
    client = TestClient(app)
    asked = {'headers': {'x-key': 'ann'}}
    client.get('/', **asked)
    assert log == ['open', 'read', 'endpoint', 'closed']
    log.clear()
    assert marks(client.get('/', **asked)) == ['HIT']
    assert log == ['open', 'read', 'closed']
    app.dependency_overrides[guard] = lambda: log.append('override')
    log.clear()
    assert marks(client.get('/'), client.get('/')) == ['MISS', 'HIT']
    assert log == ['override', 'endpoint', 'override']


def test_a_refusal_by_a_custom_exception_looks_as_on_a_plain_route():
    class RefusedError(Exception):
        pass

    refusing = []

    def guard():
        if refusing:
            raise RefusedError

    async def endpoint():
        return 'answer'

    clients = []
    for route_class in (CachingRoute, None):
        app = FastAPI()

        @app.exception_handler(RefusedError)
        async def handle(request: Request, error: RefusedError):
            return JSONResponse({'refused': request.url.path}, 418, headers={'x-a': '1'})

        if route_class is not None:
            app.router.route_class = route_class
            memory_cache()(ttl=60)(endpoint)
        app.get('/', dependencies=[Depends(guard)])(endpoint)
        clients.append(TestClient(app))
    assert marks(clients[0].get('/'), clients[0].get('/')) == ['MISS', 'HIT']
    refusing.append(1)
    cached, plain = (client.get('/') for client in clients)
    assert (cached.status_code, cached.json()) == (plain.status_code, plain.json())
    assert {**plain.headers, 'cache-status': 'FastAPICache; fwd=uri-miss; detail=status'} == dict(cached.headers)


def test_a_guard_reads_the_body_as_the_route_does():
    router, cache = caching_router(), memory_cache()

    def guard(user: Annotated[str, Body()]):
        if user in banned:
            raise HTTPException(403)

    @cache(ttl=60)
    @router.post('/', dependencies=[Depends(guard)])
    async def endpoint(page: Annotated[int, Body()]):
        return page

    client = client_of(router)
    asked = {'json': {'user': 'ann', 'page': 1}}
    assert marks(client.post('/', **asked), client.post('/', **asked)) == ['MISS', 'HIT']
    banned.add('ann')
    assert client.post('/', **asked).status_code == 403


@pytest.mark.parametrize('shaped', [True, False], ids=['shaped by FastAPI', 'a Response of the endpoint'])
def test_fields_that_a_guard_sets_replace_stored_ones_unless_the_endpoint_returned_a_response(shaped):
    router, cache, plain, numbers = caching_router(), memory_cache(), FastAPI(), iter(range(100))

    def guard(response: Response):
        number = next(numbers)
        response.headers['x-remaining'] = str(number)

    async def endpoint():
        return 'answer' if shaped else JSONResponse('answer', headers={'x-remaining': 'mine'})

    router.get('/', dependencies=[Depends(guard)])(cache(ttl=60)(endpoint))
    plain.get('/', dependencies=[Depends(guard)])(endpoint)
    client = client_of(router)
    expected = TestClient(plain).get('/').headers.get_list('x-remaining')
    assert expected == (['0'] if shaped else ['mine'])
    for number in (1, 2, 3):
        response = client.get('/')
        assert response.headers.get_list('x-remaining') == ([str(number)] if shaped else ['mine'])
        assert 'x-fastapi-caching-route-shaped' not in response.headers
    assert marks(response) == ['HIT']


def test_a_cookie_that_a_guard_sets_on_a_miss_prevents_storing_and_on_a_hit_goes_to_its_own_client():
    router, cache, setting = caching_router(), memory_cache(), [True]

    def guard(response: Response):
        if setting[0]:
            response.set_cookie('seen', '1')

    @cache(ttl=60)
    @router.get('/', dependencies=[Depends(guard)])
    async def endpoint():
        return 'answer'

    client = client_of(router)
    first = client.get('/')
    assert (marks(first), 'set-cookie' in first.headers) == ([None], True)
    setting[0] = False
    client.cookies.clear()
    assert marks(client.get('/')) == ['MISS']
    setting[0] = True
    hit = client.get('/')
    assert (marks(hit), hit.headers['set-cookie'].startswith('seen=1')) == (['HIT'], True)
    setting[0] = False
    client.cookies.clear()
    assert 'set-cookie' not in client.get('/').headers


def test_guards_run_where_a_key_builder_makes_the_key():
    router, cache = caching_router(dependencies=[Depends(check_key)]), memory_cache()

    @cache(ttl=60, key_builder=lambda _: 'one')
    @router.get('/')
    async def endpoint():
        return 'answer'

    client = client_of(router)
    asked = {'headers': {'x-key': 'ann'}}
    assert marks(client.get('/', **asked), client.get('/', **asked)) == ['MISS', 'HIT']
    assert client.get('/').status_code in {401, 403}
    banned.add('ann')
    assert client.get('/', **asked).status_code == 403


def test_a_body_that_cannot_be_read_is_refused_before_a_guard_runs_on_a_hit():
    router, cache, calls = caching_router(), memory_cache(), []

    @cache(ttl=60, key_builder=lambda _: 'one')
    @router.post('/', dependencies=[Depends(lambda: calls.append('guard'))])
    async def endpoint(page: Annotated[int, Body(embed=True)]):
        return page

    client = client_of(router)
    assert marks(*(client.post('/', json={'page': 1}) for _ in range(2))) == ['MISS', 'HIT']
    calls.clear()
    broken = client.post('/', content=b'{', headers={'content-type': 'application/json'})
    assert (broken.status_code, calls) == (422, [])
