"""Warns about `@cache` endpoints that no `CachingRoute` serves, or only with methods that cannot be cached.

Only the complete app shows this. So the endpoints are checked when an app with the lifespan of the cache starts.
Without that lifespan, they are checked at the first request that reaches a `CachingRoute`, a `CacheContext` or
`@cache.invalidates`; and each one, at the first request that reaches it by a plain route. An app may get no request,
so the endpoints are also checked shortly after the last decoration, or when the process ends before that.
`@cache.invalidates` can only be checked in an app.
"""

import atexit
import logging
import sys
import threading
import weakref
from collections.abc import Collection, Iterator
from contextlib import suppress
from functools import partial
from inspect import signature
from typing import Any

from starlette.websockets import WebSocket

from fastapi_caching_route._core.inputs import CACHED_METHODS
from fastapi_caching_route._fastapi.endpoints import (
    INSIDE,
    INVALIDATES,
    attached_to,
    has_inside,
    is_routed_inside,
    layers,
    name_of,
    routed_methods,
    routes_of,
)
from fastapi_caching_route._fastapi.plain_requests import tell_of_requests
from fastapi_caching_route._fastapi.serving import routes_in

logger = logging.getLogger('fastapi_caching_route')

BUILD_ITS_ROUTER = (
    'build its router as APIRouter(route_class=CachingRoute), or call cache.install(app) before routes are added; '
    'a decorator of another library that leaves no __wrapped__ belongs below @cache'
)
USE_FUNCTION = 'a function that is no endpoint takes @cache.function(...)'
PUT_IT_BELOW = (
    '@cache.invalidates stands above the route decorator of a plain route, so the route does not know it and nothing '
    'is invalidated: put it below the route decorator, or build the router as APIRouter(route_class=CachingRoute)'
)
PUT_IT_CLOSER = (
    'it stands above a decorator of another library, and that one above the route decorator, so the route has the '
    'function inside and does not know of it; put it directly above or below the route decorator'
)
SKIP_NOTHING = (
    'remove it where no router caches the route, or put it directly above or below the route decorator, and below a '
    'decorator of another library that leaves no __wrapped__'
)
REMOVE_IT = 'websockets cannot be cached; remove the decorator'

WARN_AFTER_SECONDS = 1.0
"""Seconds to wait after the last decoration, so that the app is complete. While modules are imported, wait again."""


class Unserved:
    """The endpoints that one cache has decorated and that were not checked yet."""

    __slots__ = ('__weakref__', '_endpoints', '_skipped', '_timer', '_told', '_writes')

    def __init__(self) -> None:
        """Start without endpoints."""
        self._endpoints: list[weakref.ref[Any]] = []
        self._skipped: list[weakref.ref[Any]] = []
        self._writes: list[weakref.ref[Any]] = []
        self._timer: threading.Timer | None = None
        self._told: set[str] = set()

    def add(self, endpoint: Any) -> None:
        """Check the endpoint later, if it still exists."""
        self._endpoints += _references(endpoint)
        self._warn_later()
        tell_of_requests(self)

    def add_skipped(self, endpoint: Any) -> None:
        """Check later whether `@cache.skip` is on an endpoint that a `CachingRoute` serves."""
        self._skipped += _references(endpoint)
        self._warn_later()

    def add_write(self, endpoint: Any) -> None:
        """Check in an app whether its route has this endpoint, which `@cache.invalidates` has made."""
        self._writes += _references(endpoint)

    def sees(self, route: Any) -> bool:
        """Warn if a request reaches a plain route with one of the endpoints; return whether there are more of them."""
        left = [it for it in self._endpoints if (endpoint := it()) is not None and not routed_methods(endpoint)]
        met = [it for it in left if it() == route.endpoint]
        if met:
            self._endpoints = [it for it in self._endpoints if it not in met]
            logger.warning(unserved_message(route.endpoint))
        return len(left) > len(met)

    def _warn_later(self) -> None:
        _waiting.add(self)
        if self._timer is not None:
            self._timer.cancel()
        self._timer = threading.Timer(WARN_AFTER_SECONDS, self._warn_if_built)
        self._timer.daemon = True
        with suppress(RuntimeError):  # no threads on this platform
            self._timer.start()

    def _warn_if_built(self) -> None:
        self._warn_later() if _imports() else self.warn()

    def warn(self, app: Any = None) -> None:
        """Warn, once, about each endpoint that no `CachingRoute` serves.

        With an app, also warn about `@cache.invalidates` that has no effect on its plain routes.
        """
        if not self._endpoints and not self._skipped and not self._writes:
            return
        for message in self.found(app):
            logger.warning(message)

    def found(self, app: Any = None) -> list[str]:
        """What `warn` warns about. Each message is returned once."""
        messages = self.take()
        if self._writes and app is not None:
            writes, self._writes = _living(self._writes), []
            with suppress(Exception):  # unusual mounted objects must not break a request
                messages += _faults_of_writes(writes, app)
        return messages

    def take(self) -> list[str]:
        """The warnings about endpoints that no `CachingRoute` serves. Each is returned once."""
        if self._timer is not None:
            self._timer.cancel()
        endpoints, self._endpoints = _living(self._endpoints), []
        skipped, self._skipped = _living(self._skipped), []
        return list(dict.fromkeys(filter(None, [*map(_fault_of, endpoints), *map(_fault_of_skipped, skipped)])))

    def tell(self, path: str, doubt: str) -> None:
        """Log a warning about a route, once for each text."""
        if doubt not in self._told:
            self._told.add(doubt)
            logger.warning('%r: %s', path, doubt)


