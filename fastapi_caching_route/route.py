"""`CachingRoute`: where requests enter the cache."""

from collections.abc import Coroutine
from functools import partial
from typing import Any

from fastapi.routing import APIRoute
from starlette.types import Receive, Scope, Send

from fastapi_caching_route._core.asgi import HANDLER
from fastapi_caching_route._exchange.exchange import respond
from fastapi_caching_route._fastapi.effective import reads_raw
from fastapi_caching_route._fastapi.endpoints import note_routed
from fastapi_caching_route._fastapi.extended import Handler, choosing_handler
from fastapi_caching_route._fastapi.limits import limited
from fastapi_caching_route._routes.decoration import check_decorated, document_decorated
from fastapi_caching_route._routes.reached import Places
from fastapi_caching_route.context import CacheContext


class CachingRoute(APIRoute):
    """A route that answers from the cache where its endpoint is decorated with `@cache(...)`.

    Use it as `APIRouter(route_class=CachingRoute)`. An endpoint that is not decorated is not affected.
    """

    def __init__(self, path: str, endpoint: Any, **options: Any) -> None:
        """Build the route as `APIRoute` does."""
        super().__init__(path, endpoint, **options)
        self._places = Places(CachingRoute, CacheContext)
        note_routed(endpoint, self)
        check_decorated(endpoint)
        document_decorated(endpoint)

    def handle(  # ty: ignore[incompatible-method-override]  # a coroutine is what is asked for
        self, scope: Scope, receive: Receive, send: Send
    ) -> Coroutine[Any, Any, None]:
        """Answer one request: from the cache if it can, from the endpoint if not."""
        reached = self._places.reached(self, scope)
        method = scope['method']
        if method not in reached.methods:
            return super().handle(scope, receive, send)  # which is a 405
        forward = reached.write if method in reached.writes else reached.forward
        if reached.plan is None:
            scope.pop(HANDLER, None)  # of another route, whose endpoint asks with its own scope
            return forward(scope, receive, send)
        if reached.body_limit is not None:
            answer = partial(respond, reached.plan, forward=forward)
            return limited(answer, reached.body_limit, scope, receive, send)
        return respond(reached.plan, scope, receive, send, forward)

    def get_route_handler(self) -> Handler:
        """The handler of `APIRoute`, which gives way where explicit dependencies are to run inside of the route."""
        return choosing_handler(super().get_route_handler())

    @property
    def reads_raw(self) -> bool:
        """Whether a subclass gets at the raw request in a handler of its own."""
        return reads_raw(self, CachingRoute)

    @property
    def was_reached(self) -> bool:
        """Whether a request has come to it in this process."""
        return bool(self._places)

    def known_places(self) -> list[Any]:
        """The route itself, and as it has been reached, with what its includes have made of it."""
        return [self, *self._places.effective]
