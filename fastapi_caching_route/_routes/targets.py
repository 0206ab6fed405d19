"""Finds the names of entries for the tags, endpoints and paths that user code invalidates. Refuses wrong arguments."""

import logging
from collections.abc import Callable, Collection, Mapping
from typing import Any

from starlette.requests import HTTPConnection

from fastapi_caching_route._core.checks import checked_path
from fastapi_caching_route._core.given_paths import meant_by
from fastapi_caching_route._core.names import (
    are_tags,
    below_path_name,
    endpoint_name,
    names_of_tags,
    path_name,
)
from fastapi_caching_route._fastapi.endpoints import name_of, routes_of
from fastapi_caching_route._fastapi.path_values import PathParameters
from fastapi_caching_route._fastapi.serving import routes_in
from fastapi_caching_route._routes.caches import caches_of
from fastapi_caching_route._routes.decoration import decoration_at, decorations_of
from fastapi_caching_route._routes.mistaken import warn_of_mistaken
from fastapi_caching_route._routes.settings import Settings
from fastapi_caching_route._routes.writes import Targets
from fastapi_caching_route.errors import ConfigurationError

logger = logging.getLogger('fastapi_caching_route')


def targets_in(
    app: Any,
    tags: Collection[str] | None,
    endpoints: Collection[Callable[..., Any]] | None,
    paths: Collection[str] | None,
) -> Targets:
    """The names for each cache of an app: tags and paths in all caches, endpoints in those that cache them.

    Raises:
        ConfigurationError: an argument has the wrong type, or an endpoint is not cached.

    """
    owners = [] if endpoints is None else [(it, _owners(it)) for it in checked_endpoints(endpoints)]
    targets: Targets = []
    if tags is not None or paths is not None or endpoints is None:
        targets += [(it.store, names_of(tags, None, paths, it)) for it in caches_of(app)]
    for endpoint, caches in owners:
        targets += [(it.store, names_of(None, [endpoint], None, it)) for it in caches]
    return targets


def _owners(endpoint: Any) -> Collection[Settings]:
    caches = {it.settings for it in decorations_of(endpoint)}
    if not caches:
        name = getattr(endpoint, '__qualname__', repr(endpoint))
        msg = f'{name} is not decorated with a cache, so it has no entries; decorate it with @cache(...)'
        raise ConfigurationError(msg)
    return caches


def names_of(tags: Any, endpoints: Any, paths: Any, settings: Settings) -> tuple[str, ...]:
    """The names for tags, endpoints of this cache, and paths; each is None if it is not given.

    Raises:
        ConfigurationError: nothing is given, an argument has the wrong type, or this cache does not cache an endpoint.

    """
    if tags is None and endpoints is None and paths is None:
        msg = "say what to invalidate: tags=['user:7'], endpoints=[get_user] or paths=['/users/7']"
        raise ConfigurationError(msg)
    for option, texts, example in (('tags', tags, 'user:7'), ('paths', paths, '/users/7')):
        if texts is not None and not are_tags(texts):
            msg = f'{option} must be a list of str, like [{example!r}], got {texts!r}'
            raise ConfigurationError(msg)
    check_endpoints(endpoints or (), settings)
    warn_of_mistaken(settings, tags or (), paths or ())
    of_endpoints = [name for it in endpoints or () for name in names_of_endpoint(it, {}, settings)]
    of_paths = [name for it in paths or () for name in names_of_path(it, prefix=False)]
    return tuple(dict.fromkeys((*names_of_tags(tags or ()), *of_endpoints, *of_paths)))


def checked_connection(called: str, request: Any) -> HTTPConnection:
    """The request, unchanged.

    Raises:
        ConfigurationError: it is not a request.

    """
    if not isinstance(getattr(request, 'scope', None), dict):
        msg = f'{called} takes the request of an endpoint or a dependency, got {request!r}'
        raise ConfigurationError(msg)
    connection: HTTPConnection = request
    return connection


