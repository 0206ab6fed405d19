"""A response cache for FastAPI.

Nine folders, each of which imports only those below it:

    _functions    cached functions, values and locks, beside routes
    _routes       decorated routes, before any request
    _exchange     one request: start reading in `arrival.py`
    _store        entries, and their invalidation
    _fastapi      everything that depends on the internals of FastAPI
    _backends     objects under keys, in a backend of aiocache
    _core         keys, names, entries, reasons: pure
    _concurrency  flights, pauses, background tasks: imports nothing of the others
    _http         HTTP and nothing else: pure
"""

from fastapi_caching_route._backends.aiocache import Backend
from fastapi_caching_route._core.inputs import LEFT_OUT_OF_RAW_KEYS
from fastapi_caching_route._functions.cached import CachedFunction, CachedSyncFunction
from fastapi_caching_route._functions.decorating import FunctionDecorator, FunctionOptions
from fastapi_caching_route._functions.get_or_set import ValueOptions
from fastapi_caching_route._functions.locks import CacheLock
from fastapi_caching_route.cache import FastAPICache
from fastapi_caching_route.callables import Identity, KeyBuilder, Skip, StoreIf, Tags
from fastapi_caching_route.compression import Compression
from fastapi_caching_route.context import CacheContext, CacheContextDep
from fastapi_caching_route.control import CacheControl
from fastapi_caching_route.entries import EntryInfo
from fastapi_caching_route.errors import (
    CacheError,
    ConfigurationError,
    InvalidationError,
    LockError,
    LockLostError,
    LockTimeoutError,
)
from fastapi_caching_route.explain import RouteReport
from fastapi_caching_route.keys import default_key
from fastapi_caching_route.lmdb import LMDBCache, LMDBStats
from fastapi_caching_route.logs import logging_observer
from fastapi_caching_route.memory import MemoryCache, MemoryStats
from fastapi_caching_route.near import NearCopies
from fastapi_caching_route.options import DEFAULT_ACCEPTED_STATUS_CODES, CacheOptions, RouteOptions
from fastapi_caching_route.params import CachedResponse, CacheParams, CacheParamsBase, RouteHandler
from fastapi_caching_route.policy import CachePolicy
from fastapi_caching_route.route import CachingRoute
from fastapi_caching_route.router import CachingRouter
from fastapi_caching_route.stats import CacheStats, MinuteStats, PurgeStats, RouteStats, StoreStats, WorkerStats
from fastapi_caching_route.surrogates import SurrogateKeys
from fastapi_caching_route.warming import Warmed, WarmReport

__version__ = '0.8.0'

__all__ = [
    'DEFAULT_ACCEPTED_STATUS_CODES',
    'LEFT_OUT_OF_RAW_KEYS',
    'Backend',
    'CacheContext',
    'CacheContextDep',
    'CacheControl',
    'CacheError',
    'CacheLock',
    'CacheOptions',
    'CacheParams',
    'CacheParamsBase',
    'CachePolicy',
    'CacheStats',
    'CachedFunction',
    'CachedResponse',
    'CachedSyncFunction',
    'CachingRoute',
    'CachingRouter',
    'Compression',
    'ConfigurationError',
    'EntryInfo',
    'FastAPICache',
    'FunctionDecorator',
    'FunctionOptions',
    'Identity',
    'InvalidationError',
    'KeyBuilder',
    'LMDBCache',
    'LMDBStats',
    'LockError',
    'LockLostError',
    'LockTimeoutError',
    'MemoryCache',
    'MemoryStats',
    'MinuteStats',
    'NearCopies',
    'PurgeStats',
    'RouteHandler',
    'RouteOptions',
    'RouteReport',
    'RouteStats',
    'Skip',
    'StoreIf',
    'StoreStats',
    'SurrogateKeys',
    'Tags',
    'ValueOptions',
    'WarmReport',
    'Warmed',
    'WorkerStats',
    'default_key',
    'logging_observer',
]
