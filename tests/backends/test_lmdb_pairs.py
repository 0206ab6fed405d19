"""Look-ups of hits in an LMDB store: a value and the one beside it, of one moment, and nothing is decoded twice."""

import time
from types import SimpleNamespace

import pytest
from msgspec.structs import replace

from fastapi_caching_route import LMDBCache
from fastapi_caching_route._backends import lmdb_pairs
from fastapi_caching_route._backends.lmdb_driver import LMDBDriver
from fastapi_caching_route._store.wire import Wire
from tests.store.entries import ENTRY


@pytest.fixture
def cache(tmp_path):
    return LMDBCache(tmp_path / 'store')


class Counting(Wire):
    """A codec that counts what it decodes."""

    decoded = 0

    def loads(self, value):
        self.decoded += 1
        return super().loads(value)


async def test_what_is_read_again_is_the_same_object_and_is_not_decoded(cache):
    codec = Counting(())
    driver = LMDBDriver(cache, codec)
    await driver.set('key', ENTRY, 60)
    await driver.set('beside', 'text', 60)
    read = driver.reading_beside('beside')
    found, beside = read('key')
    assert (found, beside) == (ENTRY, 'text')
    decoded = codec.decoded
    for _ in range(3):
        again, same = read('key')
        assert again is found
        assert same is beside
    assert codec.decoded == decoded


async def test_what_has_changed_is_decoded_again(cache):
    driver, other = LMDBDriver(cache, Wire(())), LMDBDriver(cache, Wire(()))
    read = driver.reading_beside('beside')
    assert read('key') == (None, None)
    await other.set('beside', 'text', 60)
    assert read('key') == (None, 'text')
    await other.set('key', ENTRY, 60)
    assert read('key') == (ENTRY, 'text')
    for body in (b'more', b'less'):  # of one length
        changed = replace(ENTRY, content=body)
        await other.set('key', changed, 60)
        await other.set('beside', body.decode(), 60)
        assert read('key') == (changed, body.decode())
    for key in ('key', 'beside'):
        await other.erase(key)
    assert read('key') == (None, None)


@pytest.mark.parametrize('later', [30, 90])
@pytest.mark.parametrize('is_known', [False, True])
@pytest.mark.parametrize('others_write', [False, True])
async def test_what_has_expired_is_not_found(cache, monkeypatch, is_known, later, others_write):
    driver = LMDBDriver(cache, Wire(()))
    await driver.set('key', ENTRY, 20)
    await driver.set('beside', 'text', 60)
    read = driver.reading_beside('beside')
    if is_known:
        assert read('key') == (ENTRY, 'text')
    if others_write:
        await driver.set('other', 'text', 60)
    monkeypatch.setattr(lmdb_pairs, 'time', SimpleNamespace(time=lambda: time.time() + later))
    assert read('key') == (None, 'text' if later < 60 else None)


async def test_a_signature_is_checked_each_time(cache):
    driver, forger = LMDBDriver(cache, Wire((b'k' * 32,))), LMDBDriver(cache, Wire(()))
    read = driver.reading_beside('beside')
    await driver.set('key', ENTRY, 60)
    assert read('key') == read('key') == (ENTRY, None)
    await forger.set('key', ENTRY, 60)
    assert read('key') == (None, None)


async def test_what_is_too_short_for_an_entry_is_not_found(cache):
    driver = LMDBDriver(cache, Wire(()))
    await cache.set('key', '12345')
    assert driver.reading_beside('beside')('key') == (None, None)


async def test_each_look_up_counts_as_a_use(cache):
    driver = LMDBDriver(cache, Wire(()))
    await driver.set('key', ENTRY, 60)
    read = driver.reading_beside('beside')
    for _ in range(3):
        cache.store.writer.used.clear()
        read('key')
        assert cache.store.writer.used == {b'key'}


async def test_what_is_read_beside_alone_is_no_use_and_is_as_new(cache):
    driver = LMDBDriver(cache, Wire(()))
    driver.reading_beside('beside')
    for text in ('one', 'two'):
        await driver.set('beside', text, 60)
        assert driver.read_at_once(['beside']) == [text]
    assert not cache.store.writer.used


async def test_new_files_are_read_anew_also_after_as_many_transactions_as_the_old_ones_had(cache):
    driver = LMDBDriver(cache, Wire(()))
    read = driver.reading_beside('beside')
    for body in (b'old', b'new'):
        changed = replace(ENTRY, content=body)
        await driver.set('key', changed, 60)
        await driver.set('beside', body.decode(), 60)
        assert cache.store.look(lambda table: table.txn.id()) == 2
        assert read('key') == (changed, body.decode())
        cache.store.environment.replace()


async def test_as_many_values_as_it_remembers_are_found(cache, monkeypatch):
    monkeypatch.setattr(lmdb_pairs, 'MAX_SEEN', 2)
    driver = LMDBDriver(cache, Wire(()))
    read = driver.reading_beside('beside')
    keys = ['a', 'b', 'c', 'd', 'e']
    for key in keys:
        await driver.set(key, replace(ENTRY, key=key), 60)
    for key in [*keys, *keys]:
        assert read(key) == (replace(ENTRY, key=key), None)
        assert len(read.__self__._seen) <= 2
