"""Tables for `_http/ranges.py` and `_http/answer.py` (RFC 9110 §14)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastapi_caching_route._http import ranges
from fastapi_caching_route._http.ranges import UNSATISFIABLE, Part, content_range, part
from fastapi_caching_route._http.representation import select

NOW = 1_800_000_000.0
DATE, MODIFIED = b'Fri, 15 Jan 2027 08:00:00 GMT', b'Fri, 15 Jan 2027 07:00:00 GMT'
STORED = [(b'etag', b'"a"'), (b'last-modified', MODIFIED), (b'date', DATE), (b'content-length', b'10')]


@pytest.mark.parametrize(
    ('asked', 'expected'),
    [
        pytest.param(b'bytes=0-1', Part(0, 2), id='14.1.2 first-last'),
        pytest.param(b'bytes=5-', Part(5, 10), id='14.1.2 first-'),
        pytest.param(b'bytes=-3', Part(7, 10), id='14.1.2 -suffix'),
        pytest.param(b'bytes=-30', Part(0, 10), id='14.1.2 a longer suffix'),
        pytest.param(b'bytes=8-100', Part(8, 10), id='14.1.2 beyond the end'),
        pytest.param(b'BYTES=0-0', Part(0, 1), id='14.1 any case'),
        pytest.param(b'bytes=10-', UNSATISFIABLE, id='14.1.2 behind the end'),
        pytest.param(b'bytes=-0', UNSATISFIABLE, id='14.1.2 none of the end'),
        pytest.param(b'bytes=3-2', None, id='14.1.1 invalid'),
        pytest.param(b'bytes=0-1,3-4', None, id='14.2 several'),
        pytest.param(b'bytes=-', None, id='14.1.1 nothing'),
        pytest.param(b'bytes=a-b', None, id='14.1.1 no numbers'),
        pytest.param(b'lines=0-1', None, id='14.1 another unit'),
        pytest.param(b'bytes=' + b'9' * 30 + b'-', None, id='a number without end'),
    ],
)
def test_the_part_that_is_asked_for(asked, expected):
    assert part([(b'range', asked)], STORED, 10, NOW) == expected


@pytest.mark.parametrize(
    ('named', 'whole'),
    [
        pytest.param(b'"a"', False, id='13.1.5 the same tag'),
        pytest.param(b'"b"', True, id='13.1.5 another tag'),
        pytest.param(b'W/"a"', True, id='13.1.5 a weak tag'),
        pytest.param(MODIFIED, False, id='13.1.5 the same date'),
        pytest.param(DATE, True, id='13.1.5 another date'),
        pytest.param(b'x', True, id='neither'),
    ],
)
def test_if_range(named, whole):
    assert (part([(b'range', b'bytes=0-1'), (b'if-range', named)], STORED, 10, NOW) is None) is whole


def test_two_if_range_give_the_whole():
    asked = [(b'range', b'bytes=0-1'), (b'if-range', b'"a"'), (b'if-range', b'"b"')]
    assert part(asked, STORED, 10, NOW) is None


def test_a_date_of_the_same_second_is_a_weak_validator():
    stored = [(b'last-modified', DATE), (b'date', DATE)]
    assert part([(b'range', b'bytes=0-1'), (b'if-range', DATE)], stored, 10, NOW) is None
    assert part([(b'range', b'bytes=0-1'), (b'if-range', DATE)], stored[:1], 10, NOW) is None


def test_no_range_or_several_of_them_are_the_whole():
    assert part([], STORED, 10, NOW) is None
    assert part([(b'range', b'bytes=0-1')] * 2, STORED, 10, NOW) is None


def test_an_empty_body_has_no_parts():
    assert part([(b'range', b'bytes=0-')], [], 0, NOW) is UNSATISFIABLE
    assert part([(b'range', b'bytes=-5')], [], 0, NOW) is UNSATISFIABLE


BODY = b'0123456789'


@pytest.mark.parametrize(
    ('method', 'status', 'asked', 'expected'),
    [
        pytest.param('GET', 200, b'bytes=2-3', (206, b'23', b'bytes 2-3/10', b'2'), id='15.3.7'),
        pytest.param('GET', 200, b'bytes=10-', (416, b'', b'bytes */10', b'0'), id='15.5.17'),
        pytest.param('HEAD', 200, b'bytes=2-3', (200, b'', None, b'10'), id='14.2 only for GET'),
        pytest.param('GET', 404, b'bytes=2-3', (404, BODY, None, b'10'), id='14.2 only for a 200'),
    ],
)
def test_a_stored_response_answers_with_a_part(method, status, asked, expected):
    given_status, fields, body = select(method, [(b'range', asked)], (status, STORED, BODY), NOW)
    assert (given_status, body, dict(fields).get(b'content-range'), dict(fields)[b'content-length']) == expected


def test_a_precondition_comes_before_a_range():
    assert select('GET', [(b'range', b'bytes=2-3'), (b'if-none-match', b'"a"')], (200, STORED, BODY), NOW)[0] == 304


@given(st.binary(), st.binary(), st.integers(0, 50))
def test_no_bytes_make_it_fail_or_ask_for_more_than_there_is(asked, named, size):
    found = part([(b'range', asked), (b'if-range', named)], STORED, size, NOW)
    assert found is None or 0 <= found.start <= found.end <= size
    assert found is None or content_range(found, size).startswith(b'bytes ')


@pytest.mark.parametrize(
    ('lines', 'valid'),
    [
        ([b'bytes=0-'], True),
        ([b'Bytes=0-1, 5-5 ,-3'], True),
        ([b'bytes=00002-2'], True),
        ([b'bytes=-0'], True),
        ([b'bytes=2-1'], False),
        ([b'bytes='], False),
        ([b'bytes=1'], False),
        ([b'bytes=1-2-3'], False),
        ([b'bytes=\xb2-'], False),
        ([b'bytes=0-1,'], False),
        ([b'bytes=0-1', b'bytes=0-1'], False),
        ([], False),
    ],
)
def test_which_ranges_are_valid(lines, valid):
    assert ranges.is_valid(lines) is valid
