"""Tables for `_http/cache_status.py` (RFC 9211)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastapi_caching_route._http.cache_status import forwarded, hit


@pytest.mark.parametrize(
    ('left', 'expected'),
    [
        pytest.param(59.9, b'C; hit; ttl=59', id='2.4 whole seconds'),
        pytest.param(-0.5, b'C; hit; ttl=-1', id='2.4 negative when stale'),
    ],
)
def test_a_hit(left, expected):
    assert hit(b'C', left) == expected


@pytest.mark.parametrize(
    ('options', 'expected'),
    [
        pytest.param({}, b'C; fwd=stale', id='2.2 fwd'),
        pytest.param(
            {'status': 304, 'ttl': 9.5, 'stored': True}, b'C; fwd=stale; fwd-status=304; ttl=9; stored', id='2.3'
        ),
        pytest.param({'detail': 'set-cookie'}, b'C; fwd=stale; detail=set-cookie', id='2.8 a token'),
        pytest.param({'detail': 'a "b" \\'}, b'C; fwd=stale; detail="a \\"b\\" \\\\"', id='2.8 a string'),
        pytest.param({'detail': 'a\r\nb: ü'}, b'C; fwd=stale; detail="a??b: ?"', id='2.8 nothing that ends a field'),
    ],
)
def test_forwarded(options, expected):
    assert forwarded(b'C', b'stale', **options) == expected


@given(st.text())
def test_no_detail_makes_another_field(detail):
    written = forwarded(b'C', b'miss', detail=detail)
    assert all(0x20 <= byte <= 0x7E for byte in written)
