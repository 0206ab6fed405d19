"""Cached functions as users call them, on every kind of store."""

import asyncio
import threading
from typing import Annotated

import pytest
from fastapi import BackgroundTasks, Depends, FastAPI
from starlette.testclient import TestClient

from fastapi_caching_route import CachePolicy, ConfigurationError, FastAPICache
from tests.support import Clock, caching_router

pytestmark = pytest.mark.usefixtures('no_machine_is_slow')


async def test_a_result_is_stored_and_invalidated_by_its_arguments(store):
    runs = []

    @store.function(ttl=60)
    async def total(year: int, currency: str = 'EUR') -> dict[str, int]:
        runs.append((year, currency))
        return {'total': year, 'run': len(runs)}

    async with store:
        first = await total(2025)
        assert await total(2025, 'EUR') == await total(year=2025) == await total(currency='EUR', year=2025) == first
        assert await total(2025, 'USD') != first
        assert await total(2026) != first
        await total.invalidate(year=2025)
        assert await total(2025) == {'total': 2025, 'run': 4}
        assert await total(2026) == {'total': 2026, 'run': 3}
        await total.invalidate_all()
        assert await total(2026) == {'total': 2026, 'run': 5}
    assert runs == [(2025, 'EUR'), (2025, 'USD'), (2026, 'EUR'), (2025, 'EUR'), (2026, 'EUR')]


async def test_tags_namespaces_and_clear_count_as_for_routes(store):
    runs = []

    @store.function(ttl=60, tags=['user:{user_id}', 'users'], namespace='people')
    async def user(user_id: int) -> int:
        runs.append(user_id)
        return len(runs)

    async with store:
        assert [await user(1), await user(2), await user(1)] == [1, 2, 1]
        await store.invalidate_tags('user:1')
        assert [await user(1), await user(2)] == [3, 2]
        await store.invalidate_tags('users')
        assert [await user(1), await user(2)] == [4, 5]
        await store.invalidate_namespace('people')
        assert [await user(1), await user(2)] == [6, 7]
        await store.clear()
        assert [await user(1), await user(2)] == [8, 9]
        await store.invalidate_cached(user.key(2))
        assert [await user(1), await user(2)] == [8, 10]


async def test_two_caches_over_one_store_share_results_and_invalidations(new_store):
    one, other = new_store(), new_store()
    runs = []

    def loader(cache):
        @cache.function(ttl=60, key=lambda number: number)
        async def load(number: int) -> int:
            runs.append(number)
            return len(runs)

        return load

    async with one, other:
        first, second = loader(one), loader(other)
        assert [await first(1), await second(1)] == [1, 1]
        await second.invalidate(1)
        assert [await first(1), await second(1)] == [2, 2]


async def test_200_calls_at_once_run_the_function_once(store):
    runs = []

    @store.function(ttl=60)
    async def slow(number: int) -> list[int]:
        runs.append(number)
        await asyncio.sleep(0.05)
        return [number]

    async with store:
        found = await asyncio.gather(*(slow(7) for _ in range(200)))
    assert found == [[7]] * 200
    assert runs == [7]
    assert len({id(it) for it in found}) == 200  # nobody can change what another one got


async def test_a_hit_is_a_fresh_object(store):
    @store.function(ttl=60)
    async def names() -> list[str]:
        return ['a']

    async with store:
        (await names()).append('b')
        (await names()).append('c')
        assert await names() == ['a']


async def test_exceptions_are_raised_as_they_are_and_never_stored(store):
    runs = []

    @store.function(ttl=60)
    async def fails(number: int) -> int:
        runs.append(number)
        if len(runs) < 3:
            raise LookupError(number)
        return number

    async with store:
        for _ in range(2):
            with pytest.raises(LookupError, match='7'):
                await fails(7)
        assert await fails(7) == await fails(7) == 7
    assert runs == [7, 7, 7]


async def test_a_run_that_began_before_an_invalidation_of_its_arguments_is_not_stored(store):
    runs, began, goes_on = [], asyncio.Event(), asyncio.Event()

    @store.function(ttl=60)
    async def count(number: int) -> int:
        runs.append(number)
        run = len(runs)
        began.set()
        await goes_on.wait()
        return run

    async with store:
        running = asyncio.create_task(count(7))
        await began.wait()
        await count.invalidate(7)
        goes_on.set()
        assert await running == 1
        assert [await count(7), await count(7)] == [2, 2]


async def test_entries_tell_which_function_has_made_them():
    cache = FastAPICache()

    @cache.function(ttl=60, tags=['number:{number}'])
    async def load(number: int) -> int:
        return number

    await load(7)
    (entry,) = [it async for it in cache.entries(tag='number:7')]
    assert (entry.endpoint, entry.key, entry.tags) == (f'{__name__}.{load.__qualname__}', load.key(7), ('number:7',))
    assert (entry.route.rpartition('.')[2], entry.path) == ('load()', '')


