"""What the decorators leave on an endpoint, for a `CachingRoute` to find and a plain route to ignore."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastapi_caching_route._endpoint import left_on, name_of, routed_methods, routes_of
from fastapi_caching_route._fastapi.path_values import PathParameters
from fastapi_caching_route._options import check_methods, check_templates
from fastapi_caching_route._writes import Invalidates
from fastapi_caching_route.policy import CachePolicy

if TYPE_CHECKING:
    from fastapi_caching_route.cache import FastAPICache

INVALIDATES = 'invalidates'
"""The slot of `@cache.invalidates(...)`; the other one is that of `@cache(...)`."""


@dataclass(frozen=True, slots=True)
class Decoration:
    """What `@cache(...)` leaves on an endpoint, for a `CachingRoute` to find and a plain route to ignore."""

    cache: 'FastAPICache'
    policy: CachePolicy


def decoration_of(endpoint: object) -> Decoration | None:
    """What `@cache(...)` has left on an endpoint, if anything."""
    found: Decoration | None = left_on(endpoint)
    return found


def invalidates_of(endpoint: object) -> tuple[Invalidates, ...]:
    """What `@cache.invalidates(...)` has left on an endpoint."""
    found: tuple[Invalidates, ...] | None = left_on(endpoint, INVALIDATES)
    return found or ()


def check_decorated(endpoint: Any) -> None:
    """Refuse decorations that cannot work on the routes that are there: at each route, and at each decorator.

    Raises:
        ConfigurationError: only methods that are never cached, or a template names no path parameter of the route.

    """
    name, decoration = '.'.join(name_of(endpoint)), decoration_of(endpoint)
    if decoration is not None:
        check_methods(name, routed_methods(endpoint))
        decoration.cache.twins.of_endpoint(endpoint)
    templates = [template for said in invalidates_of(endpoint) for template in said.templates]
    if decoration is not None and not callable(decoration.policy.tags):
        templates += decoration.policy.tags
    for route in routes_of(endpoint):
        check_templates(name, templates, PathParameters(route).known)
