"""Reports on the routes of an app: whether each is cached, its cache key, and warnings."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from math import inf
from typing import Any

from aiocache.backends.memory import SimpleMemoryBackend

from fastapi_caching_route._concurrency.workers import ONE_OF_SEVERAL, is_one_of_several
from fastapi_caching_route._core.declared import Declared
from fastapi_caching_route._core.durations import in_seconds, seconds_or_none
from fastapi_caching_route._core.inputs import Inputs
from fastapi_caching_route._exchange.plan import Plan
from fastapi_caching_route._fastapi.effective import reads_raw, takes
from fastapi_caching_route._fastapi.endpoints import decorators_of, layers, name_of
from fastapi_caching_route._fastapi.path_values import PathParameters
from fastapi_caching_route._fastapi.serving import is_of_api, is_of_websocket, routes_in
from fastapi_caching_route._routes.decorating import BOTH, suspicious
from fastapi_caching_route._routes.decoration import (
    Decoration,
    decoration_at,
    doubts,
    invalidates_of,
    naming_of,
    skipped_by,
    templates_of,
)
from fastapi_caching_route._routes.planning import plan_of
from fastapi_caching_route._routes.unserved import BUILD_ITS_ROUTER, PUT_IT_BELOW, invalidates_nothing, unserved_message
from fastapi_caching_route._routes.writes import is_write
from fastapi_caching_route.context import CacheContext
from fastapi_caching_route.errors import ConfigurationError
from fastapi_caching_route.policy import CachePolicy
from fastapi_caching_route.route import CachingRoute

LENIENT = (
    '{} lets requests without a valid credential through, and what it returns does not count on hits: if it returns '
    'something else for a credential later, its client still gets what is stored; name what it returns by '
    'identity=Depends(...), unless it does not change within the ttl'
)

_PARAMETER = re.compile(r'{(\w+)')


@dataclass(frozen=True, slots=True)
class RouteReport:
    """One route of an app. Times are in seconds."""

    methods: tuple[str, ...]
    path: str
    """Including the prefixes of includes and mounts."""
    endpoint: str
    cached: bool
    why_not: str | None
    """Why it is not cached and, if it is decorated, what to do about it."""
    key: tuple[str, ...] = ()
    """The parts of its cache key, in addition to the route."""
    not_in_key: tuple[str, ...] = ()
    """Parts of the raw request that are not in the cache key, although the endpoint could read them."""
    reads: tuple[str, ...] = ()
    """The parts of the raw request that code was seen to read in this process: they select its responses."""
    guards: tuple[str, ...] = ()
    """The dependencies that run before an entry is served."""
    not_run_on_hits: tuple[str, ...] = ()
    """The dependencies and decorators that run only with the endpoint, so they cannot refuse a hit."""
    shared_by: str = ''
    """The clients that share an entry."""
    ttl: float | None = None
    """None: the ttl of the backend, or else 30 days."""
    status_ttl: Mapping[int, float] = field(default_factory=dict)
    """Replaces `ttl` for responses with these statuses."""
    stale_while_revalidate: float = 0.0
    stale_if_error: float = 0.0
    tags: tuple[str, ...] = ()
    namespace: str = ''
    conditions: tuple[str, ...] = ()
    """Further conditions for serving an entry or storing a response."""
    invalidates: tuple[str, ...] = ()
    """The names that a successful write invalidates."""
    warnings: tuple[str, ...] = ()
    """Settings that are valid but probably not intended."""


def explain(app: Any) -> tuple[RouteReport, ...]:
    """Report on each route of a FastAPI or Starlette app, in order, including those of routers, includes and mounts.

    Decorators above route decorators must have run, so the module of the app must be imported. Mounted apps of other
    frameworks are left out.

    Raises:
        ConfigurationError: `app` is not a FastAPI or Starlette app.

    """
    if not hasattr(app, 'routes'):
        msg = f'explain needs a FastAPI or Starlette app, got {app!r}'
        raise ConfigurationError(msg)
    return tuple(report_on(prefix, route) for prefix, route in routes_in(app))


def report_on(prefix: str, effective: Any) -> RouteReport:
    """The report on one effective route, in mounts with this path."""
    route, endpoint = getattr(effective, 'original_route', effective), getattr(effective, 'endpoint', None)
    methods = tuple(sorted(getattr(effective, 'methods', None) or (['WEBSOCKET'] if is_of_websocket(route) else ())))
    path = prefix + getattr(effective, 'path_format', getattr(effective, 'path', ''))
    decoration = decoration_at(effective)
    name = '' if endpoint is None else '.'.join(name_of(endpoint))
    why_not = _why_not(route, effective, methods, decoration)
    report = RouteReport(methods, path, name, cached=why_not is None, why_not=why_not)
    if decoration is not None and why_not is None:
        return _of_cached(report, prefix, effective, decoration)
    return replace(
        report,
        invalidates=tuple(_invalidated(route, methods, endpoint)),
        warnings=tuple(_warnings_if_not_cached(route, endpoint, decoration)),
    )


def _of_cached(report: RouteReport, prefix: str, effective: Any, decoration: Decoration) -> RouteReport:
    """The full report on a cached route."""
    parameters, policy = PathParameters(effective), decoration.policy
    route = getattr(effective, 'original_route', effective)
    plan = plan_of(decoration, effective, parameters, raw=reads_raw(route, CachingRoute))
    declared = plan.declared()
    return replace(
        report,
        key=_key(prefix, policy, parameters, declared),
        not_in_key=declared.inputs.left_out_in_words,
        reads=tuple(sorted(plan.learned)),
        guards=declared.guards,
        not_run_on_hits=(*declared.not_on_hit, *(f'decorator {it}' for it in decorators_of(effective.endpoint))),
        shared_by=_shared_by(policy, declared, has_session=bool(naming_of(policy, effective))),
        ttl=None if decoration.settings.by_the_book or policy.ttl == inf else seconds_or_none(policy.ttl),
        status_ttl={status: in_seconds(span) for status, span in policy.status_ttl.items()},
        stale_while_revalidate=in_seconds(policy.stale_while_revalidate),
        stale_if_error=in_seconds(policy.stale_if_error),
        tags=templates_of(policy) or (() if policy.tags == () else ('(a callable)',)),
        namespace=plan.namespace,
        conditions=tuple(_conditions(decoration, report.methods, declared)),
        warnings=tuple(_warnings(effective, decoration, plan, declared)),
    )


def _why_not(route: Any, effective: Any, methods: tuple[str, ...], decoration: Decoration | None) -> str | None:
    if decoration is None and not is_of_api(route):
        return 'websockets cannot be cached' if is_of_websocket(route) else _a(route)
    if decoration is None:
        says_nothing = not (isinstance(route, CachingRoute) or invalidates_of(effective.endpoint))
        if says_nothing and any(is_write(it, cached=False) for it in methods) and not takes(effective, CacheContext):
            return f'not decorated; it invalidates nothing, because its route is {_a(route)}'
        return 'not cached by its router: @cache.skip' if skipped_by(effective.endpoint) else 'not decorated'
    if not isinstance(route, CachingRoute):
        remedy = (
            BUILD_ITS_ROUTER
            if is_of_api(route)
            else 'only FastAPI endpoints with a method can be cached; remove the decorator'
        )
        return f'decorated, but its route is {_a(route)} and not a CachingRoute: {remedy}'
    return None if decoration.methods.intersection(methods) else 'decorated, but its methods cannot be cached'


def _a(route: object) -> str:
    name = type(route).__name__
    return f'{"an" if name[0] in "AEIO" else "a"} {name}'


def _shared_by(policy: CachePolicy, declared: Declared, *, has_session: bool) -> str:
    if policy.key_builder is not None:
        return 'clients for whom key_builder returns the same key'
    if policy.identity not in ('auto', 'shared'):
        return 'clients for whom identity returns the same name'
    if not declared.inputs.shared:
        return 'clients with the same credentials or cookies'
    of_session = ('with the same user and data in their session',) if has_session else ()
    conditions = [*of_session, *_compared(declared.inputs)]
    if conditions:
        return f'clients {", and ".join(conditions)}'
    return 'all clients that the guards accept' if declared.guards else 'all clients'


def _compared(inputs: Inputs) -> tuple[str, ...]:
    """What has to be equal in the raw requests of clients that share a response."""
    if inputs.raw and inputs.bypass_if_personal:
        return ('whose requests are the same in nearly every header, without credentials or cookies',)
    return ('whose requests are equal in what is read of them',) if inputs.reading.takes_request else ()


def _key(prefix: str, policy: CachePolicy, parameters: PathParameters, declared: Declared) -> tuple[str, ...]:
    if policy.key_builder is not None:
        return declared.inputs.in_words
    paths = (*_PARAMETER.findall(prefix), *sorted(parameters.names))
    return (*(f'path {it}' for it in paths), *declared.inputs.in_words) or ('only the path',)


def _conditions(decoration: Decoration, methods: tuple[str, ...], declared: Declared) -> Iterator[str]:
    policy, cached = decoration.policy, decoration.methods.intersection(methods)
    if decoration.by_router:
        yield 'cached by its router, with all dependencies on hits'
    if decoration.settings.by_the_book:
        yield "if the response's own headers allow it (mode='rfc9111')"
    if len(cached) < len(methods):
        yield f'only {" ".join(sorted(cached))}'
    if not policy.store:
        yield 'nothing is stored here (store=False): clients get ETag, 304 and Cache-Control'
    if policy.skip is not None:
        yield 'not if skip returns true'
    if policy.store_if is not None:
        yield 'stored only if store_if returns true'
    if (policy.cache_control or policy.cdn_cache_control) and not declared.inputs.for_all:
        yield (
            f'caches in front get private, because the response depends on {", ".join(declared.inputs.unsaid)}, and '
            'neither the URL nor Vary shows that; a Cache-Control of the endpoint is sent unchanged'
        )


def _invalidated(route: Any, methods: tuple[str, ...], endpoint: Any) -> Iterator[str]:
    own_path = isinstance(route, CachingRoute) and any(is_write(it, cached=False) for it in methods)
    for said in () if invalidates_nothing(endpoint) else invalidates_of(endpoint):
        yield from ('the tags from a callable',) if callable(said.tags) else (f'tag {it}' for it in said.tags)
        yield from (f'path {it}' for it in said.paths)
        yield from (f'endpoint {it}' for it in said.in_words)
        own_path = own_path or said.own_path
    if own_path:
        yield 'its own path'


def _warnings_if_not_cached(route: Any, endpoint: Any, decoration: Decoration | None) -> Iterator[str]:
    if decoration is not None and not isinstance(route, CachingRoute):
        yield unserved_message(endpoint)
    if invalidates_nothing(endpoint):
        yield PUT_IT_BELOW


def _warnings(effective: Any, decoration: Decoration, plan: Plan, declared: Declared) -> Iterator[str]:
    policy = decoration.policy
    if declared.inputs.raw and declared.inputs.bypass_if_personal:
        yield (
            'takes the raw request: nearly all request headers are in its cache key, and requests with credentials, '
            'cookies, a session or a user are not cached; declare what it reads as parameters, or set identity'
        )
    if (
        policy.ttl is None
        and plan.runtime.store.ttl is None
        and isinstance(decoration.settings.backend, SimpleMemoryBackend)
    ):
        yield 'no ttl, and a backend without a size limit: it grows for 30 days; set a ttl, or use MemoryCache()'
    if not plan.runtime.store.is_shared and is_one_of_several():
        yield ONE_OF_SEVERAL
    yield from suspicious(policy, by_the_book=decoration.settings.by_the_book)
    yield from doubts(policy, declared)
    yield from map(LENIENT.format, declared.lenient)
    if invalidates_of(effective.endpoint):
        yield BOTH
    if plan.naming.unknown:
        unknown = ', '.join(sorted(plan.naming.unknown))
        yield f'its tags name {unknown}, which is not a path parameter here, so its responses are not stored'
    for variable in sorted(plan.learned_variables):
        yield (
            f'middleware sets the context variable {variable!r}, so responses to requests with Authorization are not '
            'stored; if the endpoint reads it, name it by identity; if it names no person, list it in harmless_context'
        )
    if any('set_cookie' in getattr(getattr(it, '__code__', None), 'co_names', ()) for it in layers(effective.endpoint)):
        yield 'sets a cookie: responses with Set-Cookie are not stored'
