"""Checks the options of a `FastAPICache`, and builds its settings from them."""

import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from contextvars import ContextVar
from dataclasses import fields
from difflib import get_close_matches
from functools import partial
from inspect import iscoroutinefunction
from typing import Any, Final

from fastapi_caching_route._backends.aiocache import BaseCache
from fastapi_caching_route._backends.outage import shown
from fastapi_caching_route._concurrency.context_variables import ContextVariables
from fastapi_caching_route._concurrency.flights import Flights
from fastapi_caching_route._concurrency.observers import Observers
from fastapi_caching_route._concurrency.pauses import Pauses
from fastapi_caching_route._core.checks import (
    check_flag,
    check_positive,
    field_name,
    field_text,
    is_plain_function,
    signing_keys,
    statuses,
)
from fastapi_caching_route._core.recorder import Budget
from fastapi_caching_route._core.variants import Brought
from fastapi_caching_route._exchange.runtime import Runtime
from fastapi_caching_route._exchange.switch import Switch
from fastapi_caching_route._http.cache_status import item
from fastapi_caching_route._routes.purge_check import purging_of
from fastapi_caching_route._routes.purging import Purging
from fastapi_caching_route._routes.settings import Settings
from fastapi_caching_route._store.deferred import DeferredStore
from fastapi_caching_route._store.opening import checked_backend, store_over
from fastapi_caching_route._store.visit import Store
from fastapi_caching_route.compression import Compression
from fastapi_caching_route.errors import ConfigurationError
from fastapi_caching_route.events import Observer
from fastapi_caching_route.near import NearCopies
from fastapi_caching_route.options import DEFAULTS, CacheOptions
from fastapi_caching_route.policy import CachePolicy, checked_policy
from fastapi_caching_route.surrogates import checked_surrogates

logger = logging.getLogger('fastapi_caching_route')

_NEVER_STORED = (
    'accepted_status_codes contains %s; responses with these statuses are never stored, because they are not final or '
    'depend on ranges and preconditions of one request; leave them out'
)

LATER: Final[Any] = object()
"""Stands for a backend that is set later."""

SYNONYMS = {
    **dict.fromkeys(('expire', 'expires', 'expire_in', 'expiration', 'max_age', 'seconds', 'timeout'), 'ttl'),
    **dict.fromkeys(('cache_key_builder', 'key_func', 'make_key'), 'key_builder'),
    **dict.fromkeys(('condition', 'unless', 'bypass'), 'skip'),
    **dict.fromkeys(('prefix', 'key_prefix'), 'namespace'),
    **dict.fromkeys(('stale_ttl', 'stale'), 'stale_while_revalidate'),
    **dict.fromkeys(('public', 'private', 'no_cache', 'no_store', 'immutable', 'must_revalidate'), 'cache_control'),
    'coalesce': 'collapse',
    'with_lock': 'lock',
}
"""What other caches call an option."""

OF_ROUTES = {
    it.name: f'routes: @cache({it.name}=...), or policy=CachePolicy({it.name}=...)' for it in fields(CachePolicy)
}
OF_ROUTES['namespace'] = f"backends: FastAPICache('redis://10.0.0.1/0?namespace=...'); and of {OF_ROUTES['namespace']}"
OF_CACHES = dict.fromkeys(DEFAULTS, 'caches: FastAPICache(...)')
"""Options that are known at another place, and where."""


def settings_of(backend: object, options: CacheOptions) -> Settings:
    """Check the options of a `FastAPICache`, and build its settings.

    Raises:
        ConfigurationError: an option is not valid; the message names it.
        TypeError: there is no such option.

    """
    check_known('FastAPICache', options, DEFAULTS, OF_ROUTES)
    given: CacheOptions = {**DEFAULTS, **options}
    _check_choices(given)
    settings = _settings(None if backend is LATER else checked_backend(backend), given)
    settings.check_lock(settings.policy)
    settings.note_limit(settings.policy)
    return settings


def _settings(backend: BaseCache | None, given: CacheOptions) -> Settings:
    """The settings, as the options give them."""
    observers, flights = Observers(_checked_observers(given['observer'])), Flights[Brought]()
    surrogates = checked_surrogates(given['surrogate_keys'])
    purging = _observing(purging_of(given['purge'], surrogates, flights), observers)
    header = field_name('cache_header', given['cache_header'])
    return Settings(
        runtime=_runtime(backend, given, observers, flights),
        given=backend,
        policy=checked_policy(given['policy']),
        joins_namespaces=given['namespace_policy'] == 'concat',
        cache_header=header,
        hit=(header, field_text('cache_header_hit', given['cache_header_hit'])),
        miss=(header, field_text('cache_header_miss', given['cache_header_miss'])),
        status_name=_status_name(given['cache_status']),
        accepted_status_codes=_accepted(given['accepted_status_codes']),
        version=given['version'],
        context_variables=ContextVariables(_checked_variables(given['harmless_context'])),
        left_out=frozenset(field_name('left_out_of_raw_keys', name) for name in given['left_out_of_raw_keys']),
        by_the_book=given['mode'] == 'rfc9111',
        invalidate_on_write=given['invalidate_on_write'],
        document=given['document'],
        strict=given['strict'],
        surrogates=surrogates,
        compression=given['compress'],
        purging=purging,
    )


