"""Invalidations that a store in trouble has not taken yet."""

import pytest
from aiocache import RedisCache

from fastapi_caching_route import FastAPICache, InvalidationError
from fastapi_caching_route._core.names import EVERYTHING
from fastapi_caching_route._store.debts import MAX_OWED, Debts
from tests.backends.fakes import Elsewhere
from tests.routes.shop import shop
from tests.support import all_written, client_of, closing, found


def test_a_write_is_answered_while_the_store_is_down_and_its_invalidation_is_written_later(caplog, redis_server):
    caplog.set_level('INFO')
    backend = RedisCache(endpoint='127.0.0.1', port=redis_server.port, namespace='owed')
    cache = FastAPICache(backend, store_timeout=0.5)
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
    cache, sibling = FastAPICache(backend, store_timeout=0.02), FastAPICache(backend, store_timeout=0.02)
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
