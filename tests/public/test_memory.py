"""`MemoryCache`: bounded, and of no event loop."""

import asyncio
import math
import random
import sys
import threading
import tracemalloc
from collections import deque

import pytest
from aiocache.plugins import HitMissRatioPlugin
from aiocache.serializers import JsonSerializer
from msgspec import Struct

from fastapi_caching_route import ConfigurationError, FastAPICache, MemoryCache, MemoryStats
from fastapi_caching_route._backends.eviction import MAX_MOVED
from fastapi_caching_route.memory import FREED_AT_ONCE, size_of
from tests.support import Clock, caching_router, client_of, marks


@pytest.fixture
def clock():
    return Clock(1000.0)


def keys(memory):
    """The small queue first, each in the order in which its values came."""
    return [*memory._small, *memory._main]


def consistent(memory):
    """What is counted is what is there, and no table holds more than another."""
    queues, held = memory._queues, {**memory._small, **memory._main}
    assert queues.bytes == sum(it.size for it in held.values())
    assert queues.small_bytes == sum(it.size for it in memory._small.values())
    assert len(queues) == len(held)
    ending = {key for part in memory._ending.values() for key in part}
    assert ending == {key for key, it in held.items() if it.part >= 0}
    assert set(memory._ending) <= set(memory._parts)
    return True


# Its bounds


def test_it_never_takes_more_bytes_than_it_may():
    memory = MemoryCache(max_bytes=100_000)
    for number in range(1000):
        memory.write(f'k{number}', b'x' * (number * 7 % 3000), 60)
        assert memory.stats().bytes <= 100_000
    assert consistent(memory)
    assert memory.stats().evicted == 1000 - memory.stats().entries


def test_what_was_not_used_goes_first():
    memory = MemoryCache(max_entries=3)
    for key in 'abc':
        memory.write(key, key, None)
    assert memory.read('a') == 'a'
    memory.write('d', 'd', None)
    assert keys(memory) == ['c', 'd', 'a']
    assert memory.stats().evicted == 1
    assert consistent(memory)


@pytest.mark.parametrize('used', ['', 'a', 'ab', 'abc'])
def test_what_was_just_stored_is_there(used):
    memory = MemoryCache(max_entries=3)
    for key in 'abc':
        memory.write(key, key, None)
    for key in used:
        memory.read(key)
    assert memory.write('d', 'd', None) is True
    assert memory.read('d') == 'd'
    assert memory.stats().entries == 3


@pytest.mark.parametrize('entries', [500, 4000])
def test_hot_keys_stay_although_many_others_are_asked_for_once(entries):
    memory, dice = MemoryCache(max_entries=entries), random.Random(1)
    hits = asked = 0
    for number in range(100_000):
        is_hot = number % 10 == 0
        key = f'hot{dice.randrange(100)}' if is_hot else f'once{number}'
        found = memory.read(key)
        if is_hot and number > 20_000:
            hits, asked = hits + (found is not None), asked + 1
        if found is None:
            memory.write(key, b'', 3600)
    assert hits / asked > 0.99
    assert consistent(memory)


def test_hot_keys_stay_although_they_expire(clock):
    memory, dice = MemoryCache(max_entries=500, clock=clock), random.Random(1)
    hits = asked = 0
    for number in range(100_000):
        is_hot = number % 10 == 0
        key = f'hot{dice.randrange(100)}' if is_hot else f'once{number}'
        found = memory.read(key)
        if is_hot and number > 20_000:
            hits, asked = hits + (found is not None), asked + 1
        if found is None:
            memory.write(key, b'', 10_000)
        clock.now += 1
    assert hits / asked > 0.85  # of ten times that it is asked for while it lives, one is the first
    assert consistent(memory)


def test_what_was_hot_does_not_stay_for_ever():
    memory = MemoryCache(max_entries=100)
    for turn in range(3):
        for _ in range(20):
            for number in range(90):
                key = f'{turn}:{number}'
                if memory.read(key) is None:
                    memory.write(key, b'', None)
        assert sum(key.startswith(f'{turn}:') for key in keys(memory)) >= 80


def test_what_is_new_has_a_tenth_of_the_room_although_all_is_used():
    memory = MemoryCache(max_entries=100)
    for number in range(1000):
        memory.write(number, b'', None)
        memory.read(number)
    assert 9 <= len(memory._small) <= 11
    assert memory.read(991) == b''


def test_a_hot_value_that_is_replaced_stays():
    memory = MemoryCache(max_entries=100)
    for number in range(200):
        memory.write(number, b'', None)
        memory.write('hot', number, None)
    assert 'hot' in memory._main
    memory.write('hot', 'new', None)
    for number in range(1000):
        memory.write(f'once{number}', b'', None)
    assert memory.read('hot') == 'new'


def test_one_write_passes_over_few_used_values_however_many_there_are():
    memory = MemoryCache(max_entries=10_000)
    for number in range(10_000):
        memory.write(number, b'', None)
        memory.read(number)
    memory.write('next', b'', None)
    assert len(memory._main) <= MAX_MOVED
    assert memory.stats().evicted == 1


