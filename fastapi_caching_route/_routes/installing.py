"""Lets an app or router build routes that can be cached. Does not know `CachingRoute`, which is passed in."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from fastapi_caching_route._core.lifespan_state import LifespanState
from fastapi_caching_route._fastapi.endpoints import name_of
from fastapi_caching_route._routes.decoration import decoration_of
from fastapi_caching_route.errors import ConfigurationError


def let_cache(app: Any, kind: type[Any], base: type[Any]) -> None:
    """Have an app or router build routes of this class, combined with its own route class if it has one.

    `base` is the class of all routes that can be cached.

    Raises:
        ConfigurationError: it builds no routes, or one of its plain routes should be cached.

    """
    router = getattr(app, 'router', app)
    if not hasattr(router, 'route_class'):
        msg = f'install takes a FastAPI app or an APIRouter, got {type(app).__name__}'
        raise ConfigurationError(msg)
    for route in router.routes:
        endpoint = getattr(route, 'endpoint', None)
        if endpoint is not None and decoration_of(endpoint) is not None and not isinstance(route, base):
            name = '.'.join(name_of(endpoint))
            msg = f'install comes too late for {name}, which has a plain route already: call it before routes are added'
            raise ConfigurationError(msg)
    router.route_class = combined(kind, router.route_class)


def combined(kind: type[Any], own: type[Any]) -> type[Any]:
    """A class of routes that is both."""
    if issubclass(own, kind):
        return own
    return kind if issubclass(kind, own) else type(f'Caching{own.__name__}', (kind, own), {})


def note_lifespan(app: Any, state: LifespanState) -> None:
    """Note what the lifespan of an app or router yields as its state, each time that it begins."""
    router = getattr(app, 'router', app)
    began = router.lifespan_context

    @asynccontextmanager
    async def noted(of: Any) -> AsyncGenerator[Any, None]:
        async with began(of) as objects:
            state.note(dict(objects or {}))
            yield objects

    router.lifespan_context = noted
