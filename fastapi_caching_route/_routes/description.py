"""A decorated route as its cache keys describe it. Does not know how a key is made."""

import os
from contextlib import suppress
from typing import Any

from fastapi_caching_route._core.asgi import Parts
from fastapi_caching_route._fastapi.effective import declaration, is_named, objects_of, qualified
from fastapi_caching_route._fastapi.endpoints import name_of
from fastapi_caching_route._fastapi.schemas import outline
from fastapi_caching_route._fastapi.serving import is_of_api, routes_in
from fastapi_caching_route._routes.decoration import Decoration, decoration_of
from fastapi_caching_route._routes.namesakes import Namesakes


def description_of(decoration: Decoration, effective: Any) -> Parts:
    """What a decorated route is in every process that runs this code."""
    settings, endpoint = decoration.settings, effective.endpoint
    # An entry from before the tags were changed has other names, and would never be invalidated by the new ones.
    tags = qualified(decoration.policy.tags)
    return (settings.version, tags, name_of(endpoint), settings.namesakes.of_endpoint(endpoint), declaration(effective))


def outlines_of(effective: Any) -> Parts:
    """What the responses of a route look like by their models, which a deploy may change and keep the name of."""
    by_alias = effective.response_model_by_alias
    models = (effective.response_model, getattr(effective, 'stream_item_type', None))
    return tuple(outline(it, by_alias=by_alias) for it in models)


def number_among_namesakes(decoration: Decoration, effective: Any, app: Any) -> int | str:
    """Which one a route is among those of one description, that are made of different objects.

    They are counted in the order in which they stand in the app, which is the same in every process; and not in that of
    the requests that reach them. One that is not found there shares with no other process, unless its name says all of it.
    """
    namesakes, description, objects = (
        decoration.settings.namesakes,
        description_of(decoration, effective),
        objects_of(effective),
    )
    if not namesakes.knows(description, objects):
        with suppress(Exception):  # of odd things that are mounted: they are not to be the end of a request
            count_through(namesakes, app)
    is_found = namesakes.knows(description, objects) or all(map(is_named, objects))
    number = namesakes.number(description, objects)
    return number if is_found else f'{number} of {os.getpid()} {namesakes.token}'


def count_through(namesakes: Namesakes, app: Any) -> None:
    """Number the routes of an app in their order, those of this cache."""
    routes = [route for _, route in routes_in(app) if is_of_api(route)]
    for route in routes if namesakes.begin_count(app, len(routes)) else ():
        decoration = decoration_of(route.endpoint)
        if decoration is not None and decoration.settings.namesakes is namesakes:
            namesakes.number(description_of(decoration, route), objects_of(route))
