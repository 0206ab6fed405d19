"""Following a journal: what the simulation cannot show, because it takes threads or a rare order."""

import asyncio
import math

import pytest

from fastapi_caching_route._backends.journal import JournalHead, Tail
from fastapi_caching_route._core.entry import Entry, Position
from fastapi_caching_route._core.key_names import key_name
from fastapi_caching_route._store.ledger import JournalLedger, _invalidated
from tests.store.journals import ModelJournals

KEY = '{%journal}'


class Journals:
    """A store with nothing but journals. The reads of `held` wait for `go_on` when they have their reply."""

    def __init__(self):
        self.kept = {}
        self.model = ModelJournals(self.kept)
        self.held, self.go_on = 0, asyncio.Event()
        self.reads = 0

    async def get(self, keys):
        return [self.kept.get(key) for key in keys]

    async def since(self, journal, known):
        self.reads += 1
        tail = self.model.journal(journal, known, (), '')
        if self.held:
            self.held -= 1
            await self.go_on.wait()
        return tail

    async def append(self, journal, known, texts, note):
        return self.model.journal(journal, known, texts, note)


def entry(position, *names, windowed=False):
    return Entry('k', 200, (), b'', 0.0, 60.0, names=names, marks=position, windowed=windowed)


async def alive(ledger, store, it):
    """When the entry became stale, as a request finds it that begins now."""
    return await ledger.stale_at(store, it, await ledger.see(store, await store.get(ledger.beside)))


async def test_an_entry_is_alive_until_one_of_its_names_is_appended():
    here, there, store = JournalLedger(''), JournalLedger(''), Journals()
    it = entry(await here.marks_before(store, ('a', 'b'), key='k', windowed=False), 'a', 'b')
    await there.invalidate(store, ['c'], None)
    assert await alive(here, store, it) == math.inf
    await there.invalidate(store, ['b'], None)
    assert await alive(here, store, it) is None


async def test_nothing_is_read_while_nothing_is_invalidated():
    ledger, store = JournalLedger(''), Journals()
    it = entry(await ledger.marks_before(store, ('a',), key='k', windowed=False), 'a')
    assert store.reads == 1
    for _ in range(3):
        assert await alive(ledger, store, it) == math.inf
        await ledger.marks_before(store, ('b',), key='k', windowed=False)
    assert store.reads == 1
    await ledger.invalidate(store, ['c'], None)  # its own append comes with all that was behind what it knew
    assert await alive(ledger, store, it) == math.inf
    assert store.reads == 1


async def test_a_journal_of_many_texts_is_read_in_parts(monkeypatch):
    monkeypatch.setattr('fastapi_caching_route._backends.journal.MAX_READ', 5)
    monkeypatch.setattr('fastapi_caching_route._store.ledger.MAX_READ', 5)
    here, there, store = JournalLedger(''), JournalLedger(''), Journals()
    old = [entry(await here.marks_before(store, (), key='k', windowed=False), f'n{number}') for number in range(21)]
    for number in range(20):
        await there.invalidate(store, [f'n{number}'], None)
    assert [await alive(here, store, it) for it in old] == [None] * 20 + [math.inf]
    assert store.reads > 5


async def test_a_head_that_was_read_before_is_not_taken_for_that_of_a_part_without_what_has_moved(monkeypatch):
    monkeypatch.setattr('fastapi_caching_route._backends.journal.MAX_READ', 5)
    monkeypatch.setattr('fastapi_caching_route._store.ledger.MAX_READ', 5)
    here, there, store = JournalLedger(''), JournalLedger(''), Journals()
    it = entry(await there.marks_before(store, ('a',), key='k', windowed=False), 'a')
    await there.invalidate(store, ['b'], None)
    await there.invalidate(store, ['a'], None)
    looked_up = await store.get(here.beside)
    await there.invalidate(store, ['a'], None)  # it moves: up to the head that was read, nothing tells of it any more
    since = store.since

    async def held_after_the_first_part(journal, known):
        tail = await since(journal, known)
        if known is not None:
            await store.go_on.wait()
        return tail

    store.since = held_after_the_first_part
    first = asyncio.ensure_future(here.marks_before(store, (), key='k', windowed=False))
    await asyncio.sleep(0)
    assert [str(here.known.head)] == looked_up  # up to there it has read the journal
    store.go_on.set()
    assert await here.stale_at(store, it, await here.see(store, looked_up)) is None
    await first


@pytest.mark.parametrize(('names', 'key'), [(('a',), 'k'), (('b', 'a'), 'k'), ((), 'a')], ids=['one', 'two', 'key'])
async def test_a_run_is_not_stored_if_another_process_has_invalidated_a_name_of_it_meanwhile(names, key):
    here, there, store = JournalLedger(''), JournalLedger(''), Journals()
    early = await here.marks_before(store, names, key=key, windowed=False)
    await there.invalidate(store, ['c', key_name('c')], None)
    assert await here.marks_after(store, early, names, key, windowed=False, span=60) == early
    await there.invalidate(store, ['a', key_name('a')], None)
    assert await here.marks_after(store, early, names, key, windowed=False, span=60) is None


async def test_a_tail_of_an_epoch_that_has_ended_meanwhile_is_added_to_nothing():
    ledger, store = JournalLedger(''), Journals()
    first = await ledger.marks_before(store, ('a',), key='k', windowed=False)
    await ledger.invalidate(store, ['a'], None)
    await JournalLedger('').invalidate(store, ['b'], None)
    beside = await store.get(ledger.beside)
    store.held = 1
    late = asyncio.ensure_future(ledger.see(store, beside))  # it reads what is behind the place of `a`
    await asyncio.sleep(0)
    store.kept.clear()
    await ledger.see(store, await store.get(ledger.beside))  # a new epoch
    store.go_on.set()
    seen = await late
    assert await ledger.stale_at(store, entry(first, 'a'), seen) is None


