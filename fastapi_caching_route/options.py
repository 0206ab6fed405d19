"""The options of `FastAPICache(...)` and of `@cache(...)`: names, types, and what they mean.

A new option of a cache goes into `CacheOptions` and `DEFAULTS`, and is checked in `_routes/building.py`. A new option
of a route goes into `CachePolicy`, where it is explained and checked, and into `RouteOptions`.
"""

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextvars import ContextVar
from typing import Annotated, Any, Final, Literal

from fastapi.params import Depends
from typing_extensions import Doc, TypedDict

from fastapi_caching_route._core.durations import Seconds
from fastapi_caching_route._core.inputs import LEFT_OUT_OF_RAW_KEYS
from fastapi_caching_route.callables import Identity, Key, KeyBuilder, Skip, StoreIf, Tags
from fastapi_caching_route.compression import Compression
from fastapi_caching_route.control import CacheControl
from fastapi_caching_route.events import Observer
from fastapi_caching_route.near import NearCopies
from fastapi_caching_route.policy import CachePolicy
from fastapi_caching_route.purge import Purge
from fastapi_caching_route.surrogates import SurrogateKeys

DEFAULT_ACCEPTED_STATUS_CODES = frozenset({200})
"""Responses with these statuses are stored by default."""


class CacheOptions(TypedDict, total=False):
    """The options of `FastAPICache(...)`, all of them optional; `DEFAULTS` has the values of those that are omitted."""

    namespace_policy: Annotated[
        Literal['concat', 'replace'],
        Doc("Backend's `api` and route's `users` become `api:users` (`'concat'`) or `users` (`'replace'`)."),
    ]
    cache_header: Annotated[str, Doc('The response header that says HIT or MISS.')]
    cache_header_hit: Annotated[str, Doc('Its value if the response comes from an entry.')]
    cache_header_miss: Annotated[str, Doc('Its value if the response is being stored.')]
    cache_status: Annotated[
        str | None,
        Doc('Names this cache in `Cache-Status` (RFC 9211), which says what happened and why; None: not sent.'),
    ]
    accepted_status_codes: Annotated[
        Iterable[int],
        Doc('Responses with these statuses are stored, like `range(200, 300)`; never 1xx, 206, 304, 412 or 416.'),
    ]
    enabled: Annotated[
        bool, Doc('False: requests bypass the cache until `cache.enabled = True`, as in `with cache.disabled():`.')
    ]
    version: Annotated[
        str, Doc('Part of every cache key that no `key_builder` makes; change it if a deploy changes responses.')
    ]
    policy: Annotated[CachePolicy | None, Doc('Defaults for the options of `@cache(...)`.')]
    signing_key: Annotated[
        str | bytes | Sequence[str | bytes] | None,
        Doc('Signs entries outside the process (HMAC-SHA256). Of several keys, the first signs; all are accepted.'),
    ]
    store_timeout: Annotated[
        float, Doc('Seconds that a request waits for a backend outside the process; then it goes on without it.')
    ]
    harmless_context: Annotated[
        Collection[ContextVar[Any]],
        Doc(
            'Context variables that middleware sets, and that name no person. If it sets others, responses to '
            'requests with `Authorization` are stored only where that is in the cache key.'
        ),
    ]
    left_out_of_raw_keys: Annotated[
        Collection[str], Doc('Request headers that are not in the cache key of routes that take the raw request.')
    ]
    recording_budget: Annotated[
        int, Doc('Bytes that all streams being recorded may hold together; beyond that, streams are not stored.')
    ]
    clock: Annotated[
        Callable[[], float], Doc('Returns seconds since the epoch; processes that share the backend must agree.')
    ]
    mode: Annotated[
        Literal['policy', 'rfc9111'],
        Doc("`'policy'`: options decide, response headers only restrict. `'rfc9111'`: response headers decide."),
    ]
    invalidate_on_write: Annotated[
        bool,
        Doc('Whether PUT, PATCH, DELETE and uncached POST invalidate their path on 2xx and 3xx (RFC 9111 §4.4).'),
    ]
    document: Annotated[
        bool, Doc('Whether OpenAPI describes the 304 and the headers of cached routes; if not, it is unchanged.')
    ]
    near: Annotated[NearCopies | None, Doc('Copies of entries in this process, in front of a backend outside of it.')]
    compress: Annotated[
        Compression | None,
        Doc("Keeps responses compressed, and sends them so: `Compression('zstd' | 'br' | 'gzip', min_size=1024)`."),
    ]
    observer: Annotated[
        Observer | Sequence[Observer] | None,
        Doc('One or more plain functions that get a record of each response, see `fastapi_caching_route.events`.'),
    ]
    purge: Annotated[
        Purge | None,
        Doc(
            'Sends invalidations on to a cache in front: `FastlyPurge(...)`, `CloudflarePurge(...)`, '
            '`VarnishPurge(...)` or `SouinPurge(...)` of `fastapi_caching_route.purge`, or an async function of a '
            '`PurgeRequest`.'
        ),
    ]
    surrogate_keys: Annotated[
        str | SurrogateKeys | None,
        Doc(
            'The header with the tags of stored responses, by which a cache in front purges them: '
            "`'Surrogate-Key'` (Fastly), `'Cache-Tag'` (Cloudflare), `'Edge-Cache-Tag'` (Akamai), `'xkey'` "
            "(Varnish), `'Cache-Groups'` (RFC 9875), or `SurrogateKeys(header=...)`."
        ),
    ]
    strict: Annotated[
        bool, Doc('Whether what is wrong as an app starts raises a ConfigurationError; if not, it is a warning.')
    ]


