"""Entries as bytes."""

import math
import struct
import zlib

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec.structs import replace
from xxhash import xxh3_64_digest

from fastapi_caching_route._core.entry import Entry, Position
from fastapi_caching_route._core.variants import Variants
from fastapi_caching_route._http.freshness import FOREVER
from fastapi_caching_route._store.wire import MAGIC, MARK, decode, encode
from tests.store.entries import ENTRY, VARIANTS

FIRST = (
    '66637204ec5eb83ceb159be600000050dc0015a5656e747279a16bccc89192c40465746167c403227822cb3ff80000000000'
    '00cb404e000000000000c390c3cb0000000000000000cb0000000000000000c2c2c2c2c291a3616c6c9004a16503626f6479'
)


@pytest.mark.parametrize('stored', [ENTRY, VARIANTS], ids=['entry', 'variants'])
def test_what_is_written_is_read_again(stored):
    assert decode(encode(stored)) == stored


@given(
    st.text(),
    st.integers(200, 599),
    st.binary(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(min_value=0, max_value=FOREVER),
)
def test_any_entry_that_can_be_sent_is_read_again(key, status, body, stored_at, lifetime):
    assume(status != 204 or not body)
    entry = Entry(key, status, ((b'a', b'b'),), body, stored_at, lifetime)
    try:
        written = encode(entry)
    except UnicodeEncodeError:
        return
    assert decode(written) == entry


def test_a_head_that_has_grown_at_its_end_is_read_without_what_is_new():
    head = msgspec.msgpack.decode(encode(ENTRY)[16 : 16 + int.from_bytes(encode(ENTRY)[12:16], 'big')])
    packed = msgspec.msgpack.encode([*head, '/items/{item_id}', ['a', 'b'], 0.25])
    checked = len(packed).to_bytes(4, 'big') + packed + ENTRY.body
    assert decode(MAGIC + xxh3_64_digest(checked) + checked) == ENTRY


def test_a_head_as_it_was_first_written_is_read():
    """These bytes stay as they are: a later version must read them."""
    assert decode(bytes.fromhex(FIRST)) == Entry(
        'k', 200, ((b'etag', b'"x"'),), b'body', 1.5, 60.0, names=('all',), marks=Position('e', 3)
    )


@pytest.mark.parametrize('stored', [ENTRY, VARIANTS], ids=['entry', 'variants'])
def test_no_byte_can_be_changed_or_lost_unnoticed(stored):
    written = encode(stored)
    for at in range(0, len(written), 3):
        assert decode(written[:at] + bytes([written[at] ^ 1]) + written[at + 1 :]) is None
        assert decode(written[:at]) is None
    assert decode(written + b'x') is None


@given(st.binary())
def test_bytes_of_anybody_are_nothing(raw):
    assert decode(raw) is None or raw.startswith(MARK)  # after which all is a token
    assert not isinstance(decode(raw), Entry | Variants)
    assert decode(MAGIC + raw) is None


@pytest.mark.parametrize('raw', [None, 'text', 7, {'status': 200}, b'', b'{"a": 1}', b'\x80\x04\x95\x05.'])
def test_values_of_anybody_are_nothing(raw):
    assert decode(raw) is None


def test_another_version_of_the_format_is_nothing():
    assert decode(b'fcr\x01' + encode(ENTRY)[4:]) is None


@pytest.mark.parametrize(
    'field', [(b'a', b'b\r\nset-cookie: c'), (b'a\r\n', b'b'), (b'a', b'\x00'), (b'', b''), (b'A B', b'')]
)
def test_fields_that_would_break_a_response_are_nothing(field):
    assert decode(encode(Entry('k', 200, (field,), b'', 0, 1))) is None


@pytest.mark.parametrize(
    'change',
    [
        {'status': 0},
        {'status': 101},
        {'status': 10**6},
        {'lifetime': math.inf},
        {'lifetime': -1.0},
        {'lifetime': math.nan},
        {'stored_at': math.nan},
        {'headers': ((b'content-length', b'99'),)},
        {'headers': ((b'transfer-encoding', b'chunked'),)},
        {'headers': ((b'set-cookie', b'a=1'),)},
        {'headers': ((b'x-a', b'\x01'),)},
        {'headers': ((b'x-a', b'\x7f'),)},
        {'headers': ((b'etag', b'"a"\r\nx: y'),)},
        {'stale_if_error': math.inf},
    ],
)
def test_what_we_could_not_have_written_is_nothing(change):
    assert decode(encode(replace(ENTRY, **change))) is None


def test_a_head_that_claims_to_be_longer_than_all_of_it_is_nothing():
    rest = struct.pack('>I', 2**31) + b'\x93'
    assert decode(struct.pack('>4sI', MAGIC, zlib.crc32(rest)) + rest) is None
