"""Entries as bytes, for a backend outside of the process. The bytes are not trusted when they are read back.

    magic and version | checksum of the rest (XXH3, 64 bits) | length of the head | head (msgpack) | body

For the head, see `heads`.

Pure. Nothing in it is executed. Anything that is not exactly what we wrote reads as a miss (RFC 9111 has no repair).
"""

import hashlib
import hmac
import logging
import struct
import sys
from collections.abc import Mapping, Sequence
from threading import Lock
from typing import Any

from xxhash import xxh3_64, xxh3_64_digest

from fastapi_caching_route._core.entry import Entry, Headed
from fastapi_caching_route._core.owner import SIGNED, WITH_HEAD, owner_of
from fastapi_caching_route._core.variants import StoredRecord, Variants
from fastapi_caching_route._store.heads import (
    EntryHead,
    LongHead,
    VariantsHead,
    entry_of,
    head_in,
    head_of,
    head_of_variants,
    packed_head,
    variants_of,
)

logger = logging.getLogger('fastapi_caching_route')


class Wire:
    """The codec of this format; aiocache calls it a serializer."""

    encoding: str | None = None  # bytes stay bytes
    prefix_of_texts: bytes = b'fcrm'

    def __init__(self, signing_keys: Sequence[bytes], root: str = '') -> None:
        """If there are keys, sign with the first of them, and accept only entries that are signed with one of them.

        `root` is the namespace of the backend. Each entry says that it is of it: `a:b` may be a namespace of a route
        of `a`, or that of another backend, and the keys are the same.
        """
        self._keys = signing_keys
        self._owner = owner_of(root)
        self._remembered: dict[tuple[bytes, int], Entry | Variants] = {}
        """The last objects by the beginning of their bytes, in which the checksum is, and their length."""
        self.known: Mapping[tuple[bytes, int], object] = {} if signing_keys else self._remembered
        """See `Codec`. The signature of an entry is checked each time."""
        self._bytes = 0
        self._lock = Lock()

    def bytes_of_head(self, begin: bytes) -> int:
        """See `Codec`. All of a value that is signed: what nobody has signed tells nothing."""
        if len(begin) < _PREFIX.size or (self._keys and begin.startswith(SIGNED)):
            return sys.maxsize
        magic, _, length = _PREFIX.unpack_from(begin)
        return _PREFIX.size + int(length) if magic in MAGICS else 0

    def loads_head(self, begin: bytes | memoryview, length: int) -> Headed | StoredRecord | None:
        """See `Codec`. None if it is neither an entry nor a record of variants.

        A list of keys has those of others, too. Their values, and what is gone by now, are no planted entries.
        """
        if not self._keys:
            return _headed(begin, length, self._owner)
        content = opened(bytes(begin), self._keys)
        if content is None and _claims_to_be_of(self._owner, bytes(begin), length):
            logger.warning(NOT_SIGNED)
        return None if content is None else _headed(content, len(content), self._owner)

    def dumps(self, value: Any) -> Any:
        """The bytes of an object."""
        raw = encode(value, self._owner)
        return signed(raw, self._keys[0]) if self._keys and not isinstance(value, str) else raw

    def loads(self, value: Any) -> Any:
        """The object of these bytes, or None. Of a buffer, what is kept is copied."""
        if self._keys and value is not None:
            value = self._signed_content(value)
        if not isinstance(value, bytes | memoryview):
            return None
        begin = bytes(value[: _PREFIX.size])
        if begin.startswith(MARK):
            return decode(bytes(value))
        return self._remembered.get((begin, len(value))) or self._remember((begin, len(value)), decode(value))

    def _signed_content(self, value: Any) -> Any:
        """What stands behind a valid signature, or a mark, which has none; else None, and a warning."""
        value = bytes(value) if isinstance(value, memoryview) else value
        if isinstance(value, bytes) and value.startswith(MARK):
            return value
        content = opened(value, self._keys)
        if content is None and value != b'':  # empty: what has been taken from memcached in two steps
            logger.warning(NOT_SIGNED)
        return content

    def _remember(self, name: tuple[bytes, int], found: Any) -> Any:
        """Keep a decoded object, which is immutable, and drop the ones that were kept first if there are too many."""
        if found is not None and name[1] <= MAX_REMEMBERED_BYTES:
            with self._lock:
                self._bytes += 0 if name in self._remembered else name[1]
                self._remembered[name] = found
                while self._bytes > MAX_REMEMBERED_BYTES:
                    oldest = next(iter(self._remembered))
                    del self._remembered[oldest]
                    self._bytes -= oldest[1]
        return found


