"""Checks the values of options. Errors name the option, the value and what is valid. Knows no class with options."""

import math
import re
from collections.abc import Collection, Mapping, Sequence
from inspect import iscoroutinefunction, signature
from typing import TypeGuard

from fastapi_caching_route._core.key import SEPARATOR
from fastapi_caching_route._core.names import fields_of
from fastapi_caching_route._http.fields import TOKEN
from fastapi_caching_route._http.sending import STATUSES
from fastapi_caching_route._http.storing import OF_ONE_REQUEST
from fastapi_caching_route.errors import ConfigurationError


def checked_templates(option: str, templates: object) -> tuple[str, ...]:
    """The templates: texts with names of path parameters in braces.

    Raises:
        ConfigurationError: the option is not valid.

    """
    if not isinstance(templates, list | tuple | set | frozenset) or not all(isinstance(it, str) for it in templates):
        msg = f"{option} must be a list of str, like ['user:{{user_id}}'], got {templates!r}"
        raise ConfigurationError(msg)
    for template in templates:
        fields_of(template)
    return tuple(dict.fromkeys(templates))


def check_namespace(namespace: object) -> None:
    """Check a namespace: it must not be ambiguous in front of a key.

    Raises:
        ConfigurationError: it is not a str, contains our separator, or begins or ends with half of it.

    """
    if not isinstance(namespace, str) or SEPARATOR in namespace or namespace != namespace.strip(':'):
        wanted = f'a str without {SEPARATOR!r} that neither begins nor ends with a colon'
        msg = f'namespace must be {wanted}, got {namespace!r}'
        raise ConfigurationError(msg)


def checked_paths(paths: object) -> tuple[str, ...]:
    """The templates of paths.

    Raises:
        ConfigurationError: the option is not valid: a path does not begin with a slash, or has a query.

    """
    checked = checked_templates('paths', paths)
    for path in checked:
        if not path.startswith('/') or '?' in path or '#' in path:
            msg = f"a path must begin with a slash and have no query, like '/users/7', got {path!r}"
            raise ConfigurationError(msg)
    return checked


def check_option(option: str, value: object, *, holds: bool, wanted: str) -> None:
    """Raise unless the option `holds`.

    Raises:
        ConfigurationError: the option is not valid; the message says what is `wanted`.

    """
    if not holds:
        msg = f'{option} {wanted}, got {value!r}'
        raise ConfigurationError(msg)


def check_span(option: str, span: object, *, or_none: bool = False) -> None:
    """Check a number of seconds."""
    holds = (span is None and or_none) or (_is_number(span) and span >= 0)
    check_option(option, span, holds=holds, wanted='is in seconds and must not be negative')


def check_fraction(option: str, fraction: object, *, may_be_zero: bool) -> None:
    """Check a fraction of the lifetime."""
    holds = fraction is None or (_is_number(fraction) and 0 <= fraction < 1 and bool(fraction or may_be_zero))
    check_option(option, fraction, holds=holds, wanted='must be a fraction of the lifetime, like 0.9 or 0.1')


def check_flag(option: str, flag: object) -> None:
    """Check that it is True or False."""
    check_option(option, flag, holds=isinstance(flag, bool), wanted='must be True or False')


def check_size(option: str, size: object) -> None:
    """Check a number of bytes."""
    holds = isinstance(size, int) and not isinstance(size, bool) and size >= 0
    check_option(option, size, holds=holds, wanted='is in whole bytes and must not be negative')


def check_lifetimes(option: str, lifetimes: object) -> None:
    """Check lifetimes by status."""
    holds = isinstance(lifetimes, Mapping) and all(map(can_be_stored, lifetimes))
    check_option(
        option,
        lifetimes,
        holds=holds,
        wanted='must map final statuses to seconds, like {404: 5}, without 206, 304, 412 and 416',
    )
    for span in lifetimes.values() if isinstance(lifetimes, Mapping) else ():
        check_span(option, span)


