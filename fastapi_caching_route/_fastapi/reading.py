"""Reads the parameters of guards from a request, with the results of FastAPI and in fewer steps.

It covers parameters with one name and a type whose validation runs no user code, as most are. For any other, and for
each value that is missing or not valid, FastAPI reads all parameters of that place. What FastAPI does is asked when the
guards are compiled, and not known here: the name, the value of an omitted parameter, and some values to compare.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from fastapi.dependencies.utils import request_params_to_args
from pydantic import ValidationError
from starlette.datastructures import Headers, QueryParams

from fastapi_caching_route._fastapi.parameters import runs_user_code
from fastapi_caching_route._fastapi.plain import distinguishing, is_plain

PLACES = ('path', 'query', 'header', 'cookie')
"""The places of parameters, in the order of FastAPI."""
_PARTS = {'path': 'path_params', 'query': 'query_params', 'header': 'headers', 'cookie': 'cookies'}
_CLASSES: dict[str, Any] = {'path': dict, 'query': QueryParams, 'header': Headers, 'cookie': dict}
_CHANGEABLE = (list, set, dict)
_SAMPLES = ('1', 'a', '')
_OMITTED = object()
"""The value of a parameter that is not in a request."""
_REQUIRED = object()
"""The default of a parameter that FastAPI refuses to omit."""


@dataclass(frozen=True, slots=True)
class _Plain:
    """One parameter that is read here."""

    name: str
    """Of the parameter of the function."""
    key: str
    """The name in a request."""
    raw_key: bytes
    validate: Callable[..., Any]
    omitted: Any

    def value(self, received: Any) -> Any:
        """The value that the function gets; `_REQUIRED` if it is omitted and must not be. It may raise."""
        return self.omitted if received is _OMITTED else self.validate(received, from_attributes=True)


class PlaceReader:
    """The parameters of one dependency in one place of a request."""

    __slots__ = ('_look_up', '_parameters', '_part', '_plain')

    def __init__(self, place: str, parameters: Sequence[Any]) -> None:
        self._parameters = parameters
        self._part = _PARTS[place]
        self._look_up = _LOOK_UPS[place]
        plain = [_plain(place, it) for it in parameters]
        self._plain = [it for it in plain if it is not None] if None not in plain else None

    def __call__(self, request: Request, given: dict[str, Any]) -> list[Any]:
        """Put the values in `given`, and return what is not valid."""
        if self._plain is not None and self._is_read(self._plain, request, given):
            return []
        values, errors = request_params_to_args(self._parameters, getattr(request, self._part))
        given.update(values)
        return errors

    def _is_read(self, plain: Sequence[_Plain], request: Request, given: dict[str, Any]) -> bool:
        look_up = self._look_up
        try:
            for it in plain:
                value = it.value(look_up(request, it))
                if value is _REQUIRED:
                    return False
                given[it.name] = value
        except ValidationError:
            return False
        return True


def _in_path(request: Request, it: _Plain) -> Any:
    return request.path_params.get(it.key, _OMITTED)


def _in_query(request: Request, it: _Plain) -> Any:
    query = request.scope['query_string']
    if not query or (it.raw_key not in query and b'%' not in query):  # no name in it is escaped
        return _OMITTED
    return request.query_params.get(it.key, _OMITTED)


def _in_headers(request: Request, it: _Plain) -> Any:
    key = it.raw_key
    for name, value in request.scope['headers']:
        if name == key:
            return value.decode('latin-1')
    return _OMITTED


def _in_cookies(request: Request, it: _Plain) -> Any:
    has_cookies = any(name == b'cookie' for name, _ in request.scope['headers'])
    return request.cookies.get(it.key, _OMITTED) if has_cookies else _OMITTED


_LOOK_UPS = {'path': _in_path, 'query': _in_query, 'header': _in_headers, 'cookie': _in_cookies}


def _plain(place: str, field: Any) -> _Plain | None:
    """How to read this parameter; None if only FastAPI knows."""
    info, asked = field.field_info, _names_asked(_CLASSES[place], field)
    if len(asked) != 1 or not is_plain(info.annotation) or runs_user_code(field):
        return None
    (key,) = asked
    values, errors = request_params_to_args([field], _CLASSES[place]())
    omitted = _REQUIRED if errors else values[field.name]
    is_fixed = info.default_factory is None and distinguishing(omitted) is not None
    if not key.isascii() or ' ' in key or isinstance(omitted, _CHANGEABLE) or not (errors or is_fixed):
        return None
    raw_key = (key.lower() if place == 'header' else key).encode('ascii')
    it = _Plain(field.name, key, raw_key, field._type_adapter.validator.validate_python, omitted)  # noqa: SLF001
    return it if all(_is_read_alike(place, field, it, sample) for sample in _SAMPLES) else None


def _names_asked(kind: Any, field: Any) -> set[str]:
    """The names under which FastAPI looks for a parameter."""
    names: set[str] = set()

    class Asked(kind):  # type: ignore[misc]
        def __contains__(self, key: object) -> bool:
            names.add(str(key))
            return False

        def get(self, key: str, default: Any = None) -> Any:
            names.add(key)
            return default

        def getlist(self, key: str) -> list[str]:
            names.add(key)
            return []

    request_params_to_args([field], Asked())
    return names


def _is_read_alike(place: str, field: Any, it: _Plain, sample: str) -> bool:
    """Whether FastAPI reads this value as we do."""
    received = {it.raw_key.decode(): sample} if place == 'header' else {it.key: sample}
    values, errors = request_params_to_args([field], _CLASSES[place](received))
    try:
        value = it.value(sample)
    except ValidationError:
        return bool(errors)
    return not errors and distinguishing(values[field.name]) == distinguishing(value) is not None
