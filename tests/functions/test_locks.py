"""`cache.lock`: one holder at a time, who is told when the lock is lost."""

import asyncio
import subprocess
import sys
import threading

import pytest
from aiocache import SimpleMemoryCache

from fastapi_caching_route import (
    CacheError,
    ConfigurationError,
    FastAPICache,
    LMDBCache,
    LockLostError,
    LockTimeoutError,
    MemoryCache,
)
from fastapi_caching_route._store.own_tokens import OwnTokens
from tests.functions.holders import hold, overlaps
from tests.servers import ROOT, free_port

HOLDERS = ROOT / 'tests' / 'functions' / 'holders.py'


@pytest.mark.parametrize('kind', ['lmdb', 'redis', 'memcached'])
def test_ten_tasks_in_each_of_two_processes_hold_the_lock_one_at_a_time(kind, request, tmp_path, namespace):
    place = tmp_path / 'store' if kind == 'lmdb' else f'127.0.0.1:{request.getfixturevalue(f"{kind}_port")}'
    url, file = f'{kind}://{place}?namespace={namespace}', tmp_path / 'spans'
    command = [sys.executable, str(HOLDERS), url, str(file), '10']
    processes = [subprocess.Popen(command, cwd=ROOT, env={'PYTHONPATH': str(ROOT)}) for _ in range(2)]  # noqa: S603
    assert [it.wait(timeout=60) for it in processes] == [0, 0]
    assert overlaps(file) == (20, 0)


async def test_ten_tasks_in_each_of_two_threads_hold_the_lock_one_at_a_time(tmp_path):
    backend, file = MemoryCache(), tmp_path / 'spans'

    def run():
        async def main():
            await asyncio.gather(*(hold(FastAPICache(backend), file) for _ in range(10)))

        asyncio.run(main())

    threads = [threading.Thread(target=run) for _ in range(2)]
    for it in threads:
        it.start()
    for it in threads:
        await asyncio.to_thread(it.join)
    assert overlaps(file) == (20, 0)


async def test_a_lock_is_released_for_the_next_one(new_store):
    one, other = new_store(), new_store()
    async with one, other:
        async with one.lock('report', timeout=0):
            with pytest.raises(LockTimeoutError, match="'report' was not free within 0 seconds: another holder has it"):
                async with other.lock('report', timeout=0):
                    pass
            async with other.lock('other', timeout=0), one.lock('third', timeout=0):
                pass
        async with other.lock('report', timeout=5):
            pass
        with pytest.raises(LookupError):
            async with one.lock('report', timeout=5):
                raise LookupError
        async with other.lock('report', timeout=5) as lock:
            await lock.check()
            assert 0 < lock.seconds_left <= 60


async def test_a_holder_that_died_keeps_others_out_until_its_lease_has_ended(new_store):
    one, other = new_store(), new_store()
    async with one, other:
        lock = one.lock('report', timeout=0, lease=3)
        await lock.__aenter__()  # and it is never left, as if its process was killed
        with pytest.raises(LockTimeoutError):
            async with other.lock('report', timeout=0):
                pass
        async with other.lock('report', timeout=60, lease=30) as held:
            with pytest.raises(LockLostError):
                await lock.check()
            with pytest.raises(LockLostError, match='its lease of 3 seconds has ended'):
                await lock.__aexit__(None, None, None)
            await held.check()  # the one that was late has not released it


async def test_a_holder_whose_lease_has_ended_is_told(store):
    async with store:
        with pytest.raises(LockLostError, match=r'its lease of 0\.3 seconds has ended'):
            async with store.lock('report', lease=0.3):  # memcached counts whole seconds, and has it still
                await asyncio.sleep(0.4)


async def hold_and_lose(cache, error=None):
    async with cache.lock('report') as lock:
        await cache._settings.store.locks.release(lock._key(), lock._token)
        with pytest.raises(LockLostError):
            await lock.check()
        if error is not None:
            raise error


