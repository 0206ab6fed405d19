"""Journals in Redis and in LMDB, which must do what the model does that the simulation uses."""

import random

import pytest
import redis.asyncio

from fastapi_caching_route import LMDBCache
from fastapi_caching_route._backends import journal as rules
from fastapi_caching_route._backends import lmdb_journal, redis_journal
from fastapi_caching_route._backends.journal import TOKEN
from fastapi_caching_route._backends.lmdb_driver import LMDBDriver
from fastapi_caching_route._backends.lmdb_table import MEMBERS, PLACES, VALUE, short
from fastapi_caching_route._backends.redis_journal import journal as journal_in_redis
from fastapi_caching_route._store.wire import Wire
from tests.store.journals import ModelJournals

KEY, TEXTS = '{%journal}', '{%journal}:texts'


class InRedis:
    """A journal in a real Redis, and what may happen to it."""

    def __init__(self, port):
        self.client = redis.asyncio.Redis(port=port)

    async def journal(self, known, texts, note):
        return await journal_in_redis(self.client, (KEY, TEXTS), b'fcrm', known=known, texts=texts, note=note)

    async def head(self):
        return (await self.client.get(KEY)).removeprefix(b'fcrm').decode()

    async def lose(self, what):
        await self.client.delete({'head': KEY, 'texts': TEXTS}[what])

    async def copy(self):
        return [await self.client.dump(key) for key in (KEY, TEXTS)]

    async def restore(self, copy):
        await self.client.delete(KEY, TEXTS)
        for key, dumped in zip((KEY, TEXTS), copy, strict=True):
            if dumped is not None:
                await self.client.restore(key, 0, dumped)

    async def close(self):
        await self.client.aclose()


NAME = lmdb_journal.stored_key(KEY)
ROWS = (VALUE + NAME, MEMBERS + short(NAME), PLACES + short(NAME))


def rows_of(table):
    """All that a journal has in LMDB."""
    return [row for prefix in ROWS for row in table.rows(prefix, 10**6)]


class InLMDB:
    """A journal in a real folder."""

    def __init__(self, folder):
        self.backend = LMDBCache(folder)
        self.driver = LMDBDriver(self.backend, Wire(()))

    async def journal(self, known, texts, note):
        return await self.driver.journal(KEY, known, texts, note)

    async def head(self):
        return self.driver.read_at_once([KEY])[0]

    async def lose(self, what):
        if what == 'head':
            await self.driver.erase(KEY)
        else:
            head = self.driver.read_at_once([KEY])[0]
            await self.backend.store.write(lambda table: table.drop_journal(lmdb_journal.stored_key(KEY)))
            if head is not None:
                await self.driver.set(KEY, head, 60)

    async def copy(self):
        return await self.backend.store.write(rows_of)

    async def restore(self, copy):
        def restored(table):
            for key, _ in rows_of(table):
                table.txn.delete(key)
            for key, row in copy:
                table.txn.put(key, row)

        await self.backend.store.write(restored)

    async def close(self):
        await self.backend.close()


@pytest.fixture(params=['redis', 'lmdb'])
async def real(request, tmp_path):
    if request.param == 'redis':
        found = InRedis(request.getfixturevalue('redis_server').port)
    else:
        found = InLMDB(tmp_path / 'store')
    yield found
    await found.close()


@pytest.fixture(autouse=True)
def small(monkeypatch):
    for module in (rules, redis_journal, lmdb_journal):
        monkeypatch.setattr(module, 'MAX_TEXTS', 4)
        monkeypatch.setattr(module, 'MAX_TOKENS', 7)


def without_tokens(tail, epochs):
    """What can be compared: tokens are random, and epochs are numbered as they come."""
    texts = [('%' + text.partition('@')[2] if text.startswith(TOKEN) else text, place) for text, place in tail.texts]
    epoch = epochs.setdefault(tail.head.epoch, len(epochs))
    return epoch, tail.head.place, tail.head.floor, tail.head.token.partition('@')[2], texts


@pytest.mark.parametrize('seed', range(12))
async def test_a_journal_does_what_the_model_does(real, seed):
    rng, kept = random.Random(seed), {}
    model, epochs, epochs_of_model = ModelJournals(kept), {}, {}
    heads, copies = [(None, None)], []

    async def both(known, texts, note):
        found, expected = await real.journal(known[0], texts, note), model.journal(KEY, known[1], texts, note)
        assert without_tokens(found, epochs) == without_tokens(expected, epochs_of_model)
        heads.append((found.head, expected.head))

    for _ in range(60):
        match rng.choice(['append'] * 5 + ['since'] * 5 + ['head', 'texts', 'copy', 'restore']):
            case 'append':
                texts = rng.sample(['ha', 'hb', 'hc', 'sa', 'hé', 'h x'], rng.randrange(1, 4))
                await both(rng.choice(heads[-4:]), texts, rng.choice(['', '17.5']))
            case 'since':
                await both(rng.choice(heads[-6:]), (), '')
            case 'copy':
                copies.append((await real.copy(), dict(kept)))
            case 'restore' if copies:
                in_store, in_model = rng.choice(copies)
                await real.restore(in_store)
                kept.clear()
                kept.update(in_model)
            case 'head' | 'texts' as what:
                await real.lose(what)
                kept.pop(KEY if what == 'head' else TEXTS, None)
            case _:
                pass


async def test_the_head_is_what_is_read_beside_entries(real):
    tail = await real.journal(None, ['ha'], '')
    assert (await real.journal(tail.head, (), '')).head == tail.head
    assert await real.head() == str(tail.head)


async def test_a_journal_is_followed_from_a_place_whose_token_is_gone(real):
    known = (await real.journal(None, ['ha'], '')).head
    for _ in range(rules.MAX_TOKENS):
        await real.journal(None, ['hb'], '')
    tail = await real.journal(known, (), '')
    assert (tail.head.epoch, tail.head.floor) == (known.epoch, 0)
    assert [text for text, _ in tail.texts if not text.startswith(TOKEN)] == ['hb']


async def test_two_journals_do_not_see_each_other(tmp_path):
    driver = LMDBDriver(LMDBCache(tmp_path / 'store'), Wire(()))
    await driver.journal('one', None, ['ha'], '')
    tail = await driver.journal('two', None, ['hb'], '')
    assert tail.head.place == 1
    assert [it for it, _ in (await driver.journal('two', None, (), '')).texts if it[0] == 'h'] == ['hb']


async def test_a_full_redis_takes_what_is_appended(redis_server):
    real = InRedis(redis_server.port)
    first = await real.journal(None, (), '')
    await real.client.config_set('maxmemory', '1')
    try:
        tail = await real.journal(first.head, ['ha'], '')
        assert ('ha', 1) in tail.texts
        await real.lose('head')
        assert (await real.journal(tail.head, ['hb'], '')).head.epoch != first.head.epoch
    finally:
        await real.client.config_set('maxmemory', '0')
        await real.close()
