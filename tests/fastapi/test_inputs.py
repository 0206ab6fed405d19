"""Declared inputs: which requests share an entry, and which never do."""

import enum
from datetime import date
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

import pytest
from fastapi import Body, Cookie, Depends, FastAPI, Header, HTTPException, Query, Request
from pydantic import AfterValidator, AliasPath, BaseModel, ConfigDict, Field, Json, model_validator
from starlette.testclient import TestClient

from tests.fastapi.endpoints import a_query, nested
from tests.support import caching_router, client_of, marks, memory_cache


def test_a_query_model_is_declared_too():
    router, cache = caching_router(), memory_cache()

    class Page(BaseModel):
        limit: int = 10
        offset: int = 0

    @cache(ttl=60)
    @router.get('/')
    async def endpoint(page: Annotated[Page, Query()]):
        return page.model_dump()

    client = client_of(router)
    assert client.get('/?limit=1').json() == {'limit': 1, 'offset': 0}
    assert client.get('/?limit=2').json() == {'limit': 2, 'offset': 0}
    assert marks(client.get('/?limit=1&utm_source=mail')) == ['HIT']


class Colour(enum.Enum):
    RED = 'red'
    BLUE = 'blue'


class Filters(BaseModel):
    limit: int = 10
    tags: list[str] = []
    by: str = Field('name', alias='order-by')


class Open(BaseModel):
    model_config = ConfigDict(extra='allow')
    limit: int = 10


class Nosy(BaseModel):
    seen: list[str] = []

    @model_validator(mode='before')
    @classmethod
    def look(cls, values: dict[str, Any]) -> dict[str, Any]:
        return {'seen': sorted(values)}


class FieldHeaders(BaseModel):
    x_plan: str = 'free'


class Cookies(BaseModel):
    theme: str = 'light'


class Pagination:
    def __init__(self, skip: int = 0):
        self.skip = skip


def cached(endpoint):
    """A client of the endpoint, cached at /."""
    router, cache = caching_router(), memory_cache()
    cache(ttl=60)(router.get('/')(endpoint))
    return client_of(router)


async def an_alias(q: Annotated[str, Query(alias='search-for')] = ''):
    return q


async def a_list(q: Annotated[list[str] | None, Query()] = None):
    return q


async def a_header(accept_language: Annotated[str, Header()] = 'en'):
    return accept_language


async def a_header_list(x_tag: Annotated[list[str] | None, Header()] = None):
    return x_tag


async def a_cookie(theme: Annotated[str, Cookie()] = 'light'):
    return theme


async def a_sub_dependency(it: Annotated[tuple[int, str], Depends(nested)]):
    return it


async def a_class_dependency(it: Annotated[Pagination, Depends()]):
    return it.skip


async def a_query_model(it: Annotated[Filters, Query()]):
    return it


async def an_open_model(it: Annotated[Open, Query()]):
    return it


async def a_nosy_model(it: Annotated[Nosy, Query()]):
    return it


async def a_header_model(it: Annotated[FieldHeaders, Header()]):
    return it


async def a_cookie_model(it: Annotated[Cookies, Cookie()]):
    return it


async def a_json_query(q: Annotated[Json[list[int]], Query()]):
    return q


async def a_json_model(q: Annotated[Json[Filters], Query()]):
    return q


async def the_raw_request(request: Request):
    return [str(request.url), request.headers.get('accept-language'), request.headers.get('x-anything')]


