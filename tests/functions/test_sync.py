"""Plain functions: they stay plain, run in the thread that calls them, and share what the cache does."""

import asyncio
import contextvars
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from fastapi_caching_route import CachePolicy, FastAPICache
from fastapi_caching_route._functions.threads import loop_for_thread
from tests.servers import ROOT, wait_until
from tests.support import FASTAPI, Clock, caching_router, client_of


def test_a_plain_function_is_cached_in_a_script(new_store):
    cache, runs = new_store(), []

    @cache.function(ttl=60, tags=['year:{year}'])
    def total(year: int) -> dict[str, int]:
        runs.append(year)
        return {'run': len(runs)}

    assert [total(1), total(year=1), total(2)] == [{'run': 1}, {'run': 1}, {'run': 2}]
    total.invalidate(1)
    assert [total(1), total(2)] == [{'run': 3}, {'run': 2}]
    cache.invalidate_now(tags=['year:2'])
    assert [total(1), total(2)] == [{'run': 3}, {'run': 4}]
    total.invalidate_all()
    assert [total(1), total.uncached(1)] == [{'run': 5}, {'run': 6}]
    assert total.key(1) == total.key(year=1) != total.key(2)

    async def end():
        async with cache:
            pass

    asyncio.run(end())


def test_threads_that_call_at_once_run_the_function_once(new_store):
    cache, runs, began = new_store(), [], threading.Event()

    @cache.function(ttl=60)
    def slow() -> list[int]:
        runs.append(threading.current_thread())
        began.wait(0.2)
        return [1]

    with ThreadPoolExecutor(20) as pool:
        found = [it.result() for it in [pool.submit(slow) for _ in range(20)]]
    assert found == [[1]] * 20
    assert len(runs) == 1
    assert runs[0].name.startswith('ThreadPoolExecutor')
    assert len({id(it) for it in found}) == 20

    async def end():
        async with cache:
            pass

    asyncio.run(end())


def test_exceptions_are_raised_as_they_are():
    cache, runs = FastAPICache(), []

    @cache.function(ttl=60)
    def fails(error: str) -> int:
        runs.append(error)
        raise {'lookup': LookupError, 'stop': StopIteration}[error]

    for _ in range(2):
        with pytest.raises(LookupError):
            fails('lookup')
        with pytest.raises(StopIteration):
            fails('stop')
    assert len(runs) == 4


def test_a_plain_function_called_in_an_event_loop_waits_for_nobody():
    cache, runs = FastAPICache(policy=CachePolicy(collapse_timeout=60)), []
    began, goes_on = threading.Event(), threading.Event()

    @cache.function(ttl=60)
    def slow() -> int:
        runs.append(1)
        if len(runs) == 1:
            began.set()
            goes_on.wait(60)
        return len(runs)

    async def main():
        other = asyncio.create_task(asyncio.to_thread(slow))
        await asyncio.to_thread(began.wait)
        assert slow() == 2  # the other one may need this event loop to go on
        goes_on.set()
        return await other

    assert asyncio.run(main()) == 2
    assert len(runs) == 2


def test_a_stale_result_is_renewed_in_another_thread():
    clock, runs = Clock(), []
    cache, renewed = FastAPICache(clock=clock), threading.Event()
    tenant = contextvars.ContextVar('tenant')

    @cache.function(ttl=10, stale_while_revalidate=60)
    def count() -> int:
        runs.append((tenant.get(), threading.current_thread()))
        if len(runs) == 2:
            renewed.set()
        return len(runs)

    tenant.set('a')
    assert count() == 1
    clock.now += 11
    assert count() == 1
    assert renewed.wait(60)
    wait_until(lambda: count() == 2)
    assert [count(), len(runs)] == [2, 2]
    assert runs[0] == ('a', threading.current_thread())
    assert runs[1][0] == 'a'
    assert runs[1][1] is not threading.current_thread()


def test_a_task_that_exits_does_not_end_the_event_loop_that_others_wait_for():
    may_end = threading.Event()

    async def leave():
        sys.exit(3)

    waiting = asyncio.run_coroutine_threadsafe(asyncio.to_thread(may_end.wait, 10), loop_for_thread())
    with pytest.raises(SystemExit):
        asyncio.run_coroutine_threadsafe(leave(), loop_for_thread()).result(5)
    may_end.set()
    assert waiting.result(5) is True


def test_a_def_endpoint_calls_a_plain_function():
    cache, router, runs = FastAPICache(), caching_router(), []

    @cache.function(ttl=60)
    def total(year: int) -> int:
        runs.append(year)
        return year * 10

    @router.get('/{year}')
    def report(year: int) -> int:
        return total(year)

    client = client_of(router)
    assert [client.get(path).json() for path in ('/1', '/1', '/2')] == [10, 10, 20]
    assert runs == [1, 2]


SCRIPT = """
import sys
from fastapi_caching_route import FastAPICache

cache = FastAPICache.from_url(sys.argv[1], store_timeout=5)

@cache.function(ttl=60)
def total(year: int) -> int:
    print('runs')
    return year

print(total(1), total(1))
"""


def test_a_script_ends_without_a_lifespan(kind, request, tmp_path, namespace):
    if kind == 'memory':
        url = 'memory://'
    elif kind == 'lmdb':
        url = f'lmdb://{tmp_path}/store?namespace={namespace}'
    else:
        url = f'{kind}://127.0.0.1:{request.getfixturevalue(f"{kind}_port")}?namespace={namespace}'
    strictly = ('-W', 'error') if FASTAPI >= (0, 160) else ()  # older releases warn of what they import themselves
    command = [sys.executable, *strictly, '-c', SCRIPT, url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=ROOT, check=False)  # noqa: S603
    assert (done.stdout, done.stderr, done.returncode) == ('runs\n1 1\n', '', 0)
