"""Invalidation that always wins, without an index of entries. Knows names and marks, not what they stand for.

In a store that several processes share, a *mark* is a random token under the key of a name. The rules:

1. Before the endpoint runs, the marks of its names are read, and missing ones are added (`marks_before`). The entry
   keeps these marks.
2. An entry is alive only while the store has the same mark for each of its names. A missing mark is a miss.
3. To invalidate a name is to write a new mark for it: one command, no matter how many entries have the name.
4. One more token, `last`, is replaced before the new marks are written, and again after that.
5. If `last` is unchanged between two hits, no invalidation has ended in between. So an entry that this process has
   found alive is still alive, and its marks need not be read again (`stale_at`).
6. If `last` is unchanged during a run, no invalidation has begun either. So marks that are read only after the run,
   because the endpoint has added a name or a stale window, are as good as those from before it (`marks_after`).
7. A full store takes no new mark, but it still deletes. Then the old mark is deleted instead, and `last` as well, in
   the same order: before and after. A lost mark invalidates its name (2). A `last` that is missing, or that another
   process has added since, is not the one that was read before (5, 6). Without `last`, the marks of an entry are read
   on each hit. A deletion that arrives late, or twice, only costs misses.

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
from collections.abc import Iterator, Mapping, Sequence
from secrets import token_urlsafe

from fastapi_caching_route._backends.outage import in_words
from fastapi_caching_route._core.entry import Entry
from fastapi_caching_route._core.key import full_key
from fastapi_caching_route._http.freshness import FOREVER
from fastapi_caching_route._store.visit import LATER, Early, Later, Reads, Writes

logger = logging.getLogger('fastapi_caching_route')

MAX_VERIFIED = 10_000
"""How many entries one process remembers as alive, at some hundred bytes each."""

MAX_AT_ONCE = 16
"""How many commands one invalidation sends at a time: they wait for each other, and all have the same time-out."""

_LAST = '%last'
_SOFT, _HARD = '%soft:', '%hard:'
"""No escaped text begins like this, so marks and entries never share a key."""


class Marks:
    """The marks of one store that processes share; a `Ledger`. `store` is the commands that a method may use."""

    __slots__ = ('_root', '_verified', 'beside')

    def __init__(self, root: str) -> None:
        """Keep marks under keys in the namespace `root`."""
        self._root = root
        self.beside: tuple[str, ...] = (full_key(root, _LAST),)
        """The key of `last`, which is read together with each entry."""
        self._verified: dict[str, tuple[object, str, float]] = {}

    async def marks_before(self, store: Reads, names: Sequence[str], *, windowed: bool) -> Mapping[str, str] | None:
        """See `Ledger`: the marks by their keys, and `last`."""
        keys = [*self._keys(names, windowed=windowed), *self.beside]
        tokens = await self._present(store, keys)
        return None if tokens is None else dict(zip(keys, tokens, strict=True))

    async def marks_after(
        self, store: Reads, early: Early, names: Sequence[str], *, windowed: bool
    ) -> tuple[str, ...] | None:
        """See `Ledger`."""
        assert isinstance(early, Mapping)  # else it is of another ledger
        keys = self._keys(names, windowed=windowed)
        added = [key for key in keys if key not in early]
        tokens = dict(early)
        if added:
            found = await self._present(store, added)
            if found is None:
                return None
            tokens.update(zip(added, found, strict=True))
        held = [tokens[key] for key in keys]
        # Read after the added marks: an invalidation that began before those were read has changed `last` by now.
        (last,) = await store.get(self.beside)
        if last != tokens[self.beside[0]] and (added or await store.get(keys) != held):
            return None
        return tuple(held)

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
        keys = self._keys(entry.names, windowed=entry.windowed)
        stale_at = _stale_at(entry, await store.get(keys) if keys else [])
        if stale_at is not None and last:
            if len(self._verified) >= MAX_VERIFIED:
                self._verified.clear()
            self._verified[entry.key] = (entry.marks, last, stale_at)
        return stale_at

    def stale_at_once(self, entry: Entry, beside: Sequence[object]) -> float | Later:
        """See `TellsAtOnce`."""
        marks, last, stale_at = self._verified.get(entry.key, (None, '', 0.0))
        return stale_at if last and beside == [last] and marks == entry.marks else LATER

    async def _new_last(self, store: Reads) -> str:
        """Add a `last`; return an empty str if the store does not take it: then nothing is remembered."""
        try:
            return ((await self._present(store, self.beside)) or [''])[0]
        except Exception as error:  # noqa: BLE001, store trouble: a full store can still tell what is alive
            logger.debug('the cache backend has not taken the token of the last invalidation: %s', in_words(error))
            return ''

    async def invalidate(self, store: Writes, names: Sequence[str], soft_at: float | None) -> None:
        """See `Ledger`."""
        kinds = (_SOFT, _HARD) if soft_at is None else (_SOFT,)
        when = '' if soft_at is None else f'@{soft_at!r}'
        keys = [self._key(kind, name) for name in names for kind in kinds]
        # A run that adds names meanwhile will see that it has begun.
        await _renew(store, self.beside[0])
        for batch in _batches(keys):
            await asyncio.gather(*(_renew(store, key, when) for key in batch))
        # A process that has found entries alive meanwhile will look again.
        await _renew(store, self.beside[0])

    def invalidate_here(self, names: Sequence[str]) -> bool:  # noqa: ARG002, see `Ledger`
        """See `Ledger`. Marks always need commands."""
        return False

    async def _present(self, store: Reads, keys: Sequence[str]) -> list[str] | None:
        """The marks under these keys; missing ones are added. None if the store does not keep one of them."""
        tokens = await store.get(keys)
        # Another process may add a mark or invalidate the name at the same time: the mark is what is read after that.
        # If there is something else under the key, `add` fails, and `set` replaces it, which invalidates the name.
        for create in (store.add, store.set):
            missing = [key for key, token in zip(keys, tokens, strict=True) if not isinstance(token, str)]
            if not missing:
                break
            for batch in _batches(missing):
                await asyncio.gather(*(create(key, token_urlsafe(9), FOREVER) for key in batch))
            found = dict(zip(missing, await store.get(missing), strict=True))
            tokens = [found.get(key, token) for key, token in zip(keys, tokens, strict=True)]
        marks = [token for token in tokens if isinstance(token, str)]
        return marks if len(marks) == len(keys) else None

    def _keys(self, names: Sequence[str], *, windowed: bool) -> list[str]:
        return [self._key(kind, name) for kind in ((_SOFT, _HARD) if windowed else (_SOFT,)) for name in names]

    def _key(self, kind: str, name: str) -> str:
        return full_key(self._root, kind + name)


async def _renew(store: Writes, key: str, when: str = '') -> None:
    """Replace the mark under a key; if there is no room for a new one, delete it."""
    if not await store.set(key, token_urlsafe(9) + when, FOREVER):
        await store.delete(key)


def _batches(keys: list[str]) -> Iterator[list[str]]:
    return (keys[at : at + MAX_AT_ONCE] for at in range(0, len(keys), MAX_AT_ONCE))


def _stale_at(entry: Entry, tokens: Sequence[object]) -> float | None:
    """What these marks say about an entry, see `Ledger.stale_at`."""
    held = entry.marks
    if not isinstance(held, tuple) or len(held) != len(tokens):
        return None
    if list(held) == tokens:
        return math.inf
    count = len(entry.names)
    if not entry.windowed or tokens[count:] != list(held[count:]):
        return None
    moments = [_moment(token) for token, mine in zip(tokens[:count], held, strict=False) if token != mine]
    return min(moments) if all(moment > 0 for moment in moments) else None


def _moment(soft: object) -> float:
    """When a soft mark was written; 0 if that is unknown: it was added in place of a lost one, or is no mark."""
    _, _, when = soft.partition('@') if isinstance(soft, str) else ('', '', '')
    try:
        return float(when or 0)
    except ValueError:
        return 0.0
