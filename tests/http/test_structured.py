"""Tables for `_http/structured.py` (RFC 9651, RFC 9213)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastapi_caching_route._http.cache_control import Directives
from fastapi_caching_route._http.structured import dictionary, targeted_directives


@pytest.mark.parametrize(
    ('text', 'expected'),
    [
        pytest.param('', {}, id='4.2 empty'),
        pytest.param('a', {'a': '?1'}, id='3.2 a key alone is true'),
        pytest.param('a=1, b="x,y" ,c=?0', {'a': '1', 'b': '"x,y"', 'c': '?0'}, id='3.2 members'),
        pytest.param('a;x=1;y, b=2.5;z="q"', {'a': '?1', 'b': '2.5'}, id='3.1.2 parameters'),
        pytest.param('a=1,a=2', {'a': '2'}, id='3.2 the last counts'),
        pytest.param(
            'a=(1 2), b=:aGk=:, c=tok/en, d=@5', {'a': '(1 2)', 'b': ':aGk=:', 'c': 'tok/en', 'd': '@5'}, id='3.3 items'
        ),
        pytest.param(
            'a=("x,y" t;q=")"  2.5);z=1, b=()', {'a': '("x,y" t;q=")"  2.5)', 'b': '()'}, id='3.1.1 inner lists'
        ),
        pytest.param('a=( 1 2 ), b=%"f%c3%bc"', {'a': '( 1 2 )', 'b': '%"f%c3%bc"'}, id='3.3.8 a display string'),
        pytest.param('a=("x)', None, id='3.1.1 an open inner list'),
        pytest.param('a=("x""y")', None, id='3.1.1 no blank between items'),
        pytest.param('a=(1, 2)', None, id='3.1.1 commas inside'),
        pytest.param('a=1,', None, id='4.2.2 a comma at the end'),
        pytest.param('A=1', None, id='3.1.2 keys are in lower case'),
        pytest.param('a=', None, id='no item'),
        pytest.param('a=1 b=2', None, id='no comma'),
        pytest.param('a="x', None, id='an open string'),
        pytest.param('a=1234567890123456', None, id='3.3.1 too many digits'),
    ],
)
def test_a_dictionary_is_read(text, expected):
    assert dictionary(text) == expected


@pytest.mark.parametrize(
    ('values', 'expected'),
    [
        pytest.param([b'max-age=60, no-store'], Directives(max_age=60, no_store=True), id='9213 2.1'),
        pytest.param([b'max-age=60', b'public'], Directives(max_age=60, public=True), id='several lines'),
        pytest.param([b'max-age=60;x=1, other="a"'], Directives(max_age=60), id='parameters and others'),
        pytest.param([b'max-age=-5'], Directives(max_age=0), id='negative'),
        pytest.param([b'x=("a" (b) c)', b'no-store'], None, id='9213 2.1 a list in an inner list'),
        pytest.param([b'x=("a, b" c;d="e"), no-store'], Directives(no_store=True), id='9213 2.1 an inner list'),
        pytest.param([b'no-store=?0, private=1'], Directives(), id='wrong types'),
        pytest.param([b'max-age=60;'], None, id='9213 2.1 invalid'),
        pytest.param([b''], None, id='9213 2.1 empty'),
    ],
)
def test_a_targeted_field_is_read(values, expected):
    assert targeted_directives(values) == expected


@given(st.lists(st.binary()))
def test_no_bytes_make_the_reading_fail(values):
    assert targeted_directives(values) is None or isinstance(targeted_directives(values), Directives)
