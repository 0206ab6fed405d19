"""Which routes of an app stand at a path."""

from collections.abc import Iterable, Iterator
from typing import Any

from starlette.routing import Match

from fastapi_caching_route._key import Scope


def endpoints_at(scope: Scope, kind: type) -> Iterator[Any]:
    """The endpoints of all routes of this kind whose path is that of the request, whatever their methods.

    Looks in the app, or the router, that has got the request: the innermost, where one is mounted in another.
    """
    serving = scope.get('app') or scope.get('router')
    for route in _each(getattr(serving, 'routes', ())):
        if isinstance(getattr(route, 'original_route', route), kind) and route.matches(scope)[0] is not Match.NONE:
            yield route.endpoint


def _each(routes: Iterable[Any]) -> Iterator[Any]:
    """The routes as requests reach them; the newer releases keep those of an include apart."""
    for route in routes:
        included = getattr(route, 'effective_route_contexts', None)
        yield from [route] if included is None else included()
