"""One `FastAPICache`, checked, and what its routes share. Knows neither endpoints nor routes."""

from dataclasses import dataclass, field

from fastapi_caching_route._backends.aiocache import BaseCache
from fastapi_caching_route._concurrency.context_variables import ContextVariables
from fastapi_caching_route._concurrency.tasks import Background
from fastapi_caching_route._core.asgi import Scope
from fastapi_caching_route._core.checks import checked_namespace
from fastapi_caching_route._core.durations import in_seconds, seconds_or_none
from fastapi_caching_route._core.inputs import CACHED_METHODS, METHODS_BY_THE_BOOK
from fastapi_caching_route._core.key import JoinedNamespace, escaped
from fastapi_caching_route._core.lifespan_state import LifespanState
from fastapi_caching_route._core.reasons import NO_BACKEND
from fastapi_caching_route._exchange.runtime import Runtime
from fastapi_caching_route._http.fields import Field
from fastapi_caching_route._http.terms import Terms
from fastapi_caching_route._routes.apps import Apps
from fastapi_caching_route._routes.namesakes import Namesakes
from fastapi_caching_route._routes.purging import Purging
from fastapi_caching_route._routes.unserved import Unserved
from fastapi_caching_route._store.deferred import DeferredStore
from fastapi_caching_route._store.opening import checked_backend
from fastapi_caching_route._store.visit import Store
from fastapi_caching_route.compression import Compression
from fastapi_caching_route.errors import ConfigurationError
from fastapi_caching_route.policy import CachePolicy
from fastapi_caching_route.surrogates import SurrogateKeys


