"""`CacheContext`: how an endpoint, or a dependency, says what becomes of the answer that is being made."""

import math
from collections.abc import Callable, Collection, Iterable
from typing import Any

from starlette.requests import HTTPConnection

from fastapi_caching_route._core.asgi import WISHES
from fastapi_caching_route._core.key import EntryKey
from fastapi_caching_route._core.wishes import Wishes
from fastapi_caching_route._fastapi.own import own_dependency
from fastapi_caching_route._routes.caches import warn_of_unserved
from fastapi_caching_route._routes.requested import RequestedInvalidations, requested_in
from fastapi_caching_route._routes.targets import targets_in
from fastapi_caching_route.errors import ConfigurationError


@own_dependency
class CacheContext:
    """A dependency by which an endpoint, or another dependency, decides about the answer of this one request.

    Declare it as `context: Annotated[CacheContext, Depends()]`. What it says counts until the end of the answer, and only
    where the answer comes from the endpoint: on a hit, nothing is made that could be decided about. On a route that is
    not cached it does nothing, but for `invalidate`, which is for writes. Unlike the raw request, it does not make the route one whose inputs cannot be seen.
    """

    __slots__ = ('_app', '_requested', '_wishes')

    def __init__(self, connection: HTTPConnection) -> None:
        """FastAPI builds it, once for each request."""
        self._wishes: Wishes = connection.scope.setdefault(WISHES, Wishes())
        self._requested: RequestedInvalidations = requested_in(connection.scope)
        self._app: Any = connection.scope.get('router') or connection.scope.get('app')  # the outermost
        warn_of_unserved(self._app)

    @property
    def key(self) -> str | None:
        """The key of this request, without its namespace; None where it is not cached, or the key is not known yet.

        `get_cached` and `invalidate_cached` of its cache find the entry by this object, which knows the namespace; a copy of its
        text does not. `set_cached` takes it with the namespace of the route, and only where that has a `key_builder`.

        Explicit dependencies that run before a `key_builder` or an identity callable see None.
        """
        return None if self._wishes.key is None else EntryKey.of(self._wishes.key, self._wishes.full_key)

    @property
    def ttl(self) -> float | None:
        """Seconds for which the answer is fresh, at most 30 days; at 0 or below it is not stored. None: as declared.

        It counts alone, whatever the decorator and the `Cache-Control` of the answer say about its lifetime.

        Raises:
            ConfigurationError: it is set to something else than a number.

        """
        return self._wishes.ttl

    @ttl.setter
    def ttl(self, seconds: float | None) -> None:
        self._wishes.ttl = _checked('ttl', seconds)

    @property
    def stale_while_revalidate(self) -> float | None:
        """Seconds past the lifetime in which the entry answers while one request renews it (RFC 5861 §3).

        Raises:
            ConfigurationError: it is set to something else than a number.

        """
        return self._wishes.stale_while_revalidate

    @stale_while_revalidate.setter
    def stale_while_revalidate(self, seconds: float | None) -> None:
        self._wishes.stale_while_revalidate = _checked('stale_while_revalidate', seconds)

    @property
    def stale_if_error(self) -> float | None:
        """Seconds past the lifetime in which the entry answers where the endpoint fails (RFC 5861 §4).

        Raises:
            ConfigurationError: it is set to something else than a number.

        """
        return self._wishes.stale_if_error

    @stale_if_error.setter
    def stale_if_error(self, seconds: float | None) -> None:
        self._wishes.stale_if_error = _checked('stale_if_error', seconds)

    @property
    def tags(self) -> set[str]:
        """Tags of this answer, beside those of the decorator: `context.tags.add('user:7')`.

        Raises:
            ConfigurationError: it is set to something else than several texts.

        """
        return self._wishes.tags

    @tags.setter
    def tags(self, tags: Iterable[str]) -> None:
        if isinstance(tags, str) or not isinstance(tags, Iterable):
            msg = f"tags must be a collection of str, like {{'user:7'}}, got {tags!r}"
            raise ConfigurationError(msg)
        self._wishes.tags = set(tags)

    def no_store(self, reason: str = 'no-store') -> None:
        """Do not store this answer; `Cache-Status` tells the reason."""
        self._wishes.refused = str(reason) or 'no-store'

    def invalidate(
        self,
        *,
        tags: Collection[str] | None = None,
        endpoints: Collection[Callable[..., Any]] | None = None,
        paths: Collection[str] | None = None,
    ) -> None:
        """Invalidate what this request changes, by names that only its dependencies or its result know.

        It is not awaited, and can be called from `def` and from `async def`, several times. As with `@cache.invalidates`, it
        happens after the endpoint and before the response leaves, after a 2xx or 3xx only; and again after dependencies and
        background tasks that write later. If a backend does not answer, that is logged, and the invalidation is owed.
        Tags and paths count in every `FastAPICache` that a route of this app uses, mounts included, or in all of this process
        if none does; endpoints in the one that caches them. On a plain
        `APIRoute`, only an exception says that the endpoint has failed; before FastAPI 0.121 it happens there as by
        `FastAPICache.invalidate_soon`.

        Raises:
            ConfigurationError: nothing is named, an argument is not a list of its kind, or an endpoint is not cached.

        """
        self._requested.add(targets_in(self._app, tags, endpoints, paths))


def _checked(name: str, seconds: object) -> float | None:
    if seconds is None:
        return None
    if not isinstance(seconds, int | float) or isinstance(seconds, bool) or math.isnan(seconds):
        msg = f'{name} must be a number of seconds, got {seconds!r}'
        raise ConfigurationError(msg)
    return max(0.0, seconds)
