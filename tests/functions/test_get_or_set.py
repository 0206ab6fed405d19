"""`cache.get_or_set`: values under keys of the user."""

import asyncio
import datetime as dt
from functools import partial

import pytest
from fastapi import Response

from fastapi_caching_route import ConfigurationError, FastAPICache

pytestmark = pytest.mark.usefixtures('no_machine_is_slow')


async def test_a_value_is_made_once_and_invalidated_by_its_key(store):
    runs = []

    async def rates() -> dict[str, float]:
        runs.append(1)
        await asyncio.sleep(0.01)
        return {'EUR': float(len(runs))}

    async with store:
        found = await asyncio.gather(*(store.get_or_set('rates', rates, ttl=60) for _ in range(20)))
        assert found == [{'EUR': 1.0}] * 20
        await store.invalidate_cached('rates')
        assert await store.get_or_set('rates', rates, ttl=60) == {'EUR': 2.0}
        assert await store.get_or_set('rates', rates, ttl=60, namespace='other') == {'EUR': 3.0}
        await store.invalidate_cached('rates', 'other')
        assert await store.get_or_set('rates', rates, ttl=60) == {'EUR': 2.0}
        await store.clear()
        assert await store.get_or_set('rates', rates, ttl=60, tags=['money']) == {'EUR': 4.0}
        await store.invalidate_tags('money')
        assert await store.get_or_set('rates', rates, ttl=60) == {'EUR': 5.0}


async def test_a_value_has_the_type_that_is_said():
    cache, today = FastAPICache(), dt.date(2025, 1, 1)

    def day(date: dt.date) -> dt.date:
        return date

    for factory in (partial(day, today), lambda: day(today)):
        for _ in range(2):
            assert await cache.get_or_set('day', factory, returns=dt.date) == today
    assert await cache.get_or_set('day', partial(day, dt.date(2024, 1, 1)), ttl=60) == today  # by its annotation
    assert await cache.get_or_set('number', lambda: [1]) == [1]
    assert await cache.get_or_set('number', lambda: [2]) == [1]
    assert await cache.get_or_set('number', lambda: 5, returns=int) == 5


async def test_a_value_is_never_a_response_nor_the_other_way_round():
    cache = FastAPICache()
    await cache.set_cached('page', Response('secret'))
    assert await cache.get_or_set('page', lambda: 'value') == 'value'
    assert (await cache.get_cached('page')).body == b'secret'
    await cache.get_or_set('value', lambda: 'value')
    assert await cache.get_cached('value') is None


async def test_what_a_factory_raises_is_not_stored():
    cache = FastAPICache()

    def fails():
        raise LookupError

    with pytest.raises(LookupError):
        await cache.get_or_set('key', fails, ttl=60)
    assert await cache.get_or_set('key', lambda: 1, ttl='1m') == 1


@pytest.mark.parametrize(
    ('key', 'factory', 'options', 'text'),
    [
        (5, list, {}, 'takes a key, a str'),
        ('a', 5, {}, 'a function without arguments'),
        ('a', list, {'tags': ['a:{b}']}, 'must have no placeholders'),
        ('a', list, {'ttl': -1}, 'ttl'),
    ],
)
async def test_wrong_arguments_are_refused(key, factory, options, text):
    with pytest.raises(ConfigurationError, match=text):
        await FastAPICache().get_or_set(key, factory, **options)
