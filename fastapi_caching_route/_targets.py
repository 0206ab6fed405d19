"""What user code means when it names something to invalidate, and what is wrong with it if it means nothing."""

import logging
from collections.abc import Collection, Mapping
from typing import Any

from fastapi_caching_route._endpoint import name_of, routes_of
from fastapi_caching_route._fastapi.path_values import PathParameters
from fastapi_caching_route._names import of_all_below, of_endpoint, of_path
from fastapi_caching_route.errors import ConfigurationError

logger = logging.getLogger('fastapi_caching_route')


def names_of_path(path: object, *, prefix: bool) -> tuple[str, ...]:
    """The name of one path, or those of all that begin with it.

    Raises:
        ConfigurationError: it is not a path.

    """
    if not isinstance(path, str) or not path.startswith('/') or '?' in path or '#' in path:
        msg = f"a path begins with a slash and has no query, like '/users/7', got {path!r}"
        raise ConfigurationError(msg)
    if not prefix:
        return (of_path(path),)
    stem = path.rstrip('/')
    return (of_all_below(path), of_path(stem), of_path(f'{stem}/')) if stem else (of_all_below(path),)


def names_of_endpoint(endpoint: Any, number: int, given: Mapping[str, object]) -> tuple[str, ...]:
    """The name of all entries of an endpoint, or those of its entries with these path values.

    Raises:
        ConfigurationError: these are not its path parameters, or one of them is not valid.

    """
    named = (*name_of(endpoint), number)
    if not given:
        return (of_endpoint(named),)
    routes = [PathParameters(it) for route in routes_of(endpoint) for it in route.known_places()]
    fitting = [it for it in routes if it.names == given.keys()]
    if fitting:
        return tuple({of_endpoint(named, it.checked(given)): None for it in fitting})
    reached = any(route.was_reached for route in routes_of(endpoint))
    if not reached and any(it.names < given.keys() and given.keys() <= it.known for it in routes):
        # An include may have it in its prefix. All of the endpoint is never too little.
        logger.warning(
            'invalidate_endpoint(%s): all its entries are invalidated, for no request has shown yet whether %s is in the '
            'prefix of an include',
            named[1],
            _listed(set(given).difference(*(it.names for it in routes))),
        )
        return (of_endpoint(named),)
    there = ' or '.join(sorted({_listed(it.names) for it in routes})) or 'none that are known, since nothing routes it'
    msg = f'invalidate_endpoint({named[1]}): its path parameters are {there}; got {_listed(given)}'
    raise ConfigurationError(msg)


def selections(endpoint: Any, names: Collection[str]) -> tuple[tuple[str, ...], ...]:
    """For each route of the endpoint, its set of path parameters, where these `names` have them all."""
    several = {frozenset(names), *(frozenset(route.param_convertors) for route in routes_of(endpoint))}
    return tuple(sorted(tuple(sorted(it)) for it in several if it and it <= set(names)))


def _listed(names: Collection[str]) -> str:
    return ', '.join(sorted(names)) or 'none'
