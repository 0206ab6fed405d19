"""Near copies and what else this process does: other caches, other responses, and a backend that fails meanwhile."""

import asyncio
import time

import pytest
from aiocache import MemcachedCache, RedisCache
from fastapi import FastAPI, Response

from fastapi_caching_route import FastAPICache, NearCopies
from fastapi_caching_route._core.entry import Entry
from fastapi_caching_route._store.copies import Copies
from tests.backends.fakes import Elsewhere
from tests.store.test_copies import TRUSTS, worker
from tests.support import asgi_call, asgi_scope, caching_router, client_of, marks


def redis_at(port, namespace):
    return RedisCache(endpoint='127.0.0.1', port=port, namespace=namespace)


@pytest.mark.parametrize('kind', ['same backend', 'same server', 'with copies'])
def test_an_invalidation_by_another_cache_of_this_process_counts_at_once(redis_port, kind):
    backend = redis_at(redis_port, kind)
    cache, router, data = worker(backend, 30)
    other = FastAPICache(
        redis_at(redis_port, kind) if kind == 'same server' else backend,
        near=NearCopies(trust=30) if kind == 'with copies' else None,
    )
    with client_of(router, lifespan=cache.lifespan) as client:
        assert marks(client.get('/things/1'), client.get('/things/1')) == ['MISS', 'HIT']
        data[1] = 5
        client.portal.call(other.invalidate_tags, 'thing:1')
        assert client.get('/things/1').json() == 5


@pytest.mark.parametrize('trust', TRUSTS)
@pytest.mark.parametrize('now', ['no-cache', 'max-age=0', 'no-store', 'max-age=50', 'max-age=50 and vary'])
def test_a_response_that_replaces_another_replaces_its_copy(redis_server, trust, now):
    cache = FastAPICache(redis_at(redis_server.port, None), mode='rfc9111', near=NearCopies(trust=trust))
    router, said, runs = caching_router(), {'cache-control': 'max-age=60'}, []

    @router.get('/')
    @cache()
    async def endpoint():
        runs.append(1)
        return Response(str(len(runs)), headers=said)

    with client_of(router, lifespan=cache.lifespan) as client:
        assert [client.get('/').text for _ in range(2)] == ['1', '1']
        said['cache-control'] = now.removesuffix(' and vary')
        if now.endswith('vary'):
            said['vary'] = 'accept-language'
        assert client.get('/', headers={'cache-control': 'no-cache'}).text == '2'
        assert client.get('/').text == ('2' if 'max-age=50' in now else '3')


def entry(body):
    return Entry('k', 200, (), body, time.time(), 60.0)


def test_what_was_read_before_it_was_replaced_or_dropped_is_not_kept():
    copies, old, new = Copies(10_000, 0, time.time), entry(b'old'), entry(b'new')
    since = copies.changes
    copies.keep(new)
    copies.keep_read(old, since)
    assert copies.get('k') is new
    since = copies.changes
    copies.drop('k')
    copies.keep_read(new, since)
    assert copies.get('k') is None
    copies.keep_read(new, copies.changes)
    assert copies.get('k') is new


def test_what_was_read_before_so_many_changes_that_nobody_knows_them_is_not_kept(monkeypatch):
    monkeypatch.setattr('fastapi_caching_route._concurrency.pauses.MAX_KEYS', 3)
    copies, old = Copies(10_000, 0, time.time), entry(b'old')
    for key in ('k', 'a', 'b', 'c'):
        copies.drop(key)
    copies.keep_read(old, 0)
    assert copies.get('k') is None
    copies.keep_read(old, 1)
    assert copies.get('k') is old


def test_what_an_earlier_read_has_found_for_the_ledger_does_not_replace_what_a_later_one_has_found():
    copies = Copies(10_000, 30, time.time)
    copies.note_read(2.0, ['new'])
    copies.note_read(1.0, ['old'])  # it has taken longer
    assert (copies.beside, copies.read_at) == (['new'], 2.0)


@pytest.mark.parametrize('trust', [0, 0.05])
def test_copies_are_not_used_while_aiocache_is_switched_off(redis_port, trust, monkeypatch):
    cache, router, data = worker(redis_at(redis_port, f'off{trust}'), trust)
    with client_of(router, lifespan=cache.lifespan) as client:
        assert marks(client.get('/things/1'), client.get('/things/1')) == ['MISS', 'HIT']
        with monkeypatch.context() as patch:
            patch.setenv('AIOCACHE_DISABLE', '1')
            time.sleep(2 * trust)
            for data[1] in (5, 6, 7):
                assert client.get('/things/1').json() == data[1]


def test_nothing_is_sent_while_aiocache_is_switched_off(monkeypatch, caplog):
    monkeypatch.setenv('AIOCACHE_DISABLE', '1')
    cache, router, data = worker(redis_at(1, None), 0)  # no server has this port
    with client_of(router, lifespan=cache.lifespan) as client:
        assert client.get('/things/1').json() == 0
        assert client.post('/things/1/invalidate').status_code == 200
        assert client.get('/things/1').json() == data[1] == 1
    assert caplog.messages == []


