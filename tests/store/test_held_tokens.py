"""Tokens under whose keys there is something that does not end, on each kind of store that processes share."""

import pytest
from aiocache import MemcachedCache, RedisCache
from aiocache.serializers import StringSerializer

from fastapi_caching_route import LMDBCache
from fastapi_caching_route._store import held_tokens
from fastapi_caching_route._store.opening import store_over
from fastapi_caching_route._store.wire import encode
from tests.exchange.herds import Waits
from tests.store.entries import ENTRY

SPAN = 30.0


class Bytes(StringSerializer):
    """Leaves bytes alone, for planting what others could have stored."""

    DEFAULT_ENCODING = None

    def dumps(self, value):
        return value


class Machine:
    """Three processes that know nothing of each other, on one backend, and a key."""

    def __init__(self, backend, key, time):
        self.backend, self.key, self.time = backend, key, time
        self.stores = [store_over(backend, 5) for _ in range(3)]

    async def add(self, number, span=SPAN):
        return await self.stores[number].add(self.key, f'token of {number}', span, mends=True)

    async def plant(self, value):
        assert await self.backend.set(self.key, value, namespace='')


@pytest.fixture(params=['redis', 'memcached', 'lmdb'])
async def machine(request, tmp_path, namespace, monkeypatch):
    time = Waits()
    monkeypatch.setattr(held_tokens, 'time', time)
    if request.param == 'lmdb':
        backend = LMDBCache(tmp_path / 'cache', serializer=Bytes())
    else:
        kind = RedisCache if request.param == 'redis' else MemcachedCache
        port = request.getfixturevalue(f'{request.param}_port')
        backend = kind(endpoint='127.0.0.1', port=port, serializer=Bytes())
    found = Machine(backend, f'%lock:{namespace}', time)
    yield found
    for store in found.stores:
        await store.close()
    await backend.close()


async def test_a_token_that_another_process_holds_is_left_alone(machine):
    assert await machine.add(0)
    for _ in range(3):
        assert [await machine.add(1), await machine.add(2)] == [False, False]
    await machine.stores[0].release(machine.key, 'token of 0')
    assert await machine.add(1)
    assert not await machine.add(2)


@pytest.mark.parametrize('value', [b'of others', encode('a token')], ids=['text', 'token'])
async def test_a_lock_on_which_correctness_depends_takes_nothing_over(machine, value):
    await machine.plant(value)
    store = machine.stores[0]
    assert not await store.add(machine.key, 'mine', 30)
    machine.time.now += 40
    assert not await store.add(machine.key, 'mine', 30)


@pytest.mark.parametrize('value', [b'of others', b'', encode(ENTRY)], ids=['text', 'empty', 'entry'])
async def test_what_is_no_token_is_replaced_at_once_and_told_once(machine, value, caplog):
    for _ in range(2):
        await machine.plant(value)
        assert await machine.add(0)
        assert not await machine.add(1)
    assert [it.levelname for it in caplog.records if 'a lock in the cache backend' in it.message] == ['WARNING']


async def test_what_another_process_has_taken_meanwhile_is_left_to_it(machine, monkeypatch):
    await machine.plant(b'of others')
    backend, reads = machine.stores[0].backend, []
    read = type(backend).get

    async def reading(it, *asked):
        if it is backend:
            reads.append(1)
            if len(reads) == 2:
                assert await machine.add(1)
        return await read(it, *asked)

    monkeypatch.setattr(type(backend), 'get', reading)
    assert not await machine.add(0)


async def test_a_token_that_does_not_expire_is_replaced_after_its_time(machine):
    await machine.plant(encode('a token'))
    assert not await machine.add(0, 30)
    machine.time.now += 30
    assert not await machine.add(0, 30)
    machine.time.now += 2
    assert await machine.add(0, 30)


async def test_another_token_that_is_there_after_that_time_is_left_alone(machine):
    assert await machine.add(0, 30)
    assert not await machine.add(1, 30)
    await machine.stores[0].release(machine.key, 'token of 0')
    assert await machine.add(2, 60)
    machine.time.now += 40
    assert not await machine.add(1, 30)
    machine.time.now += 10
    assert not await machine.add(1, 30)
