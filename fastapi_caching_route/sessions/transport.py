"""How a token travels: in a cookie, a header of its own, or `Authorization: Bearer`. Pure.

Cookies are read here byte by byte. What a lenient reader makes of odd blanks or of a name that comes twice is how one
site plants a cookie for another.
"""

from collections.abc import Iterable
from math import ceil

from fastapi_caching_route._http.fields import Field, RawHeaders, lines
from fastapi_caching_route.sessions.config import SessionConfig

LONGEST = 4096
"""In bytes: browsers keep no larger cookie."""


class SeveralTokensError(Exception):
    """A request has two different tokens in one place. One of them was planted, and nobody knows which."""


def token_of(headers: RawHeaders, config: SessionConfig) -> str | None:
    """The token of a request: that of the first transport that it has; None if it has none.

    Raises:
        SeveralTokensError: there are several.

    """
    for transport in config.transports:
        match transport:
            case 'cookie':
                found = cookies_of(headers, config.cookie_name)
            case 'header':
                found = lines(headers, config.header.lower().encode('ascii'))
            case _:
                found = [*_bearers(lines(headers, b'authorization'))]
        if found:
            return _only(found)
    return None


def cookies_of(headers: RawHeaders, name: str) -> list[bytes]:
    """The values of all cookies with exactly this name, which may be the same twice."""
    wanted = name.encode('ascii')
    pairs = [pair.strip(b' \t').partition(b'=') for line in lines(headers, b'cookie') for pair in line.split(b';')]
    return [value for key, equals, value in pairs if equals and key == wanted]


def _bearers(values: Iterable[bytes]) -> Iterable[bytes]:
    for value in values:
        scheme, _, credentials = value.partition(b' ')
        if scheme.lower() == b'bearer':
            yield credentials.strip(b' ')


def _only(found: list[bytes]) -> str:
    if any(it != found[0] for it in found):
        raise SeveralTokensError
    return found[0][: LONGEST + 1].decode('latin-1')


def set_cookie(
    name: str, value: str, *, secure: bool, same_site: str, max_age: float | None, http_only: bool = True
) -> Field:
    """The response header that sets a cookie of this host alone; with no value, it is deleted."""
    parts = [f'{name}={value}', 'Path=/', f'SameSite={same_site.capitalize()}']
    if max_age is not None:
        parts.append(f'Max-Age={max(0, ceil(max_age))}')
    if http_only:
        parts.append('HttpOnly')
    if secure:
        parts.append('Secure')
    return b'set-cookie', '; '.join(parts).encode('latin-1')