async def test_a_stale_result_is_returned_while_one_call_renews_it():
    clock, runs = Clock(), []
    cache = FastAPICache(clock=clock)

    @cache.function(ttl=10, stale_while_revalidate=60)
    async def count() -> int:
        runs.append(1)
        return len(runs)

    assert await count() == 1
    clock.now += 11
    assert await asyncio.gather(count(), count(), count()) == [1, 1, 1]
    await asyncio.sleep(0.01)
    assert [await count(), len(runs)] == [2, 2]


async def test_a_stale_result_stands_in_for_an_exception():
    clock, runs = Clock(), []
    cache = FastAPICache(clock=clock)

    @cache.function(ttl=10, stale_if_error=60)
    async def count() -> int:
        runs.append(1)
        if len(runs) > 1:
            raise LookupError
        return len(runs)

    assert await count() == 1
    clock.now += 11
    assert await count() == 1
    assert len(runs) == 2
    assert await count() == 1
    assert len(runs) == 2  # it failed a moment ago
    clock.now += 100
    with pytest.raises(LookupError):
        await count()


async def test_soft_invalidation_makes_results_stale():
    cache, runs = FastAPICache(), []

    @cache.function(ttl=60, stale_while_revalidate=60)
    async def count() -> int:
        runs.append(1)
        return len(runs)

    assert await count() == 1
    await count.invalidate_all(soft=True)
    assert await count() == 1
    await asyncio.sleep(0.01)
    assert [await count(), len(runs)] == [2, 2]


async def test_a_condition_says_what_is_stored(store, caplog):
    runs = []

    @store.function(ttl=60, condition=lambda found: found is not None)
    async def find(number: int) -> int | None:
        runs.append(number)
        return number or None

    async with store:
        assert [await find(0), await find(0), await find(1), await find(1)] == [None, None, 1, 1]
    assert runs == [0, 0, 1]
    assert 'what is stored is no result' not in caplog.text


async def test_none_is_a_result(store):
    runs = []

    @store.function(ttl=60)
    async def find() -> int | None:
        runs.append(1)

    async with store:
        assert [await find(), await find()] == [None, None]
    assert runs == [1]


async def test_an_uncached_call_neither_looks_up_nor_stores():
    cache, runs = FastAPICache(), []

    @cache.function(ttl=60)
    async def count() -> int:
        runs.append(1)
        return len(runs)

    assert [await count.uncached(), await count(), await count.uncached(), await count()] == [1, 2, 3, 2]


async def test_a_disabled_cache_runs_functions():
    cache, runs = FastAPICache(), []

    @cache.function(ttl=60)
    async def count() -> int:
        runs.append(1)
        return len(runs)

    with cache.disabled():
        assert [await count(), await count()] == [1, 2]
    assert [await count(), await count()] == [3, 3]
    (stats,) = cache.stats().routes
    assert (stats.route.rpartition('.')[2], stats.bypasses, stats.misses, stats.hits) == ('count()', 2, 1, 1)


async def test_a_deferred_cache_runs_functions_until_it_has_a_backend(caplog):
    from fastapi_caching_route import MemoryCache  # noqa: PLC0415

    cache, runs = FastAPICache.deferred(), []

    @cache.function(ttl=60)
    async def count() -> int:
        runs.append(1)
        return len(runs)

    assert [await count(), await count()] == [1, 2]
    assert 'the cache has no backend yet' in caplog.text
    cache.use(MemoryCache(namespace='late'))
    assert [await count(), await count()] == [3, 3]
    assert [it.key async for it in cache.entries()] == [f'late::{count.key()}']


async def test_statistics_and_observers_are_told_of_functions():
    told = []
    cache = FastAPICache(observer=told.append)

    @cache.function(ttl=60)
    async def count(number: int) -> int:
        return number

    for number in (1, 1, 2):
        await count(number)
    assert [(it.outcome, it.route.rpartition('.')[2], it.key) for it in told] == [
        ('miss', 'count()', count.key(1)),
        ('hit', 'count()', count.key(1)),
        ('miss', 'count()', count.key(2)),
    ]
    assert (cache.stats().total.runs, cache.stats().total.hits) == (2, 1)


async def test_a_caller_that_is_cancelled_leaves_the_run_to_the_next_one():
    cache, runs = FastAPICache(policy=CachePolicy(collapse_timeout=60)), []
    began = asyncio.Event()

    @cache.function(ttl=60)
    async def slow() -> int:
        runs.append(1)
        began.set()
        await asyncio.sleep(0.05 if len(runs) > 1 else 60)
        return len(runs)

    leader = asyncio.create_task(slow())
    await began.wait()
    follower = asyncio.create_task(slow())
    await asyncio.sleep(0.01)
    leader.cancel()
    assert await asyncio.wait_for(follower, 20) == 2  # long before it has waited for a leader that is gone
    with pytest.raises(asyncio.CancelledError):
        await leader


async def test_a_function_runs_in_the_task_of_its_caller():
    cache, tasks = FastAPICache(), []

    @cache.function(ttl=60)
    async def count() -> int:
        tasks.append(asyncio.current_task())
        return 1

    await count()
    assert tasks == [asyncio.current_task()]


