"""Journals in an LMDB store, see `journal` for the rules. Knows texts and places, not what they stand for.

The head is stored under the key of the journal, like any other value, so look-ups read it beside an entry. Texts are
kept twice, by name and by place. What does not begin a new epoch is read without waiting for anybody.
"""

import struct
from collections.abc import Sequence
from typing import Any

from fastapi_caching_route._backends.journal import (
    KEPT_SECONDS,
    MAX_READ,
    MAX_TEXTS,
    MAX_TOKENS,
    JournalHead,
    Tail,
    head_of,
    new_token,
)
from fastapi_caching_route._backends.lmdb_table import (
    MEMBERS,
    PLACES,
    DamageError,
    Table,
    bytes_of_member,
    short,
    stored_key,
)

JOURNAL_BYTES = 32 * 1024 * 1024
"""How much all journals may take: a part of the headroom of the map."""

_PLACE = struct.Struct('>Q')


class LMDBJournal:
    """One journal, as a transaction sees it."""

    __slots__ = ('_codec', '_key', '_members', '_places', '_table')

    def __init__(self, table: Table, key: str, codec: Any) -> None:
        """Use the journal whose head is under a key. The codec makes bytes of its text, and back."""
        self._table = table
        self._key = stored_key(key)
        self._codec = codec
        self._members = MEMBERS + short(self._key)
        self._places = PLACES + short(self._key)

    def since(self, known: JournalHead | None) -> Tail | None:
        """What the journal has behind a head; None if a new epoch has to begin first."""
        head = self.head()
        if head is None or (known is not None and self._is_lost(head, known)):
            return None
        return self._tail(head, known)

    def write(self, known: JournalHead | None, texts: Sequence[str], note: str) -> Tail:
        """The command of `Journals`, as a part of a transaction that writes."""
        head = self.head()
        if head is None or (known is not None and self._is_lost(head, known)):
            head = self._new_epoch()
        if texts:
            head = self._append(head, texts, note)
        self._store(head)
        if texts and known is None:
            return Tail(head, ())
        return self._tail(head, known)

    def _append(self, head: JournalHead, texts: Sequence[str], note: str) -> JournalHead:
        token, place = new_token(note), head.place + 1
        self._put(f'%{token}', place)
        size = self._size() + sum([self._put(it, place) for it in dict.fromkeys(texts)])
        self._drop_token(place - MAX_TOKENS)
        most = MAX_TEXTS if self._table.journal_bytes <= JOURNAL_BYTES else size // 2
        floor, size = self._cut(size - most, size, head.floor)
        self._set_size(size)
        return JournalHead(head.epoch, place, token, floor)

    def head(self) -> JournalHead | None:
        """The head, if it is there and its token is where it says."""
        raw = self._table.get(self._key)
        head = None if raw is None else head_of(self._codec.loads(raw))
        return head if head is not None and self._place_of(f'%{head.token}') == head.place else None

    def _new_epoch(self) -> JournalHead:
        self._table.drop_journal(self._key)
        token = new_token()
        self._put(f'%{token}', 0)
        self._set_size(0)
        return JournalHead(token, 0, token, 0)

    def _store(self, head: JournalHead) -> None:
        stored = self._codec.dumps(str(head))
        self._table.put(self._key, stored.encode() if isinstance(stored, str) else stored, KEPT_SECONDS, pinned=True)

    def _is_lost(self, head: JournalHead, known: JournalHead) -> bool:
        """Whether the journal does not have the part behind a known head any more, or never had it."""
        if known.epoch != head.epoch:
            return False
        return known.place > head.place or (
            known.place >= max(head.floor, head.place - MAX_TOKENS + 1)
            and self._place_of(f'%{known.token}') != known.place
        )

    def _place_of(self, member: str) -> int | None:
        found = self._table.txn.get(self._members + stored_key(member))
        return None if found is None else int(_PLACE.unpack(found)[0])

    def _size(self) -> int:
        found = self._table.txn.get(self._members)
        return 0 if found is None else int(_PLACE.unpack(found)[0])

    def _set_size(self, size: int) -> None:
        self._table.txn.put(self._members, _PLACE.pack(size))

    def _put(self, member: str, at: int) -> int:
        """Put a member at a place; return how many members there are more than before."""
        txn, name = self._table.txn, stored_key(member)
        old = self._place_of(member)
        if old is not None:
            txn.delete(self._places + _PLACE.pack(old) + name)
        else:
            self._table.journal_bytes += bytes_of_member(name)
        txn.put(self._members + name, _PLACE.pack(at))
        txn.put(self._places + _PLACE.pack(at) + name, member.encode())
        return int(old is None)

    def _drop_token(self, place: int) -> None:
        """Delete the token of a place, if it is there."""
        start = self._places + _PLACE.pack(max(place, 0)) + b'%'
        cursor = self._table.txn.cursor()
        if place >= 0 and cursor.set_range(start) and cursor.key().startswith(start):
            name = self._read(cursor.key())[1]
            self._table.txn.delete(self._members + name)
            self._table.journal_bytes -= bytes_of_member(name)
            cursor.delete()
        cursor.close()

    def _cut(self, surplus: int, size: int, floor: int) -> tuple[int, int]:
        """Drop the oldest members, and all others at their places; return the new floor and size."""
        if surplus <= 0:
            return floor, size
        cursor = self._table.txn.cursor()
        goes_on = cursor.set_range(self._places)
        while goes_on and cursor.key().startswith(self._places):
            place, name = self._read(cursor.key())
            if surplus <= 0 and place > floor:
                break
            floor = place
            self._table.txn.delete(self._members + name)
            self._table.journal_bytes -= bytes_of_member(name)
            if not name.startswith(b'%'):
                surplus, size = surplus - 1, size - 1
            goes_on = cursor.delete()
        cursor.close()
        return floor, size

    def _tail(self, head: JournalHead, known: JournalHead | None) -> Tail:
        return Tail(head, self._behind(known.place if known is not None and known.epoch == head.epoch else -1))

    def _behind(self, place_known: int) -> list[tuple[str, int]]:
        cursor = self._table.txn.cursor()
        found: list[tuple[str, int]] = []
        goes_on = cursor.set_range(self._places + _PLACE.pack(place_known + 1))
        while goes_on and cursor.key().startswith(self._places):
            place, _ = self._read(cursor.key())
            if len(found) >= MAX_READ and place != found[-1][1]:
                break
            found.append((_text(cursor.value()), place))
            goes_on = cursor.next()
        cursor.close()
        return sorted(found, key=lambda it: (it[1], it[0]))

    def _read(self, row: bytes) -> tuple[int, bytes]:
        """The place and the name of a member, from the key of its row."""
        start = len(self._places)
        return int(_PLACE.unpack_from(row, start)[0]), row[start + _PLACE.size :]


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        msg = f'a journal has a text that is none: {error}'
        raise DamageError(msg) from error
