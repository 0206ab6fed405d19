"""Invalidation that always wins, without an index of entries. Knows names and marks, not what they stand for.

In a store that several processes share, a *mark* is a random token under the key of a name. The rules:

1. Before the endpoint runs, the marks of its names are read (`marks_before`). The entry keeps these marks.
2. An entry is alive only while the store has the same mark for each of its names. A missing mark is a miss.
3. To invalidate a name is to write a new mark for it: one command, no matter how many entries have the name.
4. One more token, `last`, is replaced before the new marks are written, and again after that.
5. If `last` is unchanged between two hits, no invalidation has ended in between. So an entry that this process has
   found alive is still alive, and its marks need not be read again (`stale_at`).
6. If `last` is unchanged during a run, no invalidation has begun either. So marks that are read or added only after the
   run are as good as those from before it (`marks_after`): those that were missing or have expired meanwhile, and those
   of names or a stale window that the endpoint has added.
7. A full store takes no new mark, but it still deletes. Then the old mark is deleted instead, and `last` as well, in
   the same order: before and after. A lost mark invalidates its name (2). A `last` that is missing, or that another
   process has added since, is not the one that was read before (5, 6). Without `last`, the marks of an entry are read
   on each hit. A deletion that arrives late, or twice, only costs misses.

8. A mark expires. That is a lost mark (2): no token is ever written again, so it cannot come back. Whoever stores an
   entry prolongs its marks, so that they outlive it; to prolong a mark does not change it. This process remembers until
   when the marks last that it has written or prolonged, by its own clock. If it is wrong, an entry dies early.
9. So does the mark that an invalidation writes. Entries with the old one are not alive, with or without the new one. A
   run that has not found the same mark before and after it stores nothing unless `last` is unchanged (6).
10. What stores nothing leaves nothing. Missing marks are added before a run only so that its response can be stored
   while others invalidate other names: few at a time, and for a short time. Where this process has added `MAX_EARLY`
   that no stored entry has needed yet, marks are added when the response is about to be stored. If something was
   invalidated during that run, the response is not stored; the next one finds the marks.

Nothing is counted and no clocks are compared, since marks may be lost, and may arrive late and in any order. But each
mark is sent only once: if it were sent again, it might arrive after a later mark, and revive entries that the later
one had invalidated.

A name has two marks. A soft invalidation writes only the soft mark, with the time in it; a hard one writes both.
Entries that may be served stale keep both marks. All other entries keep only the soft marks, which change in either
case.
"""

import asyncio
import logging
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from secrets import token_urlsafe

from fastapi_caching_route._backends.outage import in_words
from fastapi_caching_route._core.entry import Entry
from fastapi_caching_route._core.key import full_key
from fastapi_caching_route._core.key_names import with_key
from fastapi_caching_route._core.names import EVERYTHING
from fastapi_caching_route._http.freshness import FOREVER
from fastapi_caching_route._store.ledgers import Reads, Writes
from fastapi_caching_route._store.visit import LATER, Early, Later

logger = logging.getLogger('fastapi_caching_route')

MAX_VERIFIED = 10_000
"""How many entries one process remembers as alive, at some hundred bytes each."""

MAX_EARLY = 32
"""How many marks one process has added for runs that have stored nothing."""

SPARE_SECONDS = 600.0
"""How long a mark is kept that no entry needs; and for how long a mark outlives an entry, at least."""

MAX_AT_ONCE = 16
"""How many commands one invalidation sends at a time: they wait for each other, and all have the same time-out."""

_LAST = '%last'
_SOFT, _HARD = '%soft:', '%hard:'
"""No escaped text begins like this, so marks and entries never share a key."""


