"""Decorates an endpoint with `@cache(...)`: checks the options, and warns of those that are probably not meant."""

import logging
from collections.abc import Collection, Iterator, Mapping
from dataclasses import fields, replace
from typing import Any

from starlette.applications import Starlette
from starlette.routing import Router

from fastapi_caching_route._core.checks import check_takes_one
from fastapi_caching_route._core.durations import in_seconds
from fastapi_caching_route._fastapi.endpoints import SKIPPED, attach, layers, name_of, routes_of
from fastapi_caching_route._routes.building import OF_CACHES, check_known
from fastapi_caching_route._routes.decoration import (
    BY_ROUTER,
    Decoration,
    check_decorated,
    decoration_of,
    document_decorated,
    invalidates_of,
    skipped_by,
)
from fastapi_caching_route._routes.settings import Settings
from fastapi_caching_route._store.given import note_ttl
from fastapi_caching_route.control import CacheControl
from fastapi_caching_route.errors import ConfigurationError
from fastapi_caching_route.policy import CachePolicy, checked_policy

logger = logging.getLogger('fastapi_caching_route')

TWICE = 'it is decorated twice, and only the last decorator applies; remove the other one'
BOTH = (
    'it has @cache.invalidates as well: hits do not run it, so they invalidate nothing; remove one of the two, or use '
    'two endpoints'
)

_NAMES = ['policy', *(it.name for it in fields(CachePolicy))]


def given_options(options: Mapping[str, Any] | None) -> dict[str, Any]:
    """The options that are not None."""
    return {name: value for name, value in (options or {}).items() if value is not None}


def checked_options(options: Mapping[str, Any], called: str = 'cache') -> dict[str, Any]:
    """The options of `@cache(...)` that are not None, as they are given to what is `called`.

    Raises:
        TypeError: there is no such option.

    """
    check_known(called, options, _NAMES, OF_CACHES)
    return given_options(options)


def decorate_with(settings: Settings, options: Mapping[str, Any], endpoint: Any) -> None:
    """Let an endpoint be cached with these options, and with the defaults of the cache for all others.

    Raises:
        ConfigurationError: an option is not valid, or the endpoint cannot be decorated.

    """
    try:
        check_endpoint(endpoint)
        earlier = decoration_of(endpoint)
        decoration = Decoration(settings, policy_with(settings, options))
        _check_skip(settings, skipped_by(endpoint))
        for layer in layers(endpoint):
            attach(decoration, layer)
    except ConfigurationError as error:
        msg = f'@cache on {getattr(endpoint, "__qualname__", repr(endpoint))}: {error}'
        raise ConfigurationError(msg) from None
    apply_to_routes(endpoint)
    if earlier is not None and earlier.settings is settings and earlier.policy != decoration.policy:
        logger.warning('@cache on %s: %s', _shown(endpoint), TWICE)
    warn_of_both(endpoint)
    if any(not name.strip() for name in options.get('vary_headers', ())):
        logger.warning('@cache on %s: vary_headers contains an empty name, which is ignored', _shown(endpoint))
    for warning in suspicious(decoration.policy, by_the_book=settings.by_the_book):
        logger.warning('@cache on %s: %s', _shown(endpoint), warning)
    settings.namesakes.of_endpoint(endpoint)
    settings.unserved.add(endpoint)


def check_endpoint(endpoint: object) -> None:
    """Refuse what is often decorated by mistake.

    Raises:
        ConfigurationError: it is nothing, an app or a router.

    """
    if endpoint is None or isinstance(endpoint, Starlette | Router):
        msg = 'this is not an endpoint; decorate the functions behind the routes, not apps or routers'
        raise ConfigurationError(msg)


def apply_to_routes(endpoint: Any) -> None:
    """Check and document the routes of an endpoint that was decorated, also if requests have reached them before.

    Raises:
        ConfigurationError: a decoration cannot work on one of the routes.

    """
    for layer in layers(endpoint):
        check_decorated(layer)
        document_decorated(layer)
        for route in routes_of(layer):
            route.forget_places()


