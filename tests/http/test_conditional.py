"""Tables for `_http/conditional.py` (RFC 9110)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastapi_caching_route._http.conditional import entity_tag, none_match, not_modified


@pytest.mark.parametrize(
    ('lines', 'tag', 'holds'),
    [
        pytest.param([], b'"a"', True, id='absent'),
        pytest.param([b'"a"'], b'"a"', False, id='13.1.2 equal'),
        pytest.param([b'"b"'], b'"a"', True, id='13.1.2 other'),
        pytest.param([b'W/"a"'], b'"a"', False, id='8.8.3.2 weak against strong'),
        pytest.param([b'"a"'], b'W/"a"', False, id='8.8.3.2 strong against weak'),
        pytest.param([b'"b", W/"a" , "c"'], b'"a"', False, id='list'),
        pytest.param([b'"b"', b'"a"'], b'"a"', False, id='several lines'),
        pytest.param([b'"a,b"'], b'"a,b"', False, id='comma in quotes'),
        pytest.param([b'"x, "a", y"'], b'"a"', True, id='a tag inside of another one'),
        pytest.param([b'*'], b'"a"', False, id='any'),
        pytest.param([b' * '], b'"a"', False, id='any with blanks'),
        pytest.param([b'"*"'], b'"a"', True, id='a tag that looks like any'),
        pytest.param([b'a'], b'a', False, id='unquoted by a sloppy endpoint'),
        pytest.param([b'a'], b'"a"', True, id='unquoted is not quoted'),
        pytest.param([b''], b'"a"', True, id='empty'),
        pytest.param([b'"A"'], b'"a"', True, id='8.8.3 case counts'),
    ],
)
def test_if_none_match(lines, tag, holds):
    assert none_match([(b'if-none-match', line) for line in lines], tag) is holds


@given(st.lists(st.binary()), st.binary(min_size=1))
def test_no_bytes_make_the_comparison_fail(lines, tag):
    assert none_match([(b'if-none-match', line) for line in lines], tag) in {True, False}


@given(st.binary(), st.binary())
def test_bodies_have_one_strong_tag_each(one, other):
    assert (entity_tag(one) == entity_tag(other)) is (one == other)
    assert entity_tag(one).startswith(b'"')
    assert entity_tag(one).endswith(b'"')


def test_a_304_carries_the_fields_of_15_4_5_and_no_others():
    kept = [(name, b'x') for name in (b'cache-control', b'content-location', b'date', b'etag', b'expires', b'vary')]
    dropped = [(name, b'x') for name in (b'content-length', b'content-type', b'last-modified', b'x-other')]
    assert not_modified(kept + dropped) == kept
