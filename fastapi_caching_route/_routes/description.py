"""The parts of a cache key that identify a decorated route. Does not know how a key is built."""

import os
from contextlib import suppress
from typing import Any

from fastapi_caching_route._core.asgi import Parts
from fastapi_caching_route._fastapi.effective import declaration, is_named, objects_of, qualified
from fastapi_caching_route._fastapi.endpoints import name_of
from fastapi_caching_route._fastapi.option_dependencies import depends_of
from fastapi_caching_route._fastapi.schemas import outline
from fastapi_caching_route._fastapi.serving import is_of_api, routes_in
from fastapi_caching_route._routes.decoration import Decoration, decoration_at
from fastapi_caching_route._routes.namesakes import Namesakes


def description_of(decoration: Decoration, effective: Any) -> Parts:
    """What identifies a decorated route, equal in every process that runs this code."""
    settings, endpoint = decoration.settings, effective.endpoint
    # If a deploy changes the tags, the key must change too: older entries do not have the new tags as names, so
    # invalidating these would never reach them.
    giving = depends_of(decoration.policy.tags)
    tags = qualified(decoration.policy.tags if giving is None else giving.dependency)
    number = settings.namesakes.of_endpoint(endpoint)
    of_router = decoration.distinction
    return (settings.version, tags, name_of(endpoint), number, declaration(effective), *of_router)


def outlines_of(effective: Any) -> Parts:
    """The outlines of the response models of a route, because a deploy may change a model but not its name."""
    by_alias = effective.response_model_by_alias
    models = (effective.response_model, getattr(effective, 'stream_item_type', None))
    return tuple(outline(it, by_alias=by_alias) for it in models)


def number_among_namesakes(decoration: Decoration, effective: Any, app: Any) -> int | str:
    """The number of a route among routes that have the same description, but are made of different objects.

    Routes are numbered in their order in the app, which is the same in every process, and not in the order in which
    requests reach them. A route that is not found in the app shares entries with no other process, unless names
    identify all of its objects.
    """
    namesakes, description, objects = (
        decoration.settings.namesakes,
        description_of(decoration, effective),
        objects_of(effective),
    )
    if not namesakes.knows(description, objects):
        with suppress(Exception):  # unusual mounted objects must not break a request
            count_through(namesakes, app)
    is_found = namesakes.knows(description, objects) or all(map(is_named, objects))
    number = namesakes.number(description, objects)
    return number if is_found else f'{number} of {os.getpid()} {namesakes.token}'


def count_through(namesakes: Namesakes, app: Any) -> None:
    """Number the routes of an app that use this cache, in their order."""
    routes = [route for _, route in routes_in(app) if is_of_api(route)]
    for route in routes if namesakes.begin_count(app, len(routes)) else ():
        decoration = decoration_at(route)
        if decoration is not None and decoration.settings.namesakes is namesakes:
            namesakes.number(description_of(decoration, route), objects_of(route))
