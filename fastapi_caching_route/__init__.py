"""The response cache for FastAPI.

How the files hang together: `cache.py` is the decorator, which leaves a `_decoration.py` with a `policy.py` on an endpoint.
`route.py` finds it there, makes a `_plan.py` of it (`_planning.py`), and hands each request to `_exchange.py`: start reading there. That
asks `_key.py` under what key (`_finding.py`, where that takes more), `_visit.py` what is kept in a `_store.py`, and `_http/` what HTTP
makes of it; `_hit.py` is all of this in one go, for a hit that needs nobody. A miss goes on in `_herd.py`, where one
request leads a flight of `_flights.py` and others follow, with a `_lock.py` in other processes too; and for the leader in `_fetch.py`:
`_recorder.py` watches the endpoint answer, `_passing.py` passes on what it lets go, `_keeping.py` makes an `_entry.py` of it or ends the old
one (`_endings.py`), about which `context.py` has a say; `_validation.py` is
about a stale one when the endpoint has been asked, `_client.py` sends either. `_varying.py` tells responses under one key apart. `_names.py` is what
entries are invalidated by, `_marks.py` and `_moments.py` how, `_writes.py` when. `_backends.py` chooses the way to the
backend: `_direct.py` if it is a table of this process with nobody's code in it, as `memory.py` is; else `_linked.py`, with a `_link.py` for each
event loop, as long as `_breaker.py` says that it is worth asking, in the format of `_wire.py`; `_drivers.py` knows the clients,
`_debts.py` the invalidations that it has not taken yet. `explain.py` tells of all this for each route.
`_workers.py` knows whether other processes serve beside this one. `_form.py` gives one digest to equal multipart forms, `_written.py`
holds what guards and others write on a response, `_caches.py` finds the caches of an app, `_soon.py` writes what synchronous code
invalidates, `_outage.py` and `_lateness.py` tell a store in trouble from a process that is busy. `_fastapi/` is all that is known of the inside of FastAPI.
"""

from fastapi_caching_route._aiocache import Backend
from fastapi_caching_route._key import LEFT_OUT_OF_RAW_KEYS
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
