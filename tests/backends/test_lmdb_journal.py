"""Journals in LMDB against a model of them in Python, under operations and losses at random."""

import random

import pytest

from fastapi_caching_route import LMDBCache
from fastapi_caching_route._backends import lmdb_journal
from fastapi_caching_route._backends.lmdb_driver import LMDBDriver
from fastapi_caching_route._backends.lmdb_journal import LMDBJournal, head_of
from fastapi_caching_route._backends.lmdb_table import MEMBERS, PLACES, VALUE, short
from fastapi_caching_route._store.wire import Wire

KEY, CODEC = 'journal', Wire(())
NAME = KEY.encode()
ROWS = (VALUE + NAME, MEMBERS + short(NAME), PLACES + short(NAME))
LONG = 'h' + 'x' * 1000


@pytest.fixture
def driver(tmp_path):
    return LMDBDriver(LMDBCache(tmp_path / 'store'), CODEC)


def rows_of(table):
    return [row for prefix in ROWS for row in table.rows(prefix, 10**6)]


class Store:
    """The journal itself, and what can happen to it."""

    def __init__(self, driver):
        self.driver = driver
        self.write = driver._store.write

    async def append(self, texts, note):
        return await self.driver.append(KEY, texts, note)

    async def since(self, known):
        return await self.driver.since(KEY, known)

    async def saved(self):
        return await self.write(rows_of)

    async def restore(self, rows):
        def restored(table):
            for key, _ in rows_of(table):
                table.txn.delete(key)
            for key, row in rows:
                table.txn.put(key, row)

        await self.write(restored)

    async def lose_head(self):
        await self.write(lambda table: table.txn.delete(VALUE + NAME))

    async def lose_member(self, member, place):
        def lost(table):
            journal = LMDBJournal(table, KEY, CODEC)
            name = member.encode()
            table.txn.delete(journal._members + name)
            table.txn.delete(journal._places + lmdb_journal._PLACE.pack(place) + name)
            journal._set_size(journal._size() - 1)

        await self.write(lost)


class Model:
    """The same in Python. It takes over tokens, which are random."""

    def __init__(self):
        self.head, self.members = None, {}

    def is_valid(self):
        return self.head is not None and self.members.get(f'%{self.head.token}') == self.head.at

    def begin(self):
        self.head, self.members = None, {}

    def append(self, texts, note, said, most):
        head = head_of(said)
        if not self.is_valid():
            self.begin()
            assert head.at == 1
            self.members = {'%of the epoch': 0}
        else:
            assert (head.epoch, head.at) == (self.head.epoch, self.head.at + 1)
        floor = 0 if self.head is None else self.head.floor
        assert head.token.partition('@')[2] == note
        self.members |= dict.fromkeys((f'%{head.token}', *texts), head.at)
        places = sorted(self.members.values())
        if len(places) > most:
            floor = places[len(places) - most - 1]
            self.members = {it: place for it, place in self.members.items() if place > floor}
        assert head.floor == floor
        self.head = head

    def since(self, known, said):
        head = head_of(said)
        if not self.is_valid() or self.is_rolled_back(known):
            assert self.head is None or head.epoch != self.head.epoch
            assert (head.at, head.floor) == (0, 0)
            self.head, self.members = head, {f'%{head.token}': 0}
        assert head == self.head
        after = known.at if known is not None and known.epoch == head.epoch else -1
        return sorted(((it, place) for it, place in self.members.items() if place > after), key=lambda it: it[::-1])

    def is_rolled_back(self, known):
        if known is None or known.epoch != self.head.epoch:
            return False
        return known.at > self.head.at or (
            known.at >= self.head.floor and self.members.get(f'%{known.token}') != known.at
        )


def named(members):
    """The token with which an epoch began is not known to who has appended."""
    return [('%of the epoch' if place == 0 else it, place) for it, place in members]


@pytest.mark.parametrize('seed', range(6))
async def test_a_journal_does_what_its_model_does(driver, monkeypatch, seed):
    monkeypatch.setattr(lmdb_journal, 'MAX_MEMBERS', 25)
    dice, store, model = random.Random(seed), Store(driver), Model()
    heads, saved = [''], [(await store.saved(), None, {})]
    for _ in range(400):
        match dice.choices(('append', 'since', 'head', 'member', 'save', 'back'), (50, 30, 2, 4, 6, 3))[0]:
            case 'append':
                texts = [f'h{dice.randrange(30)}' for _ in range(dice.randrange(5))] + [LONG] * dice.randrange(2)
                note = dice.choice(('', '17.5'))
                said = await store.append(texts, note)
                model.append(texts, note, said, 25)
                heads.append(said)
            case 'since':
                known = dice.choice(heads)
                said, members = await store.since(known)
                assert named(members) == named(model.since(head_of(known), said))
                heads.append(said)
            case 'head':
                await store.lose_head()
                model.head = None
            case 'member' if model.is_valid() and len(model.members) > 1:
                member = dice.choice(sorted(it for it in model.members if it not in {LONG, '%of the epoch'}))
                await store.lose_member(member, model.members.pop(member))
            case 'save':
                saved.append((await store.saved(), model.head, dict(model.members)))
            case 'back':
                rows, model.head, members = dice.choice(saved)
                model.members = dict(members)
                await store.restore(rows)


async def test_what_was_rolled_back_is_another_epoch_for_who_has_seen_more(driver):
    store = Store(driver)
    await store.append(['ha'], '')
    rows = await store.saved()
    seen = await store.append(['hb'], '')
    await store.restore(rows)
    other = await store.append(['hc'], '')
    assert other.split(' ')[:2] == seen.split(' ')[:2]
    head, members = await store.since(seen)
    assert head.split(' ')[0] != seen.split(' ')[0]
    assert [place for _, place in members] == [0]


async def test_a_journal_whose_head_is_deleted_leaves_no_members(driver):
    store = Store(driver)
    await store.append(['ha'], '')
    await driver.erase(KEY)
    assert await store.saved() == []
    assert driver._store.look(lambda table: table.journal_bytes) == 0


async def test_a_long_list_is_returned_in_parts_of_whole_places(driver, monkeypatch):
    monkeypatch.setattr(lmdb_journal, 'LIMIT', 10)
    store = Store(driver)
    for number in range(12):
        await store.append([f'h{number}-{it}' for it in range(6)], '')
    known, found, parts = '', [], 0
    while True:
        head, members = await store.since(known)
        if not members:
            break
        found += members
        parts += 1
        place = members[-1][1]
        token = next(it for it, at in members if at == place and it[0] == '%')
        known = f'{head.split(" ")[0]} {place} {token[1:]} 0'
    assert parts > 5
    assert len(found) == len(set(found)) == 12 * 7 + 1
    assert known.split(' ')[1] == head.split(' ')[1]


async def test_journals_are_bounded_in_bytes(driver, monkeypatch):
    monkeypatch.setattr(lmdb_journal, 'JOURNAL_BYTES', 100_000)
    store, most = Store(driver), 0
    for number in range(1000):
        await store.append([f'h{number}-{"x" * 200}'], '')
        most = max(most, driver._store.look(lambda table: table.journal_bytes))
    assert most < 102_000
    assert len((await store.since(''))[1]) > 50


async def test_a_journal_that_was_read_once_is_read_without_the_writer(driver, monkeypatch):
    store = Store(driver)
    head = await store.append(['ha'], '')
    monkeypatch.setattr(driver._store.writer, 'run', None)
    assert (await store.since(head)) == (head, [])
