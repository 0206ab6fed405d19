"""FastAPI's security schemes: which credential each reads, and to whom its value is handed."""

import inspect
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from fastapi.dependencies.models import Dependant
from fastapi.security.base import SecurityBase

from fastapi_caching_route._fastapi.own import is_own
from fastapi_caching_route._fastapi.parameters import Parameters

Place = Literal['header', 'query', 'cookie']

PERSONAL = frozenset(('authorization', 'cookie'))
"""The headers that name a person."""


@dataclass(frozen=True, slots=True)
class Credential:
    """Where a scheme finds its credential in a request."""

    place: Place
    name: str


def is_scheme(node: Dependant) -> bool:
    """Whether the dependency is a security scheme, or wraps one: derived from FastAPI's, or called by a function."""
    return isinstance(_unwrapped(node.call), SecurityBase)


def credential(node: Dependant) -> Credential | None:
    """The credential that a scheme of FastAPI's own reads, and it reads nothing else; None for any other dependency.

    A function round a scheme sees the credential, and a subclass that is called in its own way may read anything.
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
    """Whether a dependency of a route must let a request in before an entry answers it; `tree` is all of its nodes.

    One without a parameter name is there for nothing else. One with a name is, if what it is given can name a person: by
    the raw request, anything can.
    """
    return node.name is None or any(is_scheme(it) or _reads_a_person(it) or takes_the_request(it) for it in tree)


def takes_the_request(node: Dependant) -> bool:
    """Whether it is given the raw request, and is none of ours."""
    if is_own(node.call):
        return False
    return bool(node.request_param_name or node.http_connection_param_name)


def _reads_a_person(node: Dependant) -> bool:
    headers = Parameters('header', node.header_params)
    return bool(node.cookie_params) or any(map(headers.may_read, PERSONAL))


def _unwrapped(call: Any) -> Any:
    while isinstance(call, partial):
        call = call.func
    return inspect.unwrap(call) if callable(call) else call
