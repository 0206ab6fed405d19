"""`CacheContext`: lets endpoints and dependencies control how the response to the current request is cached."""

from collections.abc import Callable, Collection, Iterable
from typing import Annotated, Any, NoReturn

from fastapi import Depends
from starlette.requests import HTTPConnection

from fastapi_caching_route._core.asgi import WISHES, Scope
from fastapi_caching_route._core.durations import Seconds, in_seconds
from fastapi_caching_route._core.key import EntryKey
from fastapi_caching_route._core.wishes import Wishes
from fastapi_caching_route._fastapi.own import own_dependency
from fastapi_caching_route._routes.caches import warn_of_unserved
from fastapi_caching_route._routes.owning import owner_of
from fastapi_caching_route._routes.requested import RequestedInvalidations, requested_in
from fastapi_caching_route._routes.targets import targets_in
from fastapi_caching_route.errors import ConfigurationError

_NONE: Any = None


@own_dependency
class CacheContext:
    """A dependency through which an endpoint, or another dependency, controls how this one response is cached.

    Declare it as `context: CacheContextDep`, which is `Annotated[CacheContext, Depends()]`. It can be used until the
    response is complete. On a hit the endpoint does not run, so these settings have no effect. On a route that is not
    cached, only `invalidate` has an effect. Unlike `Request`, it does not add the raw request to the cache key.

    To call an endpoint in a unit test, build one without a connection: `await get_item(CacheContext())`. It invalidates
    nothing.
    """

    __slots__ = ('_app', '_requested', '_scope', '_wishes')

    def __init__(self, connection: HTTPConnection = _NONE) -> None:
        """FastAPI builds one for each request."""
        if connection is _NONE:
            self._wishes: Wishes = Wishes()
            self._requested: RequestedInvalidations = RequestedInvalidations()
            self._app: Any = None
            self._scope: Scope = {}
            return
        scope = self._scope = connection.scope
        self._wishes = scope.setdefault(WISHES, Wishes())
        self._requested = requested_in(scope)
        self._app = scope.get('router') or scope.get('app')  # the outermost app
        warn_of_unserved(self._app)

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: Any) -> NoReturn:
        """Refuse to be a value in a request, with the remedy: FastAPI asks for this where `Depends()` is missing."""
        msg = 'a CacheContext is a dependency: write `context: CacheContextDep`, or Annotated[CacheContext, Depends()]'
        raise ConfigurationError(msg)

    @property
    def key(self) -> str | None:
        """The cache key of this request, without its namespace; None if it is not cached, or the key is not known yet.

        Pass this object to `get_cached`, `set_cached` and `invalidate_cached` of its cache: it knows the namespace, and
        a copy of its text does not. For `set_cached`, a route with a `key_builder` also needs its namespace. On other
        routes, the response gets the names, the tags and the ttl that the route has when this is read; it is refused
        where the route takes the raw request, or has tags from a callable or a dependency.

        It is None in explicit dependencies that run before a `key_builder` or an identity callable.
        """
        said = self._wishes
        return None if said.key is None else EntryKey.of(said.key, said.full_key, owner_of(self._scope, said.tags))

    @property
    def ttl(self) -> float | None:
        """Seconds for which the response is fresh, at most 30 days. 0 or less: not stored. None: as declared.

        It overrides the decorator and the `Cache-Control` of the response.

        Raises:
            ConfigurationError: the value is not a duration.

        """
        return self._wishes.ttl

    @ttl.setter
    def ttl(self, span: Seconds | None) -> None:
        self._wishes.ttl = _checked('ttl', span)

    @property
    def stale_while_revalidate(self) -> float | None:
        """Seconds after expiry in which the entry is served while one request renews it (RFC 5861 §3).

        Raises:
            ConfigurationError: the value is not a duration.

        """
        return self._wishes.stale_while_revalidate

    @stale_while_revalidate.setter
    def stale_while_revalidate(self, span: Seconds | None) -> None:
        self._wishes.stale_while_revalidate = _checked('stale_while_revalidate', span)

    @property
    def stale_if_error(self) -> float | None:
        """Seconds after expiry in which the entry is served if the endpoint fails (RFC 5861 §4).

        Raises:
            ConfigurationError: the value is not a duration.

        """
        return self._wishes.stale_if_error

    @stale_if_error.setter
    def stale_if_error(self, span: Seconds | None) -> None:
        self._wishes.stale_if_error = _checked('stale_if_error', span)

    @property
    def tags(self) -> set[str]:
        """Tags of this response, in addition to those of the decorator: `context.tags.add('user:7')`.

        Raises:
            ConfigurationError: the value is not a collection of str.

        """
        return self._wishes.tags

    @tags.setter
    def tags(self, tags: Iterable[str]) -> None:
        if isinstance(tags, str) or not isinstance(tags, Iterable):
            msg = f"tags must be a collection of str, like {{'user:7'}}, got {tags!r}"
            raise ConfigurationError(msg)
        self._wishes.tags = set(tags)

    def no_store(self, reason: str = 'no-store') -> None:
        """Do not store this response. `Cache-Status` names the reason."""
        self._wishes.refused = str(reason) or 'no-store'

    def invalidate(
        self,
        *,
        tags: Collection[str] | None = None,
        endpoints: Collection[Callable[..., Any]] | None = None,
        paths: Collection[str] | None = None,
    ) -> None:
        """Invalidate what this request changes, by names that only its dependencies or its result know.

        It is not awaited. Call it from `def` or `async def`, once or several times. As with `@cache.invalidates`, the
        invalidation runs after the endpoint and before the response is sent, and only on a 2xx or 3xx. It runs again
        after dependencies and background tasks that write later. If a backend fails, that is logged, and the
        invalidation is pending.

        Tags and paths are invalidated in every `FastAPICache` that a route of this app uses, mounts included, or in all
        caches of this process if no route uses one. Endpoints are invalidated in the cache that caches them.

        On a plain `APIRoute`, only an exception shows that the endpoint failed. Before FastAPI 0.121, the invalidation
        runs there as with `FastAPICache.invalidate_soon`.

        Raises:
            ConfigurationError: nothing is given, an argument has the wrong type, or an endpoint is not cached.

        """
        self._requested.add(targets_in(self._app, tags, endpoints, paths))


CacheContextDep = Annotated[CacheContext, Depends()]
"""The type of a parameter that takes the `CacheContext` of the request: `context: CacheContextDep`."""


def _checked(name: str, span: Seconds | None) -> float | None:
    try:
        return None if span is None else max(0.0, in_seconds(span))
    except ValueError:
        msg = f"{name} must be a number of seconds, a timedelta, or a text like '5m' or '1h30m', got {span!r}"
        raise ConfigurationError(msg) from None