def test_what_is_remembered_of_evicted_keys_is_bounded():
    memory = MemoryCache(max_entries=100)
    for number in range(10_000):
        memory.write(number, b'', None)
    lately = memory._queues._lately
    assert len(lately._last) + len(lately._before) <= 100
    assert consistent(memory)


def test_what_is_larger_than_all_is_not_kept_and_drives_nothing_out():
    memory = MemoryCache(max_bytes=10_000)
    memory.write('small', b'x', None)
    memory.write('large', b'x', None)
    assert memory.write('large', b'x' * 20_000, None) is False
    assert keys(memory) == ['small']
    assert consistent(memory)


def test_an_answer_that_is_larger_than_the_memory_is_answered_all_the_same():
    cache, router = FastAPICache(MemoryCache(max_bytes=10_000)), caching_router()

    @router.get('/')
    @cache(ttl=60)
    async def endpoint():
        return 'x' * 20_000

    client = client_of(router)
    answers = [client.get('/') for _ in range(2)]
    assert marks(*answers) == [None, None]
    assert [len(it.json()) for it in answers] == [20_000] * 2


@pytest.mark.parametrize('options', [{'max_bytes': 0}, {'max_bytes': -1}, {'max_entries': 0}, {'max_bytes': '1'}])
def test_a_bound_that_is_none_is_refused(options):
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        MemoryCache(**options)


def test_more_is_counted_than_is_taken_but_not_much_more():
    def response(number):
        headers = tuple((b'name-%d-%d' % (at, number), b'value-%d-%d' % (at, number)) for at in range(5))
        return (200, headers, bytes(2000 + number % 10), (f'a{number}', f'b{number}'), float(number))

    def measured():
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            memory = MemoryCache()
            for number in range(5000):
                memory.write(f'GET:/things/{number}:0123456789', response(number), 60 + number)
            return tracemalloc.get_traced_memory()[0] - before, memory
        finally:
            tracemalloc.stop()

    taken, memory = min((measured() for _ in range(3)), key=lambda it: it[0])  # other threads allocate meanwhile, too
    assert memory.stats().entries == 5000
    assert taken <= memory.stats().bytes <= 1.25 * taken


@pytest.mark.parametrize(
    ('value', 'least'),
    [(b'x' * 1000, 1000), (['x' * 1000] * 2, 2000), ({'k' * 500: 'x' * 500}, 1000), (None, 0), (True, 0)],
)
def test_a_size_counts_what_is_inside(value, least):
    assert least <= size_of(value) <= least + 400


def test_the_size_of_an_object_counts_what_it_holds():
    class Thing:
        def __init__(self):
            self.body = b'x' * 1000

    assert size_of(Thing()) > 1000
    assert size_of(object()) < 100


def test_the_size_of_a_struct_counts_its_fields():
    class Point(Struct):
        name: bytes

    assert size_of(Point(b'x' * 1000)) > 1000


def test_a_size_counts_what_is_in_other_containers_and_ends_with_circles():
    circle = ['x' * 1000]
    circle.append(circle)
    assert 1000 < size_of(circle) < 1500
    assert size_of(deque([b'x' * 1000] * 3)) > 1000
    assert size_of(memoryview(b'x' * 1000)) > 1000


# What has ended


def test_what_has_ended_is_not_given_out(clock):
    memory = MemoryCache(clock=clock)
    memory.write('a', 1, 10)
    clock.now += 9.99
    assert memory.read('a') == 1
    clock.now += 0.01
    assert memory.read('a') is None
    assert memory.stats() == MemoryStats(entries=0, bytes=0, hits=1, misses=1, evicted=0, expired=1)


def test_what_has_ended_is_freed_without_being_asked_for(clock):
    memory = MemoryCache(clock=clock)
    for number in range(100):
        memory.write(f'old{number}', b'', 10)
    clock.now += 11
    for number in range(7):
        memory.write(f'new{number}', b'', 1000)
        assert len(keys(memory)) == max(0, 100 - (number + 1) * FREED_AT_ONCE) + number + 1
    assert consistent(memory)
    assert memory.stats().expired == 100


def test_the_statistics_count_nothing_that_has_ended(clock):
    memory = MemoryCache(clock=clock)
    for number in range(100):
        memory.write(number, b'', 10)
    clock.now += 20
    assert memory.stats().entries == 0


@pytest.mark.parametrize('span', [0.5, 60, 3600, 30 * 86400])
def test_few_parts_of_time_are_enough_for_all_spans(clock, span):
    memory = MemoryCache(clock=clock)
    for number in range(5000):
        memory.write(number % 10, b'', span)
        clock.now += span / 500
    assert len(memory._parts) < 200
    assert consistent(memory)
    clock.now += span * 1.1 + 2
    assert memory.stats().entries == 0
    assert not any(memory._ending.values())


