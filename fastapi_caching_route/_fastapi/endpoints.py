"""Endpoints of every kind: functions, bound methods, partial objects and callable objects.

Attaches decorations to them and finds them again, and names endpoints.
"""

import weakref
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from types import MethodType
from typing import Any

from fastapi_caching_route.errors import ConfigurationError

_ATTRIBUTE = '__fastapi_caching_route__'
_PACKAGE = __name__.partition('.')[0]

INSIDE = f'{_ATTRIBUTE}inside'
"""The attribute of a wrapped endpoint that holds the original endpoint."""

INVALIDATES = 'invalidates'
"""The slot of `@cache.invalidates(...)`; the slot of `@cache(...)` has the empty name."""

SKIPPED = 'skipped'
"""The slot of `@cache.skip`."""


def attach(decoration: object, endpoint: Any, slot: str = '') -> None:
    """Attach a decoration to the endpoint. Each slot holds one.

    For a bound method, it is attached to the instance, because each access creates a new bound method.

    Raises:
        ConfigurationError: the endpoint does not allow attributes.

    """
    if not callable(endpoint):
        msg = 'an endpoint must be callable'
        raise ConfigurationError(msg)
    if isinstance(endpoint, staticmethod | classmethod):
        endpoint = endpoint.__func__
    target = endpoint.__self__ if isinstance(endpoint, MethodType) else endpoint
    try:
        setattr(target, _attribute_of(endpoint) + slot, decoration)
    except (AttributeError, TypeError):
        msg = f'{target!r} does not allow attributes; decorate a function, and a method in its class body'
        raise ConfigurationError(msg) from None


def layers(endpoint: Any) -> Iterator[Any]:
    """The endpoint and, if we wrapped it, the endpoints inside of it. A route may have any of them."""
    while endpoint is not None:
        yield endpoint
        endpoint = getattr(endpoint, INSIDE, None)


def note_replaced(given: Any, endpoint: Any) -> None:
    """Remember which endpoint a route class of another library has wrapped, if it did so without `functools.wraps`."""
    if given is not None and all(it is not given for it in _wrapped(endpoint)):
        with suppress(AttributeError):  # without attributes, only a decoration of the wrapper itself counts
            setattr(endpoint, INSIDE, given)


def attached_to(endpoint: object, slot: str = '') -> Any:
    """The decoration attached to an endpoint or to the function inside of a bound method or partial object, or None."""
    if isinstance(endpoint, MethodType):
        on_instance = getattr(endpoint.__self__, _attribute_of(endpoint) + slot, None)
        if on_instance is not None:
            return on_instance
    found = getattr(endpoint, _ATTRIBUTE + slot, None)
    inside = _directly_inside(endpoint)
    return attached_to(inside, slot) if found is None and inside is not None else found


def _directly_inside(endpoint: Any) -> Any:
    if isinstance(endpoint, staticmethod):  # a route decorator above it, in a class body, gets this object
        return endpoint.__func__
    return endpoint.func if isinstance(endpoint, partial) else getattr(endpoint, INSIDE, None)


def note_routed(endpoint: Any, route: Any) -> None:
    """Remember that this `CachingRoute` serves the endpoint and every endpoint inside of it."""
    for wrapped in _wrapped(endpoint):
        with suppress(AttributeError):  # without attributes, there is no decoration either
            target = wrapped.__self__ if isinstance(wrapped, MethodType) else wrapped
            methods = routed_methods(wrapped) | set(route.methods or ())
            setattr(target, f'{_attribute_of(wrapped)}methods', (id(target), methods))
            setattr(
                target, f'{_attribute_of(wrapped)}routes', [*map(weakref.ref, routes_of(wrapped)), weakref.ref(route)]
            )


def routes_of(endpoint: Any) -> list[Any]:
    """The routes that serve the endpoint and still exist."""
    target = endpoint.__self__ if isinstance(endpoint, MethodType) else endpoint
    references: list[weakref.ref[Any]] = getattr(target, f'{_attribute_of(endpoint)}routes', [])
    return [route for route in (reference() for reference in references) if route is not None]


def routed_methods(endpoint: Any) -> set[str]:
    """The methods with which a `CachingRoute` serves the endpoint; empty if none does.

    `functools.wraps` copies the attributes of a function, but the route of that function does not serve the copy.
    """
    target = endpoint.__self__ if isinstance(endpoint, MethodType) else endpoint
    of, methods = getattr(target, f'{_attribute_of(endpoint)}methods', (None, set[str]()))
    return methods if of == id(target) else set()


def has_inside(outer: Any, endpoint: Any) -> bool:
    """Whether an endpoint is another one, or is somewhere inside of it."""
    return any(it is endpoint or it == endpoint for it in _wrapped(outer))


def is_routed_inside(endpoint: Any) -> bool:
    """Whether a `CachingRoute` serves a function inside of the endpoint, and so never calls the endpoint itself."""
    return not routed_methods(endpoint) and any(map(routed_methods, _wrapped(endpoint)))


def _wrapped(endpoint: Any) -> Iterator[Any]:
    """The endpoint and those inside of it: the function of a bound method, of a partial object or of a decorator."""
    while endpoint is not None:
        yield endpoint
        inside = next(
            (getattr(endpoint, it) for it in ('__func__', '__wrapped__', INSIDE) if hasattr(endpoint, it)), None
        )
        endpoint = inside or (endpoint.func if isinstance(endpoint, partial) else None)


def decorators_of(endpoint: Any) -> list[str]:
    """The decorators of others around the function of an endpoint, by the module and name of what they call instead."""
    around = [it for it in _wrapped(endpoint) if hasattr(it, '__wrapped__') and hasattr(it, '__code__')]
    named = [(it.__globals__.get('__name__', ''), it.__code__.co_name) for it in around]
    return [f'{module}.{name}' for module, name in named if module.partition('.')[0] != _PACKAGE]


def _attribute_of(endpoint: object) -> str:
    return f'{_ATTRIBUTE}{endpoint.__name__}' if isinstance(endpoint, MethodType) else _ATTRIBUTE


def name_of(endpoint: Any) -> tuple[str, str]:
    """Module and qualified name of an endpoint of any kind."""
    while isinstance(endpoint, partial):
        endpoint = endpoint.func
    named = endpoint if hasattr(endpoint, '__qualname__') else type(endpoint)
    return named.__module__ or '', named.__qualname__  # code that exec() ran has no module
