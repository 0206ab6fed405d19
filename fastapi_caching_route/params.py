"""The types in which keys, options and stored responses are handed about."""

from collections.abc import Callable, Collection, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, TypedDict

from fastapi.params import Depends
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response

from fastapi_caching_route.policy import KeyBuilder

RouteHandler = Callable[[Request], Coroutine[Any, Any, Response]]
"""What `APIRoute.get_route_handler()` returns."""


class CacheParamsBase(TypedDict, total=False):
    """Where an entry is kept, and how long: what `FastAPICache.set_cached` needs to know."""

    namespace: str | None
    ttl: float | None


class CacheParams(CacheParamsBase, total=False):
    """The options of `@cache(...)` that fastapi-caching-route 0.6.0 had, as a dict."""

    key_builder: KeyBuilder | None
    dependencies: Sequence[Depends]
    vary_headers: Collection[str]


@dataclass(frozen=True, slots=True)
class CachedResponse:
    """A stored response, as `FastAPICache.get_cached` finds it and `set_cached` takes it."""

    body: bytes
    status_code: int = 200
    headers: Headers = field(default_factory=Headers)
