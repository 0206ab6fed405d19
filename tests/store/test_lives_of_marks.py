"""How long marks live: about as long as the longest entry that may hold them, and what is refused leaves none."""

import asyncio
import math
import os
import socket
import time
from types import SimpleNamespace

import pytest
import redis
from aiocache import MemcachedCache, RedisCache
from fastapi import Depends, FastAPI, HTTPException, Response

from fastapi_caching_route import FastAPICache
from fastapi_caching_route._core.entry import Entry
from fastapi_caching_route._http.freshness import FOREVER
from fastapi_caching_route._store import marks as of_marks
from fastapi_caching_route._store.marks import MAX_EARLY, SPARE_SECONDS, Marks
from tests.backends.fakes import Elsewhere
from tests.support import asgi_call, asgi_scope, caching_router

NAMES = ('all', 'path:/1')
SOFT = '%soft:path:/1'


class Own(RedisCache):
    """A Redis of whose journals nobody knows."""

    NAME = 'own'


class Lasting(Elsewhere):
    """A backend that knows when its values expire."""

    def __init__(self):
        super().__init__()
        self.ends = {}

    async def _set(self, key, value, ttl=None, _cas_token=None, _conn=None):
        self.ends[key] = time.monotonic() + ttl
        return await super()._set(key, value)

    async def _add(self, key, value, ttl=None, _conn=None):
        await super()._add(key, value)
        self.ends[key] = time.monotonic() + ttl
        return True

    async def _expire(self, key, ttl, _conn=None):
        if key not in self.kept:
            return False
        self.ends[key] = time.monotonic() + ttl
        return True


async def in_lasting(request):
    backend = Lasting()
    return (lambda: backend), lambda: {key: backend.ends[key] - time.monotonic() for key in backend.kept}


async def in_redis(request):
    port = request.getfixturevalue('redis_server').port
    server = redis.Redis(port=port)
    return (lambda: Own(endpoint='127.0.0.1', port=port)), lambda: {it: server.ttl(it) for it in server.scan_iter()}


async def in_memcached(request):
    port = request.getfixturevalue('memcached_server').port

    def lives():
        with socket.create_connection(('127.0.0.1', port)) as connection, connection.makefile('rwb') as file:
            file.write(b'lru_crawler metadump all\r\n')
            file.flush()
            found = {}
            for line in iter(file.readline, b'END\r\n'):
                key, end = line.split()[:2]
                found[key] = int(end.removeprefix(b'exp=')) - time.time()
            return found

    return (lambda: MemcachedCache(endpoint='127.0.0.1', port=port, pool_size=4)), lives


KINDS = {'memcached': in_memcached, 'redis in the generic way': in_redis, 'your own': in_lasting}


@pytest.fixture(params=KINDS)
async def there(request):
    """How a backend is made that has marks, and how many seconds each of its keys has left."""
    return await KINDS[request.param](request)


def nobody():
    raise HTTPException(401)


def shop(new_backend):
    cache = FastAPICache(new_backend(), store_timeout=5)
    app, router = FastAPI(), caching_router()

    @router.get('/things/{number}')
    @cache(ttl=60, stale_while_revalidate=1, tags=['thing:{number}'])
    async def thing(number: str):
        return number

    @router.get('/varying/{number}')
    @cache(ttl=60)
    async def varying(number: str):
        return Response(headers={'vary': 'accept-language'})

    @router.get('/secret/{name}', dependencies=[Depends(nobody)])
    @cache(ttl=60)
    async def secret(name: str): ...

    @router.get('/numbers/{number}')
    @cache(ttl=60)
    async def numbers(number: int): ...

    @router.get('/files/{path:path}')
    @cache(ttl=60, stale_while_revalidate=1)
    async def files(path: str):
        raise HTTPException(404)

    app.include_router(router)

    async def ask(path):
        start, *_ = await asgi_call(app, asgi_scope(path=path))
        return dict(start['headers']).get(b'x-cache', b'none').decode()

    return cache, ask


async def test_what_is_refused_leaves_nothing_where_there_are_marks(there):
    new_backend, lives = there
    cache, ask = shop(new_backend)
    async with cache:
        for path in ('/secret/{}', '/numbers/{}', '/files/{}/b/c/d/e/f/g/h/i/j/k/l/m/n'):
            for _ in range(400):
                await ask(path.format(os.urandom(8).hex()))
    assert 0 < len(lives()) < 200  # of 1,200


async def test_the_marks_of_short_lived_entries_are_gone_within_an_hour(there):
    new_backend, lives = there
    cache, ask = shop(new_backend)
    async with cache:
        await asyncio.gather(*(ask(f'/things/{number}') for number in range(400)))
    found = lives()
    assert len(found) > 400
    assert sum(left > 3600 for left in found.values()) < 200


async def test_the_records_of_short_lived_variants_are_gone_within_an_hour(there):
    new_backend, lives = there
    cache, ask = shop(new_backend)
    async with cache:
        await asyncio.gather(*(ask(f'/varying/{number}') for number in range(100)))
    found = lives()
    assert len(found) > 100
    assert sum(left > 3600 for left in found.values()) < 50


