"""Redis Cluster and Sentinel, of servers that are started here."""

import asyncio
import contextlib
import random
import time
from functools import partial

import pytest
import redis
import redis.asyncio
from aiocache.serializers import NullSerializer
from fastapi import FastAPI
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff

from fastapi_caching_route import FastAPICache
from fastapi_caching_route._backends.drivers import AiocacheDriver
from fastapi_caching_route._backends.listing import pages_of
from fastapi_caching_route._backends.record_commands import RedisCommands
from fastapi_caching_route._backends.records import Records, StoreTroubleError
from fastapi_caching_route.redis import RedisClientCache
from tests.conftest import run
from tests.servers import free_port, wait_until
from tests.support import asgi_call, asgi_scope, caching_router, client_of, marks

ONCE = Retry(NoBackoff(), 0)


@contextlib.contextmanager
def servers(count, *options):
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(contextlib.contextmanager(run)('redis-server', *_options(), *options))
            for _ in range(count)
        ]


def _options():
    return ('--port', '{port}', '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no')


@pytest.fixture(scope='module')
def cluster(tmp_path_factory):
    """Three nodes, which share the slots among them."""
    with nodes_of_a_cluster(tmp_path_factory, 3) as nodes:
        yield nodes


@pytest.fixture
def replicated(tmp_path_factory):
    """Three nodes, which share the slots among them, and a replica of the second one."""
    with nodes_of_a_cluster(tmp_path_factory, 4) as nodes:
        with redis.Redis(port=nodes[1].port) as primary, redis.Redis(port=nodes[3].port) as replica:
            replica.execute_command('CLUSTER', 'REPLICATE', primary.cluster('MYID').decode())
            wait_until(lambda: replica.info('replication').get('master_link_status') == 'up')
        yield nodes


@contextlib.contextmanager
def nodes_of_a_cluster(tmp_path_factory, count):
    """Nodes that know each other. The first three share the slots."""
    with contextlib.ExitStack() as stack:
        nodes = []
        for number in range(count):
            folder = tmp_path_factory.mktemp(f'node{number}')
            clustered = ('--cluster-enabled', 'yes', '--cluster-port', str(free_port()), '--dir', str(folder))
            nodes.append(stack.enter_context(contextlib.contextmanager(run)('redis-server', *_options(), *clustered)))
        clients = [redis.Redis(port=node.port) for node in nodes]
        bounds = [0, 5461, 10923, 16384]
        for number, client in enumerate(clients):
            if number < 3:
                client.execute_command('CLUSTER', 'ADDSLOTSRANGE', bounds[number], bounds[number + 1] - 1)
            client.execute_command('CLUSTER', 'SET-CONFIG-EPOCH', number + 1)
        for node in nodes[1:]:
            bus = clients[nodes.index(node)].config_get('cluster-port')['cluster-port']
            clients[0].execute_command('CLUSTER', 'MEET', '127.0.0.1', node.port, bus)
        wait_until(lambda: all(knows_all(client, count) for client in clients))
        for client in clients:
            client.close()
        yield nodes


def knows_all(client, count):
    said = client.cluster('INFO')
    return (said['cluster_state'], said['cluster_known_nodes']) == ('ok', str(count))


def shop(cache):
    router, runs = caching_router(), []

    @router.get('/things/{number}')
    @cache(ttl=60, tags=['thing:{number}', 'all'])
    async def endpoint(number: int):
        runs.append(number)
        return number

    return router, runs


def cluster_backend(nodes, **options):
    return RedisClientCache(
        lambda: redis.asyncio.RedisCluster(host='127.0.0.1', port=nodes[0].port, retry=ONCE), timeout=60, **options
    )