_waiting: 'weakref.WeakSet[Unserved]' = weakref.WeakSet()


@atexit.register
def _warn_at_exit() -> None:
    for it in list(_waiting):
        it.warn()


def _imports() -> bool:
    """Whether a module is still being imported. It may be the module of the app, which can take long to import."""
    return any(
        getattr(getattr(it, '__spec__', None), '_initializing', False) is True for it in list(sys.modules.values())
    )


def _references(endpoint: Any) -> list[weakref.ref[Any]]:
    """A weak reference to an endpoint; none where it does not support one."""
    with suppress(TypeError):
        return [weakref.WeakMethod(endpoint) if hasattr(endpoint, '__self__') else weakref.ref(endpoint)]
    return []


def _living(references: list[weakref.ref[Any]]) -> list[Any]:
    return [it for it in (reference() for reference in references) if it is not None]


def _faults_of_writes(writes: list[Any], app: Any) -> Iterator[str]:
    """The warnings about `@cache.invalidates` that has no effect on the routes of an app."""
    endpoints = [it for it in (getattr(route, 'endpoint', None) for _, route in routes_in(app)) if it is not None]
    for endpoint in endpoints:
        if invalidates_nothing(endpoint):
            yield f'{".".join(name_of(endpoint))}: {PUT_IT_BELOW}'
    for write in writes:
        is_inside = any(has_inside(write, it) and not attached_to(it, INVALIDATES) for it in endpoints)
        if is_inside and not any(has_inside(it, write) for it in endpoints):
            yield f'{".".join(name_of(write))} has @cache.invalidates, but invalidates nothing: {PUT_IT_CLOSER}'


def _fault_of_skipped(endpoint: Any) -> str | None:
    if any(map(routed_methods, layers(endpoint))):
        return None
    remedy = PUT_IT_CLOSER if is_routed_inside(endpoint) else SKIP_NOTHING
    return f'{".".join(name_of(endpoint))} has @cache.skip, but no CachingRoute serves it: {remedy}'


def _fault_of(endpoint: Any) -> str | None:
    methods = routed_methods(endpoint)
    if not methods:
        return unserved_message(endpoint)
    # A route for GET and PUT is one on purpose, as in a proxy. Two routes on one function are probably a mistake.
    uncached = [it for it in routes_of(endpoint) if CACHED_METHODS.isdisjoint(it.methods)]
    if CACHED_METHODS.isdisjoint(methods):
        return uncached_message(endpoint, methods)
    return uncached_beside_message(endpoint, {it for route in uncached for it in route.methods}) if uncached else None


def uncached_beside_message(endpoint: Any, methods: Collection[str]) -> str:
    """The warning about a decorated endpoint that also has routes whose methods cannot be cached, with the remedy."""
    return (
        f'{".".join(name_of(endpoint))} is decorated with @cache, but also has a route for '
        f'{", ".join(sorted(methods))}, which cannot be cached, so each of these requests reaches the endpoint; give '
        'that route an endpoint of its own, without the decorator'
    )


def uncached_message(endpoint: Any, methods: Collection[str]) -> str:
    """The warning about an endpoint that is decorated although none of its methods can be cached, with the remedy."""
    return (
        f'{".".join(name_of(endpoint))} is decorated with @cache, but its methods are {", ".join(sorted(methods))}, '
        'and only GET, HEAD, QUERY and POST can be cached, so each request reaches the endpoint; remove the decorator, '
        'or put it on the route that reads what this one writes'
    )


def unserved_message(endpoint: Any) -> str:
    """The warning about a decorated endpoint that no `CachingRoute` serves, with the remedy."""
    inside = PUT_IT_CLOSER if is_routed_inside(endpoint) else f'{BUILD_ITS_ROUTER}; {USE_FUNCTION}'
    remedy = REMOVE_IT if _serves_a_websocket(endpoint) else inside
    name = '.'.join(name_of(endpoint))
    return f'{name} is decorated with @cache, but no CachingRoute serves it, so it is not cached: {remedy}'


def invalidates_nothing(endpoint: Any) -> bool:
    """Whether `@cache.invalidates` is above the route decorator of a plain route, so the route does not use it."""
    while isinstance(endpoint, partial):
        endpoint = endpoint.func
    return bool(attached_to(endpoint, INVALIDATES)) and not hasattr(endpoint, INSIDE) and not routed_methods(endpoint)


def _serves_a_websocket(endpoint: Any) -> bool:
    try:
        parameters = signature(endpoint, eval_str=True).parameters.values()
    except (ValueError, TypeError, NameError):
        return False
    return any(isinstance(it.annotation, type) and issubclass(it.annotation, WebSocket) for it in parameters)
