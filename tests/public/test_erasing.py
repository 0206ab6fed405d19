"""Erasing deletes the bytes of entries, and whatever else tells of them; or says that it could not."""

import asyncio
import itertools
from functools import partial
from typing import Annotated

import pytest
import redis
from aiocache import SimpleMemoryCache
from aiocache.plugins import BasePlugin
from fastapi import Depends, FastAPI, Request, Response
from msgspec.structs import replace

from fastapi_caching_route import CacheContext, CacheError, FastAPICache, LMDBCache, MemoryCache, NearCopies
from fastapi_caching_route._core.entry import Entry
from fastapi_caching_route._store.local import LocalStore, LocalVisit
from fastapi_caching_route.redis import RedisClientCache
from tests.store.entries import ENTRY
from tests.support import Clock, asgi_call, asgi_scope, caching_router


class FailingRedis(RedisClientCache):
    """Deletes nothing, with an error or without an end."""

    trouble: Exception | None = None

    async def _delete(self, key, _conn=None):
        if self.trouble is None:
            await asyncio.get_running_loop().create_future()
        raise self.trouble


@pytest.mark.parametrize(
    'trouble', [None, redis.ConnectionError('gone'), redis.ResponseError('READONLY'), OSError('reset')]
)
async def test_a_store_that_fails_while_it_deletes_is_a_cache_error(redis_port, namespace, trouble):
    backend = FailingRedis(partial(redis.asyncio.Redis, port=redis_port), namespace=namespace)
    cache, router = FastAPICache(backend, store_timeout=0.5 if trouble is None else 5), caching_router()
    backend.trouble = trouble

    @router.get('/')
    @cache(ttl=60)
    async def endpoint():
        return 'body'

    app = FastAPI()
    app.include_router(router)
    async with cache:
        await asgi_call(app, asgi_scope())
        with pytest.raises(CacheError, match='the cache backend failed') as raised:
            await cache.erase(everything=True)
    assert raised.value.__cause__ is not None


class Shop:
    """Two routes with several responses under one key; and what the store has under which keys."""

    def __init__(self, backend, clock=None, **options):
        clock = clock or Clock()
        self.cache = cache = FastAPICache(backend, clock=clock, store_timeout=5, **options)
        self.clock, self.backend, router = clock, backend, caching_router()

        @router.get('/raw/{mail}')
        @cache(ttl=60)
        async def raw(mail: str, request: Request, context: Annotated[CacheContext, Depends()]):
            user = request.cookies['user']
            context.tags.add(f'user:{user}')
            return user

        @router.get('/vary/{mail}')
        @cache(ttl=60, tags=['mails'], namespace='texts')
        async def vary(mail: str, response: Response):
            response.headers['vary'] = 'cookie'

        self.app = FastAPI()
        self.app.include_router(router)

    async def ask(self, path, user):
        messages = await asgi_call(self.app, asgi_scope(path=path, headers=[(b'cookie', b'user=' + user.encode())]))
        return dict(messages[0]['headers'])[b'x-cache'].decode()

    async def stored(self):
        """The entries, and the number of variants by the keys of records."""
        entries, records = [], {}
        async for page, _ in self.cache._settings.store.listed(
            f'{self.backend.namespace}:' if self.backend.namespace else ''
        ):
            entries += page.entries
            records |= {key: len(it.record.known) for key, it in page.records.items()}
        return entries, records

    async def lose(self, key):
        await self.cache._settings.store.erase([key])


@pytest.fixture(params=['memory', 'aiocache', 'lmdb', 'redis', 'redis, near', 'redis, plugin', 'redis, signed'])
async def shop(request, tmp_path, redis_port, namespace):
    options = {'near': NearCopies()} if request.param.endswith('near') else {}
    options |= {'signing_key': 'k' * 32} if request.param.endswith('signed') else {}
    plugins = [BasePlugin()] if request.param.endswith('plugin') else []
    new = {
        'memory': MemoryCache,
        'aiocache': SimpleMemoryCache,
        'lmdb': partial(LMDBCache, tmp_path / 'cache'),
    }.get(request.param) or partial(RedisClientCache, partial(redis.asyncio.Redis, port=redis_port), plugins=plugins)
    shop = Shop(new(namespace=namespace), **options)
    async with shop.cache:
        yield shop


async def test_all_that_tells_of_an_erased_entry_is_gone(shop):
    await shop.ask('/raw/ada@example.org', '1')
    await shop.ask('/vary/ada@example.org', '1')
    assert [len(it) for it in await shop.stored()] == [2, 2]
    assert await shop.cache.erase(everything=True) == 2
    assert await shop.stored() == ([], {})
    if isinstance(shop.backend, RedisClientCache):
        async with shop.backend.new_client() as client:
            left = [it for it in await client.keys(f'{shop.backend.namespace}:*') if b'%journal' not in it]
        assert left == []


async def test_erasing_by_name_deletes_the_record_of_the_last_variant_only(shop):
    for user in ('1', '2'):
        await shop.ask('/raw/me', user)
    assert await shop.cache.erase(tags=['user:1']) == 1
    entries, records = await shop.stored()
    assert (len(entries), [*records.values()]) == (1, [1])
    assert await shop.ask('/raw/me', '2') == 'HIT'
    assert [await shop.ask('/raw/me', '1') for _ in range(2)] == ['MISS', 'HIT']
    assert await shop.cache.erase(tags=['user:1', 'user:2']) == 2
    assert await shop.stored() == ([], {})
    assert [await shop.ask('/raw/me', '1') for _ in range(2)] == ['MISS', 'HIT']


