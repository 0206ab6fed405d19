"""Invalidation that always wins, by a journal in the store. Knows names and places, not how a store keeps a journal.

For stores that can append to a journal in one step; see `marks` for all others. The rules of journals are in
`_backends/journal.py`. The rules here:

1. To invalidate names is to append them to the journal: one command, which is done before `invalidate` returns.
2. Each process *follows* the journal: it keeps the names with their last places. The head of the journal is read
   together with each entry. If it is not the one that is known, what is behind the known one is read, too.
3. A run has the *position* that the process knew when it began, and the entry keeps it.
4. An entry is alive if the journal, as it was when the entry was looked up or later, has none of its names behind its
   position, nor the name of its key, which is not stored with it. An entry from another epoch, or from below the floor,
   is not alive.
5. So nothing has to be stored for a run that stores nothing, and a lost journal revives nothing.
6. A journal that is read in parts is known only when all of it has been read: a name that has moved behind the part is
   not in it. So no head that a look-up has read may be taken for that of a part.
7. A position may be old: that only costs misses. It must not be newer than the run (3), and what an entry is held
   against must not be older than the look-up (2, 4).

A response that is shared with other requests is held against a head that is read after they have joined, since some of
them may have begun after an invalidation that this process does not know of (`marks_after`).
"""

from collections.abc import Callable, Iterator, Sequence
from math import isfinite
from threading import Lock

from msgspec.structs import replace

from fastapi_caching_route._backends.journal import BEYOND, MAX_READ, MAX_TOKENS, TOKEN, JournalHead, Tail
from fastapi_caching_route._core.entry import Entry, Position
from fastapi_caching_route._core.key import full_key
from fastapi_caching_route._store.ledgers import Reads, Writes
from fastapi_caching_route._store.moments import Moments
from fastapi_caching_route._store.visit import LATER, Later

_JOURNAL = '{%journal}'
"""No escaped text begins like this. The braces are the hash tag by which a cluster chooses the node."""

MAX_LEFT = 1000
"""How many epochs that have ended are remembered."""

MAX_READS = 100
"""How many reads it may take to follow a journal: some more than the longest journal needs."""

_SOFT, _HARD = 's', 'h'

MAX_NAMES_AT_ONCE = 1000
"""How many names one append has, so that one read is never filled by a single place."""


class JournalLedger:
    """What this process knows of the journal of a store; a `Ledger`. Threads may share it."""

    __slots__ = ('_journal', '_left', '_lock', 'beside', 'known')

    def __init__(self, root: str) -> None:
        """Follow the journal under a key in the namespace `root`."""
        self._journal = full_key(root, _JOURNAL)
        self.beside: tuple[str, ...] = (self._journal,)
        self.known: Known | None = None
        """What this process has read of the journal; None before the first read."""
        self._left: dict[str, None] = {}
        """The epochs that this process has seen end, the last ones last."""
        self._lock = Lock()

    def early_at_once(self) -> Position | None:
        """See `Ledger`."""
        known = self.known
        return None if known is None else known.position()

    async def marks_before(
        self,
        store: Reads,
        names: Sequence[str],  # noqa: ARG002
        key: str,  # noqa: ARG002
        *,
        windowed: bool,  # noqa: ARG002
    ) -> Position:
        """See `Ledger`."""
        return (self.known or await self._follow(store)).position()

    async def marks_after(
        self,
        store: Reads,
        early: object,
        names: Sequence[str],
        key: str,
        *,
        windowed: bool,  # noqa: ARG002
        span: float,  # noqa: ARG002
    ) -> Position | None:
        """See `Ledger`."""
        assert isinstance(early, Position)  # else it is of another ledger
        (text,), known = await store.get(self.beside), self.known
        if known is None or text != known.text:
            known = await self._follow(store)
        is_current = known.head.epoch == early.epoch and known.moments.are_unchanged(names, key, early.place)
        return early if is_current else None

    async def stale_at(self, store: object, entry: Entry, seen: 'Known') -> float | None:  # noqa: ARG002
        """See `Ledger`."""
        return self.stale_since(entry, seen)

    def stale_at_once(self, entry: Entry, beside: Sequence[object]) -> float | Later | None:
        """See `Ledger`."""
        known = self.known
        return LATER if known is None or known.text != beside[0] else self.stale_since(entry, known)

    def stale_since(self, entry: Entry, seen: 'Known') -> float | None:
        """See `stale_at`; nothing has to be read for it."""
        position = entry.marks
        if not isinstance(position, Position) or position.epoch != seen.head.epoch:
            return None
        return seen.moments.stale_since(entry, position.place)

    def has_known(self, entry: Entry, seen: 'Known') -> bool:
        """See `Ledger`: epochs are random."""
        return isinstance(entry.marks, Position) and entry.marks.epoch == seen.head.epoch

    async def invalidate(self, store: Writes, names: Sequence[str], soft_at: float | None) -> None:
        """See `Ledger`."""
        kind, note = (_HARD, '') if soft_at is None else (_SOFT, repr(soft_at))
        for at in range(0, len(names), MAX_NAMES_AT_ONCE):
            texts = [kind + name for name in names[at : at + MAX_NAMES_AT_ONCE]]
            since = self._head()
            tail = await store.append(self._journal, since, texts, note)
            if since is not None and tail.head.epoch not in self._left:
                self._take_over(since, tail)

    def invalidate_here(self, names: Sequence[str]) -> bool:  # noqa: ARG002, see `Ledger`
        """See `Ledger`. A journal always needs a command."""
        return False

    async def see(self, store: Reads, beside: Sequence[object]) -> 'Known':
        """See `Ledger`: what is known, up to the head that was read at least."""
        known, (text,) = self.known, beside
        if known is not None and text == known.text:
            return known
        return await self._follow(store)

    def see_at_once(self, journal_at_once: Callable[[str, JournalHead | None], Tail | None]) -> 'Known | None':
        """Read what is behind the known part without waiting; None if that is not possible."""
        since = self._head()
        tail = journal_at_once(self._journal, since)
        if tail is None or tail.head.epoch in self._left or len(tail.texts) >= MAX_READ:
            return None
        return self._take_over(since, tail)

    async def _follow(self, store: Reads) -> 'Known':
        """Read the journal from what is known to its end.

        Raises:
            ConnectionError: the journal changes faster than it can be read.

        """
        for _ in range(MAX_READS):
            since = self._head()
            tail = await store.since(self._journal, since)
            if tail.head.epoch in self._left:
                # The store is an old copy of itself, from an epoch that this process has seen end: that is over, too.
                await store.since(self._journal, replace(tail.head, place=BEYOND))
                continue
            known = self._take_over(since, tail)
            if known is not None and len(tail.texts) < MAX_READ:
                return known
        msg = f'the journal of invalidations has no end after {MAX_READS} reads'
        raise ConnectionError(msg)

    def _head(self) -> JournalHead | None:
        known = self.known
        return None if known is None else known.head

    def _take_over(self, since: JournalHead | None, tail: Tail) -> 'Known | None':
        """Add a tail that was read behind `since` to what is known, and return that.

        None if what is known is of another epoch by now, so that the tail has nothing to be added to: threads that read
        the journal at the time of a new epoch may take over their tails in any order.
        """
        head = tail.head
        if since is not None and since.token and since.epoch == head.epoch and head.place - since.place >= MAX_TOKENS:
            self._begin_again(head)
            return None
        head, texts = _of_whole_places(tail)
        with self._lock:
            known = self.known
            if known is None or known.head.epoch != head.epoch:
                if since is not None and since.epoch == head.epoch:
                    return None
                self._leave(known)
                known = Known(head)
            known.moments.follow(_invalidated(texts), head.floor, head.place)
            if head.place >= known.head.place:
                known.publish(head, is_whole=head is tail.head)
            self.known = known  # last: other threads look at it without a lock
            return known

    def _leave(self, known: 'Known | None') -> None:
        """Remember that the epoch of what was known has ended."""
        if known is not None:
            self._left[known.head.epoch] = None
            if len(self._left) > MAX_LEFT:
                del self._left[next(iter(self._left))]

    def _begin_again(self, head: JournalHead) -> None:
        """Read the journal from its beginning next: nobody can tell any more whether it ever had the known place."""
        again = Known(JournalHead(head.epoch, 0, '', head.floor))
        with self._lock:
            old = self.known
            if old is not None and old.head.epoch == head.epoch:
                again.moments = old.moments  # what was invalidated in a part that was lost stays so
                self.known = again


