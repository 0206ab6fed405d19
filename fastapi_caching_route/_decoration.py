"""What the decorators leave on an endpoint, for a `CachingRoute` to find and a plain route to ignore."""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from fastapi_caching_route._endpoint import left_on, name_of, routed_methods, routes_of
from fastapi_caching_route._fastapi.declared import Declarations
from fastapi_caching_route._fastapi.documenting import document
from fastapi_caching_route._fastapi.inputs import Reading
from fastapi_caching_route._fastapi.path_values import PathParameters
from fastapi_caching_route._key import Keys
from fastapi_caching_route._options import check_methods, check_templates
from fastapi_caching_route._writes import Invalidates
from fastapi_caching_route.control import CacheControl
from fastapi_caching_route.errors import ConfigurationError
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
        if decoration is not None:
            check_public(name, decoration.policy, route)


def document_decorated(endpoint: Any) -> None:
    """Have OpenAPI describe what the cache does on the routes of an endpoint, if its cache is to be documented."""
    decoration = decoration_of(endpoint)
    if decoration is None or not decoration.cache.document:
        return
    for route in routes_of(endpoint):
        document(
            route,
            cache_status=decoration.cache.status_name is not None,
            cache_control=decoration.policy.cache_control is not None,
        )


def check_public(name: str, policy: CachePolicy, route: Any) -> None:
    """Refuse to tell everybody that they may store answers that others must not get.

    Raises:
        ConfigurationError: `public` is to be emitted, and credentials or an identity callable tell entries apart.

    """
    controls = [it for it in (policy.cache_control, policy.cdn_cache_control) if isinstance(it, CacheControl)]
    if not any(it.public for it in controls):
        return
    vary = tuple(field.encode('ascii') for field in policy.vary_headers)
    reading = Reading(
        vary, frozenset(), raw=False, shared=policy.identity != 'auto', answered=frozenset(), guards_select=False
    )
    declared = Declarations(
        route,
        partial(Keys, (), ''),
        policy.dependencies,
        reading,
        builder=policy.key_builder is not None,
        early=policy.key_builder is not None,
        unnamed_guard=policy.route_dependencies == 'always',
    )
    if callable(policy.identity) or not declared().inputs.shared:
        msg = f'{name}: public is said of answers that are not shared by all; leave it out, or say private'
        raise ConfigurationError(msg)
