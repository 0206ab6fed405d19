"""What is stored in an LMDB store, as one transaction sees it: values with a time to expire, and which are evicted.

Knows keys, bytes and moments. Does not know processes, threads, or how a transaction comes about.

There is one database, since others could only be opened by a write transaction, which may have to wait. The first
byte of a key says what it is:

    v key            a value, behind the moment at which it expires
    m key            what is known of the value: a use must not copy it
    e moment place   the keys that expire, in the order of time
    s place, l place   the two queues of keys, which say what is evicted next
    j, k             members of journals, see `LMDBJournal`
    c                counters

A new key enters the small queue. At its head, a key that was used moves to the large queue, any other is evicted.
A key at the head of the large queue that was used goes to its end, with one use less; any other is evicted.
The small queue is evicted from while it has more than a tenth of all keys.

So keys that are asked for once pass through a tenth of the store and evict one another, while the hot keys stay
(S3-FIFO; see Yang et al., SOSP 2023). A look-up writes nothing: the uses are noted in memory, and the next
write transaction adds them (`note_uses`).
"""

import hashlib
import math
import struct
from collections.abc import Iterable
from typing import Any, NamedTuple

MAX_KEY = 480
"""LMDB takes keys of 1 to 511 bytes. Longer ones end in a digest."""

END = struct.Struct('<d')
"""The moment at which a value expires, in front of it."""

_META = struct.Struct('<dQcB')
_PLACE = struct.Struct('>Q')
_ENDING = struct.Struct('>QQ')

_COUNTS = struct.Struct('<qqqq')

VALUE, META, ENDS, SMALL, LARGE, PINNED, MEMBERS, PLACES, COUNTS = b'v', b'm', b'e', b's', b'l', b'p', b'j', b'k', b'c'
"""The first bytes of keys. `PINNED` is a queue that does not exist: what is in it is not evicted."""

ROW_BYTES = 60
"""How much the two rows of a member take, in addition to its name. Pages are about half full."""

MAX_USES = 3
"""How often a key passes the head of the large queue at most, without having been used since."""

FREED_AT_ONCE = 32
"""How many expired values a write transaction frees, in addition to what it has to do."""


class DamageError(Exception):
    """Rows do not fit together as each transaction leaves them: the file contains what nobody has written."""


class _Meta(NamedTuple):
    ends_at: float
    place: int
    queue: bytes
    uses: int


def stored_key(key: Any) -> bytes:
    """A key as LMDB takes it. It begins as the key does."""
    raw = key if isinstance(key, bytes) else str(key).encode()
    if 0 < len(raw) <= MAX_KEY:
        return raw
    return raw[: MAX_KEY - 20] + b'\0' + hashlib.blake2b(raw, digest_size=16).digest()


def short(key: bytes) -> bytes:
    """Eight bytes that stand for a key."""
    return hashlib.blake2b(key, digest_size=8).digest()


def bytes_of_member(name: bytes) -> int:
    """How much a member of a journal takes, roughly; its name stands in three places. Nothing is no member."""
    return 2 * (3 * len(name) + ROW_BYTES) if name else 0


