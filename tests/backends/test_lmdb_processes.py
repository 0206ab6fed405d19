"""An LMDB store in several processes, which are killed, stopped and forked while they use it."""

import asyncio
import os
import random
import shutil
import signal
from pathlib import Path
from zlib import crc32

import pytest
from aiocache.serializers import NullSerializer

from fastapi_caching_route import FastAPICache, LMDBCache
from fastapi_caching_route._backends import lmdb_environment, lmdb_files, lmdb_writer
from fastapi_caching_route._backends.lmdb_driver import LMDBDriver
from fastapi_caching_route._backends.lmdb_files import INNER, LOCK_BYTES, alone
from fastapi_caching_route._store.wire import Wire
from tests.backends.lmdb_workers import consistent, hear, is_stopped, worker
from tests.servers import wait_until
from tests.support import caching_router, client_of, marks, until

STOPS_IN_A_WRITE = """
    def stop(table):
        table.put(b'torn', b'x', 60)
        os.kill(os.getpid(), signal.SIGSTOP)
        time.sleep(0.5)  # it may go on for a moment

    asyncio.run(cache.set('before', 'x'))
    asyncio.run(cache.store.write(stop))
    say('went on')
"""


@pytest.fixture
def folder(tmp_path):
    return tmp_path / 'store'


@pytest.fixture
def cache(folder):
    return LMDBCache(folder, max_bytes=4_000_000, serializer=NullSerializer())


async def test_three_processes_count_exactly(folder, cache):
    code = """
        async def count():
            for _ in range(200):
                await asyncio.gather(*(cache.increment('n') for _ in range(100)))
        asyncio.run(count())
        say('done')
    """
    with worker(folder, code) as one, worker(folder, code) as two, worker(folder, code) as three:
        assert [hear(it, 60) for it in (one, two, three)] == ['done'] * 3
    assert await cache.get('n') == '60000'


async def test_after_a_kill_in_the_middle_of_writes_nothing_is_torn_and_the_next_writer_goes_on(folder, cache):
    code = """
        async def fill():
            say('begins')
            for number in range(10**9):
                await asyncio.gather(*(
                    cache.store.put(f'k{(number * 7 + it) % 500}', whole(number, number * 37 % 3000), 60)
                    for it in range(5)
                ))
        asyncio.run(fill())
    """
    dice = random.Random(1)
    for turn in range(8):
        with worker(folder, code) as process:
            assert hear(process) == 'begins'
            await asyncio.sleep(0.02 + dice.random() * 0.1)
            process.kill()
            assert await cache.set(f'turn{turn}', 'x', ttl=60, timeout=60)
        found = cache.store.read([f'k{number}' for number in range(500)])
        assert all(it is None or crc32(it[4:]).to_bytes(4, 'big') == it[:4] for it in found)
        assert any(found)
        assert consistent(cache)
    assert await cache.multi_get([f'turn{turn}' for turn in range(8)]) == ['x'] * 8


async def test_while_a_process_is_stopped_inside_a_write_others_read_and_their_writes_time_out(folder, cache):
    with worker(folder, STOPS_IN_A_WRITE) as process:
        assert await asyncio.to_thread(is_stopped, process)
        assert await cache.multi_get(['before', 'torn'], timeout=60) == ['x', None]
        for _ in range(2):
            with pytest.raises(asyncio.TimeoutError):
                await cache.set('key', 'value', timeout=0.05)
        assert await cache.get('before') == 'x'
        process.send_signal(signal.SIGCONT)
        assert await asyncio.to_thread(hear, process) == 'went on'
        assert await cache.set('key', 'value')
    assert await cache.multi_get(['torn', 'key']) == ['x', 'value']


async def test_after_a_kill_inside_a_write_nothing_of_it_is_left(folder, cache):
    with worker(folder, STOPS_IN_A_WRITE) as process:
        assert await asyncio.to_thread(is_stopped, process)
        waiting = asyncio.ensure_future(cache.set('key', 'value'))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        process.kill()
        assert await waiting
    assert await cache.multi_get(['torn', 'key', 'before']) == [None, 'value', 'x']
    assert consistent(cache)


