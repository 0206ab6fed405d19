"""Runs dependencies without their route before the request continues: by FastAPI's own code, in one of two ways.

`solving` calls `solve_dependencies` directly. It does not cover everything; FastAPI's request handler, over a route of
the dependencies alone, does. So validation errors, exception handlers, `yield`, security scopes, overrides and
background tasks work as in FastAPI.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

from fastapi import Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute, request_response
from starlette.types import Receive, Send

from fastapi_caching_route._core.asgi import PROCEED, WRITE_LOG, WRITTEN, Scope
from fastapi_caching_route._core.declared import ACCEPTED, NOT_RUN, Decision, GuardRefusal, Proceed
from fastapi_caching_route._fastapi.early_values import forget_raised, raised_in_route
from fastapi_caching_route._fastapi.effective import has_own_handler
from fastapi_caching_route._fastapi.extended import Handler, as_route, read_body_as, unnamed, with_body_of
from fastapi_caching_route._fastapi.proceeding import Once, Proceeded, Proceeding, Telling
from fastapi_caching_route._fastapi.solving import (
    Solving,
    invalid,
    is_covered,
    is_observed,
    reads_request,
    response_of_dependencies,
)
from fastapi_caching_route._fastapi.write_log import CurrentWriteLog, WriteLog, with_write_log

_LIKE_THE_ROUTE = ('strict_content_type', 'form_limits')
"""Settings for reading a request that only newer releases have."""

_ENDS_AFTERWARDS = 'fastapi_inner_astack'
"""What FastAPI puts into a scope from 0.118 on. Before, dependencies with `yield` end when the endpoint returns."""


class FastAPIAdmission:
    """Runs dependencies of a route without its endpoint, or before it."""

    __slots__ = ('_app', '_direct', '_solving')

    def __init__(
        self, effective: Any, explicit: Sequence[Any], nodes: Sequence[Dependant], *, overridden: bool
    ) -> None:
        """Take the nodes to run: those of `explicit`, a list of `Depends(...)`, and those of the effective route.

        `overridden` says whether dependency overrides are set.
        """
        unnamed_nodes = [unnamed(it) for it in nodes]
        model = with_body_of(effective, explicit)
        self._solving = None
        is_inside = has_own_handler(as_route(effective)) and any(map(reads_request, nodes))
        # FastAPI's handler refuses an unreadable body before it runs any dependency.
        if not overridden and model.body_field is None and is_covered(nodes) and not is_inside:
            self._solving = Solving(effective, unnamed_nodes)
        self._direct = request_response(self._solve)
        handler = _handler(effective, model, unnamed_nodes, _admitted_inside if is_inside else _admitted)
        if is_inside:
            handler = partial(_continuing_inside, handler, Telling(effective.path_format))
        self._app = request_response(handler)

    async def decide(self, scope: Scope) -> Decision:
        """Whether the guards accept the request, if that is all that they do."""
        if self._solving is None or not self._solving.decides_only or is_observed(scope):
            return NOT_RUN
        error = await self._solving.refusal(scope)
        return ACCEPTED if error is None else GuardRefusal(request_response(partial(_refuse, error)))

    async def __call__(self, scope: Scope, receive: Receive, send: Send, proceed: Proceed) -> None:
        """Run the dependencies. Inside of them, call `proceed` if they accept the request; else `send` the refusal."""
        handled: list[BaseException] = []

        async def proceed_and_tell(send: Send) -> bool:
            keeps_tasks = await proceed(send)
            if (raised := raised_in_route(scope)) is not None:
                handled.append(raised)
                raise raised  # the dependencies with `yield` see it in their teardown, as in the route
            return keeps_tasks

        scope[PROCEED] = proceed_and_tell
        scope[WRITE_LOG] = WriteLog(scope[WRITTEN])
        forget_raised(scope)
        try:
            app = self._app if self._solving is None or is_observed(scope) else self._direct
            await app(scope, receive, send)
        except BaseException as error:
            # The route has already turned the handled ones into a response.
            if not any(it is error or it is error.__cause__ for it in handled):
                raise
        finally:
            scope.pop(WRITE_LOG, None)

    async def _solve(self, request: Request) -> Response:
        """What FastAPI's request handler does, for dependencies alone."""
        assert self._solving is not None
        log: WriteLog = request.scope.pop(WRITE_LOG)
        response = None
        if self._solving.takes_response:
            response = response_of_dependencies()
            log.begin(response)
        else:
            request.scope[WRITTEN].begin()
        tasks = await self._solving(request, response, log.to_guard)
        if response is not None:
            log.to_others()
        proceeding = Proceeding(request.scope.pop(PROCEED))
        proceeding.background = tasks
        return proceeding


def _handler(effective: Any, model: Any, nodes: Sequence[Dependant], admitted: Any) -> Handler:
    """A request handler over these nodes, which reads the body as the model says.

    It is FastAPI's own or, if `admitted` is to be called inside of it, that of the user's route class.
    """
    path, route = effective.path_format, as_route(effective)
    shadow: Any = APIRoute(
        path,
        admitted,
        response_model=None,
        dependency_overrides_provider=effective.dependency_overrides_provider,
    )
    begun = shadow.dependant.dependencies  # those of `admitted` itself, which FastAPI has already solved by then
    shadow.dependant.dependencies = [*with_write_log([(it, True) for it in nodes], path), *begun]
    read_body_as(shadow, model)
    for name in _LIKE_THE_ROUTE:
        if hasattr(route, name):
            setattr(shadow, name, getattr(route, name))
    if admitted is _admitted_inside:
        vars(route).update(vars(shadow))
        shadow = route
    return partial(_naming_the_endpoint, shadow.get_route_handler(), effective)


async def _continuing_inside(handler: Handler, tell: Telling, request: Request) -> Response:
    """Call a handler of a user's route class, which may hand the guards a request of another class.

    The request continues inside of it. What it returns after that is not sent, and what it raises after the response
    was sent is no failure of the request: the guards are told of none.
    """
    scope = request.scope
    once = Once(scope, request._send)  # noqa: SLF001, the request of the user may have another one
    try:
        response = await handler(request)
    except Exception as error:
        if not once.was_sent or _ENDS_AFTERWARDS not in scope:
            raise
        tell(error)
        return Proceeded(keeps_tasks=False)
    finally:
        scope.pop(PROCEED, None)
    is_sent = once.has_ended and not isinstance(response, Proceeding)
    return Proceeded(keeps_tasks=False) if is_sent else response


async def _naming_the_endpoint(handler: Handler, effective: Any, request: Request) -> Any:
    """Call the handler. What is not valid is reported with the endpoint of the route, and not with ours."""
    try:
        return await handler(request)
    except RequestValidationError as error:
        if getattr(error, 'endpoint_function', None) not in {_admitted.__name__, _admitted_inside.__name__}:
            raise
        raise invalid(effective, request, list(error.errors()), error.body) from error.__cause__


async def _refuse(error: Exception, _request: Request) -> Response:
    raise error


async def _admitted(request: Request, log: CurrentWriteLog) -> Response:
    log.to_others()
    proceed: Proceed = request.scope.pop(PROCEED)
    if _ENDS_AFTERWARDS in request.scope:
        return Proceeding(proceed)
    return Proceeded(keeps_tasks=await proceed(request._send))  # noqa: SLF001, older releases offer it nowhere else


async def _admitted_inside(request: Request, log: CurrentWriteLog) -> Response:
    """Continue the request before the handler of a user's route class returns."""
    log.to_others()
    once: Once = request.scope.pop(PROCEED)
    return Proceeded(keeps_tasks=await once(), sent=once.sent)
