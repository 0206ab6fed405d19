"""The response cache for FastAPI.

Eight wings, each of which imports only those below it:

    _routes       declared routes, before any request
    _exchange     one request: start reading in `exchange.py`
    _store        entries, and what invalidates them
    _fastapi      all that is known of the inside of FastAPI
    _backends     objects under keys, to where they are kept
    _core         keys, names, entries, reasons: pure
    _concurrency  flights, pauses, background tasks: a leaf
    _http         HTTP and nothing else: pure
"""

from fastapi_caching_route._backends.aiocache import Backend
from fastapi_caching_route._core.inputs import LEFT_OUT_OF_RAW_KEYS
from fastapi_caching_route.cache import DEFAULT_ACCEPTED_STATUS_CODES, FastAPICache
from fastapi_caching_route.context import CacheContext
from fastapi_caching_route.control import CacheControl
from fastapi_caching_route.errors import CacheError, ConfigurationError, InvalidationError
from fastapi_caching_route.explain import RouteReport
from fastapi_caching_route.memory import MemoryCache, MemoryStats
from fastapi_caching_route.params import CachedResponse, CacheParams, CacheParamsBase, RouteHandler
from fastapi_caching_route.policy import CachePolicy, Identity, KeyBuilder, Skip, StoreIf, Tags
from fastapi_caching_route.route import CachingRoute

__version__ = '0.7.0'

__all__ = [
    'DEFAULT_ACCEPTED_STATUS_CODES',
    'LEFT_OUT_OF_RAW_KEYS',
    'Backend',
    'CacheContext',
    'CacheControl',
    'CacheError',
    'CacheParams',
    'CacheParamsBase',
    'CachePolicy',
    'CachedResponse',
    'CachingRoute',
    'ConfigurationError',
    'FastAPICache',
    'Identity',
    'InvalidationError',
    'KeyBuilder',
    'MemoryCache',
    'MemoryStats',
    'RouteHandler',
    'RouteReport',
    'Skip',
    'StoreIf',
    'Tags',
]