class Marks:
    """The marks of one store that processes share; a `Ledger`. `store` is the commands that a method may use."""

    __slots__ = ('_early', '_lasting', '_prolongs', '_root', '_until', '_verified', 'beside')

    def __init__(self, root: str, *, prolongs: bool = True) -> None:
        """Keep marks under keys in the namespace `root`. `prolongs` says whether the store can prolong a mark."""
        self._root = root
        self._prolongs = prolongs
        self.beside: tuple[str, ...] = (full_key(root, _LAST),)
        """The key of `last`, which is read together with each entry."""
        self._lasting = frozenset([*self.beside, *self._keys([EVERYTHING], windowed=True)])
        """The keys of marks that all entries need."""
        self._early: dict[str, float] = {}
        """The keys of marks that this process has added for runs that have stored nothing yet, and when they expire."""
        self._until: dict[str, tuple[str, float]] = {}
        """Marks, and until when they last at least, in seconds of the monotonic clock."""
        self._verified: dict[str, tuple[object, str, float]] = {}

    def early_at_once(self) -> None:
        """See `Ledger`. Marks always need commands."""

    async def marks_before(
        self, store: Reads, names: tuple[str, ...], key: str, *, windowed: bool
    ) -> Mapping[str, str] | None:
        """See `Ledger`: the marks by their keys, as far as there are any, and `last`."""
        keys = self._keys(with_key(names, key), windowed=windowed)
        every = [*keys, *self.beside]
        marks = {key: token for key, token in zip(every, await store.get(every), strict=True) if isinstance(token, str)}
        missing = [key for key in keys if key not in marks]
        early = missing if self._may_add(missing) else []
        added = await self._added(store, [*early, *(key for key in self.beside if key not in marks)], 0.0)
        if added is None:
            self._settle(early)
            return None
        return marks | added

    def _may_add(self, missing: Sequence[str]) -> bool:
        """Whether these marks may be added before a run; they count from now on."""
        now = time.monotonic()
        for key, ends_at in tuple(self._early.items()):
            if ends_at <= now:
                self._early.pop(key, None)
        if len(self._early) + len(missing) > MAX_EARLY:
            return False
        self._early.update({key: now + self._life(key, 0.0) for key in missing})
        return True

    async def marks_after(
        self, store: Reads, early: Early, names: tuple[str, ...], key: str, *, windowed: bool, span: float
    ) -> tuple[str, ...] | None:
        """See `Ledger`."""
        assert isinstance(early, Mapping)  # else it is of another ledger
        keys, marks = self._keys(with_key(names, key), windowed=windowed), dict(early)
        self._settle(keys)
        short = [key for key in keys if key in marks and not self._lasts(key, marks[key], span)]
        (last,), lost = await asyncio.gather(store.get(self.beside), self._prolong(store, marks, short, span))
        added = [key for key in keys if key not in marks or key in lost]
        if added:
            found = await self._added(store, added, span)
            if found is None:
                return None
            marks.update(found)
            # Read after the added marks: an invalidation that began before those were read has changed `last` by now.
            (last,) = await store.get(self.beside)
        held = [marks[key] for key in keys]
        if last != marks[self.beside[0]] and (added or await store.get(keys) != held):
            return None
        return tuple(held)

    async def _prolong(self, store: Reads, marks: Mapping[str, str], keys: Sequence[str], span: float) -> set[str]:
        """Prolong marks that an entry needs for `span` seconds; return the keys of those that are lost."""
        lost: set[str] = set()
        for batch in _batches(keys):
            began_at, lives = time.monotonic(), [self._life(key, span) for key in batch]
            there = await asyncio.gather(*(store.prolong(key, life) for key, life in zip(batch, lives, strict=True)))
            for key, life, is_there in zip(batch, lives, there, strict=True):
                if is_there:
                    self._remember(key, marks[key], began_at + life)
                else:
                    lost.add(key)
        return lost

    def _lasts(self, key: str, token: str, span: float) -> bool:
        """Whether a mark is known to outlive an entry that is stored now; or nobody can do anything about it."""
        known, until = self._until.get(key, ('', 0.0))
        return not self._prolongs or (known == token and until >= time.monotonic() + min(span, FOREVER / 2))

    async def see(self, store: Reads, beside: Sequence[object]) -> Sequence[object]:  # noqa: ARG002, see `Ledger`
        """See `Ledger`: the `last` that was read."""
        return beside

    async def stale_at(self, store: Reads, entry: Entry, seen: Sequence[object]) -> float | None:
        """See `Ledger`: None also if a mark is lost."""
        # The result is remembered for the `last` from before the marks were read, since it may change meanwhile.
        last = seen[0] if isinstance(seen[0], str) else await self._new_last(store)
        marks, known_last, known = self._verified.get(entry.key, (None, '', 0.0))
        if last and known_last == last and marks == entry.marks:
            return known
        names = with_key(entry.names, entry.key)
        stale_at = _stale_at(entry, len(names), await store.get(self._keys(names, windowed=entry.windowed)))
        if stale_at is not None and last:
            if len(self._verified) >= MAX_VERIFIED:
                self._verified.clear()
            self._verified[entry.key] = (entry.marks, last, stale_at)
        return stale_at

    def stale_at_once(self, entry: Entry, beside: Sequence[object]) -> float | Later:
        """See `Ledger`."""
        marks, last, stale_at = self._verified.get(entry.key, (None, '', 0.0))
        return stale_at if last and beside == [last] and marks == entry.marks else LATER

    async def _new_last(self, store: Reads) -> str:
        """Add a `last`; return an empty str if the store does not take it: then nothing is remembered."""
        try:
            added = await self._added(store, self.beside, 0.0)
            return '' if added is None else added[self.beside[0]]
        except Exception as error:  # noqa: BLE001, store trouble: a full store can still tell what is alive
            logger.debug('the cache backend has not taken the token of the last invalidation: %s', in_words(error))
            return ''

    def has_known(self, entry: Entry, seen: object) -> bool:  # noqa: ARG002, see `Ledger`
        """See `Ledger`. Old marks are kept nowhere."""
        return False

    async def invalidate(self, store: Writes, names: Sequence[str], soft_at: float | None) -> None:
        """See `Ledger`."""
        kinds = (_SOFT, _HARD) if soft_at is None else (_SOFT,)
        when = '' if soft_at is None else f'@{soft_at!r}'
        # Stale entries need the soft mark. Whoever stores one of the name gives it another time to expire.
        life = SPARE_SECONDS if soft_at is None and self._prolongs else FOREVER
        keys = [self._key(kind, name) for name in names for kind in kinds]
        # A run that adds names meanwhile will see that it has begun.
        await _renew(store, self.beside[0], FOREVER)
        for batch in _batches(keys):
            await asyncio.gather(*(_renew(store, key, life, when) for key in batch))
        # A process that has found entries alive meanwhile will look again.
        await _renew(store, self.beside[0], FOREVER)

    def invalidate_here(self, names: Sequence[str]) -> bool:  # noqa: ARG002, see `Ledger`
        """See `Ledger`. Marks always need commands."""
        return False

    async def _added(self, store: Reads, keys: Sequence[str], span: float) -> dict[str, str] | None:
        """Add missing marks that an entry needs for `span` seconds; return what is there then.

        None if the store does not keep one of them.
        """
        found: dict[str, object] = dict.fromkeys(keys)
        # Another process may add a mark or invalidate the name at the same time: the mark is what is read after that.
        # If there is something else under the key, `add` fails, and `set` replaces it, which invalidates the name.
        for create in (store.add, store.set):
            made = {key: token_urlsafe(9) for key, token in found.items() if not isinstance(token, str)}
            if not made:
                break
            began_at = time.monotonic()
            for batch in _batches(list(made)):
                await asyncio.gather(*(create(key, made[key], self._life(key, span)) for key in batch))
            found.update(zip(made, await store.get(list(made)), strict=True))
            for key in [key for key, token in made.items() if found[key] == token]:
                self._remember(key, made[key], began_at + self._life(key, span))
        marks = {key: token for key, token in found.items() if isinstance(token, str)}
        return marks if len(marks) == len(keys) else None

    def _settle(self, keys: Sequence[str]) -> None:
        """Note that these marks are needed now, or were not added."""
        for key in keys:
            self._early.pop(key, None)

    def _life(self, key: str, span: float) -> float:
        """How many seconds a mark is kept that an entry needs for `span` seconds: it need not be prolonged for each."""
        return FOREVER if key in self._lasting or not self._prolongs else min(2 * span + SPARE_SECONDS, FOREVER)

    def _remember(self, key: str, token: str, until: float) -> None:
        if len(self._until) >= MAX_VERIFIED:
            self._until.clear()
        self._until[key] = (token, until)

    def _keys(self, names: Sequence[str], *, windowed: bool) -> list[str]:
        return [self._key(kind, name) for kind in ((_SOFT, _HARD) if windowed else (_SOFT,)) for name in names]

    def _key(self, kind: str, name: str) -> str:
        return full_key(self._root, kind + name)