def test_a_cluster_keeps_entries_on_all_of_its_nodes(cluster):
    cache = FastAPICache(cluster_backend(cluster, namespace='nodes'), store_timeout=5)
    router, runs = shop(cache)
    with client_of(router, lifespan=cache.lifespan) as client:
        for number in range(30):
            assert marks(*(client.get(f'/things/{number}') for _ in range(3))) == ['MISS', 'HIT', 'HIT']
        assert len(runs) == 30
        client.portal.call(cache.invalidate_tags, 'thing:7')
        assert marks(client.get('/things/7'), client.get('/things/8')) == ['MISS', 'HIT']
        client.portal.call(cache.invalidate_tags, 'all')
        assert marks(client.get('/things/7'), client.get('/things/8')) == ['MISS', 'MISS']
    for node in cluster:
        with redis.Redis(port=node.port) as one:
            assert one.dbsize() > 3


def test_a_cluster_may_be_named_by_a_url(cluster):
    hosts = ','.join(f'127.0.0.1:{node.port}' for node in cluster)
    cache = FastAPICache.from_url(f'redis+cluster://{hosts}?namespace=by-url&max_connections=20', store_timeout=5)
    router, _ = shop(cache)
    with client_of(router, lifespan=cache.lifespan) as client:
        for number in range(10):
            assert marks(client.get(f'/things/{number}'), client.get(f'/things/{number}')) == ['MISS', 'HIT']
        client.portal.call(cache.invalidate_tags, 'thing:7')
        assert marks(client.get('/things/7'), client.get('/things/8')) == ['MISS', 'HIT']


async def test_a_namespace_is_cleared_on_all_nodes_of_a_cluster(cluster):
    backend, other = (cluster_backend(cluster, namespace=it) for it in ('clear', 'clear2'))
    keys = [str(it) for it in range(600)]
    for it in (backend, other):
        await it.multi_set([(key, 'x') for key in keys])
    assert await backend.clear('clear') is True
    assert set(await backend.multi_get(keys)) == {None}
    assert set(await other.multi_get(keys)) == {'x'}
    for it in (backend, other):
        await it.close()


def test_an_event_loop_for_each_request_is_no_trouble_in_a_cluster(cluster):
    cache = FastAPICache(cluster_backend(cluster, namespace='loops'), store_timeout=5)
    router, _ = shop(cache)
    client = client_of(router)
    assert marks(*(client.get('/things/1') for _ in range(3))) == ['MISS', 'HIT', 'HIT']


async def test_entry_and_last_are_one_round_trip_to_each_node(cluster):
    cache, app = FastAPICache(cluster_backend(cluster, namespace='trips'), store_timeout=5), FastAPI()
    router, _ = shop(cache)
    app.include_router(router)
    counters = [redis.asyncio.Redis(port=node.port) for node in cluster]

    async def gets():
        return [(await it.info('commandstats')).get('cmdstat_mget', {'calls': 0})['calls'] for it in counters]

    async with cache:
        for _ in range(3):
            await asgi_call(app, asgi_scope(path='/things/1'))
        before = await gets()
        start, *_ = await asgi_call(app, asgi_scope(path='/things/1'))
        after = await gets()
    assert dict(start['headers'])[b'x-cache'] == b'HIT'
    assert sum(after) - sum(before) <= 2
    assert max(new - old for new, old in zip(after, before, strict=True)) <= 2
    for counter in counters:
        await counter.aclose()


def test_a_node_that_is_down_costs_what_is_stored_there_and_no_answer(cluster, caplog):
    cache = FastAPICache(cluster_backend(cluster, namespace='down'), store_timeout=0.25)
    router, _ = shop(cache)
    with client_of(router, lifespan=cache.lifespan) as client:
        for number in range(10):
            client.get(f'/things/{number}')
        cluster[1].freeze()
        try:
            until = time.monotonic() + 1.5
            while time.monotonic() < until:
                number = random.randrange(30)
                assert client.get(f'/things/{number}').json() == number
        finally:
            cluster[1].resume()
        wait_until(lambda: all(marks(client.get(f'/things/{number}')) == ['HIT'] for number in range(10)))
    assert caplog.text.count('is failing') <= 2  # perhaps one for a single failure, and one for the outage


