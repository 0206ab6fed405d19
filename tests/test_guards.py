"""Guards: what must let a request in before an entry answers it; and who shares an entry with whom."""

import base64
from collections.abc import AsyncIterator
from contextvars import ContextVar
from typing import Annotated

import pytest
from aiocache import SimpleMemoryCache
from fastapi import (
    APIRouter,
    Body,
    Cookie,
    Depends,
    FastAPI,
    Header,
    HTTPException,
    Request,
    Response,
    Security,
)
from fastapi.responses import JSONResponse
from fastapi.security import (
    APIKeyCookie,
    APIKeyHeader,
    APIKeyQuery,
    HTTPBasic,
    HTTPBearer,
    HTTPDigest,
    OAuth2AuthorizationCodeBearer,
    OAuth2PasswordBearer,
    OpenIdConnect,
    SecurityScopes,
)
from starlette.testclient import TestClient

from fastapi_caching_route import CachingRoute, ConfigurationError, FastAPICache
from tests.support import caching_router, client_of, marks, memory_cache

key_header = APIKeyHeader(name='X-Key')
banned: set[str] = set()


@pytest.fixture(autouse=True)
def nobody_is_banned():
    banned.clear()


def check_key(key: Annotated[str, Security(key_header)]) -> None:
    if key in banned:
        raise HTTPException(403, f'{key} is banned', headers={'x-why': 'banned'})


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


SCHEMES = {
    'api key header': (APIKeyHeader(name='X-Key', auto_error=False), lambda it: {'headers': {'x-key': it}}),
    'api key query': (APIKeyQuery(name='key', auto_error=False), lambda it: {'params': {'key': it}}),
    'api key cookie': (APIKeyCookie(name='key', auto_error=False), lambda it: {'headers': {'cookie': f'key={it}'}}),
    'bearer': (HTTPBearer(auto_error=False), lambda it: {'headers': {'authorization': f'Bearer {it}'}}),
    'digest': (HTTPDigest(auto_error=False), lambda it: {'headers': {'authorization': f'Digest {it}'}}),
    'basic': (
        HTTPBasic(auto_error=False),
        lambda it: {'headers': {'authorization': 'Basic ' + base64.b64encode(f'{it}:p'.encode()).decode()}},
    ),
    'oauth2 password': (
        OAuth2PasswordBearer('token', auto_error=False),
        lambda it: {'headers': {'authorization': f'Bearer {it}'}},
    ),
    'oauth2 code': (
        OAuth2AuthorizationCodeBearer('a', 'token', auto_error=False),
        lambda it: {'headers': {'authorization': f'Bearer {it}'}},
    ),
    'openid': (OpenIdConnect(openIdConnectUrl='o', auto_error=False), lambda it: {'headers': {'authorization': it}}),
}
current_user: ContextVar[str] = ContextVar('current_user', default='')


@pytest.mark.parametrize('scheme', SCHEMES)
@pytest.mark.parametrize('way', ['parameter', 'dependency', 'state', 'context', 'directly'])
def test_one_user_never_gets_the_profile_of_another(scheme, way):
    router, cache, runs = caching_router(), memory_cache(), []
    its, asked = SCHEMES[scheme]

    async def user(given: Annotated[object, Security(its)]):
        return str(given)

    async def leave(request: Request, given: Annotated[str, Depends(user)]):
        request.state.user = given

    async def leave_in_context(given: Annotated[str, Depends(user)]) -> None:
        current_user.set(given)

    if way == 'parameter':

        @router.get('/')
        @cache(ttl=60)
        async def endpoint(given: Annotated[object, Security(its)]):
            runs.append(1)
            return str(given)

    elif way == 'dependency':

        @router.get('/')
        @cache(ttl=60)
        async def endpoint(given: Annotated[str, Depends(user)]):
            runs.append(1)
            return given

    elif way == 'state':

        @router.get('/', dependencies=[Depends(leave)])
        @cache(ttl=60)
        async def endpoint(request: Request):
            runs.append(1)
            return request.state.user

    elif way == 'context':

        @router.get('/', dependencies=[Depends(leave_in_context)])
        @cache(ttl=60)
        async def endpoint():
            runs.append(1)
            return current_user.get()

    else:

        @router.get('/', dependencies=[Security(its)])
        @cache(ttl=60)
        async def endpoint():
            runs.append(1)
            return 'the same for all'

    client = client_of(router)
    people = [asked('ann'), asked('bob'), {}, asked('ann'), asked('bob'), {}]
    answers = [client.get('/', **it) for it in people]
    profiles = [it.json() for it in answers]
    assert profiles[:3] == profiles[3:]
    if way == 'directly':
        assert len(runs) == 1
    else:
        assert len(set(profiles)) == 3
        assert 'ann' not in profiles[1] + profiles[2]


def test_credentials_are_named_in_vary_and_never_in_clear_in_a_key_or_a_field(caplog):
    caplog.set_level('DEBUG')
    backend = SimpleMemoryCache()
    cache, router = FastAPICache(backend), caching_router(dependencies=[Depends(check_key)])

    @cache(ttl=60)
    @router.get('/')
    async def endpoint(token: Annotated[str, Security(OAuth2PasswordBearer('token'))]):
        return 'answer'

    client = client_of(router)
    for _ in range(2):
        response = client.get('/', headers={'x-key': 'sesame', 'authorization': 'Bearer sesame'})
        assert set(response.headers['vary'].split(', ')) == {'x-key', 'authorization'}
        assert 'sesame' not in str(response.headers)
    assert len(backend._cache) == 1
    assert 'sesame' not in str(list(backend._cache))
    assert 'sesame' not in caplog.text


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