def test_functions_work_as_dependencies_and_in_background_tasks():
    cache, runs = FastAPICache(), []

    @cache.function(ttl=60)
    async def settings(tenant: str = 'a') -> dict[str, str]:
        runs.append(tenant)
        return {'tenant': tenant}

    @cache.function(ttl=60)
    def rate(currency: str = 'EUR') -> float:
        runs.append(threading.current_thread() is threading.main_thread())
        return 1.5

    app, router = FastAPI(), caching_router()

    @app.get('/plain')
    async def plain(
        found: Annotated[dict, Depends(settings)], rated: Annotated[float, Depends(rate)], tasks: BackgroundTasks
    ) -> dict:
        tasks.add_task(settings, 'behind')
        return {**found, 'rate': rated}

    @router.get('/cached')
    @cache(ttl=60)
    async def cached(found: Annotated[dict, Depends(settings)], rated: Annotated[float, Depends(rate)]) -> dict:
        return {**found, 'rate': rated}

    app.include_router(router)
    client = TestClient(app)
    for _ in range(2):
        assert client.get('/plain?tenant=b').json() == {'tenant': 'b', 'rate': 1.5}
        assert client.get('/cached?tenant=b').json() == {'tenant': 'b', 'rate': 1.5}
    assert client.get('/cached?tenant=c').json() == {'tenant': 'c', 'rate': 1.5}
    assert runs == ['b', False, 'behind', 'c']


def test_an_argument_that_cannot_be_in_a_key_is_named():
    cache = FastAPICache()

    class Session:
        pass

    @cache.function(ttl=60)
    async def load(session: Session, number: int) -> int:
        return number

    with pytest.raises(ConfigurationError, match=r"load: the argument 'session' cannot be in a cache key: a .*Session"):
        asyncio.run(load(Session(), 1))


async def test_key_says_what_stands_for_an_argument():
    cache, runs = FastAPICache(), []

    class Session:
        pass

    @cache.function(ttl=60, key={'session': lambda session: None})
    async def load(session: Session, number: int) -> int:
        runs.append(number)
        return number

    @cache.function(ttl=60, key=lambda session, number: number % 2)
    async def parity(session: Session, number: int) -> int:
        return number

    assert [await load(Session(), 1), await load(Session(), 1), await load(Session(), 2)] == [1, 1, 2]
    assert runs == [1, 2]
    assert [await parity(Session(), 1), await parity(Session(), 3), await parity(Session(), 4)] == [1, 1, 4]


async def test_functions_that_capture_variables_do_not_share(caplog):
    cache = FastAPICache()

    def loader(tenant: str):
        @cache.function(ttl=60)
        async def load(number: int) -> str:
            return f'{tenant} {number}'

        return load

    one, other = loader('one'), loader('other')
    assert [await one(1), await other(1)] == ['one 1', 'other 1']
    assert caplog.text.count('there are several functions named') == 1


@pytest.mark.parametrize(
    ('options', 'text'),
    [
        ({'tags': ['user:{nobody}']}, 'tags names nobody, and the parameters are number'),
        ({'key': {'nobody': str}}, 'key names nobody'),
        ({'key': 5}, 'key must be a function of the arguments'),
        ({'ttl': -1}, 'ttl must be a number of seconds'),
        ({'tagz': []}, 'has no option tagz'),
        ({'namespace': 5}, 'namespace'),
        ({'condition': 5}, 'condition must be a function of the result'),
        ({'tags': 'user'}, 'tags'),
    ],
)
def test_wrong_options_are_refused(options, text):
    async def load(number: int) -> int:
        return number

    with pytest.raises(ConfigurationError, match=text):
        FastAPICache().function(**options)(load)


async def _pages():
    yield 1


@pytest.mark.parametrize(
    ('thing', 'text'),
    [(5, 'it takes functions and methods'), (dict, 'decorate its method'), (_pages, 'a generator')],
)
def test_what_is_no_function_is_refused(thing, text):
    with pytest.raises(ConfigurationError, match=text):
        FastAPICache().function(ttl=60)(thing)


async def test_arguments_of_a_function_are_bound_as_python_does():
    cache = FastAPICache()

    @cache.function(ttl=60)
    async def load(first: int, /, *rest: int, last: int = 0, **more: int) -> int:
        return first

    assert load.key(1, 2, 3, a=1, b=2) == load.key(1, 2, 3, b=2, a=1, last=0) != load.key(1, 2, a=1, b=2)
    with pytest.raises(TypeError, match='missing a required argument'):
        await load()


async def test_a_function_without_asyncio_runs_uncached():
    import trio  # noqa: PLC0415

    cache, runs = FastAPICache(), []

    @cache.function(ttl=60)
    async def count() -> int:
        runs.append(1)
        return len(runs)

    def in_trio():
        async def main():
            return [await count(), await count()]

        return trio.run(main)

    assert await asyncio.to_thread(in_trio) == [1, 2]
