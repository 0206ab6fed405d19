"""Look-ups that wait for nothing, in a store of this machine. What they cannot tell is looked up later, by a visit.

Knows a ledger that follows a journal, and a driver that reads at once; knows no commands.
"""

import logging
from collections.abc import Callable
from typing import Protocol

from fastapi_caching_route._backends.journal import JournalHead, Tail
from fastapi_caching_route._core.entry import Entry
from fastapi_caching_route._core.variants import Variants
from fastapi_caching_route._store.ledger import JournalLedger
from fastapi_caching_route._store.parts import Parts
from fastapi_caching_route._store.visit import LATER, Found, Later

logger = logging.getLogger('fastapi_caching_route')


class ReadsAtOnce(Protocol):
    """A driver whose reads wait for nobody."""

    def reading_beside(self, key: str) -> Callable[[str], tuple[object, object]]:
        """A function that returns the objects under a given key and under this one, or None; both of one moment."""
        ...

    def journal_at_once(self, key: str, known: JournalHead | None) -> Tail | None:
        """What a journal has behind a head; None if a new epoch has to begin first."""
        ...


class LookUpAtOnce:
    """Looks up entries of a store without waiting."""

    __slots__ = ('_journal_at_once', '_ledger', '_parts', '_read')

    def __init__(self, driver: ReadsAtOnce, ledger: JournalLedger, parts: Parts) -> None:
        """Read through this driver, and follow the journal with this ledger."""
        self._read = driver.reading_beside(ledger.beside[0])
        self._journal_at_once = driver.journal_at_once
        self._ledger = ledger
        self._parts = parts

    def look_up(self, key: str) -> Found | Variants | Later | None:
        """What `Visit.look_up` returns, or LATER: an invalidation is pending, a new epoch begins, or reading fails."""
        parts, ledger = self._parts, self._ledger
        if parts.debts.pending:
            return LATER
        try:
            found, text = self._read(key)
            seen = ledger.known
            if seen is None or seen.text != text:
                seen = ledger.see_at_once(self._journal_at_once)
        except Exception as error:  # noqa: BLE001, whatever lmdb raises: the visit that follows counts it
            logger.debug('the cache backend failed at once: %r', error)
            return LATER
        if seen is None:
            return LATER
        if not isinstance(found, Entry):
            return found if isinstance(found, Variants) and found.key == key else None
        withdrawals = parts.withdrawals
        if found.key != key or (withdrawals.count and withdrawals.includes(key, found.stored_at)):
            return None
        stale_at = ledger.stale_since(found, seen)
        return None if stale_at is None else Found(found, stale_at)
