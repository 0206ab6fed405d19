"""Backends by URL: which class a scheme stands for, and how its options are set.

Does not know how the clients of redis-py are made, nor which store a backend gets.
"""

import os
from dataclasses import replace
from typing import Any

from fastapi_caching_route._backends.aiocache import BaseCache
from fastapi_caching_route._backends.urls import (
    OF_A_BACKEND,
    REDIS_SCHEMES,
    StoreURL,
    count,
    options_of,
    redis_at,
    split,
)
from fastapi_caching_route.errors import ConfigurationError
from fastapi_caching_route.lmdb import LMDBCache
from fastapi_caching_route.memory import MemoryCache
from fastapi_caching_route.redis import RedisClientCache

SCHEMES = (*REDIS_SCHEMES, 'memcached', 'lmdb', 'memory')

MEMCACHED_CONNECTIONS = 16
"""aiocache makes two, and each runs one command at a time."""

VARIABLE = 'FASTAPI_CACHE_URL'

INSTALL_MEMCACHED = 'aiomcache is not installed: install the extra `memcached` of fastapi-caching-route'


def backend_at(text: object) -> BaseCache:
    """The backend that a URL describes. It connects when it is used.

    Raises:
        ConfigurationError: the URL cannot be used, or its client is not installed. The message names the remedy.

    """
    if not isinstance(text, str):
        msg = f'the URL of the cache backend must be a str, got an object of {type(text).__qualname__}'
        raise ConfigurationError(msg)
    url = split(text)
    build = {'memory': _memory, 'memcached': _memcached, 'lmdb': _lmdb, **dict.fromkeys(REDIS_SCHEMES, _redis)}
    if url.scheme not in build:
        url.refuse(f'the scheme must be one of {", ".join(SCHEMES)}')
    return build[url.scheme](url)


def url_in_environment() -> str:
    """The URL in the environment.

    Raises:
        ConfigurationError: there is none.

    """
    url = os.environ.get(VARIABLE, '')
    if not url:
        msg = f'{VARIABLE} is not set in the environment: set it to a URL like redis://10.0.0.1:6379/0 or memory://'
        raise ConfigurationError(msg)
    return url


def _redis(url: StoreURL) -> BaseCache:
    ours = {name: text for name, text in url.options.items() if name in OF_A_BACKEND}
    others = {name: text for name, text in url.options.items() if name not in OF_A_BACKEND}
    given = options_of(replace(url, options=ours), OF_A_BACKEND)
    return RedisClientCache(redis_at(replace(url, options=others)), **given)


def _memory(url: StoreURL) -> BaseCache:
    if url.netloc or url.path.strip('/'):
        url.refuse('the memory of a process has no host and no path, so it must be memory://')
    return MemoryCache(**options_of(url, {**OF_A_BACKEND, 'max_bytes': count, 'max_entries': count}))


def _memcached(url: StoreURL) -> BaseCache:
    try:
        from aiocache.backends.memcached import MemcachedCache  # noqa: PLC0415, it is optional
    except ImportError:
        url.refuse(INSTALL_MEMCACHED)
    given = options_of(url, {**OF_A_BACKEND, 'pool_size': count})
    if url.userinfo:
        url.refuse('the client of memcached sends no user name and no password')
    if len(url.hosts) != 1 or url.path.strip('/'):
        url.refuse('it must have one host and no path, like memcached://10.0.0.1:11211')
    [(host, port)] = url.addresses(11211)
    size = given.pop('pool_size', MEMCACHED_CONNECTIONS)
    new_backend: Any = MemcachedCache
    backend: BaseCache = new_backend(endpoint=host, port=port, pool_size=size, **given)
    return backend


def _lmdb(url: StoreURL) -> BaseCache:
    if url.netloc:
        url.refuse('it must have three slashes and a path, like lmdb:///var/cache/app, or be lmdb://')
    given = options_of(url, {**OF_A_BACKEND, 'max_bytes': count})
    return LMDBCache(url.decoded_path or None, **given)
