"""Which store a backend gets, and how one of this process is used that has the user's code in it."""

import pytest
from aiocache import SimpleMemoryCache
from aiocache.plugins import BasePlugin

from fastapi_caching_route import MemoryCache
from fastapi_caching_route._store.local import LocalStore
from fastapi_caching_route._store.opening import store_over
from fastapi_caching_route._store.remote import RemoteStore
from tests.backends.fakes import Elsewhere
from tests.store.entries import ENTRY, keep, look_up


class OfSomebody(MemoryCache):
    """A class of a user, in which anything may happen."""


OF_USERS = {
    'plugins': lambda: MemoryCache(plugins=[BasePlugin()]),
    'a subclass': OfSomebody,
    'a builder of keys': lambda: SimpleMemoryCache(key_builder=lambda key, namespace: f'{namespace}{key}'),
}


@pytest.mark.parametrize('new_backend', [MemoryCache, SimpleMemoryCache])
def test_a_table_of_this_process_is_used_at_once(new_backend):
    store = store_over(new_backend(), 1)
    assert isinstance(store, LocalStore)
    assert (store.is_shared, store.tokens) == (False, None)
    assert store.at_once is not None


@pytest.mark.parametrize('kind', OF_USERS)
def test_code_of_a_user_in_this_process_may_wait_so_it_is_asked_like_a_server(kind):
    store = store_over(OF_USERS[kind](), 1)
    assert isinstance(store, RemoteStore)
    assert (store.is_shared, store.tokens, store.at_once) == (False, None, None)


def test_a_backend_outside_of_this_process_is_shared_and_has_locks():
    store = store_over(Elsewhere(), 1)
    assert isinstance(store, RemoteStore)
    assert (store.is_shared, store.tokens, store.at_once) == (True, store, None)


@pytest.mark.parametrize('kind', OF_USERS)
@pytest.mark.parametrize('way', ['invalidate', 'soft', 'soon', 'now'])
async def test_an_invalidation_beside_code_of_a_user_is_done_at_once_and_never_pending(kind, way):
    store = store_over(OF_USERS[kind](), 1)
    stored = await keep(store)
    assert stored.marks == 0
    assert await look_up(store) == stored
    match way:
        case 'invalidate':
            assert await store.invalidate(('tag:a',), key=ENTRY.key) == 1
        case 'soft':
            assert await store.invalidate(('tag:a',), soft_at=5.0) == 0
        case 'soon':
            store.invalidate_soon(('tag:a',))
        case _:
            store.invalidate_now(('tag:a',))
    found = await store.visit().look_up(ENTRY.key)
    assert (found.stale_at if way == 'soft' else found) == (5.0 if way == 'soft' else None)
    assert not store.debts
    await store.close()
