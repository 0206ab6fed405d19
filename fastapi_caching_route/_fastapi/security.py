"""FastAPI's security schemes: which credential each reads, and to whom its value is handed."""

import inspect
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from fastapi.dependencies.models import Dependant
from fastapi.security.base import SecurityBase

Place = Literal['header', 'query', 'cookie']


@dataclass(frozen=True, slots=True)
class Credential:
    """Where a scheme finds its credential in a request."""

    place: Place
    name: str


def is_scheme(node: Dependant) -> bool:
    """Whether the dependency is a security scheme, of FastAPI or derived from one."""
    return isinstance(_unwrapped(node.call), SecurityBase)


def credential(node: Dependant) -> Credential | None:
    """The credential that a scheme of FastAPI's own reads, and it reads nothing else; None for any other dependency.

    A subclass that is called in a way of its own takes the raw request, and may read anything.
    """
    scheme = _unwrapped(node.call)
    if not isinstance(scheme, SecurityBase) or not _is_of_fastapi(type(scheme).__call__):
        return None
    model: Any = scheme.model
    place = getattr(getattr(model, 'in_', None), 'value', None)
    if place in {'header', 'query', 'cookie'}:
        return Credential(place, model.name)
    return Credential('header', 'authorization')


def is_guard(node: Dependant, tree: list[Dependant]) -> bool:
    """Whether a dependency of a route must let a request in before an entry answers it; `tree` is all of its nodes.

    One without a parameter name is there for nothing else. One with a name is, if what it is given can name a person.
    """
    return node.name is None or any(is_scheme(it) or _reads_a_person(it) for it in tree)


def _reads_a_person(node: Dependant) -> bool:
    fields = (field.field_info.alias or field.name for field in node.header_params)
    return bool(node.cookie_params) or any(name.lower() == 'authorization' for name in fields)


def _unwrapped(call: Any) -> Any:
    while isinstance(call, partial):
        call = call.func
    return inspect.unwrap(call) if callable(call) else call


def _is_of_fastapi(function: Any) -> bool:
    return getattr(function, '__module__', '').startswith('fastapi.security')
