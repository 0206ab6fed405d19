"""Path parameters as FastAPI validates them."""

import asyncio
import itertools
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any
from urllib.parse import quote
from uuid import UUID

import pytest
from fastapi import Depends, FastAPI, Path
from fastapi import Path as PathParameter
from pydantic import AfterValidator
from starlette.applications import Starlette
from starlette.convertors import Convertor, register_url_convertor
from starlette.routing import Host
from starlette.testclient import TestClient

from tests.routes.shop import ROUTE_CLASSES, shop
from tests.support import caching_router, client_of, found, memory_cache


def number(thing_id: int):
    return thing_id


@ROUTE_CLASSES
@pytest.mark.parametrize('kind', ['alias', 'dependency', 'undeclared'])
def test_templates_of_a_write_hold_validated_values_wherever_they_are_declared(route_class, kind):
    cache = memory_cache()
    router, writes, *_ = shop(cache, route_class=route_class)
    decorate = cache.invalidates(tags=['thing:{thing_id}'])

    async def by_alias(its: Annotated[int, PathParameter(alias='thing_id')]):
        return its

    async def by_dependency(its: Annotated[int, Depends(number)]):
        return its

    async def undeclared():
        return 1

    endpoint = {'alias': by_alias, 'dependency': by_dependency, 'undeclared': undeclared}[kind]
    writes.post('/change/{thing_id}')(decorate(endpoint))
    client = client_of(router, writes)
    found(client, '/things/7')
    assert client.post('/change/7' if kind == 'undeclared' else '/change/07').status_code == 200
    assert found(client, '/things/7') == ['MISS']


class Opaque:
    """A value that is written with its address."""

    def __init__(self, number):
        self.number = number


def test_path_values_that_have_no_text_are_those_that_were_received():
    cache, router = memory_cache(), caching_router()

    @router.get('/{value}')
    @cache(ttl=60)
    async def endpoint(value: Annotated[int, AfterValidator(Opaque)]):
        return value.number

    client = client_of(router)
    found(client, '/7', '/8')
    asyncio.run(cache.invalidate_endpoint(endpoint, value=7))
    assert found(client, '/7', '/8') == ['MISS', 'HIT']


class Size(Enum):
    SMALL = 's'


@pytest.mark.parametrize(
    ('kind', 'paths', 'given', 'gone'),
    [
        (Size, ['s'], Size.SMALL, ['MISS']),
        (float, ['1.50', '-0.0', '0'], 0, ['HIT', 'MISS', 'MISS']),
        (Decimal, ['1.50', '1.5', '15e-1', '2'], '1.500', ['MISS', 'MISS', 'MISS', 'HIT']),
        (
            datetime,
            ['2026-01-01T00:00:00Z', '2026-01-01T01:00:00+01:00'],
            '2025-12-31T23:00:00-01:00',
            ['MISS', 'MISS'],
        ),
        (UUID, ['12345678123456781234567812345678'], UUID('12345678-1234-5678-1234-567812345678'), ['MISS']),
        (bool, ['true', 'yes', '0'], True, ['MISS', 'MISS', 'HIT']),
        (str, ['a b', 'ü', '%'], 'ü', ['HIT', 'MISS', 'HIT']),
    ],
)
def test_equal_path_values_are_one_however_they_are_written(kind, paths, given, gone):
    cache, router = memory_cache(), caching_router()

    async def endpoint(value):
        return 1

    endpoint.__annotations__['value'] = kind
    router.get('/{value}')(cache(ttl=60)(endpoint))
    client = client_of(router)
    urls = [f'/{quote(it)}' for it in paths]
    assert found(client, *urls) == ['MISS'] * len(urls)
    asyncio.run(cache.invalidate_endpoint(endpoint, value=given))
    assert found(client, *urls) == gone


class Tenant:
    """What a converter makes of a name; how it looks says where it is, and not who."""

    def __init__(self, name):
        self.name = name

    def __str__(self):
        return self.name


class TenantConvertor(Convertor):
    regex = '[a-z]+'

    def convert(self, value):
        return Tenant(value)

    def to_string(self, value):
        return str(value)


def test_hosts_are_told_apart_by_what_a_converter_has_made_of_them():
    register_url_convertor('tenant', TenantConvertor())
    cache, router = memory_cache(), caching_router()

    @router.get('/who')
    @cache(ttl=60)
    async def who(tenant: Annotated[Any, Path()] = ...):
        return str(tenant)

    api = FastAPI()
    try:
        api.include_router(router)
    except AssertionError:  # older releases want it to be in the path of the route itself
        pytest.skip('this FastAPI has no path parameters from elsewhere')
    app = Starlette(routes=[Host('{tenant:tenant}.example.org', app=api)])
    with TestClient(app) as client:
        for name in itertools.islice(itertools.product('abcdefgh', repeat=4), 300):
            tenant = ''.join(name)
            assert client.get('/who', headers={'host': f'{tenant}.example.org'}).json() == tenant
