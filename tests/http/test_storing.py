"""Tables for `_http/storing.py` and `_http/reuse.py` (RFC 9111)."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastapi_caching_route._http.cache_control import directives
from fastapi_caching_route._http.reuse import age, left
from fastapi_caching_route._http.storing import (
    FOREVER,
    Refused,
    Storable,
    Terms,
    judge,
    lifetime,
    moment,
    stored_fields,
)

TERMS = Terms(accepted=frozenset({200}), ttl=60, fallback_ttl=None, max_body_size=100)
NOW = 784111777.0  # Sun, 06 Nov 1994 08:49:37 GMT


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
    verdict = judge(request_fields, status, response_fields, TERMS, NOW)
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
    assert lifetime(fields, directives(fields), terms, NOW) == expected


@pytest.mark.parametrize(
    'value',
    [b'Sun, 06 Nov 1994 08:49:37 GMT', b'Sunday, 06-Nov-94 08:49:37 GMT', b'Sun Nov  6 08:49:37 1994'],
    ids=['IMF-fixdate', 'rfc850-date', 'asctime-date'],
)
def test_all_three_formats_of_a_date_are_read(value):
    assert moment(value) == NOW


@given(st.binary())
def test_no_bytes_make_the_reading_of_a_date_fail(value):
    assert moment(value) is None or isinstance(moment(value), float)


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
    assert left(seconds, lifetime, math.inf, NOW) == expected


def test_an_answer_is_stale_from_when_somebody_has_made_it_so():
    assert left(1, 60, NOW + 5, NOW) == 5
    assert left(1, 60, NOW - 5, NOW) == -5
    assert left(70, 60, NOW + 5, NOW) == -10


def test_an_answer_that_must_be_revalidated_is_never_stale():
    terms = Terms(frozenset({200}), 60, None, 100, stale_while_revalidate=5, stale_if_error=7)
    assert judge([], 200, [], terms, NOW) == Storable(60, 5, 7)
    for said in (b'must-revalidate', b'Proxy-Revalidate'):
        assert judge([], 200, [(b'cache-control', said)], terms, NOW) == Storable(60)


def test_what_the_endpoint_has_chosen_counts_alone():
    terms = Terms(frozenset({200}), 60, None, 100, chosen_ttl=90)
    assert judge([], 200, [(b'cache-control', b'max-age=5')], terms, NOW) == Storable(90)
    assert judge([], 200, [(b'cache-control', b'max-age=5, private')], terms, NOW) == Refused('private')
    assert judge([], 200, [], Terms(frozenset({200}), 60, None, 100, chosen_ttl=0), NOW) == Refused('ttl')


def test_authorization_that_the_key_covers_does_not_matter():
    terms = Terms(frozenset({200}), 60, None, 100, authorization_covered=True)
    assert judge([(b'authorization', b'x')], 200, [], terms, NOW) == Storable(60)