KEYS = [f'key{number}' for number in range(40)]
"""Some for each node."""


async def read(linked, _):
    await linked.send('reading', lambda driver: driver.get_many(KEYS), 5, even_if_open=True)


async def write(linked, _):
    wanted = [(key, 'x', 60.0) for key in KEYS]
    outcomes = await linked.send('writing', lambda driver: driver.set_many(wanted), 5, even_if_open=True)
    assert outcomes == [True] * len(KEYS)


async def read_records(_, records):
    await records.get_many(*KEYS)


@pytest.mark.parametrize('pipelined', [read, write, read_records])
async def test_after_a_failover_the_nodes_are_asked_again_although_all_commands_are_pipelines(replicated, pipelined):
    """redis-py does so itself after single commands, and after pipelines that it may send again."""
    _, lost, other, replica = replicated
    url = f'redis+cluster://127.0.0.1:{replicated[0].port},127.0.0.1:{other.port}'
    cache, records = FastAPICache(RedisClientCache(url)), Records(RedisClientCache(url), 5)
    linked = cache._settings.store.backend
    await pipelined(linked, records)
    lost.process.kill()
    lost.process.wait()
    with pytest.raises((redis.ConnectionError, StoreTroubleError, AssertionError)):
        await pipelined(linked, records)
    with redis.Redis(port=replica.port) as promoted:
        promoted.execute_command('CLUSTER', 'FAILOVER', 'TAKEOVER')
    for node in (replicated[0], other, replica):
        with redis.Redis(port=node.port) as one:
            wait_until(partial(has_slots, one, replica.port))
    until = time.monotonic() + 30
    while True:
        try:
            await pipelined(linked, records)
            break
        except (redis.ConnectionError, ConnectionError, StoreTroubleError, AssertionError):
            assert time.monotonic() < until
            await asyncio.sleep(0.05)
    await linked.close()
    await records.close()


def has_slots(client, port):
    said = client.execute_command('CLUSTER NODES')
    return any('master' in it['flags'] and it['slots'] for name, it in said.items() if name.endswith(f':{port}'))


async def listed(backend, _):
    driver = AiocacheDriver(backend, NullSerializer())
    driver.client = backend.client  # which knows the nodes that there were
    return [key async for page, _ in pages_of(driver, 'joined:', 100) for key in page]


async def cleared(backend, added):
    await backend.clear('joined')
    return [] if added.dbsize() else ['joined:1']


async def listed_records(backend, _):
    return [key async for key in RedisCommands(backend, backend.client).keys('joined:')]


@pytest.mark.parametrize('found', [listed, cleared, listed_records])
async def test_what_is_on_a_node_that_was_added_meanwhile_is_found(tmp_path_factory, found):
    """No redirection has told the client of that node."""
    with nodes_of_a_cluster(tmp_path_factory, 4) as servers, contextlib.ExitStack() as stack:
        backend = cluster_backend(servers, namespace='joined')
        nodes = [stack.enter_context(redis.Redis(port=it.port)) for it in servers]
        slot, added = nodes[0].cluster('KEYSLOT', 'joined:1'), nodes[3]
        of_added = added.cluster('MYID').decode()
        await found(backend, added)
        for node in (*nodes[3:], *nodes[:3]):
            node.execute_command('CLUSTER', 'SETSLOT', slot, 'NODE', of_added)
        added.set('joined:1', 'x')
        assert await found(backend, added) == ['joined:1']
        await backend.close()


