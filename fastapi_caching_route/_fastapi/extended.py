"""The request handler of a route with more dependencies than it was built with, chosen for one request by its scope.

Explicit dependencies run inside of the route like its own: with its exceptions, teardown, fields and background tasks.
One dependency of ours says whether FastAPI has made the response from what the endpoint returned (then it adds the
fields that dependencies have set) or the endpoint has returned a `Response` itself (then FastAPI drops them).
"""

from collections.abc import Callable, Coroutine, Sequence
from copy import copy
from typing import Any

from fastapi import Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import get_dependant, get_parameterless_sub_dependant
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

from fastapi_caching_route._asgi import ADMITTED, GUARD_FIELDS, HANDLER, SHAPED

_FIELDS_BEFORE = 'fastapi_caching_route.fields_before'

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


def choosing(original: Handler) -> Handler:
    """A handler that gives way to the one that the scope names, if it names one."""

    async def choose(request: Request) -> Response:
        chosen: Handler | None = request.scope.pop(HANDLER, None)  # an endpoint may ask other routes with this scope
        try:
            return await (chosen or original)(request)
        except RequestValidationError:
            # FastAPI goes on with other dependencies where the values of a guard are not valid: it has let nobody in.
            request.scope[ADMITTED] = False
            raise
        finally:
            if chosen is not None:
                request.scope[HANDLER] = chosen  # a route class of the user's may try again

    return choose


def extended_handler(effective: Any, explicit: Sequence[Any], guards: Sequence[Dependant]) -> Handler:
    """The handler of an effective route that runs explicit dependencies before its own.

    It says who made the response, and which fields the explicit dependencies and the guards have set on it.
    """
    path = effective.path_format
    route, dependant = as_route(effective), copy(effective.dependant)
    before, after, end = (get_dependant(path=path, call=it, use_cache=False) for it in (_before, _after, _say_shaped))
    added = [get_parameterless_sub_dependant(depends=depends, path=path) for depends in explicit]
    dependant.dependencies = [before, *added, after]
    for node in effective.dependant.dependencies:
        watched = any(node is guard for guard in guards)
        dependant.dependencies += [before, node, after] if watched else [node]
    dependant.dependencies.append(end)
    route.dependant = dependant
    read_body_as(route, with_body_of(effective, explicit))
    handler: Handler = APIRoute.get_route_handler(route)
    return handler


def as_route(effective: Any) -> Any:
    """A copy of the route itself with all that its includes have made of it; a release may ask it for anything."""
    route = copy(getattr(effective, 'original_route', effective))
    for name in vars(effective).keys() & vars(route).keys():
        setattr(route, name, getattr(effective, name))
    return route


def with_body_of(effective: Any, explicit: Sequence[Any]) -> Any:
    """What knows how the body of a request is read: the route if it declares one, else explicit dependencies."""
    if effective.body_field is not None or not explicit:
        return effective
    return APIRoute(effective.path_format, _nothing, response_model=None, dependencies=list(explicit))


def read_body_as(route: Any, model: Any) -> None:
    """Have a route read the body in the same way as the model."""
    for name in ('body_field', '_embed_body_fields'):
        setattr(route, name, getattr(model, name))


def unnamed(node: Dependant) -> Dependant:
    """The node without its parameter name: there is no parameter to be given its value."""
    found = copy(node)
    found.name = None
    return found


async def _before(request: Request, response: Response) -> None:
    request.scope[_FIELDS_BEFORE] = list(response.headers.raw)


async def _after(request: Request, response: Response) -> None:
    before = request.scope.pop(_FIELDS_BEFORE, ())
    request.scope.setdefault(GUARD_FIELDS, []).extend(it for it in response.headers.raw if it not in before)


async def _say_shaped(request: Request, response: Response) -> None:
    request.scope[ADMITTED] = True
    response.headers[SHAPED.decode('ascii')] = '1'


async def _nothing() -> None:
    """Stands where a route has its endpoint."""
