"""An LMDB store in trouble: its thread goes on, whatever fails, and all is well once the trouble is over."""

import asyncio
import errno
import math
import os
import time
from functools import partial

import lmdb
import pytest
from aiocache.serializers import NullSerializer

from fastapi_caching_route import ConfigurationError, FastAPICache, InvalidationError, LMDBCache
from fastapi_caching_route._backends import lmdb_environment, lmdb_writer
from fastapi_caching_route._backends.lmdb_driver import LMDBDriver
from fastapi_caching_route._backends.lmdb_files import INNER
from fastapi_caching_route._backends.lmdb_pairs import PairReader
from fastapi_caching_route._backends.lmdb_table import META, PLACES, SMALL, DamageError
from fastapi_caching_route._concurrency.observers import Observers
from fastapi_caching_route._store.wire import Wire
from fastapi_caching_route.events import Evicted
from tests.support import caching_router, client_of, marks, until

MB = 1024 * 1024
NO_SPACE = os.strerror(errno.ENOSPC)


@pytest.fixture
def cache(tmp_path):
    return LMDBCache(tmp_path / 'store', serializer=NullSerializer())


def raising(error):
    def fail(*_, **__):
        raise error

    return fail


def fail_without_space(table):
    raise OSError(errno.ENOSPC, NO_SPACE)


# The thread that writes


@pytest.mark.parametrize('part', ['current', 'check_readers', 'size', 'close', 'replace', '_close'])
@pytest.mark.parametrize(
    'error',
    [
        OSError(errno.ENOSPC, NO_SPACE),
        ConnectionError(f'OSError: {NO_SPACE}'),
        lmdb.Error('mdb_get: trouble'),
        lmdb.MapFullError('full'),
        ConfigurationError('others may use it'),
        SystemExit('1'),
    ],
    ids=lambda it: type(it).__name__,
)
async def test_the_thread_goes_on_whatever_fails_while_it_makes_room(cache, monkeypatch, part, error):
    await cache.set('before', '1')
    thread = cache.store.writer._thread
    monkeypatch.setattr(cache.store.environment, part, raising(error))
    with pytest.raises((OSError, lmdb.Error, ValueError, RuntimeError)):
        await asyncio.wait_for(cache.store.write(fail_without_space, even_if_full=True), 5)
    monkeypatch.undo()
    assert await cache.set('after', '1') is True
    assert thread is cache.store.writer._thread is not None
    assert cache.store.read(['after']) == [b'1']


@pytest.mark.parametrize('error', [SystemExit(1), StopIteration(), asyncio.CancelledError()])
async def test_what_an_operation_raises_is_for_its_caller_and_does_not_end_the_thread(cache, error):
    await cache.set('before', '1')
    thread = cache.store.writer._thread
    with pytest.raises(RuntimeError, match=type(error).__name__):
        await asyncio.wait_for(cache.store.write(raising(error)), 5)
    assert await cache.set('after', '1') is True
    assert thread is cache.store.writer._thread is not None


async def test_an_observer_that_exits_does_not_end_the_thread(cache):
    writer, observers = cache.store.writer, Observers([raising(SystemExit())])
    writer.observers.add(observers)
    await cache.set('before', '1')
    thread = writer._thread
    with writer._changed:
        writer._evicted.append(Evicted(store='lmdb', entries=1, bytes=1))
        writer.used.add(b'before')  # the thread writes that, with no event loop to tell observers in
        writer._changed.notify()
    await until(lambda: not writer._evicted)
    assert await cache.set('after', '1') is True
    assert thread is writer._thread


@pytest.mark.filterwarnings('ignore::pytest.PytestUnhandledThreadExceptionWarning')
async def test_if_the_thread_has_ended_nevertheless_the_next_write_begins_another(cache, monkeypatch):
    writer = cache.store.writer
    monkeypatch.setattr(writer, '_next', raising(SystemExit()))  # of which nobody is told
    waiting = asyncio.ensure_future(cache.store.put('first', b'1', 60))
    await asyncio.sleep(0)
    await asyncio.to_thread(writer._thread.join)
    monkeypatch.undo()
    assert not waiting.done()
    assert await cache.set('second', '1') is True
    assert await asyncio.wait_for(waiting, 5) is True
    assert cache.store.read(['first', 'second']) == [b'1', b'1']


