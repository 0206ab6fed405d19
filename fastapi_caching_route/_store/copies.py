"""Copies of entries in this process, in front of a backend that other processes share.

A copy is as good as the entry itself: the ledger tells whether it is alive, by what is read beside it. Knows nothing of
how that is read.

1. A copy is used only while it is fresh by its own lifetime.
2. What the ledger says must come from a read that began after the request did (`RemoteVisit`), or not longer ago than
   `trust` seconds (`LookUpNear`).
3. An invalidation by this process counts at once, so such a read must have begun after it had returned (`latest`).
4. What this process stores or deletes replaces the copy, even if nothing of it is kept here. What another request has
   read before that is not kept any more (`keep_read`).
5. If nothing is found where the ledger looks, no copy is used: the backend has lost it, or is switched off.
"""

import math
import time
from collections.abc import Callable, Sequence

from fastapi_caching_route._concurrency.observers import AllObservers
from fastapi_caching_route._concurrency.pauses import RecentNumbers
from fastapi_caching_route._core.entry import Entry
from fastapi_caching_route._store.latest import latest
from fastapi_caching_route._store.ledgers import Ledger
from fastapi_caching_route._store.parts import Parts
from fastapi_caching_route._store.visit import LATER, Found, Later, StoredObject
from fastapi_caching_route.memory import MemoryCache, MemoryStats


class Copies:
    """The copies of one store. Threads may share them."""

    __slots__ = ('_changed', '_clock', '_table', '_trust', 'beside', 'changes', 'get', 'observers', 'read_at')

    def __init__(self, max_bytes: int, trust: float, clock: Callable[[], float]) -> None:
        """Keep copies of so many bytes. The clock is that of the entries."""
        self._table = MemoryCache(max_bytes=max_bytes)
        self._table.told_as = 'near'
        self.observers: AllObservers = self._table.observers
        self._clock = clock
        self._trust = trust
        self.get: Callable[[str], Entry | None] = self._table.read
        """The copy under a full key, if it is still fresh."""
        self.beside: Sequence[object] = ()
        """What was read last for the ledger."""
        self.read_at = -math.inf
        """When that read began, in seconds of the monotonic clock."""
        self._changed = RecentNumbers()
        self.changes = 0
        """How many times this process has stored or dropped something."""

    def stats(self) -> MemoryStats:
        """What is kept."""
        return self._table.stats()

    def keep(self, stored: StoredObject) -> None:
        """Replace the copy by what this process has stored, or by nothing if that must be looked up each time."""
        self.drop(stored.key)
        if isinstance(stored, Entry):
            self._write(stored)

    def keep_read(self, entry: Entry, since: int) -> None:
        """Keep a copy of an entry that was read, unless it was replaced or dropped since `changes` was `since`."""
        if self._changed.at_most(entry.key) <= since:  # not either if so much has changed that nobody knows
            self._write(entry)

    def _write(self, entry: Entry) -> None:
        left = entry.stored_at + entry.lifetime - self._clock()
        if left > 0 and not entry.must_validate:
            self._table.write(entry.key, entry, left, entry.size)

    def drop(self, key: str) -> None:
        """Drop the copy under a full key."""
        self.changes += 1
        self._changed.note(key, self.changes)
        self._table.remove(key)

    def note_read(self, began_at: float, beside: Sequence[object]) -> None:
        """Note what was read for the ledger, by a read that began at this time."""
        if began_at > self.read_at:
            self.beside, self.read_at = beside, began_at

    def are_trusted(self) -> bool:
        """Whether the last read is recent enough to be trusted."""
        return self.read_at > latest.at and time.monotonic() - self.read_at <= self._trust


class LookUpNear:
    """Looks up copies that may be used without reading anything."""

    __slots__ = ('_copies', '_ledger', '_parts')

    def __init__(self, copies: Copies, ledger: Ledger, parts: Parts) -> None:
        """Trust copies as long as they allow."""
        self._copies = copies
        self._ledger = ledger
        self._parts = parts

    def look_up(self, key: str) -> Found | Later:
        """A copy that is fresh and alive, or LATER."""
        copies, parts = self._copies, self._parts
        entry = copies.get(key)
        if entry is None or not copies.are_trusted() or None in copies.beside or parts.debts.pending:
            return LATER
        if parts.withdrawals.count and parts.withdrawals.includes(key, entry.stored_at):
            return LATER
        stale_at = self._ledger.stale_at_once(entry, copies.beside)
        return Found(entry, math.inf) if stale_at == math.inf else LATER
