"""Invalidation inside of one process, where nothing is lost and everything has an order. For all else, see `marks`.

The rules:

1. A *moment* is a number. Each invalidation takes the next one, and `now` is the last one taken.
2. An entry keeps the moment at which its endpoint began to run.
3. An entry is alive while none of its names was invalidated at a later moment. That of its key is one of them.
4. So the log holds only names that were invalidated, each with its last moment. When it is full, the oldest is dropped,
   and its moment becomes the *floor*: entries from before the floor are not used any more.
5. Readers do not lock, so a writer publishes the new state before it removes the old: the floor rises before a name is
   dropped, and `now` is written last.
"""

import math
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from threading import Lock
from weakref import WeakKeyDictionary

from fastapi_caching_route._core.entry import Entry
from fastapi_caching_route._core.key_names import is_of_key, key_name

MAX_NAMES = 200_000
"""How many names are kept of each kind, at some hundred bytes each: see rule 4."""


class Moments:
    """When names were invalidated last, for all caches over one backend in this process. Threads may share it."""

    __slots__ = ('_floor', '_hard', '_keyed', '_lock', '_soft', 'now')

    def __init__(self) -> None:
        """Nothing has been invalidated."""
        self.now: int = 0
        """The last moment. A response that begins now is outdated by invalidations at later moments."""
        self._floor = 0
        self._keyed = 0
        """The last moment at which the name of a key was invalidated: entries need not list that of their own."""
        self._hard: OrderedDict[str, int] = OrderedDict()
        self._soft: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._lock = Lock()

    def are_unchanged(self, names: Sequence[str], key: str, begun: int) -> bool:
        """Whether none of these names, nor the full key, was invalidated after that moment."""
        if begun == self.now:
            return True
        names = self._all(names, key, begun)
        softened = max((self._soft.get(name, (0, 0.0))[0] for name in names), default=0)
        return max(softened, self._last(names)) <= begun

    def stale_since(self, entry: Entry, since: object) -> float | None:
        """When a soft invalidation made the entry stale, in seconds since the epoch; infinity if none did.

        None if one of its names was invalidated after the moment `since`, so the entry must not be used.
        """
        if since == self.now:
            return math.inf
        if not isinstance(since, int):
            return None
        names = self._all(entry.names, entry.key, since)
        softened = map(self._soft.get, names)
        stale_at = min((it[1] for it in softened if it is not None and it[0] > since), default=math.inf)
        return stale_at if self._last(names) <= since else None  # the floor last, see rule 5

    def _all(self, names: Sequence[str], key: str, since: int) -> Sequence[str]:
        """The names of an entry, with that of its key if it matters."""
        return names if self._keyed <= since else (*names, key_name(key))

    def note(self, names: Iterable[str], soft_at: float | None = None) -> None:
        """Invalidate names, in any thread: no response that began before may be used afterwards.

        With `soft_at`, in seconds since the epoch, entries that may be served stale become stale at that time instead.
        """
        with self._lock:
            moment = self.now + 1
            for name in names:
                self._keep(name, moment, soft_at)
            self.now = moment  # last: a reader that does not see it yet has begun before

    def follow(self, invalidated: Iterable[tuple[str, int, float | None]], floor: int, now: int) -> None:
        """Take over names with their moments and times, as another process has invalidated them, up to moment `now`."""
        with self._lock:
            self._floor = max(self._floor, floor)
            for name, moment, soft_at in invalidated:
                # Threads may take over parts of a journal in any order, and some of them twice.
                if moment > (self._hard.get(name, 0) if soft_at is None else self._soft.get(name, (0, 0.0))[0]):
                    self._keep(name, moment, soft_at)
            self.now = max(self.now, now)

    def _keep(self, name: str, moment: int, soft_at: float | None) -> None:
        if moment > self._keyed and is_of_key(name):
            self._keyed = moment
        if soft_at is None:
            self._hard[name] = moment
            self._hard.move_to_end(name)
            if len(self._hard) > MAX_NAMES:
                oldest = next(iter(self._hard))
                self._floor = max(self._floor, self._hard[oldest])
                del self._hard[oldest]
        else:
            self._soft[name] = (moment, soft_at)
            self._soft.move_to_end(name)
            if len(self._soft) > MAX_NAMES:
                oldest = next(iter(self._soft))
                self._floor = max(self._floor, self._soft[oldest][0])
                del self._soft[oldest]

    def _last(self, names: Sequence[str]) -> int:
        """The moment of the last hard invalidation of these names; at least the floor."""
        return max((*(self._hard.get(name, 0) for name in names), self._floor))


class MomentsLedger:
    """Moments as a `Ledger`, for a backend of this process that is used like a remote one. It needs no commands."""

    __slots__ = ('_moments', 'beside')

    def __init__(self, moments: Moments) -> None:
        """Use the moments of a backend."""
        self._moments = moments
        self.beside: tuple[str, ...] = ()

    async def see(self, store: object, beside: Sequence[object]) -> None:
        """See `Ledger`. There is nothing to note."""

    def early_at_once(self) -> int:
        """See `Ledger`."""
        return self._moments.now

    async def marks_before(self, store: object, names: Sequence[str], key: str, *, windowed: bool) -> int:  # noqa: ARG002
        """See `Ledger`."""
        return self._moments.now

    async def marks_after(
        self,
        store: object,  # noqa: ARG002
        early: object,
        names: Sequence[str],
        key: str,
        *,
        windowed: bool,  # noqa: ARG002
        span: float,  # noqa: ARG002
    ) -> int | None:
        """See `Ledger`."""
        return early if isinstance(early, int) and self._moments.are_unchanged(names, key, early) else None

    def stale_at_once(self, entry: Entry, beside: Sequence[object]) -> float | None:  # noqa: ARG002
        """See `Ledger`."""
        return self._moments.stale_since(entry, entry.marks)

    async def stale_at(self, store: object, entry: Entry, seen: object) -> float | None:  # noqa: ARG002
        """See `Ledger`."""
        return self._moments.stale_since(entry, entry.marks)

    def has_known(self, entry: Entry, seen: object) -> bool:  # noqa: ARG002
        """See `Ledger`. Other caches over the backend invalidate with this one, too."""
        return True

    async def invalidate(self, store: object, names: Sequence[str], soft_at: float | None) -> None:  # noqa: ARG002
        """See `Ledger`."""
        self._moments.note(names, soft_at)

    def invalidate_here(self, names: Sequence[str]) -> bool:
        """See `Ledger`."""
        self._moments.note(names)
        return True


_all: WeakKeyDictionary[object, Moments] = WeakKeyDictionary()


def moments_of(backend: object) -> Moments:
    """The moments of a backend. All caches over the backend share them."""
    return _all.setdefault(backend, Moments())
