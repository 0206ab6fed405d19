"""`CachingRoute`: where requests enter the cache."""

from typing import Any

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from fastapi_caching_route._endpoint import name_of, note_routed
from fastapi_caching_route._exchange import Exchange
from fastapi_caching_route._fastapi.declared import Declarations
from fastapi_caching_route._fastapi.effective import declaration, effective_route, objects_of, reads_raw
from fastapi_caching_route._fastapi.extended import Handler, choosing
from fastapi_caching_route._fastapi.handlers import watching_handlers
from fastapi_caching_route._fastapi.inputs import Reading
from fastapi_caching_route._options import check_methods
from fastapi_caching_route._plan import Plan
from fastapi_caching_route.cache import Decoration, decoration_of

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
        self._plans: dict[int, tuple[object, Plan]] = {}
        note_routed(endpoint, self.methods or ())
        decoration = decoration_of(endpoint)
        if decoration is not None:
            check_methods('.'.join(name_of(endpoint)), self.methods or ())
            decoration.cache.twins.of_endpoint(endpoint)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request: from the cache if it can, from the endpoint if not."""
        effective = effective_route(self, scope)
        plan = self._plan(effective)
        if plan is None or scope['method'] not in effective.methods:
            await super().handle(scope, receive, send)
        else:
            await Exchange(plan, scope, receive, send, super().handle).respond()

    def get_route_handler(self) -> Handler:
        """The handler of `APIRoute`, which gives way where explicit dependencies are to run inside of the route."""
        return choosing(super().get_route_handler())

    def _plan(self, effective: Any) -> Plan | None:
        """The plan for the route as it was reached, made on the first request: a decorator above has run by then."""
        known, plan = self._plans.get(id(effective), (None, None))
        if known is effective:
            return plan
        decoration = decoration_of(self.endpoint)
        if decoration is None:
            return None
        if len(self._plans) >= MOST_PLANS:
            self._plans.clear()
        decoration.cache.unmet.look()
        plan = plan_of(decoration, effective, raw=reads_raw(self, CachingRoute))
        self._plans[id(effective)] = (effective, plan)
        return plan


def plan_of(decoration: Decoration, effective: Any, *, raw: bool) -> Plan:
    """All that is known of a decorated route before a request comes."""
    cache, policy = decoration.cache, decoration.policy
    vary = tuple(name.encode('ascii') for name in policy.vary_headers)
    build, who = policy.key_builder, policy.identity
    declared = Declarations(
        effective,
        policy.dependencies,
        Reading(vary, cache.left_out, raw=raw, shared=who != 'auto', guards_select=callable(who)),
        builder=build is not None,
        early=build is not None or callable(who),
        unnamed_guard=policy.route_dependencies == 'always',
    )
    identity = (
        cache.version,
        name_of(effective.endpoint),
        cache.twins.of_endpoint(effective.endpoint),
        declaration(effective),
    )
    return Plan(
        store=cache.store,
        clock=cache.clock,
        identity=(*identity, cache.twins.number(identity, objects_of(effective))),
        namespace=cache.full_namespace(policy.namespace),
        declared=declared,
        key_builder=None if build is None else lambda scope: build(Request(scope)),
        who=None if not callable(who) else lambda scope: who(Request(scope)),
        watch=watching_handlers,
        terms=cache.terms(policy),
        budget=cache.budget,
        status_name=cache.status_name,
        told=set(),
        hit=(cache.cache_header, cache.hit),
        miss=(cache.cache_header, cache.miss),
    )