async def test_if_too_many_writes_wait_the_next_one_fails_at_once(folder, cache, monkeypatch):
    monkeypatch.setattr(lmdb_writer, 'MAX_WAITING', 5)
    with worker(folder, STOPS_IN_A_WRITE) as process:
        assert await asyncio.to_thread(is_stopped, process)
        first = asyncio.ensure_future(cache.set('first', 'x'))
        await until(cache.store.environment.writing.locked)  # the thread waits with it
        waiting = [asyncio.ensure_future(cache.set('key', str(number))) for number in range(20)]
        await until(lambda: sum(it.done() for it in waiting) == 15)
        refused = [it for it in waiting if it.done()]
        assert len(refused) == 15
        assert {str(it.exception()) for it in refused} == {'5 write operations wait for the LMDB store already'}
        process.send_signal(signal.SIGCONT)
        await asyncio.wait([first, *waiting])


async def test_so_many_bytes_wait_at_most(folder, cache, monkeypatch):
    monkeypatch.setattr(lmdb_writer, 'MAX_WAITING_BYTES', 1000)
    with worker(folder, STOPS_IN_A_WRITE) as process:
        assert await asyncio.to_thread(is_stopped, process)
        first = asyncio.ensure_future(cache.set('first', 'x'))
        await until(cache.store.environment.writing.locked)  # the thread waits with it
        waiting = [asyncio.ensure_future(cache.set('key', 'x' * 400)) for _ in range(5)]
        await until(lambda: sum(it.done() for it in waiting) == 3)
        process.kill()
        stored = [it for it in await asyncio.gather(*waiting, return_exceptions=True) if it is True]
        assert await first
    assert len(stored) == 2


async def test_what_nobody_waits_for_any_more_is_not_stored(folder, cache):
    with worker(folder, STOPS_IN_A_WRITE) as process:
        assert await asyncio.to_thread(is_stopped, process)
        first = asyncio.ensure_future(cache.set('first', 'x'))
        await until(cache.store.environment.writing.locked)  # the thread waits with it
        with pytest.raises(asyncio.TimeoutError):
            await cache.set('key', 'value', timeout=0.05)
        process.kill()
        assert await first
    assert await cache.get('key') is None


def test_requests_are_answered_while_a_process_is_stopped_inside_a_write(folder, cache):
    backend, router, runs = FastAPICache(cache, store_timeout=1), caching_router(), []

    @router.get('/{number}')
    @backend(ttl=60)
    async def endpoint(number: int):
        runs.append(number)
        return number

    with client_of(router) as client:
        wait_until(lambda: marks(client.get('/1')) == ['HIT'])
        runs.clear()
        with worker(folder, STOPS_IN_A_WRITE) as process:
            assert is_stopped(process)
            assert [client.get('/1').json(), client.get('/2').json()] == [1, 2]
            assert runs == [2]
        assert client.get('/3').json() == 3


# Fork


def in_child(work):
    """What a forked child returns."""
    receiving, sending = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(sending, repr(work()).encode())
        finally:
            os._exit(0)
    os.close(sending)
    with os.fdopen(receiving) as pipe:
        said = pipe.read()
    os.waitpid(pid, 0)
    return said


def test_a_forked_child_reads_and_writes(cache):
    asyncio.run(cache.set('of the parent', 'p'))

    def work():
        before = cache.store.read(['of the parent'])
        asyncio.run(cache.set('of the child', 'c'))
        return before, cache.store.read(['of the child'])

    assert in_child(work) == repr(([b'p'], [b'c']))
    assert cache.store.read(['of the parent', 'of the child']) == [b'p', b'c']
    asyncio.run(cache.set('after', 'x'))
    assert in_child(lambda: in_child(lambda: cache.store.read(['after']))) == repr(repr([b'x']))


def test_a_fork_while_threads_read_and_write_disturbs_neither(cache):
    async def work():
        await cache.set('k', 'v')
        for turn in range(20):
            writing = [asyncio.ensure_future(cache.set(f'k{it}', 'v' * 5000)) for it in range(20)]
            reading = [asyncio.to_thread(cache.store.read, ['k'] * 500) for _ in range(3)]
            found = asyncio.gather(*reading)
            await asyncio.sleep(0.001 * (turn % 3))
            assert in_child(lambda: cache.store.read(['k'])) == repr([b'v'])
            assert await asyncio.gather(*writing) == [True] * 20
            assert await found == [[b'v'] * 500] * 3

    asyncio.run(work())
    assert consistent(cache)


