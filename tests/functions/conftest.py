"""Backends for functions: each kind, as one cache or as two that share it, as two processes would."""

import pytest
from aiocache import MemcachedCache, RedisCache

from fastapi_caching_route import FastAPICache, LMDBCache, MemoryCache


@pytest.fixture(params=['memory', 'lmdb', 'redis', 'memcached'])
def kind(request):
    return request.param


@pytest.fixture
def new_store(request, kind, namespace, tmp_path):
    """Makes another cache over the same entries; in memory, over the same backend."""
    if kind == 'memory':
        memory = MemoryCache()
        return lambda **options: FastAPICache(memory, **options)
    if kind == 'lmdb':
        return lambda **options: FastAPICache(LMDBCache(tmp_path / 'store', namespace=namespace), **options)
    port = request.getfixturevalue(f'{kind}_port')
    backend = RedisCache if kind == 'redis' else MemcachedCache

    def new(**options):
        return FastAPICache(
            backend(endpoint='127.0.0.1', port=port, namespace=namespace), **{'store_timeout': 5, **options}
        )

    return new


@pytest.fixture
def store(new_store):
    return new_store()