class Table:
    """What is stored, as one transaction sees it. `now` is the wall clock, which all processes share."""

    __slots__ = ('evicted', 'evicted_bytes', 'journal_bytes', 'large', 'last_place', 'now', 'small', 'txn')

    def __init__(self, txn: Any, now: float) -> None:
        """Use a transaction that returns bytes."""
        self.txn = txn
        self.now = now
        self.evicted = self.evicted_bytes = 0
        """How many values this transaction has evicted, and what they had taken."""
        found = txn.get(COUNTS)
        self.small: int
        self.large: int
        self.journal_bytes: int
        self.last_place: int
        self.small, self.large, self.journal_bytes, self.last_place = _COUNTS.unpack(found) if found else (0, 0, 0, 0)

    def save(self) -> None:
        """Store the counters, at the end of a write transaction."""
        self.txn.put(COUNTS, _COUNTS.pack(self.small, self.large, self.journal_bytes, self.last_place))

    def get(self, key: bytes) -> bytes | None:
        """The value under a key that has not expired, or None."""
        found = self.txn.get(VALUE + key)
        if found is None or END.unpack_from(found)[0] <= self.now:
            return None
        return bytes(found[END.size :])

    def ends_at(self, key: bytes) -> float | None:
        """When the value under a key expires; None if there is none, or it has expired."""
        found = self._meta(key)
        return None if found is None or found.ends_at <= self.now else found.ends_at

    def put(self, key: bytes, value: bytes, span: float | None, *, pinned: bool = False) -> None:
        """Store a value for `span` seconds, or forever if that is None."""
        ends_at = self.now + span if span is not None and span < math.inf else math.inf
        old = self._meta(key)
        if old is not None:
            self._remove_ending(old)
            # To be stored anew is a use, too: it must not be evicted at once because it came long ago.
            meta = old._replace(ends_at=ends_at, uses=min(old.uses + 1, MAX_USES))
        elif pinned:
            meta = _Meta(ends_at, _PLACE.unpack(short(key))[0], PINNED, 0)
        else:
            meta = _Meta(ends_at, self._new_place(), SMALL, 0)
            self._enqueue(key, meta)
        self._put_meta(key, meta)
        self.txn.put(VALUE + key, END.pack(ends_at) + value)

    def delete(self, key: bytes) -> bool:
        """Delete a key; return whether there was a value that has not expired."""
        meta = self._meta(key)
        if meta is None:
            return False
        self._remove_ending(meta)
        self._dequeue(meta)
        if meta.queue == PINNED:
            self.drop_journal(key)
        self.txn.delete(META + key)
        self.txn.delete(VALUE + key)
        return meta.ends_at > self.now

    def keys_from(self, prefix: bytes, most: int, start: bytes = b'') -> list[bytes]:
        """Some keys with a prefix, at most `most`; the first ones that are not less than `start`."""
        found: list[bytes] = []
        cursor = self.txn.cursor()
        goes_on = cursor.set_range(VALUE + max(prefix, start))
        while goes_on and len(found) < most and cursor.key().startswith(VALUE + prefix):
            found.append(cursor.key().removeprefix(VALUE))
            goes_on = cursor.next()
        cursor.close()
        return found

    def rows(self, prefix: bytes, most: int) -> list[tuple[bytes, bytes]]:
        """The first rows whose keys have a prefix, at most `most`."""
        found: list[tuple[bytes, bytes]] = []
        cursor = self.txn.cursor()
        goes_on = cursor.set_range(prefix)
        while goes_on and len(found) < most and cursor.key().startswith(prefix):
            found.append(cursor.item())
            goes_on = cursor.next()
        cursor.close()
        return found

    def drop_journal(self, key: bytes) -> None:
        """Delete all members of the journal whose head is under a key."""
        for prefix in (MEMBERS + short(key), PLACES + short(key)):
            cursor = self.txn.cursor()
            goes_on = cursor.set_range(prefix)
            while goes_on and cursor.key().startswith(prefix):
                if prefix[:1] == MEMBERS:
                    self.journal_bytes -= bytes_of_member(cursor.key()[len(prefix) :])
                goes_on = cursor.delete()
            cursor.close()

    def note_uses(self, keys: Iterable[bytes]) -> None:
        """Add one use to each of these keys."""
        for key in keys:
            meta = self._meta(key)
            if meta is not None and meta.uses < MAX_USES:
                self._put_meta(key, meta._replace(uses=meta.uses + 1))

    def free_ended(self, most: int = FREED_AT_ONCE) -> int:
        """Delete values that have expired, at most `most`; return how many."""
        before = ENDS + _ENDING.pack(int(self.now * 1e6) + 1, 0)
        ended: list[bytes] = []
        cursor = self.txn.cursor()
        goes_on = cursor.set_range(ENDS)
        while goes_on and len(ended) < most and cursor.key() < before:
            ended.append(cursor.value())
            goes_on = cursor.next()
        cursor.close()
        for key in ended:
            self._known(key)
            self.delete(key)
        return len(ended)

    def shrink(self, most_bytes: int, steps: float = math.inf) -> None:
        """Free values until all together take at most `most_bytes`, or so many steps were made.

        First the expired ones are freed, then the queues are evicted from.
        """
        while steps > 0 and self.taken() > most_bytes and (self.free_ended() or self._evict()):
            steps -= 1

    def taken(self) -> int:
        """How many bytes the entries take: all pages in use, without the journals, which have room of their own."""
        found = self.txn.stat()
        pages = found['branch_pages'] + found['leaf_pages'] + found['overflow_pages']
        return int(found['psize'] * pages) - self.journal_bytes

    def _evict(self) -> bool:
        """Evict one value; return whether there was one."""
        while self.small or self.large:
            is_small = self.small * 10 >= self.small + self.large
            found = self.rows(SMALL if is_small else LARGE, 1)
            if not found:
                msg = 'a queue has fewer keys than were counted'
                raise DamageError(msg)
            ((_, key),) = found
            meta = self._known(key)
            if not meta.uses:
                self.evicted += 1
                self.evicted_bytes += len(key) + len(self.txn.get(VALUE + key, b''))
                self.delete(key)
                return True
            self._requeue(key, meta)
        return False

    def _requeue(self, key: bytes, meta: _Meta) -> None:
        """Move a key to the end of the large queue, with one use less."""
        self._remove_ending(meta)
        self._dequeue(meta)
        moved = _Meta(meta.ends_at, self._new_place(), LARGE, meta.uses - 1 if meta.queue == LARGE else 0)
        self._enqueue(key, moved)
        self._put_meta(key, moved)

    def _enqueue(self, key: bytes, meta: _Meta) -> None:
        self.txn.put(meta.queue + _PLACE.pack(meta.place), key)
        self._count(meta, 1)

    def _dequeue(self, meta: _Meta) -> None:
        if meta.queue != PINNED:
            self.txn.delete(meta.queue + _PLACE.pack(meta.place))
            self._count(meta, -1)

    def _count(self, meta: _Meta, more: int) -> None:
        if meta.queue == SMALL:
            self.small += more
        else:
            self.large += more

    def _new_place(self) -> int:
        """A place behind all others."""
        self.last_place += 1
        return self.last_place

    def _meta(self, key: bytes) -> _Meta | None:
        found = self.txn.get(META + key)
        return None if found is None else _Meta._make(_META.unpack(found))

    def _known(self, key: bytes) -> _Meta:
        """What is known of a key that is in a queue, or expires: all of that is written in one transaction."""
        found = self._meta(key)
        if found is None:
            msg = f'nothing is known of {key!r}'
            raise DamageError(msg)
        return found

    def _put_meta(self, key: bytes, meta: _Meta) -> None:
        self.txn.put(META + key, _META.pack(*meta))
        if meta.ends_at < math.inf:
            self.txn.put(_ending(meta), key)

    def _remove_ending(self, meta: _Meta) -> None:
        if meta.ends_at < math.inf:
            self.txn.delete(_ending(meta))


def _ending(meta: _Meta) -> bytes:
    return ENDS + _ENDING.pack(int(meta.ends_at * 1e6), meta.place)