def test_a_fork_does_not_wait_for_a_process_that_is_stopped(folder, cache, monkeypatch):
    monkeypatch.setattr(lmdb_environment, 'WAIT_TO_FORK', 0.1)

    def work():
        try:
            return cache.store.read(['before'])
        except ConnectionError as error:
            return str(error)

    async def fork():
        waiting = asyncio.ensure_future(cache.set('key', 'value'))
        await until(cache.store.environment.writing.locked)  # the thread waits with it
        assert 'forked while another one held the lock' in in_child(work)
        process.kill()
        assert await waiting

    with worker(folder, STOPS_IN_A_WRITE) as process:
        assert is_stopped(process)
        asyncio.run(fork())
    assert in_child(work) == repr([b'x'])


# The folder


REPEATS = """
    for line in sys.stdin:
        key, value = line.split()
        if value != '?':
            asyncio.run(cache.set(key, value))
        say(asyncio.run(cache.get(key)))
"""


def ask(process, key, value='?'):
    process.stdin.write(f'{key} {value}\n')
    process.stdin.flush()
    return hear(process)


def delete_folder(folder):
    shutil.rmtree(folder)


def move_folder(folder):
    folder.rename(folder.with_name('moved'))


def delete_the_values(folder):
    (folder / INNER / 'data.mdb').unlink()


def delete_the_locks(folder):
    (folder / INNER / 'lock.mdb').unlink()


def delete_the_inner_folder(folder):
    shutil.rmtree(folder / INNER)


DELETIONS = (delete_folder, delete_the_values, delete_the_locks, delete_the_inner_folder, move_folder)


@pytest.mark.parametrize('settled', [0.1, 0])
async def test_a_folder_that_is_deleted_while_processes_use_it_is_opened_anew_by_all(folder, cache, settled):
    with worker(folder, REPEATS) as one, worker(folder, REPEATS) as other:
        for delete in DELETIONS:
            assert ask(one, 'a', '1') == ask(other, 'a') == await cache.get('a') == '1'
            await asyncio.sleep(settled)
            assert await cache.get('a') == '1'
            delete(folder)
            if delete is move_folder:
                await asyncio.sleep(lmdb_environment.SAME_PATH)
            assert await cache.get('a') is None
            assert ask(one, 'a') == 'None'
            assert ask(other, 'a', '2') == '2'
            assert ask(one, 'a') == await cache.get('a') == '2'
            await cache.set('a', '3')
            assert [ask(one, 'a'), ask(other, 'a')] == ['3', '3']


async def test_what_is_written_to_a_folder_that_is_replaced_meanwhile_is_written_again(folder, cache):
    await cache.set('a', '1')

    def operation(table):
        table.put(b'a', b'2', 60)
        if not replaced:
            replaced.append(True)
            cache.store.environment.replace()

    replaced = []
    await cache.store.write(operation)
    assert cache.store.read(['a']) == [b'2']


async def test_an_invalidation_that_is_written_to_a_folder_that_is_moved_meanwhile_is_written_again(folder, cache):
    await cache.set('a', '1')
    await asyncio.sleep(0.1)
    assert await cache.get('a') == '1'

    def operation(table):
        table.put(b'a', b'2', 60)
        if not folder.with_name('moved').exists():
            move_folder(folder)

    await cache.store.write(operation, even_if_full=True)
    assert cache.store.read(['a']) == [b'2']
    assert (folder / INNER / 'data.mdb').exists()


