"""What may happen to the journal of a real Redis, and that nothing comes back which was invalidated."""

import asyncio
import contextlib
import random
import subprocess
import time

import pytest
import redis
import redis.asyncio
from aiocache import RedisCache
from fastapi import FastAPI

from fastapi_caching_route import FastAPICache
from fastapi_caching_route._backends import redis_journal
from fastapi_caching_route.redis import RedisClientCache
from tests.conftest import run
from tests.servers import free_port, listens, wait_until
from tests.support import asgi_call, asgi_scope, caching_router

HEAD, TEXTS = '{%journal}', '{%journal}:texts'


def worker(backend, data, **options):
    """A cache over a backend, as one of several processes has it; what it answers, and where from."""
    cache, app, router = FastAPICache(backend, **{'store_timeout': 5, **options}), FastAPI(), caching_router()

    @router.get('/things/{number}')
    @cache(ttl=60, tags=['thing:{number}', 'all things'])
    async def thing(number: int):
        return data.get(number, 0)

    app.include_router(router)

    async def ask(number=1):
        start, body = (await asgi_call(app, asgi_scope(path=f'/things/{number}')))[:2]
        return int(body['body']), dict(start['headers']).get(b'x-cache', b'none').decode()

    return cache, ask


@contextlib.asynccontextmanager
async def two_workers(port, data, **options):
    """Two caches on one server: both are opened."""
    found = [worker(RedisCache(endpoint='127.0.0.1', port=port), data, **options) for _ in range(2)]
    async with found[0][0], found[1][0]:
        yield found


@contextlib.contextmanager
def client_at(port):
    with redis.Redis(port=port) as client:
        yield client


async def test_a_user_without_the_permission_for_scripts_is_told_once_and_bypasses_the_cache(redis_server, caplog):
    caplog.set_level('INFO', logger='fastapi_caching_route')
    with client_at(redis_server.port) as server:
        server.acl_setuser('u', enabled=True, passwords='+p', keys='*', commands=['+@all', '-eval', '-evalsha'])
        backend = RedisClientCache(lambda: redis.asyncio.Redis(port=redis_server.port, username='u', password='p'))
        cache, ask = worker(backend, {})
        async with cache:
            for _ in range(10):
                assert await asyncio.gather(*(ask(number) for number in range(5))) == [(0, 'none')] * 5
            (told,) = caplog.messages
            assert f'the cache backend at localhost:{redis_server.port} is failing' in told
            assert "no permissions to run the 'eval' command" in told
            server.acl_setuser('u', enabled=True, commands=['+eval'])
            until = time.monotonic() + 60
            while (await ask())[1] != 'HIT':
                assert time.monotonic() < until
                await asyncio.sleep(0.05)
            assert [it.endswith('works again') for it in caplog.messages[1:]] == [True]


@pytest.mark.parametrize('key', [HEAD, TEXTS])
@pytest.mark.parametrize('plant', ['SET {} x', 'RPUSH {} x', 'HSET {} a b', 'ZADD {} 1 x', 'DEL {}', 'SET {} fcrmx'])
async def test_whatever_is_planted_in_place_of_a_journal_revives_nothing(redis_server, key, plant):
    data = {}
    async with two_workers(redis_server.port, data) as ((here, ask_here), (_, ask_there)):
        with client_at(redis_server.port) as server:
            for number in range(1, 4):
                assert (await ask_here())[0] == (await ask_there())[0] == number - 1
                if number == 2:
                    server.delete(key)
                    server.execute_command(*plant.format(key).split())
                data[1] = number
                await here.invalidate_tags('thing:1')
                if number == 3:
                    server.delete(key)
                    server.execute_command(*plant.format(key).split())
                assert (await ask_there())[0] == (await ask_here())[0] == number
        assert [(await ask_here())[1] for _ in range(2)] == ['HIT'] * 2


@pytest.mark.parametrize('soft', [False, True])
@pytest.mark.parametrize(
    ('member', 'place'),
    [(b'\xff', 2), (b'a', 1.5), (b'a', 1e26), (b'a', float('inf')), (b'%a@b', 2), (b'%a@nan', 2), (b'', 2), (b's', 2)],
)
async def test_whatever_is_planted_into_a_journal_revives_nothing_and_keeps_nothing_from_being_stored(
    redis_server, member, place, soft
):
    data = {}
    async with two_workers(redis_server.port, data) as ((here, ask_here), (_, ask_there)):
        assert [(await ask())[0] for ask in (ask_here, ask_there)] == [0, 0]
        with client_at(redis_server.port) as server:
            for number in range(1, 4):
                server.zadd(TEXTS, {member: place})
                data[1] = number
                await here.invalidate_tags('thing:1', soft=soft)
                assert [(await ask())[0] for ask in (ask_there, ask_here)] == [number] * 2
        assert [(await ask())[1] for ask in (ask_here, ask_there)] == ['HIT'] * 2


