"""One `FastAPICache`, checked, and what its routes share. Knows neither endpoints nor routes."""

from collections.abc import Callable, Collection, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from inspect import iscoroutinefunction
from typing import Any, Final

from fastapi_caching_route._backends.aiocache import BaseCache
from fastapi_caching_route._backends.outage import shown
from fastapi_caching_route._concurrency.context_variables import ContextVariables
from fastapi_caching_route._concurrency.flights import Flights
from fastapi_caching_route._concurrency.observers import Observers
from fastapi_caching_route._concurrency.pauses import Pauses
from fastapi_caching_route._concurrency.tasks import Background
from fastapi_caching_route._core.checks import (
    check_flag,
    check_namespace,
    check_positive,
    field_name,
    field_text,
    signing_keys,
    statuses,
)
from fastapi_caching_route._core.inputs import CACHED_METHODS, METHODS_BY_THE_BOOK
from fastapi_caching_route._core.key import escaped
from fastapi_caching_route._core.reasons import NO_BACKEND
from fastapi_caching_route._core.recorder import Budget
from fastapi_caching_route._core.variants import Brought
from fastapi_caching_route._exchange.plan import Runtime, Switch
from fastapi_caching_route._http.cache_status import item
from fastapi_caching_route._http.fields import Field
from fastapi_caching_route._http.terms import Terms
from fastapi_caching_route._routes.namesakes import Namesakes
from fastapi_caching_route._routes.purging import Purging, purging_of
from fastapi_caching_route._routes.unserved import Unserved
from fastapi_caching_route._store.deferred import DeferredStore
from fastapi_caching_route._store.opening import checked_backend, store_over
from fastapi_caching_route._store.visit import Store
from fastapi_caching_route.errors import ConfigurationError
from fastapi_caching_route.events import Observer
from fastapi_caching_route.near import NearCopies
from fastapi_caching_route.policy import CachePolicy, checked_policy
from fastapi_caching_route.surrogates import SurrogateKeys, checked_surrogates

LATER: Final[Any] = object()
"""Stands for a backend that is set later."""


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
    purging: Purging | None
    """Sends invalidations on to caches in front."""
    surrogates: SurrogateKeys | None
    """In which header caches in front get the tags of a response."""
    namesakes: Namesakes = field(default_factory=Namesakes)
    unserved: Unserved = field(default_factory=Unserved)
    publishing: Background = field(default_factory=Background)
    """The task that publishes statistics for other processes."""
    learned: dict[object, set[str]] = field(default_factory=dict)
    """What code was seen to read of raw requests, by route."""
    ttls: dict[str, float] = field(default_factory=dict)
    """The shortest ttl of the routes with a `key_builder`, by their own namespace. `set_cached` uses it."""

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

    def full_namespace(self, namespace: str | None) -> str:
        """The namespace of a route, combined with that of the backend by `namespace_policy`; escaped for a key."""
        root = self.store.namespace.strip(':')
        if namespace is None or namespace == '':
            return escaped(root)
        check_namespace(namespace)
        return escaped(f'{root}:{namespace}' if root and self.joins_namespaces else namespace)

    def heeds_demands(self, policy: CachePolicy) -> bool:
        """Whether the Cache-Control of requests counts: unless it is chosen, by the book only."""
        chosen = policy.client_cache_control
        return self.by_the_book if chosen is None else chosen

    def terms(self, policy: CachePolicy) -> Terms:
        """The terms on which the responses of a route with this policy are stored."""
        return Terms(
            accepted=self.accepted_status_codes.union(policy.status_ttl),
            ttl=policy.ttl,
            fallback_ttl=self.store.ttl,
            max_body_size=policy.max_body_size,
            stale_while_revalidate=policy.stale_while_revalidate,
            stale_if_error=policy.stale_if_error,
            by_the_book=self.by_the_book,
            stale_if_accepted=self.heeds_demands(policy),
            revalidate=policy.revalidate,
            status_ttl=tuple(policy.status_ttl.items()),
        )