DEFAULTS: Final[CacheOptions] = {
    'namespace_policy': 'concat',
    'cache_header': 'X-Cache',
    'cache_header_hit': 'HIT',
    'cache_header_miss': 'MISS',
    'cache_status': 'FastAPICache',
    'accepted_status_codes': DEFAULT_ACCEPTED_STATUS_CODES,
    'enabled': True,
    'version': '',
    'policy': None,
    'signing_key': None,
    'store_timeout': 0.25,
    'harmless_context': (),
    'left_out_of_raw_keys': LEFT_OUT_OF_RAW_KEYS,
    'recording_budget': 64 * 1024 * 1024,
    'clock': time.time,
    'mode': 'policy',
    'invalidate_on_write': True,
    'document': False,
    'near': None,
    'compress': None,
    'observer': None,
    'purge': None,
    'surrogate_keys': None,
    'strict': False,
}
"""The defaults of the options of `FastAPICache(...)`."""


class RouteOptions(TypedDict, total=False):
    """The options of `@cache(...)`, all of them optional; `CachePolicy` says what they mean.

    An option that is omitted or None comes from the `policy` of the cache.
    """

    policy: Annotated[CachePolicy | None, Doc('Takes the place of the `policy` of the cache, with the options below.')]
    key_builder: KeyBuilder | None
    key: Key | None
    host: bool | None
    body_key: Literal['bytes', 'json'] | None
    key_values: Literal['exact', 'equal'] | None
    dependencies: Sequence[Depends] | None
    identity: Literal['auto', 'shared'] | Identity | Depends | None
    reads: Literal['noted', 'declared', 'all'] | None
    route_dependencies: Literal['always', 'on_miss', 'all'] | None
    on_miss_only: Collection[Callable[..., Any]] | None
    vary_headers: Collection[str] | None
    namespace: str | None
    ttl: Seconds | None
    tags: Collection[str] | Tags | Depends | None
    stale_while_revalidate: Seconds | None
    stale_if_error: Seconds | None
    revalidate: bool | None
    client_cache_control: bool | None
    cache_control: str | CacheControl | None
    cdn_cache_control: str | CacheControl | None
    store: bool | None
    status_ttl: Mapping[int, Seconds] | None
    skip: Skip | None
    store_if: StoreIf | None
    max_body_size: int | None
    collapse: bool | None
    collapse_timeout: Seconds | None
    lock: bool | None
    eager_refresh: float | None
    ttl_jitter: float | None
    endpoint_timeout: Seconds | None
