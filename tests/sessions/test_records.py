"""Records in every store: changed in one step, or not at all."""

import pytest

from fastapi_caching_route._backends.records import Records


@pytest.fixture
async def records(store):
    records = Records(store, timeout=5)
    yield records
    await records.close()


async def test_a_record_is_added_once_and_swapped_for_what_is_expected(records):
    assert await records.get_many('%a:1', '%a:2') == [None, None]
    assert await records.add('%a:1', b'one', 60)
    assert not await records.add('%a:1', b'other', 60)
    assert not await records.swap('%a:1', b'other', b'two', 60)
    assert await records.get_many('%a:1', '%a:2') == [b'one', None]
    assert await records.swap('%a:1', b'one', b'two \xff\x00', 60)
    assert not await records.swap('%a:1', b'one', b'three', 60)
    assert not await records.swap('%a:2', b'', b'three', 60)
    assert await records.get_many('%a:1') == [b'two \xff\x00']
    assert await records.delete('%a:1')
    assert not await records.delete('%a:1')
    assert await records.get_many('%a:1') == [None]


async def test_the_keys_of_records_are_listed_by_their_prefix(records, store_kind):
    for key in ('%a:1', '%a:2', '%b:1', '%[a]:1'):
        await records.add(key, b'x', 60)
    listed = []
    for prefix in ('%a:', '%[a]:', '%c:'):
        found = [key async for key in records.keys(prefix)]
        listed.append(sorted(found))
    assert listed == ([[], [], []] if store_kind == 'memcached' else [['%a:1', '%a:2'], ['%[a]:1'], []])
    for key in ('%a:1', '%a:2', '%b:1', '%[a]:1'):
        await records.delete(key)


async def test_a_record_may_be_kept_for_longer_than_memcached_counts(records):
    assert await records.add('%a:long', b'x', 90 * 86400)
    assert await records.swap('%a:long', b'x', b'y', 90 * 86400)
    assert await records.get_many('%a:long') == [b'y']
    await records.delete('%a:long')
