"""Large values in Redis are not sent again to a process that has decoded them, and a change is seen all the same."""

import random

import pytest
from aiocache import RedisCache
from msgspec.structs import replace
from redis.asyncio import Redis

from fastapi_caching_route._backends import redis_known
from fastapi_caching_route._backends.drivers import AiocacheDriver
from fastapi_caching_route._backends.redis_known import can_tell_how_values_begin
from fastapi_caching_route._store.wire import Wire
from tests.store.entries import ENTRY

LARGE = [replace(ENTRY, key=f'large{number}', content=random.Random(number).randbytes(20_000)) for number in range(3)]
SMALL = replace(ENTRY, key='small')


@pytest.fixture
async def new_driver(redis_port):
    backend = RedisCache(endpoint='127.0.0.1', port=redis_port)
    await backend.client.flushdb()
    drivers = []

    def new(keys=()):
        drivers.append(AiocacheDriver(backend, Wire(keys)))
        return drivers[-1]

    yield new
    for driver in drivers:
        await driver.close()
    await backend.client.aclose()


@pytest.fixture
async def server(redis_port):
    client = Redis(port=redis_port)
    yield client
    await client.aclose()


async def sent_by(server):
    return (await server.info('stats'))['total_net_output_bytes']


async def test_a_large_value_is_sent_once(new_driver, server):
    driver = new_driver()
    for entry in (*LARGE, SMALL):
        await driver.set(entry.key, entry, 60)
    keys = ['large0', 'missing', 'small', 'large1', 'large2']
    first = list(await driver.get_many(keys))
    assert first == [LARGE[0], None, SMALL, LARGE[1], LARGE[2]]
    before = await sent_by(server)
    again = list(await driver.get_many(keys))
    assert again == first
    assert again[0] is first[0]
    assert await sent_by(server) - before < 20_000
    assert driver.knows('large0')
    assert not driver.knows('small')
    assert not driver.knows('missing')


async def test_a_large_value_that_has_changed_is_read(new_driver):
    driver, other = new_driver(), new_driver()
    for body in (LARGE[1].body, LARGE[1].body[:-1], LARGE[2].body, b'small'):
        await driver.set('large0', LARGE[0], 60)
        assert list(await driver.get_many(['large0', 'small'])) == [LARGE[0], None]
        assert driver.knows('large0')
        changed = replace(LARGE[0], content=body)
        await other.set('large0', changed, 60)
        await other.set('small', SMALL, 60)
        assert list(await driver.get_many(['large0', 'small'])) == [changed, SMALL]
        await other.erase('small')
    await driver.set('large0', LARGE[0], 60)
    await driver.get_many(['large0'])
    await other.erase('large0')
    assert list(await driver.get_many(['large0'])) == [None]


@pytest.mark.parametrize('changed', [SMALL, None])
async def test_what_is_large_no_longer_is_read_by_one_command_again(new_driver, server, changed):
    driver, entry = new_driver(), LARGE[0]
    await driver.set(entry.key, entry, 60)
    await driver.get_many([entry.key])
    await (driver.erase(entry.key) if changed is None else driver.set(entry.key, changed, 60))
    assert list(await driver.get_many([entry.key])) == [changed]
    assert not driver.knows(entry.key)
    before = await server.info('commandstats')
    assert list(await driver.get_many([entry.key])) == [changed]
    after = await server.info('commandstats')
    sent = {it for it in after if it != 'cmdstat_info' and after[it]['calls'] > before.get(it, {'calls': 0})['calls']}
    assert sent == {'cmdstat_mget'}


async def test_bytes_that_begin_alike_are_told_apart_by_their_length(new_driver, server):
    driver, entry = new_driver(), LARGE[0]
    await driver.set(entry.key, entry, 60)
    await driver.get_many([entry.key])
    await server.append(entry.key, b'x')
    assert list(await driver.get_many([entry.key])) == [None]


async def test_what_is_no_text_is_a_miss(new_driver, server):
    driver, entry = new_driver(), LARGE[0]
    await driver.set(entry.key, entry, 60)
    await driver.get_many([entry.key])
    await server.delete(entry.key)
    await server.lpush(entry.key, 'a')
    await server.lpush('small', 'a')
    assert list(await driver.get_many([entry.key, 'small'])) == [None, None]


async def test_another_type_under_one_key_says_nothing_about_the_others(new_driver, server):
    driver = new_driver()
    for entry in LARGE:
        await driver.set(entry.key, entry, 60)
    keys = [it.key for it in LARGE]
    await driver.get_many(keys)
    await server.delete(keys[0])
    await server.lpush(keys[0], 'a')
    assert list(await driver.get_many(keys)) == [None, *LARGE[1:]]
    assert [driver.knows(key) for key in keys] == [False, True, True]


@pytest.mark.parametrize('command', ['getrange', 'strlen'])
async def test_a_user_that_may_not_ask_for_parts_is_sent_all(redis_server, command):
    server = Redis(port=redis_server.port)
    await server.acl_setuser('u', enabled=True, passwords='+p', commands=['+@all', f'-{command}'], keys=['*'])
    backend = RedisCache(endpoint='127.0.0.1', port=redis_server.port)
    backend.client = Redis(port=redis_server.port, username='u', password='p')
    driver = AiocacheDriver(backend, Wire(()))
    await driver.set('large0', LARGE[0], 60)
    assert list(await driver.get_many(['large0'])) == [LARGE[0]]
    assert driver.knows('large0')
    for _ in range(2):
        assert list(await driver.get_many(['large0'])) == [LARGE[0]]
        assert not driver.knows('large0')
    await driver.close()
    await backend.client.aclose()
    await server.aclose()


async def test_with_signing_keys_all_is_sent_and_checked_each_time(new_driver):
    driver, forger = new_driver((b'k' * 32,)), new_driver()
    await driver.set('large0', LARGE[0], 60)
    for _ in range(2):
        assert list(await driver.get_many(['large0'])) == [LARGE[0]]
        assert not driver.knows('large0')
    await forger.set('large0', LARGE[0], 60)
    assert list(await driver.get_many(['large0'])) == [None]


async def test_what_the_codec_has_forgotten_is_sent_again(new_driver):
    driver = new_driver()
    await driver.set('large0', LARGE[0], 60)
    await driver.get_many(['large0'])
    driver._codec._remembered.clear()
    assert not driver.knows('large0')
    assert list(await driver.get_many(['large0'])) == [LARGE[0]]


async def test_only_so_many_keys_are_remembered(new_driver, monkeypatch):
    monkeypatch.setattr(redis_known, 'MAX_NAMES', 2)
    driver = new_driver()
    for entry in LARGE:
        await driver.set(entry.key, entry, 60)
    await driver.get_many([it.key for it in LARGE])
    assert [driver.knows(it.key) for it in LARGE] == [False, False, True]


def test_code_of_the_user_and_clusters_are_read_as_before(redis_port):
    class Own(RedisCache):
        async def _multi_get(self, *_, **__): ...

    backend = RedisCache(endpoint='127.0.0.1', port=redis_port)
    assert can_tell_how_values_begin(backend, backend.client)
    assert not can_tell_how_values_begin(Own(endpoint='127.0.0.1', port=redis_port), backend.client)

    class Cluster:
        eval = mget_nonatomic = None

    assert not can_tell_how_values_begin(backend, Cluster())
