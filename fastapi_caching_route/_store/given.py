"""Responses that user code stores itself (`set_cached`), and the keys that user code passes."""

from collections.abc import Callable, Mapping
from typing import Any

from fastapi_caching_route._core.entry import Recording, entry_of
from fastapi_caching_route._core.key import EntryKey, full_key, user_key
from fastapi_caching_route._http.conditional import OUR_TAG
from fastapi_caching_route._http.sending import fits
from fastapi_caching_route._http.storing import Refused, storable
from fastapi_caching_route._http.terms import Terms
from fastapi_caching_route._store.visit import Alive, Visit
from fastapi_caching_route.errors import ConfigurationError
from fastapi_caching_route.policy import CachePolicy

FullNamespace = Callable[[str | None], str]
"""Returns the namespace of a key in the backend, for the namespace that user code passes."""


def note_ttl(ttls: dict[str, float], policy: CachePolicy) -> None:
    """Note the ttl of a route with a `key_builder` under its own namespace; that of the backend may be set later."""
    if policy.key_builder is not None and policy.ttl:
        namespace = policy.namespace or ''
        ttls[namespace] = min(policy.ttl, ttls.get(namespace, policy.ttl))


def shortest_ttl(ttls: Mapping[str, float], full_namespace: FullNamespace, policy: CachePolicy) -> float | None:
    """The shortest ttl of routes with a `key_builder` in the full namespace of a policy; else that of the policy."""
    full = full_namespace(policy.namespace)
    return min((ttl for namespace, ttl in ttls.items() if full_namespace(namespace) == full), default=policy.ttl)


def key_to_find(full_namespace: FullNamespace, key: object, namespace: str | None) -> str:
    """The full key for a user-built key in this namespace, or for `CacheContext.key`, which knows its namespace.

    Raises:
        ConfigurationError: the key is not a str, or the namespace is not valid.

    """
    if not isinstance(key, str):
        msg = f'key must be a str, got {key!r}'
        raise ConfigurationError(msg)
    if not isinstance(key, EntryKey):
        return full_key(full_namespace(namespace), user_key(key))
    return key.full if namespace is None else key.within(full_namespace(namespace))


def key_to_store(full_namespace: FullNamespace, key: object, namespace: str | None) -> str:
    """The full key under which user code stores a response.

    Raises:
        ConfigurationError: as for `key_to_find`; or it is a `CacheContext.key` under which no request would look.

    """
    full = key_to_find(full_namespace, str(key) if isinstance(key, EntryKey) else key, namespace)
    # Not equal: the full key of a request may end in the dependencies that tests have overridden.
    if isinstance(key, EntryKey) and not key.full.startswith(full):
        msg = (
            f'set_cached({key!r}, ...): no request would find this response: the route must have a key_builder, and '
            "if the route has a namespace, pass it, too: CacheParams(namespace='...')"
        )
        raise ConfigurationError(msg)
    return full


async def keep_given(
    visit: Visit, key: str, response: Any, *, names: tuple[str, ...], terms: Terms, left_out: bytes, now: float
) -> str | None:
    """Store a response under a full key, with these names. Return why it must not be stored, or None.

    The rules of storing apply as for any response. Its data may be older than an invalidation that user code did not
    wait for; nobody here can know that.
    """
    if not isinstance(getattr(response, 'body', None), bytes | bytearray | memoryview):
        msg = f'set_cached takes a response with a complete body, and a {type(response).__name__} does not have one'
        raise ConfigurationError(msg)
    status, body = response.status_code, bytes(response.body)
    given = [(name.lower(), value) for name, value in response.headers.raw]
    # Content-Length is computed from the body, and an ETag of ours is replaced: the body may have changed since.
    headers = [it for it in given if it[0] != b'content-length' and not _our_tag(*it)]
    verdict = storable((), status, headers, terms, now)
    if isinstance(verdict, Refused):
        return verdict.reason
    if not fits(status, headers, len(body)):
        return 'body'
    windowed, span = verdict.window > 0, verdict.lifetime + verdict.window
    before = await visit.marks_before(names, windowed=windowed)
    standing = await visit.marks_after(before, names, windowed=windowed, span=span)
    if not isinstance(standing, Alive):
        return None
    entry = entry_of(
        Recording(status, headers, body),
        verdict,
        key=key,
        left_out=left_out,
        now=now,
        names=names,
        marks=standing.marks,
    )
    await visit.put(entry, span)
    return None


def _our_tag(name: bytes, value: bytes) -> bool:
    return name == b'etag' and OUR_TAG.fullmatch(value) is not None
