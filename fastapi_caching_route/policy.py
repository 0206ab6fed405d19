"""One `@cache(...)` call: its options, checked and normalised.

Pure: knows values, and neither stores nor requests.
"""

from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from typing_extensions import Doc

from fastapi_caching_route._core.checks import (
    are_depends,
    are_field_names,
    check_flag,
    check_fraction,
    check_lifetimes,
    check_namespace,
    check_option,
    check_size,
    check_span,
    checked_templates,
    is_plain_function,
)
from fastapi_caching_route.control import CacheControl, checked_control
from fastapi_caching_route.errors import ConfigurationError

KeyBuilder = Callable[[Any], str]
"""Makes a key from a `starlette.requests.Request`. It takes over the responsibility for what tells requests apart."""

Tags = Callable[[Any], Collection[str] | Awaitable[Collection[str]]]
"""Gives the tags of an answer, from a `starlette.requests.Request`."""

Identity = Callable[[Any], str | Awaitable[str]]
"""Names, from a `starlette.requests.Request`, with whom a request shares entries."""

Skip = Callable[[Any], object]
"""Whether a `starlette.requests.Request` bypasses the cache: what is true does. May be async."""

StoreIf = Callable[[Any], object]
"""Whether a `CachedResponse` is stored that otherwise would be: what is true is."""

DEFAULT_MAX_BODY_SIZE = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class CachePolicy:
    """How the answers of a route are cached. Also the place for defaults: `FastAPICache(policy=CachePolicy(...))`.

    Raises:
        ConfigurationError: an option is out of its range; the message names it.

    """

    key_builder: Annotated[
        KeyBuilder | None,
        Doc('Makes the key from the request, in place of the declared inputs and of the rules for the raw request.'),
    ] = None
    dependencies: Annotated[
        Sequence[Any],
        Doc('A list of `Depends(...)` that run on every request, hit or miss, and may refuse it.'),
    ] = ()
    identity: Annotated[
        Literal['auto', 'shared'] | Identity,
        Doc(
            "Who shares an entry. `'auto'`: who sends the same credentials, where user code gets to see them. "
            "`'shared'`: all whom the guards let in. Or a callable of the request, plain or async, that names who "
            'shares, as a str: a role, a tenant.'
        ),
    ] = 'auto'
    route_dependencies: Annotated[
        Literal['always', 'on_miss'],
        Doc(
            "`'always'`: the dependencies without a parameter name, of route, router, include and app, run on hits "
            "too. `'on_miss'`: only those that hold a security scheme do."
        ),
    ] = 'always'
    vary_headers: Annotated[
        Collection[str],
        Doc('Request fields that tell entries apart beside the declared inputs; they are also named in `Vary`.'),
    ] = ()
    namespace: Annotated[
        str | None, Doc('Goes in front of the keys; joined to the namespace of the backend, or replacing it.')
    ] = None
    ttl: Annotated[
        float | None,
        Doc("Seconds for which an answer is fresh, at most 30 days; 0 stores nothing; None: the backend's own ttl."),
    ] = None
    tags: Annotated[
        Collection[str] | Tags,
        Doc(
            "Names to invalidate by: texts, with path parameters in braces (`'user:{user_id}'`), or a callable of the "
            'request, plain or async, that gives them.'
        ),
    ] = ()
    stale_while_revalidate: Annotated[
        float,
        Doc(
            'Seconds past the lifetime in which a stale entry answers at once, while one request renews it (RFC 5861 §3).'
        ),
    ] = 0.0
    stale_if_error: Annotated[
        float,
        Doc('Seconds past the lifetime in which a stale entry answers where the endpoint fails (RFC 5861 §4).'),
    ] = 0.0
    revalidate: Annotated[
        bool,
        Doc(
            'Whether the endpoint is asked with `If-None-Match` and `If-Modified-Since` where an entry with a validator of its '
            'own is stale; its 304 renews the entry (RFC 9111 §4.3).'
        ),
    ] = False
    client_cache_control: Annotated[
        bool, Doc('Whether the `Cache-Control` of requests counts, beyond its `no-store` (RFC 9111 §5.2.1).')
    ] = False
    cache_control: Annotated[
        str | CacheControl | None,
        Doc(
            'The `Cache-Control` that clients and caches on the way get with an answer that is stored, on misses and hits '
            'alike, if the endpoint wrote none. It counts from then on, so no `Age` is sent with it. It says `private` where more '
            'than URL and `Vary` tells responses apart; `public` and `s-maxage` are an error there.'
        ),
    ] = None
    cdn_cache_control: Annotated[
        str | CacheControl | None, Doc('The same as `CDN-Cache-Control`, for caches in front of us (RFC 9213).')
    ] = None
    status_ttl: Annotated[
        Mapping[int, float],
        Doc(
            'Seconds for which answers of these statuses are fresh, in place of `ttl`, like `{404: 5}`; they are stored beside '
            'those of `accepted_status_codes`. 0 stores none of them.'
        ),
    ] = field(default_factory=dict, hash=False)
    skip: Annotated[
        Skip | None,
        Doc(
            'Whether a request bypasses the cache, by a callable of the request, plain or async: the endpoint answers, and '
            'nothing is looked up or stored.'
        ),
    ] = None
    store_if: Annotated[
        StoreIf | None,
        Doc(
            'Whether an answer is stored that could be, by a plain function of the whole response, a `CachedResponse`. '
            'Not asked again where the endpoint confirms by a 304 what is stored.'
        ),
    ] = None
    max_body_size: Annotated[int, Doc('Bytes of a body beyond which an answer is passed on and not stored.')] = (
        DEFAULT_MAX_BODY_SIZE
    )
    collapse: Annotated[
        bool,
        Doc(
            'Whether concurrent requests for an answer that is not stored have the endpoint run once, in this process.'
        ),
    ] = True
    collapse_timeout: Annotated[
        float, Doc('Seconds that a request waits for the one that runs the endpoint; then it runs it itself.')
    ] = 10.0
    lock: Annotated[
        bool,
        Doc(
            'Whether that holds across processes too, by a lock in the backend, which ends by itself after half of `collapse_timeout`.'
        ),
    ] = False
    eager_refresh: Annotated[
        float | None,
        Doc(
            'The fraction of its lifetime, like 0.9, after which an entry is renewed behind a hit, by one request at a time '
            'and not by all processes at the same moment. None: not before it is stale.'
        ),
    ] = None
    ttl_jitter: Annotated[
        float,
        Doc(
            'By which fraction, like 0.1, lifetimes are shortened at random at most, so that what was stored together does not '
            'end together.'
        ),
    ] = 0.0
    endpoint_timeout: Annotated[
        float | None,
        Doc(
            'Seconds after which an entry inside of `stale_if_error` answers in place of an endpoint that is slower; the run goes '
            'on and is stored.'
        ),
    ] = None

    def __post_init__(self) -> None:
        """Check every option, and bring the header names into the form in which ASGI delivers them."""
        builder, store_if = self.key_builder, self.store_if
        for option, holds, wanted in (
            (
                'key_builder',
                builder is None or is_plain_function(builder),
                'must be a plain function of the request, not async',
            ),
            (
                'store_if',
                store_if is None or is_plain_function(store_if),
                'must be a plain function of the response, not async',
            ),
            ('dependencies', are_depends(self.dependencies), 'must be a list like [Depends(check)]'),
            (
                'identity',
                self.identity in ('auto', 'shared') or callable(self.identity),
                "must be 'auto', 'shared' or a callable of the request",
            ),
            ('route_dependencies', self.route_dependencies in ('always', 'on_miss'), "must be 'always' or 'on_miss'"),
            (
                'vary_headers',
                are_field_names(self.vary_headers),
                "must be a list of header names, like ['accept-language']",
            ),
            ('skip', self.skip is None or callable(self.skip), 'must be a callable of the request'),
        ):
            check_option(option, getattr(self, option), holds=holds, wanted=wanted)
        for option in ('revalidate', 'client_cache_control', 'collapse', 'lock'):
            check_flag(option, getattr(self, option))
        if self.namespace == '':
            object.__setattr__(self, 'namespace', None)
        elif self.namespace is not None:
            check_namespace(self.namespace)
        for option in ('stale_while_revalidate', 'stale_if_error', 'collapse_timeout'):
            check_span(option, getattr(self, option))
        for option in ('ttl', 'endpoint_timeout'):
            check_span(option, getattr(self, option), or_none=True)
        check_lifetimes('status_ttl', self.status_ttl)
        object.__setattr__(self, 'status_ttl', dict(self.status_ttl))
        check_fraction('eager_refresh', self.eager_refresh, may_be_zero=False)
        check_fraction('ttl_jitter', self.ttl_jitter, may_be_zero=True)
        check_size('max_body_size', self.max_body_size)
        for option in ('cache_control', 'cdn_cache_control'):
            object.__setattr__(self, option, checked_control(option, getattr(self, option)))
        names = tuple(dict.fromkeys(name.lower() for name in self.vary_headers))
        object.__setattr__(self, 'vary_headers', names)
        if not callable(self.tags):
            object.__setattr__(self, 'tags', checked_templates('tags', self.tags))


