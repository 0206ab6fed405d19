"""The backends of aiocache that there are, and the way to each: `_direct.py` or `_linked.py`."""

from collections.abc import Sequence

from aiocache.backends.memory import SimpleMemoryBackend, SimpleMemoryCache

from fastapi_caching_route._backends.aiocache import BaseCache
from fastapi_caching_route._backends.commands import Shelf
from fastapi_caching_route._backends.linked import Linked
from fastapi_caching_route._store.local import Direct
from fastapi_caching_route._store.wire import Wire
from fastapi_caching_route.errors import ConfigurationError
from fastapi_caching_route.memory import MemoryCache


def checked_backend(backend: object) -> BaseCache:
    """The backend itself, if it is one.

    Raises:
        ConfigurationError: it is not, or has a ttl that makes no sense.

    """
    if not isinstance(backend, BaseCache):
        msg = f'FastAPICache needs a cache of aiocache, like MemoryCache() or RedisCache(...), got {backend!r}'
        raise ConfigurationError(msg)
    if backend.ttl is not None and not backend.ttl >= 0:
        msg = f'the ttl of the backend is in seconds and must not be negative, got {backend.ttl!r}'
        raise ConfigurationError(msg)
    return backend


def shelf_of(backend: BaseCache, timeout: float, signing_keys: Sequence[bytes] = ()) -> Shelf:
    """The way to a backend as the user built it; commands get `timeout` seconds if they can wait at all.

    What leaves the process is signed with the first of the keys, and must be signed with one of them.
    """
    if not is_inside(backend):
        return Linked(backend, Wire(signing_keys), timeout)
    if type(backend) in (MemoryCache, SimpleMemoryBackend, SimpleMemoryCache) and not _has_own_code(backend):
        return Direct(backend)
    return Linked(backend, None, timeout)  # somebody else's code is in it, and may wait or fail


def _has_own_code(backend: BaseCache) -> bool:
    """Whether code of the user's runs in it with each command."""
    return bool(backend.plugins) or backend.build_key != backend._build_key  # noqa: SLF001, there is no other way to ask


def is_inside(backend: BaseCache) -> bool:
    """Whether a backend is in this process, and in no other."""
    return isinstance(backend, (SimpleMemoryBackend, MemoryCache))
