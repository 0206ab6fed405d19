"""The dependencies that this package offers. They take the raw request, but do not show it to user code.

Some of them give user code something of a client that no declaration shows, such as a session. These name it for the
cache key: by `identity='auto'`, clients with equal names share.
"""

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol, TypeVar, cast

from fastapi.dependencies.utils import get_parameterless_sub_dependant
from starlette.requests import HTTPConnection

from fastapi_caching_route._fastapi.effective import tree

Kind = TypeVar('Kind', bound=type)

_OWN: list[type] = []

_METHOD = '__cache_identity__'


class NamesClients(Protocol):
    """The class of a dependency that names clients."""

    async def __cache_identity__(self, connection: HTTPConnection) -> str:
        """A name that is equal for clients to which the dependency gives the same. It may raise what refuses them."""
        ...


def own_dependency(kind: Kind) -> Kind:
    """Register a class. Subclasses that users derive from it may do anything, so they are not registered."""
    _OWN.append(kind)
    return kind


def is_own(call: object) -> bool:
    """Whether this is one of our dependencies."""
    return names_clients(call) or any(call is kind for kind in _OWN)


def names_clients(call: object) -> bool:
    """Whether this is a dependency that names clients for the cache key."""
    return hasattr(type(call), _METHOD)


def naming_in(effective: Any, explicit: Sequence[Any]) -> list[Any]:
    """The dependencies of an effective route, and of explicit ones, that name clients, each once."""
    path = effective.path_format
    roots = [effective.dependant, *(get_parameterless_sub_dependant(depends=it, path=path) for it in explicit)]
    found: list[Any] = [it.call for root in roots for it in tree(root, {}) if names_clients(it.call)]
    return [it for at, it in enumerate(found) if not any(it is other for other in found[:at])]


def name_by(naming: Sequence[Any]) -> Callable[[HTTPConnection], Coroutine[Any, Any, str]]:
    """A function that returns the names that these dependencies have for a client, together."""

    async def name(connection: HTTPConnection) -> str:
        names = [await cast('NamesClients', it).__cache_identity__(connection) for it in naming]
        return ascii(names)

    return name