@pytest.fixture
def sentinel(tmp_path):
    """A primary with a replica, and one sentinel that watches them."""
    with servers(2) as (primary, replica), contextlib.ExitStack() as stack:
        with redis.Redis(port=replica.port) as client:
            client.replicaof('127.0.0.1', primary.port)
            wait_until(lambda: client.info('replication')['master_link_status'] == 'up')
        settings = tmp_path / 'sentinel.conf'
        settings.write_text(
            f'sentinel monitor main 127.0.0.1 {primary.port} 1\n'
            'sentinel down-after-milliseconds main 500\n'
            'sentinel failover-timeout main 3000\n'
        )
        watching = stack.enter_context(
            contextlib.contextmanager(run)(
                'redis-server', str(settings), '--sentinel', '--port', '{port}', '--bind', '127.0.0.1'
            )
        )
        with redis.Redis(port=watching.port) as client:
            wait_until(lambda: client.sentinel_masters()['main']['num-slaves'] == 1)
        yield primary, replica, watching


def test_a_primary_that_is_lost_is_followed_by_its_replica(sentinel):
    primary, replica, watching = sentinel
    backend = RedisClientCache(
        lambda: Sentinel([('127.0.0.1', watching.port)]).master_for('main', retry=ONCE), namespace='failover'
    )
    cache = FastAPICache(backend, store_timeout=0.25)
    router, _ = shop(cache)
    with client_of(router, lifespan=cache.lifespan) as client:
        wait_until(lambda: marks(client.get('/things/1')) == ['HIT'])
        primary.freeze()
        before = time.monotonic()
        while time.monotonic() < before + 1:
            assert client.get('/things/1').json() == 1
        with redis.Redis(port=replica.port) as one:
            wait_until(lambda: one.info('replication')['role'] == 'master')
        wait_until(lambda: marks(client.get('/things/1')) == ['HIT'])
        client.portal.call(cache.invalidate_tags, 'all')
        assert marks(client.get('/things/1')) != ['HIT']


def test_a_primary_may_be_found_by_the_sentinels_of_a_url(sentinel):
    _, _, watching = sentinel
    cache = FastAPICache.from_url(
        f'redis+sentinel://127.0.0.1:{watching.port}/main/1?namespace=by-url', store_timeout=5
    )
    router, _ = shop(cache)
    with client_of(router, lifespan=cache.lifespan) as client:
        assert marks(client.get('/things/1'), client.get('/things/1')) == ['MISS', 'HIT']
    with redis.Redis(port=watching.port) as one:  # its own is the only connection that is left
        wait_until(lambda: len(one.client_list()) == 1, seconds=5)


# As a cache of aiocache


async def test_it_is_a_cache_of_aiocache(redis_port):
    backend = RedisClientCache(lambda: redis.asyncio.Redis(port=redis_port), namespace='plain', ttl=50)
    assert await backend.set('a', {'b': 1}) is True
    assert await backend.get('a') == {'b': 1}
    assert await backend.multi_set([('b', 2), ('c', 3)], ttl=5) is True
    assert await backend.multi_get(['a', 'b', 'x']) == [{'b': 1}, 2, None]
    assert await backend.add('d', 4) is True
    with pytest.raises(ValueError, match='already exists'):
        await backend.add('d', 5)
    assert [await backend.exists(key) for key in ('d', 'x')] == [True, False]
    assert await backend.delete('d') == 1
    assert await backend.increment('n', 2) == 2
    assert await backend.expire('a', 60) is True
    assert 59 < await backend.raw('ttl', 'plain:a') <= 60
    assert await backend.expire('a', 0) is True
    assert await backend.raw('ttl', 'plain:a') == -1
    assert 0 < await backend.raw('ttl', 'plain:c') <= 5
    assert await backend._redlock_release('plain:n', 'x') == 0
    assert await backend._redlock_release('plain:n', '2') == 1
    assert await backend.clear(namespace='plain') is True
    assert await backend.get('a') is None
    with pytest.raises(NotImplementedError, match='compare'):
        await backend._set('a', 'b', _cas_token='c')
    await backend.close()
    assert await backend.get('a') is None  # it opens itself again
    await backend.close()
