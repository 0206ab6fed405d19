"""FastAPI's security schemes, the credentials that they read, and which dependencies are guards."""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from fastapi.dependencies.models import Dependant
from fastapi.security.base import SecurityBase

from fastapi_caching_route._fastapi.own import is_own, names_clients
from fastapi_caching_route._fastapi.parameters import Parameters

Place = Literal['header', 'query', 'cookie']

PERSONAL = frozenset(('authorization', 'cookie'))
"""The headers that identify a person."""


@dataclass(frozen=True, slots=True)
class Credential:
    """The place of a scheme's credential in a request."""

    place: Place
    name: str


def is_scheme(node: Dependant) -> bool:
    """Whether the dependency is a security scheme: an object of a class derived from FastAPI's, or a wrapper of one."""
    return isinstance(_unwrapped(node.call), SecurityBase)


def is_optional(node: Dependant) -> bool:
    """Whether the dependency is a security scheme that lets requests without a credential through."""
    return is_scheme(node) and getattr(_unwrapped(node.call), 'auto_error', True) is False


def credential(node: Dependant) -> Credential | None:
    """The credential that one of FastAPI's own schemes reads; None for any other dependency.

    Such a scheme reads nothing else. A function around a scheme sees the credential, and a subclass with its own
    `__call__` may read anything.
    """
    scheme: Any = node.call
    if not isinstance(scheme, SecurityBase):
        return None
    called = next(it for it in type(scheme).__mro__ if '__call__' in vars(it) or it is object)
    if not called.__module__.startswith('fastapi.security'):
        return None
    model: Any = scheme.model
    place = getattr(getattr(model, 'in_', None), 'value', None)
    if place in {'header', 'query', 'cookie'}:
        return Credential(place, model.name)
    return Credential('header', 'authorization')


def is_guard(node: Dependant, tree: list[Dependant]) -> bool:
    """Whether a dependency of a route must accept a request before it gets an entry; `tree` are all its nodes.

    A dependency without a parameter name has no other purpose. A dependency with a name is a guard if its inputs can
    identify a person: credentials, cookies, a session or the raw request.
    """
    return node.name is None or any(map(_may_know_a_person, tree))


def _may_know_a_person(node: Dependant) -> bool:
    return declares_a_person(node) or takes_the_request(node)


def declares_a_person(node: Dependant) -> bool:
    """Whether the declared inputs of the dependency can identify a person, or it names clients."""
    return is_scheme(node) or names_clients(node.call) or _reads_a_person(node)


def takes_the_request(node: Dependant) -> bool:
    """Whether the dependency takes the raw request and is not one of ours."""
    if is_own(node.call):
        return False
    return bool(node.request_param_name or node.http_connection_param_name)


def decides_unseen(tree: Sequence[Dependant], *, is_noted: bool) -> bool:
    """Whether a guard decides by what nobody sees: these are all its nodes.

    It reads nothing of the request but its path, and may know the client by a context variable that middleware has
    set. Or it takes the raw request, and it is not noted (`is_noted`) what it reads there.
    """
    if any(map(takes_the_request, tree)):
        return not is_noted
    return not any(map(_reads_the_client, tree))


def _reads_the_client(node: Dependant) -> bool:
    declared = (node.query_params, node.header_params, node.cookie_params, node.body_params)
    return is_scheme(node) or names_clients(node.call) or any(declared)


def _reads_a_person(node: Dependant) -> bool:
    headers = Parameters('header', node.header_params)
    return bool(node.cookie_params) or any(map(headers.may_read, PERSONAL))


def _unwrapped(call: Any) -> Any:
    while isinstance(call, partial):
        call = call.func
    return inspect.unwrap(call) if callable(call) else call
