"""Identity: which clients share an entry."""

import base64
from contextvars import ContextVar
from typing import Annotated

import pytest
from aiocache import SimpleMemoryCache
from fastapi import Depends, Header, Request, Security
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
)

from fastapi_caching_route import ConfigurationError, FastAPICache
from tests.fastapi.keyed import banned, check_key
from tests.support import caching_router, client_of, marks, memory_cache

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
    assert responses[0].headers['vary'] == 'x-key, authorization, cookie'


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


@pytest.mark.parametrize('who', [failing, lambda request: None, lambda request: 7.5])
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
    *raised, warning = [it.message for it in caplog.records if it.levelname == 'WARNING']
    assert 'identity must return a str, an int or a UUID' in warning
    assert len(raised) == (who is failing)
    assert all('raised KeyError' in it and 'in failing' in it for it in raised)


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


@pytest.mark.parametrize(
    ('options', 'fault'),
    [
        ({'identity': 'everybody'}, "identity must be 'auto', 'shared', a callable"),
        ({'route_dependencies': 'never'}, 'is'),
    ],
)
def test_misuse_of_identity_is_named(options, fault):
    with pytest.raises(ConfigurationError, match=fault):
        memory_cache()(**options)(lambda: None)