async def test_a_journal_whose_places_cannot_be_counted_begins_anew(redis_server):
    data = {}
    async with two_workers(redis_server.port, data) as ((here, ask_here), (_, ask_there)):
        with client_at(redis_server.port) as server:
            for place in (2**53, 10**26):
                server.set(HEAD, f'fcrmabc {place} def 0')
                server.delete(TEXTS)
                server.zadd(TEXTS, {'%def': place})
                for _ in range(3):
                    assert [(await ask())[0] for ask in (ask_there, ask_here)] == [data.get(1, 0)] * 2
                    data[1] = data.get(1, 0) + 1
                    await here.invalidate_tags('thing:1')
        await ask_here()
        assert [(await ask())[1] for ask in (ask_here, ask_there)] == ['HIT'] * 2


@pytest.mark.parametrize('policy', ['allkeys-lru', 'allkeys-random', 'volatile-ttl'])
async def test_evictions_of_any_key_revive_nothing(redis_server, policy):
    data = {}
    async with two_workers(redis_server.port, data) as ((here, ask_here), (there, ask_there)):
        with client_at(redis_server.port) as server:
            server.config_set('maxmemory-policy', policy)
            server.config_set('maxmemory', str(server.info('memory')['used_memory'] + 500_000))
            rng = random.Random(policy)
            for turn in range(400):
                number = rng.randrange(10)
                server.set(f'filler{turn}', 'x' * 20_000, ex=60)
                if turn % 3 == 0:
                    data[number] = turn
                    await rng.choice((here, there)).invalidate_tags(f'thing:{number}')
                for ask in (ask_here, ask_there):
                    assert (await ask(number))[0] == data.get(number, 0)
            assert server.info('stats')['evicted_keys'] > 100


async def test_a_redis_that_is_flushed_or_restored_from_a_dump_revives_nothing_that_a_worker_knows_of(tmp_path):
    """SAVE, one more invalidation, SIGKILL, and a start from the dump, in which the old entry and journal are."""
    port = free_port()
    command = ['redis-server', '--port', str(port), '--bind', '127.0.0.1', '--save', '', '--dir', str(tmp_path)]

    @contextlib.contextmanager
    def server():
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)  # noqa: S603, our own command
        try:
            wait_until(lambda: listens(port))
            yield
        finally:
            process.kill()
            process.wait()

    data = {}
    async with two_workers(port, data, store_timeout=1) as ((here, ask_here), (_, ask_there)):
        with server(), client_at(port) as client:
            assert [await ask_here(), await ask_here(), await ask_there()] == [(0, 'MISS'), (0, 'HIT'), (0, 'HIT')]
            await here.invalidate_tags('thing:2')
            assert await ask_there() == (0, 'HIT')
            client.save()
            data[1] = 1
            await here.invalidate_tags('thing:1')
            assert (await ask_there())[0] == 1
        with server():
            until = time.monotonic() + 60
            while True:
                found = await ask_here()
                assert found[0] == (await ask_there())[0] == 1
                if found[1] == 'HIT':
                    break
                assert time.monotonic() < until
                await asyncio.sleep(0.02)
            with client_at(port) as client:
                client.flushall()
            data[1] = 2
            await here.invalidate_tags('thing:1')
            assert (await ask_there())[0] == (await ask_here())[0] == 2


async def test_a_replica_that_lags_behind_and_is_promoted_revives_nothing_that_a_worker_knows_of():
    options = ('--port', '{port}', '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no')
    with contextlib.ExitStack() as stack:
        primary, replica = (
            stack.enter_context(contextlib.contextmanager(run)('redis-server', *options)) for _ in range(2)
        )
        at = [primary.port]
        data = {}
        with client_at(primary.port) as first, client_at(replica.port) as second:
            second.replicaof('127.0.0.1', primary.port)
            wait_until(lambda: second.info('replication')['master_link_status'] == 'up')
            workers = [
                worker(RedisClientCache(lambda: redis.asyncio.Redis(port=at[0])), data, store_timeout=1)
                for _ in range(2)
            ]
            (here, ask_here), (there, ask_there) = workers
            async with here, there:
                assert [(await ask_here())[0], (await ask_there())[0]] == [0, 0]
                await here.invalidate_tags('thing:2')
                assert first.wait(1, 5000) == 1
                second.replicaof('127.0.0.1', free_port())  # it hears of nothing any more
                data[1] = 1
                await here.invalidate_tags('thing:1')
                assert (await ask_there())[0] == 1
                second.replicaof('NO', 'ONE')
                await here._settings.store.backend.close()
                await there._settings.store.backend.close()
                at[0] = replica.port
                assert second.exists(HEAD)
                for ask in (ask_there, ask_here, ask_there):
                    assert (await ask())[0] == 1


