"""Values that others have written into the store are never served."""

import itertools
import pickle
import time
from typing import ClassVar

import pytest
from aiocache import RedisCache, SimpleMemoryCache
from aiocache.serializers import StringSerializer
from msgspec.structs import replace

from fastapi_caching_route import ConfigurationError, FastAPICache, LMDBCache, MemoryCache
from fastapi_caching_route._core.entry import Entry
from fastapi_caching_route._store.opening import store_over
from fastapi_caching_route._store.wire import encode, signed
from tests.promises.attacks import attacked
from tests.store.entries import ENTRY, VARIANTS, keep, look_up
from tests.support import caching_router, client_of, closing, marks

names = itertools.count()


class Executed:
    """A pickle that says so when it is loaded."""

    ran: ClassVar[list[int]] = []

    def __reduce__(self):
        return Executed.ran.append, (1,)


@pytest.mark.parametrize('kind', ['pickle', 'json', 'another route', 'line break', 'version'])
def test_nothing_that_is_planted_in_the_store_is_executed_or_served(new_backend, kind):
    backend = new_backend(namespace=f'attack{next(names)}', serializer=Bytes())
    cache, router = FastAPICache(backend, store_timeout=5), caching_router()

    @cache(ttl=60, key_builder=lambda request: request.url.path.strip('/'))
    @router.get('/{name}')
    async def endpoint(name: str):
        return name

    now, full = time.time(), f'{backend.namespace}::victim'
    evil = Entry(full, 200, ((b'content-type', b'text/html'),), b'evil', now, 1000)
    planted = {
        'pickle': pickle.dumps(Executed()),
        'json': b'{"status": 200, "body": "evil"}',
        'another route': encode(replace(evil, key=f'{backend.namespace}::other')),
        'line break': encode(replace(evil, headers=((b'x-a', b'b\r\nset-cookie: evil'),))),
        'version': b'fcr\x09' + encode(evil)[4:],
    }[kind]
    with attacked(backend, router) as client:
        client.portal.call(lambda: backend.set(full, planted, namespace=''))
        response = client.get('/victim')
    assert (response.json(), response.headers['x-cache']) == ('victim', 'MISS')
    assert 'evil' not in str(response.headers)
    assert Executed.ran == []


@pytest.mark.parametrize('value', [b'garbage', b'', encode(VARIANTS), encode(ENTRY), b'{"status": 200}'])
async def test_a_foreign_or_mis_keyed_value_is_a_miss_and_is_replaced(new_backend, namespace, value):
    backend = new_backend(namespace=namespace, serializer=Bytes())
    cache, router = FastAPICache(backend, store_timeout=5), caching_router()

    @cache(ttl=60, key_builder=lambda request: 'key')
    @router.get('/')
    async def endpoint():
        return 'answer'

    with client_of(router) as client:
        client.portal.call(lambda: backend.set(f'{namespace}::key', value, namespace=''))
        responses = [client.get('/') for _ in range(2)]
        assert marks(*responses) == ['MISS', 'HIT']
        client.portal.call(closing, backend)


class Bytes(StringSerializer):
    """Leaves bytes alone, for planting what others could have stored."""

    DEFAULT_ENCODING = None

    def dumps(self, value):
        return value

    def loads(self, value):
        return value


@pytest.mark.parametrize('attack', ['unsigned', 'other key', 'changed', 'moved'])
def test_nobody_without_the_key_can_plant_an_entry(redis_port, namespace, attack, caplog):
    backend = RedisCache(endpoint='127.0.0.1', port=redis_port, namespace=namespace, serializer=Bytes())
    key, full = 'k' * 16, f'{namespace}::key'
    cache, router = FastAPICache(backend, store_timeout=5, signing_key=key), caching_router()

    @cache(ttl=60, key_builder=lambda request: request.query_params.get('key', 'key'))
    @router.get('/')
    async def endpoint():
        return 'answer'

    evil = encode(replace(ENTRY, key=full, content=b'evil', stored_at=time.time(), lifetime=1000))
    with client_of(router) as client:
        assert marks(client.get('/'), client.get('/')) == ['MISS', 'HIT']
        written = client.portal.call(backend.client.get, full)
        planted = {
            'unsigned': evil,
            'other key': signed(evil, b'o' * 16),
            'changed': written[:-2] + b'!"',
            'moved': None,
        }[attack]
        if attack == 'moved':
            client.get('/?key=other')
            planted = client.portal.call(backend.client.get, f'{namespace}::other')
        client.portal.call(backend.client.set, full, planted)
        response = client.get('/')
        assert (response.json(), response.headers['x-cache']) == ('answer', 'MISS')
        client.portal.call(closing, backend)
    assert ('no valid signature' in caplog.text) is (attack != 'moved')


def test_signing_keys_can_be_rotated(redis_port, namespace):
    old, new = 'o' * 16, b'n' * 16

    def deployed(signing_key):
        backend = RedisCache(endpoint='127.0.0.1', port=redis_port, namespace=namespace)
        cache, router = FastAPICache(backend, store_timeout=5, signing_key=signing_key), caching_router()

        @cache(ttl=60, key_builder=lambda _: 'key')
        @router.get('/')
        async def endpoint():
            return 'answer'

        with client_of(router) as client:
            found = marks(client.get('/'))
            client.portal.call(closing, backend)
        return found

    assert [deployed(it) for it in (old, [new, old], new, [new], old)] == [
        ['MISS'],
        ['HIT'],
        ['MISS'],
        ['HIT'],
        ['MISS'],
    ]


@pytest.mark.parametrize('key', ['', 'short', [], ['k' * 16, 'short'], 7])
def test_a_key_that_can_be_guessed_is_refused(key):
    with pytest.raises(ConfigurationError, match='of at least 16 bytes'):
        FastAPICache(SimpleMemoryCache(), signing_key=key)


@pytest.mark.parametrize('new_memory', [MemoryCache, SimpleMemoryCache])
async def test_what_stands_under_another_key_in_this_process_is_nothing(new_memory):
    memory = new_memory()
    store = store_over(memory, 5)
    stored = await keep(store)
    assert await look_up(store) == stored
    for planted in (stored, VARIANTS, 'text', b'bytes', {'key': 'other'}):
        await memory.set('other', planted)
        assert await look_up(store, 'other') is None


async def test_what_stands_under_another_key_of_a_store_of_this_machine_is_nothing(tmp_path):
    store = FastAPICache(LMDBCache(tmp_path / 'store'))._settings.store
    stored = await keep(store)
    assert store.at_once(stored.key).entry == stored
    for planted in (stored, VARIANTS):
        await store.backend.driver().set('other', planted, 60.0)
        assert store.at_once('other') is None
    await store.close()