async def test_new_entries_are_stored_and_hit_while_another_process_invalidates_others(there):
    new_backend, _ = there
    (cache, ask), (other, _) = shop(new_backend), shop(new_backend)
    is_over = asyncio.Event()

    async def invalidate():
        number = 0
        while not is_over.is_set():
            await other.invalidate_tags(f'other {number}')
            number += 1
        return number

    async with cache, other:
        invalidating = asyncio.ensure_future(invalidate())
        seen = [await ask(f'/things/{number // 2}') for number in range(100)]
        is_over.set()
        assert await invalidating > 5
    assert seen == ['MISS', 'HIT'] * 50


class Store:
    """The commands of a ledger, over a dict whose values expire by a clock that the test sets."""

    def __init__(self):
        self.now, self.kept, self.ends, self.commands = 0.0, {}, {}, []

    def left(self, key):
        return self.ends[key] - self.now

    async def get(self, keys):
        self.commands.append('get')
        return [self.kept[key] if key in self.kept and self.ends[key] > self.now else None for key in keys]

    async def set(self, key, value, span):
        self.commands.append('set')
        self.kept[key], self.ends[key] = value, self.now + span
        return True

    async def add(self, key, value, span):
        self.commands.append('add')
        is_there = key in self.kept and self.ends[key] > self.now
        return not is_there and await self.set(key, value, span)

    async def prolong(self, key, span):
        self.commands.append('prolong')
        if self.ends.get(key, 0.0) <= self.now:
            return False
        self.ends[key] = self.now + span
        return True

    async def delete(self, key):
        self.kept.pop(key, None)


@pytest.fixture
def store(monkeypatch):
    it = Store()
    monkeypatch.setattr(of_marks, 'time', SimpleNamespace(monotonic=lambda: it.now))
    return it


async def stored(ledger, store, span=60.0, *, takes=0.0, meanwhile=None, names=NAMES, windowed=False):
    """The entry of a run that takes so many seconds, if it may be stored."""
    early = await ledger.marks_before(store, names, key='k', windowed=windowed)
    store.now += takes
    if meanwhile is not None:
        await meanwhile
    held = await ledger.marks_after(store, early, names, key='k', windowed=windowed, span=span)
    if held is None:
        return None
    return Entry('k', 200, (), b'', 0.0, span, windowed=windowed, names=names, marks=held)


async def stale_at(ledger, store, entry):
    return await ledger.stale_at(store, entry, await ledger.see(store, await store.get(ledger.beside)))


@pytest.mark.parametrize('span', [1.0, 300.0, 3600.0, 86400.0, FOREVER])
async def test_a_mark_outlives_the_entry_that_needs_it_and_not_by_much(store, span):
    entry = await stored(Marks(''), store, span)
    assert span <= store.left(SOFT) <= 2 * span + SPARE_SECONDS
    store.now += span - 0.5
    assert await stale_at(Marks(''), store, entry) == math.inf


async def test_a_mark_is_prolonged_when_an_entry_is_renewed_and_does_not_change(store):
    ledger = Marks('')
    first = await stored(ledger, store, 1000.0)
    for _ in range(20):
        store.now += 999.0
        again = await stored(ledger, store, 1000.0)
        assert again.marks == first.marks
        store.now += 1.0
        assert await stale_at(Marks(''), store, again) == math.inf


async def test_a_mark_that_lasts_is_not_prolonged_for_each_entry(store):
    ledger = Marks('')
    await stored(ledger, store, 60.0)
    del store.commands[:]
    for _ in range(3):
        await stored(ledger, store, 60.0)
    assert store.commands == ['get', 'get'] * 3


async def test_another_process_prolongs_a_mark_of_which_it_does_not_know_how_long_it_lasts(store):
    await stored(Marks(''), store, 1.0)
    store.now += 599.0
    entry = await stored(Marks(''), store, 3600.0)
    store.now += 3599.0
    assert await stale_at(Marks(''), store, entry) == math.inf


async def test_the_mark_of_an_invalidation_elsewhere_is_prolonged_by_a_process_that_knew_the_old_one(store):
    ledger = Marks('')
    await stored(ledger, store, 3600.0)
    await Marks('').invalidate(store, ['path:/1'], None)
    entry = await stored(ledger, store, 3600.0)
    store.now += 3599.0
    assert await stale_at(Marks(''), store, entry) == math.inf


async def test_a_mark_that_expires_while_the_endpoint_runs_is_replaced_when_nothing_was_invalidated(store):
    ledger = Marks('')
    await stored(ledger, store, 60.0)
    entry = await stored(ledger, store, 60.0, takes=10_000.0)
    assert await stale_at(Marks(''), store, entry) == math.inf


