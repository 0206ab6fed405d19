"""What is kept in an LMDB store, and what has to go: bounds, expiry, eviction, a full map and a full disk."""

import asyncio
import errno
import os
import random
import time

import lmdb
import pytest
from aiocache.serializers import NullSerializer

from fastapi_caching_route import LMDBCache
from fastapi_caching_route._backends import lmdb_environment, lmdb_table, lmdb_writer
from fastapi_caching_route._backends.lmdb_driver import LMDBDriver
from fastapi_caching_route._backends.lmdb_table import FREED_AT_ONCE, VALUE, Table
from fastapi_caching_route._store.wire import Wire
from tests.backends.lmdb_workers import all_rows, consistent, hear, worker

MB = 1024 * 1024


@pytest.fixture
def new_cache(tmp_path):
    return lambda **options: LMDBCache(tmp_path / 'store', serializer=NullSerializer(), **options)


def taken(cache):
    return cache.store.look(Table.taken)


def keys(cache):
    return {key[1:].decode() for key, _ in all_rows(cache) if key[:1] == VALUE}


async def put_many(cache, count, value, span=60, name='k'):
    for first in range(0, count, 100):
        puts = (cache.store.put(f'{name}{it}', value(it), span) for it in range(first, min(first + 100, count)))
        assert await asyncio.gather(*puts) == [True] * min(100, count - first)


# Bounds


@pytest.mark.parametrize('sizes', [(0, 100), (100, 3000), (3000, 20_000), (0, 200_000)])
async def test_it_never_takes_more_than_it_may_and_its_file_is_bounded(new_cache, sizes):
    cache, dice = new_cache(max_bytes=MB), random.Random(1)
    for _ in range(60):
        puts = (cache.store.put(f'k{dice.randrange(10**6)}', b'x' * dice.randint(*sizes), 60) for _ in range(50))
        assert all(await asyncio.gather(*puts))
        assert taken(cache) <= MB
    assert taken(cache) > MB / 2
    assert consistent(cache)
    assert cache.store.environment.size() < 16 * MB


async def test_what_is_replaced_or_deleted_leaves_nothing(new_cache):
    cache = new_cache()
    await put_many(cache, 300, lambda _: b'x' * 3000)
    await put_many(cache, 300, lambda _: b'y', span=None)
    assert consistent(cache)
    for number in range(300):
        assert await cache.delete(f'k{number}') == 1
    rows = all_rows(cache)
    assert [key for key, _ in rows] == [lmdb_table.COUNTS]
    assert rows[0][1].startswith(bytes(24))


async def test_a_store_whose_limit_was_lowered_shrinks_step_by_step(new_cache, monkeypatch):
    monkeypatch.setattr(lmdb_writer, 'EVICTED_AT_ONCE', 50)
    cache = new_cache(max_bytes=4 * MB)
    await put_many(cache, 2000, lambda _: b'x' * 1000)
    cache.store.environment.max_bytes = cache.store.writer._most = MB
    before = len(keys(cache))
    await cache.set('one', 'x')
    assert before - len(keys(cache)) in range(40, 51)
    for number in range(50):
        await cache.set(f'more{number}', 'x')
    assert taken(cache) <= MB
    assert consistent(cache)


# Expiry


async def test_what_has_expired_is_freed_without_being_asked_for(new_cache, later):
    cache = new_cache()
    await put_many(cache, 100, lambda _: b'', span=60)
    later(61)
    for number in range(5):
        await cache.set(f'new{number}', 'x')
        assert len(keys(cache)) == max(0, 100 - (number + 1) * FREED_AT_ONCE) + number + 1
    assert consistent(cache)


async def test_what_has_expired_is_freed_before_anything_is_evicted(new_cache, later):
    cache = new_cache(max_bytes=MB)
    await put_many(cache, 50, lambda _: b'x' * 1000, span=600, name='old')
    await put_many(cache, 400, lambda _: b'x' * 1000, span=60)
    later(61)
    await put_many(cache, 300, lambda _: b'x' * 1000, span=600, name='new')
    assert {f'old{number}' for number in range(50)} < keys(cache)


async def test_what_is_renewed_does_not_end_with_what_it_was(new_cache, later):
    cache = new_cache()
    await cache.set('a', '1', ttl=60)
    await cache.set('a', '2', ttl=600)
    await cache.set('b', '1', ttl=600)
    await cache.expire('b', 60)
    later(61)
    await cache.set('c', '1')
    assert await cache.multi_get(['a', 'b']) == ['2', None]
    assert keys(cache) == {'a', 'c'}