@dataclass(frozen=True, eq=False, kw_only=True)  # without slots, to allow weak references
class Settings:
    """The options of one `FastAPICache`, checked, and what all of its routes share. Compared by identity."""

    runtime: Runtime
    given: BaseCache | None
    """The backend; None if it is set later."""
    policy: CachePolicy
    """Defaults for the options of `@cache(...)`."""
    joins_namespaces: bool
    """Whether the namespace of a route is appended to that of the backend, instead of replacing it."""
    cache_header: bytes
    """The name of the response header that says hit or miss."""
    hit: Field
    """Marks a response from an entry."""
    miss: Field
    """Marks a response that is being stored."""
    status_name: bytes | None
    """The name of this cache in Cache-Status; None if that header is not sent."""
    accepted_status_codes: frozenset[int]
    version: str
    context_variables: ContextVariables
    left_out: frozenset[bytes]
    """Request headers that are not in the keys of routes that take the raw request."""
    by_the_book: bool
    """Whether the headers of a response decide, as in RFC 9111, and not the route."""
    invalidate_on_write: bool
    strict: bool
    """Whether what is wrong as an app starts is an error."""
    document: bool
    """Whether OpenAPI describes what the cache does."""
    compression: Compression | None
    """How responses are kept compressed, if they are."""
    purging: Purging | None
    """Sends invalidations on to caches in front."""
    surrogates: SurrogateKeys | None
    """In which header caches in front get the tags of a response."""
    namesakes: Namesakes = field(default_factory=Namesakes)
    apps: Apps = field(default_factory=Apps)
    unserved: Unserved = field(default_factory=Unserved)
    publishing: Background = field(default_factory=Background)
    """The task that notes statistics by minutes, and publishes them for other processes."""
    learned: dict[object, set[str]] = field(default_factory=dict)
    """What code was seen to read of raw requests, by route."""
    lifespan_state: LifespanState = field(default_factory=LifespanState)
    root_paths: set[str] = field(default_factory=set)
    """Those of the servers through which requests came. They are no part of the paths of entries."""
    locking: list[CachePolicy] = field(default_factory=list)
    """The policies that want a lock in the backend."""
    ttls: dict[str, float] = field(default_factory=dict)
    """The shortest ttl of the routes with a `key_builder`, by their own namespace. `set_cached` uses it."""
    builders: list[CachePolicy] = field(default_factory=list)
    """The policies that have a `key_builder`."""

    @property
    def backend(self) -> BaseCache | None:
        """The backend, as it was given; None if there is none yet."""
        return self.store.backend if isinstance(self.store, DeferredStore) else self.given

    def checked_backend(self) -> BaseCache:
        """The backend.

        Raises:
            ConfigurationError: there is none yet.

        """
        if self.backend is None:
            raise ConfigurationError(NO_BACKEND.text)
        return self.backend

    def use(self, backend: object) -> None:
        """Use a backend from now on, which was deferred.

        Raises:
            ConfigurationError: this cache has its backend, or this is not a backend.

        """
        if not isinstance(self.store, DeferredStore):
            msg = 'cache.use(backend) is for a cache from FastAPICache.deferred(); this one was built with its backend'
            raise ConfigurationError(msg)
        self._check_backend_locks(backend)
        self.store.use(checked_backend(backend))
        self.runtime.switch.begin()

    @property
    def store(self) -> Store:
        """The store of the entries."""
        return self.runtime.store

    @property
    def methods(self) -> frozenset[str]:
        """The methods whose responses are cached."""
        return METHODS_BY_THE_BOOK if self.by_the_book else CACHED_METHODS

    def note_root_path(self, scope: Scope) -> None:
        """Note where the server has mounted the app, if it has."""
        root: str = scope.get('app_root_path', scope.get('root_path', ''))
        self.root_paths.update({root.rstrip('/')} - {''})

    def check_lock(self, policy: CachePolicy) -> None:
        """See that the backend has locks, if a policy wants one.

        Raises:
            ConfigurationError: it has none.

        """
        if policy.lock:
            self.locking.append(policy)
            self._check_backend_locks(self.backend)

    def _check_backend_locks(self, backend: object) -> None:
        if self.locking and not getattr(backend, 'adds_at_once', True):
            msg = f'lock=True needs a backend with an atomic add, and {type(backend).__qualname__} has none'
            raise ConfigurationError(msg)

    def note_limit(self, policy: CachePolicy) -> None:
        """Note how large the bodies of this policy may be: nothing larger than those of all policies is decoded."""
        bodies = self.runtime.plain_bodies
        bodies.limit = max(bodies.limit, policy.max_body_size)

    def full_namespace(self, namespace: str | None) -> str:
        """The namespace of a route, combined with that of the backend by `namespace_policy`; escaped for a key."""
        return escaped(self.joined(namespace) or '')

    def joined(self, namespace: str | None) -> str | None:
        """The namespace of a route, combined with that of the backend unless it is already; None if both are empty.

        Raises:
            ConfigurationError: it is not a str.

        """
        own = checked_namespace(namespace)
        if isinstance(own, JoinedNamespace):
            return own
        root = self.store.namespace.strip(':')
        return JoinedNamespace(f'{root}:{own}' if root and own and self.joins_namespaces else own or root) or None

    def heeds_demands(self, policy: CachePolicy) -> bool:
        """Whether the Cache-Control of requests counts: unless it is chosen, by the book only."""
        chosen = policy.client_cache_control
        return self.by_the_book if chosen is None else chosen

    def terms(self, policy: CachePolicy) -> Terms:
        """The terms on which the responses of a route with this policy are stored."""
        return Terms(
            accepted=self.accepted_status_codes.union(policy.status_ttl),
            ttl=seconds_or_none(policy.ttl),
            fallback_ttl=self.store.ttl,
            max_body_size=policy.max_body_size,
            stale_while_revalidate=in_seconds(policy.stale_while_revalidate),
            stale_if_error=in_seconds(policy.stale_if_error),
            by_the_book=self.by_the_book,
            stale_if_accepted=self.heeds_demands(policy),
            revalidate=policy.revalidate,
            status_ttl=tuple((status, in_seconds(span)) for status, span in policy.status_ttl.items()),
        )