@pytest.mark.parametrize('name', ['path:/1', 'tag:other'])
@pytest.mark.parametrize('known', [False, True])
async def test_a_slow_response_is_not_stored_when_the_mark_of_an_invalidation_has_expired_since(store, name, known):
    """Whichever name that was: nobody can tell any more."""
    ledger, there = Marks(''), Marks('')
    if known:
        await stored(ledger, store, 60.0)

    async def invalidate():
        await there.invalidate(store, [name], None)
        store.now += 10_000.0

    assert await stored(ledger, store, 60.0, meanwhile=invalidate()) is None
    assert await stored(ledger, store, 60.0) is not None


async def test_what_was_invalidated_stays_so_after_the_mark_of_the_invalidation_has_expired(store):
    ledger, there = Marks(''), Marks('')
    entry = await stored(ledger, store, FOREVER)
    for reader in (ledger, there):
        assert await stale_at(reader, store, entry) == math.inf
    await there.invalidate(store, ['path:/1'], None)
    assert store.left(SOFT) == SPARE_SECONDS
    for _ in range(3):
        for reader in (ledger, there, Marks('')):
            assert await stale_at(reader, store, entry) is None
        store.now += SPARE_SECONDS
        await stored(Marks(''), store, 1.0)


async def test_a_stale_entry_is_stale_for_as_long_as_it_is_stored(store):
    entry = await stored(Marks(''), store, 20 * 86400.0, windowed=True)
    await Marks('').invalidate(store, ['path:/1'], 17.0)
    store.now += 15 * 86400.0
    assert await stale_at(Marks(''), store, entry) == 17.0


async def test_the_mark_of_a_soft_invalidation_lasts_as_long_as_the_entry_that_is_stored_after_it(store):
    await Marks('').invalidate(store, ['path:/1'], 17.0)
    await stored(Marks(''), store, 60.0, windowed=True)
    assert store.left(SOFT) == 2 * 60.0 + SPARE_SECONDS


async def test_a_run_without_room_for_its_marks_is_stored_unless_something_is_invalidated_meanwhile(store, monkeypatch):
    monkeypatch.setattr(of_marks, 'MAX_EARLY', 0)
    ledger = Marks('')
    early = await ledger.marks_before(store, NAMES, key='k', windowed=False)
    assert set(store.kept) == {'%last'} == set(early)
    assert await stored(ledger, store) is not None
    names = ('all', 'path:/2')
    other = Marks('').invalidate(store, ['path:/3'], None)
    assert await stored(ledger, store, names=names, meanwhile=other) is None
    other = Marks('').invalidate(store, ['path:/3'], None)
    assert await stored(ledger, store, names=names, meanwhile=other) is not None  # its marks are there by now


async def test_runs_that_store_nothing_make_few_marks_and_what_stores_its_response_makes_room_for_others(store):
    ledger = Marks('')
    for number in range(100):
        await ledger.marks_before(store, (f'path:/{number}',), key='k', windowed=False)
    assert len(store.kept) == 1 + MAX_EARLY
    for number in range(100):
        assert await stored(ledger, store, names=(f'path:/{number}',)) is not None
    before = len(store.kept)
    await ledger.marks_before(store, ('path:/next',), key='k', windowed=False)
    assert len(store.kept) == before + 1
    store.now += SPARE_SECONDS
    for number in range(100):
        await ledger.marks_before(store, (f'path:/late{number}',), key='k', windowed=False)
    assert len(store.kept) == before + MAX_EARLY  # one of them is that of the key, which was there before


async def test_an_entry_is_alive_in_a_full_store_that_has_lost_the_token_of_the_last_invalidation(store):
    entry = await stored(Marks(''), store)
    await store.delete('%last')

    async def refuse(key, value, span):
        raise OSError

    store.add = refuse
    assert await stale_at(Marks(''), store, entry) == math.inf


async def test_a_backend_that_cannot_prolong_a_mark_keeps_it_for_as_long_as_any_entry(store):
    ledger = Marks('', prolongs=False)
    entry = await stored(ledger, store, 1.0)
    await ledger.invalidate(store, ['path:/2'], None)
    assert {store.left(key) for key in store.kept} == {FOREVER}
    store.now += FOREVER - 1
    await stored(ledger, store, FOREVER)
    assert 'prolong' not in store.commands
    assert await stale_at(Marks(''), store, entry) == math.inf


async def test_an_entry_that_user_code_stores_keeps_its_marks_for_as_long_as_it_lives():
    backend = Lasting()
    cache = FastAPICache(backend, store_timeout=5)
    async with cache:
        await cache.set_cached('mine', Response('x'), {'ttl': 86400})
    assert backend.kept.keys() >= {'mine', '%last', '%soft:all', '%soft:key:mine'}
    assert min(backend.ends.values()) - time.monotonic() > 86000


async def test_responses_are_stored_in_a_backend_that_cannot_prolong_marks():
    cache, app, router = FastAPICache(Elsewhere(), store_timeout=5), FastAPI(), caching_router()

    @router.get('/')
    @cache(ttl=86400)
    async def endpoint(): ...

    app.include_router(router)
    async with cache:
        answers = [await asgi_call(app, asgi_scope()) for _ in range(2)]
    assert [dict(start['headers'])[b'x-cache'] for start, *_ in answers] == [b'MISS', b'HIT']