def checked_settings(
    backend: object,
    *,
    namespace_policy: object,
    cache_header: str,
    cache_header_hit: str,
    cache_header_miss: str,
    cache_status: str | None,
    accepted_status_codes: Collection[int],
    version: str,
    policy: CachePolicy | None,
    signing_key: str | bytes | Sequence[str | bytes] | None,
    store_timeout: float,
    harmless_context: Collection[ContextVar[Any]],
    left_out_of_raw_keys: Collection[str],
    recording_budget: int,
    clock: Callable[[], float],
    mode: object,
    invalidate_on_write: bool,
    document: bool,
    near: NearCopies | None,
    observer: Observer | Sequence[Observer] | None,
    surrogate_keys: object,
    strict: bool,
    purge: object,
) -> Settings:
    """Check the options of a `FastAPICache`, and build its settings.

    Raises:
        ConfigurationError: an option is not valid; the message names it.

    """
    _check_choices(namespace_policy, clock, version, mode)
    check_flag('invalidate_on_write', invalidate_on_write)
    check_flag('document', document)
    check_flag('strict', strict)
    defaults = checked_policy(policy)
    check_positive('store_timeout', store_timeout)
    check_positive('recording_budget', recording_budget)
    if not isinstance(near, NearCopies | None):
        msg = f'near must be NearCopies(...) or None, got {type(near).__name__}'
        raise ConfigurationError(msg)
    observers = Observers(_checked_observers(observer))
    new_store = partial(
        _observed_store,
        observers,
        timeout=store_timeout,
        signing_keys=signing_keys(signing_key),
        near=near,
        clock=clock,
    )
    surrogates, flights = checked_surrogates(surrogate_keys), Flights[Brought]()
    purging = purging_of(purge, surrogates, flights)
    if purging is not None:
        observers.add(purging.observe)
    checked = None if backend is LATER else checked_backend(backend)
    header = field_name('cache_header', cache_header)
    return Settings(
        runtime=Runtime(
            store=DeferredStore(new_store) if checked is None else new_store(checked),
            clock=clock,
            flights=flights,
            unshareable=Pauses(),
            failing=Pauses(),
            unrenewable=Pauses(),
            budget=Budget(recording_budget),
            switch=Switch(times_off=1, waits=True) if checked is None else Switch(),
            told=set(),
            observers=observers,
            counts={},
        ),
        given=checked,
        policy=defaults,
        joins_namespaces=namespace_policy == 'concat',
        cache_header=header,
        hit=(header, field_text('cache_header_hit', cache_header_hit)),
        miss=(header, field_text('cache_header_miss', cache_header_miss)),
        status_name=None if cache_status is None else item(field_text('cache_status', cache_status)),
        accepted_status_codes=statuses(accepted_status_codes),
        version=version,
        context_variables=ContextVariables(_checked_variables(harmless_context)),
        left_out=frozenset(field_name('left_out_of_raw_keys', name) for name in left_out_of_raw_keys),
        by_the_book=mode == 'rfc9111',
        invalidate_on_write=invalidate_on_write,
        document=document,
        strict=strict,
        surrogates=surrogates,
        purging=purging,
    )


def _observed_store(observers: Observers, backend: BaseCache, **options: Any) -> Store:
    store = store_over(backend, **options)
    store.observe(observers)
    return store


def _checked_observers(given: object) -> list[Observer]:
    observers: list[Any] = [*given] if isinstance(given, list | tuple) else [] if given is None else [given]
    for it in observers:
        check_observer(it)
    return observers


def check_observer(observer: object) -> None:
    """See that this is a plain function.

    Raises:
        ConfigurationError: it is not.

    """
    called = getattr(observer, '__call__', None)  # noqa: B004, of an object whose class has one
    if not callable(observer) or iscoroutinefunction(observer) or iscoroutinefunction(called):
        msg = f'an observer must be a plain function of one record, got {shown(observer)}'
        raise ConfigurationError(msg)


def _checked_variables(harmless: object) -> Collection[ContextVar[Any]]:
    if isinstance(harmless, Collection) and all(isinstance(it, ContextVar) for it in harmless):
        return harmless
    msg = f'harmless_context must be a list of ContextVar(...), got {harmless!r}'
    raise ConfigurationError(msg)


def _check_choices(namespace_policy: object, clock: object, version: object, mode: object) -> None:
    if namespace_policy not in ('concat', 'replace'):
        msg = f"namespace_policy must be 'concat' or 'replace', got {namespace_policy!r}"
        raise ConfigurationError(msg)
    if mode not in ('policy', 'rfc9111'):
        msg = f"mode must be 'policy' or 'rfc9111', got {mode!r}"
        raise ConfigurationError(msg)
    now = clock() if callable(clock) and not iscoroutinefunction(clock) else None
    if not isinstance(now, int | float):
        msg = f'clock must be a function that returns seconds since the epoch, got {clock!r}'
        raise ConfigurationError(msg)
    if not isinstance(version, str):
        msg = f'version must be a str, got {version!r}'
        raise ConfigurationError(msg)
