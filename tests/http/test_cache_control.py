"""Tables for `_http/cache_control.py` (RFC 9111)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastapi_caching_route._http.cache_control import Directives, directives
from fastapi_caching_route._http.fields import LARGEST


@pytest.mark.parametrize(
    ('lines', 'expected'),
    [
        pytest.param([b'no-store'], Directives(no_store=True), id='5.2.2.5 no-store'),
        pytest.param([b'No-Store, PRIVATE'], Directives(no_store=True, private=True), id='5.2 any case'),
        pytest.param(
            [b'private="set-cookie, X-A"'],
            Directives(unstored_fields=frozenset({b'set-cookie', b'x-a'})),
            id='5.2.2.7 private with fields',
        ),
        pytest.param([b'private=""'], Directives(private=True), id='5.2.2.7 private of nothing'),
        pytest.param(
            [b'no-cache="a", no-cache'],
            Directives(no_cache=True, unstored_fields=frozenset({b'a'})),
            id='5.2.2.4 the most restrictive',
        ),
        pytest.param([b'no-cache'], Directives(no_cache=True), id='5.2.2.4 no-cache'),
        pytest.param([b'public', b'max-age=60'], Directives(public=True, max_age=60), id='several lines'),
        pytest.param([b'max-age="60"'], Directives(max_age=60), id='5.2 quoted argument'),
        pytest.param([b'max-age = 60'], Directives(max_age=60), id='blanks round the sign'),
        pytest.param([b's-maxage=5, max-age=60'], Directives(s_maxage=5, max_age=60), id='5.2.2.10 s-maxage'),
        pytest.param([b'max-age=60, max-age=5'], Directives(max_age=5), id='4.2.1 the most restrictive'),
        pytest.param([b'max-age=-1'], Directives(max_age=0), id='4.2.1 negative is stale'),
        pytest.param([b'max-age=1.5'], Directives(max_age=0), id='4.2.1 malformed is stale'),
        pytest.param([b'max-age'], Directives(max_age=0), id='4.2.1 without argument is stale'),
        pytest.param([b'max-age=99999999999'], Directives(max_age=LARGEST), id='1.2.2 beyond 2^31'),
        pytest.param([b'max-age=' + b'9' * 5000], Directives(max_age=LARGEST), id='1.2.2 thousands of digits'),
        pytest.param([b'max-age=' + b'0' * 5000 + b'7'], Directives(max_age=7), id='leading zeros'),
        pytest.param([b'must-revalidate'], Directives(must_revalidate=True), id='5.2.2.2 must-revalidate'),
        pytest.param([b'surprise="no-store"'], Directives(), id='5.2.3 unknown directive'),
        pytest.param([b'x="a, no-store"'], Directives(), id='5.6.4 not inside of quotes'),
        *(
            pytest.param([line], Directives(private=True), id=f'5.2.2.7 cannot be read: {line.decode()}')
            for line in (b'private;x-a', b'private "x-a"', b'private : x-a')
        ),
        pytest.param([b'no-store;x'], Directives(no_store=True), id='5.2.2.5 cannot be read'),
        pytest.param([], Directives(), id='absent'),
    ],
)
def test_directives(lines, expected):
    assert directives([(b'cache-control', line) for line in lines]) == expected


@pytest.mark.parametrize('argument', [b'"x-a x-b"', b'x-a x-b', b'"x-a";x', b'"x-a"x', b'"x-a, (b)"'])
def test_an_argument_that_is_no_list_of_names_means_the_whole_response(argument):
    assert directives([(b'cache-control', b'private=' + argument)]).private
    assert directives([(b'cache-control', b'no-cache=' + argument)]).no_cache


@given(st.lists(st.binary()))
def test_no_bytes_make_the_parser_fail(lines):
    found = directives([(b'cache-control', line) for line in lines])
    assert found.max_age is None or 0 <= found.max_age <= LARGEST
