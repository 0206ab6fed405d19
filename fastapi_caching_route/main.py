"""The module name of fastapi-caching-route 0.6.0: `from fastapi_caching_route.main import ...` keeps working.

New code imports the same names from `fastapi_caching_route`.
"""

from fastapi_caching_route.cache import FastAPICache
from fastapi_caching_route.callables import KeyBuilder
from fastapi_caching_route.options import DEFAULT_ACCEPTED_STATUS_CODES
from fastapi_caching_route.params import CachedResponse, CacheParams, CacheParamsBase, RouteHandler
from fastapi_caching_route.route import CachingRoute

__all__ = [
    'DEFAULT_ACCEPTED_STATUS_CODES',
    'CacheParams',
    'CacheParamsBase',
    'CachedResponse',
    'CachingRoute',
    'FastAPICache',
    'KeyBuilder',
    'RouteHandler',
]
