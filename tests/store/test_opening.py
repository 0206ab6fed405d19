"""Which store a backend gets."""

import pytest
from aiocache import SimpleMemoryCache
from aiocache.plugins import BasePlugin

from fastapi_caching_route import MemoryCache
from fastapi_caching_route._store.local import LocalStore
from fastapi_caching_route._store.opening import store_over
from fastapi_caching_route._store.remote import RemoteStore


class OfSomebody(SimpleMemoryCache):
    """May do anything in its commands."""


@pytest.mark.parametrize('backend', [MemoryCache(), SimpleMemoryCache()], ids=type)
def test_a_table_of_this_process_is_read_at_once(backend):
    assert isinstance(store_over(backend, 1), LocalStore)


@pytest.mark.parametrize(
    'backend',
    [
        OfSomebody(),
        SimpleMemoryCache(plugins=[BasePlugin()]),
        MemoryCache(plugins=[BasePlugin()]),
        SimpleMemoryCache(key_builder=lambda key, namespace: key),
    ],
    ids=['subclass', 'plugins', 'plugins of ours', 'key_builder'],
)
def test_a_backend_of_this_process_that_runs_code_of_the_user_is_asked_like_a_remote_one(backend):
    assert isinstance(store_over(backend, 1), RemoteStore)