async def test_an_expired_value_is_none_for_every_command(new_cache, later):
    cache = new_cache()
    for key in 'abcde':
        await cache.set(key, '1', ttl=60)
    later(61)
    assert await cache.get('a') is None
    assert await cache.exists('a') is False
    assert await cache.expire('a', 60) is False
    assert await cache.increment('b') == 1
    assert await cache.delete('c') == 0
    assert await cache._redlock_release('d', '1') == 0
    assert await cache._set('d', '2', _cas_token='1') == 0
    assert await cache.add('e', '1') is True


# Eviction


async def test_hot_keys_stay_while_others_are_asked_for_once_each(new_cache):
    cache, dice = new_cache(max_bytes=MB), random.Random(1)
    hits = asked = 0

    async def ask(key):
        found = cache.store.read([key])[0]
        if found is None:
            await cache.store.put(key, b'x' * 1000, 60)
        return found is not None

    for number in range(20_000):
        await ask(f'once{number}')
        if dice.random() < 0.2:
            hit = await ask(f'hot{dice.randrange(50)}')
            if number > 2000:
                hits, asked = hits + hit, asked + 1
    assert hits / asked > 0.95


async def test_a_key_that_was_used_outlives_those_that_were_not(new_cache):
    cache = new_cache(max_bytes=MB)
    await put_many(cache, 50, lambda _: b'x' * 1000, name='used')
    assert all(cache.store.read([f'used{number}' for number in range(50)]))
    await put_many(cache, 3000, lambda _: b'x' * 1000)
    assert {f'used{number}' for number in range(50)} < keys(cache)
    assert consistent(cache)


async def test_a_key_that_is_stored_anew_is_not_evicted_because_it_is_old(new_cache):
    cache = new_cache(max_bytes=MB)
    await put_many(cache, 20, lambda _: b'x' * 1000, name='old')
    for _ in range(30):
        await put_many(cache, 50, lambda it: b'x' * 1000, name=f'{_}-')
        await put_many(cache, 20, lambda _: b'y' * 1000, name='old')
        assert {f'old{number}' for number in range(20)} < keys(cache)


async def test_a_key_that_is_used_no_longer_goes_in_the_end(new_cache):
    cache = new_cache(max_bytes=MB)
    for number in range(5000):
        await put_many(cache, 1, lambda _: b'x' * 1000, name=f'{number}-')
        cache.store.read([f'{number}-0'])
    assert '0-0' not in keys(cache)
    assert taken(cache) <= MB
    assert consistent(cache)


async def test_uses_are_noted_by_a_process_that_only_reads(new_cache):
    cache = new_cache()
    await cache.set('a', '1')
    await cache.get('a')
    deadline = time.monotonic() + 60
    while not cache.store.look(lambda table: table._meta(b'a').uses):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


async def test_the_head_of_a_journal_is_not_evicted(new_cache):
    cache = new_cache(max_bytes=MB)
    driver = LMDBDriver(cache, Wire(()))
    head = str((await driver.journal('journal', None, ['ha'], '')).head)
    await put_many(cache, 3000, lambda _: b'x' * 1000)
    assert driver.read_at_once(['journal']) == [head]


# A full map, a full disk


async def test_a_full_map_raises_at_no_command_and_an_invalidation_always_succeeds(new_cache, monkeypatch):
    monkeypatch.setattr(lmdb_environment, 'map_size', lambda _: MB)
    cache, dice = new_cache(max_bytes=4 * MB), random.Random(1)
    driver, stored, heads = LMDBDriver(cache, Wire(())), [], []
    for number in range(300):
        stored += await asyncio.gather(
            *(cache.store.put(f'k{dice.randrange(10**6)}', b'x' * dice.randrange(40_000), 60) for _ in range(5))
        )
        heads.append(str((await driver.journal('journal', None, [f'h{number}'], '')).head))
        assert driver.read_at_once(['journal']) == [heads[-1]]
    assert stored.count(True) > 1000
    assert consistent(cache)