def test_what_was_invalidated_while_aiocache_was_switched_off_is_not_served_afterwards(redis_port, monkeypatch):
    cache, router, data = worker(redis_at(redis_port, 'on again'), 0)
    with client_of(router, lifespan=cache.lifespan) as client:
        client.get('/things/1')
        with monkeypatch.context() as patch:
            patch.setenv('AIOCACHE_DISABLE', '1')
            client.post('/things/1/invalidate')
        assert client.get('/things/1').json() == data[1] == 1


@pytest.mark.parametrize('command', ['failing', 'hanging'])
async def test_copies_are_used_no_longer_than_they_are_trusted_if_the_backend_is_down(command, skipping_time):
    backend, app = Elsewhere(), FastAPI()
    cache = FastAPICache(backend, store_timeout=0.05, near=NearCopies(trust=0.2))
    router, runs = caching_router(), []

    @router.get('/')
    @cache(ttl=60)
    async def endpoint():
        runs.append(1)
        return len(runs)

    app.include_router(router)

    async def ask():
        return (await asgi_call(app, asgi_scope()))[1]['body']

    async with cache:
        assert [await ask(), await ask()] == [b'1', b'1']
        getattr(backend, command).update(('get', 'multi_get'))
        assert await ask() == b'1'
        await asyncio.sleep(0.25)
        assert [await ask() for _ in range(5)] == [b'%d' % number for number in range(2, 7)]


async def test_a_read_is_trusted_from_the_moment_at_which_it_began(skipping_time):
    sent_at, began_at, app = [], [], FastAPI()

    class Noting(Elsewhere):
        async def _multi_get(self, keys, encoding=None, _conn=None):
            sent_at.append(time.monotonic())
            return await super()._multi_get(keys)

        async def _get(self, key, encoding=None, _conn=None):
            sent_at.append(time.monotonic())
            return await super()._get(key)

    cache, router, _ = worker(Noting(), 0)
    copies = cache._settings.store._parts.copies
    app.include_router(router)
    async with cache:
        for number in (1, 1, 1, 2):
            sent_at.clear()
            await asgi_call(app, asgi_scope(path=f'/things/{number}'))
            began_at.append((sent_at[0], copies.read_at))
    # The first ones have found no copy, or nothing that tells whether it is alive; then one did, and one is a miss.
    assert all(read_at <= sent for sent, read_at in began_at[2:])
    assert began_at[2][1] < began_at[3][1]


@pytest.mark.parametrize('how', ['waited for', 'soon'])
@pytest.mark.parametrize('trust', TRUSTS)
async def test_a_pending_invalidation_counts_for_copies(trust, how):
    backend, app = Elsewhere(), FastAPI()
    cache, router, data = worker(backend, trust)
    app.include_router(router)

    async def ask():
        return (await asgi_call(app, asgi_scope(path='/things/1')))[1]['body']

    async with cache:
        assert [await ask(), await ask()] == [b'0', b'0']
        data[1] = 1
        backend.failing.update(('set', 'delete', 'add'))
        if how == 'soon':
            cache.invalidate_soon(tags=['thing:1'])
        else:
            with pytest.raises(Exception, match='has not taken the invalidation'):
                await cache.invalidate_tags('thing:1')
        assert await ask() == b'1'
        backend.failing.clear()


@pytest.mark.parametrize('kind', ['redis', 'memcached'])
async def test_many_loops_and_threads_share_copies_and_serve_nothing_older(kind, request):
    """Each thread has an event loop of its own; one thread writes, and nobody reads an older number afterwards."""
    port = request.getfixturevalue(f'{kind}_port')
    new = {'redis': RedisCache, 'memcached': MemcachedCache}[kind]
    cache, router, data = worker(new(endpoint='127.0.0.1', port=port, namespace='loops'), 0.05)
    app, written = FastAPI(), [0]
    app.include_router(router)
    until, hits = time.monotonic() + 60, [0]

    def is_over():
        return (written[0] > 20 and hits[0] > 50) or time.monotonic() > until

    async def reads():
        older = 0
        while not is_over():
            at_least = written[0]
            start, body = (await asgi_call(app, asgi_scope(path='/things/1')))[:2]
            older += int(body['body']) < at_least
            hits[0] += dict(start['headers']).get(b'x-cache') == b'HIT'
        return older

    async def writes():
        while not is_over():
            data[1] = data.get(1, 0) + 1
            number = data[1]
            await cache.invalidate_tags('thing:1')
            written[0] = number
            await asyncio.sleep(0.01)

    reading = [asyncio.to_thread(asyncio.run, reads()) for _ in range(3)]
    seen, _ = await asyncio.gather(asyncio.gather(*reading), asyncio.to_thread(asyncio.run, writes()))
    assert sum(seen) == 0
    assert hits[0] > 10
    assert written[0] > 10
