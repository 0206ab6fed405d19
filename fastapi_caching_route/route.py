"""`CachingRoute`: where requests enter the cache."""

from collections.abc import Callable, Collection, Coroutine
from dataclasses import dataclass
from functools import partial
from inspect import isawaitable
from typing import Any

from fastapi.routing import APIRoute
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from fastapi_caching_route._bypass import tell
from fastapi_caching_route._decoration import (
    Decoration,
    check_decorated,
    decoration_of,
    document_decorated,
    invalidates_of,
)
from fastapi_caching_route._endpoint import name_of, note_routed
from fastapi_caching_route._entry import Recording
from fastapi_caching_route._exchange import respond
from fastapi_caching_route._fastapi.declared import Declarations
from fastapi_caching_route._fastapi.effective import (
    declaration,
    described,
    effective_route,
    goes_on,
    objects_of,
    reads_raw,
)
from fastapi_caching_route._fastapi.extended import Handler, choosing
from fastapi_caching_route._fastapi.handlers import watching_handlers
from fastapi_caching_route._fastapi.inputs import Reading
from fastapi_caching_route._fastapi.path_values import PathParameters
from fastapi_caching_route._fastapi.serving import endpoints_at, is_of_api, routes_in
from fastapi_caching_route._fastapi.writing import ROUTE_INVALIDATES
from fastapi_caching_route._http.conditional import PRECONDITIONS
from fastapi_caching_route._http.fields import RawHeaders
from fastapi_caching_route._key import Keys, Parts
from fastapi_caching_route._names import Naming, of_path, path_of
from fastapi_caching_route._plan import Herds, Plan
from fastapi_caching_route._store import Store
from fastapi_caching_route._targets import places_of
from fastapi_caching_route._writes import Invalidates, Writing, invalidate_for_all, is_write, targets_of_a_write
from fastapi_caching_route.control import CacheControl
from fastapi_caching_route.params import CachedResponse
from fastapi_caching_route.policy import Skip, StoreIf

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
            return forward(scope, receive, send)
        return respond(reached.plan, scope, receive, send, forward)

    async def _write(self, reached: 'Reached', scope: Scope, receive: Receive, send: Send) -> None:
        """Let the endpoint answer; what it has made outdated is invalidated before its answer leaves."""
        scope[ROUTE_INVALIDATES] = True

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
            await invalidate_for_all(targets)

        writing = Writing(send, act, goes_on=reached.goes_on)
        try:
            await super().handle(scope, receive, writing.send)
        finally:
            await writing.end()

    def get_route_handler(self) -> Handler:
        """The handler of `APIRoute`, which gives way where explicit dependencies are to run inside of the route."""
        return choosing(super().get_route_handler())

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
        if decoration is not None:
            app = scope.get('router') or scope.get('app')  # the outermost
            decoration.cache.unmet.look(app)
            twin = twin_of(decoration, effective, app)
            plan = plan_of(decoration, effective, parameters, twin=twin, raw=reads_raw(self, CachingRoute))
        cached = () if plan is None else plan.methods
        invalidates = invalidates_of(self.endpoint)
        reached = Reached(
            effective,
            plan,
            invalidates,
            parameters,
            goes_on=goes_on(effective),
            methods=frozenset(effective.methods),
            writes=frozenset(it for it in effective.methods if invalidates or is_write(it, cached=it in cached)),
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
    methods: frozenset[str]
    writes: frozenset[str]
    """Those methods that make something outdated."""
    forward: Callable[[Scope, Receive, Send], Coroutine[Any, Any, None]]
    """Lets the endpoint answer, as in every route."""

    def caches(self, method: str) -> bool:
        """Whether answers to this method are cached."""
        return self.plan is not None and method in self.plan.methods


def description_of(decoration: Decoration, effective: Any) -> Parts:
    """What a decorated route is in every process that runs this code."""
    cache, endpoint = decoration.cache, effective.endpoint
    # An entry from before the tags were changed has other names, and would never be invalidated by the new ones.
    tags = described(decoration.policy.tags)
    return (cache.version, tags, name_of(endpoint), cache.twins.of_endpoint(endpoint), declaration(effective))


def twin_of(decoration: Decoration, effective: Any, app: Any) -> int:
    """Which one a route is among those of one description, that are made of different objects.

    They are counted in the order in which they stand in the app, which is the same in every process; and not in that of
    the requests that reach them.
    """
    twins, description = decoration.cache.twins, description_of(decoration, effective)
    routes = [] if twins.knows(description, objects_of(effective)) else [route for _, route in routes_in(app)]
    if twins.are_new(app, len(routes)):
        for other in routes:
            of_other = decoration_of(getattr(other, 'endpoint', None))
            if of_other is not None and of_other.cache is decoration.cache and is_of_api(other):
                twins.number(description_of(of_other, other), objects_of(other))
    return twins.number(description, objects_of(effective))


def plan_of(decoration: Decoration, effective: Any, parameters: PathParameters, *, twin: int, raw: bool) -> Plan:
    """All that is known of a decorated route before a request comes."""
    cache, policy = decoration.cache, decoration.policy
    vary = tuple(name.encode('ascii') for name in policy.vary_headers)
    build, who, skip, tags = policy.key_builder, policy.identity, policy.skip, policy.tags
    asks_itself = policy.revalidate or cache.by_the_book
    answered = frozenset(name.decode('ascii') for name in PRECONDITIONS) if asks_itself else frozenset()
    identity = (*description_of(decoration, effective), twin)
    namespace = cache.full_namespace(policy.namespace)
    declared = Declarations(
        effective,
        partial(Keys, identity, namespace),
        policy.dependencies,
        Reading(vary, cache.left_out, raw=raw, shared=who != 'auto', answered=answered, guards_select=callable(who)),
        builder=build is not None,
        early=build is not None or callable(who) or skip is not None,
        unnamed_guard=policy.route_dependencies == 'always',
    )
    told: set[str] = set()
    return Plan(
        store=cache.store,
        clock=cache.clock,
        namespace=namespace,
        declared=declared,
        key_builder=None if build is None else lambda scope: build(Request(scope)),
        skip=None if skip is None else skipping(skip),
        wanted=None if policy.store_if is None else wanting(policy.store_if, effective.path_format, told),
        naming=Naming(
            endpoint=name_of(effective.endpoint),
            places=places_of(effective),
            namespace=None if policy.namespace is None else namespace,
            values=parameters.values,
            parameters=parameters.names,
            tags=() if callable(tags) else tuple(tags),
        ),
        tags=None if not callable(tags) else lambda scope: tags(Request(scope)),
        flights=cache.flights,
        alone=cache.alone,
        failed=cache.failed,
        unrenewed=cache.unrenewed,
        herds=Herds(
            policy.collapse, policy.collapse_timeout, policy.lock, policy.eager_refresh, policy.endpoint_timeout
        ),
        ttl_jitter=policy.ttl_jitter,
        who=None if not callable(who) else lambda scope: who(Request(scope)),
        watch=watching_handlers,
        terms=cache.terms(policy),
        switch=cache.switch,
        methods=cache.methods,
        heeds_demands=cache.by_the_book or policy.client_cache_control,
        budget=cache.budget,
        status_name=cache.status_name,
        told=told,
        emitted=emitted(policy.cache_control, policy.cdn_cache_control),
        emitted_for_one=emitted(*map(for_one_client, (policy.cache_control, policy.cdn_cache_control))),
        hit=(cache.cache_header, cache.hit),
        miss=(cache.cache_header, cache.miss),
    )


def skipping(skip: Skip) -> Callable[[Scope], Coroutine[Any, Any, bool]]:
    """What says of a request whether the user wants it to bypass the cache."""

    async def skipped(scope: Scope) -> bool:
        said = skip(Request(scope))
        return bool(await said if isawaitable(said) else said)

    return skipped


def wanting(store_if: StoreIf, path: str, told: set[str]) -> Callable[[Recording], bool]:
    """What says of a complete answer whether the user wants it kept; not, if that cannot be told."""

    def wanted(recording: Recording) -> bool:
        response = CachedResponse(recording.body, recording.status, Headers(raw=list(recording.headers)))
        try:
            said = store_if(response)
            if not isawaitable(said):
                return bool(said)
            getattr(said, 'close', bool)()  # a coroutine that nobody awaits would warn of it
        except Exception:  # noqa: BLE001, S110, the user's: the answer must not suffer
            pass
        tell('store-if', path, told)
        return False

    return wanted


def emitted(control: object, for_cdns: object) -> list[tuple[bytes, bytes]]:
    """The fields that say how others may store an answer."""
    both = ((b'cache-control', control), (b'cdn-cache-control', for_cdns))
    return [(name, str(it).encode('ascii')) for name, it in both if it is not None]


def for_one_client(control: object) -> object:
    """What is said of an answer that others must not get."""
    return control.for_one_client() if isinstance(control, CacheControl) else None
