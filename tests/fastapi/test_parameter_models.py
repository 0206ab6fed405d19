"""Parameter models: whatever shape they have, only the header in question is left out of a key, and never the model."""

import asyncio
import itertools
from typing import Annotated, Any

import pytest
from fastapi import Cookie, Depends, FastAPI, Header, Query
from fastapi.responses import JSONResponse
from fastapi.security import HTTPBearer
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, model_validator

from fastapi_caching_route import CachingRoute, FastAPICache
from tests.support import asgi_call, asgi_scope, caching_router, client_of, marks, memory_cache

PERSONAL = {'authorization', 'cookie', 'token', 'if_none_match', 'if-none-match', 'session'}
"""What may be left out of a key, and so is not in the responses that are compared."""


class Fields(BaseModel):
    x_tenant: str | None = None
    authorization: str | None = None
    if_none_match: str | None = None


class Forbidding(Fields):
    model_config = ConfigDict(extra='forbid')
    x_other: str | None = None


class Allowing(BaseModel):
    model_config = ConfigDict(extra='allow')
    x_tenant: str | None = None


class Aliased(BaseModel):
    tenant: str | None = Field(None, alias='x-tenant')
    token: str | None = Field(None, alias='authorization')


class ValidationAliased(BaseModel):
    tenant: str | None = Field(None, validation_alias='x-tenant')
    token: str | None = Field(None, validation_alias='authorization')


class Choosing(BaseModel):
    tenant: str | None = Field(None, validation_alias=AliasChoices('x-tenant', 'authorization', 'if-none-match'))


class Looking(BaseModel):
    x_tenant: str | None = None
    others: str = ''

    @model_validator(mode='before')
    @classmethod
    def look(cls, given: Any) -> Any:
        return {**given, 'others': given.get('x-other', given.get('x_other', ''))}


MODELS = [Fields, Forbidding, Allowing, Aliased, ValidationAliased, Choosing, Looking]
MODES = {
    'policy': (memory_cache, {'ttl': 60}),
    'revalidate': (memory_cache, {'ttl': 60, 'revalidate': True}),
    'rfc9111': (lambda: FastAPICache(mode='rfc9111'), {}),
}
IDENTITIES = {'auto': 'auto', 'shared': 'shared', 'callable': lambda _request: 'all'}


def shown(given):
    """What an endpoint was given, but for what may be left out."""
    if isinstance(given, BaseModel):
        given = {name: it for name, it in given if name not in PERSONAL} | {
            name: it for name, it in (given.model_extra or {}).items() if name not in PERSONAL
        }
    return given


def of_the_endpoint(model):
    async def endpoint(given: Annotated[model, Header()]):
        return JSONResponse(shown(given), headers={'cache-control': 'max-age=60'})

    return endpoint


def of_a_dependency(model, guarded, nested):
    """An endpoint that gets the model of a dependency, which may be below another one, and beside a scheme."""
    if guarded:

        def inner(given: Annotated[model, Header()], _: Annotated[Any, Depends(HTTPBearer(auto_error=False))]):
            return shown(given)
    else:

        def inner(given: Annotated[model, Header()]):
            return shown(given)

    def outer(given: Annotated[Any, Depends(inner)]):
        return given

    async def endpoint(given: Annotated[Any, Depends(outer if nested else inner)]):
        return JSONResponse(given, headers={'cache-control': 'max-age=60'})

    return endpoint


PLACES = {
    'endpoint': of_the_endpoint,
    'dependency': lambda model: of_a_dependency(model, guarded=False, nested=False),
    'nested guard': lambda model: of_a_dependency(model, guarded=True, nested=True),
}
SENT = [
    [
        *((b'x-tenant', tenant), (b'x-other', other)),
        *([(b'authorization', b'Bearer t')] if token else []),
        *([(b'if-none-match', b'"none"')] if tag else []),
    ]
    for tenant, other, token, tag in (
        *itertools.product([b'a', b'b'], [b'1'], [False, True], [False, True]),
        (b'a', b'2', False, False),
    )
]


