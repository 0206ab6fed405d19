"""A route as requests reach it: its plan, its methods, and what a write makes outdated.

Does not know `CachingRoute` and `CacheContext`, which are handed in.
"""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from fastapi_caching_route._concurrency.workers import tell_of_workers
from fastapi_caching_route._core.asgi import ROUTE_INVALIDATES, Receive, Scope, Send
from fastapi_caching_route._core.names import path_name, path_of
from fastapi_caching_route._exchange.plan import Plan
from fastapi_caching_route._fastapi.effective import effective_route, reads_raw, runs_after_answer, takes
from fastapi_caching_route._fastapi.limits import body_limit
from fastapi_caching_route._fastapi.path_values import PathParameters
from fastapi_caching_route._fastapi.serving import endpoints_at
from fastapi_caching_route._http.fields import RawHeaders
from fastapi_caching_route._routes.caches import warn_of_unserved
from fastapi_caching_route._routes.decoration import Decoration, decoration_of, doubts, invalidates_of
from fastapi_caching_route._routes.description import number_among_namesakes
from fastapi_caching_route._routes.planning import plan_of
from fastapi_caching_route._routes.requested import RequestedInvalidations
from fastapi_caching_route._routes.writes import (
    Invalidates,
    InvalidatingSend,
    Targets,
    invalidate_for_all,
    is_write,
    targets_of_a_write,
)

MAX_PLACES = 256
"""A route has one plan for each place where it is included. FastAPI makes these places anew when routes are added while
the app runs, so plans that are not needed any more must not pile up."""


@dataclass(frozen=True, slots=True)
class Reached:
    """A route as requests reach it in one place."""

    effective: Any
    plan: Plan | None
    """None where the endpoint is not decorated with `@cache`."""
    invalidates: tuple[Invalidates, ...]
    """What `@cache.invalidates` says on it."""
    parameters: PathParameters
    runs_after_answer: bool
    """Whether dependencies or background tasks may still write when the answer has left."""
    body_limit: int | None
    """The bytes that a request body may have, where the route itself says so."""
    methods: frozenset[str]
    writes: frozenset[str]
    """Those methods that make something outdated, or may say so by `CacheContext`."""
    forward: Callable[[Scope, Receive, Send], Coroutine[Any, Any, None]]
    """Lets the endpoint answer, as in every route."""
    kind: type[Any]
    """The class of the routes whose entries a write to their path makes outdated."""

    async def write(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the endpoint answer; what it has made outdated is invalidated before its answer leaves."""
        requested = scope[ROUTE_INVALIDATES] = RequestedInvalidations()

        async def invalidate(answer: RawHeaders) -> None:
            await invalidate_for_all([*await self._outdated(scope, answer), *requested.take()])

        writing = InvalidatingSend(send, invalidate, lambda: self.runs_after_answer or requested.has_more)
        try:
            await self.forward(scope, receive, writing.send)
        finally:
            requested.is_over = True
            await writing.end()

    async def _outdated(self, scope: Scope, answer: RawHeaders) -> Targets:
        """What a write makes outdated by its path, and by what decorates it; `answer` are the fields of its response."""
        targets: Targets = []
        if is_write(scope['method'], cached=self.plan is not None and scope['method'] in self.plan.methods):
            for target in targets_of_a_write(scope, answer):
                found = map(decoration_of, endpoints_at(target, self.kind))
                caches = {it.settings for it in found if it is not None}
                targets += [(it.store, (path_name(path_of(target)),)) for it in caches if it.invalidate_on_write]
        values = self.parameters.values(scope.get('path_params', {})) if self.invalidates else {}
        return [*targets, *[(it.store, await it.names(scope, values)) for it in self.invalidates]]


class Places:
    """One route in each of the places where requests have reached it."""

    __slots__ = ('_context', '_kind', '_known')

    def __init__(self, kind: type[Any], context: type) -> None:
        """`kind` is the class of our routes, `context` the dependency by which a request may say what it makes outdated."""
        self._kind = kind
        self._context = context
        self._known: dict[int, Reached] = {}

    def __bool__(self) -> bool:
        return bool(self._known)

    @property
    def effective(self) -> list[Any]:
        """The route as it has been reached, with what its includes have made of it."""
        return [it.effective for it in self._known.values()]

    def reached(self, route: Any, scope: Scope) -> Reached:
        """What is known of the route as it was reached, from the first request on: a decorator above has run by then."""
        effective = effective_route(route, scope)
        known = self._known.get(id(effective))
        if known is not None and known.effective is effective and (known.plan or not decoration_of(route.endpoint)):
            return known
        if len(self._known) >= MAX_PLACES:
            self._known.clear()
        reached = self._known[id(effective)] = self._first_reached(route, effective, scope)
        return reached

    def _first_reached(self, route: Any, effective: Any, scope: Scope) -> Reached:
        decoration, parameters = decoration_of(route.endpoint), PathParameters(effective)
        app = scope.get('router') or scope.get('app')  # the outermost
        warn_of_unserved(app)
        plan = None if decoration is None else self._plan(decoration, route, effective, parameters, app)
        cached = () if plan is None else plan.methods
        invalidates = invalidates_of(route.endpoint)
        may_say = bool(invalidates) or takes(effective, self._context)
        inside: Any = super(self._kind, route)
        return Reached(
            effective,
            plan,
            invalidates,
            parameters,
            runs_after_answer=runs_after_answer(effective),
            body_limit=body_limit(effective),
            methods=frozenset(effective.methods),
            writes=frozenset(it for it in effective.methods if may_say or is_write(it, cached=it in cached)),
            forward=inside.handle,
            kind=self._kind,
        )

    def _plan(
        self, decoration: Decoration, route: Any, effective: Any, parameters: PathParameters, app: object
    ) -> Plan:
        number = number_among_namesakes(decoration, effective, app)
        plan = plan_of(decoration, effective, parameters, number=number, raw=reads_raw(route, self._kind))
        tell_of_workers(is_shared=plan.runtime.store.is_shared)
        for doubt in doubts(decoration.policy, plan.declared()):
            decoration.settings.unserved.tell(effective.path_format, doubt)
        return plan
