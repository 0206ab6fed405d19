"""Checks of the options of `FastAPICache`, and of what it decorates, each with what was wrong and what would be right."""

import re
from collections.abc import Collection, Iterable, Sequence
from inspect import iscoroutinefunction, signature

from fastapi_caching_route._checks import can_be_stored
from fastapi_caching_route._http.fields import TOKEN
from fastapi_caching_route._key import CACHED_METHODS
from fastapi_caching_route._names import fields_of
from fastapi_caching_route.errors import ConfigurationError

SHORTEST_KEY = 16
"""Bytes: 128 bits."""

_FIELD_TEXT = re.compile(r'[ -~]+')


def field_text(option: str, text: object) -> bytes:
    """A header name or value as bytes, refused where it would break the response that it stands in."""
    if not isinstance(text, str) or not _FIELD_TEXT.fullmatch(text):
        msg = f'{option} must be a str of printable ASCII, got {text!r}'
        raise ConfigurationError(msg)
    return text.encode('ascii')


def field_name(option: str, name: object) -> bytes:
    """A header name as lower-case bytes, refused where a server would not send it (RFC 9110 §5.1)."""
    if not isinstance(name, str) or not TOKEN.fullmatch(name):
        msg = f'{option} must be the name of a header field, got {name!r}'
        raise ConfigurationError(msg)
    return name.lower().encode('ascii')


def statuses(codes: Collection[int]) -> frozenset[int]:
    """The statuses, refused where their answers can never be stored."""
    if not isinstance(codes, Collection) or not all(map(can_be_stored, codes)):
        msg = f'accepted_status_codes are final statuses (200 to 599) except 206, 304, 412 and 416, got {codes!r}'
        raise ConfigurationError(msg)
    return frozenset(codes)


def signing_keys(given: str | bytes | Sequence[str | bytes] | None) -> tuple[bytes, ...]:
    """The keys as bytes, refused where one is too short to keep anybody from guessing it."""
    if given is None:
        return ()
    several: Sequence[object] = [given] if isinstance(given, str | bytes) or not isinstance(given, Sequence) else given
    keys = [key.encode() if isinstance(key, str) else key for key in several]
    long_enough = tuple(key for key in keys if isinstance(key, bytes) and len(key) >= SHORTEST_KEY)
    if not keys or len(long_enough) < len(keys):
        msg = f'signing_key is one key, or a list of keys, of at least {SHORTEST_KEY} bytes each; secrets.token_hex() makes one'
        raise ConfigurationError(msg)
    return long_enough


def check_positive(option: str, number: object) -> None:
    """Refuse what is not a number above 0."""
    if not isinstance(number, int | float) or isinstance(number, bool) or not number > 0:
        msg = f'{option} must be a number above 0, got {number!r}'
        raise ConfigurationError(msg)


def check_templates(name: str, templates: Iterable[str], known: Collection[str]) -> None:
    """Refuse templates that name a parameter which the route does not have."""
    for template in templates:
        unknown = fields_of(template) - set(known)
        if unknown:
            msg = (
                f'{name}: {template!r} names {", ".join(sorted(unknown))}, which is not a path parameter of its route; '
                f'there are {", ".join(sorted(known)) or "none"}'
            )
            raise ConfigurationError(msg)


def check_methods(name: str, methods: Collection[str]) -> None:
    """Refuse to cache an endpoint none of whose methods is ever cached."""
    if methods and CACHED_METHODS.isdisjoint(methods):
        msg = (
            f'@cache on {name}: it answers {", ".join(sorted(methods))}, and only GET, HEAD, QUERY and POST are ever '
            'cached; take the decorator away, or put it on the route that reads what this one writes'
        )
        raise ConfigurationError(msg)


def check_takes_one(option: str, function: object) -> None:
    """Refuse a callable that cannot be called with the request alone or, to decide on storing, with the response."""
    if not callable(function):
        return
    try:
        wanted = signature(function)
    except ValueError:  # some in C do not tell
        return
    try:
        wanted.bind(None)
    except TypeError as error:
        given = 'response' if option == 'store_if' else 'request'
        msg = f'{option} is called with the {given} alone, and {function!r} takes {wanted}: {error}'
        raise ConfigurationError(msg) from None


def check_cache(namespace_policy: object, clock: object, version: object, mode: object) -> None:
    """Refuse what is not a policy of namespaces, a clock, a version."""
    if namespace_policy not in ('concat', 'replace'):
        msg = f"namespace_policy is 'concat' or 'replace', got {namespace_policy!r}"
        raise ConfigurationError(msg)
    if mode not in ('policy', 'rfc9111'):
        msg = f"mode is 'policy' or 'rfc9111', got {mode!r}"
        raise ConfigurationError(msg)
    now = clock() if callable(clock) and not iscoroutinefunction(clock) else None
    if not isinstance(now, int | float):
        msg = f'clock is a function that gives seconds since the epoch, got {clock!r}'
        raise ConfigurationError(msg)
    if not isinstance(version, str):
        msg = f'version is a str, got {version!r}'
        raise ConfigurationError(msg)
