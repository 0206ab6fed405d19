"""What becomes of each route of an app: which are cached, by what their entries are told apart, and what looks wrong."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiocache.backends.memory import SimpleMemoryBackend

from fastapi_caching_route._decoration import Decoration, decoration_of
from fastapi_caching_route._endpoint import layers, name_of
from fastapi_caching_route._fastapi.effective import reads_raw
from fastapi_caching_route._fastapi.path_values import PathParameters
from fastapi_caching_route._fastapi.serving import is_of_api, routes_in
from fastapi_caching_route._plan import Declared, Plan
from fastapi_caching_route._unmet import BUILD_ITS_ROUTER, PUT_IT_BELOW, invalidates_nothing
from fastapi_caching_route.policy import CachePolicy, suspicious
from fastapi_caching_route.route import CachingRoute, plan_of


@dataclass(frozen=True, slots=True)
class RouteReport:
    """One route of an app. Spans in seconds."""

    methods: tuple[str, ...]
    path: str
    """With the prefixes of includes and mounts."""
    endpoint: str
    cached: bool
    why_not: str | None
    """Why it is not cached, and what to do about it where it is decorated."""
    key: tuple[str, ...] = ()
    """What tells its entries apart, beside the route."""
    guards: tuple[str, ...] = ()
    """The dependencies that run before an entry answers."""
    shared_by: str = ''
    """Who may get the same entry."""
    ttl: float | None = None
    """None: as the backend says, or else 30 days."""
    status_ttl: Mapping[int, float] = field(default_factory=dict)
    """In place of `ttl`, for answers of other statuses."""
    stale_while_revalidate: float = 0.0
    stale_if_error: float = 0.0
    tags: tuple[str, ...] = ()
    namespace: str = ''
    conditions: tuple[str, ...] = ()
    """What else decides whether a request is answered from an entry, or an answer stored."""
    warnings: tuple[str, ...] = ()
    """What is allowed, and suspicious."""


def explain(app: Any) -> tuple[RouteReport, ...]:
    """A report on each route of a FastAPI or Starlette app, those of routers, includes and mounts too, in their order.

    Decorators that are above their routes must have run, which they have once the module of the app is imported.
    """
    return tuple(_reported(prefix, route) for prefix, route in routes_in(app))


def _reported(prefix: str, effective: Any) -> RouteReport:
    route, endpoint = getattr(effective, 'original_route', effective), getattr(effective, 'endpoint', None)
    methods = tuple(sorted(getattr(effective, 'methods', None) or ()))
    path = prefix + getattr(effective, 'path_format', getattr(effective, 'path', ''))
    decoration = None if endpoint is None else decoration_of(endpoint)
    name = '' if endpoint is None else '.'.join(name_of(endpoint))
    why_not = _why_not(route, methods, decoration)
    if why_not is not None or decoration is None:
        warnings = (PUT_IT_BELOW,) if invalidates_nothing(endpoint) else ()
        return RouteReport(methods, path, name, cached=False, why_not=why_not, warnings=warnings)
    parameters, policy = PathParameters(effective), decoration.policy
    plan = plan_of(decoration, effective, parameters, raw=reads_raw(route, CachingRoute))
    declared = plan.declared()
    return RouteReport(
        methods,
        path,
        name,
        cached=True,
        why_not=None,
        key=(*(f'path {it}' for it in sorted(parameters.names)), *declared.inputs.shown),
        guards=declared.guards,
        shared_by=_shared_by(policy, declared),
        ttl=policy.ttl,
        status_ttl=dict(policy.status_ttl),
        stale_while_revalidate=policy.stale_while_revalidate,
        stale_if_error=policy.stale_if_error,
        tags=('(a callable)',) if callable(policy.tags) else tuple(policy.tags),
        namespace=plan.namespace,
        conditions=tuple(_conditions(policy)),
        warnings=tuple(_warnings(effective, decoration, plan, declared)),
    )


def _why_not(route: Any, methods: tuple[str, ...], decoration: Decoration | None) -> str | None:
    if decoration is None:
        return 'not decorated' if is_of_api(route) else f'a {type(route).__name__}'
    if not isinstance(route, CachingRoute):
        return f'decorated, but no CachingRoute: {BUILD_ITS_ROUTER}'
    return None if decoration.cache.methods.intersection(methods) else 'decorated, but its methods are never cached'


def _shared_by(policy: CachePolicy, declared: Declared) -> str:
    if policy.key_builder is not None:
        return 'whom the key_builder gives the same key'
    if callable(policy.identity):
        return 'whom identity gives the same name'
    if not declared.inputs.shared:
        return 'who sends the same credentials'
    return 'all whom the guards let in' if declared.on_hit is not None else 'all'


def _conditions(policy: CachePolicy) -> Iterator[str]:
    if policy.skip is not None:
        yield 'not where skip says so'
    if policy.store_if is not None:
        yield 'stored where store_if says so'


def _warnings(effective: Any, decoration: Decoration, plan: Plan, declared: Declared) -> Iterator[str]:
    policy = decoration.policy
    if declared.inputs.raw and declared.inputs.personal:
        yield (
            'takes the raw request: nearly all request fields split its entries, and requests with credentials, cookies '
            'or a session are not cached; declare what it reads, or say identity'
        )
    if policy.ttl is None and plan.store.ttl is None and isinstance(decoration.cache.backend, SimpleMemoryBackend):
        yield 'no ttl, and a backend that is not bounded: it grows for 30 days; say ttl, or use MemoryCache()'
    yield from suspicious(policy, by_the_book=decoration.cache.by_the_book)
    if plan.naming.unknown:
        yield f'tags name {", ".join(sorted(plan.naming.unknown))}, not a path parameter here: its answers are not stored'
    if any('set_cookie' in getattr(getattr(it, '__code__', None), 'co_names', ()) for it in layers(effective.endpoint)):
        yield 'sets a cookie: an answer with Set-Cookie is not stored'
