"""All routes of an app, and those at a path."""

from collections.abc import Iterable, Iterator
from typing import Any, TypeGuard

from fastapi.routing import APIRoute
from starlette.applications import Starlette
from starlette.routing import Host, Match, Mount, WebSocketRoute

from fastapi_caching_route._core.asgi import Scope

MAX_LAYERS = 100
"""The most middleware layers that are searched around a mounted app."""


def routes_at(scope: Scope, kind: type) -> Iterator[Any]:
    """All routes of this class that match the path of the request, whatever their methods.

    Searches the whole outermost app that received the request, including mounts.
    """
    outermost = scope.get('router') or scope.get('app')
    whole = {**scope, 'root_path': scope.get('app_root_path', scope.get('root_path', ''))}
    yield from _at(whole, getattr(outermost, 'routes', ()), kind)


def _at(scope: Scope, routes: Iterable[Any] | None, kind: type) -> Iterator[Any]:
    for route in _each(routes or ()):
        if isinstance(route, Mount | Host):
            match, inside = route.matches(scope)
            if match is not Match.NONE:
                yield from _at({**scope, **inside}, route.routes, kind)
        elif isinstance(getattr(route, 'original_route', route), kind) and route.matches(scope)[0] is not Match.NONE:
            yield route


def route_at(scope: Scope) -> tuple[Any, Scope]:
    """The route of the outermost app that would get a request, and the scope as that route would see it.

    By the rules of Starlette: the first that matches with its method, or else the first that matches without. The route
    is None if there is none, and the mount if that holds an app of another framework. Nothing is run.
    """
    return _route_at(getattr(scope.get('router') or scope.get('app'), 'routes', ()), scope)


def _route_at(routes: Iterable[Any], scope: Scope) -> tuple[Any, Scope]:
    partial: tuple[Any, Scope] = None, scope
    for route in _each(routes):
        effective = getattr(route, 'original_route', None)
        if effective is not None and not is_of_api(route):  # files of a frontend, which come after all others
            continue
        match, inside = route.matches(scope)
        if match is Match.NONE:
            continue
        found = {**scope, **inside}
        if isinstance(route, Mount | Host):
            app = _inside(route)
            if isinstance(app, Starlette):
                found['app'] = app
            return _route_at(app.routes, found) if hasattr(app, 'routes') else (route, found)
        if effective is not None:
            found['fastapi'] = {'effective_route_context': route}
        if match is Match.FULL:
            return effective or route, found
        partial = partial if partial[0] is not None else (effective or route, found)
    return partial


def is_of_api(route: object) -> bool:
    """Whether a route is an `APIRoute`, either itself or the route of an include."""
    return isinstance(getattr(route, 'original_route', route), APIRoute)


def is_route_class(kind: object) -> TypeGuard[type[Any]]:
    """Whether this is a class of FastAPI's routes."""
    return isinstance(kind, type) and issubclass(kind, APIRoute)


def is_of_websocket(route: object) -> bool:
    """Whether a route is for websockets, either itself or the route of an include."""
    return isinstance(getattr(route, 'original_route', route), WebSocketRoute)


def routes_in(app: Any) -> Iterator[tuple[str, Any]]:
    """All routes of an app as requests reach them, in their order, each with the path of its mounts.

    An app that is mounted in itself is not searched again, because that would never end.
    """
    return ((where, route) for where, route, _ in _all_in(app) if not isinstance(route, Mount | Host))


def named_in(app: Any) -> Iterator[tuple[str, Any]]:
    """The paths and names of all routes and mounts of an app, in their order."""
    for where, route, _ in _all_in(app):
        yield where + (_address(route) if isinstance(route, Mount | Host) else route.path), route.name


def way_to(app: Any, outermost: Any) -> tuple[str, tuple[Any, ...]]:
    """Where an app is inside of the outermost one: hosts and paths of its mounts, and the apps around it.

    The place is empty if it is not mounted. The outermost app is the first.
    """
    mounts = (it for it in _all_in(outermost) if isinstance(it[1], Mount | Host))
    found = ((where + _address(route), around) for where, route, around in mounts if _inside(route) is app)
    return next(found, ('', (outermost,)))


def _all_in(app: Any, prefix: str = '', outside: tuple[Any, ...] = ()) -> Iterator[tuple[str, Any, tuple[Any, ...]]]:
    """All routes and mounts of an app, each with the path of its mounts and the apps around it."""
    routes, around = getattr(app, 'routes', None), (*outside, app)
    for route in _each(routes if isinstance(routes, list | tuple) else ()):
        yield prefix, route, around
        if isinstance(route, Mount | Host):
            inside = _inside(route)
            if not any(inside is it for it in around):
                yield from _all_in(inside, prefix + _address(route), around)


def app_of(router: Any) -> Any:
    """The app of a router, if this is the router of a FastAPI app; else the same object."""
    return getattr(router, 'dependency_overrides_provider', None) or router


def _address(route: Mount | Host) -> str:
    return route.path if isinstance(route, Mount) else f'//{route.host}'


def _inside(route: Any) -> Any:
    """The mounted app or, if that is middleware, the app inside of it."""
    inside = route.app
    for _ in range(MAX_LAYERS):
        if hasattr(inside, 'routes') or not hasattr(inside, 'app'):
            break
        inside = inside.app
    return inside


def _each(routes: Iterable[Any]) -> Iterator[Any]:
    """The routes as requests reach them. Newer releases of FastAPI keep the routes of an include separately."""
    for route in routes:
        included = getattr(route, 'effective_route_contexts', None)
        yield from [route] if included is None else (getattr(it, 'starlette_route', None) or it for it in included())