@pytest.mark.parametrize(
    ('endpoint', 'one', 'other'),
    [
        (a_query, {'params': {'q': 'a'}}, {'params': {'q': 'b'}}),
        (a_query, {'params': {'q': 'a'}}, {}),
        (a_query, {'params': {'q': 'a&q=b'}}, {'params': [('q', 'a'), ('q', 'b')]}),
        (an_alias, {'params': {'search-for': 'a'}}, {'params': {'search-for': 'b'}}),
        (a_list, {'params': [('q', 'a'), ('q', 'b')]}, {'params': [('q', 'b'), ('q', 'a')]}),
        (a_list, {'params': [('q', 'a'), ('q', 'b')]}, {'params': [('q', 'a')]}),
        (a_list, {'params': [('q', 'a'), ('q', 'b')]}, {'params': [('q', "a', 'b")]}),
        (a_list, {'params': [('q', '')]}, {'params': [('q', ''), ('q', '')]}),
        (a_header, {'headers': {'accept-language': 'de'}}, {'headers': {'accept-language': 'fr'}}),
        (a_header_list, {'headers': [('x-tag', 'a'), ('x-tag', 'b')]}, {'headers': [('x-tag', 'a')]}),
        (a_cookie, {'headers': {'cookie': 'theme=dark'}}, {'headers': {'cookie': 'theme=blue'}}),
        (a_sub_dependency, {'params': {'limit': 1}}, {'params': {'limit': 2}}),
        (a_sub_dependency, {'headers': {'x-plan': 'a'}}, {'headers': {'x-plan': 'b'}}),
        (a_class_dependency, {'params': {'skip': 1}}, {'params': {'skip': 2}}),
        (a_query_model, {'params': {'limit': 1}}, {'params': {'limit': 2}}),
        (a_query_model, {'params': {'order-by': 'a'}}, {'params': {'order-by': 'b'}}),
        (a_query_model, {'params': [('tags', 'a'), ('tags', 'b')]}, {'params': [('tags', 'a')]}),
        (an_open_model, {'params': {'other': 1}}, {'params': {'other': 2}}),
        (a_nosy_model, {'params': {'other': 1}}, {'params': {'another': 2}}),
        (a_header_model, {'headers': {'x-plan': 'a'}}, {'headers': {'x-plan': 'b'}}),
        (a_cookie_model, {'headers': {'cookie': 'theme=a'}}, {'headers': {'cookie': 'theme=b'}}),
        (a_json_query, {'params': {'q': '[1]'}}, {'params': {'q': '[1, 2]'}}),
        (a_json_model, {'params': {'q': '{"limit": 1}'}}, {'params': {'q': '{"limit": 2}'}}),
        (the_raw_request, {'params': {'a': 1}}, {'params': {'a': 2}}),
        (the_raw_request, {'headers': {'accept-language': 'de'}}, {'headers': {'accept-language': 'fr'}}),
        (the_raw_request, {'headers': {'x-anything': 'a'}}, {'headers': {'x-anything': 'b'}}),
        (the_raw_request, {'headers': {'host': 'a'}}, {'headers': {'host': 'b'}}),
    ],
)
def test_requests_that_differ_in_what_is_read_never_share_an_entry(endpoint, one, other):
    plain = FastAPI()
    plain.get('/')(endpoint)
    client = cached(endpoint)
    for asked in (one, other, one, other):
        assert client.get('/', **asked).json() == TestClient(plain).get('/', **asked).json()
    for response in (client.get('/', **one), client.get('/', **other)):
        assert marks(response) == ['HIT' if response.status_code == 200 else None]  # older releases refuse some kinds


@pytest.mark.parametrize(
    ('endpoint', 'one', 'other'),
    [
        (a_query, {'params': {'q': 'a'}}, {'params': {'q': 'a', 'utm_source': 'mail'}}),
        (a_query, {'params': {'q': 'a'}}, {'params': {'q': 'a'}, 'headers': {'x-forwarded-host': 'evil'}}),
        (a_query, {'params': {'q': 'a'}}, {'params': {'q': 'a'}, 'headers': {'host': 'other'}}),
        (a_query, {'params': {'q': 'a'}}, {'params': {'q': 'a'}, 'headers': {'x-http-method-override': 'DELETE'}}),
        (a_cookie, {'headers': {'cookie': 'theme=a'}}, {'headers': {'cookie': 'visitor=1; theme=a'}}),
        (a_query_model, {'params': {'limit': 1, 'order-by': 'a'}}, {'params': {'order-by': 'a', 'limit': 1}}),
        (the_raw_request, {'headers': {'user-agent': 'a'}}, {'headers': {'user-agent': 'b'}}),
        (the_raw_request, {'headers': {'traceparent': 'a'}}, {'headers': {'traceparent': 'b'}}),
    ],
)
def test_requests_that_differ_in_what_is_not_read_share_an_entry(endpoint, one, other):
    client = cached(endpoint)
    assert marks(client.get('/', **one), client.get('/', **other)) == ['MISS', 'HIT']


