"""Tables for `_http/conditional.py` (RFC 9110)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastapi_caching_route._http.conditional import client_has, entity_tag, reply


@pytest.mark.parametrize(
    ('lines', 'tag', 'has'),
    [
        pytest.param([], b'"a"', False, id='absent'),
        pytest.param([b'"a"'], b'"a"', True, id='13.1.2 equal'),
        pytest.param([b'"b"'], b'"a"', False, id='13.1.2 other'),
        pytest.param([b'W/"a"'], b'"a"', True, id='8.8.3.2 weak against strong'),
        pytest.param([b'"a"'], b'W/"a"', True, id='8.8.3.2 strong against weak'),
        pytest.param([b'"b", W/"a" , "c"'], b'"a"', True, id='list'),
        pytest.param([b'"b"', b'"a"'], b'"a"', True, id='several lines'),
        pytest.param([b'"a,b"'], b'"a,b"', True, id='comma in quotes'),
        pytest.param([b'"x, "a", y"'], b'"a"', False, id='a tag inside of another one'),
        pytest.param([b'*'], b'"a"', True, id='any'),
        pytest.param([b' * '], b'"a"', True, id='any with blanks'),
        pytest.param([b'"*"'], b'"a"', False, id='a tag that looks like any'),
        pytest.param([b'a'], b'a', True, id='unquoted by a sloppy endpoint'),
        pytest.param([b'a'], b'"a"', False, id='unquoted is not quoted'),
        pytest.param([b''], b'"a"', False, id='empty'),
        pytest.param([b'"A"'], b'"a"', False, id='8.8.3 case counts'),
    ],
)
def test_if_none_match(lines, tag, has):
    assert client_has([(b'if-none-match', line) for line in lines], tag) is has


@given(st.lists(st.binary()), st.binary(min_size=1))
def test_no_bytes_make_the_comparison_fail(lines, tag):
    assert client_has([(b'if-none-match', line) for line in lines], tag) in {True, False}


@given(st.binary(), st.binary())
def test_bodies_have_one_strong_tag_each(one, other):
    assert (entity_tag(one) == entity_tag(other)) is (one == other)
    assert entity_tag(one).startswith(b'"')
    assert entity_tag(one).endswith(b'"')


OF_A_304 = [(name, b'x') for name in (b'cache-control', b'content-location', b'date', b'etag', b'expires', b'vary')]
FIELDS = OF_A_304 + [(name, b'x') for name in (b'content-length', b'content-type', b'last-modified', b'x-other')]


@pytest.mark.parametrize(
    ('method', 'status', 'tag', 'expected'),
    [
        pytest.param('GET', 200, b'"a"', (304, OF_A_304, False), id='13.1.2 GET, 15.4.5 fields'),
        pytest.param('HEAD', 200, b'"a"', (304, OF_A_304, False), id='13.1.2 HEAD'),
        pytest.param('GET', 200, b'"b"', (200, FIELDS, True), id='modified'),
        pytest.param('HEAD', 200, b'"b"', (200, FIELDS, False), id='9.3.2 HEAD has no body'),
        pytest.param('POST', 200, b'"a"', (200, FIELDS, True), id='13.2.1 not for POST'),
        pytest.param('GET', 404, b'"a"', (404, FIELDS, True), id='13.2.1 only for what would be a 200'),
    ],
)
def test_reply(method, status, tag, expected):
    assert reply(method, [(b'if-none-match', b'"a"')], status, FIELDS, tag) == expected