def test_identity_shared_lets_all_share_whom_the_guards_let_in():
    router, cache, runs = caching_router(dependencies=[Depends(check_key)]), memory_cache(), []

    def rate_limit(request: Request):
        runs.append('limited')

    def user(authorization: Annotated[str, Header()] = ''):
        return authorization

    @cache(ttl=60, identity='shared')
    @router.get('/', dependencies=[Depends(rate_limit)])
    async def endpoint(who: Annotated[str, Depends(user)], page: int = 1):
        runs.append('endpoint')
        return page

    client = client_of(router)
    people = [{'x-key': it, 'authorization': it, 'cookie': f'a={it}'} for it in ('ann', 'bob')]
    assert marks(*(client.get('/', headers=it) for it in people)) == ['MISS', 'HIT']
    assert marks(client.get('/?page=2', headers=people[0])) == ['MISS']
    assert runs == ['limited', 'endpoint', 'limited', 'limited', 'endpoint']
    banned.add('bob')
    assert [client.get('/', headers=it).status_code for it in people] == [200, 403]


@pytest.mark.parametrize('kind', ['plain', 'async'])
def test_an_identity_callable_names_who_shares(kind):
    router, cache, runs = caching_router(dependencies=[Depends(check_key)]), memory_cache(), []

    def role(request: Request):
        return 'admin' if request.headers['x-key'].startswith('admin') else 'user'

    async def role_async(request: Request):
        return role(request)

    @cache(ttl=60, identity=role if kind == 'plain' else role_async)
    @router.get('/')
    async def endpoint(request: Request):
        runs.append(1)
        return role(request)

    # The raw request is taken, so all fields count but credentials: X-Key is one for us, not for the raw key.
    client = client_of(router)
    people = [{'authorization': it, 'x-key': 'admin'} for it in ('ann', 'bob')]
    responses = [client.get('/', headers=it) for it in (*people, {'authorization': 'ann', 'x-key': 'user'})]
    assert [it.json() for it in responses] == ['admin', 'admin', 'user']
    assert marks(*responses) == ['MISS', 'HIT', 'MISS']
    assert responses[0].headers['vary'] == 'x-key'


def test_an_identity_callable_can_read_what_an_explicit_dependency_leaves():
    router, cache, runs = caching_router(), memory_cache(), []

    def load(request: Request, x_user: Annotated[str, Header()]):
        runs.append('load')
        request.state.tenant = x_user[0]

    @cache(ttl=60, dependencies=[Depends(load)], identity=lambda request: request.state.tenant)
    @router.get('/')
    async def endpoint():
        runs.append('endpoint')
        return 'answer'

    client = client_of(router)
    people = ['ann', 'amy', 'bob']
    assert marks(*(client.get('/', headers={'x-user': it}) for it in people)) == ['MISS', 'HIT', 'MISS']
    assert runs == ['load', 'endpoint', 'load', 'load', 'endpoint']


def failing(request):
    raise KeyError


@pytest.mark.parametrize('who', [failing, lambda request: None, lambda request: 7])
def test_an_identity_callable_that_fails_sends_requests_by_the_cache_with_one_warning(who, caplog):
    router, cache = caching_router(), memory_cache()

    @cache(ttl=60, identity=who)
    @router.get('/')
    async def endpoint():
        return 'answer'

    client = client_of(router)
    responses = [client.get('/') for _ in range(3)]
    assert marks(*responses) == [None] * 3
    assert responses[0].headers['cache-status'] == 'FastAPICache; fwd=bypass; detail=identity'
    warnings = [it for it in caplog.records if it.levelname == 'WARNING']
    assert len(warnings) == 1
    assert 'identity callable must return a str' in warnings[0].message


@pytest.mark.parametrize(
    ('headers', 'detail'), [({'cookie': 'a=1'}, 'cookie'), ({'authorization': 'a'}, 'authorization')]
)
def test_a_refusal_is_visible_in_the_answer_and_once_in_the_log(headers, detail, caplog):
    caplog.set_level('INFO')
    router, cache = caching_router(), memory_cache()

    @cache(ttl=60)
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


@pytest.mark.parametrize('identity', ['shared', lambda request: 'all'])
def test_saying_who_shares_is_a_way_out_of_the_rule_for_raw_requests(identity):
    router, cache = caching_router(), memory_cache()

    @cache(ttl=60, identity=identity)
    @router.get('/')
    async def endpoint(request: Request):
        return 'answer'

    client = client_of(router)
    people = [{'cookie': f'a={it}', 'authorization': it} for it in 'ab']
    assert marks(*(client.get('/', headers=it) for it in people)) == ['MISS', 'HIT']


def test_the_list_of_fields_that_do_not_count_can_be_replaced():
    router, cache = caching_router(), memory_cache(left_out_of_raw_keys=['X-Noise'])

    @cache(ttl=60)
    @router.get('/')
    async def endpoint(request: Request):
        return request.headers.get('user-agent')

    client = client_of(router)
    asked = [{'user-agent': 'a', 'x-noise': '1'}, {'user-agent': 'a', 'x-noise': '2'}, {'user-agent': 'b'}]
    assert marks(*(client.get('/', headers=it) for it in asked)) == ['MISS', 'HIT', 'MISS']


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


@pytest.mark.parametrize(
    ('options', 'fault'),
    [
        ({'identity': 'everybody'}, "identity is 'auto', 'shared' or a callable"),
        ({'route_dependencies': 'never'}, 'is'),
    ],
)
def test_misuse_of_identity_is_named(options, fault):
    with pytest.raises(ConfigurationError, match=fault):
        memory_cache()(**options)(lambda: None)
