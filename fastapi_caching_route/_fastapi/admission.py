"""Runs dependencies without their route, through FastAPI's own request handler, before the request continues.

So validation errors, exception handlers, `yield`, security scopes, overrides and background tasks work as in FastAPI.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

from fastapi import Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, request_response
from starlette.types import Receive, Send

from fastapi_caching_route._core.asgi import PROCEED, WRITE_LOG, WRITTEN, Scope
from fastapi_caching_route._core.declared import Proceed
from fastapi_caching_route._fastapi.early_values import forget_raised, raised_in_route
from fastapi_caching_route._fastapi.extended import as_route, read_body_as, unnamed, with_body_of
from fastapi_caching_route._fastapi.security import credential
from fastapi_caching_route._fastapi.write_log import CurrentWriteLog, WriteLog, with_write_log

_LIKE_THE_ROUTE = ('strict_content_type', 'form_limits')
"""Settings for reading a request that only newer releases have."""


class FastAPIAdmission:
    """Runs dependencies of a route without its endpoint, or before it."""

    __slots__ = ('_app', '_schemes')

    def __init__(
        self, effective: Any, explicit: Sequence[Any], nodes: Sequence[Dependant], *, overridden: bool
    ) -> None:
        """Take the nodes to run: those of `explicit`, a list of `Depends(...)`, and those of the effective route.

        `overridden` says whether dependency overrides are set.
        """
        # FastAPI's handler refuses an unreadable body before it calls any scheme, so `lets_in` cannot stand in for it.
        by_themselves = not (explicit or overridden or effective.body_field) and all(map(_is_fastapis_own, nodes))
        self._schemes: list[Any] = [node.call for node in nodes] if by_themselves else []
        path = effective.path_format
        shadow = APIRoute(
            path,
            _admitted,
            response_model=None,
            dependency_overrides_provider=effective.dependency_overrides_provider,
        )
        begun = shadow.dependant.dependencies  # those of `_admitted` itself, which FastAPI has already solved by then
        shadow.dependant.dependencies = [*with_write_log([(unnamed(it), True) for it in nodes], path), *begun]
        read_body_as(shadow, with_body_of(effective, explicit))
        route = as_route(effective)
        for name in _LIKE_THE_ROUTE:
            if hasattr(route, name):
                setattr(shadow, name, getattr(route, name))
        self._app = request_response(shadow.get_route_handler())

    async def lets_in(self, scope: Scope) -> bool:
        """Whether the request is accepted, if only FastAPI's own schemes decide that.

        They read the request and do nothing else. If one refuses it, the admission must be called to send the refusal.
        """
        try:
            for scheme in self._schemes:
                await scheme(Request(scope))
        except Exception:  # noqa: BLE001, it is raised again in the call, where FastAPI turns it into a response
            return False
        return bool(self._schemes)

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
            await self._app(scope, receive, send)
        except BaseException as error:
            # The route has already turned the handled ones into a response.
            if not any(it is error or it is error.__cause__ for it in handled):
                raise


def _is_fastapis_own(node: Dependant) -> bool:
    """Whether this is a scheme without user code, which must not run twice."""
    return credential(node) is not None and type(node.call).__module__.startswith('fastapi.security')


async def _admitted(request: Request, log: CurrentWriteLog) -> Response:
    log.to_others()
    proceed: Proceed = request.scope.pop(PROCEED)
    if 'fastapi_inner_astack' in request.scope:
        return _Proceeding(proceed)
    # Before FastAPI 0.118, dependencies with yield end when the endpoint returns, so the request must continue here.
    keeps_tasks = await proceed(request._send)  # noqa: SLF001, these releases offer `send` nowhere else
    return _Proceeding(partial(_proceeded, keeps_tasks))


async def _proceeded(keeps_tasks: bool, _send: Any) -> bool:  # noqa: FBT001, `partial` binds it
    """The result of `proceed`, which has sent everything already."""
    return keeps_tasks


class _Proceeding(Response):
    """A response that continues the request when it is sent. Dependencies with `yield` end after it."""

    def __init__(self, proceed: Proceed) -> None:
        super().__init__()
        self._proceed = proceed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002, an ASGI app
        if await self._proceed(send) and self.background is not None:
            await self.background()
