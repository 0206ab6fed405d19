"""`CacheControl`: directives for clients and for caches in front of the app (RFC 9111 §5.2.2, RFC 5861, RFC 8246)."""

import re
from collections.abc import Collection
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from typing import Annotated, Any

from typing_extensions import Doc

from fastapi_caching_route._core.durations import in_seconds
from fastapi_caching_route._http.fields import TOKEN, members
from fastapi_caching_route.errors import ConfigurationError

_QUOTED = re.compile(r'"[^"\\]*"')


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheControl:
    """The directives of a response's `Cache-Control`; `str()` returns the header value.

    Durations are whole seconds, a `timedelta`, or a text like `'1h30m'`.

    Raises:
        ConfigurationError: a time is negative, a header name is not valid, or two directives contradict each other.

    """

    public: Annotated[bool, Doc('Any cache may store it, even with `Authorization` (RFC 9111 §5.2.2.9).')] = False
    private: Annotated[
        bool | Collection[str], Doc('Only private caches may store it, or these headers of it (§5.2.2.7).')
    ] = False
    max_age: Annotated[
        int | timedelta | str | None,
        Doc(
            "Seconds for which it is fresh (§5.2.2.1). `'ttl'`: what is left of the entry's lifetime, 0 if it is stale."
        ),
    ] = None
    s_maxage: Annotated[
        int | timedelta | str | None,
        Doc('The same in shared caches, which never serve it stale (§5.2.2.10).'),
    ] = None
    no_cache: Annotated[bool | Collection[str], Doc('Validate it before each use, or these headers (§5.2.2.4).')] = (
        False
    )
    no_store: Annotated[bool, Doc('No cache may store it (§5.2.2.5).')] = False
    no_transform: Annotated[bool, Doc('No intermediary may change its content (§5.2.2.6).')] = False
    must_revalidate: Annotated[bool, Doc('No cache may serve it stale (§5.2.2.2).')] = False
    proxy_revalidate: Annotated[bool, Doc('No shared cache may serve it stale (§5.2.2.8).')] = False
    must_understand: Annotated[bool, Doc('Only caches that understand the status may store it (§5.2.2.3).')] = False
    immutable: Annotated[bool, Doc('It does not change while it is fresh (RFC 8246).')] = False
    stale_while_revalidate: Annotated[
        int | timedelta | str | None, Doc('Seconds it may be stale during renewal (RFC 5861 §3).')
    ] = None
    stale_if_error: Annotated[int | timedelta | str | None, Doc('Seconds it may be stale on errors (RFC 5861 §4).')] = (
        None
    )

    def __post_init__(self) -> None:
        """Check each directive, and their combination."""
        for name in _SPANS:
            object.__setattr__(self, name, _whole_seconds(name, getattr(self, name)))
        for name in ('private', 'no_cache'):
            named = getattr(self, name)
            if not isinstance(named, bool) and not _are_names(named):
                msg = f"{name} must be True or a list of header names, like ['set-cookie'], got {named!r}"
                raise ConfigurationError(msg)
        for name in (
            'public',
            'no_store',
            'no_transform',
            'must_revalidate',
            'proxy_revalidate',
            'must_understand',
            'immutable',
        ):
            if not isinstance(getattr(self, name), bool):
                msg = f'{name} must be True or False, got {getattr(self, name)!r}'
                raise ConfigurationError(msg)
        for one, others in _CONTRADICTIONS.items():
            against = [
                other for other in others if getattr(self, other) is not None and getattr(self, other) is not False
            ]
            if getattr(self, one) is True and against and not (one == 'no_store' and self.must_understand):
                msg = f'{_written(one)} contradicts {", ".join(map(_written, against))}'
                raise ConfigurationError(msg)

    def __str__(self) -> str:
        """The value of the header. It is also a dictionary of structured fields, as RFC 9213 requires."""
        return ', '.join(filter(None, (_directive(it.name, getattr(self, it.name)) for it in fields(self))))

    def for_one_client(self) -> 'CacheControl':
        """A copy for a response that other clients must not get: private, without directives for shared caches."""
        return replace(self, public=False, private=True, s_maxage=None, proxy_revalidate=False)


def parsed(text: str) -> CacheControl:
    """Parse the value of a `Cache-Control`.

    Raises:
        ConfigurationError: a directive is unknown or malformed, or two contradict each other.

    """
    given: dict[str, Any] = {}
    known = {it.name for it in fields(CacheControl)}
    for member in members([(b'', text.encode('latin-1', 'replace'))], b''):
        directive, _, argument = member.decode('latin-1').partition('=')
        name = directive.strip().lower().replace('-', '_')
        if name not in known or name in given:
            msg = f'{directive!r} in {text!r} is an unknown directive, or is there twice'
            raise ConfigurationError(msg)
        given[name] = _argument(name, argument.strip())
    if not given:
        msg = f'{text!r} contains no directive'
        raise ConfigurationError(msg)
    return CacheControl(**given)


COUNTED = ('max_age', 's_maxage')
"""The directives that may say what is left of a lifetime."""

TTL = 'ttl'

_SPANS = ('max_age', 's_maxage', 'stale_while_revalidate', 'stale_if_error')
_STALE = ('stale_while_revalidate', 'stale_if_error')
_CONTRADICTIONS = {
    'private': ('public', 's_maxage', 'proxy_revalidate'),
    'no_store': ('public', 'max_age', 's_maxage', 'immutable', *_STALE),
    'no_cache': ('immutable', *_STALE),
    'must_revalidate': _STALE,
    'proxy_revalidate': _STALE,
}


def _argument(name: str, argument: str) -> object:
    if name in COUNTED and argument == TTL:
        return TTL
    if name in _SPANS and not argument.isdecimal():
        msg = f'{_written(name)} must be in whole seconds, got {argument!r}'
        raise ConfigurationError(msg)
    if name in _SPANS:
        return int(argument)
    if name in {'private', 'no_cache'} and _QUOTED.fullmatch(argument):
        return [field.strip() for field in argument.strip('"').split(',')]
    return argument or True


def _whole_seconds(name: str, span: object) -> object:
    if span is None or (name in COUNTED and span == TTL):
        return span
    try:
        seconds = in_seconds(span) if isinstance(span, timedelta | str) else span
    except ValueError:
        seconds = None
    if isinstance(seconds, float) and not isinstance(span, float) and seconds.is_integer():
        seconds = int(seconds)
    if not isinstance(seconds, int) or isinstance(seconds, bool) or seconds < 0:
        msg = f"{name} must be whole seconds, a timedelta, or a text like '5m', and not negative, got {span!r}"
        raise ConfigurationError(msg)
    return seconds


def _are_names(named: object) -> bool:
    return (
        isinstance(named, list | tuple | set | frozenset)
        and bool(named)
        and all(isinstance(name, str) and TOKEN.fullmatch(name) for name in named)
    )


def _written(name: str) -> str:
    return name.replace('_', '-')


def _directive(name: str, value: object) -> str:
    if value is None or value is False:
        return ''
    if value is True:
        return _written(name)
    if isinstance(value, int | str):
        return f'{_written(name)}={value}'
    names = value if isinstance(value, Collection) else ()
    return f'{_written(name)}="{", ".join(names)}"'


def checked_control(option: str, control: object) -> CacheControl | None:
    """The directives to send.

    Raises:
        ConfigurationError: they are not valid, or contradict each other.

    """
    if control is None or isinstance(control, CacheControl):
        return control
    if not isinstance(control, str):
        msg = f"{option} must be a str like 'public, max-age=60' or a CacheControl(...), got {control!r}"
        raise ConfigurationError(msg)
    return parsed(control)
