"""Types of the public API: handlers, options as dicts, and stored responses."""

from collections.abc import Callable, Collection, Coroutine, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

from fastapi.params import Depends
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response

from fastapi_caching_route._core.durations import Seconds
from fastapi_caching_route.callables import KeyBuilder

RouteHandler = Callable[[Request], Coroutine[Any, Any, Response]]
"""The type of the handler that `APIRoute.get_route_handler()` returns."""


class CacheParamsBase(TypedDict, total=False):
    """Where an entry is stored, and for how long: the options of `FastAPICache.set_cached`."""

    namespace: str | None
    ttl: Seconds | None


class CacheParams(CacheParamsBase, total=False):
    """The options of `@cache(...)` in fastapi-caching-route 0.6.0, as a dict."""

    key_builder: KeyBuilder | None
    dependencies: Sequence[Depends]
    vary_headers: Collection[str]


@dataclass(frozen=True, slots=True, init=False)
class CachedResponse(Mapping[str, Any]):
    """A stored response: `FastAPICache.get_cached` returns one, and `set_cached` takes one.

    It can also be read like the dict of fastapi-caching-route 0.6.0: `response['content']` are the bytes of the body,
    `response['headers']` a list of names and values, and `response['status_code']` is the status.
    """

    body: bytes
    status_code: int
    headers: Headers

    def __init__(
        self,
        body: bytes | None = None,
        status_code: int = 200,
        headers: Headers | Mapping[str, str] | Iterable[tuple[str, str]] = (),
        *,
        content: bytes | None = None,
    ) -> None:
        """The body may also be named `content`."""
        if (body is None) == (content is None):
            msg = 'CachedResponse() takes either body or content'
            raise TypeError(msg)
        object.__setattr__(self, 'body', content if body is None else body)
        object.__setattr__(self, 'status_code', status_code)
        object.__setattr__(self, 'headers', headers if isinstance(headers, Headers) else _headers(headers))

    def __getitem__(self, name: str) -> Any:
        """The bytes of the body for 'content', the headers as a list for 'headers', the status for 'status_code'."""
        match name:
            case 'content':
                return self.body
            case 'headers':
                return self.headers.items()
            case 'status_code':
                return self.status_code
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        """The names that `__getitem__` knows."""
        return iter(('content', 'headers', 'status_code'))

    def __len__(self) -> int:
        """How many names `__getitem__` knows."""
        return 3


def _headers(given: Mapping[str, str] | Iterable[tuple[str, str]]) -> Headers:
    fields: Any = given.items() if isinstance(given, Mapping) else given
    return Headers(raw=[(name.lower().encode('latin-1'), value.encode('latin-1')) for name, value in fields])
