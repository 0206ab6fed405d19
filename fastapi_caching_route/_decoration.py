"""What `@cache(...)` leaves on an endpoint, and how a route finds it there.

Endpoints come as functions, bound methods, partial objects and callable objects. Two of one name may answer differently
by what they hold; here they are told apart.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import partial
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any

from fastapi_caching_route.errors import ConfigurationError
from fastapi_caching_route.policy import CachePolicy

if TYPE_CHECKING:
    from fastapi_caching_route.cache import FastAPICache

_DECORATION = '__fastapi_caching_route__'


@dataclass(frozen=True, slots=True)
class Decoration:
    """What `@cache(...)` leaves on an endpoint, for a `CachingRoute` to find and a plain route to ignore."""

    cache: 'FastAPICache'
    policy: CachePolicy


def decoration_of(endpoint: object) -> Decoration | None:
    """The decoration of an endpoint, or of the function inside of a bound method or a partial object."""
    if isinstance(endpoint, MethodType):
        on_instance: Decoration | None = getattr(endpoint.__self__, _attribute(endpoint), None)
        if on_instance is not None:
            return on_instance
    found: Decoration | None = getattr(endpoint, _DECORATION, None)
    return decoration_of(endpoint.func) if found is None and isinstance(endpoint, partial) else found


def name_of(endpoint: Any) -> tuple[str, str]:
    """Module and qualified name of an endpoint, of whatever kind of callable it is."""
    while isinstance(endpoint, partial):
        endpoint = endpoint.func
    named = endpoint if hasattr(endpoint, '__qualname__') else type(endpoint)
    return named.__module__, named.__qualname__


def leave(decoration: Decoration, endpoint: Any) -> None:
    """Leave the decoration on the endpoint: on its instance, where it is a bound method, which is made anew each time."""
    if not callable(endpoint):
        msg = 'an endpoint must be callable'
        raise ConfigurationError(msg)
    if isinstance(endpoint, staticmethod | classmethod):
        endpoint = endpoint.__func__
    target = endpoint.__self__ if isinstance(endpoint, MethodType) else endpoint
    try:
        setattr(target, _attribute(endpoint), decoration)
    except AttributeError:
        msg = f'{target!r} takes no attributes; decorate a function, in the class body if it is a method'
        raise ConfigurationError(msg) from None


def _attribute(endpoint: object) -> str:
    return f'{_DECORATION}{endpoint.__name__}' if isinstance(endpoint, MethodType) else _DECORATION


def _same(one: object, other: object) -> bool:
    """Whether two are one object; a bound method is made anew at each access, but equals itself."""
    return one is other or (isinstance(one, MethodType) and isinstance(other, MethodType) and one == other)


class Twins:
    """Numbers things that have one name: the first is 0."""

    __slots__ = ('_alike',)

    def __init__(self) -> None:
        """Know nothing yet."""
        self._alike: dict[Hashable, list[tuple[object, ...]]] = {}

    def of_endpoint(self, endpoint: Callable[..., Any]) -> int:
        """Which one this is among the endpoints of one name that answer differently by what they hold.

        Closures and bound methods are counted in the order in which they are decorated or routed, which is the same in
        every process of an app. Of a plain function there is one.
        """
        if isinstance(endpoint, FunctionType) and endpoint.__closure__ is None:
            return 0
        return self.number(name_of(endpoint), (endpoint,))

    def number(self, name: Hashable, objects: tuple[object, ...]) -> int:
        """Which one this is among the things of one name that are made of different objects; new ones are counted on."""
        alike = self._alike.setdefault(name, [])
        for known, others in enumerate(alike):
            if len(others) == len(objects) and all(map(_same, others, objects)):
                return known
        alike.append(objects)
        return len(alike) - 1
