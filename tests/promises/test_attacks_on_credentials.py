"""No credential, and no lack of one, gets the response of somebody else."""

import functools
from contextvars import ContextVar
from typing import Annotated

import pytest
from fastapi import Cookie, Depends, Header, HTTPException, Request, Response, Security
from fastapi.security import APIKeyQuery, HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel

from fastapi_caching_route import FastAPICache
from tests.promises.attacks import attacked, key_header
from tests.support import caching_router, client_of, marks, memory_cache


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
