"""Responses that user code itself reads and stores: `cache.get_cached` and `cache.set_cached`.

Knows keys and options, and neither requests nor routes.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from msgspec import structs
from starlette.datastructures import Headers

from fastapi_caching_route._core.durations import checked_seconds
from fastapi_caching_route._core.key import EntryKey
from fastapi_caching_route._core.names import names_of_key
from fastapi_caching_route._routes.settings import Settings
from fastapi_caching_route._store.given import (
    NOT_NOW,
    KeyOwner,
    check_text,
    keep_given,
    key_to_store,
    keys_to_find,
    shortest_ttl,
)
from fastapi_caching_route._store.visit import Found
from fastapi_caching_route.errors import ConfigurationError
from fastapi_caching_route.params import CachedResponse


async def find_by_hand(settings: Settings, key: str, namespace: str | None) -> CachedResponse | None:
    """The fresh response under a key, decoded; None if there is none.

    Raises:
        ConfigurationError: the key or the namespace is not valid.

    """
    found = None
    for full in keys_to_find(settings.full_namespace, key, namespace):
        found = found or await settings.store.visit().look_up(full)
    if not isinstance(found, Found) or found.age_and_left(settings.runtime.clock())[1] <= 0:
        return None
    entry, body = found.entry, await settings.runtime.plain_bodies.get(found.entry)
    return None if body is None else CachedResponse(body, entry.status, Headers(raw=list(entry.headers)))


async def keep_by_hand(settings: Settings, key: str, value: Any, given: Mapping[str, Any]) -> bool:
    """Store a response under a key with the options that are `given`; return whether it is stored.

    Raises:
        ConfigurationError: the response must not be stored, or the key is not valid.

    """
    check_text(key, settings.builders)
    if isinstance(key, EntryKey) and isinstance(key.owner, KeyOwner) and 'namespace' not in given:
        return await _keep_owned(settings, key, key.owner, value, given)
    policy = replace(settings.policy, **given)
    if 'ttl' not in given:
        policy = replace(policy, ttl=shortest_ttl(settings.ttls, settings.full_namespace, policy))
    namespace = None if policy.namespace is None else settings.full_namespace(policy.namespace)
    full = key_to_store(settings.full_namespace, key, policy.namespace)
    names, terms = names_of_key(full, namespace), settings.terms(policy)
    return await _keep(settings, key, full, value, names=names, terms=terms, compression=settings.compression)


async def _keep_owned(settings: Settings, key: EntryKey, owner: KeyOwner, value: Any, given: Mapping[str, Any]) -> bool:
    """Store a response under the key of a route without a key builder."""
    if owner.store is not settings.store:
        owner = replace(owner, refusal='it is the key of another cache')
    if owner.refusal is not None:
        msg = f'set_cached({key!r}, ...): {owner.refusal}'
        raise ConfigurationError(msg)
    terms = owner.terms
    if 'ttl' in given:
        terms = structs.replace(terms, ttl=checked_seconds('ttl', given['ttl']))
    return await _keep(
        settings,
        key,
        key.full,
        value,
        names=owner.names,
        terms=terms,
        about=owner.about,
        covers=owner.covers,
        compression=owner.compression,
    )


async def _keep(settings: Settings, key: str, full: str, value: Any, **named: Any) -> bool:
    named = {**named, 'left_out': settings.cache_header, 'now': settings.runtime.clock()}
    named['surrogates'] = settings.surrogates
    refused = await keep_given(settings.store.visit(), full, value, **named)
    if refused is not None and refused not in NOT_NOW:
        msg = f'set_cached({key!r}, ...): the response must not be stored; the reason is {refused}'
        raise ConfigurationError(msg)
    return refused is None
