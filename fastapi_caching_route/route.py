"""`CachingRoute`: the route class through which requests reach the cache."""

from collections.abc import Coroutine
from functools import partial
from typing import Any

from fastapi.routing import APIRoute
from starlette.types import Receive, Scope, Send
from typing_extensions import Self

from fastapi_caching_route._core.asgi import HANDLER
from fastapi_caching_route._exchange.arrival import respond
from fastapi_caching_route._exchange.plan import Plan
from fastapi_caching_route._fastapi.effective import reads_raw
from fastapi_caching_route._fastapi.endpoints import note_replaced, note_routed
from fastapi_caching_route._fastapi.extended import Handler, choosing_handler
from fastapi_caching_route._fastapi.limits import limited
from fastapi_caching_route._routes.decoration import check_decorated, document_decorated
from fastapi_caching_route._routes.reached import Places, Reached
from fastapi_caching_route.context import CacheContext


class CachingRoute(APIRoute):
    """A route that uses the cache if its endpoint is decorated with `@cache(...)`.

    Use it as `APIRouter(route_class=CachingRoute)`. Other endpoints are not affected.
    """

    _given: Any

    def __new__(cls, *given: Any, **options: Any) -> Self:
        """Remember the endpoint, which another route class may replace before or after this one is initialized."""
        route = super().__new__(cls)
        route._given = options.get('endpoint', given[1] if len(given) > 1 else None)
        return route

    def __init__(self, path: str, endpoint: Any, **options: Any) -> None:
        """Build the route as `APIRoute` does."""
        super().__init__(path, endpoint, **options)
        note_replaced(self._given, self.endpoint)
        self._places = Places(CachingRoute, CacheContext)
        note_routed(self.endpoint, self)
        check_decorated(self.endpoint)
        document_decorated(self.endpoint)

    def handle(  # ty: ignore[incompatible-method-override]  # callers only await what it returns
        self, scope: Scope, receive: Receive, send: Send
    ) -> Coroutine[Any, Any, None]:
        """Respond to one request: from the cache if possible, else from the endpoint."""
        reached = self._places.reached(self, scope)
        method = scope['method']
        if method not in reached.methods:
            return super().handle(scope, receive, send)  # responds with a 405
        forward = reached.write if method in reached.writes else reached.forward
        if reached.plan is None:
            scope.pop(HANDLER, None)  # set by another route, whose endpoint calls this one with its own scope
            return forward(scope, receive, send)
        if reached.body_limit is not None:
            serve = partial(respond, reached.plan, forward=forward)
            return limited(serve, reached.body_limit, scope, receive, send)
        return respond(reached.plan, scope, receive, send, forward)

    def reached_by(self, scope: Scope) -> Reached:
        """The route in the place where this request reaches it."""
        return self._places.reached(self, scope)

    def default_plan(self, scope: Scope) -> Plan | None:
        """The plan that the route would have, where this request reaches it, without a key builder."""
        return self._places.default_plan(self, scope)

    def get_route_handler(self) -> Handler:
        """The handler of `APIRoute`, replaced for requests in which the route also runs explicit dependencies."""
        return choosing_handler(super().get_route_handler())

    def forget_places(self) -> None:
        """Plan again at the next request, because the endpoint was decorated."""
        self._places.forget()

    @property
    def reads_raw(self) -> bool:
        """Whether a subclass can read the raw request, in a handler of its own."""
        return reads_raw(self, CachingRoute)

    @property
    def was_reached(self) -> bool:
        """Whether a request has reached this route in this process."""
        return bool(self._places)

    def known_places(self) -> list[Any]:
        """The route itself, and the effective routes through which requests have reached it."""
        return [self, *self._places.effective]