@pytest.mark.parametrize('span', [math.inf, math.nan, None, 1e308])
def test_a_span_without_end_has_none(clock, span):
    memory = MemoryCache(clock=clock)
    assert memory.write('a', 1, span) is True
    clock.now += 1e9
    assert memory.read('a') == 1


def test_what_is_renewed_does_not_end_with_what_it_was(clock):
    memory = MemoryCache(clock=clock)
    memory.write('a', 1, 10)
    memory.write('a', 2, 100)
    clock.now += 50
    memory.write('b', 1, 1)
    assert memory.read('a') == 2
    memory.write('a', 3, None)
    clock.now += 1e9
    memory.write('b', 1, 1)
    assert memory.read('a') == 3


# As a cache of aiocache


async def test_it_is_a_cache_of_aiocache(clock):
    memory = MemoryCache(namespace='ns', ttl=10, serializer=JsonSerializer(), clock=clock)
    assert await memory.set('a', {'b': 1}) is True
    assert keys(memory) == ['nsa']
    assert await memory.get('a') == {'b': 1}
    assert await memory.multi_set([('b', 2), ('c', 3)], ttl=5) is True
    assert await memory.multi_get(['a', 'b', 'x']) == [{'b': 1}, 2, None]
    assert await memory.add('d', 4) is True
    with pytest.raises(ValueError, match='already exists'):
        await memory.add('d', 5)
    assert [await memory.exists(key) for key in ('d', 'x')] == [True, False]
    assert await memory.delete('d') == 1
    assert await memory.delete('d') == 0
    clock.now += 6
    assert await memory.get('b') is None
    assert await memory.expire('a', 60) is True
    assert await memory.expire('x', 60) is False
    clock.now += 30
    assert await memory.get('a') == {'b': 1}
    assert await memory.clear(namespace='other') is True
    assert await memory.get('a') == {'b': 1}
    assert await memory.clear() is True
    assert keys(memory) == []
    with pytest.raises(NotImplementedError, match='get'):
        await memory.raw('get', 'a')
    await memory.close()


async def test_it_counts_as_aiocache_does(clock):
    memory = MemoryCache(clock=clock)
    assert [await memory.increment('n'), await memory.increment('n', 4), await memory.increment('n', -2)] == [1, 5, 3]
    await memory.set('t', 1, ttl=10)
    clock.now += 5
    await memory.increment('t')
    clock.now += 5
    assert await memory.get('t') is None
    await memory.set('word', 'x')
    with pytest.raises(TypeError, match='not an integer'):
        await memory.increment('word')


async def test_it_compares_and_sets():
    memory = MemoryCache()
    await memory.set('a', 'old')
    assert await memory._set('a', 'new', _cas_token='other') == 0
    assert await memory._set('a', 'new', _cas_token='old') is True
    assert await memory._redlock_release('a', 'other') == 0
    assert await memory._redlock_release('a', 'new') == 1


def test_its_plugins_hear_of_our_commands():
    plugin = HitMissRatioPlugin()
    backend = MemoryCache(plugins=[plugin])
    cache, router = FastAPICache(backend), caching_router()

    @router.get('/')
    @cache(ttl=60)
    async def endpoint():
        return 1

    with client_of(router) as client:
        assert marks(client.get('/'), client.get('/')) == ['MISS', 'HIT']
    assert backend.hit_miss_ratio['hits'] >= 1


# Of no loop, and of no thread


def test_one_object_serves_one_event_loop_after_the_other():
    memory = MemoryCache()
    asyncio.run(memory.set('a', 1, ttl=60))
    assert asyncio.run(memory.get('a')) == 1


def test_it_is_what_a_cache_uses_if_nothing_else_is_said():
    cache, router = FastAPICache(), caching_router()

    @router.get('/')
    @cache(ttl=60)
    async def endpoint():
        return 1

    client = client_of(router)  # without a lifespan: an event loop for each request
    assert marks(client.get('/'), client.get('/'), client.get('/')) == ['MISS', 'HIT', 'HIT']


def test_threads_do_not_disturb_each_other():
    memory, failures = MemoryCache(max_entries=50, clock=Clock()), []

    def work(seed):
        try:
            for number in range(3000):
                key = (number * seed) % 90
                memory.write(key, bytes(key), 1 + key % 3)
                found = memory.read(key)
                assert found is None or len(found) == key
                memory.remove(key + 1)
        except Exception as error:  # noqa: BLE001, all of them
            failures.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in (7, 11, 13)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert consistent(memory)


async def test_threads_may_read_while_others_go_through_the_table():
    memory, done = MemoryCache(), threading.Event()
    for number in range(2000):
        memory.write(f'key {number}', b'x', None)

    def read(first):
        while not done.is_set():
            for number in range(first, first + 5000, 7):
                memory.read(f'key {number % 2000}')

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=read, args=(first,)) for first in (0, 31, 62)]
        for thread in threads:
            thread.start()
        for _ in range(300):
            await memory.clear(namespace='another')
    finally:
        done.set()
        for thread in threads:
            thread.join()
        sys.setswitchinterval(interval)
    assert memory.stats().entries == 2000
