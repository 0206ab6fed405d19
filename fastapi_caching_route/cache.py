"""`FastAPICache`, the public class: the `@cache` decorator, invalidation, and access to entries by key."""

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Generator, Iterable, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from typing import Annotated, Any, NoReturn, TypeVar, cast, overload

from fastapi import APIRouter, FastAPI
from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import Response
from typing_extensions import Doc, Self, Unpack

from fastapi_caching_route._backends.aiocache import Backend, BaseCache
from fastapi_caching_route._concurrency.tasks import ends_of, on_asyncio
from fastapi_caching_route._concurrency.workers import tell_of_workers
from fastapi_caching_route._core.checks import check_flag, check_positive, checked_namespace
from fastapi_caching_route._core.durations import Seconds
from fastapi_caching_route._core.key_names import key_name
from fastapi_caching_route._core.names import EVERYTHING, names_of_tags, namespace_name, path_name, path_of
from fastapi_caching_route._functions.decorating import FunctionDecorator, FunctionOptions
from fastapi_caching_route._functions.get_or_set import Value, ValueOptions
from fastapi_caching_route._functions.locks import CacheLock
from fastapi_caching_route._functions.threads import run_in_own_loop
from fastapi_caching_route._routes.all_workers import begin_publishing, end_publishing, stats_of_all
from fastapi_caching_route._routes.building import LATER, check_observer, settings_of
from fastapi_caching_route._routes.by_hand import find_by_hand, keep_by_hand
from fastapi_caching_route._routes.caches import note_alive
from fastapi_caching_route._routes.counted import stats_of
from fastapi_caching_route._routes.decorating import (
    caching_class,
    checked_options,
    decorate_with,
    given_options,
    let_skip,
)
from fastapi_caching_route._routes.decorating_writes import invalidates_with
from fastapi_caching_route._routes.erasing import erase
from fastapi_caching_route._routes.installing import let_cache, note_lifespan
from fastapi_caching_route._routes.listed import entries_of
from fastapi_caching_route._routes.mistaken import warn_of_mistaken, warn_of_namespace
from fastapi_caching_route._routes.settings import Settings
from fastapi_caching_route._routes.start_up import check_start
from fastapi_caching_route._routes.targets import checked_connection, names_of, names_of_endpoint, names_of_path
from fastapi_caching_route._routes.warming_up import WarmUp
from fastapi_caching_route._store.by_url import backend_at, url_in_environment
from fastapi_caching_route._store.given import keys_to_find
from fastapi_caching_route._store.soon import refuse_in_loop
from fastapi_caching_route.callables import Tags
from fastapi_caching_route.entries import EntryInfo
from fastapi_caching_route.errors import ConfigurationError
from fastapi_caching_route.events import Observer
from fastapi_caching_route.explain import RouteReport, explain
from fastapi_caching_route.memory import MemoryCache
from fastapi_caching_route.options import CacheOptions, RouteOptions
from fastapi_caching_route.params import CachedResponse, CacheParams, CacheParamsBase
from fastapi_caching_route.policy import CachePolicy
from fastapi_caching_route.route import CachingRoute
from fastapi_caching_route.stats import CacheStats
from fastapi_caching_route.warming import Warmed, WarmReport

logger: logging.Logger = logging.getLogger('fastapi_caching_route')

Endpoint = TypeVar('Endpoint', bound=Callable[..., Any])
T = TypeVar('T')