async def test_an_epoch_that_this_process_has_seen_end_does_not_come_back():
    ledger, store = JournalLedger(''), Journals()
    position = await ledger.marks_before(store, ('a',), key='k', windowed=False)
    copy = dict(store.kept)
    await ledger.invalidate(store, ['a'], None)
    for _ in range(3):
        store.kept.clear()
        store.kept.update(copy)
        assert await alive(ledger, store, entry(position, 'a')) is None


async def test_what_others_appended_to_an_old_copy_is_not_taken_for_what_is_known():
    """1. This process appends `x`. 2. The store goes back to before that. 3. Another one appends `a`, at that place."""
    here, there, store = JournalLedger(''), JournalLedger(''), Journals()
    position = await here.marks_before(store, ('a',), key='k', windowed=False)
    copy = dict(store.kept)
    await here.invalidate(store, ['x'], None)
    store.kept.clear()
    store.kept.update(copy)
    await there.invalidate(store, ['a'], None)
    assert await alive(here, store, entry(position, 'a')) is None


async def test_a_soft_invalidation_makes_stale_only_what_may_be_stale():
    ledger, store = JournalLedger(''), Journals()
    position = await ledger.marks_before(store, ('a',), key='k', windowed=True)
    await ledger.invalidate(store, ['a'], 17.5)
    assert await alive(ledger, store, entry(position, 'a', windowed=True)) == 17.5
    await ledger.invalidate(store, ['a'], None)
    assert await alive(ledger, store, entry(position, 'a', windowed=True)) is None


async def test_a_head_that_is_none_begins_a_new_epoch():
    ledger, store = JournalLedger(''), Journals()
    position = await ledger.marks_before(store, ('a',), key='k', windowed=False)
    for planted in ('', 'x', 'a 1 b', 'a -1 b 0', 'a 1 b c', 5, b'raw', 'é ² a 0'):
        store.kept[KEY] = planted
        assert await alive(ledger, store, entry(position, 'a')) is None
        assert (
            await alive(ledger, store, entry(await ledger.marks_before(store, ('a',), key='k', windowed=False), 'a'))
            == math.inf
        )


def test_a_place_of_another_epoch_is_no_place():
    assert Position('a', 1) != Position('b', 1)
    assert str(Tail(JournalHead('a', 1, 't', 0), ()).head) == 'a 1 t 0'


async def test_a_place_that_is_too_old_to_be_checked_is_not_taken_for_one_of_this_journal(monkeypatch):
    """1. `here` knows a place. 2. The store goes back to before it. 3. Others append `a` below it, and many more."""
    monkeypatch.setattr('fastapi_caching_route._backends.journal.MAX_TOKENS', 5)
    monkeypatch.setattr('fastapi_caching_route._store.ledger.MAX_TOKENS', 5)
    here, there, store = JournalLedger(''), JournalLedger(''), Journals()
    await there.invalidate(store, ['x'], None)
    it = entry(await there.marks_before(store, ('a',), key='k', windowed=False), 'a')
    copy = {key: dict(kept) if isinstance(kept, dict) else kept for key, kept in store.kept.items()}
    await there.invalidate(store, ['y'], None)
    await there.invalidate(store, ['y'], None)
    assert await alive(here, store, it) == math.inf
    store.kept.clear()
    store.kept.update(copy)
    later = JournalLedger('')
    for name in ('a', *'bcdefghi'):
        await later.invalidate(store, [name], None)
    assert await alive(here, store, it) is None
    assert (
        await alive(here, store, entry(await here.marks_before(store, ('a',), key='k', windowed=False), 'a'))
        == math.inf
    )


async def test_a_thread_that_comes_late_adds_its_tail_to_no_other_epoch():
    ledger, store = JournalLedger(''), Journals()
    await ledger.marks_before(store, ('a',), key='k', windowed=False)
    since = ledger.known.head
    tail = store.model.journal(KEY, since, ('ha',), '')  # a thread has read this, and does not go on yet
    store.kept.clear()
    await ledger.see(store, await store.get(ledger.beside))  # another one finds the next epoch
    assert ledger._take_over(since, tail) is None


@pytest.mark.parametrize('kind', ['hard', 'soft'])
async def test_threads_may_take_over_their_tails_in_any_order(kind):
    ledger, there, store = JournalLedger(''), JournalLedger(''), Journals()
    await ledger.marks_before(store, ('a',), key='k', windowed=True)
    since, tails, soft_at = ledger.known.head, [], 5.0 if kind == 'soft' else None
    for _ in range(2):
        await there.invalidate(store, ['a'], soft_at)
        tails.append(store.model.journal(KEY, since, (), ''))
    assert ledger._take_over(since, tails[1])
    it = entry(Position(since.epoch, tails[0].head.place), 'a', windowed=True)
    assert await alive(ledger, store, it) == soft_at
    assert ledger._take_over(since, tails[0])  # a thread that has read it before
    assert await alive(ledger, store, it) == soft_at


@pytest.mark.parametrize(('note', 'moment'), [('5.5', 5.5), ('nan', 0.0), ('inf', 0.0), ('x', 0.0)])
def test_a_note_that_is_no_time_counts_from_the_beginning_of_time(note, moment):
    assert list(_invalidated([(f'%token@{note}', 1), ('stag:a', 1), ('htag:b', 1)])) == [
        ('tag:a', 1, moment),
        ('tag:b', 1, None),
    ]