class Known:
    """One epoch of a journal, as far as this process has read it."""

    __slots__ = ('head', 'moments', 'text')

    def __init__(self, head: JournalHead) -> None:
        """Nothing is known yet but that there is this epoch."""
        self.moments = Moments()
        """The names by their places."""
        self.publish(head, is_whole=True)

    def publish(self, head: JournalHead, *, is_whole: bool) -> None:
        """All up to this head is known. Called last: whoever compares the text finds what belongs to it.

        Of a part, the text is one that no look-up reads:
            1. A look-up reads its entry and a head; a name of the entry was invalidated at the place of that head.
            2. The name is invalidated once more, and so moves to the next place.
            3. The journal is read in parts; the first one ends at the place of that head, and does not have the name.
            4. If the head were taken for the known one, the entry would be alive.
        """
        self.head = head
        self.text = str(head) if is_whole else ''

    def position(self) -> Position:
        """The position of a run that begins now."""
        return Position(self.head.epoch, self.moments.now)


def _of_whole_places(tail: Tail) -> tuple[JournalHead, Sequence[tuple[str, int]]]:
    """What was read, and up to where: if there may be more at the last place that was read, up to the one before."""
    head, texts = tail.head, tail.texts
    if len(texts) < MAX_READ:
        return head, texts
    end = texts[-1][1]
    texts = [it for it in texts if it[1] < end]
    place = texts[-1][1]
    tokens = [text[len(TOKEN) :] for text, at in texts if at == place and text.startswith(TOKEN)]
    return JournalHead(head.epoch, place, ''.join(tokens), head.floor), texts  # an old place has no token any more


def _invalidated(texts: Sequence[tuple[str, int]]) -> Iterator[tuple[str, int, float | None]]:
    """The names in a part of a journal, with their places, and when entries became stale by a soft invalidation."""
    noted_at: dict[int, float] = {}
    for text, place in texts:
        if text.startswith(TOKEN):
            _, _, note = text.partition('@')
            if note:
                noted_at[place] = _moment(note)
        elif text.startswith(_SOFT):
            # Its token may have been dropped. Then it counts from the beginning of time.
            yield text[1:], place, noted_at.get(place, 0.0)
        else:
            yield text[1:], place, None


def _moment(note: str) -> float:
    """The time in a note; the beginning of time if somebody else has written it, and it is none."""
    try:
        moment = float(note)
    except ValueError:
        return 0.0
    return moment if isfinite(moment) else 0.0
