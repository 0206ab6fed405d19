"""Runs that fail, are cancelled, or call their own function: what the calls do that wait for them."""

import asyncio
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor

import pytest

from fastapi_caching_route import FastAPICache
from tests.servers import wait_until

pytestmark = pytest.mark.usefixtures('no_machine_is_slow')


async def test_an_exception_is_raised_to_all_calls_that_waited_and_the_next_call_runs_anew(store):
    runs = []

    @store.function(ttl=60)
    async def fails() -> int:
        runs.append(1)
        await asyncio.sleep(0.02)
        raise LookupError(len(runs))

    async with store:
        found = await asyncio.gather(*(fails() for _ in range(20)), return_exceptions=True)
        assert [(type(it), it.args) for it in found] == [(LookupError, (1,))] * 20
        assert len(runs) == 1
        with pytest.raises(LookupError, match='2'):
            await fails()


async def test_an_exception_that_is_shared_shows_where_it_was_raised_and_collects_nothing():
    @FastAPICache().function(ttl=60)
    async def fails() -> int:
        await asyncio.sleep(0.01)
        raise LookupError

    async def lines():
        try:
            await fails()
        except LookupError as error:
            return traceback.format_tb(error.__traceback__)

    found = await asyncio.gather(*(lines() for _ in range(10)))
    assert all('raise LookupError' in it[-1] for it in found)
    assert max(map(len, found[1:])) == min(map(len, found[1:]))


def test_threads_that_wait_get_the_exception():
    cache, runs, began = FastAPICache(), [], threading.Event()
    under_way = cache._settings.runtime.flights._under_way

    @cache.function(ttl=60)
    def fails() -> int:
        runs.append(1)
        began.set()
        wait_until(lambda: [it.followers for it in [*under_way.values()]] == [4])
        raise LookupError

    with ThreadPoolExecutor(5) as pool:
        first = pool.submit(fails)
        began.wait()
        others = [pool.submit(fails) for _ in range(4)]
        assert [type(it.exception()) for it in (first, *others)] == [LookupError] * 5
    assert len(runs) == 1


def test_a_plain_function_may_raise_what_ends_a_coroutine():
    @FastAPICache().function(ttl=60)
    def first_of(items: list[int]) -> int:
        return next(iter(items))

    with pytest.raises(StopIteration):
        first_of([])


async def test_one_call_takes_over_where_the_one_that_runs_is_cancelled(store):
    runs, began, going_on = [], asyncio.Semaphore(0), asyncio.Event()

    @store.function(ttl=60)
    async def load() -> int:
        runs.append(1)
        began.release()
        await going_on.wait()
        return len(runs)

    async with store:
        calls = [asyncio.create_task(load()) for _ in range(20)]
        await began.acquire()
        await asyncio.sleep(0.05)
        calls[0].cancel()
        await began.acquire()
        await asyncio.sleep(0.05)
        going_on.set()
        assert await asyncio.gather(*calls[1:]) == [2] * 19
        assert len(runs) == 2
        with pytest.raises(asyncio.CancelledError):
            await calls[0]


# Functions that call themselves.


async def test_a_function_that_calls_itself_with_its_own_arguments_does_not_wait_for_itself(store):
    runs = []

    @store.function(ttl=60)
    async def load(n: int) -> int:
        runs.append(n)
        if len(runs) < 3:
            return await (load(n) if len(runs) == 1 else asyncio.create_task(load(n)))
        return len(runs)

    async with store:
        assert await asyncio.wait_for(load(7), 5) == 3
        assert await load(7) == 3
        assert runs == [7, 7, 7]


async def test_a_function_that_another_one_calls_back_does_not_wait_for_itself():
    cache = FastAPICache()
    is_first = True

    @cache.function(ttl=60)
    async def outer(n: int) -> int:
        nonlocal is_first
        if is_first:
            is_first = False
            return 10 + await inner(n)
        return n

    @cache.function(ttl=60)
    async def inner(n: int) -> int:
        return 100 + await outer(n)

    assert await asyncio.wait_for(outer(1), 5) == 111


def test_a_plain_function_that_calls_itself_does_not_wait_for_itself():
    runs = []

    @FastAPICache().function(ttl=60)
    def load(n: int) -> int:
        runs.append(n)
        return load(n) if len(runs) < 3 else len(runs)

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(load, 7).result(5) == 3
    assert runs == [7, 7, 7]


async def test_calls_inside_of_a_run_wait_for_others_as_ever():
    cache, runs = FastAPICache(), []

    @cache.function(ttl=60)
    async def load(n: int) -> int:
        runs.append(n)
        await asyncio.sleep(0.02)
        return n

    @cache.function(ttl=60)
    async def several(n: int) -> list[int]:
        return await asyncio.gather(*(load(n) for _ in range(5)))

    assert await several(3) == [3] * 5
    assert runs == [3]
    assert await asyncio.gather(load(3), load(4), load(4)) == [3, 4, 4]
    assert runs == [3, 4]
