"""`default_key`: the cache key that a route would have without its key builder."""

from typing import Annotated

from starlette.requests import HTTPConnection
from typing_extensions import Doc

from fastapi_caching_route._core.reasons import Bypass
from fastapi_caching_route._exchange.keying import default_key_of
from fastapi_caching_route._routes.targets import checked_connection
from fastapi_caching_route.errors import CacheError, ConfigurationError
from fastapi_caching_route.route import CachingRoute


async def default_key(request: Annotated[HTTPConnection, Doc('The request that the key builder gets.')]) -> str:
    """The cache key that the route of this request would have without a `key_builder`, for use in one.

        async def by_plan(request: Request) -> str:
            return f'{request.headers["x-plan"]}:{await default_key(request)}'

    It contains all declared inputs and credentials, as without a key builder. If the route takes the raw request, it
    contains all of it, as with `reads='all'`. Call it only in a `key_builder`: at other times the body is not known.

    Raises:
        ConfigurationError: this is not a request, or its route is not cached.
        CacheError: the request has no key, and would bypass the cache. In a key builder, it then does.

    """
    route = checked_connection('default_key', request).scope.get('route')
    plan = route.default_plan(request.scope) if isinstance(route, CachingRoute) else None
    if plan is None:
        msg = 'default_key(request) needs a request to a cached route, as a key_builder gets it'
        raise ConfigurationError(msg)
    found = await default_key_of(plan, request.scope)
    if isinstance(found, Bypass):
        msg = f'this request has no default key; the reason is {found.reason}'
        raise CacheError(msg)
    return found
