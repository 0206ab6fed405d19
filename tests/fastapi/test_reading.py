"""Parameters of guards are read as FastAPI reads them: the same values, of the same types, and the same errors."""

from datetime import date
from enum import Enum
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from fastapi import Cookie, Header, Path, Query, Request
from fastapi.dependencies.utils import get_dependant, request_params_to_args
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from pydantic import AfterValidator, BaseModel

from fastapi_caching_route._fastapi.reading import PLACES, PlaceReader
from tests.support import asgi_scope

ODD: Any = {}
calls = []
PHASES = (Phase.generate,)


def noted(value):
    calls.append(value)
    return value


class Colour(Enum):
    RED = 'red'


class Model(BaseModel):
    a: int = 1


def plain(
    number: Annotated[int, Path()],
    x_key: Annotated[str, Header()],
    x_number: Annotated[int | None, Header()] = None,
    as_it_is: Annotated[str | None, Header(convert_underscores=False)] = None,
    aliased: Annotated[str, Header(alias='X-Alias', min_length=2)] = 'none',
    page: Annotated[int, Query(ge=1)] = 1,
    ratio: float = 0.5,
    flag: bool = False,  # noqa: FBT001, FBT002
    day: date | None = None,
    colour: Colour = Colour.RED,
    one_of: Annotated[Literal['a', 'b'], Query(alias='one of')] = 'a',
    word: Annotated[str, Query(alias='wörd')] = '',
    id_: Annotated[UUID | None, Query(alias='id')] = None,
    session: Annotated[str | None, Cookie()] = None,
    many: Annotated[int, Cookie()] = 1,
): ...


def unusual(
    several: Annotated[list[str] | None, Query()] = None,
    made: Annotated[str, Query(default_factory=lambda: 'made')] = ...,
    noted_: Annotated[str, AfterValidator(noted)] = 'a',
    header: Annotated[list[int], Header()] = [],  # noqa: B006
    odd: Annotated[Any, Cookie()] = ODD,
): ...


def by_model(model: Annotated[Model, Query()]): ...


def readings_of(function):
    node = get_dependant(path='/{number}', call=function)
    found = [(place, getattr(node, f'{place}_params')) for place in PLACES]
    return [(place, fields, PlaceReader(place, fields)) for place, fields in found if fields]


READ = {function: readings_of(function) for function in (plain, unusual, by_model)}
PARTS = {'path': 'path_params', 'query': 'query_params', 'header': 'headers', 'cookie': 'cookies'}
VALUES = st.sampled_from(
    ['', '0', '1', '-1', ' 2 ', 'a', 'ab', 'true', '0.1', 'red', '2026-01-02', '\xe9', 'null', '[]']
)
QUERIES = st.sampled_from(
    [
        'page',
        'ratio',
        'flag',
        'day',
        'colour',
        'one+of',
        'one%20of',
        'w%C3%B6rd',
        'p%61ge',
        'id',
        'several',
        'made',
        'noted_',
        'a',
        'PAGE',
        'xpage',
        'model',
    ]
)
HEADERS = st.sampled_from(
    ['x-key', 'x-number', 'as_it_is', 'as-it-is', 'x-alias', 'header', 'cookie', 'cookie2', 'x-keys']
)


def request_of(number, query, headers):
    scope = asgi_scope(query='&'.join(f'{name}={value}' for name, value in query).encode('utf-8'))
    cookies = 'session={0}; many={0}'
    raw = [(name, cookies.format(value) if name == 'cookie' else value) for name, value in headers]
    encoded = [(name.encode(), value.encode('latin-1')) for name, value in raw]
    return scope | {'headers': encoded, 'path_params': {'number': number}}


@settings(deadline=None, max_examples=200, phases=PHASES)
@given(
    VALUES,
    st.lists(st.tuples(QUERIES, VALUES), max_size=5),
    st.lists(st.tuples(HEADERS, VALUES), max_size=5),
    st.sampled_from([plain, unusual, by_model]),
)
def test_every_parameter_has_the_value_or_the_error_of_fastapi(number, query, headers, function):
    scope = request_of(number, query, headers)
    for place, fields, reading in READ[function]:
        found: dict[str, Any] = {}
        errors = reading(Request(dict(scope)), found)
        values, expected = request_params_to_args(fields, getattr(Request(dict(scope)), PARTS[place]))
        assert repr(errors) == repr(expected)
        if not expected:  # else the guard does not run
            assert found == values
            assert {name: type(it) for name, it in found.items()} == {name: type(it) for name, it in values.items()}


@pytest.mark.parametrize(
    ('function', 'not_plain'),
    [
        (plain, {'one_of', 'word'}),  # names that a query may write in other ways
        (unusual, {'several', 'made', 'noted_', 'header', 'odd'}),
        (by_model, {'model'}),
    ],
)
def test_only_what_fastapi_reads_by_one_name_and_without_user_code_is_read_directly(function, not_plain):
    node = get_dependant(path='/{number}', call=function)
    alone = [(PlaceReader(place, [it]), it.name) for place in PLACES for it in getattr(node, f'{place}_params')]
    assert {name for reading, name in alone if reading._plain is None} == not_plain


def test_a_validator_of_the_user_runs_once():
    node = get_dependant(path='/', call=with_validator)
    calls.clear()
    found: dict[str, Any] = {}
    PlaceReader('query', node.query_params)(Request(asgi_scope(query=b'page=a&word=b')), found)
    assert calls == ['b']


def with_validator(word: Annotated[str, AfterValidator(noted)], page: int = 1): ...


@pytest.mark.parametrize('annotation', [list[int], Any])
def test_a_default_that_can_be_changed_is_another_one_for_each_request(annotation):
    def by_items(items: Annotated[annotation, Query()] = []): ...  # noqa: B006

    ((_, _, reading),) = readings_of(by_items)
    first: dict[str, Any] = {}
    second: dict[str, Any] = {}
    reading(Request(asgi_scope()), first)
    first['items'].append(1)
    reading(Request(asgi_scope()), second)
    assert second == {'items': []}


@pytest.mark.parametrize('query', ['p%61ge=2', 'page=2', 'page=1&page=2', 'xpage=3&page=2', 'a=b&%70age=2&xpage=3'])
def test_a_name_in_a_query_may_be_written_in_every_way(query):
    def by_page(page: int = 1): ...

    ((_, _, reading),) = readings_of(by_page)
    found: dict[str, Any] = {}
    reading(Request(asgi_scope(query=query.encode())), found)
    assert found == {'page': 2}
