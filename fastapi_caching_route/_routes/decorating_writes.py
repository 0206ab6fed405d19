"""Decorates a write with `@cache.invalidates(...)`. Knows routes and endpoints, and not when the response is sent."""

from collections.abc import Callable, Collection
from functools import partial
from typing import Any, TypeVar, cast

from starlette.requests import Request

from fastapi_caching_route._core.asgi import Scope
from fastapi_caching_route._core.checks import checked_paths, checked_templates
from fastapi_caching_route._core.names import PathValues
from fastapi_caching_route._fastapi.endpoints import INVALIDATES, attach, layers, name_of
from fastapi_caching_route._fastapi.writing import followed_by
from fastapi_caching_route._routes.decorating import apply_to_routes, check_endpoint, warn_of_both
from fastapi_caching_route._routes.decoration import invalidates_of
from fastapi_caching_route._routes.settings import Settings
from fastapi_caching_route._routes.targets import check_endpoints, names_of_endpoint
from fastapi_caching_route._routes.writes import Invalidates, invalidate_for_all
from fastapi_caching_route.callables import Tags

Endpoint = TypeVar('Endpoint', bound=Callable[..., Any])


def invalidates_with(
    settings: Settings,
    tags: Collection[str] | Tags,
    endpoints: Collection[Callable[..., Any]],
    paths: Collection[str],
) -> Callable[[Endpoint], Endpoint]:
    """The decorator of a write with these options.

    Raises:
        ConfigurationError: an option has the wrong type, or the cache does not cache an endpoint.

    """
    check_endpoints(endpoints, settings)
    said = Invalidates(
        settings.runtime,
        (lambda scope: tags(Request(scope))) if callable(tags) else checked_templates('tags', tags),
        lambda: tuple(name for it in endpoints for name in names_of_endpoint(it, {}, settings)),
        checked_paths(paths),
        own_path=not (tags or endpoints or paths),
        in_words=tuple('.'.join(name_of(it)) for it in endpoints),
    )
    return partial(_decorate, settings, said)


def _decorate(settings: Settings, said: Invalidates, endpoint: Endpoint) -> Endpoint:
    """The endpoint, wrapped so that it invalidates what was `said`."""

    async def invalidate(scope: Scope, values: PathValues) -> None:
        settings.unserved.warn(scope.get('router') or scope.get('app'))
        await invalidate_for_all([(said.store, await said.names(scope, values))])

    check_endpoint(endpoint)
    for layer in layers(endpoint):
        attach((*invalidates_of(layer), said), layer, INVALIDATES)
    apply_to_routes(endpoint)
    warn_of_both(endpoint)
    inside = endpoint.__func__ if isinstance(endpoint, staticmethod) else endpoint
    wrapped: Any = followed_by(inside, invalidate, said.fields)
    settings.unserved.add_write(wrapped)
    return cast('Endpoint', staticmethod(wrapped) if isinstance(endpoint, staticmethod) else wrapped)
