"""A route as requests reach it: its plan, its methods, and what a write invalidates.

Does not know `CachingRoute` and `CacheContext`, which are passed in.
"""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any

from fastapi_caching_route._concurrency.workers import tell_of_workers
from fastapi_caching_route._core.asgi import ROUTE_INVALIDATES, Receive, Scope, Send
from fastapi_caching_route._core.names import GROUP_INVALIDATION, groups_of, names_of_tags, path_name, path_of
from fastapi_caching_route._exchange.plan import Plan
from fastapi_caching_route._fastapi.effective import effective_route, reads_raw, runs_after_answer, takes
from fastapi_caching_route._fastapi.limits import body_limit
from fastapi_caching_route._fastapi.path_values import PathParameters
from fastapi_caching_route._fastapi.plain_requests import without_us
from fastapi_caching_route._fastapi.serving import routes_at
from fastapi_caching_route._http.fields import RawHeaders
from fastapi_caching_route._routes.apps import doubt_of
from fastapi_caching_route._routes.caches import caches_in, group_invalidations, warn_of_unserved
from fastapi_caching_route._routes.decoration import Decoration, decoration_at, doubts, invalidates_of, keep_decoration
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
from fastapi_caching_route._store.telling import OF_THIS_WRITE

MAX_PLACES = 256
"""A route has one plan for each place where it is included. FastAPI makes new places when routes are added while the
app runs, so plans that are no longer needed must not pile up."""