def suspicious(policy: CachePolicy, *, by_the_book: bool) -> Iterator[str]:
    """What is allowed, and hardly meant, with the remedy."""
    is_stale = policy.stale_while_revalidate > 0 or policy.stale_if_error > 0
    if 'cookie' in policy.vary_headers:
        yield (
            'vary_headers contains Cookie: hardly any two clients share an entry; declare the cookies that matter as '
            'Cookie() parameters, or set identity'
        )
    if by_the_book and (policy.ttl is not None or policy.status_ttl):
        yield (
            "in mode='rfc9111' the headers of a response decide how long it is fresh, and ttl and status_ttl have no effect; "
            'send Cache-Control: max-age'
        )
    elif (
        policy.ttl == 0
        and not any(policy.status_ttl.values())
        and (is_stale or policy.revalidate or policy.eager_refresh)
    ):
        yield 'with a ttl of 0 nothing is stored, so nothing can be stale or renewed; set a short ttl, like 0.001'
    if policy.endpoint_timeout is not None and not policy.stale_if_error:
        yield (
            'endpoint_timeout has no effect without stale_if_error, because no stale entry may answer in place of a slow '
            'endpoint; set stale_if_error'
        )
    control = policy.cache_control
    if is_stale and isinstance(control, CacheControl) and (control.must_revalidate or control.proxy_revalidate):
        yield (
            f'cache_control forbids other caches to serve stale responses ({control}), but with its stale windows this cache '
            'serves them; remove one of the two'
        )


def checked_policy(policy: object) -> CachePolicy:
    """The policy, or one of all defaults.

    Raises:
        ConfigurationError: it is none.

    """
    if policy is not None and not isinstance(policy, CachePolicy):
        msg = f'policy must be a CachePolicy(...), got {policy!r}'
        raise ConfigurationError(msg)
    return policy or CachePolicy()
