"""Tables for `_http/storing.py` and `_http/reuse.py` (RFC 9111)."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from fastapi_caching_route._http.cache_control import directives
from fastapi_caching_route._http.freshness import FOREVER, heuristic_lifetime, lifetime, received_age
from fastapi_caching_route._http.reuse import age, age_and_left
from fastapi_caching_route._http.storing import Refused, Storable, _by_all, storable, stored_fields
from fastapi_caching_route._http.terms import Terms

TERMS = Terms(accepted=frozenset({200}), ttl=60, fallback_ttl=None, max_body_size=100)
NOW = 784111777.0  # Sun, 06 Nov 1994 08:49:37 GMT

DAY_BEFORE = (b'last-modified', b'Sat, 05 Nov 1994 08:49:37 GMT')


@pytest.mark.parametrize(
    ('request_fields', 'status', 'response_fields', 'reason'),
    [
        pytest.param([], 200, [], None, id='3 storable'),
        pytest.param([], 404, [], 'status', id='3 status'),
        pytest.param([], 200, [(b'content-range', b'bytes 0-1/2')], 'partial', id='3.3 partial content'),
        pytest.param([], 200, [(b'set-cookie', b'a=1')], 'set-cookie', id='7.3 a cookie is for one client'),
        pytest.param([], 200, [(b'cache-control', b'no-store')], 'no-store', id='5.2.2.5 no-store'),
        pytest.param([(b'cache-control', b'no-store')], 200, [], 'no-store', id='5.2.1.5 no-store of the request'),
        pytest.param([(b'cache-control', b'no-cache')], 200, [], None, id='5.2.1.4 no-cache does not forbid to store'),
        pytest.param([], 200, [(b'cache-control', b'private')], 'private', id='5.2.2.7 private'),
        pytest.param([], 200, [(b'cache-control', b'no-cache')], 'no-cache', id='5.2.2.4 no-cache'),
        pytest.param([], 200, [(b'vary', b'Accept, *')], 'vary', id='4.1 vary *'),
        pytest.param([], 200, [(b'vary', b'accept')], None, id='4.1 vary'),
        pytest.param([(b'authorization', b'x')], 200, [], 'authorization', id='3.5 authorization'),
        pytest.param([(b'authorization', b'x')], 200, [(b'cache-control', b'public')], None, id='3.5 public'),
        pytest.param([(b'authorization', b'x')], 200, [(b'cache-control', b's-maxage=5')], None, id='3.5 s-maxage'),
        pytest.param(
            [(b'authorization', b'x')], 200, [(b'cache-control', b'must-revalidate')], None, id='3.5 must-revalidate'
        ),
        pytest.param(
            [(b'authorization', b'x')], 200, [(b'cache-control', b'max-age=5')], 'authorization', id='3.5 max-age'
        ),
        pytest.param([], 200, [(b'content-length', b'100')], None, id='as large as may be'),
        pytest.param([], 200, [(b'content-length', b'101')], 'size', id='too large'),
        pytest.param([], 200, [(b'cache-control', b'max-age=0')], 'ttl', id='4.2 stale at once'),
        pytest.param([], 200, [(b'expires', b'0')], 'ttl', id='5.3 invalid is expired'),
    ],
)
def test_what_may_be_stored(request_fields, status, response_fields, reason):
    verdict = storable(request_fields, status, response_fields, TERMS, NOW)
    assert verdict == Refused(reason) if reason else isinstance(verdict, Storable)


@pytest.mark.parametrize(
    ('ttl', 'fallback', 'fields', 'expected'),
    [
        pytest.param(60, None, [], 60, id='the ttl'),
        pytest.param(None, 20, [], 20, id='that of the backend'),
        pytest.param(None, None, [], FOREVER, id='thirty days'),
        pytest.param(1e9, None, [], FOREVER, id='never longer'),
        pytest.param(60, None, [(b'cache-control', b's-maxage=5, max-age=1')], 5, id='4.2.1 s-maxage first'),
        pytest.param(60, None, [(b'cache-control', b'max-age=5'), (b'expires', b'0')], 5, id='5.3 max-age wins'),
        pytest.param(
            60,
            None,
            [(b'date', b'Sun, 06 Nov 1994 08:49:37 GMT'), (b'expires', b'Sun, 06 Nov 1994 08:49:47 GMT')],
            10,
            id='4.2.1 expires less date',
        ),
        pytest.param(60, None, [(b'expires', b'Sun, 06 Nov 1994 08:49:57 GMT')], 20, id='4.2.1 expires less now'),
        pytest.param(60, None, [(b'expires', b'Sun, 06 Nov 1994 08:00:00 GMT')], 0, id='4.2.1 expired'),
        pytest.param(60, None, [(b'cache-control', b'max-age=600')], 60, id='a response can only shorten'),
    ],
)
def test_lifetime(ttl, fallback, fields, expected):
    terms = Terms(frozenset({200}), ttl, fallback, 100)
    assert lifetime(200, fields, directives(fields), terms, NOW) == expected


def test_fields_about_the_connection_or_one_exchange_are_not_stored():
    fields = [
        (b'connection', b'close, X-Hop'),
        (b'x-hop', b'1'),
        (b'keep-alive', b'5'),
        (b'transfer-encoding', b'chunked'),
        (b'age', b'5'),
        (b'cache-status', b'other; hit'),
        (b'x-kept', b'1'),
    ]
    assert stored_fields(fields) == [(b'x-kept', b'1')]


@pytest.mark.parametrize(('stored_at', 'now', 'expected'), [(10, 15.5, 5.5), (10, 10, 0), (10, 5, 0)])
def test_age(stored_at, now, expected):
    assert age(stored_at, now) == expected


@pytest.mark.parametrize(('seconds', 'lifetime', 'expected'), [(5, 6, 1), (6, 6, 0), (7, 6, -1)])
def test_an_answer_is_fresh_while_its_lifetime_exceeds_its_age(seconds, lifetime, expected):
    assert age_and_left(NOW - seconds, lifetime, math.inf, NOW) == (seconds, expected)


def test_an_answer_is_stale_from_when_somebody_has_made_it_so():
    assert age_and_left(NOW - 1, 60, NOW + 5, NOW) == (1, 5)
    assert age_and_left(NOW - 1, 60, NOW - 5, NOW) == (1, -5)
    assert age_and_left(NOW - 70, 60, NOW + 5, NOW) == (70, -10)


def test_an_answer_that_must_be_revalidated_is_never_stale():
    terms = Terms(frozenset({200}), 60, None, 100, stale_while_revalidate=5, stale_if_error=7)
    assert storable([], 200, [], terms, NOW) == Storable(60, 5, 7)
    for said in (b'must-revalidate', b'Proxy-Revalidate'):
        assert storable([], 200, [(b'cache-control', said)], terms, NOW) == Storable(60)


def test_what_the_endpoint_has_chosen_counts_alone():
    terms = Terms(frozenset({200}), 60, None, 100, chosen_ttl=90)
    assert storable([], 200, [(b'cache-control', b'max-age=5')], terms, NOW) == Storable(90, lifetime_was_chosen=True)
    assert storable([], 200, [(b'cache-control', b'max-age=5, private')], terms, NOW) == Refused('private')
    assert storable([], 200, [], Terms(frozenset({200}), 60, None, 100, chosen_ttl=0), NOW) == Refused('ttl')


def test_authorization_that_the_key_covers_does_not_matter():
    terms = Terms(frozenset({200}), 60, None, 100, authorization_covered=True)
    assert storable([(b'authorization', b'x')], 200, [], terms, NOW) == Storable(60)


BOOK = Terms(frozenset(), None, None, 100, by_the_book=True, stale_if_accepted=True)
TAG = (b'etag', b'"a"')


@pytest.mark.parametrize(
    ('status', 'fields', 'expected'),
    [
        pytest.param(200, [(b'cache-control', b'max-age=5')], 5, id='4.2.1 max-age'),
        pytest.param(599, [(b'cache-control', b'max-age=5')], 5, id='3 any final status'),
        pytest.param(206, [(b'cache-control', b'max-age=5')], 'status', id='3.3 a part'),
        pytest.param(304, [(b'cache-control', b'max-age=5')], 'status', id='3 an answer to a condition'),
        pytest.param(200, [(b'cache-control', b'no-store, max-age=5')], 'no-store', id='5.2.2.5'),
        pytest.param(200, [(b'cache-control', b'no-store, must-understand, max-age=5')], 5, id='5.2.2.3 understood'),
        pytest.param(
            599, [(b'cache-control', b'no-store, must-understand, max-age=5')], 'status', id='5.2.2.3 not understood'
        ),
        pytest.param(200, [(b'cache-control', b'private')], 'private', id='5.2.2.7'),
        pytest.param(200, [(b'cache-control', b'private="x-a", max-age=5')], 5, id='5.2.2.7 of fields'),
        pytest.param(200, [(b'cache-control', b'no-cache, must-revalidate')], 'no-cache', id='5.2.2.4 no validator'),
        pytest.param(200, [(b'cache-control', b'no-cache'), TAG], 0, id='5.2.2.4 with a validator'),
        pytest.param(200, [(b'cache-control', b'must-revalidate')], 'ttl', id='5.2.2.2 of no use'),
        pytest.param(200, [(b'set-cookie', b'a=b'), TAG], 'set-cookie', id='a cookie is for one client'),
        pytest.param(200, [(b'vary', b'*'), TAG], 'vary', id='4.1 Vary: *'),
        pytest.param(200, [(b'content-range', b'a'), TAG], 0, id='Content-Range means nothing in a 200'),
    ],
)
def test_by_the_book_the_response_decides(status, fields, expected):
    verdict = storable([], status, fields, BOOK, NOW)
    assert verdict == Refused(expected) if isinstance(expected, str) else verdict.lifetime == expected


@pytest.mark.parametrize(
    ('fields', 'windows', 'on_demand', 'always'),
    [
        pytest.param([(b'cache-control', b'max-age=1')], (7, 9), True, False, id='of the route'),
        pytest.param([(b'cache-control', b'public')], (7, 9), True, False, id='of the route, public'),
        pytest.param([(b'expires', b'Sun, 06 Nov 1994 08:49:38 GMT')], (7, 9), True, False, id='of the route, Expires'),
        pytest.param([], (0, 0), False, False, id='4.2.4 nothing is said'),
        pytest.param([DAY_BEFORE], (0, 0), False, False, id='4.2.4 a guess says nothing'),
        pytest.param([(b'cache-control', b'stale-if-error=3')], (0, 0), False, False, id='4.2.4 no freshness'),
        pytest.param([(b'cache-control', b'max-age=1, stale-while-revalidate=3')], (3, 9), True, False, id='5861 3'),
        pytest.param([(b'cache-control', b'max-age=1, stale-if-error=3')], (7, 3), True, False, id='5861 4'),
        pytest.param([(b'cache-control', b'max-age=1, must-revalidate')], (0, 0), False, False, id='5.2.2.2'),
        pytest.param([(b'cache-control', b'max-age=1, proxy-revalidate')], (0, 0), False, False, id='5.2.2.8'),
        pytest.param([(b'cache-control', b's-maxage=1')], (0, 0), False, False, id='5.2.2.10'),
        pytest.param([(b'cache-control', b'no-cache')], (0, 0), False, True, id='5.2.2.4'),
    ],
)
def test_by_the_book_the_response_says_how_stale_it_may_be(fields, windows, on_demand, always):
    terms = replace(BOOK, stale_while_revalidate=7.0, stale_if_error=9.0)
    verdict = storable([], 200, [*fields, TAG], terms, NOW)
    assert (verdict.stale_while_revalidate, verdict.stale_if_error) == windows
    assert (verdict.stale_if_accepted, verdict.must_validate) == (on_demand, always)


def test_a_stale_window_of_the_route_counts_beside_s_maxage():
    terms = Terms(frozenset({200}), 60, None, 100, stale_while_revalidate=7)
    assert storable([], 200, [(b'cache-control', b's-maxage=5')], terms, NOW) == Storable(5, 7)


@pytest.mark.parametrize(
    ('status', 'fields', 'expected'),
    [
        pytest.param(200, [DAY_BEFORE], 8640, id='4.2.2 a tenth'),
        pytest.param(200, [(b'last-modified', b'Sun, 06 Nov 1904 08:49:37 GMT')], 86400, id='4.2.2 at most a day'),
        pytest.param(200, [], 0, id='4.2.2 nothing to guess from'),
        pytest.param(200, [(b'last-modified', b'never')], 0, id='4.2.2 no date'),
        pytest.param(200, [(b'last-modified', b'Mon, 07 Nov 1994 08:49:37 GMT')], 0, id='4.2.2 in the future'),
        pytest.param(403, [DAY_BEFORE], 0, id='15.1 not for this status'),
        pytest.param(403, [DAY_BEFORE, (b'cache-control', b'public')], 8640, id='4.2.2 public'),
    ],
)
def test_heuristic_freshness(status, fields, expected):
    assert heuristic_lifetime(status, fields, directives(fields), NOW) == expected


@pytest.mark.parametrize(
    ('fields', 'expected'),
    [
        pytest.param([], 0, id='none'),
        pytest.param([(b'age', b'5')], 5, id='4.2.3 age'),
        pytest.param([(b'date', b'Sun, 06 Nov 1994 08:49:17 GMT')], 20, id='4.2.3 apparent'),
        pytest.param([(b'date', b'Sun, 06 Nov 1994 08:49:17 GMT'), (b'age', b'5')], 20, id='4.2.3 the larger'),
        pytest.param([(b'date', b'Sun, 06 Nov 1994 09:49:17 GMT')], 0, id='4.2.3 a clock ahead'),
        pytest.param([(b'date', b'soon')], 0, id='no date'),
        pytest.param([(b'age', b'99999999999999999999')], 2**31, id='1.2.2 huge'),
        *(
            pytest.param([(b'age', it)], 0, id=f'5.1 ignored: {it}')
            for it in (b'-1', b'1.5', b'a', b'', b'1;a=b', b'a, 5', b'"1"')
        ),
        pytest.param([(b'age', b'a'), (b'date', b'Sun, 06 Nov 1994 08:49:17 GMT')], 20, id='5.1 ignored beside a date'),
        pytest.param([(b'age', b'0, 5')], 0, id='5.1 the first of a list'),
        pytest.param([(b'age', b'5 ,0')], 5, id='5.1 the first of a list, blanks'),
        pytest.param([(b'age', b'5'), (b'age', b'0')], 5, id='5.1 the first of two lines'),
    ],
)
def test_the_age_that_a_response_has_when_it_comes(fields, expected):
    assert received_age(fields, NOW) == expected


@pytest.mark.parametrize(
    ('fields', 'expected'),
    [
        pytest.param([], 3, id='4.2.3 no age'),
        pytest.param([(b'age', b'5')], 8, id='4.2.3 corrected age'),
        pytest.param([(b'age', b'a')], 3, id='5.1 ignored'),
        pytest.param([(b'date', b'Sun, 06 Nov 1994 08:49:17 GMT')], 20, id='4.2.3 the apparent age has it already'),
    ],
)
def test_the_time_that_a_response_took_counts_for_its_age(fields, expected):
    assert received_age(fields, NOW, 3) == expected


CDN = b'cdn-cache-control'


@pytest.mark.parametrize(
    ('fields', 'expected'),
    [
        pytest.param(
            [(CDN, b'max-age=9'), (b'cache-control', b'max-age=5')], 9, id='9213 2.2 instead of Cache-Control'
        ),
        pytest.param([(CDN, b'max-age=9'), (b'cache-control', b'no-store')], 9, id='9213 2.2 instead of no-store'),
        pytest.param([(CDN, b'public'), (b'expires', b'Sun, 06 Nov 1994 09:49:37 GMT')], 0, id='9213 2.2 nor Expires'),
        pytest.param([(CDN, b'no-store'), (b'cache-control', b'max-age=5')], 'no-store', id='9213 2.2 no-store'),
        pytest.param([(CDN, b'max-age=9,'), (b'cache-control', b'max-age=5')], 5, id='9213 2.1 not a dictionary'),
        pytest.param([(CDN, b''), (b'cache-control', b'max-age=5')], 5, id='9213 2.1 empty'),
        pytest.param([(CDN, b'max-age="9"'), (b'cache-control', b'max-age=5')], 'ttl', id='9213 2.1 wrong type'),
    ],
)
def test_cdn_cache_control_steers_a_cache_by_the_book(fields, expected):
    verdict = storable([], 200, fields, BOOK, NOW)
    assert verdict == Refused(expected) if isinstance(expected, str) else verdict.lifetime == expected


def test_cdn_cache_control_means_nothing_where_the_route_decides():
    fields = [(CDN, b'max-age=9'), (b'cache-control', b'max-age=5')]
    assert storable([], 200, fields, Terms(frozenset({200}), 60, None, 100), NOW) == Storable(5)


FIELD_NAMES = [
    b'cache-control',
    b'expires',
    b'date',
    b'age',
    b'last-modified',
    b'vary',
    b'connection',
    b'content-length',
    CDN,
]


@given(st.lists(st.tuples(st.sampled_from(FIELD_NAMES), st.binary())), st.integers(200, 599), st.booleans())
def test_no_bytes_make_the_judging_fail(fields, status, by_the_book):
    terms = Terms(frozenset({200}), 60, None, 100, by_the_book=by_the_book)
    verdict = storable(fields, status, fields, terms, NOW)
    assert isinstance(verdict, Refused) or 0 <= verdict.lifetime <= FOREVER
    assert all(isinstance(field, tuple) for field in stored_fields(fields))


@pytest.mark.parametrize(('ttl', 'chosen', 'expected'), [(0, None, 'ttl'), (60, 0.0, 'ttl'), (0, 5.0, 5)])
def test_a_ttl_of_nothing_stores_nothing_whatever_the_windows(ttl, chosen, expected):
    terms = Terms(frozenset({200}), ttl, None, 100, stale_while_revalidate=30, revalidate=True, chosen_ttl=chosen)
    verdict = storable([], 200, [TAG], terms, NOW)
    assert verdict == Refused(expected) if isinstance(expected, str) else verdict.lifetime == expected


SAID = st.sampled_from(
    [
        *(
            (b'cache-control', it)
            for it in (b'no-store', b'private', b'max-age=5', b's-maxage=0', b'public', b'no-cache')
        ),
        *((b'age', it) for it in (b'0', b'5', b'x')),
        *((b'vary', it) for it in (b'*', b'accept')),
        (b'expires', b'0'),
        (b'date', b'Sun, 06 Nov 1994 08:00:00 GMT'),
        (b'etag', b'"a"'),
        (b'last-modified', b'Sun, 06 Nov 1993 08:00:00 GMT'),
        (b'set-cookie', b'a=1'),
        (b'content-range', b'bytes 0-1/2'),
        (b'cdn-cache-control', b'max-age=7'),
        (b'authorization', b'x'),
        (b'x-more', b'1'),
    ]
)


@given(
    st.lists(SAID, max_size=2),
    st.lists(SAID, max_size=3),
    st.sampled_from([200, 203, 206, 302, 304, 404, 500]),
    st.builds(
        Terms,
        accepted=st.sampled_from([frozenset({200}), frozenset({200, 404})]),
        ttl=st.sampled_from([None, 0, 60]),
        fallback_ttl=st.sampled_from([None, 30]),
        max_body_size=st.just(100),
        stale_if_error=st.sampled_from([0, 9]),
        chosen_ttl=st.sampled_from([None, 0, 3]),
        authorization_covered=st.booleans(),
        by_the_book=st.booleans(),
        stale_if_accepted=st.booleans(),
        revalidate=st.booleans(),
    ),
)
def test_what_says_nothing_is_judged_as_it_would_be_by_all_the_rules(request_fields, response_fields, status, terms):
    by_all = _by_all(request_fields, status, response_fields, terms, NOW)
    assert storable(request_fields, status, response_fields, terms, NOW) == by_all
