"""`CachePolicy`: the options of one `@cache(...)`, checked and normalized.

Pure: knows values, and neither stores nor requests.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from typing_extensions import Doc

from fastapi_caching_route._core.checks import (
    are_depends,
    checked_lifetimes,
    checked_namespace,
    checked_templates,
)
from fastapi_caching_route._core.durations import Seconds, checked_seconds
from fastapi_caching_route._core.policy_checks import check_choices, check_values
from fastapi_caching_route.callables import Identity, Key, KeyBuilder, Skip, StoreIf, Tags
from fastapi_caching_route.control import CacheControl, checked_control
from fastapi_caching_route.errors import ConfigurationError

DEFAULT_MAX_BODY_SIZE = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class CachePolicy:
    """How the responses of a route are cached. A duration is in seconds, a `timedelta`, or a text like `'1h30m'`.

    Also holds the defaults: `FastAPICache(policy=CachePolicy(...))`.

    Raises:
        ConfigurationError: an option is not valid; the message names it.

    """

    key_builder: Annotated[
        KeyBuilder | None,
        Doc('Makes the cache key from the request. Replaces the declared inputs and the rules for the raw request.'),
    ] = None
    key: Annotated[
        Key | None,
        Doc(
            'Adds to the cache key: a callable of the request, plain or async, that returns a str, a number, or a list '
            'of such values. The declared inputs stay in the key. None is no value.'
        ),
    ] = None
    host: Annotated[
        bool, Doc('Whether the scheme and the host of the request are in the cache key, as tenants need it.')
    ] = False
    body_key: Annotated[
        Literal['bytes', 'json'],
        Doc("`'json'`: JSON bodies that are equal by value share, in whatever order and with whatever white space."),
    ] = 'bytes'
    key_values: Annotated[
        Literal['exact', 'equal'],
        Doc(
            "Which values of a parameter share: `'exact'`, those that code cannot distinguish, like `1` and `true` for "
            "a bool; `'equal'`, also sets in any order, and the same instant in any time zone."
        ),
    ] = 'exact'
    dependencies: Annotated[
        Sequence[Any],
        Doc('A list of `Depends(...)` that run on every request, hit or miss, and may refuse it.'),
    ] = ()
    identity: Annotated[
        Literal['auto', 'shared'] | Identity | Any,
        Doc(
            "Which clients share an entry. `'auto'`: clients with equal credentials, if user code receives them. "
            "`'shared'`: every client that passes the guards. Or a callable of the request, plain or async, that "
            'returns a str, an int or a UUID, like a role or a tenant: clients with equal names share. Or a '
            '`Depends(...)` that gives the name: it runs on every request, and once where the endpoint takes it, too.'
        ),
    ] = 'auto'
    reads: Annotated[
        Literal['noted', 'declared', 'all'],
        Doc("What counts of a raw `Request`: `'noted'`, what code reads of it; `'declared'`, nothing; `'all'`, all."),
    ] = 'noted'
    route_dependencies: Annotated[
        Literal['always', 'on_miss', 'all'],
        Doc(
            "`'always'`: dependencies without a parameter name, of the route, routers, includes and the app, run on "
            "hits too. `'on_miss'`: on hits, only those that contain a security scheme run. `'all'`: all dependencies "
            'run on hits, those with a parameter name too, and only the endpoint does not.'
        ),
    ] = 'always'
    on_miss_only: Annotated[
        Collection[Callable[..., Any]],
        Doc(
            'Dependencies that take the raw request and authorize nobody, such as a database session of `request.app`. '
            'They need not run on hits, unless they have no parameter name, or declare credentials or cookies.'
        ),
    ] = ()
    vary_headers: Annotated[
        Collection[str],
        Doc('Request headers to add to the cache key, in addition to the declared inputs. `Vary` names them.'),
    ] = ()
    namespace: Annotated[
        str | None, Doc('Prefix of the cache keys, after the namespace of the backend, or in place of it.')
    ] = None
    ttl: Annotated[
        Seconds | None,
        Doc("Seconds for which a response is fresh, at most 30 days. 0: nothing is stored. None: the backend's ttl."),
    ] = None
    tags: Annotated[
        Collection[str] | Tags | Any,
        Doc(
            "Names to invalidate by: a list of str, with path and query parameters in braces (`'user:{user_id}'`); or "
            'a callable of the request, plain or async, that returns one; or a `Depends(...)` that gives one: it runs '
            'on misses, and once where the endpoint takes it, too.'
        ),
    ] = ()
    stale_while_revalidate: Annotated[
        Seconds,
        Doc(
            'Seconds after expiry in which a stale entry is served at once, while one request renews it (RFC 5861 §3).'
        ),
    ] = 0.0
    stale_if_error: Annotated[
        Seconds,
        Doc('Seconds after expiry in which a stale entry is served if the endpoint fails (RFC 5861 §4).'),
    ] = 0.0
    revalidate: Annotated[
        bool,
        Doc(
            'Whether the endpoint gets `If-None-Match` and `If-Modified-Since` if it set a validator on the entry that '
            'is stale. A 304 from the endpoint renews the entry (RFC 9111 §4.3).'
        ),
    ] = False
    client_cache_control: Annotated[
        bool | None,
        Doc(
            'Whether to obey the `Cache-Control` of requests (RFC 9111 §5.2.1). None: only with '
            "`mode='rfc9111'`. `no-store` is always obeyed."
        ),
    ] = None
    cache_control: Annotated[
        str | CacheControl | None,
        Doc(
            'The `Cache-Control` to send to clients and to caches in front, on misses and hits, with each response '
            'that is stored, unless the endpoint sets one. Its times start when the response is sent, so no `Age` is '
            'sent with it. If the response depends on more than the URL and the headers in `Vary`, `private` is sent '
            'instead, and `public` and `s-maxage` are an error.'
        ),
    ] = None
    cdn_cache_control: Annotated[
        str | CacheControl | None, Doc('The same for `CDN-Cache-Control`, which only CDNs read (RFC 9213).')
    ] = None
    store: Annotated[
        bool,
        Doc(
            'False: nothing is stored here, but responses get `ETag`, 304, `Vary` and `cache_control`, so that clients '
            'store them.'
        ),
    ] = True
    status_ttl: Annotated[
        Mapping[int, Seconds],
        Doc(
            'Seconds for which responses with these statuses are fresh, in place of `ttl`, like `{404: 5}`. They are '
            'stored in addition to those in `accepted_status_codes`. 0: such responses are not stored.'
        ),
    ] = field(default_factory=dict, hash=False)
    skip: Annotated[
        Skip | None,
        Doc(
            'A callable of the request, plain or async. If it returns a true value, the request bypasses the cache: '
            'the endpoint runs, and nothing is looked up or stored.'
        ),
    ] = None
    store_if: Annotated[
        StoreIf | None,
        Doc(
            'A plain function of the complete response, a `CachedResponse`. A response that may be stored is stored '
            'only if this returns a true value. Not called again if a 304 of the endpoint confirms the entry.'
        ),
    ] = None
    max_body_size: Annotated[int, Doc('Bytes; a response with a larger body is sent but not stored.')] = (
        DEFAULT_MAX_BODY_SIZE
    )
    collapse: Annotated[
        bool,
        Doc('Whether to collapse misses: concurrent requests for one response run the endpoint once in this process.'),
    ] = True
    collapse_timeout: Annotated[
        Seconds, Doc('Seconds that a request waits while another one runs the endpoint; then it runs it itself.')
    ] = 10.0
    lock: Annotated[
        bool,
        Doc(
            'Whether to collapse misses across processes too, with a lock in the backend, which expires after half of '
            '`collapse_timeout`.'
        ),
    ] = False
    eager_refresh: Annotated[
        float | None,
        Doc(
            'Fraction of the lifetime, like 0.9, after which a hit also starts a background task that renews the '
            'entry: one at a time, and not in all processes at the same moment. None: only stale entries are renewed.'
        ),
    ] = None
    ttl_jitter: Annotated[
        float,
        Doc(
            'Lifetimes are shortened by a random fraction up to this one, like 0.1, so that entries stored at the same '
            'time do not all expire at once.'
        ),
    ] = 0.0
    endpoint_timeout: Annotated[
        Seconds | None,
        Doc(
            'Seconds to wait for the endpoint before a stale entry within `stale_if_error` is served in its place. The '
            'endpoint goes on, and its response is stored.'
        ),
    ] = None

    def __post_init__(self) -> None:
        """Check every option, and bring it into the form in which it is used."""
        check_choices(self)
        check_values(self)
        for option, value in _normalized(self).items():
            object.__setattr__(self, option, value)


_OPTIONAL = ('ttl', 'endpoint_timeout')
_SPANS = (*_OPTIONAL, 'stale_while_revalidate', 'stale_if_error', 'collapse_timeout')


def _normalized(policy: CachePolicy) -> dict[str, object]:
    """The options that are used in another form than they may be given in. Header names are in lower case, as in ASGI.

    Raises:
        ConfigurationError: a duration, a namespace, a `Cache-Control` or a tag is not valid.

    """
    spans = {name: getattr(policy, name) for name in _SPANS}
    return {
        **{name: checked_seconds(name, it) for name, it in spans.items() if it is not None or name not in _OPTIONAL},
        'namespace': checked_namespace(policy.namespace),
        'status_ttl': checked_lifetimes('status_ttl', policy.status_ttl),
        'cache_control': checked_control('cache_control', policy.cache_control),
        'cdn_cache_control': checked_control('cdn_cache_control', policy.cdn_cache_control),
        'vary_headers': tuple(dict.fromkeys(name.strip().lower() for name in policy.vary_headers if name.strip())),
        'tags': policy.tags
        if callable(policy.tags) or are_depends([policy.tags])
        else checked_templates('tags', policy.tags),
    }


def checked_policy(policy: object) -> CachePolicy:
    """The policy or, for None, the default policy.

    Raises:
        ConfigurationError: it is not a `CachePolicy`.

    """
    if policy is not None and not isinstance(policy, CachePolicy):
        msg = f'policy must be a CachePolicy(...), got {policy!r}'
        raise ConfigurationError(msg)
    return policy or CachePolicy()
