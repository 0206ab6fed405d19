"""The request handler of a route with additional dependencies, which the scope of a request selects.

Explicit dependencies run inside of the route like its own: with its exceptions, teardown, headers and background tasks.
"""

from collections.abc import Callable, Coroutine, Iterator, Sequence
from copy import copy
from functools import partial
from typing import Any

from fastapi import Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import get_dependant, get_parameterless_sub_dependant
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

from fastapi_caching_route._core.asgi import ADMITTED, HANDLER, OF_THE_ENDPOINT, READ_LOG, WRITE_LOG, WRITTEN
from fastapi_caching_route._core.read_log import ReadLog
from fastapi_caching_route._core.written import Written
from fastapi_caching_route._fastapi.early_values import EarlyValues
from fastapi_caching_route._fastapi.effective import handler_behind
from fastapi_caching_route._fastapi.noting import noted, noted_response
from fastapi_caching_route._fastapi.read_steps import with_read_steps
from fastapi_caching_route._fastapi.write_log import CurrentWriteLog, WriteLog, with_write_log

Handler = Callable[[Request], Coroutine[Any, Any, Response]]

_SENT_AT_ONCE = Response.__call__
"""Sends start and body, and waits for nothing in between."""


def choosing_handler(original: Handler) -> Handler:
    """A handler that calls the one in the scope, if there is one, else the original."""

    async def choose(request: Request) -> Response:
        chosen: Handler | None = request.scope.pop(HANDLER, None)  # an endpoint may call other routes with this scope
        request.scope[OF_THE_ENDPOINT] = True
        reads: ReadLog | None = request.scope.get(READ_LOG)
        if reads is not None and reads.began.reading.takes_request:
            request = noted(request, reads)
        try:
            response = await (chosen or original)(request)
            if type(response).__call__ is _SENT_AT_ONCE and WRITTEN in request.scope:
                request.scope[WRITTEN].is_whole = True
            return response if reads is None else noted_response(response, reads)
        except RequestValidationError:
            # If the values of a guard are not valid, FastAPI continues with other dependencies, but no guard accepted.
            request.scope[ADMITTED] = request.scope[OF_THE_ENDPOINT] = False
            raise
        finally:
            if chosen is not None:
                request.scope[HANDLER] = chosen  # the user's route class may try again

    return choose


def extended_handler(
    effective: Any,
    explicit: Sequence[Any],
    guards: Sequence[Dependant],
    admitting: Sequence[Dependant],
    early_values: EarlyValues | None = None,
    *,
    adds_tags: Dependant | None = None,
    is_shared: bool = False,
) -> Handler:
    """The handler of an effective route that runs explicit dependencies before its own, or uses their early values.

    It records the response headers that each of them writes. `admitting` are all dependencies of the route that can
    refuse a request, including those that do not run on hits. `adds_tags` gives the response its tags. `is_shared`:
    which clients share is said by `identity`.
    """
    route, dependant = _extended(effective, explicit)
    added = len(dependant.dependencies) - len(effective.dependant.dependencies)
    explicit_steps = [(it, True) for it in dependant.dependencies[:added]]
    steps = [*explicit_steps, *_steps(effective, guards, admitting, early_values, adds_tags)]
    if is_shared:
        steps = [*with_read_steps(steps, effective.path_format)]
    dependant.dependencies = [*with_write_log(steps, effective.path_format)]
    handler: Handler = handler_behind(route)

    return partial(_recording, handler)


async def _recording(handler: Handler, request: Request) -> Response:
    """Call the handler, and record what is written on its response."""
    log = WriteLog(request.scope.get(WRITTEN) or Written())
    request.scope[WRITE_LOG] = log
    try:
        response = await handler(request)
    finally:
        request.scope.pop(WRITE_LOG, None)
    if log.has_begun:
        log.end(response)
    else:  # the handler of a user's route class responds by itself, and no guard has run
        request.scope[OF_THE_ENDPOINT] = False
    return response


def _steps(
    effective: Any,
    guards: Sequence[Dependant],
    admitting: Sequence[Dependant],
    early_values: EarlyValues | None,
    adds_tags: Dependant | None,
) -> Iterator[tuple[Dependant, bool]]:
    """The route's own dependencies, each with whether it is a guard, and ours between them, which set scope slots."""
    begins, ends, end = (
        get_dependant(path=effective.path_format, call=it, use_cache=False)
        for it in (_refusal_begins, _refusal_ends, _admitted)
    )
    for node in effective.dependant.dependencies:
        runs = node if early_values is None else early_values.with_values(node)
        if any(node is guard for guard in guards):
            yield runs, True  # the write log marks it as a guard
        else:
            some = [begins, runs, ends] if any(node is it for it in admitting) else [runs]
            yield from ((it, False) for it in some)
    if adds_tags is not None:
        yield (adds_tags if early_values is None else early_values.with_values(adds_tags)), False
    yield end, False


def pass_handler(effective: Any, explicit: Sequence[Any]) -> Handler:
    """The handler of an effective route that runs explicit dependencies before its own."""
    route, _ = _extended(effective, explicit)
    handler: Handler = handler_behind(route)
    return handler


def _extended(effective: Any, explicit: Sequence[Any]) -> tuple[Any, Dependant]:
    """A copy of the route with explicit dependencies before its own, and its dependant."""
    route, dependant = as_route(effective), copy(effective.dependant)
    added = [get_parameterless_sub_dependant(depends=depends, path=effective.path_format) for depends in explicit]
    dependant.dependencies = [*added, *effective.dependant.dependencies]
    route.dependant = dependant
    read_body_as(route, with_body_of(effective, explicit))
    return route, dependant


def as_route(effective: Any) -> Any:
    """A copy of the original route with everything that its includes changed, since a release may read any of it."""
    route = copy(getattr(effective, 'original_route', effective))
    for name in vars(effective).keys() & vars(route).keys():
        setattr(route, name, getattr(effective, name))
    return route


def with_body_of(effective: Any, explicit: Sequence[Any]) -> Any:
    """The route that declares the body of a request: the route itself, or one made of the explicit dependencies."""
    if effective.body_field is not None or not explicit:
        return effective
    return APIRoute(effective.path_format, _nothing, response_model=None, dependencies=list(explicit))


def read_body_as(route: Any, model: Any) -> None:
    """Make a route read the body in the same way as the model."""
    for name in ('body_field', '_embed_body_fields'):
        setattr(route, name, getattr(model, name))


def unnamed(node: Dependant) -> Dependant:
    """The node without its parameter name: no parameter receives its value."""
    found = copy(node)
    found.name = None
    return found


async def _refusal_begins(request: Request) -> None:
    request.scope[OF_THE_ENDPOINT] = False


async def _refusal_ends(request: Request) -> None:
    request.scope[OF_THE_ENDPOINT] = True


async def _admitted(request: Request, log: CurrentWriteLog) -> None:
    request.scope[ADMITTED] = True
    log.to_others()


async def _nothing() -> None:
    """A placeholder for the endpoint of a route."""
