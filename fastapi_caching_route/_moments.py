"""Invalidation inside of one process, where nothing is lost and everything has an order: see `_marks` for the rules.

Each invalidation is one moment later than the one before. An entry keeps the moment at which the endpoint began, and is
alive while none of its names has been invalidated since. So nothing is kept for names that are never invalidated.
"""

import math
from collections.abc import Iterable, Sequence
from threading import Lock
from typing import Any

from fastapi_caching_route._entry import Entry

MOST_NAMES = 100_000
"""Names of which the last invalidation is remembered, some hundred bytes each. What is older than the one that is
forgotten for a new one is not used any more."""


class Moments:
    """When names were invalidated last, for all caches over one backend in this process."""

    __slots__ = ('_floor', '_hard', '_lock', '_now', '_soft', 'beside')

    def __init__(self) -> None:
        """Nothing has been invalidated yet."""
        self.beside: tuple[str, ...] = ()
        self._now = 0
        self._floor = 0
        self._hard: dict[str, int] = {}
        self._soft: dict[str, tuple[int, float]] = {}
        self._lock = Lock()  # two threads may have an event loop each

    async def begin(self, names: Sequence[str], *, windowed: bool) -> int:  # noqa: ARG002, as `Marks` does it
        """The moment from which on invalidations count for an answer, before the endpoint reads anything."""
        return self._now

    async def land(self, begun: int, names: Sequence[str], *, windowed: bool) -> int | None:  # noqa: ARG002, as `Marks` does it
        """The moment for an answer with these names; None if one of them was invalidated while it was computed."""
        return begun if self._last(self._hard, names) <= begun else None

    async def stale_at(self, entry: Entry, beside: Sequence[Any]) -> float | None:  # noqa: ARG002, as `Marks` does it
        """When a soft invalidation made the entry stale, in seconds since the epoch; infinity if none did.

        None if one of its names was invalidated, so that the entry must not be used.
        """
        since = entry.marks
        if since == self._now:
            return math.inf
        if not isinstance(since, int) or self._last(self._hard, entry.names) > since:
            return None
        soft = [self._soft[name] for name in entry.names if name in self._soft]
        return min((at for moment, at in soft if moment > since), default=math.inf)

    async def invalidate(self, names: Iterable[str], soft_at: float | None) -> None:
        """Make sure that nothing that began before is used again under these names.

        With `soft_at`, seconds since the epoch, entries that may be served stale are stale from then on.
        """
        with self._lock:
            moment = self._now + 1
            for name in names:
                if soft_at is None:
                    self._hard.pop(name, None)  # to the end, as the newest
                    self._hard[name] = moment
                else:
                    self._soft.pop(name, None)
                    self._soft[name] = (moment, soft_at)
            while len(self._hard) > MOST_NAMES:
                self._floor = max(self._floor, self._hard.pop(next(iter(self._hard))))
            while len(self._soft) > MOST_NAMES:
                self._floor = max(self._floor, self._soft.pop(next(iter(self._soft)))[0])
            self._now = moment  # last: who reads it before has begun before

    def _last(self, moments: dict[str, int], names: Sequence[str]) -> int:
        return max((self._floor, *(moments.get(name, 0) for name in names)))
