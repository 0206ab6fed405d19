"""Things of one name, told apart alike in every process. Does not know what they are for."""

import os
from collections.abc import Callable, Hashable
from contextlib import suppress
from secrets import token_hex
from types import FunctionType, MethodType
from typing import Any

from fastapi_caching_route._core.asgi import Parts
from fastapi_caching_route._fastapi.effective import declaration, described, is_named, objects_of
from fastapi_caching_route._fastapi.endpoints import layers, name_of
from fastapi_caching_route._fastapi.schemas import outline
from fastapi_caching_route._fastapi.serving import is_of_api, routes_in
from fastapi_caching_route._routes.decoration import Decoration, decoration_of


class Twins:
    """Numbers things that have one name: the first is 0."""

    __slots__ = ('_alike', '_counted', 'token')

    def __init__(self) -> None:
        """Know nothing yet."""
        self._alike: dict[Hashable, list[tuple[object, ...]]] = {}
        self._counted: tuple[object, int] = (None, 0)
        self.token: str = token_hex(8)
        """By which nobody else shares."""

    def of_endpoint(self, endpoint: Callable[..., Any]) -> int:
        """Which one this is among the endpoints of one name that answer differently by what they hold.

        Closures and bound methods are counted in the order in which they are decorated or routed, which is the same in
        every process of an app. Of a plain function there is one.
        """
        *_, endpoint = layers(endpoint)
        if isinstance(endpoint, FunctionType) and endpoint.__closure__ is None:
            return 0
        return self.number(name_of(endpoint), (endpoint,))

    def number(self, name: Hashable, objects: tuple[object, ...]) -> int:
        """Which one this is among the things of one name that are made of different objects; new ones are counted on."""
        alike = self._alike.setdefault(name, [])
        known = next((at for at, others in enumerate(alike) if _are_same(others, objects)), None)
        if known is None:
            alike.append(objects)
        return len(alike) - 1 if known is None else known

    def begin_count(self, app: object, routes: int) -> bool:
        """Note that an app of so many routes is counted through; False if it is the one that was last: to do it for each request is slow."""
        if not routes or (self._counted[0] is app and self._counted[1] == routes):
            return False
        self._counted = (app, routes)
        return True

    def knows(self, name: Hashable, objects: tuple[object, ...]) -> bool:
        """Whether these have been numbered."""
        return any(_are_same(others, objects) for others in self._alike.get(name, ()))


def _are_same(some: tuple[object, ...], others: tuple[object, ...]) -> bool:
    return len(some) == len(others) and all(map(_same, some, others))


def _same(one: object, other: object) -> bool:
    """Whether two are one object; a bound method is made anew at each access, but equals itself."""
    return one is other or (isinstance(one, MethodType) and isinstance(other, MethodType) and one == other)


def description_of(decoration: Decoration, effective: Any) -> Parts:
    """What a decorated route is in every process that runs this code."""
    cache, endpoint = decoration.cache, effective.endpoint
    # An entry from before the tags were changed has other names, and would never be invalidated by the new ones.
    tags = described(decoration.policy.tags)
    return (cache.version, tags, name_of(endpoint), cache.twins.of_endpoint(endpoint), declaration(effective))


def outlines_of(effective: Any) -> Parts:
    """What the responses of a route look like by their models, which a deploy may change and keep the name of."""
    by_alias = effective.response_model_by_alias
    models = (effective.response_model, getattr(effective, 'stream_item_type', None))
    return tuple(outline(it, by_alias=by_alias) for it in models)


def twin_of(decoration: Decoration, effective: Any, app: Any) -> int | str:
    """Which one a route is among those of one description, that are made of different objects.

    They are counted in the order in which they stand in the app, which is the same in every process; and not in that of
    the requests that reach them. One that is not found there shares with no other process, unless its name says all of it.
    """
    twins, description, objects = decoration.cache.twins, description_of(decoration, effective), objects_of(effective)
    if not twins.knows(description, objects):
        with suppress(Exception):  # of odd things that are mounted: they are not to be the end of a request
            count_through(twins, app)
    is_found = twins.knows(description, objects) or all(map(is_named, objects))
    number = twins.number(description, objects)
    return number if is_found else f'{number} of {os.getpid()} {twins.token}'


def count_through(twins: Twins, app: Any) -> None:
    """Number the routes of an app in their order, those of this cache."""
    routes = [route for _, route in routes_in(app) if is_of_api(route)]
    for route in routes if twins.begin_count(app, len(routes)) else ():
        decoration = decoration_of(route.endpoint)
        if decoration is not None and decoration.cache.twins is twins:
            twins.number(description_of(decoration, route), objects_of(route))
