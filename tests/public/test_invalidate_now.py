"""`cache.invalidate_now`: for scripts and threads, which wait until it is written."""

import pytest

from fastapi_caching_route import ConfigurationError, FastAPICache, InvalidationError
from tests.public.lists import lists_of, read, shared
from tests.servers import wait_until
from tests.support import client_of, closing, memory_cache


def test_a_script_invalidates_and_goes_on_when_it_is_written(cache, backend, new_backend):
    there = (
        FastAPICache(new_backend(namespace=backend.namespace), store_timeout=5)
        if cache._settings.store.is_shared
        else cache
    )
    router, items, runs, _ = lists_of(there)
    with client_of(router) as client:
        assert read(client, 'ada', 'bob', 'ada', 'bob') == ['MISS', 'MISS', 'HIT', 'HIT']
        items['ada'] = ['new']
        cache.invalidate_now(tags=['items of ada'])
        assert client.get('/items', headers={'user': 'ada'}).json() == ['new']
        assert read(client, 'ada', 'bob') == ['HIT', 'HIT']
        assert runs == ['ada', 'bob', 'ada']
        client.portal.call(closing, there.backend)


async def test_invalidating_now_in_a_running_loop_is_refused_with_the_remedy():
    with pytest.raises(ConfigurationError, match=r'invalidate_soon') as raised:
        memory_cache().invalidate_now(tags=['a'])
    assert 'await cache.invalidate_tags' in str(raised.value)


def test_invalidating_now_says_if_the_store_does_not_take_it_and_it_is_tried_again(caplog):
    backend, cache, *_ = shared()
    backend.failing.add('set')
    with pytest.raises(InvalidationError, match='keeps trying'):
        cache.invalidate_now(tags=['a'])
    assert cache._settings.store.debts
    backend.failing.clear()
    wait_until(lambda: not cache._settings.store.debts)
    assert caplog.text.count('has not taken the invalidation of') == 1


def test_a_connection_that_takes_its_time_does_not_fail_a_script():
    backend, cache, *_ = shared()
    failures = iter([True])
    command = backend._command

    async def first_fails(name, effect):
        if name == 'set' and next(failures, False):
            raise ConnectionError(name)
        return await command(name, effect)

    backend._command = first_fails
    cache.invalidate_now(tags=['a'])
    assert not cache._settings.store.debts