MAGICS = MAGIC, MAGIC_OF_CODED = WITH_HEAD
"""Three letters and the version of the format; and the same for entries whose content is compressed. An entry of
another version reads as a miss: so do compressed ones where nobody knows of them."""

MARK = Wire.prefix_of_texts
"""The prefix of a mark, or of the head of a journal. Neither is signed: forging one does not help to plant an entry."""

MAX_REMEMBERED_BYTES = 8 * 1024 * 1024
"""How many bytes of entries are remembered decoded. A large one is neither checked nor copied again then."""

NOT_SIGNED = 'an entry in the cache backend has no valid signature and is ignored'
"""The only sign of somebody who plants entries. So it is not logged without such an entry."""

SIGNED_FROM = len(SIGNED) + hashlib.sha256().digest_size
"""Where the bytes begin that are signed."""

_PREFIX = struct.Struct('>4s8sI')
_CHECKED = 12
"""Where the part begins that the checksum covers: the length of the head, the head and the body."""


def encode(stored: Entry | Variants | str, owner: bytes = b'') -> bytes:
    """The bytes of an entry, of a record of variants, or of a mark. `owner` stands for the cache that stores it."""
    if isinstance(stored, str):
        return MARK + stored.encode('ascii')
    head: EntryHead | VariantsHead
    if isinstance(stored, Variants):
        head, body = head_of_variants(stored), b''
    else:
        head, body = head_of(stored), stored.content
    head.owner = owner
    packed = packed_head(head)
    length = len(packed).to_bytes(4, 'big')
    checksum = xxh3_64(length)
    checksum.update(packed)
    checksum.update(body)
    magic = MAGIC_OF_CODED if isinstance(head, LongHead) and head.coding else MAGIC
    return b''.join((magic, checksum.digest(), length, packed, body))


def decode(raw: object) -> Entry | Variants | str | None:
    """The object of these bytes; None for anything that is not exactly what we wrote."""
    if isinstance(raw, bytes) and raw.startswith(MARK):
        return raw[len(MARK) :].decode('latin-1')
    return _decode(raw) if isinstance(raw, bytes | memoryview) else None


def _decode(raw: bytes | memoryview) -> Entry | Variants | None:
    if len(raw) < _PREFIX.size:
        return None
    magic, checksum, length = _PREFIX.unpack_from(raw)
    view = memoryview(raw)
    if magic not in MAGICS or xxh3_64_digest(view[_CHECKED:]) != checksum:
        return None
    start = _PREFIX.size + length
    head = head_in(view[_PREFIX.size : start], len(raw) - start, is_coded=magic == MAGIC_OF_CODED)
    if isinstance(head, VariantsHead):
        return variants_of(head)
    return None if head is None else entry_of(head, bytes(raw[start:]))


def _headed(begin: bytes | memoryview, length: int, owner: bytes) -> Headed | StoredRecord | None:
    """The entry of so many bytes that begins like this, without its body; or the record of variants."""
    head = _head_at(begin, length)
    if isinstance(head, VariantsHead):
        return StoredRecord(variants_of(head), head.owner == owner)
    return None if head is None else Headed(entry_of(head, b''), head.size, head.owner == owner)


def _head_at(begin: bytes | memoryview, length: int) -> LongHead | VariantsHead | None:
    if len(begin) < _PREFIX.size:
        return None
    magic, _, of_head = _PREFIX.unpack_from(begin)
    start = _PREFIX.size + of_head
    if magic not in MAGICS:
        return None
    return head_in(memoryview(begin)[_PREFIX.size : start], length - start, is_coded=magic == MAGIC_OF_CODED)


def _claims_to_be_of(owner: bytes, begin: bytes, length: int) -> bool:
    """Whether a value without a valid signature looks like one of this cache: it does not say that another stored it.

    Another cache in the same backend may have no key, or another one.
    """
    start = SIGNED_FROM if begin.startswith(SIGNED) else 0
    if not begin.startswith(MAGICS, start):
        return False
    head = _head_at(begin[start:], length - start)
    return head is None or head.owner in {b'', owner}


def signed(raw: bytes, key: bytes) -> bytes:
    """The bytes behind their signature. It covers the cache key, too, since the bytes contain it."""
    return SIGNED + hmac.digest(key, raw, 'sha256') + raw


def opened(raw: object, keys: Sequence[bytes]) -> bytes | None:
    """The bytes behind a signature that one of the keys has made; None if there is no such signature."""
    if not isinstance(raw, bytes) or not raw.startswith(SIGNED) or len(raw) < SIGNED_FROM:
        return None
    signature, content = raw[len(SIGNED) : SIGNED_FROM], raw[SIGNED_FROM:]
    valid = any(hmac.compare_digest(hmac.digest(key, content, 'sha256'), signature) for key in keys)
    return content if valid else None