async def test_a_record_that_is_trimmed_is_kept_until_its_last_variant_expires(shop):
    await shop.ask('/raw/me', '1')
    shop.clock.now += 30
    await shop.ask('/raw/me', '2')
    assert await shop.cache.erase(tags=['user:1']) == 1
    shop.clock.now += 59
    assert await shop.ask('/raw/me', '2') == 'HIT'


async def test_what_tells_of_variants_that_are_lost_is_deleted_whatever_is_erased(shop):
    for path in ('/raw/lost', '/raw/kept', '/raw/half'):
        await shop.ask(path, '1')
    await shop.ask('/raw/half', '2')
    first = {}
    for key in (await shop.stored())[0]:
        first.setdefault(key.rpartition(':')[0], key)
    for record, key in first.items():
        if '/raw/kept' not in record:
            await shop.lose(key)
    assert await shop.cache.erase(tags=['unknown']) == 0
    entries, records = await shop.stored()
    assert len(entries) == 2
    assert {key.split(':')[-2]: count for key, count in records.items()} == {'/raw/kept': 1, '/raw/half': 1}
    assert await shop.ask('/raw/kept', '1') == 'HIT'


async def test_every_client_gets_its_own_response_while_records_are_erased(shop):
    async def ask(number):
        user = str(number % 5)
        messages = await asgi_call(shop.app, asgi_scope(path='/raw/me', headers=[(b'cookie', f'user={user}'.encode())]))
        assert messages[1]['body'] == f'"{user}"'.encode()

    for number in range(20):
        asking = [ask(it) for it in range(number, number + 10)]
        await asyncio.gather(*asking, shop.cache.erase(tags=[f'user:{number % 5}']), ask(number))
    await shop.cache.erase(everything=True)
    assert await shop.stored() == ([], {})


async def test_a_record_that_is_trimmed_is_kept_no_longer():
    clock = Clock()
    shop = Shop(MemoryCache(clock=clock), clock=clock)
    for user in ('1', '2'):
        await shop.ask('/raw/me', user)
    assert await shop.cache.erase(tags=['user:1']) == 1
    clock.now += 61
    assert await shop.stored() == ([], {})


@pytest.fixture
async def in_memory():
    shop = Shop(MemoryCache())
    for user in ('1', '2', '3'):
        await shop.ask('/raw/me', user)
    return shop


async def test_a_variant_that_is_added_meanwhile_stays_in_the_record(in_memory, monkeypatch):
    described, users = LocalStore.described, ['4', '5']

    async def changing(store, keys):
        found = await described(store, keys)
        if len(keys) > 1 and users:
            await in_memory.ask('/raw/me', users.pop())
        return found

    monkeypatch.setattr(LocalStore, 'described', changing)
    assert await in_memory.cache.erase(tags=['user:1', 'user:2']) == 2
    assert [await in_memory.ask('/raw/me', user) for user in '345'] == ['HIT'] * 3


async def test_a_record_that_changes_all_the_time_is_deleted(in_memory, monkeypatch):
    described, users = LocalStore.described, itertools.count(4)

    async def changing(store, keys):
        await in_memory.ask('/raw/me', str(next(users)))
        return await described(store, keys)

    monkeypatch.setattr(LocalStore, 'described', changing)
    assert await in_memory.cache.erase(tags=['user:1']) == 1
    monkeypatch.undo()
    assert (await in_memory.stored())[1] == {}


async def test_a_record_that_cannot_be_replaced_is_deleted(in_memory, monkeypatch):
    async def put(*_):
        return False

    monkeypatch.setattr(LocalVisit, 'put', put)
    assert await in_memory.cache.erase(tags=['user:1']) == 1
    monkeypatch.undo()
    assert (await in_memory.stored())[1] == {}
    assert [await in_memory.ask('/raw/me', '2') for _ in range(2)] == ['MISS', 'HIT']


async def test_an_entry_that_has_taken_the_place_of_a_record_is_left_alone(in_memory, monkeypatch):
    described, calls = LocalStore.described, itertools.count()

    async def replaced(store, keys):
        if next(calls) > 1:  # after a page was read twice
            await in_memory.lose(keys[0])
            in_memory.backend.write(keys[0], replace(ENTRY, key=keys[0], marks=0), 60, 1)
        return await described(store, keys)

    monkeypatch.setattr(LocalStore, 'described', replaced)
    assert await in_memory.cache.erase(tags=['user:1']) == 1
    monkeypatch.undo()
    keys = in_memory.backend.keys()
    assert [type(in_memory.backend.peek(key)) for key in keys] == [Entry] * 3


async def test_records_of_keys_that_are_too_long_are_erased():
    cache, router, app = FastAPICache(MemoryCache()), caching_router(), FastAPI()

    @router.get('/')
    @cache(ttl=60, key_builder=lambda _: 'ada' * 60, tags=['of ada'])
    async def endpoint(response: Response):
        response.headers['vary'] = 'cookie'

    app.include_router(router)
    await asgi_call(app, asgi_scope())
    assert len(cache.backend.keys()) == 2
    assert await cache.erase(tags=['of ada']) == 1
    assert cache.backend.keys() == []