@pytest.mark.parametrize(
    ('annotation', 'default', 'given'),
    [
        (int, 10, '10'),
        (int, 10, '010'),
        (float, 1.5, '1.50'),
        (bool, True, 'yes'),
        (str, 'b', 'b'),
        (str | None, 'b', 'b'),
        (Colour, Colour.RED, 'red'),
        (date, date(2026, 1, 31), '2026-01-31'),
        (Decimal, Decimal('1.0'), '1.0'),
        (UUID, UUID(int=7), str(UUID(int=7))),
        (list[int], [1, 2], ['1', '2']),
        (set[str], {'a'}, ['a']),
        (list[str], [], []),
    ],
    ids=str,
)
@pytest.mark.parametrize('place', [Query, Header])
def test_a_default_that_is_given_is_a_default_left_out(place, annotation, default, given):
    async def endpoint(it: Annotated[annotation, place()] = default):
        return it

    client = cached(endpoint)
    items = [('it', value) for value in ([given] if isinstance(given, str) else given)]
    name = 'params' if place is Query else 'headers'
    assert marks(client.get('/'), client.get('/', **{name: items})) == ['MISS', 'HIT']


@pytest.mark.parametrize(
    ('annotation', 'default', 'given'),
    [
        (Decimal, Decimal('1.0'), '1.00'),
        (int | bool, True, '1'),
        (float, 0.0, '-0.0'),
        (list[int | bool], [True], ['1']),
    ],
)
def test_what_only_equals_the_default_is_not_the_default(annotation, default, given):
    async def endpoint(it: Annotated[annotation, Query()] = default):
        return repr(it)

    client = cached(endpoint)
    items = [('it', value) for value in ([given] if isinstance(given, str) else given)]
    plain = FastAPI()
    plain.get('/')(endpoint)
    assert client.get('/').json() == TestClient(plain).get('/').json()
    assert client.get('/', params=items).json() == TestClient(plain).get('/', params=items).json()


def test_a_model_that_knows_which_fields_were_given_is_not_served_another_ones_answer():
    async def endpoint(it: Annotated[Filters, Query()]):
        return it.model_dump(exclude_unset=True)

    client, plain = cached(endpoint), FastAPI()
    plain.get('/')(endpoint)
    for path in ('/', '/?limit=10', '/'):
        assert client.get(path).json() == TestClient(plain).get(path).json()


def test_an_invalid_value_is_refused_also_while_the_default_is_stored():
    async def endpoint(it: Annotated[dict[str, Any] | None, Body()] = None, limit: int = 10):
        return limit

    client = cached(endpoint)
    assert [client.get('/').status_code, client.get('/?limit=x').status_code] == [200, 422]


def test_a_validator_that_raises_is_heard_in_the_route_in_its_turn():
    def refuse(value: str) -> str:
        if value == 'b':
            raise HTTPException(418, 'no')
        return value

    async def endpoint(it: Annotated[str, AfterValidator(refuse)] = 'a'):
        return it

    client = cached(endpoint)
    assert [client.get('/').status_code, client.get('/?it=b').status_code] == [200, 418]


def test_a_default_factory_is_never_taken_for_a_value():
    ticks = iter(range(100))

    async def endpoint(it: Annotated[int, Query(default_factory=lambda: next(ticks))]):
        return it

    client = cached(endpoint)
    left_out = client.get('/').json()
    assert client.get(f'/?it={left_out + 50}').json() == left_out + 50


def test_a_path_into_a_value_counts_as_reading_everything():
    class Deep(BaseModel):
        first: str = Field('', validation_alias=AliasPath('it', 0))

    async def endpoint(it: Annotated[Deep, Query()]):
        return it.first

    client = cached(endpoint)
    for value in ('a', 'b', 'a'):
        plain = FastAPI()
        plain.get('/')(endpoint)
        assert client.get('/', params={'it': value}).json() == TestClient(plain).get('/', params={'it': value}).json()


@pytest.mark.parametrize('model', [FieldHeaders, Cookies])
def test_models_that_forbid_more_refuse_more_also_while_an_answer_is_stored(model):
    class Strict(model):
        model_config = ConfigDict(extra='forbid')

    place = Header() if model is FieldHeaders else Cookie()

    async def endpoint(it: Annotated[Strict, place]):
        return it

    client = cached(endpoint)
    plain = FastAPI()
    plain.get('/')(endpoint)
    for headers in ({}, {'cookie': 'theme=a'}, {'cookie': 'theme=a; other=b'}, {'x-plan': 'a'}):
        expected = TestClient(plain).get('/', headers=headers).status_code
        assert [client.get('/', headers=headers).status_code for _ in range(2)] == [expected] * 2
