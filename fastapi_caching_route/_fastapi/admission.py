"""Dependencies run by themselves, through FastAPI's own request handler, before something else goes on.

So validation errors, exception handlers, `yield`, security scopes, overrides and background tasks are FastAPI's own.
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
"""How the newer releases read a request; the older ones have no such settings."""


class FastAPIAdmission:
    """Dependencies of a route, to be run where its endpoint is not, or not yet."""

    __slots__ = ('_app', '_schemes')

    def __init__(
        self, effective: Any, explicit: Sequence[Any], nodes: Sequence[Dependant], *, overridden: bool
    ) -> None:
        """Run these nodes, which stand for `explicit`, a list of `Depends(...)`, or in the tree of the effective route.

        `overridden` says that others may stand in for them.
        """
        # A body that cannot be read is refused before any scheme is asked, which only FastAPI's handler does.
        by_themselves = not (explicit or overridden or effective.body_field) and all(map(_is_fastapis_own, nodes))
        self._schemes: list[Any] = [node.call for node in nodes] if by_themselves else []
        path = effective.path_format
        shadow = APIRoute(
            path,
            _admitted,
            response_model=None,
            dependency_overrides_provider=effective.dependency_overrides_provider,
        )
        begun = shadow.dependant.dependencies  # of `_admitted` itself: it is the last, and FastAPI has it by then
        shadow.dependant.dependencies = [*with_write_log([(unnamed(it), True) for it in nodes], path), *begun]
        read_body_as(shadow, with_body_of(effective, explicit))
        route = as_route(effective)
        for name in _LIKE_THE_ROUTE:
            if hasattr(route, name):
                setattr(shadow, name, getattr(route, name))
        self._app = request_response(shadow.get_route_handler())

    async def lets_in(self, scope: Scope) -> bool:
        """Whether the request is let in, as far as that can be told at once: by schemes of FastAPI's own, and nobody else.

        They look at the request, and do nothing else. One that refuses it is to be run, so that the refusal is sent.
        """
        try:
            for scheme in self._schemes:
                await scheme(Request(scope))
        except Exception:  # noqa: BLE001, it raises again where FastAPI makes an answer of it
            return False
        return bool(self._schemes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send, proceed: Proceed) -> None:
        """Run the dependencies, and proceed inside of them if they let the request in; else they answer by `send`."""
        handled: list[BaseException] = []

        async def proceed_and_tell(send: Send) -> bool:
            keeps_tasks = await proceed(send)
            if (raised := raised_in_route(scope)) is not None:
                handled.append(raised)
                raise raised  # so that what these tear down knows of it, as in the route
            return keeps_tasks

        scope[PROCEED] = proceed_and_tell
        scope[WRITE_LOG] = WriteLog(scope[WRITTEN])
        forget_raised(scope)
        try:
            await self._app(scope, receive, send)
        except BaseException as error:
            if not any(
                it is error or it is error.__cause__ for it in handled
            ):  # the route has made a response of these
                raise


def _is_fastapis_own(node: Dependant) -> bool:
    """Whether it is a scheme in which there is no code of the user's, who might be asked twice."""
    return credential(node) is not None and type(node.call).__module__.startswith('fastapi.security')


async def _admitted(request: Request, log: CurrentWriteLog) -> Response:
    log.to_others()
    proceed: Proceed = request.scope.pop(PROCEED)
    if 'fastapi_inner_astack' in request.scope:
        return _Proceeding(proceed)
    # Before FastAPI 0.118, dependencies with yield end when the endpoint returns, so what they hold open is needed here.
    keeps_tasks = await proceed(request._send)  # noqa: SLF001, the only way to it in these releases
    return _Proceeding(partial(_proceeded, keeps_tasks))


async def _proceeded(keeps_tasks: bool, _send: Any) -> bool:  # noqa: FBT001, it is all that is left to say
    """All has been sent."""
    return keeps_tasks


class _Proceeding(Response):
    """A response that is whatever goes on; what dependencies tear down comes after it."""

    def __init__(self, proceed: Proceed) -> None:
        super().__init__()
        self._proceed = proceed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002, as every response is called
        if await self._proceed(send) and self.background is not None:
            await self.background()
