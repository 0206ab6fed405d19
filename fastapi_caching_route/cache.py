"""`FastAPICache`: what users hold in their hands. The decorator, and entries by their keys."""

import logging
import time
from collections.abc import AsyncGenerator, Callable, Collection, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from typing import Annotated, Any, Literal, NoReturn, TypeVar, cast

from fastapi.params import Depends
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Router
from typing_extensions import Doc, Self

from fastapi_caching_route._backends.aiocache import Backend, BaseCache
from fastapi_caching_route._concurrency.tasks import on_asyncio
from fastapi_caching_route._concurrency.workers import tell_of_workers
from fastapi_caching_route._core.asgi import Scope
from fastapi_caching_route._core.checks import check_takes_one, checked_paths, checked_templates
from fastapi_caching_route._core.inputs import LEFT_OUT_OF_RAW_KEYS
from fastapi_caching_route._core.names import (
    EVERYTHING,
    PathValues,
    key_name,
    names_of_key,
    names_of_tags,
    namespace_name,
)
from fastapi_caching_route._fastapi.endpoints import INVALIDATES, attach, layers, name_of
from fastapi_caching_route._fastapi.writing import followed_by
from fastapi_caching_route._routes.caches import note_alive
from fastapi_caching_route._routes.decoration import Decoration, check_decorated, document_decorated, invalidates_of
from fastapi_caching_route._routes.settings import Settings, checked_settings
from fastapi_caching_route._routes.targets import check_endpoints, names_of, names_of_endpoint, names_of_path
from fastapi_caching_route._routes.writes import Invalidates, invalidate_for_all
from fastapi_caching_route._store.given import keep_given, key_to_find, key_to_store, note_ttl
from fastapi_caching_route._store.soon import refuse_in_loop
from fastapi_caching_route._store.visit import Found
from fastapi_caching_route.control import CacheControl
from fastapi_caching_route.errors import ConfigurationError
from fastapi_caching_route.explain import RouteReport, explain
from fastapi_caching_route.memory import MemoryCache
from fastapi_caching_route.params import CachedResponse, CacheParams, CacheParamsBase
from fastapi_caching_route.policy import CachePolicy, Identity, KeyBuilder, Skip, StoreIf, Tags, suspicious

logger: logging.Logger = logging.getLogger('fastapi_caching_route')

DEFAULT_ACCEPTED_STATUS_CODES = frozenset({200})
"""Statuses of which answers are stored where nothing else is said."""

Endpoint = TypeVar('Endpoint', bound=Callable[..., Any])


