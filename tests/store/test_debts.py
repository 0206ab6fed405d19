"""Invalidations that a store in trouble has not taken yet."""

import pytest
from aiocache import RedisCache
from redis import Redis

from fastapi_caching_route import CacheContextDep, FastAPICache, InvalidationError, LMDBCache
from fastapi_caching_route._backends.lmdb_driver import LMDBDriver
from fastapi_caching_route._core.names import EVERYTHING
from fastapi_caching_route._store.debts import MAX_OWED, Debts
from fastapi_caching_route.redis import RedisClientCache
from tests.backends.fakes import Elsewhere
from tests.routes.shop import shop
from tests.support import all_written, caching_router, client_of, closing, found


def test_a_write_is_answered_while_the_store_is_down_and_its_invalidation_is_written_later(caplog, redis_server):
    caplog.set_level('INFO')
    backend = RedisCache(endpoint='127.0.0.1', port=redis_server.port, namespace='owed')
    cache = FastAPICache(backend, store_timeout=1.5)
    router, writes, *_ = shop(cache)

    @writes.put('/things/{thing_id}')
    @cache.invalidates(tags=['thing:{thing_id}'])
    async def write(thing_id: int):
        return 'written'

    with client_of(router, writes) as client:
        assert found(client, '/things/7', '/things/7') == ['MISS', 'HIT']
        redis_server.freeze()
        assert client.put('/things/7').json() == 'written'
        with pytest.raises(InvalidationError, match='keeps trying'):
            client.portal.call(cache.invalidate_tags, 'thing:8')
        redis_server.resume()
        # The old entry is still there, and this process does not use it, written or not.
        assert found(client, '/things/7') in (['MISS'], [None])
        assert 'has not taken the invalidation of' in caplog.text
        client.portal.call(all_written, cache._settings.store)
        assert 'has taken all pending invalidations' in caplog.text
        assert not cache._settings.store.debts
        found(client, '/things/7')
        assert found(client, '/things/7') == ['HIT']
        client.portal.call(closing, backend)


@pytest.mark.parametrize('broken', ['failing', 'hanging'])
def test_what_could_not_be_invalidated_yet_is_not_used_by_this_process(broken, caplog, monkeypatch):
    monkeypatch.setattr('fastapi_caching_route._store.debts.FIRST_RETRY_SECONDS', 0.01)
    backend = Elsewhere(namespace='owed')
    cache, sibling = (FastAPICache(backend, store_timeout=0.2) for _ in range(2))
    router, writes, *_ = shop(cache)

    @router.get('/sibling')
    @sibling(ttl=60, tags=['thing:7'])
    async def of_sibling():
        return 1

    @writes.put('/things/{thing_id}')
    @cache.invalidates(tags=['thing:{thing_id}'])
    async def write(thing_id: int):
        return 'written'

    paths = ('/things/7', '/sibling', '/things')
    with client_of(router, writes) as client:
        found(client, *paths)
        getattr(backend, broken).add('set')
        assert client.put('/things/7').json() == 'written'
        with pytest.raises(InvalidationError, match='keeps trying'):
            client.portal.call(cache.invalidate_path, '/things')
        # Everything is there to be read, and only what is owed is not used. Nothing can be stored.
        assert found(client, *paths, '/things?page=2') == [None] * 4
        getattr(backend, broken).clear()
        client.portal.call(all_written, cache._settings.store)
        assert found(client, *paths) == ['MISS'] * 3
        assert found(client, *paths) == ['HIT'] * 3
    assert caplog.text.count('has not taken the invalidation of') == 1  # of one outage


def keyed(cache, namespace):
    """A client of a route that notes its keys."""
    router, keys = caching_router(), []

    @router.get('/keyed/{number}')
    @cache(ttl=60, namespace=namespace)
    async def endpoint(number: int, context: CacheContextDep) -> int:
        keys.append(context.key)
        return len(keys)

    return client_of(router, lifespan=cache.lifespan), keys


@pytest.mark.parametrize('soft', [False, True])
@pytest.mark.parametrize('namespace', [None, 'of its own'])
@pytest.mark.parametrize('form', [str, lambda key: key], ids=['text', 'key'])
def test_the_entry_of_a_key_is_not_used_if_the_store_refused_its_invalidation(form, namespace, soft):
    backend = Elsewhere(namespace='owed')
    cache = FastAPICache(backend)
    client, keys = keyed(cache, namespace)
    with client:
        assert found(client, '/keyed/7', '/keyed/7', '/keyed/8') == ['MISS', 'HIT', 'MISS']
        backend.failing.add('set')
        with pytest.raises(InvalidationError, match='keeps trying'):
            client.portal.call(lambda: cache.invalidate_cached(form(keys[0]), namespace, soft=soft))
        assert client.get('/keyed/7').json() == 3
        assert found(client, '/keyed/8') == ['HIT']
        backend.failing.clear()
        client.portal.call(all_written, cache._settings.store)
        assert client.get('/keyed/7').json() == 4
        assert found(client, '/keyed/7', '/keyed/8') == ['HIT', 'HIT']


