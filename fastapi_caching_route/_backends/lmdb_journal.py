"""A journal in an LMDB store: an ordered list of texts, each of which is kept once, at the place of its last mention.

Its *head*, a short text that look-ups read beside an entry, is stored under the key of the journal:

    epoch at token floor

`epoch` changes when the journal was lost: places of other epochs mean nothing. `at` is the place of the last append,
and `token` its token, perhaps with a note behind `@`. What stood at `floor` or before it may have been dropped.

Its members are the texts, and for each append `%` and its token: so a journal that was rolled back, or that lost its
members or its head, is recognized, and begins a new epoch. Knows texts and places, not what they stand for.
"""

import struct
from collections.abc import Sequence
from secrets import token_hex
from typing import Any, NamedTuple

from fastapi_caching_route._backends.lmdb_table import MEMBERS, PLACES, Table, bytes_of_member, short, stored_key

MAX_MEMBERS = 100_000
"""How many members a journal has. The oldest are dropped."""

LIMIT = 10_000
"""How many members `since` returns about. All of one place are returned together."""

UNUSED = 30 * 86400
"""After how many seconds without an append a journal is dropped. It then begins a new epoch."""

JOURNAL_BYTES = 32 * 1024 * 1024
"""How much all journals may take: a part of the headroom of the map."""

_PLACE = struct.Struct('>Q')


class JournalHead(NamedTuple):
    """The head of a journal."""

    epoch: str
    at: int
    token: str
    floor: int

    def __str__(self) -> str:
        """The head as it is stored."""
        return f'{self.epoch} {self.at} {self.token} {self.floor}'


def head_of(text: object) -> JournalHead | None:
    """The head that a text says, or None."""
    match text.split(' ') if isinstance(text, str) else ():
        case [epoch, at, token, floor] if at.isdecimal() and floor.isdecimal() and epoch and token:
            return JournalHead(epoch, int(at), token, int(floor))
        case _:
            return None


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

    def append(self, texts: Sequence[str], note: str) -> str:
        """Put texts, and a new token with a note, at a new place; return the head."""
        head = self.head() or self._new_epoch()
        token = f'{token_hex(8)}@{note}' if note else token_hex(8)
        at = head.at + 1
        size = self._size() + sum([self._put(it, at) for it in dict.fromkeys((f'%{token}', *texts))])
        most = MAX_MEMBERS if self._table.journal_bytes <= JOURNAL_BYTES else size // 2
        floor, size = self._cut(size - most, size, head.floor)
        self._set_size(size)
        return self._store(JournalHead(head.epoch, at, token, floor))

    def since(self, known: str) -> tuple[str, list[tuple[str, int]]] | None:
        """The head, and the members that were put after the known head; None if a new epoch has to begin first."""
        head, before = self.head(), head_of(known)
        if head is None or (before is not None and self._is_rolled_back(head, before)):
            return None
        return str(head), self._after(before.at if before is not None and before.epoch == head.epoch else -1)

    def since_anew(self, known: str) -> tuple[str, list[tuple[str, int]]]:
        """The same, but it begins a new epoch if it has to."""
        found = self.since(known)
        if found is None:
            head = self._store(self._new_epoch())
            found = head, self._after(-1)
        return found

    def head(self) -> JournalHead | None:
        """The head, if it is there and its token is where it says."""
        raw = self._table.get(self._key)
        head = None if raw is None else head_of(self._codec.loads(raw))
        return head if head is not None and self._place_of(f'%{head.token}') == head.at else None

    def _new_epoch(self) -> JournalHead:
        self._table.drop_journal(self._key)
        token = token_hex(8)
        self._put(f'%{token}', 0)
        self._set_size(1)
        return JournalHead(token_hex(8), 0, token, 0)

    def _store(self, head: JournalHead) -> str:
        stored = self._codec.dumps(str(head))
        self._table.put(self._key, stored.encode() if isinstance(stored, str) else stored, UNUSED, pinned=True)
        return str(head)

    def _is_rolled_back(self, head: JournalHead, known: JournalHead) -> bool:
        if known.epoch != head.epoch:
            return False
        return known.at > head.at or (known.at >= head.floor and self._place_of(f'%{known.token}') != known.at)

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
            surplus, size = surplus - 1, size - 1
            goes_on = cursor.delete()
        cursor.close()
        return floor, size

    def _after(self, at: int) -> list[tuple[str, int]]:
        cursor = self._table.txn.cursor()
        found: list[tuple[str, int]] = []
        goes_on = cursor.set_range(self._places + _PLACE.pack(at + 1))
        while goes_on and cursor.key().startswith(self._places):
            place, _ = self._read(cursor.key())
            if len(found) >= LIMIT and place != found[-1][1]:
                break
            found.append((cursor.value().decode(), place))
            goes_on = cursor.next()
        cursor.close()
        return sorted(found, key=lambda it: (it[1], it[0]))

    def _read(self, row: bytes) -> tuple[int, bytes]:
        """The place and the name of a member, from the key of its row."""
        start = len(self._places)
        return int(_PLACE.unpack_from(row, start)[0]), row[start + _PLACE.size :]