def names_of_path(path: object, *, prefix: bool) -> tuple[str, ...]:
    """The name of one path; with `prefix`, the names for this path and all paths below it.

    A path that ends in `/*` stands for all paths below it.

    Raises:
        ConfigurationError: it is not a path, or it is a pattern of another form.

    """
    return tuple(name for it in meant_by(checked_path(path)) for name in _names_of_path(it, prefix=prefix))


def _names_of_path(path: str, *, prefix: bool) -> tuple[str, ...]:
    if path.endswith('/*'):
        return (below_path_name(path[:-2]),)
    if not prefix:
        return (path_name(path),)
    stem = path.rstrip('/')
    return (below_path_name(path), path_name(stem), path_name(f'{stem}/')) if stem else (below_path_name(path),)


def endpoints_named(name: str, app: Any) -> dict[str, Callable[..., Any]]:
    """The cached endpoints of an app with this name, as `explain` shows it, or with this last part of it."""
    found: dict[str, Callable[..., Any]] = {}
    for _, route in routes_in(app):
        if decoration_at(route) is not None:
            full = '.'.join(name_of(route.endpoint))
            if full == name or full.endswith(f'.{name}'):
                found[full] = route.endpoint
    return found


def checked_endpoints(endpoints: Any) -> Collection[Callable[..., Any]]:
    """The endpoints, unchanged.

    Raises:
        ConfigurationError: they are not a list, tuple or set.

    """
    if not isinstance(endpoints, list | tuple | set | frozenset):
        msg = f'endpoints must be a list of endpoints, like [get_user], got {endpoints!r}'
        raise ConfigurationError(msg)
    return endpoints


def check_endpoints(endpoints: object, settings: Settings) -> None:
    """Check that this is a list of endpoints that this cache caches.

    Raises:
        ConfigurationError: it is not.

    """
    for endpoint in checked_endpoints(endpoints):
        if all(it.settings is not settings for it in decorations_of(endpoint)):
            name = getattr(endpoint, '__qualname__', repr(endpoint))
            msg = f'{name} is not decorated with this cache, so it has no entries; decorate it with @cache(...)'
            raise ConfigurationError(msg)


def names_of_endpoint(endpoint: Any, given: Mapping[str, object], settings: Settings) -> tuple[str, ...]:
    """The names for all entries of an endpoint of this cache, or only for those with these path parameters.

    Raises:
        ConfigurationError: this cache does not cache it, the parameters are not its own, or a value is not valid.

    """
    check_endpoints([endpoint], settings)
    named, routes = name_of(endpoint), routes_of(endpoint)
    places = {it.path_format: PathParameters(it) for route in routes for it in route.known_places()}
    whole = tuple(endpoint_name(named, template) for template in places)
    if not places:
        msg = (
            f'invalidate_endpoint({named[1]}): no CachingRoute serves it in this process; import the module that '
            'builds its router'
        )
        raise ConfigurationError(msg)
    if not given:
        return whole
    fitting = {template: it for template, it in places.items() if it.names == given.keys()}
    if fitting:
        return tuple(endpoint_name(named, template, it.checked(given)) for template, it in fitting.items())
    if not any(route.was_reached for route in routes) and any(it.names < given.keys() for it in places.values()):
        # The other parameters may be in the prefix of an include. To invalidate all entries is always enough.
        logger.warning(
            'invalidate_endpoint(%s): invalidating all of its entries, because no request has shown yet whether %s is '
            'in the prefix of an include',
            named[1],
            _listed(set(given).difference(*(it.names for it in places.values()))),
        )
        return whole
    there = ' or '.join(sorted({_listed(it.names) for it in places.values()}))
    msg = f'invalidate_endpoint({named[1]}): its path parameters are {there}; got {_listed(given)}'
    raise ConfigurationError(msg)


def places_of(effective: Any) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The path templates by which entries of an effective route can be invalidated, each with its parameters.

    A process without a request to the include knows only the path of the route without the prefix.
    """
    routes = [effective, *routes_of(effective.endpoint)]
    known = {it.path_format: it for it in routes if effective.path_format.endswith(it.path_format)}
    return tuple((template, tuple(sorted(it.param_convertors))) for template, it in known.items())


def _listed(names: Collection[str]) -> str:
    return ', '.join(sorted(names)) or 'none'
