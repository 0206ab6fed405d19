"""Finds the apps of this process whose responses may differ from those of an app although they serve the same route."""

import gc
from collections.abc import Callable, Iterator
from typing import Any

from fastapi import FastAPI
from starlette.applications import Starlette

from fastapi_caching_route._fastapi.serving import is_of_api, mounted_in, routes_in

_PLAIN = (str, bytes, int, float, bool, type(None))
_OF_EVERY_APP = frozenset(vars(FastAPI()))
"""Attributes that each app has. Of those with objects, such as its router, some are compared below."""


def has_rival(app: Any, outermost: Any, is_cached: Callable[[Any], bool]) -> bool:
    """Whether another app of the same title has one of the cached endpoints, and is not alike.

    Some code in front of both may choose between them. Apps that are mounted in the outermost one do not count.
    All objects of the process are looked through, which takes some milliseconds.
    """
    mounted = [outermost, *(it for _, it in mounted_in(outermost))]
    endpoints = _endpoints_in(app, is_cached)
    return any(
        all(it is not other for it in (app, *mounted))
        and getattr(other, 'title', None) == getattr(app, 'title', None)
        and not endpoints.isdisjoint(_endpoints_in(other, is_cached))
        and not are_alike(app, other)
        for other in gc.get_referrers(*_kinds(Starlette))
        if isinstance(other, Starlette)
    )


def are_alike(one: Any, other: Any) -> bool:
    """Whether no code can tell two apps apart by what they hold: state, handlers, attributes, names of routes."""
    mine, others = _held(one), _held(other)
    return mine.keys() == others.keys() and all(_same(it, others[name]) for name, it in mine.items())


def _held(app: Any) -> dict[object, object]:
    own = {name: it for name, it in vars(app).items() if name not in _OF_EVERY_APP or isinstance(it, _PLAIN)}
    state = {('state', name): it for name, it in vars(app.state)['_state'].items()}
    handlers = {('handler', kind): it for kind, it in app.exception_handlers.items()}
    names = {('route', at): (where + route.path, route.name) for at, (where, route) in enumerate(routes_in(app))}
    return {**own, **state, **handlers, **{name: ' '.join(it) for name, it in names.items()}}


def _same(one: object, other: object) -> bool:
    return one is other or (isinstance(one, _PLAIN) and type(one) is type(other) and one == other)


def _kinds(kind: type) -> Iterator[type]:
    yield kind
    known: list[type] = kind.__subclasses__()
    for inside in known:
        yield from _kinds(inside)


def _endpoints_in(app: Any, is_cached: Callable[[Any], bool]) -> set[int]:
    return {id(route.endpoint) for _, route in routes_in(app) if is_of_api(route) and is_cached(route)}
