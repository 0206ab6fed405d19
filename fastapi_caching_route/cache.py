"""`FastAPICache`: what users hold in their hands. The decorator, and entries by their keys."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, TypeVar

from aiocache.base import BaseCache
from fastapi.params import Depends
from starlette.datastructures import Headers
from starlette.responses import Response
from typing_extensions import Doc

from fastapi_caching_route._endpoint import Twins, leave, left_on, name_of, routed_methods
from fastapi_caching_route._entry import Entry, Recording, entry_of
from fastapi_caching_route._http.conditional import OUR_TAG
from fastapi_caching_route._http.reuse import age, fresh
from fastapi_caching_route._http.storing import Refused, Terms, judge
from fastapi_caching_route._key import LEFT_OUT_OF_RAW_KEYS, escaped, full_key, user_key
from fastapi_caching_route._options import check_methods, check_positive, field_name, field_text, signing_keys, statuses
from fastapi_caching_route._recorder import Budget
from fastapi_caching_route._store import Store
from fastapi_caching_route._unmet import Unmet
from fastapi_caching_route.errors import ConfigurationError
from fastapi_caching_route.params import CachedResponse, CacheParams, CacheParamsBase
from fastapi_caching_route.policy import CachePolicy, Identity, KeyBuilder, check_namespace

DEFAULT_ACCEPTED_STATUS_CODES = frozenset({200})
"""Statuses of which answers are stored where nothing else is said."""

Endpoint = TypeVar('Endpoint', bound=Callable[..., Any])


class FastAPICache:
    """A response cache in any backend of aiocache, for routes of the class `CachingRoute`.

    The object itself is the decorator: `@cache(ttl=60)` above or below the route decorator.

    Raises:
        ConfigurationError: an option is out of its range; the message names it.

    """

    def __init__(
        self,
        cache: Annotated[BaseCache, Doc('Any aiocache backend; its namespace and ttl are the defaults here.')],
        *,
        namespace_policy: Annotated[
            Literal['concat', 'replace'],
            Doc("What a namespace of a route does to the backend's: `api` and `users` give `api:users`, or `users`."),
        ] = 'concat',
        cache_header: Annotated[str, Doc('The response field that says HIT or MISS.')] = 'X-Cache',
        cache_header_hit: Annotated[str, Doc('Its value on an answer from an entry.')] = 'HIT',
        cache_header_miss: Annotated[str, Doc('Its value on an answer that is being stored.')] = 'MISS',
        cache_status: Annotated[
            str | None, Doc('The name of this cache in `Cache-Status` (RFC 9211), which says what happened and why.')
        ] = 'FastAPICache',
        accepted_status_codes: Annotated[
            Collection[int], Doc('Statuses of which answers are stored; never 206 and 304.')
        ] = DEFAULT_ACCEPTED_STATUS_CODES,
        version: Annotated[
            str, Doc('Part of every key of declared inputs: change it when a deploy changes what responses look like.')
        ] = '',
        policy: Annotated[CachePolicy | None, Doc('Defaults for the options of `@cache(...)`.')] = None,
        signing_key: Annotated[
            str | bytes | Sequence[str | bytes] | None,
            Doc(
                'Signs entries outside of the process (HMAC-SHA256). Of several keys the first signs, and all are taken.'
            ),
        ] = None,
        store_timeout: Annotated[
            float, Doc('Seconds to wait for a backend outside of the process; then the endpoint answers without it.')
        ] = 0.25,
        left_out_of_raw_keys: Annotated[
            Collection[str], Doc('Request fields that do not count on routes that take the raw request.')
        ] = LEFT_OUT_OF_RAW_KEYS,
        recording_budget: Annotated[
            int, Doc('Bytes that all answers together hold that are being recorded; further ones are not stored.')
        ] = 64 * 1024 * 1024,
        clock: Annotated[
            Callable[[], float], Doc('Seconds since the epoch, the same in all processes that share the backend.')
        ] = time.time,
    ) -> None:
        """Build a cache over a backend. Nothing is opened, and no event loop is needed."""
        if not isinstance(cache, BaseCache):
            msg = f'FastAPICache needs a cache of aiocache, like SimpleMemoryCache(), got {cache!r}'
            raise ConfigurationError(msg)
        if namespace_policy not in ('concat', 'replace'):
            msg = f"namespace_policy is 'concat' or 'replace', got {namespace_policy!r}"
            raise ConfigurationError(msg)
        if cache.ttl is not None and not cache.ttl >= 0:
            msg = f'the ttl of the backend is in seconds and must not be negative, got {cache.ttl!r}'
            raise ConfigurationError(msg)
        if not callable(clock):
            msg = f'clock is a function that gives seconds since the epoch, got {clock!r}'
            raise ConfigurationError(msg)
        if not isinstance(version, str) or not isinstance(policy, CachePolicy | None):
            msg = f'version is a str and policy a CachePolicy(...), got {version!r} and {policy!r}'
            raise ConfigurationError(msg)
        check_positive('store_timeout', store_timeout)
        check_positive('recording_budget', recording_budget)
        self.store = Store(cache, store_timeout, signing_keys(signing_key))
        self.left_out = frozenset(field_name('left_out_of_raw_keys', name) for name in left_out_of_raw_keys)
        self.budget = Budget(recording_budget)
        self.namespace_policy = namespace_policy
        self.cache_header = field_name('cache_header', cache_header)
        self.status_name = None if cache_status is None else field_text('cache_status', cache_status)
        self.hit = field_text('cache_header_hit', cache_header_hit)
        self.miss = field_text('cache_header_miss', cache_header_miss)
        self.accepted_status_codes = statuses(accepted_status_codes)
        self.version = version
        self.policy = policy or CachePolicy()
        self.clock = clock
        self.twins = Twins()
        self.unmet = Unmet()

    def __call__(
        self,
        *misplaced: object,
        key_builder: Annotated[KeyBuilder | None, Doc('See `CachePolicy`, for this and all others.')] = None,
        dependencies: Sequence[Depends] | None = None,
        identity: Literal['auto', 'shared'] | Identity | None = None,
        route_dependencies: Literal['always', 'on_miss'] | None = None,
        vary_headers: Collection[str] | None = None,
        namespace: str | None = None,
        ttl: float | None = None,
        max_body_size: int | None = None,
    ) -> Callable[[Endpoint], Endpoint]:
        """Decorate an endpoint: its answers are cached wherever it stands behind a `CachingRoute`.

        What is left out, or None, is taken from the policy of this cache. The endpoint itself is returned. Where it is
        decorated several times, the last one counts, on all of its routes.

        Raises:
            ConfigurationError: an option is out of its range, or the endpoint cannot be decorated.

        """
        if misplaced:
            msg = f'@cache takes its options by name, and needs its parentheses: @cache() or @cache(ttl=60), got {misplaced}'
            raise ConfigurationError(msg)
        given = _given(
            {
                'key_builder': key_builder,
                'dependencies': dependencies,
                'identity': identity,
                'route_dependencies': route_dependencies,
                'vary_headers': vary_headers,
                'namespace': namespace,
                'ttl': ttl,
                'max_body_size': max_body_size,
            }
        )

        def decorate(endpoint: Endpoint) -> Endpoint:
            try:
                leave(Decoration(self, replace(self.policy, **given)), endpoint)
            except ConfigurationError as error:
                msg = f'@cache on {getattr(endpoint, "__qualname__", repr(endpoint))}: {error}'
                raise ConfigurationError(msg) from None
            check_methods('.'.join(name_of(endpoint)), routed_methods(endpoint))
            self.twins.of_endpoint(endpoint)
            self.unmet.add(endpoint)
            return endpoint

        return decorate

    async def get_cached(self, key: str, namespace: str | None = None) -> CachedResponse | None:
        """The fresh response that is stored under a key of a `key_builder`, or None."""
        entry = await self.store.get(self._full_key(key, namespace))
        if not isinstance(entry, Entry) or not fresh(age(entry.stored_at, self.clock()), entry.lifetime):
            return None
        return CachedResponse(entry.body, entry.status, Headers(raw=list(entry.headers)))

    async def set_cached(
        self, key: str, value: CachedResponse | Response, caching_params: CacheParamsBase | None = None
    ) -> None:
        """Store a response under a key of a `key_builder`, in place of what the endpoint would answer.

        The rules of storing hold as for any answer; with a ttl of 0, nothing is stored.

        Raises:
            ConfigurationError: the response is not one that may be stored; the message names the reason.

        """
        now, policy = self.clock(), replace(self.policy, **_given(caching_params))
        # The length is that of the body, and a tag that we made is made anew: the body may be another one by now.
        headers = [(name, it) for name, it in value.headers.raw if name != b'content-length' and not _our_tag(name, it)]
        verdict = judge((), value.status_code, headers, self.terms(policy), now)
        if verdict == Refused('ttl'):
            return
        if isinstance(verdict, Refused):
            msg = f'set_cached({key!r}, ...): the response must not be stored, because of its {verdict.reason}'
            raise ConfigurationError(msg)
        recording = Recording(value.status_code, headers, bytes(value.body))
        entry = entry_of(
            recording,
            key=self._full_key(key, policy.namespace),
            left_out=self.cache_header,
            now=now,
            lifetime=verdict.lifetime,
        )
        await self.store.put(entry, entry.lifetime)

    async def invalidate_cached(self, key: str, namespace: str | None = None) -> int:
        """Delete what is stored under a key of a `key_builder`; return how many keys that were (0 or 1)."""
        return await self.store.delete(self._full_key(key, namespace))

    def prepare_cache_params(self, params: CacheParamsBase | None = None) -> CacheParams:
        """The options with the defaults of this cache filled in, checked as `@cache(...)` checks them.

        Raises:
            ConfigurationError: an option is out of its range.

        """
        policy = replace(self.policy, **_given(params))
        return CacheParams(
            namespace=policy.namespace,
            ttl=policy.ttl,
            key_builder=policy.key_builder,
            dependencies=policy.dependencies,
            vary_headers=policy.vary_headers,
        )

    def set_cache_header(self, response: Response, *, hit: bool) -> None:
        """Mark a response as this cache marks its own: HIT or MISS in the cache header."""
        response.headers[self.cache_header.decode('latin-1')] = (self.hit if hit else self.miss).decode('latin-1')

    def _full_key(self, key: str, namespace: str | None) -> str:
        if not isinstance(key, str):
            msg = f'a key is a str, got {key!r}'
            raise ConfigurationError(msg)
        return full_key(self.full_namespace(namespace), user_key(key))

    def full_namespace(self, namespace: str | None) -> str:
        """A route's namespace under the one of the backend, by `namespace_policy`; made fit to stand in a key."""
        root = self.store.namespace.strip(':')
        if namespace is None:
            return escaped(root)
        check_namespace(namespace)
        return escaped(f'{root}:{namespace}' if root and self.namespace_policy == 'concat' else namespace)

    def terms(self, policy: CachePolicy) -> Terms:
        """The terms on which the answers of a route with this policy are stored."""
        return Terms(self.accepted_status_codes, policy.ttl, self.store.ttl, policy.max_body_size)


@dataclass(frozen=True, slots=True)
class Decoration:
    """What `@cache(...)` leaves on an endpoint, for a `CachingRoute` to find and a plain route to ignore."""

    cache: FastAPICache
    policy: CachePolicy


def decoration_of(endpoint: object) -> Decoration | None:
    """What `@cache(...)` has left on an endpoint, if anything."""
    found: Decoration | None = left_on(endpoint)
    return found


def _given(options: Mapping[str, Any] | None) -> dict[str, Any]:
    return {name: value for name, value in (options or {}).items() if value is not None}


def _our_tag(name: bytes, value: bytes) -> bool:
    return name == b'etag' and OUR_TAG.fullmatch(value) is not None
