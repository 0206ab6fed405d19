"""The driver of an LMDB store: the commands of all drivers, look-ups at once, and journals."""

import asyncio

import pytest
from aiocache import RedisCache
from msgspec.structs import replace

from fastapi_caching_route import FastAPICache, LMDBCache
from fastapi_caching_route._backends import lmdb_writer
from fastapi_caching_route._backends.drivers import AiocacheDriver
from fastapi_caching_route._backends.lmdb_driver import LMDBDriver
from fastapi_caching_route._store.wire import Wire
from tests.store.entries import ENTRY
from tests.support import caching_router, client_of, closing, marks


@pytest.fixture
def driver(tmp_path):
    return LMDBDriver(LMDBCache(tmp_path / 'store'), Wire(()))


async def test_a_driver_reads_many_keys_at_once(driver):
    assert await driver.set('one', 'first', 60)
    assert await driver.set('two', 'second', 60)
    assert driver.read_at_once(['two', 'missing', 'one']) == ['second', None, 'first']
    assert list(await driver.get_many(['two', 'missing'])) == ['second', None]


async def test_a_driver_adds_only_where_there_is_nothing(driver):
    assert await driver.add('key', 'first', 60) is True
    assert await driver.add('key', 'second', 60) is False
    assert driver.read_at_once(['key']) == ['first']


async def test_a_driver_says_how_many_keys_it_has_deleted(driver):
    await driver.set('key', 'first', 60)
    assert [await driver.delete('key') for _ in range(2)] == [1, 0]
    await driver.set('key', 'second', 60)
    await driver.erase('key')
    assert driver.read_at_once(['key']) == [None]


async def test_a_driver_releases_only_the_token_that_it_is_told(driver):
    await driver.add('key', 'mine', 60)
    await driver.release('key', 'yours')
    assert driver.read_at_once(['key']) == ['mine']
    await driver.release('key', 'mine')
    assert driver.read_at_once(['key']) == [None]


async def test_a_store_that_cannot_be_read_is_told_of_once_and_costs_no_response(tmp_path, caplog, monkeypatch):
    backend = LMDBCache(tmp_path / 'store')
    cache, router = FastAPICache(backend), caching_router()

    @router.get('/')
    @cache(ttl=60)
    async def endpoint():
        return 1

    def broken(*_, **__):
        raise OSError(5, 'Input/output error')

    with client_of(router, lifespan=cache.lifespan) as client:
        assert marks(client.get('/'), client.get('/')) == ['MISS', 'HIT']
        monkeypatch.setattr(backend.store.environment, 'reading', broken)
        assert [client.get('/').json() for _ in range(10)] == [1] * 10
        monkeypatch.undo()
    assert caplog.text.count('is failing, requests are answered without it') == 1
    assert 'Input/output error' in caplog.text


def test_what_cannot_be_read_once_is_read_once_more(tmp_path, monkeypatch):
    backend, failed = LMDBCache(tmp_path / 'store'), []
    cache, router = FastAPICache(backend), caching_router()

    @router.get('/')
    @cache(ttl=60)
    async def endpoint():
        return 1

    with client_of(router, lifespan=cache.lifespan) as client:
        client.get('/')
        reading = backend.store.environment.reading

        def failing_once(*given, **named):
            if not failed:
                failed.append(1)
                raise OSError(5, 'Input/output error')
            return reading(*given, **named)

        monkeypatch.setattr(backend.store.environment, 'reading', failing_once)
        assert marks(client.get('/')) == ['HIT']
        assert failed == [1]


@pytest.mark.parametrize('kind', ['lmdb', 'redis'])
async def test_an_object_that_cannot_be_encoded_fails_alone(kind, tmp_path, request, namespace):
    if kind == 'lmdb':
        backend = LMDBCache(tmp_path / 'store')
        driver = LMDBDriver(backend, Wire(()))
    else:
        backend = RedisCache(endpoint='127.0.0.1', port=request.getfixturevalue('redis_port'), namespace=namespace)
        driver = AiocacheDriver(backend, Wire(()))
    odd = [replace(ENTRY, status=2**70), replace(ENTRY, headers=object()), replace(ENTRY, key='\ud800'), '\xe4']
    objects = [('one', 'text', 60.0), *(('odd', it, 60.0) for it in odd), ('two', 'text', 60.0)]
    first, *failed, last = await driver.set_many(objects)
    assert (first, last) == (True, True)
    assert [isinstance(it, Exception) for it in failed] == [True] * len(odd)
    assert await driver.get_many(['one', 'odd', 'two']) == ['text', None, 'text']
    (alone,) = await driver.set_many([('odd', odd[0], 60.0)])
    assert isinstance(alone, Exception)
    await driver.close()
    await closing(backend)


async def test_an_object_that_cannot_be_encoded_is_no_trouble_of_the_store(tmp_path):
    store = FastAPICache(LMDBCache(tmp_path / 'store'))._settings.store
    odd = replace(ENTRY, status=2**70)
    for number in range(5):
        together = (replace(odd, key=f'odd{number}'), replace(ENTRY, key=f'{number}'))
        assert await asyncio.gather(*(store.visit().put(it, 60.0) for it in together)) == [False, True]
    for _ in range(5):
        assert await store.visit().put(odd, 60.0) is False
    assert store.condition().failed_at is None
    await store.close()


async def test_objects_that_are_stored_together_have_an_outcome_each(tmp_path, monkeypatch):
    cache = LMDBCache(tmp_path / 'store', max_bytes=1_000_000)
    driver = LMDBDriver(cache, Wire(()))
    large = replace(ENTRY, key='large', content=b'x' * 300_000)
    objects = [('one', 'text', 60.0), ('large', large, 60.0), ('two', 'text', 60.0)]
    assert await driver.set_many(objects) == [True, False, True]
    assert driver.read_at_once(['one', 'large', 'two']) == ['text', None, 'text']
    monkeypatch.setattr(lmdb_writer, 'MAX_WAITING', 1)
    stored, refused = await driver.set_many([('three', 'text', 60.0), ('four', 'text', 60.0)])
    assert stored is True
    assert isinstance(refused, ConnectionError)
    assert driver.read_at_once(['three', 'four']) == ['text', None]
