"""Invalidation inside of one process, where nothing is lost and everything has an order: see `_marks` for the rules.

Each invalidation is one moment later than the one before. An entry keeps the moment at which the endpoint began, and is
alive while none of its names has been invalidated since. So nothing is kept for names that are never invalidated.
"""

import math
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from threading import Lock
from weakref import WeakKeyDictionary

from fastapi_caching_route._core.entry import Entry

MAX_NAMES = 100_000
"""Names of which the last invalidation is remembered, some hundred bytes each. What is older than the one that is
forgotten for a new one is not used any more."""


class Moments:
    """When names were invalidated last, for all caches over one backend in this process.

    Two threads may have an event loop each. Writers take turns; readers do not wait for them, so nothing that a reader
    needs is ever taken away before what takes its place is there.
    """

    __slots__ = ('_floor', '_hard', '_lock', '_soft', 'now')

    def __init__(self) -> None:
        """Nothing has been invalidated yet."""
        self.now: int = 0
        """The moment from which on invalidations count for an answer, before the endpoint reads anything."""
        self._floor = 0
        self._hard: OrderedDict[str, int] = OrderedDict()
        self._soft: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._lock = Lock()

    def are_unchanged(self, names: Sequence[str], begun: int) -> bool:
        """Whether none of these names was invalidated since that moment."""
        if begun == self.now:
            return True
        softened = max((self._soft.get(name, (0, 0.0))[0] for name in names), default=0)
        return max(softened, self._last(names)) <= begun

    def stale_since(self, entry: Entry) -> float | None:
        """When a soft invalidation made the entry stale, in seconds since the epoch; infinity if none did.

        None if one of its names was invalidated, so that the entry must not be used.
        """
        since = entry.marks
        if since == self.now:
            return math.inf
        if not isinstance(since, int):
            return None
        softened = map(self._soft.get, entry.names)
        stale_at = min((it[1] for it in softened if it is not None and it[0] > since), default=math.inf)
        return stale_at if self._last(entry.names) <= since else None  # the floor last: it rises before a name is lost

    def note(self, names: Iterable[str], soft_at: float | None = None) -> None:
        """Make sure that nothing that began before is used again under these names; from any thread.

        With `soft_at`, seconds since the epoch, entries that may be served stale are stale from then on.
        """
        with self._lock:
            moment = self.now + 1
            for name in names:
                if soft_at is None:
                    self._hard[name] = moment
                    self._hard.move_to_end(name)
                else:
                    self._soft[name] = (moment, soft_at)
                    self._soft.move_to_end(name)
            while len(self._hard) > MAX_NAMES:
                oldest = next(iter(self._hard))
                self._floor = max(self._floor, self._hard[oldest])
                del self._hard[oldest]
            while len(self._soft) > MAX_NAMES:
                oldest = next(iter(self._soft))
                self._floor = max(self._floor, self._soft[oldest][0])
                del self._soft[oldest]
            self.now = moment  # last: who reads it before has begun before

    def _last(self, names: Sequence[str]) -> int:
        """The moment of the last hard invalidation of one of the names, as far as that is remembered."""
        return max((*(self._hard.get(name, 0) for name in names), self._floor))


class MomentsLedger:
    """The same as a `Ledger` tells it, for a backend of this process that is asked like one that is elsewhere."""

    __slots__ = ('_moments', 'beside')

    def __init__(self, moments: Moments) -> None:
        """Use the moments of a backend."""
        self._moments = moments
        self.beside: tuple[str, ...] = ()

    async def marks_before(self, store: object, names: Sequence[str], *, windowed: bool) -> int:  # noqa: ARG002, see `Ledger`
        """See `Ledger`."""
        return self._moments.now

    async def marks_after(self, store: object, early: object, names: Sequence[str], *, windowed: bool) -> int | None:  # noqa: ARG002, see `Ledger`
        """See `Ledger`."""
        return early if isinstance(early, int) and self._moments.are_unchanged(names, early) else None

    async def stale_at(self, store: object, entry: Entry, beside: Sequence[object]) -> float | None:  # noqa: ARG002, see `Ledger`
        """See `Ledger`."""
        return self._moments.stale_since(entry)

    async def invalidate(self, store: object, names: Sequence[str], soft_at: float | None) -> None:  # noqa: ARG002, see `Ledger`
        """See `Ledger`."""
        self._moments.note(names, soft_at)

    def invalidate_here(self, names: Sequence[str]) -> bool:
        """See `Ledger`."""
        self._moments.note(names)
        return True


_all: WeakKeyDictionary[object, Moments] = WeakKeyDictionary()


def moments_of(backend: object) -> Moments:
    """The moments of a backend in this process; several caches may use it."""
    return _all.setdefault(backend, Moments())