async def test_a_holder_whose_token_is_gone_is_told(store):
    async with store:
        with pytest.raises(LockLostError, match='the backend has lost it'):
            await hold_and_lose(store)


async def test_an_exception_of_the_block_is_not_replaced(store):
    async with store:
        with pytest.raises(LookupError):
            await hold_and_lose(store, LookupError())


async def test_a_task_that_is_cancelled_while_it_waits_leaves_no_lock(store):
    async with store:
        async with store.lock('report'):
            waiting = asyncio.create_task(store.lock('report', timeout=60).__aenter__())
            await asyncio.sleep(0.05)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
        async with store.lock('report', timeout=5):
            pass


async def test_a_task_that_is_cancelled_while_its_command_is_under_way_leaves_no_lock():
    class Slow(OwnTokens):
        async def add(self, *arguments):
            await goes_on.wait()
            return await super().add(*arguments)

    cache, goes_on = FastAPICache(), asyncio.Event()
    cache._settings.store.locks = Slow()
    waiting = asyncio.create_task(cache.lock('report', timeout=60).__aenter__())
    await asyncio.sleep(0.01)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    goes_on.set()
    async with cache.lock('report', timeout=5):
        pass


async def test_a_lock_is_not_taken_twice_by_one_object():
    lock = FastAPICache().lock('report', timeout=0)
    async with lock:
        with pytest.raises(ConfigurationError, match='each holder needs'):
            await lock.__aenter__()
    async with lock:
        pass


async def test_a_store_that_is_down_gives_no_lock():
    cache = FastAPICache.from_url(f'redis://127.0.0.1:{free_port()}', store_timeout=0.2)
    with pytest.raises(LockTimeoutError, match='the backend failed') as raised:
        async with cache.lock('report', timeout=0.3):
            pass
    assert isinstance(raised.value, CacheError)
    assert isinstance(raised.value, TimeoutError)
    await cache._settings.store.close()


async def test_a_cache_without_a_backend_has_no_locks():
    with pytest.raises(ConfigurationError, match='the cache has no backend yet'):
        async with FastAPICache.deferred().lock('report'):
            pass


async def test_a_backend_in_memory_with_code_of_the_user_has_locks():
    class Own(SimpleMemoryCache):
        pass

    cache = FastAPICache(Own())
    async with cache.lock('report', timeout=0):
        with pytest.raises(LockTimeoutError):
            async with FastAPICache(cache.backend).lock('report', timeout=0):
                pass


@pytest.mark.parametrize(
    ('arguments', 'text'),
    [(('',), 'the name of the lock'), ((5,), 'the name of the lock')],
)
def test_a_lock_needs_a_name(arguments, text):
    with pytest.raises(ConfigurationError, match=text):
        FastAPICache().lock(*arguments)


@pytest.mark.parametrize(('option', 'value'), [('timeout', -1), ('lease', 0), ('lease', 'soon')])
def test_wrong_options_of_a_lock_are_refused(option, value):
    with pytest.raises(ConfigurationError, match=option):
        FastAPICache().lock('report', **{option: value})


async def test_a_full_lmdb_store_keeps_the_token_of_a_lock(tmp_path):
    cache = FastAPICache(LMDBCache(tmp_path / 'store', max_bytes=1024 * 1024))

    @cache.function(ttl=60)
    async def large(number: int) -> str:
        return 'x' * 50_000

    async with cache, cache.lock('report') as lock:
        for number in range(100):
            await large(number)
        await lock.check()


@pytest.mark.parametrize('steps', range(6))
async def test_a_lock_is_free_where_the_one_that_waits_for_it_is_cancelled(steps):
    cache = FastAPICache()

    async def work():
        async with cache.lock('report', lease=60):
            pass

    task = asyncio.ensure_future(work())
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    async with cache.lock('report', timeout=1):
        pass