def can_be_stored(status: object) -> bool:
    """Whether this is a final status whose responses do not depend on ranges or preconditions, which are in no key."""
    return isinstance(status, int) and status in STATUSES and status not in OF_ONE_REQUEST


def is_plain_function(function: object) -> bool:
    """Whether it can be called without `await`."""
    if not callable(function):
        return False
    call = getattr(function, '__call__', None)  # noqa: B004, an object may be called through it
    return not (iscoroutinefunction(function) or iscoroutinefunction(call))


def are_depends(dependencies: object) -> bool:
    """Whether this is a list of `Depends(...)`."""
    return isinstance(dependencies, list | tuple) and all(
        callable(getattr(it, 'dependency', None)) for it in dependencies
    )


def are_field_names(names: object) -> bool:
    """Whether this is a list of header names."""
    return isinstance(names, list | tuple | set | frozenset) and all(
        isinstance(name, str) and name != '*' and TOKEN.fullmatch(name) is not None for name in names
    )


def _is_number(number: object) -> TypeGuard[float]:
    return isinstance(number, int | float) and not isinstance(number, bool) and not math.isnan(number)


MIN_KEY_BYTES = 16
"""Bytes: 128 bits."""

_FIELD_TEXT = re.compile(r'[ -~]+')


def field_text(option: str, text: object) -> bytes:
    """A header name or value as bytes.

    Raises:
        ConfigurationError: it contains characters that would break a response.

    """
    if not isinstance(text, str) or not _FIELD_TEXT.fullmatch(text):
        msg = f'{option} must be a str of printable ASCII, got {text!r}'
        raise ConfigurationError(msg)
    return text.encode('ascii')


def field_name(option: str, name: object) -> bytes:
    """A header name as lower-case bytes.

    Raises:
        ConfigurationError: a server would not send it (RFC 9110 §5.1).

    """
    if not isinstance(name, str) or not TOKEN.fullmatch(name):
        msg = f'{option} must be a header name, got {name!r}'
        raise ConfigurationError(msg)
    return name.lower().encode('ascii')


def statuses(codes: Collection[int]) -> frozenset[int]:
    """The status codes of responses that are stored.

    Raises:
        ConfigurationError: responses with one of them can never be stored.

    """
    if not isinstance(codes, Collection) or not all(map(can_be_stored, codes)):
        msg = f'accepted_status_codes must be final statuses (200 to 599) except 206, 304, 412 and 416, got {codes!r}'
        raise ConfigurationError(msg)
    return frozenset(codes)


def signing_keys(given: str | bytes | Sequence[str | bytes] | None) -> tuple[bytes, ...]:
    """The signing keys as bytes.

    Raises:
        ConfigurationError: there is none, or one is so short that it could be guessed.

    """
    if given is None:
        return ()
    several: Sequence[object] = [given] if isinstance(given, str | bytes) or not isinstance(given, Sequence) else given
    keys = [key.encode() if isinstance(key, str) else key for key in several]
    long_enough = tuple(key for key in keys if isinstance(key, bytes) and len(key) >= MIN_KEY_BYTES)
    if not keys or len(long_enough) < len(keys):
        wanted = f'one key, or a list of keys, of at least {MIN_KEY_BYTES} bytes each'
        msg = f'signing_key must be {wanted}; secrets.token_hex() makes one'
        raise ConfigurationError(msg)
    return long_enough


def check_positive(option: str, number: object) -> None:
    """Check that it is a number above 0."""
    if not isinstance(number, int | float) or isinstance(number, bool) or not number > 0:
        msg = f'{option} must be a number above 0, got {number!r}'
        raise ConfigurationError(msg)


def check_takes_one(option: str, function: object) -> None:
    """Check that a callable can be called with one argument: the response for `store_if`, else the request."""
    if not callable(function):
        return
    try:
        wanted = signature(function)
    except ValueError:  # some functions in C have no signature
        return
    try:
        wanted.bind(None)
    except TypeError as error:
        given = 'response' if option == 'store_if' else 'request'
        msg = f'{option} is called with the {given} alone, but {function!r} takes {wanted}: {error}'
        raise ConfigurationError(msg) from None