@pytest.mark.parametrize('identity', IDENTITIES)
@pytest.mark.parametrize('mode', MODES)
@pytest.mark.parametrize('place', PLACES)
@pytest.mark.parametrize('model', MODELS, ids=lambda it: it.__name__)
def test_only_the_header_in_question_is_left_out_of_a_key(model, place, mode, identity):
    endpoint = PLACES[place](model)
    new_cache, options = MODES[mode]
    cached, plain = FastAPI(openapi_url=None), FastAPI(openapi_url=None)
    cached.router.route_class = CachingRoute
    cached.get('/')(endpoint)
    plain.get('/')(endpoint)
    new_cache()(**options, identity=IDENTITIES[identity])(endpoint)

    async def compare():
        hits = 0
        right = [(await asgi_call(plain, asgi_scope(headers=headers)))[1]['body'] for headers in SENT]
        for headers, body in [*zip(SENT, right, strict=True)] * 2:
            start, got = await asgi_call(cached, asgi_scope(headers=headers))
            assert got['body'] == body, headers
            fields = dict(start['headers'])
            assert b'x-tenant' in fields[b'vary']
            hits += fields.get(b'x-cache') == b'HIT'
        assert hits >= len(SENT) / 2

    asyncio.run(compare())


class Session(BaseModel):
    session: str = ''
    theme: str = ''


class Open(BaseModel):
    model_config = ConfigDict(extra='allow')


@pytest.mark.parametrize('identity', ['shared', lambda _request: 'all'])
@pytest.mark.parametrize('revalidate', [False, True])
def test_cookie_and_query_models_of_the_endpoint_stay_in_the_key_whoever_shares(identity, revalidate):
    router, cache = caching_router(), memory_cache()

    @router.get('/cookies')
    @cache(ttl=60, identity=identity, revalidate=revalidate)
    async def cookies(given: Annotated[Session, Cookie()]):
        return given.theme

    @router.get('/query')
    @cache(ttl=60, identity=identity, revalidate=revalidate)
    async def query(given: Annotated[Open, Query()]):
        return given.model_extra

    client = client_of(router)
    assert [client.get('/cookies', headers={'cookie': f'theme={it}'}).json() for it in 'aba'] == ['a', 'b', 'a']
    assert [client.get('/query', params={'q': it}).json() for it in 'aba'] == [{'q': 'a'}, {'q': 'b'}, {'q': 'a'}]


@pytest.mark.parametrize('identity', ['shared', lambda _request: 'all'])
def test_a_named_guard_that_reads_a_query_model_beside_a_cookie_hands_on_no_other_ones_query(identity):
    router, cache = caching_router(), memory_cache()

    def tenant(given: Annotated[Open, Query()], session: Annotated[str, Cookie()] = ''):
        return given.model_extra

    @router.get('/')
    @cache(ttl=60, identity=identity)
    async def endpoint(of: Annotated[Any, Depends(tenant)]):
        return of

    client = client_of(router)
    assert [client.get('/', params={'q': it}).json() for it in 'aba'] == [{'q': 'a'}, {'q': 'b'}, {'q': 'a'}]


@pytest.mark.parametrize('identity', ['auto', 'shared'])
def test_a_named_dependency_that_reads_the_whole_cookie_header_is_a_guard(identity):
    router, cache, runs = caching_router(), memory_cache(), []

    def session(cookie: Annotated[str, Header()] = ''):
        runs.append(cookie)

    @router.get('/')
    @cache(ttl=60, identity=identity)
    async def endpoint(_: Annotated[None, Depends(session)]):
        return 'for all'

    client = client_of(router)
    asked = [client.get('/', headers={'cookie': 'a=1'}) for _ in range(2)]
    assert marks(*asked) == ['MISS', 'HIT']
    assert runs == ['a=1', 'a=1']
    assert marks(client.get('/', headers={'cookie': 'a=2'})) == ['HIT' if identity == 'shared' else 'MISS']


def test_a_precondition_that_the_endpoint_of_a_post_gets_is_in_its_key():
    router, cache, runs = caching_router(), memory_cache(), []

    @router.post('/')
    @cache(ttl=60, revalidate=True)
    async def endpoint(if_none_match: Annotated[str, Header()] = 'none'):
        runs.append(1)
        return if_none_match

    client = client_of(router)
    sent = [{'if-none-match': '"a"'}, {}, {'if-none-match': '"a"'}, {}]
    assert [client.post('/', headers=it).json() for it in sent] == ['"a"', 'none', '"a"', 'none']
    assert len(runs) == 2