def test_what_a_store_of_this_machine_has_not_taken_yet_is_not_used_by_this_process(tmp_path, monkeypatch):
    cache = FastAPICache(LMDBCache(tmp_path / 'store'))
    client, keys = keyed(cache, None)

    async def failing(*_, **__):
        raise OSError

    with client:
        assert found(client, '/keyed/7', '/keyed/7', '/keyed/8') == ['MISS', 'HIT', 'MISS']
        with monkeypatch.context() as patch:
            patch.setattr(LMDBDriver, 'journal', failing)
            with pytest.raises(InvalidationError, match='keeps trying'):
                client.portal.call(cache.invalidate_cached, keys[0])
            assert client.get('/keyed/7').json() == 3
            assert found(client, '/keyed/8') == ['HIT']
        client.portal.call(all_written, cache._settings.store)
        assert client.get('/keyed/7').json() == 4


@pytest.mark.parametrize('form', [str, lambda key: key], ids=['text', 'key'])
def test_a_redis_that_takes_no_writes_learns_later_that_a_key_was_invalidated(form, redis_server):
    def over_redis():
        return FastAPICache(RedisClientCache(f'redis://127.0.0.1:{redis_server.port}', namespace='keyed'))

    cache, other = over_redis(), over_redis()
    (client, keys), (elsewhere, runs) = keyed(cache, None), keyed(other, None)
    with Redis(port=redis_server.port) as server, client, elsewhere:
        assert found(client, '/keyed/7', '/keyed/7') == ['MISS', 'HIT']
        assert found(elsewhere, '/keyed/7') == ['HIT']
        server.config_set('min-replicas-to-write', 1)
        with pytest.raises(InvalidationError, match='keeps trying'):
            client.portal.call(cache.invalidate_cached, form(keys[0]))
        assert client.get('/keyed/7').json() == 2
        server.config_set('min-replicas-to-write', 0)
        client.portal.call(all_written, cache._settings.store)
        assert elsewhere.get('/keyed/7').json() == 1 == len(runs)  # computed in this process for the first time
        assert client.get('/keyed/7').headers['x-cache'] == 'HIT'


@pytest.mark.parametrize('form', [str, lambda key: key], ids=['text', 'key'])
async def test_the_result_of_a_function_is_not_used_if_the_store_refused_the_invalidation_of_its_key(form):
    backend, runs = Elsewhere(), []
    cache = FastAPICache(backend)

    @cache.function(ttl=60)
    async def rate(currency: str) -> int:
        runs.append(currency)
        return len(runs)

    async with cache:
        assert [await rate('EUR'), await rate('EUR'), await rate('USD')] == [1, 1, 2]
        backend.failing.add('set')
        with pytest.raises(InvalidationError, match='keeps trying'):
            await cache.invalidate_cached(form(rate.key('EUR')))
        assert [await rate('EUR'), await rate('USD')] == [3, 2]
        backend.failing.clear()
        await all_written(cache._settings.store)
        assert [await rate('EUR'), await rate('EUR'), await rate('USD')] == [4, 4, 2]


def test_a_process_owes_everything_in_place_of_more_than_so_many_names():
    async def write(names):
        pass

    debts = Debts()
    debts.note([f'tag:{number}' for number in range(MAX_OWED)], write)
    assert not debts.include([EVERYTHING])
    debts.note(['tag:one more'], write)
    assert len(debts.owed()) == MAX_OWED + 1
    assert debts.include([EVERYTHING])  # which is a name of each entry


async def test_an_error_and_the_log_list_some_of_many_names_and_no_key(caplog):
    backend = Elsewhere()
    backend.failing.add('set')
    cache = FastAPICache(backend)
    with pytest.raises(InvalidationError, match='and 1990 more') as many:
        await cache.invalidate_tags(*(f'row {number}' for number in range(2000)))
    with pytest.raises(InvalidationError, match=r'key:[0-9a-f]{32};') as one:
        await cache.invalidate_cached('the token of a client')
    for text in (str(many.value), str(one.value), *(it.getMessage() for it in caplog.records)):
        assert len(text) < 1000
        assert 'token' not in text
    backend.failing.clear()
    await all_written(cache._settings.store)


async def test_what_is_pending_without_a_backend_is_listed_in_part(caplog):
    cache = FastAPICache.deferred()
    with pytest.raises(InvalidationError):
        await cache.invalidate_tags(*(f'row {number}' for number in range(2000)))
    assert 'and 1990 more' in caplog.text
    assert len(caplog.text) < 2000