async def test_an_invalidation_succeeds_even_if_nothing_can_be_freed(new_cache, monkeypatch, caplog):
    monkeypatch.setattr(lmdb_environment, 'map_size', lambda _: MB)
    cache = new_cache(max_bytes=4 * MB)
    driver = LMDBDriver(cache, Wire(()))
    head = str((await driver.journal('journal', None, ['ha'], '')).head)
    env = cache.store.environment.current().env
    with env.begin() as reader:  # a stopped process, in a look-up: no page that it may read can be used again
        reader.get(b'x')
        stored = [await cache.store.put(f'k{number}', b'x' * 10_000, 60) for number in range(200)]
        assert stored[0] is True
        assert stored[-1] is False
        assert await cache._set('k', 'x' * 10_000) is False
        assert await cache._add('k', 'x' * 10_000) is False
        heads = [str((await driver.journal('journal', None, [f'h{number}' * 50], '')).head) for number in range(100)]
    assert driver.read_at_once(['journal']) == [heads[-1]]
    assert heads[-1].split(' ')[0] != head.split(' ', maxsplit=1)[0]
    assert await cache.set('k', 'x') is True
    assert 'are deleted, because its map has no room' in caplog.text


async def test_a_full_disk_raises_at_no_command_and_an_invalidation_succeeds(small_disk):
    cache, dice = LMDBCache(small_disk / 'store', max_bytes=4 * MB), random.Random(1)
    driver, stored = LMDBDriver(cache, Wire(())), []
    for number in range(200):
        stored += [await cache.store.put(f'k{dice.randrange(10**6)}', b'x' * dice.randrange(20_000), 60)]
        head = str((await driver.journal('journal', None, [f'h{number}'], '')).head)
        assert driver.read_at_once(['journal']) == [head]
    assert stored.count(True) > 150


def fail_without_space(table):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


async def test_a_disk_that_others_fill_again_and_again_empties_the_store_once(new_cache, caplog):
    cache = new_cache()
    for _ in range(3):
        with pytest.raises(OSError, match='No space left'):
            await cache.store.write(fail_without_space)
    assert caplog.text.count('because its disk has no room') == 1


async def test_after_a_full_disk_half_of_what_was_used_is_used(new_cache):
    cache = new_cache(max_bytes=4 * MB)
    await put_many(cache, 300, lambda _: b'x' * 5000)
    most = cache.store.environment.size() / 2
    with pytest.raises(OSError, match='No space left'):
        await cache.store.write(fail_without_space)
    await put_many(cache, 300, lambda _: b'x' * 5000)
    assert most / 2 < taken(cache) < most * 1.1


async def test_a_full_disk_is_used_as_far_as_it_goes(small_disk, caplog, monkeypatch):
    monkeypatch.setattr(lmdb_writer, 'START_OVER', 0)
    cache, dice = LMDBCache(small_disk / 'store', max_bytes=4 * MB), random.Random(1)
    stored = [await cache.store.put(f'k{it}', b'x' * dice.randrange(20_000), 60) for it in range(1000)]
    assert stored.count(True) > 950
    assert stored[-100:] == [True] * 100
    assert caplog.text.count('because its disk has no room') == 1
    assert len(keys(cache)) > 10
    assert consistent(cache)


@pytest.mark.parametrize('first', ['reads', 'writes', 'reads while it writes'])
async def test_a_process_with_a_smaller_map_reads_and_writes_what_others_have_stored(tmp_path, monkeypatch, first):
    monkeypatch.setattr(lmdb_environment, 'HEADROOM', 0)
    cache = LMDBCache(tmp_path / 'store', max_bytes=MB)
    await cache.set('a', 'x')
    code = """
        async def fill():
            await asyncio.gather(*(cache.set(f'k{it}', 'x' * 100_000) for it in range(100)))
            await cache.set('last', '5')
        asyncio.run(fill())
        say('done')
    """
    with worker(tmp_path / 'store', code, max_bytes=50 * MB) as process:
        assert hear(process) == 'done'
    if first == 'reads while it writes':
        with cache.store.environment.writing, pytest.raises(lmdb.MapResizedError):
            await cache.get('a')
    if first == 'writes':
        assert await cache.set('a', 'x') is True
    else:
        assert await cache.get('last') == 5
    assert await cache.set('a', 'y') is True
    assert await cache.get('a') == 'y'


async def test_an_operation_that_fails_does_not_fail_those_that_share_its_transaction(new_cache):
    cache = new_cache()

    def fail(table):
        table.put(b'half', b'x', 60)
        raise ArithmeticError

    outcomes = await asyncio.gather(
        cache.set('a', '1'), cache.store.write(fail), cache.set('b', '2'), return_exceptions=True
    )
    assert [type(it) for it in outcomes] == [bool, ArithmeticError, bool]
    assert await cache.multi_get(['a', 'half', 'b']) == ['1', None, '2']
    assert consistent(cache)
