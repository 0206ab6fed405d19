"""Requests that schemathesis makes up from the schema of an app: with and without cache, the answers are the same."""

import enum
from typing import Annotated

import pytest
from fastapi import Cookie, Depends, FastAPI, Header, HTTPException, Path, Query, Security
from fastapi.security import APIKeyHeader
from hypothesis import HealthCheck, Phase, given, settings
from pydantic import BaseModel, Field
from starlette.testclient import TestClient

from fastapi_caching_route import CachingRoute
from tests.support import memory_cache

schemathesis = pytest.importorskip('schemathesis', reason='schemathesis is not installed')


class Order(enum.Enum):
    UP = 'up'
    DOWN = 'down'


class Search(BaseModel):
    text: Annotated[str, Field(max_length=3)]
    limits: list[int] = []


class Filters(BaseModel):
    colour: str | None = None
    sizes: list[int] = []


def check(key: Annotated[str, Security(APIKeyHeader(name='X-Key', auto_error=False))] = ''):
    if key and len(key) > 5:
        raise HTTPException(403, 'too long')
    return key


def application(*, cached):
    app = FastAPI()
    if cached:
        app.router.route_class = CachingRoute
    cache = memory_cache(accepted_status_codes={200, 404})

    @cache(ttl=3600)
    @app.get('/items/{item_id}')
    def item(item_id: Annotated[int, Path(ge=0, le=3)], order: Order = Order.UP, page: int | None = None):
        if item_id == 3:
            raise HTTPException(404, 'no three')
        return [item_id, order, page]

    @cache(ttl=3600)
    @app.get('/filtered')
    def filtered(filters: Annotated[Filters, Query()], x_plan: Annotated[str, Header(max_length=2)] = 'a'):
        return [filters, x_plan]

    @cache(ttl=3600)
    @app.post('/search')
    def search(what: Search, theme: Annotated[str, Cookie(max_length=2)] = 'd'):
        return [what, theme]

    @cache(ttl=3600)
    @app.get('/mine')
    def mine(key: Annotated[str | None, Depends(check)]):
        return key

    return app


plain = application(cached=False)
clients = [TestClient(application(cached=True)), TestClient(plain)]
schema = schemathesis.openapi.from_asgi('/openapi.json', plain)


operations = [it.ok() for it in schema.get_all_operations()]


@pytest.mark.parametrize('operation', operations, ids=lambda it: it.label)
def test_what_is_made_up_from_the_schema_is_answered_alike(operation):
    counts = {'requests': 0, 'hits': 0}

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
    @given(operation.as_strategy())
    def compare(case):
        request = case.as_transport_kwargs(base_url='http://testserver')
        asked = {
            name: request.get(name)
            for name in ('method', 'url', 'params', 'headers', 'cookies', 'json')
            if request.get(name)
        }
        asked['headers'] = dict(asked.get('headers', {}))
        cookies = asked.pop('cookies', None)
        if cookies:
            asked['headers']['cookie'] = '; '.join(f'{name}={value}' for name, value in cookies.items())
        for _ in range(2):
            cached, uncached = (client.request(**asked) for client in clients)
            counts['requests'] += 1
            counts['hits'] += cached.headers.get('x-cache') == 'HIT'
            assert (cached.status_code, cached.content) == (uncached.status_code, uncached.content)

    compare()
    print(counts)
    assert counts['requests'] >= 100
    assert counts['hits'] >= 10