class FastAPICache:
    """A response cache in any backend of aiocache, for routes of the class `CachingRoute`.

    The object itself is the decorator: `@cache(ttl=60)` above or below the route decorator.

    Raises:
        ConfigurationError: an option is out of its range; the message names it.

    """

    def __init__(
        self,
        cache: Annotated[
            Backend | None,
            Doc('Any aiocache backend; its namespace and ttl are the defaults here. None for a `MemoryCache()`.'),
        ] = None,
        *,
        namespace_policy: Annotated[
            Literal['concat', 'replace'],
            Doc("What a namespace of a route does to the backend's: `api` and `users` give `api:users`, or `users`."),
        ] = 'concat',
        cache_header: Annotated[str, Doc('The response field that says HIT or MISS.')] = 'X-Cache',
        cache_header_hit: Annotated[str, Doc('Its value on an answer from an entry.')] = 'HIT',
        cache_header_miss: Annotated[str, Doc('Its value on an answer that is being stored.')] = 'MISS',
        cache_status: Annotated[
            str | None, Doc('The name of this cache in `Cache-Status` (RFC 9211), which says what happened and why.')
        ] = 'FastAPICache',
        accepted_status_codes: Annotated[
            Collection[int], Doc('Statuses of which answers are stored; never 206, 304, 412 and 416.')
        ] = DEFAULT_ACCEPTED_STATUS_CODES,
        version: Annotated[
            str, Doc('Part of every key of declared inputs: change it when a deploy changes what responses look like.')
        ] = '',
        policy: Annotated[CachePolicy | None, Doc('Defaults for the options of `@cache(...)`.')] = None,
        signing_key: Annotated[
            str | bytes | Sequence[str | bytes] | None,
            Doc(
                'Signs entries outside of the process (HMAC-SHA256). Of several keys the first signs, and all are taken.'
            ),
        ] = None,
        store_timeout: Annotated[
            float, Doc('Seconds to wait for a backend outside of the process; then the endpoint answers without it.')
        ] = 0.25,
        left_out_of_raw_keys: Annotated[
            Collection[str], Doc('Request fields that do not count on routes that take the raw request.')
        ] = LEFT_OUT_OF_RAW_KEYS,
        recording_budget: Annotated[
            int, Doc('Bytes that all streams together hold that are being recorded; further ones are not stored.')
        ] = 64 * 1024 * 1024,
        clock: Annotated[
            Callable[[], float], Doc('Seconds since the epoch, the same in all processes that share the backend.')
        ] = time.time,
        mode: Annotated[
            Literal['policy', 'rfc9111'],
            Doc("`'policy'`: the route decides, and its answers may only shorten. `'rfc9111'`: the fields decide."),
        ] = 'policy',
        invalidate_on_write: Annotated[
            bool,
            Doc(
                'Whether an answer of 2xx or 3xx to PUT, PATCH, DELETE or an undecorated POST invalidates its path (RFC 9111 §4.4).'
            ),
        ] = True,
        document: Annotated[
            bool,
            Doc('Whether OpenAPI describes the 304 and the fields of cached routes; else it is as without a cache.'),
        ] = False,
    ) -> None:
        """Build a cache over a backend; nothing is opened."""
        self._settings: Settings = checked_settings(
            MemoryCache() if cache is None else cache,
            namespace_policy=namespace_policy,
            cache_header=cache_header,
            cache_header_hit=cache_header_hit,
            cache_header_miss=cache_header_miss,
            cache_status=cache_status,
            accepted_status_codes=accepted_status_codes,
            version=version,
            policy=policy,
            signing_key=signing_key,
            store_timeout=store_timeout,
            left_out_of_raw_keys=left_out_of_raw_keys,
            recording_budget=recording_budget,
            clock=clock,
            mode=mode,
            invalidate_on_write=invalidate_on_write,
            document=document,
        )
        note_alive(self._settings)

    @property
    def backend(self) -> BaseCache:
        """The cache of aiocache in which responses are stored, as it was given."""
        return self._settings.backend

    @backend.setter
    def backend(self, backend: object) -> NoReturn:
        msg = f'the backend cannot be replaced, because routes use it already; build a new FastAPICache(backend), got {backend!r}'
        raise ConfigurationError(msg)

    @property
    def policy(self) -> CachePolicy:
        """The defaults for the options of `@cache(...)`."""
        return self._settings.policy

    @property
    def accepted_status_codes(self) -> frozenset[int]:
        """The statuses of which responses are stored, beside those of `status_ttl`."""
        return self._settings.accepted_status_codes

    def __call__(
        self,
        *positional: object,
        key_builder: Annotated[KeyBuilder | None, Doc('See `CachePolicy`, for this and all others.')] = None,
        dependencies: Sequence[Depends] | None = None,
        identity: Literal['auto', 'shared'] | Identity | None = None,
        route_dependencies: Literal['always', 'on_miss'] | None = None,
        vary_headers: Collection[str] | None = None,
        namespace: str | None = None,
        ttl: float | None = None,
        tags: Collection[str] | Tags | None = None,
        stale_while_revalidate: float | None = None,
        stale_if_error: float | None = None,
        revalidate: bool | None = None,
        client_cache_control: bool | None = None,
        cache_control: str | CacheControl | None = None,
        cdn_cache_control: str | CacheControl | None = None,
        status_ttl: Mapping[int, float] | None = None,
        skip: Skip | None = None,
        store_if: StoreIf | None = None,
        max_body_size: int | None = None,
        collapse: bool | None = None,
        collapse_timeout: float | None = None,
        lock: bool | None = None,
        eager_refresh: float | None = None,
        ttl_jitter: float | None = None,
        endpoint_timeout: float | None = None,
    ) -> Callable[[Endpoint], Endpoint]:
        """Decorate an endpoint: its answers are cached wherever it stands behind a `CachingRoute`.

        What is left out, or None, is taken from the policy of this cache. The endpoint itself is returned. Where it is
        decorated several times, the last one counts, on all of its routes.

        Raises:
            ConfigurationError: an option is out of its range, or the endpoint cannot be decorated.

        """
        if positional:
            msg = f'@cache needs parentheses and takes its options by name, like @cache() or @cache(ttl=60), got {positional}'
            raise ConfigurationError(msg)
        given = _said(
            {
                'key_builder': key_builder,
                'dependencies': dependencies,
                'identity': identity,
                'route_dependencies': route_dependencies,
                'vary_headers': vary_headers,
                'namespace': namespace,
                'ttl': ttl,
                'tags': tags,
                'stale_while_revalidate': stale_while_revalidate,
                'stale_if_error': stale_if_error,
                'revalidate': revalidate,
                'client_cache_control': client_cache_control,
                'cache_control': cache_control,
                'cdn_cache_control': cdn_cache_control,
                'status_ttl': status_ttl,
                'skip': skip,
                'store_if': store_if,
                'max_body_size': max_body_size,
                'collapse': collapse,
                'collapse_timeout': collapse_timeout,
                'lock': lock,
                'eager_refresh': eager_refresh,
                'ttl_jitter': ttl_jitter,
                'endpoint_timeout': endpoint_timeout,
            }
        )

        settings = self._settings

        def decorate(endpoint: Endpoint) -> Endpoint:
            try:
                if endpoint is None or isinstance(endpoint, Starlette | Router):
                    msg = 'this is not an endpoint; decorate the functions behind the routes, not apps or routers'
                    raise ConfigurationError(msg)  # noqa: TRY301, said once for all
                policy = replace(settings.policy, **given)
                for option in ('key_builder', 'identity', 'tags', 'skip', 'store_if'):
                    check_takes_one(option, getattr(policy, option))
                note_ttl(settings.ttls, settings.full_namespace(policy.namespace), policy)
                decoration = Decoration(settings, policy)
                for layer in layers(endpoint):
                    attach(decoration, layer)
            except ConfigurationError as error:
                msg = f'@cache on {getattr(endpoint, "__qualname__", repr(endpoint))}: {error}'
                raise ConfigurationError(msg) from None
            for layer in layers(endpoint):
                check_decorated(layer)
                document_decorated(layer)
            for warning in suspicious(policy, by_the_book=settings.by_the_book):
                logger.warning('@cache on %s: %s', '.'.join(name_of(endpoint)), warning)
            settings.namesakes.of_endpoint(endpoint)
            settings.unserved.add(endpoint)
            return endpoint

        return decorate

    async def get_cached(self, key: str, namespace: str | None = None) -> CachedResponse | None:
        """The fresh response that is stored under a key of a `key_builder`, or under the key of a `CacheContext`; or None.

        With a key of a `key_builder`, give the namespace of its route, if it has one.
        """
        found = await self._settings.store.visit().look_up(key_to_find(self._settings.full_namespace, key, namespace))
        if not isinstance(found, Found) or found.age_and_left(self._settings.runtime.clock())[1] <= 0:
            return None
        entry = found.entry
        return CachedResponse(entry.body, entry.status, Headers(raw=list(entry.headers)))

    async def set_cached(
        self, key: str, value: CachedResponse | Response, caching_params: CacheParamsBase | None = None
    ) -> None:
        """Store a response under a key of a `key_builder`, in place of what the endpoint would answer.

        The rules of storing hold as for any answer, but `store_if` is not asked; with a ttl of 0, nothing is stored. Without a
        ttl, it is the shortest of the routes with a `key_builder` in this namespace, since a key does not tell its route; else
        that of the policy of this cache, else the backend's own.

        Raises:
            ConfigurationError: the response is not one that may be stored, and the message names the reason; or the key is
                the `CacheContext.key` of a route without a `key_builder`, or with another namespace.

        """
        given = _said(caching_params)
        policy = replace(self._settings.policy, **given)
        if 'ttl' not in given:
            policy = replace(
                policy, ttl=self._settings.ttls.get(self._settings.full_namespace(policy.namespace), policy.ttl)
            )
        namespace = None if policy.namespace is None else self._settings.full_namespace(policy.namespace)
        full = key_to_store(self._settings.full_namespace, key, policy.namespace)
        names = names_of_key(full, namespace)
        refused = await keep_given(
            self._settings.store.visit(),
            full,
            value,
            names=names,
            terms=self._settings.terms(policy),
            left_out=self._settings.cache_header,
            now=self._settings.runtime.clock(),
        )
        if refused not in (None, 'ttl'):
            msg = f'set_cached({key!r}, ...): the response must not be stored; the reason is {refused}'
            raise ConfigurationError(msg)

    async def invalidate_cached(self, key: str, namespace: str | None = None, *, soft: bool = False) -> int:
        """Invalidate what is stored under a key of a `key_builder` or of a `CacheContext`; return how many keys were deleted (0 or 1).

        This and all others of its kind hold, once they have returned, for every process that shares the backend: no
        answer is served from then on that was computed before. With `soft`, entries with a stale window are stale from
        then on, and are renewed by the next request; all others are invalidated as without.

        Raises:
            InvalidationError: the backend does not answer. This process uses nothing of it any more, and writes the
                invalidation as soon as it can.

        """
        full = key_to_find(self._settings.full_namespace, key, namespace)
        return await self._settings.store.invalidate(
            (key_name(full),), soft_at=self._soft_at(soft), key=None if soft else full
        )

    async def invalidate_tags(self, *tags: str, soft: bool = False) -> None:
        """Invalidate all entries that have one of the tags; with `soft`, they turn stale where they may.

        Raises:
            ConfigurationError: there is no tag, or one is not a text.
            InvalidationError: as for `invalidate_cached`.

        """
        if not tags or not all(isinstance(tag, str) for tag in tags):
            msg = f"invalidate_tags takes one or more str, like 'user:7', got {tags!r}"
            raise ConfigurationError(msg)
        await self._settings.store.invalidate(tuple(names_of_tags(tags)), soft_at=self._soft_at(soft))

    async def invalidate_endpoint(
        self, endpoint: Callable[..., Any], /, *, soft: bool = False, **path_params: Any
    ) -> None:
        """Invalidate all entries of an endpoint; with path parameters, those of these values, which are validated.

        Raises:
            ConfigurationError: the endpoint is not cached here, or these are not its path parameters.
            InvalidationError: as for `invalidate_cached`.

        """
        await self._settings.store.invalidate(
            names_of_endpoint(endpoint, path_params, self._settings), soft_at=self._soft_at(soft)
        )

    async def invalidate_path(self, path: str, prefix: bool = False, *, soft: bool = False) -> None:  # noqa: FBT001, FBT002, it reads well
        """Invalidate all entries of a path, decoded and without a query.

        With `prefix`, those of all paths below it too, at the boundary of a segment: `/users/7`, and not `/users2`.

        Raises:
            ConfigurationError: it is not a path.
            InvalidationError: as for `invalidate_cached`.

        """
        await self._settings.store.invalidate(names_of_path(path, prefix=prefix), soft_at=self._soft_at(soft))

    async def invalidate_namespace(self, namespace: str, *, soft: bool = False) -> None:
        """Invalidate all entries of the routes with this `namespace`.

        Raises:
            ConfigurationError: it cannot be a namespace.
            InvalidationError: as for `invalidate_cached`.

        """
        if not namespace:
            msg = f'invalidate_namespace takes the namespace of a route, got {namespace!r}; use clear() to invalidate everything'
            raise ConfigurationError(msg)
        await self._settings.store.invalidate(
            (namespace_name(self._settings.full_namespace(namespace)),), soft_at=self._soft_at(soft)
        )

    async def clear(self, *, soft: bool = False) -> None:
        """Invalidate all entries of this cache, and of others that share the backend and its namespace.

        What else is kept in the backend stays untouched.

        Raises:
            InvalidationError: as for `invalidate_cached`.

        """
        await self._settings.store.invalidate((EVERYTHING,), soft_at=self._soft_at(soft))

    def invalidate_soon(
        self,
        *,
        tags: Collection[str] | None = None,
        endpoints: Collection[Callable[..., Any]] | None = None,
        paths: Collection[str] | None = None,
    ) -> None:
        """Invalidate from code that cannot await, like the hooks of an ORM: from any thread, with or without an event loop.

        From now on this process serves nothing that has one of these names, and stores nothing of it that is being
        computed. For other processes it is written by an event loop of this one, or by a thread where there is none, as
        soon as the backend takes it. `cache.lifespan` and `async with cache:` write what is left as they end.

        Raises:
            ConfigurationError: nothing is named, an argument is not a list of its kind, or an endpoint is not cached here.

        """
        self._settings.store.invalidate_soon(names_of(tags, endpoints, paths, self._settings))

    def invalidate_now(
        self,
        *,
        tags: Collection[str] | None = None,
        endpoints: Collection[Callable[..., Any]] | None = None,
        paths: Collection[str] | None = None,
    ) -> None:
        """Invalidate from code without an event loop, like a script or a task of Celery: it returns when it is written.

        Raises:
            ConfigurationError: as for `invalidate_soon`; or an event loop runs in this thread, which it would block.
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
        """Decorate a write: after an answer of 2xx or 3xx, and before it leaves, entries are invalidated.

        Without an argument, those of its own path. Tags and paths may hold path parameters of the write in braces;
        tags may be a callable of the request. Of the endpoints all entries are invalidated. On a plain `APIRoute` it has
        to stand below the route decorator. If the backend does not answer, the write does all the same, and a warning
        is logged: the invalidation is written later, and counts in this process until then.

        Raises:
            ConfigurationError: an option is not of its kind, or an endpoint is not cached here.

        """
        if positional:
            msg = f'@cache.invalidates needs parentheses and takes its options by name, got {positional}'
            raise ConfigurationError(msg)
        check_endpoints(endpoints, self._settings)
        said = Invalidates(
            self._settings.store,
            (lambda scope: tags(Request(scope))) if callable(tags) else checked_templates('tags', tags),
            lambda: tuple(name for it in endpoints for name in names_of_endpoint(it, {}, self._settings)),
            checked_paths(paths),
            own_path=not (tags or endpoints or paths),
            in_words=tuple('.'.join(name_of(it)) for it in endpoints),
        )

        async def invalidate(scope: Scope, values: PathValues) -> None:
            self._settings.unserved.warn(scope.get('router') or scope.get('app'))
            await invalidate_for_all([(said.store, await said.names(scope, values))])

        def decorate(endpoint: Endpoint) -> Endpoint:
            for layer in layers(endpoint):
                attach((*invalidates_of(layer), said), layer, INVALIDATES)
                check_decorated(layer)
            self._settings.unserved.has_new_writes = True
            inside = endpoint.__func__ if isinstance(endpoint, staticmethod) else endpoint
            wrapped: Any = followed_by(inside, invalidate)
            return cast('Endpoint', staticmethod(wrapped) if isinstance(endpoint, staticmethod) else wrapped)

        return decorate

    async def __aenter__(self) -> Self:
        """Nothing is opened yet: connections are, when they are needed."""
        if on_asyncio():
            self._settings.store.open()
        return self

    async def __aexit__(self, *raised: object) -> None:
        """Close the connections that were opened in this event loop, after the invalidations that are under way or owed.

        The backend and its own client are the user's, and stay open. The cache can be used again.
        """
        if on_asyncio():
            await self._settings.store.close()

    @asynccontextmanager
    async def lifespan(self, app: object) -> AsyncGenerator[None, None]:
        """For `FastAPI(lifespan=cache.lifespan)`: `async with cache:` for as long as the app lives.

        At its start, a warning names each decorated endpoint that no `CachingRoute` serves, and another one says if this
        process is one of several workers whose backend is in memory.
        """
        self._settings.unserved.warn(app)
        tell_of_workers(is_shared=self._settings.store.is_shared)
        async with self:
            yield

    def _soft_at(self, soft: bool) -> float | None:  # noqa: FBT001, passed on
        return self._settings.runtime.clock() if soft else None

    def explain(
        self, app: Annotated[Any, Doc('A FastAPI or Starlette app, with all of its routes.')]
    ) -> tuple[RouteReport, ...]:
        """A report on each route of an app: whether it is cached, by what, for whom, and what looks wrong.

        Also on the command line: `python -m fastapi_caching_route explain module:app`.
        """
        return explain(app)

    @contextmanager
    def disabled(self) -> Generator[None]:
        """Have every request that comes answered by its endpoint: `with cache.disabled():`, in tests.

        They look nothing up and store nothing; those that have come before go on as they were, and `get_cached` finds what is
        stored.

        Dependencies run as they do without a cache, those of `@cache(dependencies=...)` too; invalidations are carried out.
        It holds for all threads and tasks of this process.
        """
        self._settings.runtime.switch.times_off += 1
        try:
            yield
        finally:
            self._settings.runtime.switch.times_off -= 1

    def prepare_cache_params(self, params: CacheParamsBase | None = None) -> CacheParams:
        """The options with the defaults of this cache filled in, checked as `@cache(...)` checks them.

        Raises:
            ConfigurationError: an option is out of its range.

        """
        policy = replace(self._settings.policy, **_said(params))
        return CacheParams(
            namespace=policy.namespace,
            ttl=policy.ttl,
            key_builder=policy.key_builder,
            dependencies=policy.dependencies,
            vary_headers=policy.vary_headers,
        )

    def set_cache_header(self, response: Response, *, hit: bool) -> None:
        """Mark a response as this cache marks its own: HIT or MISS in the cache header."""
        name, value = self._settings.hit if hit else self._settings.miss
        response.headers[name.decode('latin-1')] = value.decode('latin-1')


def _said(options: Mapping[str, Any] | None) -> dict[str, Any]:
    return {name: value for name, value in (options or {}).items() if value is not None}