@dataclass(frozen=True, slots=True)
class Reached:
    """A route in one of the places where requests reach it."""

    effective: Any
    app: Any
    """The app that serves it there."""
    plan: Plan | None
    """None if neither its endpoint nor its router is cached."""
    invalidates: tuple[Invalidates, ...]
    """What `@cache.invalidates` has attached to the endpoint."""
    parameters: PathParameters
    runs_after_answer: bool
    """Whether dependencies or background tasks may still write after the response was sent."""
    body_limit: int | None
    """The size limit of a request body in bytes, if the route itself sets one."""
    methods: frozenset[str]
    writes: frozenset[str]
    """The methods whose requests invalidate something, or may do so by `CacheContext`."""
    forward: Callable[[Scope, Receive, Send], Coroutine[Any, Any, None]]
    """Runs the endpoint, as in every route."""
    kind: type[Any]
    """The class of our routes. A write to a path invalidates the entries of routes of this class."""

    async def write(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the endpoint, and invalidate what it changes before its response is sent."""
        requested = scope[ROUTE_INVALIDATES] = RequestedInvalidations()
        during: list[str] = []

        async def invalidate(headers: RawHeaders) -> RawHeaders:
            targets = [*await self._targets(scope, headers), *requested.take()]
            by_its_code = tuple(during)
            await invalidate_for_all(targets)
            return group_invalidations(scope, targets, by_its_code)

        writing = InvalidatingSend(send, invalidate, lambda: self.runs_after_answer or requested.has_more)
        token = OF_THIS_WRITE.set(during)
        try:
            await self.forward(scope, receive, writing.send)
        finally:
            OF_THIS_WRITE.reset(token)
            requested.is_over = True
            await writing.end()

    async def _targets(self, scope: Scope, headers: RawHeaders) -> Targets:
        """What a write invalidates by its path and by its decorators; `headers` are those of its response."""
        targets: Targets = []
        if is_write(scope['method'], cached=self._is_decorated_for(scope['method'])):
            for target in targets_of_a_write(scope, headers):
                found = map(decoration_at, routes_at(target, self.kind))
                caches = {it.settings for it in found if it is not None}
                targets += [(it.store, (path_name(path_of(target)),)) for it in caches if it.invalidate_on_write]
            groups = tuple(names_of_tags(groups_of(scope, headers, GROUP_INVALIDATION)))
            by_the_book = [it for it in caches_in(_app_of(scope)) if it.by_the_book] if groups else ()
            targets += [(it.store, groups) for it in by_the_book]  # whatever path is written to (RFC 9875 §3)
        named = [field for it in self.invalidates for field in it.fields]
        values = self.parameters.of_request(scope, named) if self.invalidates else {}
        return [*targets, *[(it.store, await it.names(scope, values)) for it in self.invalidates]]

    def _is_decorated_for(self, method: str) -> bool:
        return self.plan is not None and method in self.plan.methods | self.plan.labelled


class Places:
    """One route, in all places where requests have reached it."""

    __slots__ = ('__weakref__', '_context', '_default', '_era', '_kind', '_known', '_of_others')

    def __init__(self, kind: type[Any], context: type) -> None:
        """`kind` is the class of our routes. `context` is the dependency through which a request can invalidate."""
        self._kind = kind
        self._context = context
        self._era = object()
        self._known: dict[int, Reached] = {}
        self._of_others: dict[tuple[int, int], Reached] = {}  # where several apps serve one route object
        self._default: dict[tuple[int, int], tuple[Any, Any, Plan]] = {}

    def __bool__(self) -> bool:
        return bool(self._known)

    @property
    def effective(self) -> list[Any]:
        """The effective routes: the route with the prefix and the dependencies of its includes, for each place."""
        return [it.effective for it in list(self._known.values())]

    def forget(self) -> None:
        """Plan again at the next request, because an app is identified in another way now."""
        self._era = object()  # before clearing: what is planned meanwhile in another thread is not remembered
        for known in (self._known, self._of_others, self._default):
            known.clear()

    def reached(self, route: Any, scope: Scope) -> Reached:
        """The route in the place where this request reached it. By the first request, decorators above have run."""
        effective, app = effective_route(route, scope), scope.get('app')
        known = self._known.get(id(effective))
        if known is not None and known.app is not app:
            known = self._of_others.get((id(effective), id(app)))
        if (
            known is not None
            and known.effective is effective
            and known.app is app
            and (known.plan or not decoration_at(route))
        ):
            return known
        waits, era = _waits(route), self._era
        reached = self._first_reached(route, effective, scope)
        if not waits:  # its keys depend on the backend, so they are not remembered
            self._remember(reached)
        if self._era is not era:
            self.forget()
        return reached

    def default_plan(self, route: Any, scope: Scope) -> Plan | None:
        """The plan that the route would have in this place without a key builder; None if it is not cached.

        Its key contains everything of a raw request: with a key builder, responses are not told apart by what was read.
        """
        effective, decoration, served_by = effective_route(route, scope), decoration_at(route), scope.get('app')
        if decoration is None:
            return None
        found = self._default.get((id(effective), id(served_by)))
        if found is not None and found[0] is effective and found[1] is served_by:
            return found[2]
        policy = decoration.policy
        reads = 'all' if policy.reads == 'noted' else policy.reads
        plain = replace(decoration, policy=replace(policy, key_builder=None, reads=reads))
        era = self._era
        plan = self._plan(plain, route, effective, PathParameters(effective), scope)
        if not _waits(route):
            if len(self._default) >= MAX_PLACES:
                self._default.clear()
            self._default[id(effective), id(served_by)] = effective, served_by, plan
        if self._era is not era:
            self.forget()
        return plan

    def _remember(self, reached: Reached) -> None:
        if len(self._known) + len(self._of_others) >= MAX_PLACES:
            self._known.clear()
            self._of_others.clear()
        known = self._known.get(id(reached.effective))
        if known is None or known.effective is not reached.effective or known.app is reached.app:
            self._known[id(reached.effective)] = reached
        else:
            self._of_others[id(reached.effective), id(reached.app)] = reached

    def _first_reached(self, route: Any, effective: Any, scope: Scope) -> Reached:
        decoration, parameters = decoration_at(route), PathParameters(effective)
        warn_of_unserved(_app_of(scope))
        plan = None
        if decoration is not None:
            keep_decoration(route, decoration)
            plan = self._plan(decoration, route, effective, parameters, scope)
            decoration.settings.note_root_path(scope)
        cached = () if plan is None else plan.methods | plan.labelled
        invalidates = invalidates_of(route.endpoint)
        may_invalidate = bool(invalidates) or takes(effective, self._context)
        inside: Any = super(self._kind, route)
        return Reached(
            effective,
            scope.get('app'),
            plan,
            invalidates,
            parameters,
            runs_after_answer=runs_after_answer(effective),
            body_limit=body_limit(effective),
            methods=frozenset(effective.methods),
            writes=frozenset(it for it in effective.methods if may_invalidate or is_write(it, cached=it in cached)),
            forward=without_us(inside.handle),
            kind=self._kind,
        )

    def _plan(
        self, decoration: Decoration, route: Any, effective: Any, parameters: PathParameters, scope: Scope
    ) -> Plan:
        settings, raw = decoration.settings, reads_raw(route, self._kind)
        app = settings.apps.identity(scope.get('app'), _app_of(scope), self, is_shared=settings.store.is_shared)
        number = number_among_namesakes(decoration, effective, _app_of(scope))
        plan = plan_of(decoration, effective, parameters, raw=raw, among=(number, app))
        tell_of_workers(is_shared=plan.runtime.store.is_shared)
        unnamed = doubt_of(app)
        for doubt in [*doubts(decoration.policy, plan.declared()), *([unnamed] if unnamed else [])]:
            decoration.settings.unserved.tell(effective.path_format, doubt)
        return plan


def _app_of(scope: Scope) -> Any:
    """The outermost app."""
    return scope.get('router') or scope.get('app')


def _waits(route: Any) -> bool:
    """Whether the cache of a route waits for its backend."""
    decoration = decoration_at(route)
    return decoration is not None and decoration.settings.runtime.switch.waits
