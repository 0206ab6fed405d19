"""Whether two apps hold the same, so that their responses do not differ by the app."""

from typing import Any

from fastapi import FastAPI
from starlette.middleware import Middleware

from fastapi_caching_route._fastapi.serving import named_in

_PLAIN = (str, bytes, int, float, bool, type(None))
_OF_EVERY_APP = frozenset(vars(FastAPI())) | {'extra'}
"""Attributes that FastAPI sets. Of those with objects, such as the router, some are compared below."""
_SET_BY_SERVING = frozenset({'middleware_stack', 'openapi_schema'})


def are_alike(one: Any, other: Any) -> bool:
    """Whether no code can tell two apps apart by what they hold: state, handlers, attributes, names of routes.

    Lists and dicts in `app.state` count as different even if they are equal, because code may change one of them later.

    Raises:
        Exception: whatever an unusual app raises.

    """
    mine, others = _own(one), _own(other)
    return (
        mine.keys() == others.keys()
        and all(_is_same(it, others[name]) for name, it in mine.items())
        and _are_equal(_built_with(one), _built_with(other))
    )


def _own(app: Any) -> dict[object, object]:
    """What the user's code has put into an app."""
    attributes = {name: it for name, it in vars(app).items() if name not in _OF_EVERY_APP and not _is_internal(name)}
    return {**attributes, **{('state', name): it for name, it in vars(app.state)['_state'].items()}}


def _built_with(app: Any) -> list[object]:
    """What an app was built with, as far as it can be compared: options, handlers, middleware, names of routes."""
    attributes = {
        name: it
        for name, it in vars(app).items()
        if name in _OF_EVERY_APP and not _is_internal(name) and isinstance(it, (*_PLAIN, list, dict))
    }
    return [attributes, list(named_in(app))]


def _is_internal(name: str) -> bool:
    return name in _SET_BY_SERVING or name.startswith('_openapi')


def _are_equal(one: Any, other: Any) -> bool:
    """Whether two values are the same, or containers of equal values."""
    if type(one) is not type(other):
        return False
    if isinstance(one, Middleware):
        return _are_equal(list(one), list(other))
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_are_equal, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_are_equal(it, other[key]) for key, it in one.items())
    return _is_same(one, other)


def _is_same(one: object, other: object) -> bool:
    return one is other or (isinstance(one, _PLAIN) and type(one) is type(other) and one == other)