def let_skip(settings: Settings, endpoint: Any) -> None:
    """Let no router cache this endpoint by this cache.

    Raises:
        ConfigurationError: it is decorated with `@cache(...)` as well, or cannot be decorated.

    """
    decorated = decoration_of(endpoint)
    try:
        check_endpoint(endpoint)
        _check_skip(settings, () if decorated is None else (decorated.settings,))
    except ConfigurationError as error:
        msg = f'@cache.skip on {_shown(endpoint)}: {error}'
        raise ConfigurationError(msg) from None
    for layer in layers(endpoint):
        attach((*skipped_by(layer), settings), layer, SKIPPED)
    apply_to_routes(endpoint)
    settings.unserved.add_skipped(endpoint)


def _check_skip(settings: Settings, others: Collection[Settings]) -> None:
    """Refuse what this cache decorates in both ways."""
    if settings in others:
        raise ConfigurationError('it has both @cache(...) and @cache.skip; remove one of them')


def caching_class(kind: type[Any], settings: Settings, options: Mapping[str, Any]) -> type[Any]:
    """A class of routes that are cached with these options if they have no decorator of their own.

    All dependencies run on hits, unless `route_dependencies` says otherwise: here or, with another value than its
    default, in `policy`.

    Raises:
        ConfigurationError: an option is not valid.

    """
    try:
        policy = policy_with(settings, options)
    except ConfigurationError as error:
        msg = f'the defaults of a router: {error}'
        raise ConfigurationError(msg) from None
    if 'route_dependencies' not in options and (
        'policy' not in options or policy.route_dependencies == CachePolicy().route_dependencies
    ):
        policy = replace(policy, route_dependencies='all')
    for warning in suspicious(policy, by_the_book=settings.by_the_book):
        logger.warning('the defaults of a router: %s', warning)
    decoration = Decoration(settings, policy, by_router=True)
    return type(kind.__name__, (kind,), {'__doc__': kind.__doc__, BY_ROUTER: decoration})


def warn_of_both(endpoint: Any) -> None:
    """Warn if an endpoint has both decorators."""
    if decoration_of(endpoint) is not None and invalidates_of(endpoint):
        logger.warning('@cache on %s: %s', _shown(endpoint), BOTH)


def _shown(endpoint: Any) -> str:
    return '.'.join(name_of(endpoint))


def policy_with(settings: Settings, options: Mapping[str, Any]) -> CachePolicy:
    """The policy of a route with these options.

    Raises:
        ConfigurationError: an option is not valid.

    """
    given = dict(options)
    named = given.pop('policy', None)
    policy = replace(settings.policy if named is None else checked_policy(named), **given)
    for option in ('key_builder', 'identity', 'tags', 'skip', 'store_if'):
        check_takes_one(option, getattr(policy, option))
    settings.full_namespace(policy.namespace)  # refuses a wrong one
    settings.check_lock(policy)
    settings.note_limit(policy)
    note_ttl(settings.ttls, policy)
    if policy.key_builder is not None:
        settings.builders.append(policy)
    return policy


def suspicious(policy: CachePolicy, *, by_the_book: bool) -> Iterator[str]:
    """Warnings about options that are valid but probably not intended, each with the remedy."""
    is_stale = in_seconds(policy.stale_while_revalidate) > 0 or in_seconds(policy.stale_if_error) > 0
    if 'cookie' in policy.vary_headers:
        yield (
            'vary_headers contains Cookie: hardly any two clients share an entry; declare the cookies that matter as '
            'Cookie() parameters, or set identity'
        )
    if by_the_book and (policy.ttl is not None or policy.status_ttl):
        yield (
            "in mode='rfc9111' the headers of a response decide how long it is fresh, and ttl and status_ttl have no "
            'effect; send Cache-Control: max-age'
        )
    elif (
        policy.ttl == 0
        and not any(policy.status_ttl.values())
        and (is_stale or policy.revalidate or policy.eager_refresh)
    ):
        yield 'with a ttl of 0 nothing is stored, so nothing can be stale or renewed; set a short ttl, like 0.001'
    if policy.endpoint_timeout is not None and not policy.stale_if_error:
        yield (
            'endpoint_timeout has no effect without stale_if_error, because no stale entry may answer in place of a '
            'slow endpoint; set stale_if_error'
        )
    control = policy.cache_control
    if is_stale and isinstance(control, CacheControl) and (control.must_revalidate or control.proxy_revalidate):
        yield (
            f'cache_control forbids other caches to serve stale responses ({control}), but with its stale windows this '
            'cache serves them; remove one of the two'
        )
