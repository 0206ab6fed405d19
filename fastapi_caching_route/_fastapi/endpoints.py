"""Endpoints of every kind: functions, bound methods, partial objects and callable objects.

Something can be left on them and found again; and two of one name, which may answer differently by what they hold, are
told apart.
"""

import weakref
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from types import MethodType
from typing import Any

from fastapi_caching_route.errors import ConfigurationError

_ATTRIBUTE = '__fastapi_caching_route__'

INSIDE = f'{_ATTRIBUTE}inside'
"""Where an endpoint that we have wrapped has the one inside of it."""


INVALIDATES = 'invalidates'
"""The slot of `@cache.invalidates(...)`; the other one is that of `@cache(...)`."""


def attach(decoration: object, endpoint: Any, slot: str = '') -> None:
    """Leave a decoration on the endpoint: on its instance, where it is a bound method, which is made anew each time.

    There is one in each slot.

    Raises:
        ConfigurationError: nothing can be left on it.

    """
    if not callable(endpoint):
        msg = 'an endpoint must be callable'
        raise ConfigurationError(msg)
    if isinstance(endpoint, staticmethod | classmethod):
        endpoint = endpoint.__func__
    target = endpoint.__self__ if isinstance(endpoint, MethodType) else endpoint
    try:
        setattr(target, _attribute_of(endpoint) + slot, decoration)
    except AttributeError:
        msg = f'{target!r} does not allow attributes; decorate a function, and a method in its class body'
        raise ConfigurationError(msg) from None


def layers(endpoint: Any) -> Iterator[Any]:
    """The endpoint and, where it is one that we have wrapped, what is inside: a route may know the one or the other."""
    while endpoint is not None:
        yield endpoint
        endpoint = getattr(endpoint, INSIDE, None)


def attached_to(endpoint: object, slot: str = '') -> Any:
    """The decoration left on an endpoint, or on the function inside of a bound method or a partial object; or None."""
    if isinstance(endpoint, MethodType):
        on_instance = getattr(endpoint.__self__, _attribute_of(endpoint) + slot, None)
        if on_instance is not None:
            return on_instance
    found = getattr(endpoint, _ATTRIBUTE + slot, None)
    inside = endpoint.func if isinstance(endpoint, partial) else getattr(endpoint, INSIDE, None)
    return attached_to(inside, slot) if found is None and inside is not None else found


def note_routed(endpoint: Any, route: Any) -> None:
    """Remember that this `CachingRoute` serves the endpoint, and all that it wraps."""
    for wrapped in _wrapped(endpoint):
        with suppress(AttributeError):  # one that takes no attributes takes no decoration either
            target = wrapped.__self__ if isinstance(wrapped, MethodType) else wrapped
            setattr(target, f'{_attribute_of(wrapped)}methods', routed_methods(wrapped) | set(route.methods or ()))
            setattr(
                target, f'{_attribute_of(wrapped)}routes', [*map(weakref.ref, routes_of(wrapped)), weakref.ref(route)]
            )


def routes_of(endpoint: Any) -> list[Any]:
    """The routes that serve the endpoint and are still there."""
    target = endpoint.__self__ if isinstance(endpoint, MethodType) else endpoint
    references: list[weakref.ref[Any]] = getattr(target, f'{_attribute_of(endpoint)}routes', [])
    return [route for route in (reference() for reference in references) if route is not None]


def routed_methods(endpoint: Any) -> set[str]:
    """The methods with which a `CachingRoute` serves the endpoint; none if it has never met one."""
    target = endpoint.__self__ if isinstance(endpoint, MethodType) else endpoint
    methods: set[str] = getattr(target, f'{_attribute_of(endpoint)}methods', set())
    return methods


def _wrapped(endpoint: Any) -> Iterator[Any]:
    """The endpoint, and what is inside: the function of a bound method or a partial object, or of a decorator."""
    while endpoint is not None:
        yield endpoint
        inside = next(
            (getattr(endpoint, it) for it in ('__func__', '__wrapped__', INSIDE) if hasattr(endpoint, it)), None
        )
        endpoint = inside or (endpoint.func if isinstance(endpoint, partial) else None)


def _attribute_of(endpoint: object) -> str:
    return f'{_ATTRIBUTE}{endpoint.__name__}' if isinstance(endpoint, MethodType) else _ATTRIBUTE


def name_of(endpoint: Any) -> tuple[str, str]:
    """Module and qualified name of an endpoint, of whatever kind of callable it is."""
    while isinstance(endpoint, partial):
        endpoint = endpoint.func
    named = endpoint if hasattr(endpoint, '__qualname__') else type(endpoint)
    return named.__module__ or '', named.__qualname__  # none, where code was given to exec()
