"""`CachingRouter`: a router that caches all of its `GET` routes, without a decorator on each."""

from inspect import signature
from typing import Annotated, Any

from fastapi import APIRouter
from typing_extensions import Doc

from fastapi_caching_route._core.durations import Seconds
from fastapi_caching_route._fastapi.serving import is_route_class
from fastapi_caching_route._routes.building import OF_CACHES, check_known
from fastapi_caching_route._routes.installing import combined
from fastapi_caching_route.cache import FastAPICache
from fastapi_caching_route.errors import ConfigurationError
from fastapi_caching_route.options import RouteOptions
from fastapi_caching_route.policy import CachePolicy
from fastapi_caching_route.route import CachingRoute

_OF_ROUTERS = frozenset(signature(APIRouter.__init__).parameters) - {'self'}
_OF_ROUTES = frozenset(RouteOptions.__annotations__) - _OF_ROUTERS


class CachingRouter(APIRouter):
    """A router whose `GET` routes are cached: `CachingRouter(cache, ttl=60, prefix='/items')`.

    `FastAPICache.route_class` says which of its routes are cached, and how to except some.
    """

    def __init__(
        self,
        cache: Annotated[FastAPICache, Doc('The cache in which the responses of its routes are stored.')],
        *,
        ttl: Annotated[Seconds | None, Doc('Seconds for which a response is fresh, as in `@cache(ttl=...)`.')] = None,
        policy: Annotated[CachePolicy | None, Doc('A whole policy, as in `@cache(policy=...)`.')] = None,
        route_class: Annotated[type[Any], Doc('A route class of your own, with which its class is combined.')] = (
            CachingRoute
        ),
        **options: Annotated[
            Any,
            Doc(
                'Those of `APIRouter(...)`, with `tags` and `dependencies`, and those of `@cache(...)` with other '
                'names. Tags for the cache are given by `policy=CachePolicy(tags=[...])`.'
            ),
        ],
    ) -> None:
        """Build the router as `APIRouter` does.

        Raises:
            ConfigurationError: an option is not valid.
            TypeError: there is no such option.

        """
        if not isinstance(cache, FastAPICache):
            msg = f'CachingRouter takes a FastAPICache first, got {type(cache).__name__}'
            raise ConfigurationError(msg)
        check_known('CachingRouter', options, _OF_ROUTERS | _OF_ROUTES, OF_CACHES)
        _check_tags(options.get('tags'))
        cached = {name: it for name, it in options.items() if name in _OF_ROUTES}
        kind = cache.route_class(ttl=ttl, policy=policy, **cached)
        others = {name: it for name, it in options.items() if name not in cached}
        super().__init__(route_class=combined(kind, _checked_class(route_class)), **others)


def _checked_class(route_class: object) -> type[Any]:
    if is_route_class(route_class):
        return route_class
    msg = (
        f'CachingRouter: route_class must be a subclass of APIRoute, got {route_class!r}; leave it out if you have no '
        'route class of your own'
    )
    raise ConfigurationError(msg)


def _check_tags(tags: object) -> None:
    """Refuse tags of the cache in place of those of the documentation."""
    if any('{' in str(it) for it in (tags if isinstance(tags, list | tuple) else ())):
        msg = (
            f'CachingRouter: tags are those of the OpenAPI document, as in APIRouter, got {tags!r}; give tags to '
            'invalidate by as policy=CachePolicy(tags=[...])'
        )
        raise ConfigurationError(msg)