async def test_a_deletion_is_noticed_even_if_the_clock_of_the_file_system_has_not_ticked(folder, cache, monkeypatch):
    monkeypatch.setattr(lmdb_environment, 'SETTLED', 10**10)
    await cache.set('a', '1')
    assert await cache.get('a') == '1'
    inner = folder / INNER
    before = inner.stat()
    delete_the_values(folder)
    os.utime(inner, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert await cache.get('a') is None


async def test_only_one_process_opens_a_folder_at_a_time(folder, cache, monkeypatch):
    monkeypatch.setattr(lmdb_environment, 'WAIT_TO_OPEN', 0.05)
    monkeypatch.setattr(lmdb_environment, 'PAUSE', 600)
    with alone(folder, 1):
        with pytest.raises(TimeoutError, match='another process has been opening'):
            await cache.get('a')
        with pytest.raises(ConnectionError, match='another process has been opening'):  # it is left alone for a while
            await cache.get('a')
    monkeypatch.setattr(lmdb_environment, 'PAUSE', 0)
    assert await cache.get('a') is None


async def test_files_of_one_lock_only_are_used_together(folder, cache):
    await cache.set('a', '1')
    locks = (folder / INNER / 'lock.mdb').stat().st_ino
    delete_the_values(folder)
    await cache.get('a')
    assert (folder / INNER / 'lock.mdb').stat().st_ino != locks


async def test_the_space_of_the_locks_is_on_the_disk_before_they_are_used_as_memory(folder, cache):
    await cache.get('a')
    found = (folder / INNER / 'lock.mdb').stat()
    assert found.st_size == LOCK_BYTES
    assert found.st_blocks * 512 >= LOCK_BYTES


async def test_processes_that_start_together_make_one_folder(folder):
    code = """
        sys.stdin.readline()
        asyncio.run(cache.increment('n'))
        say(cache.store.environment.current().files)
    """
    code = code.replace('sys.stdin.readline()', 'sys.stdin.readline(); cache = LMDBCache(sys.argv[1] + "/deep/er")')
    with worker(folder, code) as one, worker(folder, code) as two, worker(folder, code) as three:
        for it in (one, two, three):
            it.stdin.write('\n')
        for it in (one, two, three):
            it.stdin.flush()
        assert len({hear(it) for it in (one, two, three)}) == 1
    assert await LMDBCache(folder / 'deep' / 'er').get('n') == 3


async def test_a_file_that_is_no_store_is_set_aside(folder, cache):
    await cache.set('a', '1')
    await cache.close()
    data = folder / INNER / 'data.mdb'
    data.write_bytes(b'no such thing' * 10_000)
    assert await cache.get('a') is None
    await cache.set('a', '2')
    assert await cache.get('a') == '2'


async def test_after_a_restart_of_the_machine_it_begins_anew_and_what_was_left_is_removed(folder, cache):
    # Without a sync to the disk, the files of a machine that has crashed may be torn.
    for left in ('v1-of-another-boot', f'{INNER}-0123456789abcdef'):
        (folder / left).mkdir()
        (folder / left / 'data.mdb').write_bytes(b'torn')
    (folder / 'v2-of-a-later-version').mkdir()
    await cache.set('a', '1')
    assert {it.name for it in folder.iterdir()} == {INNER, 'v2-of-a-later-version'}


def test_the_files_have_the_name_of_the_boot():
    assert Path(lmdb_files.BOOT).read_text().strip() in INNER
    assert lmdb_files.inner_name('/no/such/file') == 'v1-unknown'


async def test_a_folder_that_becomes_unsafe_is_not_used(folder, cache):
    await cache.set('a', '1')
    shutil.rmtree(folder)
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    for _ in range(2):
        with pytest.raises((ValueError, ConnectionError), match='others may use it'):
            await cache.get('a')


async def test_the_readers_of_killed_processes_are_forgotten(folder, cache):
    code = """
        asyncio.run(cache.set('a', '1'))
        txn = cache.store.environment.current().env.begin()
        txn.get(b'va')
        say('reads')
        time.sleep(60)
    """
    assert await cache.get('a') is None
    with worker(folder, code) as process:
        assert hear(process) == 'reads'
    env = cache.store.environment.current().env
    assert str(process.pid) in env.readers()
    cache.store.environment.check_readers()
    assert str(process.pid) not in env.readers()


async def test_a_journal_of_one_process_is_that_of_all(folder, cache):
    code = """
        from fastapi_caching_route._backends.lmdb_driver import LMDBDriver
        from fastapi_caching_route._store.wire import Wire
        driver = LMDBDriver(cache, Wire(()))
        async def append():
            for number in range(300):
                await driver.journal('journal', None, [f'h{number}', 'hshared'], '')
        asyncio.run(append())
        say('done')
    """
    with worker(folder, code) as one, worker(folder, code) as two:
        assert [hear(one), hear(two)] == ['done', 'done']
    tail = await LMDBDriver(cache, Wire(())).journal('journal', None, (), '')
    assert tail.head.place == 600
    assert len(tail.texts) == 601 + 300 + 1
    assert dict(tail.texts)['hshared'] == 600
