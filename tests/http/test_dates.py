"""Tables for `_http/dates.py` (RFC 9110 §5.6.7)."""

from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastapi_caching_route._http.dates import timestamp

THEN = 784111777.0
NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ('value', 'expected'),
    [
        pytest.param(b'Sun, 06 Nov 1994 08:49:37 GMT', THEN, id='5.6.7 IMF-fixdate'),
        pytest.param(b'Sunday, 06-Nov-94 08:49:37 GMT', THEN, id='5.6.7 rfc850-date'),
        pytest.param(b'Sun Nov  6 08:49:37 1994', THEN, id='5.6.7 asctime-date'),
        pytest.param(b' sun, 06 NOV 1994 08:49:37 gmt\t', THEN, id='any case, blanks around'),
        pytest.param(b'Sun, 06 Nov 1994 08:49:37 UTC', None, id='RFC 9111 4.2: UTC'),
        pytest.param(b'Sun, 06 Nov 1994 8:49:37 GMT', None, id='5.6.7 an hour of one digit'),
        pytest.param(b'Sunday, 06-Nov-94 8:49:37 GMT', None, id='5.6.7 an hour of one digit, rfc850-date'),
        pytest.param(b'Sun Nov  6 8:49:37 1994', None, id='5.6.7 an hour of one digit, asctime-date'),
        pytest.param(b'Thu, 01 Jan 1970 00:00:60 GMT', 60.0, id='a leap second'),
        pytest.param(b'Thursday, 18-Aug-50 02:01:18 GMT', 2544400878.0, id='5.6.7 two digits, soon'),
        pytest.param(b'Friday, 18-Aug-78 02:01:18 GMT', 272253678.0, id='5.6.7 two digits, more than 50 years ahead'),
        pytest.param(b'Sunday, 06-Nov-94 08:49:37 UTC', None, id='RFC 9111 4.2: UTC, rfc850-date'),
        pytest.param(b'Sun, 06 Nov 1994 08:49:37 AEST', None, id='another zone'),
        pytest.param(b'Sun, 06 Nov 1994 08:49:37', None, id='no zone'),
        pytest.param(b'Sun, 06 Nov 1994 08.49.37 GMT', None, id='periods'),
        pytest.param(b'Sun, 31 Feb 1994 08:49:37 GMT', None, id='no such day'),
        pytest.param(b'Sun, 06 Xyz 1994 08:49:37 GMT', None, id='no such month'),
        pytest.param(b'Sun, 06 Nov 1994 25:49:37 GMT', None, id='no such hour'),
        pytest.param(b'0', None, id='5.3 zero'),
        pytest.param(b'', None, id='nothing'),
        pytest.param('Sun, ٠٦ Nov 1994 08:49:37 GMT'.encode(), None, id='other digits'),
    ],
)
def test_a_date_is_read_in_all_its_forms(value, expected):
    assert timestamp(value, NOW) == expected


@given(st.binary())
def test_no_bytes_make_the_reading_fail(value):
    assert timestamp(value, NOW) is None or isinstance(timestamp(value, NOW), float)


@given(st.integers(0, 2**33))
def test_what_is_written_is_read_again(seconds):
    assert timestamp(formatdate(seconds, usegmt=True).encode('ascii'), NOW) == seconds
