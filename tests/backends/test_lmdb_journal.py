"""Journals in LMDB: how they are kept. What they do is compared with a model in `test_journals`."""

import pytest

from fastapi_caching_route import LMDBCache
from fastapi_caching_route._backends import lmdb_journal
from fastapi_caching_route._backends.journal import JournalHead
from fastapi_caching_route._backends.lmdb_driver import LMDBDriver
from fastapi_caching_route._backends.lmdb_table import MEMBERS, PLACES, VALUE, short
from fastapi_caching_route._store.wire import Wire

KEY, CODEC = 'journal', Wire(())
NAME = KEY.encode()
ROWS = (VALUE + NAME, MEMBERS + short(NAME), PLACES + short(NAME))


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

    async def append(self, *texts):
        return (await self.driver.journal(KEY, None, texts, '')).head

    async def since(self, known):
        return await self.driver.journal(KEY, known, (), '')

    async def saved(self):
        return await self.write(rows_of)

    async def restore(self, rows):
        def restored(table):
            for key, _ in rows_of(table):
                table.txn.delete(key)
            for key, row in rows:
                table.txn.put(key, row)

        await self.write(restored)


async def test_what_was_rolled_back_is_another_epoch_for_who_has_seen_more(driver):
    store = Store(driver)
    await store.append('ha')
    rows = await store.saved()
    seen = await store.append('hb')
    await store.restore(rows)
    other = await store.append('hc')
    assert (other.epoch, other.place) == (seen.epoch, seen.place)
    tail = await store.since(seen)
    assert tail.head.epoch != seen.epoch
    assert [place for _, place in tail.texts] == [0]


async def test_a_head_that_was_rolled_back_alone_is_recognized_too(driver):
    store = Store(driver)
    await store.append('ha')
    [head] = [row for row in await store.saved() if row[0] == VALUE + NAME]
    seen = await store.append('hb')
    await store.restore([head, *(row for row in await store.saved() if row[0] != VALUE + NAME)])
    tail = await store.since(seen)
    assert tail.head.epoch != seen.epoch
    assert [place for _, place in tail.texts] == [0]


async def test_a_journal_whose_head_is_deleted_leaves_no_members(driver):
    store = Store(driver)
    await store.append('ha')
    await driver.erase(KEY)
    assert await store.saved() == []
    assert driver._store.look(lambda table: table.journal_bytes) == 0


async def test_a_long_list_is_returned_in_parts_of_whole_places(driver, monkeypatch):
    monkeypatch.setattr(lmdb_journal, 'MAX_READ', 10)
    store = Store(driver)
    for number in range(12):
        await store.append(*[f'h{number}-{it}' for it in range(6)])
    known, found, parts = None, [], 0
    while True:
        tail = await store.since(known)
        if not tail.texts:
            break
        found += tail.texts
        parts += 1
        place = found[-1][1]
        token = next(it for it, at in tail.texts if at == place and it[0] == '%')
        known = JournalHead(tail.head.epoch, place, token[1:], 0)
    assert parts > 5
    assert len(found) == len(set(found)) == 12 * 7 + 1
    assert known == tail.head


async def test_journals_are_bounded_in_bytes(driver, monkeypatch):
    monkeypatch.setattr(lmdb_journal, 'JOURNAL_BYTES', 100_000)
    store, most = Store(driver), 0
    for number in range(1000):
        await store.append(f'h{number}-{"x" * 200}')
        most = max(most, driver._store.look(lambda table: table.journal_bytes))
    assert most < 102_000
    assert len((await store.since(None)).texts) > 50


async def test_a_journal_that_was_read_once_is_read_without_the_writer(driver, monkeypatch):
    store = Store(driver)
    head = await store.append('ha')
    monkeypatch.setattr(driver._store.writer, 'run', None)
    assert (await store.since(head)).texts == []
