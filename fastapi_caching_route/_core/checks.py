"""Checks the values of options. Errors name the option, the value and what is valid. Knows no class with options."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from inspect import Parameter, iscoroutinefunction, signature
from typing import TypeGuard

from fastapi_caching_route._core.durations import checked_seconds
from fastapi_caching_route._core.key import JoinedNamespace
from fastapi_caching_route._core.names import fields_of
from fastapi_caching_route._http.fields import TOKEN
from fastapi_caching_route._http.sending import STATUSES
from fastapi_caching_route._http.storing import OF_ONE_REQUEST
from fastapi_caching_route.errors import ConfigurationError


def checked_templates(option: str, templates: object) -> tuple[str, ...]:
    """The templates: texts with names of parameters in braces.

    Raises:
        ConfigurationError: the option is not valid.

    """
    if not isinstance(templates, list | tuple | set | frozenset) or not all(isinstance(it, str) for it in templates):
        msg = f"{option} must be a list of str, like ['user:{{user_id}}'], got {templates!r}"
        raise ConfigurationError(msg)
    for template in templates:
        fields_of(template)
    return tuple(dict.fromkeys(templates))


def checked_namespace(namespace: object) -> str | None:
    """The namespace without colons at its ends, where they would be ambiguous in front of a key; None if it is empty.

    Raises:
        ConfigurationError: it is not a str.

    """
    if namespace is not None and not isinstance(namespace, str):
        msg = f'namespace must be a str, got {namespace!r}'
        raise ConfigurationError(msg)
    if isinstance(namespace, JoinedNamespace):
        return namespace
    return None if namespace is None else namespace.strip(':') or None


def checked_paths(paths: object) -> tuple[str, ...]:
    """The templates of paths.

    Raises:
        ConfigurationError: the option is not valid: a path does not begin with a slash, or has a query.

    """
    checked = checked_templates('paths', paths)
    for path in checked:
        checked_path(path)
    return checked


def checked_path(path: object) -> str:
    """A path that is given decoded, but for `?` and `#`.

    Raises:
        ConfigurationError: it does not begin with a slash, has a query, or has a `*` that is not at its end.

    """
    if not isinstance(path, str) or not path.startswith('/') or '?' in path or '#' in path:
        msg = (
            f"a path must begin with a slash and have no query, like '/users/7', got {path!r}; "
            'a ? or # of the path itself is written %3F or %23'
        )
        raise ConfigurationError(msg)
    check_pattern(path)
    return path


def check_pattern(path: str) -> None:
    """Check a path with a `*` in it.

    Raises:
        ConfigurationError: the `*` is not a whole segment at the end.

    """
    if '*' in path.removesuffix('/*'):
        msg = (
            f"the only pattern for paths is '/*' at the end, like '/users/*' for all paths below /users, got {path!r}; "
            'give tags to entries that are to be invalidated together, or invalidate their endpoint'
        )
        raise ConfigurationError(msg)


def check_option(option: str, value: object, *, holds: bool, wanted: str) -> None:
    """Raise unless the option `holds`.

    Raises:
        ConfigurationError: the option is not valid; the message says what is `wanted`.

    """
    if not holds:
        msg = f'{option} {wanted}, got {value!r}'
        raise ConfigurationError(msg)


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


def checked_lifetimes(option: str, lifetimes: object) -> dict[int, float]:
    """Lifetimes by status, in seconds.

    Raises:
        ConfigurationError: a status can never be stored, or a lifetime is not a duration.

    """
    holds = isinstance(lifetimes, Mapping) and all(map(can_be_stored, lifetimes))
    check_option(
        option,
        lifetimes,
        holds=holds,
        wanted='must map final statuses to seconds, like {404: 5}, without 206, 304, 412 and 416',
    )
    given = lifetimes.items() if isinstance(lifetimes, Mapping) else ()
    return {status: checked_seconds(option, span) for status, span in given}


def can_be_stored(status: object) -> bool:
    """Whether this is a final status whose responses do not depend on ranges or preconditions, which are in no key."""
    return isinstance(status, int) and status in STATUSES and status not in OF_ONE_REQUEST


def is_plain_function(function: object) -> bool:
    """Whether it can be called without `await`."""
    if not callable(function):
        return False
    call = getattr(function, '__call__', None)  # noqa: B004, an object may be called through it
    return not (iscoroutinefunction(function) or iscoroutinefunction(call))


def are_functions(dependencies: object) -> bool:
    """Whether this is a list of functions, and not of `Depends(...)`."""
    return isinstance(dependencies, list | tuple | set | frozenset) and all(
        callable(it) and not hasattr(it, 'dependency') for it in dependencies
    )


def are_depends(dependencies: object) -> bool:
    """Whether this is a list of `Depends(...)`."""
    return isinstance(dependencies, list | tuple) and all(
        callable(getattr(it, 'dependency', None)) for it in dependencies
    )


def are_field_names(names: object) -> bool:
    """Whether this is a list of header names."""
    return isinstance(names, list | tuple | set | frozenset) and all(
        isinstance(name, str) and name != '*' and TOKEN.fullmatch(name.strip() or 'empty') is not None for name in names
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


def statuses(codes: Iterable[int]) -> tuple[frozenset[int], list[int]]:
    """The status codes of responses that are stored, and those of which responses can never be stored.

    Raises:
        ConfigurationError: one of them is not a status, or this is not a list of them.

    """
    given = list(codes) if isinstance(codes, Iterable) else []
    if not isinstance(codes, Iterable) or not all(map(_is_status, given)):
        msg = (
            f'accepted_status_codes must be statuses (100 to 599), like {{200, 404}} or range(200, 300), got {codes!r}'
        )
        raise ConfigurationError(msg)
    accepted = frozenset(filter(can_be_stored, given))
    return accepted, sorted(set(given) - accepted)


def _is_status(code: object) -> bool:
    return isinstance(code, int) and not isinstance(code, bool) and 100 <= code < 600


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
    given = 'response' if option == 'store_if' else 'request'
    remedy = f'; for a dependency, write {option}=Depends(...)' if option in ('identity', 'tags') else ''
    try:
        wanted.bind(None)
    except TypeError as error:
        msg = f'{option} is called with the {given} alone, but {function!r} takes {wanted}: {error}{remedy}'
        raise ConfigurationError(msg) from None
    if any(map(_is_injected, wanted.parameters.values())):
        msg = f'{option} is called with the {given} alone, but {function!r} declares dependencies: {wanted}{remedy}'
        raise ConfigurationError(msg)


def _is_injected(parameter: Parameter) -> bool:
    """Whether FastAPI would fill in a parameter by a dependency."""
    declared = (parameter.default, *getattr(parameter.annotation, '__metadata__', ()))
    return any(hasattr(it, 'dependency') and hasattr(it, 'use_cache') for it in declared)
