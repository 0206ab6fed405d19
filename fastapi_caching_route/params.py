"""Types of the public API: handlers, options as dicts, and stored responses."""

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
    """Where an entry is stored, and for how long: the options of `FastAPICache.set_cached`."""

    namespace: str | None
    ttl: float | None


class CacheParams(CacheParamsBase, total=False):
    """The options of `@cache(...)` in fastapi-caching-route 0.6.0, as a dict."""

    key_builder: KeyBuilder | None
    dependencies: Sequence[Depends]
    vary_headers: Collection[str]


@dataclass(frozen=True, slots=True)
class CachedResponse:
    """A stored response: `FastAPICache.get_cached` returns one, and `set_cached` takes one."""

    body: bytes
    status_code: int = 200
    headers: Headers = field(default_factory=Headers)
