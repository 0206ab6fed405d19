"""Responses that user code stores itself (`set_cached`), and the keys that user code passes."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from msgspec.structs import replace

from fastapi_caching_route._core.durations import in_seconds, seconds_or_none
from fastapi_caching_route._core.entry import NOTHING_TOLD, About, Entry, Recording, entry_of
from fastapi_caching_route._core.key import EntryKey, full_key, reads_as_declared, user_key
from fastapi_caching_route._core.reasons import INVALIDATED, STORE_ERROR, VARY
from fastapi_caching_route._core.variants import Variants
from fastapi_caching_route._http.conditional import OUR_TAG
from fastapi_caching_route._http.fields import RawHeaders, field_names
from fastapi_caching_route._http.sending import fits
from fastapi_caching_route._http.storing import Refused, Storable, storable
from fastapi_caching_route._http.terms import Terms
from fastapi_caching_route._store.compressed import coded_later, compressed
from fastapi_caching_route._store.visit import Alive, Lost, Store, Visit
from fastapi_caching_route.compression import Compression
from fastapi_caching_route.errors import ConfigurationError
from fastapi_caching_route.params import CachedResponse
from fastapi_caching_route.policy import CachePolicy
from fastapi_caching_route.surrogates import SurrogateKeys


@dataclass(frozen=True, slots=True)
class KeyOwner:
    """The route of a key that is made from declared inputs, for responses that user code stores under it."""

    store: Store
    names: tuple[str, ...]
    """By which a response to this request can be invalidated."""
    terms: Terms
    about: About
    covers: Callable[[bytes], bool]
    """Whether a request header is in the key."""
    compression: Compression | None
    """How its responses are kept compressed, if they are."""
    refusal: str | None
    """Why no response can be stored under the key."""


NOT_NOW = frozenset(('ttl', INVALIDATED.name, STORE_ERROR.name))
"""Why a response is not stored although it may be."""

FullNamespace = Callable[[str | None], str]
"""Returns the namespace of a key in the backend, for the namespace that user code passes."""


def note_ttl(ttls: dict[str, float], policy: CachePolicy) -> None:
    """Note the ttl of a route with a `key_builder` under its own namespace; that of the backend may be set later."""
    if policy.key_builder is not None and policy.ttl:
        namespace, ttl = policy.namespace or '', in_seconds(policy.ttl)
        ttls[namespace] = min(ttl, ttls.get(namespace, ttl))


def shortest_ttl(ttls: Mapping[str, float], full_namespace: FullNamespace, policy: CachePolicy) -> float | None:
    """The shortest ttl of routes with a `key_builder` in the full namespace of a policy; else that of the policy."""
    full = full_namespace(policy.namespace)
    of_routes = [ttl for namespace, ttl in ttls.items() if full_namespace(namespace) == full]
    return min(of_routes) if of_routes else seconds_or_none(policy.ttl)


def keys_to_find(full_namespace: FullNamespace, key: object, namespace: str | None) -> tuple[str, ...]:
    """The full keys that a key of user code may stand for: of the text of a `CacheContext.key`, that of its entry, too.

    Raises:
        ConfigurationError: as for `key_to_find`.

    """
    full = key_to_find(full_namespace, key, namespace)
    if isinstance(key, EntryKey) or not isinstance(key, str) or not reads_as_declared(key):
        return (full,)
    return full, full_key(full_namespace(namespace), key)


def check_text(key: object, builders: Collection[object]) -> None:
    """Refuse the text of a `CacheContext.key`, which does not tell its route. `builders` are those of the cache.

    Raises:
        ConfigurationError: nothing else can be meant, since no route of the cache has a `key_builder`.

    """
    if isinstance(key, str) and not isinstance(key, EntryKey) and not builders and reads_as_declared(key):
        msg = (
            f'set_cached({key!r}, ...): no request would find this response, because the text of a CacheContext.key '
            'does not tell its route: pass the key itself'
        )
        raise ConfigurationError(msg)


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
    if isinstance(key, EntryKey) and isinstance(key.owner, KeyOwner) and namespace is None:
        return key.full
    full = key_to_find(full_namespace, str(key) if isinstance(key, EntryKey) else key, namespace)
    # Not equal: the full key of a request may end in the dependencies that tests have overridden.
    if isinstance(key, EntryKey) and not key.full.startswith(full):
        msg = (
            f'set_cached({key!r}, ...): no request would find this response: if the route has a key_builder and a '
            "namespace, pass that, too: CacheParams(namespace='...'); else pass none"
        )
        raise ConfigurationError(msg)
    return full


async def keep_given(
    visit: Visit,
    key: str,
    response: Any,
    *,
    names: tuple[str, ...],
    terms: Terms,
    left_out: bytes,
    now: float,
    about: About = NOTHING_TOLD,
    covers: Callable[[bytes], bool] | None = None,
    compression: Compression | None = None,
    surrogates: SurrogateKeys | None = None,
) -> str | None:
    """Store a response under a full key, with these names. Return why it must not be stored, or None.

    The rules of storing apply as for any response. Its data may be older than an invalidation that user code did not
    wait for; nobody here can know that. `covers` says which headers are in a key that no user has built, if only as
    they are declared: responses that vary by others are not stored. In the header of `surrogates`, the response gets
    its tags.
    """
    recording = _recorded(response, names, surrogates)
    verdict = _judged(recording, terms, now)
    if isinstance(verdict, str):
        return verdict
    if covers is not None and await _varies(visit, key, recording.headers, covers):
        return VARY.name
    windowed, span = verdict.window > 0, verdict.lifetime + verdict.window
    before = await visit.marks_before(names, key=key, windowed=windowed)
    standing = await visit.marks_after(before, names, key=key, windowed=windowed, span=span)
    if not isinstance(standing, Alive):
        return standing.reason if isinstance(standing, Lost) else STORE_ERROR.name
    described = partial(entry_of, recording, verdict, key=key, left_out=left_out, about=about)
    entry = described(now=now, names=names, marks=standing.marks)
    if compression is not None:
        entry = await _compressed(compression, entry)
    return None if await visit.put(entry, span) else STORE_ERROR.name


async def _compressed(compression: Compression, entry: Entry) -> Entry:
    coded = coded_later(compression, entry.status, entry.headers, len(entry.content))
    return entry if coded is None else await compressed(compression, replace(entry, coded=coded))


def _recorded(given: Any, names: tuple[str, ...], surrogates: SurrogateKeys | None) -> Recording:
    response = _as_response(given)
    headers = [(name.lower(), value) for name, value in response.headers.raw]
    # Content-Length is computed from the body, and an ETag of ours is replaced: the body may have changed since.
    kept = [it for it in headers if it[0] != b'content-length' and not _our_tag(*it)]
    tagged = kept if surrogates is None else surrogates.added(kept, names)[0]
    return Recording(response.status_code, tagged, bytes(response.body))


def _judged(recording: Recording, terms: Terms, now: float) -> Storable | str:
    """On what terms the response may be stored, or why it must not be."""
    verdict = storable((), recording.status, recording.headers, terms, now)
    if isinstance(verdict, Refused):
        return verdict.reason
    if not fits(recording.status, recording.headers, len(recording.body)):
        return 'body'
    return verdict


async def _varies(visit: Visit, key: str, headers: RawHeaders, covers: Callable[[bytes], bool]) -> bool:
    """Whether this response, or one that is stored under the key, is not for all requests with this key."""
    return not all(map(covers, field_names(headers, b'vary'))) or isinstance(await visit.look_up(key), Variants)


def _as_response(given: Any) -> Any:
    """The response with its complete body. A mapping may have more keys than those of a response; they are ignored.

    Raises:
        ConfigurationError: it is neither a response with a complete body nor such a mapping.

    """
    if isinstance(given, Mapping) and not isinstance(given, CachedResponse):
        try:
            body, status = bytes(memoryview(given['content'])), given.get('status_code', 200)
            return CachedResponse(body, status, given.get('headers', ()))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            msg = (
                "set_cached takes a dict like {'content': b'body', 'headers': [('content-type', 'text/plain')], "
                f"'status_code': 200}}, got one that cannot be used: {error!r}"
            )
            raise ConfigurationError(msg) from None
    if not isinstance(getattr(given, 'body', None), bytes | bytearray | memoryview):
        msg = f'set_cached takes a response with a complete body, and a {type(given).__name__} does not have one'
        raise ConfigurationError(msg)
    return given


def _our_tag(name: bytes, value: bytes) -> bool:
    return name == b'etag' and OUR_TAG.fullmatch(value) is not None
