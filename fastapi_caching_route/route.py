"""`CachingRoute`: where requests enter the cache."""

from collections.abc import Callable, Collection, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any

from fastapi.routing import APIRoute
from starlette.types import Receive, Scope, Send

from fastapi_caching_route._concurrency.workers import tell_of_workers
from fastapi_caching_route._core.asgi import HANDLER, ROUTE_INVALIDATES
from fastapi_caching_route._core.names import of_path, path_of
from fastapi_caching_route._exchange.exchange import respond
from fastapi_caching_route._exchange.plan import Plan
from fastapi_caching_route._fastapi.effective import (
    effective_route,
    goes_on,
    reads_raw,
    takes,
)
from fastapi_caching_route._fastapi.endpoints import note_routed
from fastapi_caching_route._fastapi.extended import Handler, choosing
from fastapi_caching_route._fastapi.limits import body_limit, limited
from fastapi_caching_route._fastapi.path_values import PathParameters
from fastapi_caching_route._fastapi.serving import endpoints_at
from fastapi_caching_route._http.fields import RawHeaders
from fastapi_caching_route._routes.caches import look_for_unmet
from fastapi_caching_route._routes.decoration import (
    check_decorated,
    decoration_of,
    document_decorated,
    doubts,
    invalidates_of,
)
from fastapi_caching_route._routes.namesakes import twin_of
from fastapi_caching_route._routes.planning import plan_of
from fastapi_caching_route._routes.writes import (
    Invalidates,
    Said,
    Writing,
    invalidate_for_all,
    is_write,
    targets_of_a_write,
)
from fastapi_caching_route._store.visit import Store
from fastapi_caching_route.context import CacheContext

MOST_PLANS = 256
"""A route has one plan for each place where it is included. FastAPI makes these places anew when routes are added while
the app runs, so plans that are not needed any more must not pile up."""


class CachingRoute(APIRoute):
    """A route that answers from the cache where its endpoint is decorated with `@cache(...)`.

    Use it as `APIRouter(route_class=CachingRoute)`. An endpoint that is not decorated is not affected.
    """

    def __init__(self, path: str, endpoint: Any, **options: Any) -> None:
        """Build the route as `APIRoute` does."""
        super().__init__(path, endpoint, **options)
        self._plans: dict[int, Reached] = {}
        note_routed(endpoint, self)
        check_decorated(endpoint)
        document_decorated(endpoint)

    def handle(  # ty: ignore[incompatible-method-override]  # a coroutine is what is asked for
        self, scope: Scope, receive: Receive, send: Send
    ) -> Coroutine[Any, Any, None]:
        """Answer one request: from the cache if it can, from the endpoint if not."""
        reached = self._reached(scope)
        method = scope['method']
        if method not in reached.methods:
            return super().handle(scope, receive, send)  # which is a 405
        forward = partial(self._write, reached) if method in reached.writes else reached.forward
        if reached.plan is None:
            scope.pop(HANDLER, None)  # of another route, whose endpoint asks with its own scope
            return forward(scope, receive, send)
        if reached.body_limit is not None:
            answer = partial(respond, reached.plan, forward=forward)
            return limited(answer, reached.body_limit, scope, receive, send)
        return respond(reached.plan, scope, receive, send, forward)

    async def _write(self, reached: 'Reached', scope: Scope, receive: Receive, send: Send) -> None:
        """Let the endpoint answer; what it has made outdated is invalidated before its answer leaves."""
        said = scope[ROUTE_INVALIDATES] = Said()

        async def act(answer: RawHeaders) -> None:
            targets: list[tuple[Store, Collection[str]]] = []
            if is_write(scope['method'], cached=reached.caches(scope['method'])):
                for target in targets_of_a_write(scope, answer):
                    caches = {
                        it.cache for it in map(decoration_of, endpoints_at(target, CachingRoute)) if it is not None
                    }
                    targets += [(it.store, [of_path(path_of(target))]) for it in caches if it.invalidate_on_write]
            values = reached.parameters.values(scope.get('path_params', {})) if reached.invalidates else {}
            targets += [(it.store, await it.names(scope, values)) for it in reached.invalidates]
            await invalidate_for_all([*targets, *said.take()])

        writing = Writing(send, act, lambda: reached.goes_on or said.has_more)
        try:
            await super().handle(scope, receive, writing.send)
        finally:
            said.is_over = True
            await writing.end()

    def get_route_handler(self) -> Handler:
        """The handler of `APIRoute`, which gives way where explicit dependencies are to run inside of the route."""
        return choosing(super().get_route_handler())

    @property
    def reads_raw(self) -> bool:
        """Whether a subclass gets at the raw request in a handler of its own."""
        return reads_raw(self, CachingRoute)

    @property
    def was_reached(self) -> bool:
        """Whether a request has come to it in this process."""
        return bool(self._plans)

    def known_places(self) -> list[Any]:
        """The route itself, and as it has been reached, with what its includes have made of it."""
        return [self, *(reached.effective for reached in self._plans.values())]

    def _reached(self, scope: Scope) -> 'Reached':
        """What is known of the route as it was reached, from the first request on: a decorator above has run by then."""
        effective = effective_route(self, scope)
        known = self._plans.get(id(effective))
        if known is not None and known.effective is effective and (known.plan or not decoration_of(self.endpoint)):
            return known
        if len(self._plans) >= MOST_PLANS:
            self._plans.clear()
        decoration = decoration_of(self.endpoint)
        parameters, plan = PathParameters(effective), None
        app = scope.get('router') or scope.get('app')  # the outermost
        look_for_unmet(app)
        if decoration is not None:
            twin = twin_of(decoration, effective, app)
            plan = plan_of(decoration, effective, parameters, twin=twin, raw=self.reads_raw)
            tell_of_workers(is_shared=plan.runtime.store.is_shared)
            for doubt in doubts(decoration.policy, plan.declared()):
                decoration.cache.unmet.tell(effective.path_format, doubt)
        cached = () if plan is None else plan.methods
        invalidates = invalidates_of(self.endpoint)
        may_say = bool(invalidates) or takes(effective, CacheContext)
        reached = Reached(
            effective,
            plan,
            invalidates,
            parameters,
            goes_on=goes_on(effective),
            body_limit=body_limit(effective),
            methods=frozenset(effective.methods),
            writes=frozenset(it for it in effective.methods if may_say or is_write(it, cached=it in cached)),
            forward=super().handle,
        )
        self._plans[id(effective)] = reached
        return reached


@dataclass(frozen=True, slots=True)
class Reached:
    """A route as requests reach it in one place."""

    effective: Any
    plan: Plan | None
    """None where the endpoint is not decorated with `@cache`."""
    invalidates: tuple[Invalidates, ...]
    """What `@cache.invalidates` says on it."""
    parameters: PathParameters
    goes_on: bool
    """Whether dependencies or background tasks may still write when the answer has left."""
    body_limit: int | None
    """The bytes that a request body may have, where the route itself says so."""
    methods: frozenset[str]
    writes: frozenset[str]
    """Those methods that make something outdated, or may say so by `CacheContext`."""
    forward: Callable[[Scope, Receive, Send], Coroutine[Any, Any, None]]
    """Lets the endpoint answer, as in every route."""

    def caches(self, method: str) -> bool:
        """Whether answers to this method are cached."""
        return self.plan is not None and method in self.plan.methods
