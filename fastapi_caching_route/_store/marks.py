"""Invalidation that always wins, without an index of entries. Knows names and marks, not what they stand for.

In a store that several processes share, a *mark* is a random token under the key of a name. The rules:

1. Before the endpoint runs, the marks of its names are read, and missing ones are added (`marks_before`). The entry keeps them.
2. An entry is alive only while every mark of its names is there and the same. A mark that is missing is a miss.
3. Whoever invalidates a name writes a new mark for it: one command, however many entries have the name.
4. One more token, `last`, is written anew before the new marks and again after them.
5. Unchanged between two hits, it says that no invalidation has ended in between: an entry that this process has found
   alive still is, and its marks need not be read again (`stale_at`).
6. Unchanged over a run, it says that none has begun either: marks that are read only after the run, since the endpoint
   has added a name or a stale window, are as good as those from before it (`marks_after`).

7. A store without room takes no new mark, but it still deletes. Then the old mark is deleted in its place, and `last` as well,
   in the same order: before and after. To lose a mark is to invalidate its name (2), and a `last` that is missing, or was added
   by another process meanwhile, is not the one that was read before (5, 6). Without `last` the marks of an entry are read on
   each hit. A deletion that comes late, or twice, only costs misses.

Nothing is counted and no clock is compared, since marks may be lost, and may come late, in any order. But each is sent
once only: one that is sent again may come after a later one, and bring back entries that this has ended.

A name has two marks. A soft invalidation writes the soft one only, with the time in it; a hard one writes both. Entries
that may be served stale keep both, all others the soft ones, which tell them all that they have to know.
"""

import asyncio
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from secrets import token_urlsafe

from fastapi_caching_route._core.entry import Entry
from fastapi_caching_route._core.key import full_key
from fastapi_caching_route._http.storing import FOREVER
from fastapi_caching_route._store.visit import Early, Reads, Writes

logger = logging.getLogger('fastapi_caching_route')

MAX_VERIFIED = 10_000
"""Entries that one process remembers to have found alive: some hundred bytes each."""

MAX_AT_ONCE = 16
"""Commands that one invalidation has under way together: all have the same time-out, and may have to wait for their turns."""

_LAST = '%last'
_SOFT, _HARD = '%soft:', '%hard:'
"""No escaped text begins like this, so marks and entries never share a key."""


class Marks:
    """The marks of one store that processes share. Who asks brings the store, as it is for him."""

    __slots__ = ('_root', '_verified', 'beside')

    def __init__(self, root: str) -> None:
        """Keep marks under keys that begin with the namespace `root`."""
        self._root = root
        self.beside: tuple[str, ...] = (full_key(root, _LAST),)
        """Keys to be read together with an entry; `stale_at` needs what is found there."""
        self._verified: dict[str, tuple[object, str, float]] = {}

    async def marks_before(self, store: Reads, names: Sequence[str], *, windowed: bool) -> Mapping[str, str] | None:
        """The marks that an entry with these names will keep, read before the endpoint reads anything.

        `windowed` says whether the entry may be served stale. None if the store does not keep marks.
        """
        keys = [*self._keys(names, windowed=windowed), *self.beside]
        tokens = await self._present(store, keys)
        return None if tokens is None else dict(zip(keys, tokens, strict=True))

    async def marks_after(
        self, store: Reads, early: Early, names: Sequence[str], *, windowed: bool
    ) -> tuple[str, ...] | None:
        """The marks for an answer with these names; None if one of them was invalidated while it was computed."""
        assert not isinstance(early, int)  # a moment is no mark
        keys = self._keys(names, windowed=windowed)
        added = [key for key in keys if key not in early]
        tokens = dict(early)
        if added:
            found = await self._present(store, added)
            if found is None:
                return None
            tokens.update(zip(added, found, strict=True))
        held = [tokens[key] for key in keys]
        # Read after the marks that were added: then an invalidation that they do not show has not begun here either.
        (last,) = await store.get(self.beside)
        if last != tokens[self.beside[0]] and (added or await store.get(keys) != held):
            return None
        return tuple(held)

    async def stale_at(self, store: Reads, entry: Entry, beside: Sequence[object]) -> float | None:
        """When a soft invalidation made the entry stale, in seconds since the epoch; infinity if none did.

        None if a mark has changed or is lost, so that the entry must not be used. `beside` is what was found beside it.
        """
        # What is remembered is remembered for the `last` from before the marks were read: it may change meanwhile.
        last = beside[0] if isinstance(beside[0], str) else await self._new_last(store)
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

    async def _new_last(self, store: Reads) -> str:
        """A `last` where there is none; empty if the store takes none, so that nothing is remembered."""
        try:
            return ((await self._present(store, self.beside)) or [''])[0]
        except Exception as error:  # noqa: BLE001, trouble with the store: a full one can still tell what is alive
            logger.debug('the cache backend does not take the token of the last invalidation: %r', error)
            return ''

    async def invalidate(self, store: Writes, names: Sequence[str], soft_at: float | None) -> None:
        """Make sure that nothing that began before is used again under these names, by any process.

        With `soft_at`, seconds since the epoch, entries that may be served stale are stale from then on.
        """
        kinds = (_SOFT, _HARD) if soft_at is None else (_SOFT,)
        when = '' if soft_at is None else f'@{soft_at!r}'
        keys = [self._key(kind, name) for name in names for kind in kinds]
        # Who adds names meanwhile will see that it has begun.
        await _renew(store, self.beside[0])
        for batch in _batches(keys):
            await asyncio.gather(*(_renew(store, key, when) for key in batch))
        # Who has found entries alive meanwhile will look again.
        await _renew(store, self.beside[0])

    def invalidate_here(self, names: Sequence[str]) -> bool:  # noqa: ARG002, see `Ledger`
        """See `Ledger`: the other processes have to be told."""
        return False

    async def _present(self, store: Reads, keys: Sequence[str]) -> list[str] | None:
        """The marks under these keys, with new ones where there were none; None if one cannot be had."""
        tokens = await store.get(keys)
        # Somebody else may add one at the same time, or invalidate the name: what is there after that is the mark. What is
        # there and is no mark gives way, as if the name was invalidated.
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
    """End the mark under a key: by a new one or, where there is no room for it, by none."""
    if not await store.set(key, token_urlsafe(9) + when, FOREVER):
        await store.delete(key)


def _batches(keys: list[str]) -> Iterator[list[str]]:
    return (keys[at : at + MAX_AT_ONCE] for at in range(0, len(keys), MAX_AT_ONCE))


def _stale_at(entry: Entry, tokens: Sequence[object]) -> float | None:
    """What the marks say of an entry, see `Marks.stale_at`."""
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
    """When a soft mark was written; 0 if it is none, or was lost and added again, and nobody knows."""
    _, _, when = soft.partition('@') if isinstance(soft, str) else ('', '', '')
    try:
        return float(when or 0)
    except ValueError:
        return 0.0
