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

from fastapi_caching_route._core.entry import NOT_YET_CODED, About, Entry, Headed, Position
from fastapi_caching_route._core.variants import StoredRecord, Variants
from fastapi_caching_route._http.freshness import FOREVER
from fastapi_caching_route._store.wire import MAGIC, MARK, Wire, decode, encode
from tests.store.entries import ENTRY, VARIANTS

FIRST = (
    '66637204ec5eb83ceb159be600000050dc0015a5656e747279a16bccc89192c40465746167c403227822cb3ff80000000000'
    '00cb404e000000000000c390c3cb0000000000000000cb0000000000000000c2c2c2c2c291a3616c6c9004a16503626f6479'
)
WITH_MORE = (
    '66637204eef1a217c29e42a600000069dc001aa5656e747279a16bccc89192c40465746167c403227822cb3ff80000000000'
    '00cb404e000000000000c390c3cb0000000000000000cb0000000000000000c2c2c2c2c291a3616c6c9004a1650390a62f61'
    '2f7b627da42f612f3191a163cb3fe0000000000000626f6479'
)
WITH_OWNER = (
    '6663720408cada579dcaa05200000070dc001ba5656e747279a16bccc89192c40465746167c403227822cb3ff80000000000'
    '00cb404e000000000000c390c3cb0000000000000000cb0000000000000000c2c2c2c2c291a3616c6c9004a1650390a62f61'
    '2f7b627da42f612f3191a163cb3fe0000000000000c4056f776e6572626f6479'
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
    longest = replace(ENTRY, coded=NOT_YET_CODED)
    head = msgspec.msgpack.decode(encode(longest)[16 : 16 + int.from_bytes(encode(longest)[12:16], 'big')])
    packed = msgspec.msgpack.encode([*head, '/items/{item_id}', ['a', 'b'], 0.25])
    checked = len(packed).to_bytes(4, 'big') + packed + ENTRY.body
    assert decode(MAGIC + xxh3_64_digest(checked) + checked) == longest


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


class HeadOfBefore(msgspec.Struct, array_like=True, tag='entry'):
    """The head as it was before it told of the entry."""

    key: str
    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    stored_at: float
    lifetime: float
    made_by_fastapi: bool
    by_others: tuple[tuple[tuple[str, bytes, bytes], ...], ...]
    keeps_tasks: bool
    stale_while_revalidate: float
    stale_if_error: float
    stale_if_accepted: bool
    must_validate: bool
    lifetime_was_chosen: bool
    tag_is_ours: bool
    windowed: bool
    names: tuple[str, ...]
    marks: tuple[str, ...]
    size: int
    epoch: str = ''
    place: int = 0
    read: tuple[str, ...] = ()


TOLD = replace(ENTRY, about=About('/items/{item_id}', '/items/7', ('item:7', 'ü'), 0.25))


def test_what_is_told_of_an_entry_is_read_again():
    assert decode(encode(TOLD)) == TOLD


def test_a_reader_of_before_reads_a_head_that_tells_more():
    written = encode(TOLD)
    head = msgspec.msgpack.decode(written[16 : 16 + int.from_bytes(written[12:16], 'big')], type=HeadOfBefore)
    assert (head.key, head.names, head.size) == (ENTRY.key, ENTRY.names, len(ENTRY.body))


def test_a_head_that_tells_of_its_entry_stays_as_it_was_first_written():
    """These bytes stay as they are, too."""
    told = replace(decode(bytes.fromhex(FIRST)), about=About('/a/{b}', '/a/1', ('c',), 0.5))
    assert decode(bytes.fromhex(WITH_MORE)) == told
    assert encode(told, b'owner').hex() == WITH_OWNER


@pytest.mark.parametrize('seconds', [math.nan, math.inf, -1.0])
def test_an_impossible_time_of_the_endpoint_is_nothing(seconds):
    assert decode(encode(replace(TOLD, about=About(seconds=seconds)))) is None


@pytest.mark.parametrize('signing_keys', [(), (b'k' * 32,)], ids=['plain', 'signed'])
def test_the_head_of_an_entry_is_read_without_its_body(signing_keys):
    wire, bare = Wire(signing_keys), replace(TOLD, content=b'')
    written = wire.dumps(TOLD)
    size = wire.bytes_of_head(written[:16])
    assert (size < len(written) - len(TOLD.body) + 1) is not bool(signing_keys)
    assert wire.loads_head(written[:size], len(written)) == Headed(bare, len(TOLD.body), is_own=True)
    assert wire.loads_head(written[:size], len(written) - 1) is None or signing_keys
    for others in (wire.dumps('a mark'), b'of others', b'', b'x' * 5000):
        assert wire.loads_head(others, len(others)) is None


@pytest.mark.parametrize('signing_keys', [(), (b'k' * 32,)], ids=['plain', 'signed'])
def test_a_head_tells_whether_it_is_of_another_namespace_or_does_not_tell(signing_keys):
    for root, other in [('', 'shop'), ('shop', ''), ('shop', 'shop:x'), ('shop:x', 'shop')]:
        for stored in (TOLD, VARIANTS):
            written = Wire(signing_keys, other).dumps(stored)
            assert Wire(signing_keys, root).loads_head(written, len(written)).is_own is False
            assert Wire(signing_keys, root).loads(written) == stored
    written = Wire(signing_keys, 'shop').dumps(VARIANTS)
    assert Wire(signing_keys, 'shop').loads_head(written, len(written)) == StoredRecord(VARIANTS, is_own=True)
    assert Wire(()).loads_head(encode(TOLD), len(encode(TOLD))).is_own is False


def test_a_head_that_nobody_has_signed_is_nothing():
    written = Wire(()).dumps(TOLD)
    assert Wire((b'k' * 32,)).loads_head(written, len(written)) is None


@pytest.mark.parametrize(('value', 'read'), [(b'', None), (None, None), (MARK + b'a mark', 'a mark')])
def test_what_was_taken_from_memcached_is_no_entry_without_a_signature(value, read, caplog):
    """memcached deletes a lock in two steps: it replaces the token by nothing, and then deletes the key."""
    wire = Wire((b'k' * 32,))
    assert wire.loads(value) == read
    assert not caplog.messages
    assert wire.loads(b'planted') is None
    assert 'no valid signature' in caplog.text
