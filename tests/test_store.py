"""Entries in real backends."""

import asyncio
import dataclasses
import itertools
import math
import struct
import time
import zlib

import pytest
from aiocache import MemcachedCache, RedisCache, SimpleMemoryCache
from aiocache.serializers import JsonSerializer, PickleSerializer, StringSerializer
from hypothesis import assume, given
from hypothesis import strategies as st

from fastapi_caching_route import ConfigurationError, FastAPICache, MemoryCache
from fastapi_caching_route._entry import Entry, Variants
from fastapi_caching_route._http.storing import FOREVER
from fastapi_caching_route._store import Store
from fastapi_caching_route._wire import MAGIC, MARK, decode, encode, signed
from tests.support import Clock, Elsewhere, caching_router, client_of, free_port, marks

ENTRY = Entry(
    key='api::GET:/a b',
    status=200,
    headers=((b'content-type', b'image/png'), (b'set-up', b'\xe9'), (b'etag', b'"x"')),
    body=bytes(range(256)) * 10,
    stored_at=1_800_000_000.25,
    lifetime=0.5,
    stale_if_error=2.0,
    windowed=True,
    names=('all', 'tag:a'),
    marks=('x', 'y', 'z', 'w'),
)
VARIANTS = Variants('key', (b'accept', b'x-plan'), 'token')

names = itertools.count()


@pytest.fixture
def namespace():
    return f'test{next(names)}'


async def keep(store, entry=ENTRY):
    """Store an entry with the marks of its names; give it as it was stored."""
    visit = store.visit()
    begun = await visit.begin(entry.names, windowed=entry.windowed)
    marked = dataclasses.replace(entry, marks=await visit.land(begun, entry.names, windowed=entry.windowed))
    assert await visit.put(marked, 60)
    return marked


async def look_up(store, key=ENTRY.key):
    found = await store.visit().look_up(key)
    return found.entry if found is not None else None


async def closing(backend):
    await (backend.client.aclose() if isinstance(backend, RedisCache) else backend.close())


@pytest.mark.parametrize('stored', [ENTRY, VARIANTS], ids=['entry', 'variants'])
def test_what_is_written_is_read_again(stored):
    assert decode(encode(stored)) == stored


