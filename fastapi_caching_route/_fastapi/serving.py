"""Which routes of an app stand at a path."""

from collections.abc import Iterable, Iterator
from typing import Any

from starlette.routing import Host, Match, Mount

from fastapi_caching_route._key import Scope


def endpoints_at(scope: Scope, kind: type) -> Iterator[Any]:
    """The endpoints of all routes of this kind whose path is that of the request, whatever their methods.

    Looks everywhere in the app that has got the request. A route of another mount may have the same path below its own;
    then it is among them too.
    """
    serving = scope.get('app') or scope.get('router')
    for route in _each(getattr(serving, 'routes', ())):
        if isinstance(getattr(route, 'original_route', route), kind) and route.matches(scope)[0] is not Match.NONE:
            yield route.endpoint


def _each(routes: Iterable[Any] | None) -> Iterator[Any]:
    """The routes as requests reach them, in mounts too; the newer releases of FastAPI keep those of an include apart."""
    for route in routes or ():
        included = getattr(route, 'effective_route_contexts', None)
        if included is not None:
            yield from included()
        elif isinstance(route, Mount | Host):
            yield from _each(route.routes)
        else:
            yield route
