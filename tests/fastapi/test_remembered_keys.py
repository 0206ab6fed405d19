"""Keys that are remembered by the head of a request, and its body: as many as there are keys, and the same ones."""

from dataclasses import dataclass
from itertools import product
from typing import Annotated, Any

import pytest
from fastapi import Cookie, Depends, Header, Request, Security
from fastapi.security import APIKeyCookie, APIKeyHeader, APIKeyQuery, HTTPBearer
from pydantic import BaseModel, ConfigDict, Field

from fastapi_caching_route import FastAPICache, MemoryCache
from tests.support import asgi_scope, caching_router


class Named(BaseModel):
    X_Part: str = ''


class Aliased(BaseModel):
    X_Part: str = Field('', alias='x-other')


class Open(BaseModel):
    model_config = ConfigDict(extra='allow')


async def by_header(x_part: Annotated[str, Header()] = ''): ...
async def by_headers(x_part: Annotated[list[str], Header()] = ()): ...
async def by_alias(part: Annotated[str, Header(alias='X-Part')] = ''): ...
async def by_underscore(x_part: Annotated[str, Header(convert_underscores=False)] = ''): ...
async def by_model(named: Annotated[Named, Header()]): ...
async def by_aliased_model(aliased: Annotated[Aliased, Header()]): ...
async def by_all(headers: Annotated[Open, Header()]): ...
async def by_cookie(theme: Annotated[str, Cookie()] = ''): ...
async def by_bearer(given: Annotated[Any, Security(HTTPBearer())]): ...
async def by_key(given: Annotated[str, Security(APIKeyHeader(name='X-Part'))]): ...
async def by_cookie_key(given: Annotated[str, Security(APIKeyCookie(name='theme'))]): ...
async def by_query_key(given: Annotated[str, Security(APIKeyQuery(name='q'))]): ...
async def by_query(q: str = ''): ...
async def by_body(wanted: dict[str, str]): ...
async def by_nothing(): ...
async def by_request(request: Request): ...


HEADERS = [
    [],
    [(b'x-part', b'one')],
    [(b'x-part', b'two')],
    [(b'x-part', b'one'), (b'x-part', b'two')],
    [(b'x_part', b'one')],
    [(b'authorization', b'Bearer one')],
    [(b'authorization', b'Bearer two')],
    [(b'cookie', b'theme=one')],
    [(b'cookie', b'theme=two')],
    [(b'content-type', b'text/plain')],
    [(b'content-type', b'application/json')],
    [(b'x-other', b'one')],
]
BODIES = [b'', b'{}', b'{"a": "b"}']


def keys_of(endpoint, **options):
    """The keys of a route with this endpoint."""
    router = caching_router()
    router.api_route('/', methods=['GET', 'POST'])(FastAPICache(MemoryCache())(ttl=60, **options)(endpoint))
    (route,) = router.routes
    return route._places.reached(route, asgi_scope()).plan.declared().keys


@dataclass
class Tree:
    endpoint: Any
    options: dict[str, Any]
    is_remembered: bool = True


TREES = [
    *(Tree(it, {}) for it in (by_header, by_headers, by_alias, by_underscore, by_model, by_cookie, by_bearer, by_key)),
    *(Tree(it, {}) for it in (by_aliased_model, by_cookie_key, by_query_key, by_query, by_body, by_nothing)),
    Tree(by_nothing, {'vary_headers': ['X-Part', 'X-Other']}),
    Tree(by_body, {'vary_headers': ['X-Part']}),
    Tree(by_nothing, {'dependencies': [Depends(by_key)]}),
    Tree(by_bearer, {'identity': 'shared'}),
    Tree(by_all, {}, is_remembered=False),
    Tree(by_request, {}),
    Tree(by_request, {'reads': 'all'}, is_remembered=False),
    Tree(by_nothing, {'identity': lambda _: 'name'}, is_remembered=False),
]


@pytest.mark.parametrize('tree', TREES, ids=lambda it: f'{it.endpoint.__name__} {"".join(it.options)}')
def test_a_key_that_is_remembered_is_the_one_that_would_be_made(tree):
    keys = keys_of(tree.endpoint, **tree.options)
    asked = list(product(['GET', 'POST'], [b'', b'q=1', b'q=2'], HEADERS, BODIES))
    for _ in range(2):  # the second time, all of them are remembered
        for method, query, headers, body in asked:
            scope = asgi_scope(method, query=query, headers=headers)
            found = keys.at_once(scope, body)
            assert (found is not None) is tree.is_remembered
            assert found in (None, keys.of(scope, body))


def test_without_its_body_a_request_has_no_key_if_that_is_in_it():
    keys = keys_of(by_body)
    assert keys.is_by_body
    assert keys.at_once(asgi_scope('POST')) is None
    assert not keys_of(by_request).is_by_body


@pytest.mark.parametrize('endpoint', [by_cookie, by_bearer, by_key, by_cookie_key])
def test_no_credential_is_remembered(endpoint):
    keys = keys_of(endpoint)
    headers = [(b'authorization', b'Bearer secret'), (b'cookie', b'theme=secret'), (b'x-part', b'secret')]
    keys.at_once(asgi_scope(headers=headers))
    assert len(keys._known) == 1
    assert 'secret' not in repr(keys._known)


def test_long_headers_are_not_remembered():
    keys = keys_of(by_header)
    for headers in ([(b'x-part', b'a' * 1000)], [(b'x-part', b'a')] * 300, [(b'x-part', b'a')]):
        keys.at_once(asgi_scope(headers=headers))
    assert len(keys._known) == 1
