"""Near copies of one process in the simulation: the real ones, and the real visits, over a shelf some turns away.

Each process has its own time of the latest invalidation, and all of them have the time of the simulation.
"""

import functools
from types import SimpleNamespace

from fastapi_caching_route._store.latest import LatestInvalidation
from fastapi_caching_route._store.visit import LATER
from tests.left_out import copies_code, run_again, visit_module

code_of_copies, visits = functools.cache(copies_code), functools.cache(visit_module)
MAX_BYTES, BUDGET = 10**6, 10.0**9


class NearProcess:
    """What a process has in front of a shelf."""

    def __init__(self, shelf, ledger, *, trust, monotonic, step):
        time = SimpleNamespace(monotonic=monotonic)
        of_copies, self._visits = run_again(code_of_copies(step)), visits(step)
        self._latest = LatestInvalidation()
        of_copies.latest, of_copies.time, self._visits.time = self._latest, time, time
        self._monotonic = monotonic
        copies = of_copies.Copies(MAX_BYTES, trust, monotonic)
        debts = SimpleNamespace(pending=False, include=lambda *_: False)
        self._parts = self._visits.Parts(Shelved(shelf), ledger, debts, BUDGET, copies)
        self._look_up = of_copies.LookUpNear(copies, ledger, self._parts).look_up if trust else lambda _: LATER

    async def found(self, key):
        """What a request finds under a key."""
        found = self._look_up(key)
        return await self._visits.RemoteVisit(self._parts).look_up(key) if found is LATER else found

    async def put(self, entry, span):
        """Store an entry."""
        await self._visits.RemoteVisit(self._parts).put(entry, span)

    def note_invalidation(self):
        """Something was invalidated by this process, which is about to return."""
        self._latest.at = self._monotonic()


class Shelved:
    """A shelf with the methods of a `LinkedBackend` that a visit uses. It is never late."""

    def __init__(self, shelf):
        self._shelf = shelf
        self.late = float

    def reading(self, keys):
        return _Reading(self._shelf, keys)

    async def set(self, key, value, span, _):
        return await self._shelf.set(key, value, span)

    async def add(self, key, value, span, _):
        return await self._shelf.add(key, value, span)

    async def prolong(self, key, span, _):
        return await self._shelf.prolong(key, span)

    async def since(self, journal, known, _):
        return await self._shelf.since(journal, known)


class _Reading:
    late = 0.0

    def __init__(self, shelf, keys):
        self._shelf, self._keys = shelf, keys

    async def found_within(self, _):
        return dict(zip(self._keys, await self._shelf.get(self._keys), strict=True))