class FastAPICache:
    """A response cache for routes of the class `CachingRoute`, which stores responses in any aiocache backend.

    The object itself is the decorator: write `@cache(ttl=60)` above or below the route decorator.

    Raises:
        ConfigurationError: an option is not valid; the message names it.

    """

    def __init__(
        self,
        cache: Annotated[
            Backend | str | None,
            Doc(
                'Any aiocache backend, whose namespace and ttl are the defaults, or a URL as for `from_url`. '
                'None: a new `MemoryCache()`.'
            ),
        ] = None,
        **options: Unpack[CacheOptions],
    ) -> None:
        """Build a cache over a backend. This opens no connection. `CacheOptions` has the options."""
        backend = backend_at(cache) if isinstance(cache, str) else cache
        self._settings: Settings = settings_of(MemoryCache() if backend is None else backend, options)
        note_alive(self._settings)

    @classmethod
    def from_url(
        cls,
        url: Annotated[
            str,
            Doc(
                'Where the entries are stored, like `redis://user:password@10.0.0.1:6379/0?namespace=shop`, '
                '`memcached://10.0.0.1`, `lmdb:///var/cache/shop` or `memory://`. '
                'Options of the backend follow the `?`.'
            ),
        ],
        **options: Unpack[CacheOptions],
    ) -> Self:
        """A cache in the store that a URL describes, with the keyword options of `FastAPICache(...)`.

        The schemes are `redis`, `rediss` (TLS), `unix`, `redis+sentinel`, `redis+cluster`, the same with `valkey`,
        `memcached`, `lmdb` and `memory`. Nothing is opened.

        Raises:
            ConfigurationError: the URL or one of its options cannot be used, or a client is not installed. The message
                contains no credentials.

        """
        return cls(backend_at(url), **options)

    @classmethod
    def from_env(cls, **options: Unpack[CacheOptions]) -> Self:
        """A cache in the store whose URL is in the environment variable `FASTAPI_CACHE_URL`; see `from_url`.

        Raises:
            ConfigurationError: the variable is not set, or as for `from_url`.

        """
        return cls.from_url(url_in_environment(), **options)

    @classmethod
    def deferred(cls, **options: Unpack[CacheOptions]) -> Self:
        """A cache whose backend is set later by `use`, with the keyword options of `FastAPICache(...)`.

        It is for app factories, and for apps that read their settings when they start. Endpoints can be decorated and
        routes can be added before. Until `use` is called, each request bypasses the cache, an error is logged once, and
        invalidations are pending.
        """
        return cls(LATER, **options)

    def use(
        self, backend: Annotated[Backend | str, Doc('Any aiocache backend, or a URL as for `from_url`.')], /
    ) -> None:
        """Set the backend of a cache from `deferred()`, once, in the lifespan of the app.

        Pending invalidations are sent there. After `cache.lifespan` or `async with cache:` has ended, it may be called
        again with a backend of the same namespace and ttl, as when tests start one app several times.

        Raises:
            ConfigurationError: the cache has a backend, this is not a backend, or the URL cannot be used.

        """
        self._settings.use(backend_at(backend) if isinstance(backend, str) else backend)
        tell_of_workers(is_shared=self._settings.store.is_shared)

    @property
    def backend(self) -> BaseCache:
        """The aiocache backend that stores the responses, as it was given.

        Raises:
            ConfigurationError: the cache is from `deferred()`, and `use` was not called yet.

        """
        return self._settings.checked_backend()

    @backend.setter
    def backend(self, backend: object) -> NoReturn:  # noqa: ARG002, it is refused
        msg = (
            'the backend cannot be assigned, because routes use it: build a new FastAPICache(backend); to set the '
            'backend when the app starts, build FastAPICache.deferred() and call cache.use(backend) in the lifespan'
        )
        raise ConfigurationError(msg)

    @property
    def policy(self) -> CachePolicy:
        """The defaults for the options of `@cache(...)`."""
        return self._settings.policy

    @property
    def accepted_status_codes(self) -> frozenset[int]:
        """Responses with these statuses are stored, in addition to those in `status_ttl`."""
        return self._settings.accepted_status_codes

    @property
    def enabled(self) -> bool:
        """Whether the cache is in use. It can be assigned at any time, for new requests of all threads and tasks.

        While it is False, requests bypass the cache, as in `with cache.disabled():`. Invalidations still work.

        Raises:
            ConfigurationError: the value is not True or False.

        """
        return not self._settings.runtime.switch.is_disabled

    @enabled.setter
    def enabled(self, enabled: bool) -> None:
        check_flag('enabled', enabled)
        self._settings.runtime.switch.enable(enabled=enabled)

    def dependency(self) -> Self:
        """This cache, for `Depends(cache.dependency)` in endpoints that invalidate. It adds nothing to cache keys."""
        return self

    def __call__(self, *positional: object, **options: Unpack[RouteOptions]) -> Callable[[Endpoint], Endpoint]:
        """Decorate an endpoint: its responses are cached on every `CachingRoute` that serves it.

        `CachePolicy` has the options. Those that are omitted or None come from the `policy` of this cache. The endpoint
        itself is returned. If an endpoint is decorated several times, the last decorator applies on all of its routes.

        Raises:
            ConfigurationError: an option is not valid, or the endpoint cannot be decorated.

        """
        if positional:
            msg = (
                '@cache needs parentheses and takes its options by name, like @cache() or @cache(ttl=60), '
                f'got {positional}'
            )
            raise ConfigurationError(msg)
        given = checked_options(options)

        def decorate(endpoint: Endpoint) -> Endpoint:
            decorate_with(self._settings, given, endpoint)
            return endpoint

        return decorate

    def skip(self, endpoint: Endpoint, /) -> Endpoint:
        """Decorate an endpoint that no router caches: `@cache.skip`, above or below the route decorator.

        It is for routers that cache all of their routes, as with `route_class`.

        Raises:
            ConfigurationError: the endpoint is decorated with `@cache(...)` as well, or cannot be decorated.

        """
        let_skip(self._settings, endpoint)
        return endpoint

    def route_class(self, **options: Unpack[RouteOptions]) -> type[CachingRoute]:
        """A class of routes that are cached without a decorator: `APIRouter(route_class=cache.route_class(ttl=60))`.

        `GET` is cached on each of them, and `HEAD` where a route has both. Not on routes with `@cache.skip` or
        `@cache.invalidates`, nor on websockets. With `@cache(...)`, only the options of the decorator apply.

        All dependencies run on hits, and only the endpoint does not, unless `route_dependencies` is given.

        Raises:
            ConfigurationError: an option is not valid.

        """
        return caching_class(CachingRoute, self._settings, checked_options(options, 'route_class'))

    def install(
        self,
        app: Annotated[FastAPI | APIRouter, Doc('The app or router, before routes are added to it.')],
        **options: Unpack[RouteOptions],
    ) -> None:
        """Make the routes that are added to this app or router from now on `CachingRoute`s, which can be cached.

        With options, like `ttl=60`, they are cached without a decorator, as with `route_class`; with those of the
        cache, by `policy=cache.policy`. Options that are None count as omitted, so `ttl=None` caches no more than
        `install(app)`. An app or router with a route class of its own gets a class that is both. Routers that are
        included keep theirs. What its lifespan yields as state is noted, as by `lifespan_state`.

        Raises:
            ConfigurationError: a decorated endpoint already has a plain route there, `app` has no routes, or an option
                is not valid.

        """
        given = checked_options(options, 'install')
        let_cache(app, self.route_class(**given) if given else CachingRoute, CachingRoute)
        note_lifespan(app, self._settings.lifespan_state)

    def lifespan_state(self, **objects: Any) -> dict[str, Any]:
        """Return these objects as the state that the lifespan of an app yields, and remember that they are no input.

            yield cache.lifespan_state(pool=pool, client=client)

        An endpoint that reads such an object from `request.state` is cached like any other: it is the same object for
        all requests. If middleware puts another one in its place, that request is a different one. What the object
        itself knows of a request cannot be seen, as with a global variable.
        """
        self._settings.lifespan_state.note(objects)
        return objects

    def function(self, *positional: object, **options: Unpack[FunctionOptions]) -> FunctionDecorator:
        """Decorate a function or a method: what it returns is cached, in the same store as responses.

        An async function stays async, and a plain one plain. See `FunctionOptions` for the options, and
        `CachedFunction` for what a cached function can do.

        Raises:
            ConfigurationError: an option is not valid.

        """
        if positional:
            msg = f'@cache.function needs parentheses and takes its options by name, got {positional}'
            raise ConfigurationError(msg)
        return FunctionDecorator(self._settings, **options)

    @overload
    async def get_or_set(
        self,
        key: str,
        factory: Callable[[], Awaitable[T]],
        *,
        ttl: Seconds | None = None,
        **options: Unpack[ValueOptions],
    ) -> T: ...

    @overload
    async def get_or_set(
        self, key: str, factory: Callable[[], T], *, ttl: Seconds | None = None, **options: Unpack[ValueOptions]
    ) -> T: ...

    async def get_or_set(self, key: str, factory: Callable[[], Any], **options: Any) -> Any:
        """Return the value that is stored under a key, or call the factory, an async or a plain function, and store it.

        Concurrent calls with one key share one run of the factory. The value is stored by the return annotation of the
        factory, or by `returns`, for `ttl` seconds; without it, for the ttl of the `policy` of this cache, or else of
        the backend. `invalidate_cached(key)` invalidates it.

        Raises:
            ConfigurationError: an argument is not valid.
            Exception: what the factory raises; it is not stored.

        """
        return await Value(self._settings, key, factory, **options).get()

    def lock(
        self,
        key: Annotated[str, Doc('The name of the lock.')],
        *,
        timeout: Annotated[Seconds, Doc('For how many seconds to wait for it, at most.')] = 10.0,
        lease: Annotated[Seconds, Doc('After how many seconds it is free again, even if its holder died.')] = 60.0,
    ) -> CacheLock:
        """A lock with one holder at a time in all processes: `async with cache.lock('report', timeout=5, lease=30):`.

        Raises:
            ConfigurationError: an argument is not valid.
            LockTimeoutError: by `async with`: it was not free within `timeout`, or the backend failed all the while.
            LockLostError: at the end of the `async with` or by a check: its lease was over before.

        """
        return CacheLock(self._settings, key, timeout=timeout, lease=lease)

    async def get_cached(self, key: str, namespace: str | None = None) -> CachedResponse | None:
        """The fresh response stored under the key of a `key_builder` or `CacheContext`, or None.

        For the key of a `key_builder`, and for the text of a `CacheContext.key`, give the namespace of its route, if it
        has one.

        Raises:
            ConfigurationError: the key or the namespace is not valid.

        """
        return await find_by_hand(self._settings, key, namespace)

    async def set_cached(
        self,
        key: str,
        value: CachedResponse | Response | Mapping[str, Any],
        caching_params: CacheParamsBase | None = None,
    ) -> bool:
        """Store a response under the key of a `key_builder`, as if the endpoint had returned it; say whether it is.

        It may also be a dict with `content`, `headers` and `status_code`, as from `get_cached`.

        The same rules apply as to any response, but `store_if` is not called. With a ttl of 0, nothing is stored. The
        default ttl is the shortest of the routes with a `key_builder` in this namespace, because a key does not show
        its route; without such a route, it is that of the `policy` of this cache, or else of the backend. Under the
        `CacheContext.key` of a route without a `key_builder`, the options of that route apply.

        Raises:
            ConfigurationError: the response must not be stored, and the message names the reason; or the key is a
                `CacheContext.key` under which no request would find it, or the text of one.

        """
        return await keep_by_hand(self._settings, key, value, given_options(caching_params))

    async def invalidate_cached(self, key: str, namespace: str | None = None, *, soft: bool = False) -> int:
        """Invalidate the entry under the key of a `key_builder` or `CacheContext`. Return the number deleted: 0 or 1.

        When an invalidation method returns, no process that shares the backend serves a response computed before the
        call. With `soft`, entries with a stale window become stale instead, and the next request renews them; all other
        entries are invalidated.

        Raises:
            ConfigurationError: the key or the namespace is not valid.
            InvalidationError: the backend has not taken the invalidation. It already applies in this process, and is
                retried until it succeeds.

        """
        keys = keys_to_find(self._settings.full_namespace, key, namespace)
        names = tuple(map(key_name, keys))  # all at once: if the backend refuses them, all are pending
        deleted = await self._settings.store.invalidate(names, soft_at=self._soft_at(soft), keys=() if soft else keys)
        return min(deleted, 1)

    async def invalidate_tags(self, *tags: str, soft: bool = False) -> None:
        """Invalidate all entries that have one of the tags. With `soft`, those with a stale window become stale.

        Raises:
            ConfigurationError: no tag is given, or one is not a str.
            InvalidationError: as for `invalidate_cached`.

        """
        if not tags or not all(isinstance(tag, str) for tag in tags):
            msg = f"invalidate_tags takes one or more str, like 'user:7', got {tags!r}"
            raise ConfigurationError(msg)
        warn_of_mistaken(self._settings, tags=tags)
        await self._settings.store.invalidate(tuple(names_of_tags(tags)), soft_at=self._soft_at(soft))

    async def invalidate_endpoint(
        self, endpoint: Callable[..., Any], /, *, soft: bool = False, **path_params: Any
    ) -> None:
        """Invalidate all entries of an endpoint, or only those with the given path parameters, which are validated.

        Raises:
            ConfigurationError: this cache does not cache the endpoint, or the path parameters do not match it.
            InvalidationError: as for `invalidate_cached`.

        """
        await self._settings.store.invalidate(
            names_of_endpoint(endpoint, path_params, self._settings), soft_at=self._soft_at(soft)
        )

    async def invalidate_path(self, path: str, prefix: bool = False, *, soft: bool = False) -> None:  # noqa: FBT001, FBT002, it reads well
        """Invalidate all entries of a path: decoded, but for `%3F` and `%23`, and without a query.

        `/users/*` stands for all paths below `/users`, like `/users/7`, but not for `/users` itself or `/users2`. With
        `prefix`, `/users` stands for itself and all paths below it. To know how many there were, use `erase`.

        Raises:
            ConfigurationError: `path` is not a path, or has a `*` in another place.
            InvalidationError: as for `invalidate_cached`.

        """
        names = names_of_path(path, prefix=prefix)
        warn_of_mistaken(self._settings, paths=[path])
        await self._settings.store.invalidate(names, soft_at=self._soft_at(soft))

    async def invalidate_request(self, request: HTTPConnection, *, soft: bool = False) -> None:
        """Invalidate all entries of the path of a request, whatever their query, headers and credentials.

        Raises:
            ConfigurationError: it is not a request.
            InvalidationError: as for `invalidate_cached`.

        """
        path = path_of(checked_connection('invalidate_request', request).scope)
        await self._settings.store.invalidate((path_name(path),), soft_at=self._soft_at(soft))

    async def invalidate_namespace(self, namespace: str, *, soft: bool = False) -> None:
        """Invalidate all entries of the routes with this `namespace`.

        Raises:
            ConfigurationError: `namespace` is empty or not valid.
            InvalidationError: as for `invalidate_cached`.

        """
        if checked_namespace(namespace) is None:
            msg = (
                f'invalidate_namespace takes the namespace of a route, got {namespace!r}; '
                'use clear() to invalidate everything'
            )
            raise ConfigurationError(msg)
        full = self._settings.full_namespace(namespace)
        warn_of_namespace(self._settings, namespace)
        await self._settings.store.invalidate((namespace_name(full),), soft_at=self._soft_at(soft))

    async def clear(self, *, soft: bool = False) -> None:
        """Invalidate all entries of this cache, and of other caches with the same backend and namespace.

        Other keys in the backend are not touched.

        Raises:
            InvalidationError: as for `invalidate_cached`.

        """
        await self._settings.store.invalidate((EVERYTHING,), soft_at=self._soft_at(soft))

    async def entries(
        self,
        *,
        route: Annotated[str | None, Doc('Those of this path template.')] = None,
        endpoint: Annotated[Callable[..., Any] | None, Doc('Those of this endpoint.')] = None,
        path: Annotated[str | None, Doc('Those of this path.')] = None,
        tag: Annotated[str | None, Doc('Those with this tag.')] = None,
        dead: Annotated[bool, Doc('Whether to list invalidated ones, too, whose bytes are still stored.')] = False,
    ) -> AsyncGenerator[EntryInfo, None]:
        """List what is stored, without bodies: `async for entry in cache.entries(tag='user:7')`.

        All entries are looked at, page by page; in Redis, by `SCAN`. What is stored or deleted meanwhile may be in the
        list or not.

        Raises:
            ConfigurationError: the backend cannot list what it stores, as memcached; or an argument is not valid.
            CacheError: the backend fails.

        """
        wanted = [
            *([] if endpoint is None else [names_of_endpoint(endpoint, {}, self._settings)]),
            *([] if path is None else [names_of_path(path, prefix=False)]),
            *([] if tag is None else [names_of([tag], None, None, self._settings)]),
        ]
        async for it in entries_of(self._settings, wanted, route, dead=dead):
            yield it

    async def erase(
        self,
        *,
        tags: Collection[str] | None = None,
        endpoints: Collection[Callable[..., Any]] | None = None,
        paths: Collection[str] | None = None,
        everything: bool = False,
    ) -> int:
        """Invalidate entries, and delete their bytes, for data that must be gone; return how many were deleted.

        An invalidation leaves them in the store until they expire. Also deletes what was invalidated before, and what
        tells of variants. It does not reach near copies of other processes, freed bytes in a file, and snapshots.

        Raises:
            ConfigurationError: the backend cannot list what it stores, as memcached, and nothing was invalidated; or as
                for `invalidate_soon`.
            InvalidationError: as for `invalidate_cached`.
            CacheError: the backend failed meanwhile.

        """
        names = (EVERYTHING,) if everything else names_of(tags, endpoints, paths, self._settings)
        return await erase(self._settings, names)

    def invalidate_soon(
        self,
        *,
        tags: Collection[str] | None = None,
        endpoints: Collection[Callable[..., Any]] | None = None,
        paths: Collection[str] | None = None,
    ) -> None:
        """Invalidate from code that cannot await, like the hooks of an ORM, in any thread.

        When it returns, this process serves none of these entries, and stores no affected response that was already
        being computed. An event loop of this process, or a thread if there is none, then sends the invalidation to the
        backend, and retries until it succeeds. `cache.lifespan` and `async with cache:` send what is still pending when
        they end.

        Raises:
            ConfigurationError: nothing is given, an argument has the wrong type, or this cache does not cache an
                endpoint.

        """
        self._settings.store.invalidate_soon(names_of(tags, endpoints, paths, self._settings))

    def invalidate_now(
        self,
        *,
        tags: Collection[str] | None = None,
        endpoints: Collection[Callable[..., Any]] | None = None,
        paths: Collection[str] | None = None,
    ) -> None:
        """Invalidate from code without an event loop, like a script or a Celery task. Blocks until the backend has it.

        Raises:
            ConfigurationError: as for `invalidate_soon`; or an event loop runs in this thread, and would be blocked.
            InvalidationError: as for `invalidate_cached`.

        """
        names = names_of(tags, endpoints, paths, self._settings)
        refuse_in_loop()
        self._settings.store.invalidate_now(names)

    def invalidates(
        self,
        *positional: object,
        tags: Collection[str] | Tags = (),
        endpoints: Collection[Callable[..., Any]] = (),
        paths: Collection[str] = (),
    ) -> Callable[[Endpoint], Endpoint]:
        """Decorate a write: on a 2xx or 3xx, it invalidates entries before the response is sent.

        Without arguments, it invalidates the entries of its own path. Tags and paths may contain path and query
        parameters of the write in braces; `tags` may be a callable of the request. All entries of the given endpoints
        are invalidated. On a plain `APIRoute`, put it below the route decorator. If the backend fails, the write still
        succeeds, with a warning; the invalidation already applies in this process, and is retried until it succeeds.

        Raises:
            ConfigurationError: an option has the wrong type, or this cache does not cache an endpoint.

        """
        if positional:
            msg = f'@cache.invalidates needs parentheses and takes its options by name, got {positional}'
            raise ConfigurationError(msg)
        return invalidates_with(self._settings, tags, endpoints, paths)

    async def __aenter__(self) -> Self:
        """Check what `lifespan` checks, as far as that needs no app, and let this event loop send what is pending."""
        await check_start(self._settings, None)
        self._open()
        return self

    def _open(self) -> None:
        if on_asyncio():
            self._settings.store.open()
            begin_publishing(self._settings)

    async def __aexit__(self, *raised: object) -> None:
        """Close the connections of this event loop, after its running and pending invalidations.

        The backend and its own client belong to the user, and stay open. The cache can be used again.
        """
        if on_asyncio():
            await end_publishing(self._settings)
            if self._settings.purging is not None:
                await self._settings.purging.end()
            await ends_of(self._settings.runtime.compressing)
            # Each event loop has connections of its own: those of this one, and of the thread for plain functions.
            await self._settings.store.close()
            await run_in_own_loop(self._settings.store.close())

    @asynccontextmanager
    async def lifespan(self, app: object) -> AsyncGenerator[None, None]:
        """For `FastAPI(lifespan=cache.lifespan)`: runs the app inside `async with cache:`.

        As the app starts, it warns about each decorated endpoint that no `CachingRoute` serves, about several workers
        with a backend in memory, about a backend that does not answer, and about a Redis that is bounded and evicts
        nothing.

        Raises:
            ConfigurationError: one of these is so, and the cache is `strict`.

        """
        await check_start(self._settings, app)
        self._open()
        try:
            yield
        finally:
            await self.__aexit__()

    def _soft_at(self, soft: bool) -> float | None:  # noqa: FBT001, passed on
        return self._settings.runtime.clock() if soft else None

    async def warm(
        self,
        app: Annotated[Callable[..., Any], Doc('The app, with its middleware. Its lifespan is not run.')],
        urls: Annotated[Iterable[str], Doc('Paths with queries, like `/users?page=1`, or whole URLs.')],
        *,
        headers: Annotated[Mapping[str, str] | None, Doc('Of all requests: credentials, languages.')] = None,
        base_url: Annotated[str, Doc('Scheme and host of the requests: both may be in the key.')] = 'http://localhost',
        concurrency: Annotated[int, Doc('How many requests run at a time.')] = 8,
        timeout: Annotated[float, Doc('Seconds for each request.')] = 60.0,
        progress: Annotated[Callable[[Warmed], object] | None, Doc('Called after each request.')] = None,
    ) -> WarmReport:
        """Send requests through the app itself, so that their responses are stored; report what became of each.

        Nothing is raised for a request that fails. Entries that are there are not renewed.

        Raises:
            ConfigurationError: an argument is not valid.

        """
        check_positive('concurrency', concurrency)
        check_positive('timeout', timeout)
        warming = WarmUp(self._settings, app, base_url, headers, timeout)
        return await warming.run(urls, concurrency, progress)

    def explain(
        self, app: Annotated[Any, Doc('A FastAPI or Starlette app with all of its routes.')]
    ) -> tuple[RouteReport, ...]:
        """Report on each route of an app: whether it is cached, its key, the clients that share it, and warnings.

        Also on the command line: `python -m fastapi_caching_route explain module:app`.
        """
        return explain(app)

    def observe(self, observer: Annotated[Observer, Doc('A plain function of one record.')], /) -> None:
        """Call one more observer from now on, in addition to those of `FastAPICache(observer=...)`.

        Raises:
            ConfigurationError: it is not a plain function.

        """
        check_observer(observer)
        self._settings.runtime.observers.add(observer)

    def stats(self) -> CacheStats:
        """The counters of this cache in this process, by route and in all, and the state of its store.

        It is counted without an observer. Threads may lose a count now and then.
        """
        return stats_of(self._settings)

    async def stats_of_all_workers(self) -> CacheStats:
        """The sum over all processes that share the store; `workers` has each of them.

        They publish what they have counted every five seconds, in the lifespan of the cache. A process that has ended
        is missing. In a store of this process, it is `stats()`.

        Raises:
            CacheError: the store cannot be read.

        """
        return await stats_of_all(self._settings)

    @contextmanager
    def disabled(self) -> Generator[None]:
        """Bypass the cache for new requests: `with cache.disabled():`, in tests.

        New requests look nothing up and store nothing. Requests that are already running are not affected, and
        `get_cached` still finds entries.

        Dependencies run as without a cache, including those of `@cache(dependencies=...)`. Invalidations still work.
        This applies to all threads and tasks of this process.
        """
        self._settings.runtime.switch.times_off += 1
        try:
            yield
        finally:
            self._settings.runtime.switch.times_off -= 1

    def prepare_cache_params(self, params: CacheParamsBase | None = None) -> CacheParams:
        """Return the options for `set_cached`, checked, with their namespace joined to that of the backend.

        The joined namespace stays what it is: `set_cached` and `get_cached` do not join it again.

        Raises:
            ConfigurationError: an option is not valid.

        """
        given = given_options(params)
        policy = replace(self._settings.policy, **given)
        prepared: dict[str, Any] = {name: getattr(policy, name) for name in given}
        if 'namespace' in given:
            prepared['namespace'] = self._settings.joined(policy.namespace)
        return cast('CacheParams', prepared)

    def set_cache_header(self, response: Response | MutableHeaders, *, hit: bool) -> None:
        """Set the cache header of a response, or of its headers, to the value for a hit or a miss."""
        name, value = self._settings.hit if hit else self._settings.miss
        headers = response.headers if isinstance(response, Response) else response
        headers[name.decode('latin-1')] = value.decode('latin-1')