async def test_if_no_thread_can_begin_an_operation_fails_at_once_and_is_forgotten(cache, monkeypatch):
    monkeypatch.setattr(lmdb_writer.Thread, 'start', raising(RuntimeError("can't start new thread")))
    with pytest.raises(RuntimeError, match="can't start new thread"):
        await asyncio.wait_for(cache.store.put('first', b'1', 60), 5)
    monkeypatch.undo()
    assert await cache.set('second', '1') is True
    assert cache.store.read(['first', 'second']) == [None, b'1']


# A full disk


@pytest.fixture
def full_disk(small_disk):
    """A disk without room, and what frees it."""
    junk = small_disk / 'junk'

    def fill():
        with junk.open('ab', buffering=0) as file:
            try:
                while file.write(b'x' * 4096):
                    pass
            except OSError:
                return

    fill()
    return small_disk, junk.unlink


def test_a_process_that_starts_while_the_disk_is_full_caches_when_there_is_room(full_disk, monkeypatch, caplog):
    disk, free = full_disk
    monkeypatch.setattr(lmdb_environment, 'PAUSE', 0.2)
    cache, router = FastAPICache(LMDBCache(disk / 'store')), caching_router()

    @router.get('/')
    @cache(ttl=60)
    async def endpoint():
        return 1

    with client_of(router, lifespan=cache.lifespan) as client:
        for _ in range(5):
            assert client.get('/').json() == 1
        free()
        late = time.monotonic() + 60
        while marks(client.get('/')) != ['HIT'] and time.monotonic() < late:
            time.sleep(0.05)
        assert marks(client.get('/')) == ['HIT']
    assert 'are deleted' not in caplog.text  # there was nothing


async def test_what_is_invalidated_while_the_disk_is_full_is_invalidated_when_there_is_room(full_disk, monkeypatch):
    disk, free = full_disk
    monkeypatch.setattr(lmdb_environment, 'PAUSE', 0.2)
    cache = FastAPICache(LMDBCache(disk / 'store'))
    async with cache:
        with pytest.raises(InvalidationError):
            await cache.invalidate_tags('a')
        await asyncio.sleep(0.5)
        assert cache.stats().store.pending_invalidations == 1
        free()
        await until(lambda: not cache.stats().store.pending_invalidations)


@pytest.fixture
async def halved(tmp_path):
    """A store that uses less, because its disk was full."""
    cache = LMDBCache(tmp_path / 'store', max_bytes=4 * MB, serializer=NullSerializer())
    with pytest.raises(OSError, match=NO_SPACE):
        await cache.store.write(fail_without_space)
    assert cache.store.writer._most < MB
    return cache


async def test_some_time_after_a_full_disk_twice_as_much_is_used_until_it_is_all(halved, monkeypatch):
    writer = halved.store.writer
    limits = [writer._most]
    await halved.set('a', '1')
    assert writer._most == limits[0]  # it was full just now
    monkeypatch.setattr(lmdb_writer, 'USE_MORE_AFTER', 0)
    while limits[-1] < 4 * MB:
        await halved.set('a', '1')
        limits.append(writer._most)
        assert limits[-1] == min(2 * limits[-2], 4 * MB)
    await halved.set('a', '1')
    assert writer._most == 4 * MB


async def test_no_more_is_used_than_the_disk_has_free(halved, monkeypatch):
    writer, environment = halved.store.writer, halved.store.environment
    before = writer._most
    monkeypatch.setattr(lmdb_writer, 'USE_MORE_AFTER', 0)
    monkeypatch.setattr(lmdb_writer, 'free_bytes', lambda _: 0)
    for _ in range(20):
        await halved.set('a', '1')
    assert before <= writer._most <= max(before, environment.size())


async def test_while_writes_fail_for_lack_of_room_no_more_is_used(halved):
    writer = halved.store.writer
    before, writer._no_room_at = writer._most, -math.inf
    use_more, writer._use_more = writer._use_more, str  # not as this write begins
    with pytest.raises(OSError, match=NO_SPACE):
        await halved.store.write(fail_without_space)
    writer._use_more = use_more
    await halved.set('a', '1')
    assert writer._most == before


# Damage


