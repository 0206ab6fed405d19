"""Copies of entries in this process, in front of a backend that other processes share.

A copy is as good as the entry itself: the ledger tells whether it is alive, by what is read beside it. Knows nothing of
how that is read.

1. A copy is used only while it is fresh by its own lifetime.
2. What the ledger says must come from a read that began after the request did (`RemoteVisit`), or not longer ago than
   `trust` seconds (`LookUpNear`).
3. An invalidation by this process counts at once, so such a read must have begun after it had returned (`note_own`).
"""

import math
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from fastapi_caching_route._core.entry import Entry
from fastapi_caching_route._store.remote_visit import Parts
from fastapi_caching_route._store.visit import LATER, Found, Later
from fastapi_caching_route.memory import MemoryCache


class Copies:
    """The copies of one store. Threads may share them."""

    __slots__ = ('_clock', '_own_at', '_table', '_trust', 'beside', 'get', 'read_at')

    def __init__(self, max_bytes: int, trust: float, clock: Callable[[], float]) -> None:
        """Keep copies of so many bytes. The clock is that of the entries."""
        self._table = MemoryCache(max_bytes=max_bytes)
        self._clock = clock
        self._trust = trust
        self.get: Callable[[str], Entry | None] = self._table.read
        """The copy under a full key, if it is still fresh."""
        self.beside: Sequence[object] = ()
        """What was read last for the ledger."""
        self.read_at = self._own_at = -math.inf
        """When that read began, in seconds of the monotonic clock."""

    def keep(self, stored: object) -> None:
        """Keep a copy of an entry that is alive now, as long as it is fresh."""
        if isinstance(stored, Entry) and not stored.must_validate:
            left = stored.stored_at + stored.lifetime - self._clock()
            if left > 0:
                self._table.write(stored.key, stored, left, stored.size)

    def drop(self, key: str) -> None:
        """Drop the copy under a full key."""
        self._table.remove(key)

    def note_read(self, began_at: float, beside: Sequence[object]) -> None:
        """Note what was read for the ledger, by a read that began at this time."""
        if began_at > self.read_at:
            self.beside, self.read_at = beside, began_at

    def note_own(self) -> None:
        """Note that this process has invalidated something, and that this is about to return."""
        self._own_at = time.monotonic()

    def are_trusted(self) -> bool:
        """Whether the last read is recent enough to be trusted."""
        return self.read_at > self._own_at and time.monotonic() - self.read_at <= self._trust


class TellsAtOnce(Protocol):
    """A ledger that can tell of entries by what was read before."""

    def stale_at_once(self, entry: Entry, beside: Sequence[object]) -> float | Later | None:
        """What `Ledger.stale_at` returns, by what was found under the keys `beside`; LATER if more has to be read."""
        ...


class LookUpNear:
    """Looks up copies that may be used without reading anything."""

    __slots__ = ('_copies', '_ledger', '_parts')

    def __init__(self, copies: Copies, ledger: TellsAtOnce, parts: Parts) -> None:
        """Trust copies as long as they allow."""
        self._copies = copies
        self._ledger = ledger
        self._parts = parts

    def look_up(self, key: str) -> Found | Later:
        """A copy that is fresh and alive, or LATER."""
        copies, parts = self._copies, self._parts
        entry = copies.get(key)
        if entry is None or not copies.are_trusted() or parts.debts:
            return LATER
        if parts.withdrawals.includes(key, entry.stored_at):
            return LATER
        stale_at = self._ledger.stale_at_once(entry, copies.beside)
        return Found(entry, math.inf) if stale_at == math.inf else LATER