def _observing(purging: Purging | None, observers: Observers) -> Purging | None:
    """The same, after it has become one of the observers."""
    if purging is not None:
        observers.add(purging.observe)
        observers.tell_taken = purging.repeat
    return purging


def _status_name(status: str | None) -> bytes | None:
    return None if status is None else item(field_text('cache_status', status))


def _accepted(given: Iterable[int]) -> frozenset[int]:
    accepted, never_stored = statuses(given)
    if never_stored:
        logger.warning(_NEVER_STORED, ', '.join(map(str, never_stored)))
    return accepted


def _runtime(
    backend: BaseCache | None, given: CacheOptions, observers: Observers, flights: Flights[Brought]
) -> Runtime:
    """What its routes share while the app runs. Without a backend, the cache waits for one."""
    new_store = partial(
        _observed_store,
        observers,
        timeout=given['store_timeout'],
        signing_keys=signing_keys(given['signing_key']),
        near=given['near'],
        clock=given['clock'],
    )
    switch = Switch(times_off=1, waits=True) if backend is None else Switch()
    switch.enable(enabled=given['enabled'])
    return Runtime(
        store=DeferredStore(new_store) if backend is None else new_store(backend),
        clock=given['clock'],
        flights=flights,
        unshareable=Pauses(),
        failing=Pauses(),
        unrenewable=Pauses(),
        unstorable=Pauses(),
        budget=Budget(given['recording_budget']),
        switch=switch,
        told=set(),
        observers=observers,
        counts={},
    )


def check_known(called: str, options: Collection[str], known: Collection[str], elsewhere: Mapping[str, str]) -> None:
    """Refuse options that do not exist, as Python does with keyword arguments.

    Raises:
        TypeError: there is one; the message names the option that may be meant, or where it belongs.

    """
    for option in options:
        if option not in known:
            meant = SYNONYMS.get(option, option)
            similar = [meant] if meant in known else get_close_matches(option, known, n=1)
            hint = f'; did you mean {similar[0]!r}?' if similar else ''
            hint = f'; {meant} is an option of {elsewhere[meant]}' if meant in elsewhere else hint
            msg = f'{called}() got an unexpected keyword argument {option!r}{hint}'
            raise TypeError(msg)


def check_observer(observer: object) -> None:
    """See that this is a plain function.

    Raises:
        ConfigurationError: it is not.

    """
    if not is_plain_function(observer):
        msg = f'an observer must be a plain function of one record, got {shown(observer)}'
        raise ConfigurationError(msg)


def _observed_store(observers: Observers, backend: BaseCache, **options: Any) -> Store:
    store = store_over(backend, **options)
    store.observe(observers)
    return store


def _checked_observers(given: object) -> list[Observer]:
    observers: list[Any] = [*given] if isinstance(given, list | tuple) else [] if given is None else [given]
    for it in observers:
        check_observer(it)
    return observers


def _checked_variables(harmless: object) -> Collection[ContextVar[Any]]:
    if isinstance(harmless, Collection) and all(isinstance(it, ContextVar) for it in harmless):
        return harmless
    msg = f'harmless_context must be a list of ContextVar(...), got {harmless!r}'
    raise ConfigurationError(msg)


def _check_choices(given: Mapping[str, Any]) -> None:
    """Check the options that are used as they are."""
    for option, choices in (('namespace_policy', ('concat', 'replace')), ('mode', ('policy', 'rfc9111'))):
        if given[option] not in choices:
            msg = f'{option} must be {" or ".join(map(repr, choices))}, got {given[option]!r}'
            raise ConfigurationError(msg)
    for option in ('enabled', 'invalidate_on_write', 'document', 'strict'):
        check_flag(option, given[option])
    for option in ('store_timeout', 'recording_budget'):
        check_positive(option, given[option])
    _check_clock(given['clock'])
    _check_compression(given['compress'])
    if not isinstance(given['version'], str):
        msg = f'version must be a str, got {given["version"]!r}'
        raise ConfigurationError(msg)
    if not isinstance(given['near'], NearCopies | None):
        msg = f'near must be NearCopies(...) or None, got {type(given["near"]).__name__}'
        raise ConfigurationError(msg)


def _check_compression(compress: object) -> None:
    if not isinstance(compress, Compression | None):
        msg = f"compress must be Compression('zstd' | 'br' | 'gzip') or None, got {compress!r}"
        raise ConfigurationError(msg)


def _check_clock(clock: Callable[[], object] | object) -> None:
    now = clock() if callable(clock) and not iscoroutinefunction(clock) else None
    if not isinstance(now, int | float):
        msg = f'clock must be a function that returns seconds since the epoch, got {clock!r}'
        raise ConfigurationError(msg)