async def _renew(store: Writes, key: str, life: float, when: str = '') -> None:
    """Replace the mark under a key; if there is no room for a new one, delete it."""
    if not await store.set(key, token_urlsafe(9) + when, life):
        await store.delete(key)


def _batches(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    return (keys[at : at + MAX_AT_ONCE] for at in range(0, len(keys), MAX_AT_ONCE))


def _stale_at(entry: Entry, count: int, tokens: Sequence[object]) -> float | None:
    """What these marks say about an entry with so many names, see `Ledger.stale_at`."""
    held = entry.marks
    if not isinstance(held, tuple) or len(held) != len(tokens):
        return None
    if list(held) == tokens:
        return math.inf
    if not entry.windowed or tokens[count:] != list(held[count:]):
        return None
    moments = [_moment(token) for token, mine in zip(tokens[:count], held, strict=False) if token != mine]
    return min(moments) if all(moment > 0 for moment in moments) else None


def _moment(soft: object) -> float:
    """When a soft mark was written; 0 if that is unknown: it was added in place of a lost one, or is no mark."""
    _, _, when = soft.partition('@') if isinstance(soft, str) else ('', '', '')
    try:
        moment = float(when or 0)
    except ValueError:
        return 0.0
    return moment if math.isfinite(moment) else 0.0