def damaged(cache):
    """Overwrite all pages of its file but the first two, under which others are found."""
    with (cache.store.environment.folder / INNER / 'data.mdb').open('r+b') as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(8192)
        file.write(b'\xa5' * (size - 8192))


READING = {
    'values': lambda cache: cache.store.read(['a']),
    'tables': lambda cache: cache.stats(),
    'pairs': lambda cache: PairReader(cache.store, Wire(()), 'a').read('b'),
}


@pytest.mark.parametrize('read', READING.values(), ids=READING)
async def test_damaged_files_are_replaced_as_soon_as_they_are_read(cache, caplog, read):
    await cache.set('a', '1')
    damaged(cache)
    with pytest.raises(lmdb.CorruptedError):
        read(cache)
    assert cache.store.read(['a']) == [None]
    assert await cache.set('a', '2') is True
    assert cache.store.read(['a']) == [b'2']
    assert f'the LMDB store {cache.path} is damaged, and is replaced by an empty one: CorruptedError' in caplog.text


async def test_a_write_to_damaged_files_succeeds_in_new_ones(cache):
    await cache.set('a', '1')
    damaged(cache)
    assert await cache.set('b', '2') is True
    assert cache.store.read(['a', 'b']) == [None, b'2']


def lose(table, prefix):
    for row, _ in table.rows(prefix, 100):
        table.txn.delete(row)


def spoil_texts(table):
    for row, _ in table.rows(PLACES, 100):
        table.txn.put(row, b'\xff')


@pytest.mark.parametrize(
    ('lost', 'span'), [(META, 0.5), (META, 60), (SMALL, 60)], ids=['of what has expired', 'of a queue', 'a queue']
)
async def test_rows_that_do_not_fit_together_are_damage(cache, caplog, lost, span):
    assert await cache.store.put('a', b'1', span) is True
    await cache.store.write(partial(lose, prefix=lost))
    await asyncio.sleep(span if span < 1 else 0)
    cache.store.writer._most = 0
    assert await asyncio.wait_for(cache.store.put('b', b'1', 60), 5) is True
    assert 'is damaged, and is replaced by an empty one: DamageError' in caplog.text
    cache.store.writer._most = MB
    assert await cache.store.put('c', b'1', 60) is True
    assert cache.store.read(['a', 'c']) == [None, b'1']


async def test_a_journal_whose_text_is_none_is_damage(cache, caplog):
    driver = LMDBDriver(cache, Wire(()))
    known = (await driver.journal('journal', None, [], '')).head
    await driver.journal('journal', known, ['a'], '')
    await cache.store.write(spoil_texts)
    with pytest.raises(DamageError, match='a text that is none'):
        driver.journal_at_once('journal', known)
    assert 'is damaged, and is replaced by an empty one: DamageError' in caplog.text
    assert (await driver.journal('journal', known, ['b'], '')).head.epoch != known.epoch


async def test_files_that_are_damaged_again_and_again_are_not_replaced_each_time(cache, caplog):
    def operation(table):
        table.put(b'a', b'1', 60)
        runs.append(1)
        raise lmdb.CorruptedError('damaged')

    runs = []
    for _ in range(3):
        with pytest.raises(lmdb.CorruptedError):
            await asyncio.wait_for(cache.store.write(operation), 5)
    assert caplog.text.count('is damaged, and is replaced') == 1
    assert len(runs) == 4


async def test_files_that_another_process_has_replaced_already_stay(cache, monkeypatch):
    await cache.set('a', '1')
    old = cache.store.environment.current()
    cache.store.environment.replace()
    await cache.set('a', '2')
    assert cache.store.environment.has_replaced(old, lmdb.CorruptedError('damaged'))
    assert cache.store.read(['a']) == [b'2']


def test_the_warning_about_a_store_that_cannot_be_read_names_its_folder(cache, monkeypatch, caplog):
    shop, router = FastAPICache(cache), caching_router()

    @router.get('/')
    @shop(ttl=60)
    async def endpoint():
        return 1

    with client_of(router) as client:
        monkeypatch.setattr(cache.store.environment, 'current', raising(lmdb.CorruptedError('damaged')))
        assert [client.get('/').json() for _ in range(4)] == [1] * 4
        monkeypatch.undo()
    assert f'the cache backend at {cache.path} is failing' in caplog.text