async def test_a_process_that_has_slept_through_more_than_is_read_at_a_time_catches_up(redis_server):
    data = {}
    async with two_workers(redis_server.port, data) as ((here, ask_here), (_, ask_there)):
        await ask_there(), await ask_there(2)
        for at in range(0, 12_000, 1000):
            await here.invalidate_tags(*(f'other {number}' for number in range(at, at + 1000)))
        data[1] = 1
        await here.invalidate_tags('thing:1')
        for at in range(0, 12_000, 1000):
            await here.invalidate_tags(*(f'more {number}' for number in range(at, at + 1000)))
        assert await ask_there(2) == (0, 'HIT')
        assert (await ask_there())[0] == 1
        assert await ask_there() == await ask_here() == (1, 'HIT')


async def test_more_names_than_a_journal_keeps_cost_entries_and_revive_none(redis_server, monkeypatch):
    monkeypatch.setattr(redis_journal, 'MAX_TEXTS', 5000)
    data = {}
    async with two_workers(redis_server.port, data) as ((here, ask_here), (_, ask_there)):
        await ask_there()
        data[1] = 1
        await here.invalidate_tags('thing:1')
        for at in range(0, 20_000, 1000):
            await here.invalidate_tags(*(f'other {number}' for number in range(at, at + 1000)))
        with client_at(redis_server.port) as server:
            assert server.zcard(TEXTS) <= 5000 + 100  # and tokens
        assert (await ask_there())[0] == (await ask_here())[0] == 1
        assert await ask_there() == await ask_here() == (1, 'HIT')


@pytest.mark.parametrize('tag', ['', ' ', 'a b', '%', '{}', '}{%journal}', '\n', '\0', 'é', '😀', '\udc80', 'x' * 5000])
async def test_a_tag_may_have_any_characters(redis_port, tag):
    cache, app, router, runs = (
        FastAPICache(RedisCache(endpoint='127.0.0.1', port=redis_port)),
        FastAPI(),
        caching_router(),
        [],
    )
    other = FastAPICache(RedisCache(endpoint='127.0.0.1', port=redis_port))

    @router.get('/odd')
    @cache(ttl=60, tags=[tag.replace('{', '{{').replace('}', '}}')])
    async def odd():
        runs.append(1)
        return len(runs)

    app.include_router(router)
    async with cache, other:
        await other.clear()
        assert [(await asgi_call(app, asgi_scope(path='/odd')))[1]['body'] for _ in range(2)] == [b'1', b'1']
        await other.invalidate_tags(tag)
        assert (await asgi_call(app, asgi_scope(path='/odd')))[1]['body'] == b'2'


async def test_event_loops_in_many_threads_follow_one_journal(redis_server):
    """Each thread reads with one cache, in a loop of its own; the journal is lost now and then."""
    data, written = {}, [0]
    cache, ask = worker(RedisCache(endpoint='127.0.0.1', port=redis_server.port), data)
    other, _ = worker(RedisCache(endpoint='127.0.0.1', port=redis_server.port), data)
    until, hits = time.monotonic() + 60, [0]

    def is_over():
        return (written[0] > 40 and hits[0] > 50) or time.monotonic() > until

    async def reads():
        older = 0
        while not is_over():
            at_least = written[0]
            number, mark = await ask()
            older, hits[0] = older + (number < at_least), hits[0] + (mark == 'HIT')
        await cache._settings.store.close()
        return older

    async def writes():
        with client_at(redis_server.port) as server:
            while not is_over():
                number = data[1] = data.get(1, 0) + 1
                await random.choice((cache, other)).invalidate_tags('thing:1')
                written[0] = number
                await asyncio.sleep(0.02)
                if number % 10 == 0:
                    server.delete(random.choice((HEAD, TEXTS)))
        await cache._settings.store.close()
        await other._settings.store.close()

    reading = [asyncio.to_thread(asyncio.run, reads()) for _ in range(3)]
    seen, _ = await asyncio.gather(asyncio.gather(*reading), asyncio.to_thread(asyncio.run, writes()))
    assert sum(seen) == 0
    assert hits[0] > 10
    assert written[0] > 10
