"""Tables for `_http/reuse.py` (RFC 9111 §4, §5.2.1)."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastapi_caching_route._http.reuse import NO_DEMAND, Demand, Use, demand, in_window, use


@pytest.mark.parametrize(
    ('fields', 'expected'),
    [
        pytest.param([], NO_DEMAND, id='nothing'),
        pytest.param([(b'cache-control', b'no-cache')], Demand(no_cache=True), id='5.2.1.4'),
        pytest.param([(b'pragma', b'No-Cache')], Demand(no_cache=True), id='5.4'),
        pytest.param(
            [(b'pragma', b'no-cache'), (b'cache-control', b'max-age=5')], Demand(max_age=5), id='5.4 not beside it'
        ),
        pytest.param([(b'cache-control', b'max-stale')], Demand(max_stale=math.inf), id='5.2.1.2 of any age'),
        pytest.param([(b'cache-control', b'max-stale=5, min-fresh=3')], Demand(max_stale=5, min_fresh=3), id='5.2.1.2'),
        pytest.param([(b'cache-control', b'max-age=x')], Demand(max_age=0), id='a number that is none'),
        pytest.param([(b'cache-control', b'only-if-cached')], Demand(only_if_cached=True), id='5.2.1.7'),
    ],
)
def test_what_a_request_demands(fields, expected):
    assert demand(fields) == expected


@pytest.mark.parametrize(
    ('seconds', 'left', 'asked', 'options', 'expected'),
    [
        pytest.param(5, 5, NO_DEMAND, {}, Use.ANSWER, id='4.2 fresh'),
        pytest.param(10, 0, NO_DEMAND, {}, Use.VALIDATE, id='4.2 just stale'),
        pytest.param(5, 5, NO_DEMAND, {'must_validate': True}, Use.VALIDATE, id='5.2.2.4'),
        pytest.param(5, 5, Demand(no_cache=True), {}, Use.VALIDATE, id='5.2.1.4'),
        pytest.param(5, 5, Demand(max_age=4), {}, Use.VALIDATE, id='5.2.1.1 too old'),
        pytest.param(5, 5, Demand(max_age=5), {}, Use.ANSWER, id='5.2.1.1 young enough'),
        pytest.param(5, 5, Demand(min_fresh=6), {}, Use.VALIDATE, id='5.2.1.3 not for long enough'),
        pytest.param(5, 5, Demand(min_fresh=5), {}, Use.ANSWER, id='5.2.1.3 long enough'),
        pytest.param(12, -2, Demand(max_stale=2), {'stale_if_accepted': True}, Use.ANSWER, id='5.2.1.2'),
        pytest.param(12, -2, Demand(max_stale=1), {'stale_if_accepted': True}, Use.VALIDATE, id='5.2.1.2 too stale'),
        pytest.param(12, -2, Demand(max_stale=2), {}, Use.VALIDATE, id='4.2.4 forbidden'),
        pytest.param(12, -2, NO_DEMAND, {'while_revalidate': 3}, Use.RENEW, id='5861 3'),
        pytest.param(13, -3, NO_DEMAND, {'while_revalidate': 3}, Use.VALIDATE, id='5861 3 over'),
    ],
)
def test_what_may_be_done_with_a_stored_response(seconds, left, asked, options, expected):
    defaults = {'must_validate': False, 'stale_if_accepted': False, 'while_revalidate': 0.0}
    assert use(seconds, left, asked, **(defaults | options)) is expected


@pytest.mark.parametrize(
    ('left', 'window', 'expected'), [(1, 5, False), (0, 5, True), (-4, 5, True), (-5, 5, False), (0, 0, False)]
)
def test_the_stale_window_begins_where_freshness_ends(left, window, expected):
    assert in_window(left, window) is expected


@given(st.lists(st.tuples(st.sampled_from([b'cache-control', b'pragma']), st.binary())))
def test_no_bytes_make_the_reading_fail(fields):
    assert isinstance(demand(fields), Demand)