@given(
    st.text(),
    st.integers(200, 599),
    st.binary(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(min_value=0, max_value=FOREVER),
)
def test_any_entry_that_can_be_sent_is_read_again(key, status, body, stored_at, lifetime):
    assume(status != 204 or not body)
    entry = Entry(key, status, ((b'a', b'b'),), body, stored_at, lifetime)
    try:
        written = encode(entry)
    except UnicodeEncodeError:
        return
    assert decode(written) == entry


@pytest.mark.parametrize('stored', [ENTRY, VARIANTS], ids=['entry', 'variants'])
def test_no_byte_can_be_changed_or_lost_unnoticed(stored):
    written = encode(stored)
    for at in range(0, len(written), 3):
        assert decode(written[:at] + bytes([written[at] ^ 1]) + written[at + 1 :]) is None
        assert decode(written[:at]) is None
    assert decode(written + b'x') is None


@given(st.binary())
def test_bytes_of_anybody_are_nothing(raw):
    assert decode(raw) is None or raw.startswith(MARK)  # after which all is a token
    assert not isinstance(decode(raw), Entry | Variants)
    assert decode(MAGIC + raw) is None


@pytest.mark.parametrize('raw', [None, 'text', 7, {'status': 200}, b'', b'{"a": 1}', b'\x80\x04\x95\x05.'])
def test_values_of_anybody_are_nothing(raw):
    assert decode(raw) is None


def test_another_version_of_the_format_is_nothing():
    assert decode(b'fcr\x01' + encode(ENTRY)[4:]) is None


@pytest.mark.parametrize(
    'field', [(b'a', b'b\r\nset-cookie: c'), (b'a\r\n', b'b'), (b'a', b'\x00'), (b'', b''), (b'A B', b'')]
)
def test_fields_that_would_break_a_response_are_nothing(field):
    assert decode(encode(Entry('k', 200, (field,), b'', 0, 1))) is None


@pytest.mark.parametrize(
    'change',
    [
        {'status': 0},
        {'status': 101},
        {'status': 10**6},
        {'lifetime': math.inf},
        {'lifetime': -1.0},
        {'lifetime': math.nan},
        {'stored_at': math.nan},
        {'headers': ((b'content-length', b'99'),)},
        {'headers': ((b'transfer-encoding', b'chunked'),)},
        {'headers': ((b'set-cookie', b'a=1'),)},
        {'headers': ((b'x-a', b'\x01'),)},
        {'headers': ((b'x-a', b'\x7f'),)},
        {'headers': ((b'etag', b'"a"\r\nx: y'),)},
        {'stale_if_error': math.inf},
    ],
)
def test_what_we_could_not_have_written_is_nothing(change):
    assert decode(encode(dataclasses.replace(ENTRY, **change))) is None


def test_a_head_that_claims_to_be_longer_than_all_of_it_is_nothing():
    rest = struct.pack('>I', 2**31) + b'\x93'
    assert decode(struct.pack('>4sI', MAGIC, zlib.crc32(rest)) + rest) is None


async def test_an_entry_is_found_under_its_own_key_alone(new_backend, namespace):
    backend = new_backend(namespace=namespace)
    store = Store(backend, 5)
    stored = await keep(store)
    assert await look_up(store) == stored
    assert await look_up(store, 'other') is None
    await closing(backend)


@pytest.mark.parametrize('key', ['plain', 'ü', 'a b', 'a_b', 'a\n\r\x00b', 'x' * 500, '::', '%', '🎉', 'user:7'])
async def test_any_key_of_a_user_works_on_any_backend(new_backend, namespace, key):
    backend = new_backend(namespace=namespace)
    cache, router = FastAPICache(backend, store_timeout=5), caching_router()

    @cache(ttl=60, key_builder=lambda request: request.query_params['key'])
    @router.get('/')
    async def endpoint(key: str):
        return key

    client = client_of(router)
    with client:
        responses = [client.get('/', params={'key': key}) for _ in range(2)]
        assert marks(*responses) == ['MISS', 'HIT']
        assert [it.json() for it in responses] == [key, key]
        assert marks(client.get('/', params={'key': f'{key}.'})) == ['MISS']
        client.portal.call(closing, backend)


async def test_miss_hit_invalidate_miss(new_backend, namespace):
    backend = new_backend(namespace=namespace)
    cache, router = FastAPICache(backend, store_timeout=5), caching_router()

    @cache(ttl=60, key_builder=lambda request: 'user:7')
    @router.get('/')
    async def endpoint():
        return b'\xff\x00'.hex()

    with client_of(router) as client:
        assert marks(client.get('/'), client.get('/')) == ['MISS', 'HIT']
        stored = client.portal.call(cache.get_cached, 'user:7')
        assert stored.body == b'"ff00"'
        assert client.portal.call(cache.invalidate_cached, 'user:7') == 1
        assert client.portal.call(cache.invalidate_cached, 'user:7') == 0
        assert marks(client.get('/')) == ['MISS']
        client.portal.call(closing, backend)


async def test_keys_in_redis_can_be_read(redis_port):
    backend = RedisCache(endpoint='127.0.0.1', port=redis_port, namespace='readable')
    cache, router = FastAPICache(backend, store_timeout=5), caching_router(prefix='/users')

    @cache(ttl=60, namespace='users')
    @router.get('/{user_id}')
    async def endpoint(user_id: int):
        return user_id

    with client_of(router) as client:
        assert marks(client.get('/users/7'), client.get('/users/7')) == ['MISS', 'HIT']
        (key,) = client.portal.call(backend.client.keys, 'readable:users:*')
        assert key.startswith(b'readable:users::GET:/users/7:')
        assert client.portal.call(backend.client.pttl, key) > 59_000
        client.portal.call(closing, backend)


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


@pytest.mark.parametrize('serializer', [JsonSerializer, StringSerializer, PickleSerializer])
async def test_the_serializer_of_the_user_is_never_used_for_entries(new_backend, namespace, serializer):
    backend = new_backend(namespace=namespace, serializer=serializer())
    cache, router = FastAPICache(backend, store_timeout=5), caching_router()

    @cache(ttl=60)
    @router.get('/')
    async def endpoint():
        return 'answer'

    with client_of(router) as client:
        assert marks(client.get('/'), client.get('/')) == ['MISS', 'HIT']
        client.portal.call(lambda: backend.set('mine', 'value'))
        assert client.portal.call(lambda: backend.get('mine')) == 'value'
        client.portal.call(closing, backend)


@pytest.mark.parametrize('ttl', [0.0001, 0.5, 1.5, 1, 40 * 24 * 3600])
async def test_any_ttl_is_fit_for_any_backend_and_the_entry_itself_decides(new_backend, namespace, ttl):
    clock = Clock()
    backend = new_backend(namespace=namespace)
    cache, router = FastAPICache(backend, store_timeout=5, clock=clock), caching_router()

    @cache(ttl=ttl)
    @router.get('/')
    async def endpoint():
        return 'answer'

    with client_of(router) as client:
        assert marks(client.get('/')) == ['MISS']
        if ttl >= 0.5:
            assert marks(client.get('/')) == ['HIT']
        clock.now += ttl + 0.01
        assert marks(client.get('/')) == ['MISS']
        client.portal.call(closing, backend)


@pytest.mark.parametrize('kind', [RedisCache, MemcachedCache])
def test_a_backend_that_is_not_there_costs_the_cache_alone(kind, caplog):
    cache, router = FastAPICache(kind(endpoint='127.0.0.1', port=free_port())), caching_router()

    @cache(ttl=60)
    @router.get('/')
    async def endpoint():
        return 'answer'

    with client_of(router) as client:
        responses = [client.get('/') for _ in range(3)]
    assert [it.json() for it in responses] == ['answer'] * 3
    assert [it.levelname for it in caplog.records if it.name == 'fastapi_caching_route'] == ['WARNING']


@pytest.mark.parametrize('attack', ['unsigned', 'other key', 'changed', 'moved'])
def test_nobody_without_the_key_can_plant_an_entry(redis_port, namespace, attack, caplog):
    backend = RedisCache(endpoint='127.0.0.1', port=redis_port, namespace=namespace, serializer=Bytes())
    key, full = 'k' * 16, f'{namespace}::key'
    cache, router = FastAPICache(backend, store_timeout=5, signing_key=key), caching_router()

    @cache(ttl=60, key_builder=lambda request: request.query_params.get('key', 'key'))
    @router.get('/')
    async def endpoint():
        return 'answer'

    evil = encode(dataclasses.replace(ENTRY, key=full, body=b'evil', stored_at=time.time(), lifetime=1000))
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


def test_an_answer_that_could_not_be_stored_is_not_called_a_miss():
    cache, router = FastAPICache(RedisCache(endpoint='127.0.0.1', port=free_port())), caching_router()

    @cache(ttl=60)
    @router.get('/')
    async def endpoint():
        return 'answer'

    with client_of(router) as client:
        response = client.get('/')
    assert (response.json(), marks(response)) == ('answer', [None])
    assert response.headers['cache-status'] == 'FastAPICache; fwd=uri-miss; detail=store-error'


async def test_a_command_that_takes_too_long_is_left_to_end_by_itself():
    backend = Elsewhere()
    store = Store(backend, 0.02)
    stored = await keep(store)
    backend.slow['multi_get'] = 0.1
    began = time.monotonic()
    assert await look_up(store) is None
    assert time.monotonic() - began < 0.09
    await asyncio.sleep(0.2)
    assert backend.ended == backend.commands
    backend.slow.clear()
    assert await look_up(store) == stored


async def test_a_request_that_is_cancelled_does_not_cancel_the_command():
    backend = Elsewhere()
    store = Store(backend, 5)
    stored = await keep(store)
    backend.slow['multi_get'] = 0.05
    asking = asyncio.ensure_future(store.visit().look_up(ENTRY.key))
    await asyncio.sleep(0.01)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await asyncio.sleep(0.1)
    assert backend.ended == backend.commands
    assert await look_up(store) == stored


async def test_aiocache_switched_off_means_no_cache(monkeypatch, new_backend, namespace):
    monkeypatch.setenv('AIOCACHE_DISABLE', '1')
    cache, router, runs = FastAPICache(new_backend(namespace=namespace)), caching_router(), []

    @cache(ttl=60)
    @router.get('/')
    async def endpoint():
        runs.append(1)
        return 'answer'

    with client_of(router) as client:
        assert [client.get('/').json() for _ in range(2)] == ['answer'] * 2
    assert runs == [1, 1]


def test_an_answer_too_large_for_memcached_is_answered_all_the_same(memcached_port):
    backend = MemcachedCache(endpoint='127.0.0.1', port=memcached_port)
    cache, router = FastAPICache(backend, store_timeout=5), caching_router()

    @cache(ttl=60)
    @router.get('/')
    async def endpoint():
        return 'x' * 2_000_000

    with client_of(router) as client:
        assert [len(client.get('/').json()) for _ in range(2)] == [2_000_000] * 2
        client.portal.call(closing, backend)


@pytest.mark.parametrize('new_memory', [MemoryCache, SimpleMemoryCache])
async def test_what_stands_under_another_key_in_this_process_is_nothing(new_memory):
    memory = new_memory()
    store = Store(memory, 5)
    stored = await keep(store)
    assert await look_up(store) == stored
    for planted in (stored, VARIANTS, 'text', b'bytes', {'key': 'other'}):
        await memory.set('other', planted)
        assert await look_up(store, 'other') is None
