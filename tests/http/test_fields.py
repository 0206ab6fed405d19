"""Tables for `_http/fields.py`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastapi_caching_route._http.fields import (
    LARGEST,
    field_names,
    lines,
    members,
    normalized,
    whole_number,
    with_vary,
    without,
)


@pytest.mark.parametrize(
    ('values', 'expected'),
    [
        pytest.param([b'a, b'], [b'a', b'b'], id='5.6.1 members'),
        pytest.param([b'a', b'b, c'], [b'a', b'b', b'c'], id='5.3 several lines are one list'),
        pytest.param([b' a ,\tb ,, '], [b'a', b'b'], id='5.6.1.2 blanks and empty members'),
        pytest.param([b'"a, b", c'], [b'"a, b"', b'c'], id='5.6.4 commas in quotes'),
        pytest.param([rb'"a\", b", c'], [rb'"a\", b"', b'c'], id='5.6.4 escaped quotes'),
        pytest.param([rb'"a\\", b'], [rb'"a\\"', b'b'], id='5.6.4 escaped backslash'),
        pytest.param([b'a, "b, c'], [b'a', b'"b, c'], id='5.6.4 a quote that is never closed'),
        pytest.param([b'x=", y'], [b'x=", y'], id='5.6.4 a quote inside that is never closed'),
        pytest.param([b''], [], id='empty'),
        pytest.param([], [], id='absent'),
    ],
)
def test_members_of_a_list(values, expected):
    assert members([(b'x', value) for value in values] + [(b'other', b'z')], b'x') == expected


@given(st.lists(st.binary()))
def test_no_bytes_make_the_splitting_fail_or_lose_a_letter(values):
    headers = [(b'x', value) for value in values]
    found = b''.join(members(headers, b'x'))
    assert set(found) <= set(b''.join(values))
    assert {byte for byte in b''.join(values) if byte not in b', \t'} <= set(found)


def test_names_are_compared_in_lower_case():
    assert field_names([(b'vary', b'Accept, X-Plan'), (b'vary', b'accept')], b'vary') == {b'accept', b'x-plan'}


def test_fields_are_found_and_left_out_by_name_and_keep_their_order():
    headers = [(b'a', b'1'), (b'b', b'2'), (b'a', b'3')]
    assert lines(headers, b'a') == [b'1', b'3']
    assert without(headers, (b'b',)) == [(b'a', b'1'), (b'a', b'3')]


@pytest.mark.parametrize(
    ('given_lines', 'selecting', 'expected'),
    [
        ([], [], []),
        ([], [b'a'], [b'a']),
        ([b'B, A'], [], [b'b, a']),
        ([b'B', b'A'], [b'a', b'c'], [b'b, a, c']),
        ([b'a, *'], [b'b'], [b'a, *']),
    ],
)
def test_vary_is_merged_into_one_line_in_lower_case_each_name_once(given_lines, selecting, expected):
    merged = with_vary([(b'x', b'1'), *((b'vary', line) for line in given_lines)], selecting)
    assert lines(merged, b'vary') == expected
    assert lines(merged, b'x') == [b'1']


@pytest.mark.parametrize(
    ('text', 'number'),
    [
        (b'7', 7),
        (b'0', 0),
        (b'000', 0),
        (b'0' * 5000 + b'7', 7),
        (b'9' * 5000, LARGEST),
        (b'2147483649', LARGEST),
        (b'', None),
        (b'-1', None),
        (b'1.5', None),
        (b'+1', None),
        (b'1_0', None),
    ],
)
def test_a_whole_number_is_digits_alone_and_never_too_large(text, number):
    assert whole_number(text) == number


@pytest.mark.parametrize(
    ('name', 'values', 'expected'),
    [
        pytest.param(b'foo', [], None, id='4.1 absent'),
        pytest.param(b'foo', [b''], (), id='4.1 empty is not absent'),
        pytest.param(b'foo', [b'1, 2'], (b'1', b'2'), id='4.1 a list'),
        pytest.param(b'foo', [b'1', b'2'], (b'1', b'2'), id='4.1 several lines'),
        pytest.param(b'foo', [b' 1 ,2'], (b'1', b'2'), id='4.1 blanks'),
        pytest.param(b'foo', [b'A'], (b'A',), id='4.1 case counts'),
        pytest.param(b'foo', [b'a ; b'], (b'a ; b',), id='4.1 what is not known of it counts'),
        pytest.param(b'foo', [b'"a ; b" , c'], (b'"a ; b" , c',), id='4.1 nothing changes in quotes'),
        pytest.param(b'cookie', [b'a=1, b', b'c'], (b'a=1, b', b'c'), id='4.1 not a list'),
        pytest.param(
            b'accept-language', [b'eN ; q = 0.5, De'], (b'de', b'en;q=0.5'), id='9110 12.5.4 case does not count'
        ),
        *(
            pytest.param(name, [b'b, a;q=0.5'], (b'a;q=0.5', b'b'), id=f'9110 12.5 weights count, not order: {name}')
            for name in (b'accept-charset', b'accept-encoding', b'accept-language')
        ),
        pytest.param(b'accept', [b'b/b, a/a'], (b'b/b', b'a/a'), id='9110 12.5.1 order counts'),
    ],
)
def test_values_that_mean_the_same_compare_as_one(name, values, expected):
    assert normalized(name, values) == expected


@given(st.lists(st.binary()))
def test_no_bytes_make_the_comparison_fail(values):
    found = normalized(b'x', values)
    assert found is None or all(isinstance(it, bytes) for it in found)
