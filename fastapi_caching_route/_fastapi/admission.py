"""Dependencies run by themselves, through FastAPI's own request handler, before something else goes on.

So validation errors, exception handlers, `yield`, security scopes, overrides and background tasks are FastAPI's own.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from fastapi import Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, request_response
from starlette.types import Receive, Send

from fastapi_caching_route._fastapi.extended import as_route, read_body_as, unnamed, with_body_of
from fastapi_caching_route._fastapi.security import credential
from fastapi_caching_route._http.fields import RawHeaders
from fastapi_caching_route._key import Scope

Proceed = Callable[[RawHeaders, Any], Awaitable[None]]
"""What goes on: it gets the fields that the dependencies have set on the response, and the `send` to use."""

_LIKE_THE_ROUTE = ('strict_content_type', 'form_limits')
"""How the newer releases read a request; the older ones have no such settings."""

_PROCEED = 'fastapi_caching_route.proceed'


class Admission:
    """Dependencies of a route, to be run where its endpoint is not, or not yet."""

    __slots__ = ('_app', '_schemes')

    def __init__(
        self, effective: Any, explicit: Sequence[Any], nodes: Sequence[Dependant], *, overridden: bool
    ) -> None:
        """Run `explicit`, a list of `Depends(...)`, and then `nodes`, a part of the tree of the effective route.

        `overridden` says that others may stand in for them.
        """
        # A body that cannot be read is refused before any scheme is asked, which only FastAPI's handler does.
        by_themselves = not (explicit or overridden or effective.body_field) and all(map(_is_fastapis_own, nodes))
        self._schemes: list[Any] = [node.call for node in nodes] if by_themselves else []
        shadow = APIRoute(
            effective.path_format,
            _admitted,
            response_model=None,
            dependencies=list(explicit),
            dependency_overrides_provider=effective.dependency_overrides_provider,
        )
        shadow.dependant.dependencies.extend(unnamed(node) for node in nodes)
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
        scope[_PROCEED] = proceed
        await self._app(scope, receive, send)


def _is_fastapis_own(node: Dependant) -> bool:
    """Whether it is a scheme in which there is no code of the user's, who might be asked twice."""
    return credential(node) is not None and type(node.call).__module__.startswith('fastapi.security')


async def _admitted(request: Request, response: Response) -> Response:
    proceed: Proceed = request.scope.pop(_PROCEED)
    if 'fastapi_inner_astack' in request.scope:
        return _Proceeding(proceed, response.headers.raw)
    # Before FastAPI 0.118, dependencies with yield end when the endpoint returns, so what they hold open is needed here.
    await proceed(response.headers.raw, request._send)  # noqa: SLF001, the only way to it in these releases
    return _Proceeding(_nothing_more, ())


async def _nothing_more(_fields: RawHeaders, _send: Any) -> None:
    """All has been sent."""


class _Proceeding(Response):
    """A response that is whatever goes on; what dependencies tear down comes after it."""

    def __init__(self, proceed: Proceed, fields: RawHeaders) -> None:
        super().__init__()
        self._proceed = proceed
        self._fields = fields

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002, as every response is called
        await self._proceed(self._fields, send)
        if self.background is not None:
            await self.background()
