"""Cache-Control as it is read (RFC 9111 §5.2; RFC 5861 for the stale directives).

Directive names in any case, arguments as tokens or quoted strings (§5.2), unknown directives ignored (§5.2.3).
"""

import math
import re
from dataclasses import dataclass

from fastapi_caching_route._http.fields import RawHeaders, members, whole_number


@dataclass(frozen=True, slots=True)
class Directives:
    """The directives of a message that this cache acts on. Spans in seconds; None where a directive is absent."""

    no_store: bool = False
    no_cache: bool = False
    """Unqualified: the whole response. The fields that a qualified one names are in `unstored_fields`."""
    private: bool = False
    """Unqualified, like `no_cache`."""
    public: bool = False
    must_revalidate: bool = False
    proxy_revalidate: bool = False
    must_understand: bool = False
    no_transform: bool = False
    only_if_cached: bool = False
    max_age: int | None = None
    s_maxage: int | None = None
    min_fresh: int | None = None
    max_stale: float | None = None
    """Infinite where it has no argument (§5.2.1.2)."""
    stale_while_revalidate: int | None = None
    stale_if_error: int | None = None
    unstored_fields: frozenset[bytes] = frozenset()
    """Fields that `no-cache="..."` and `private="..."` name: not to be reused without validation (§5.2.2.4), and not to
    be stored (§5.2.2.7), so they are not kept."""


NOTHING = Directives()

_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FORBIDDING = frozenset((b'no-cache', b'no-store', b'private'))
"""Directives that count even where something that cannot be read follows them: not to store is never wrong."""


def directives(headers: RawHeaders) -> Directives:
    """What the Cache-Control lines of a message say; of a repeated span, the shorter counts (RFC 9111 §4.2.1)."""
    given = _given(headers) if b'cache-control' in dict(headers) else None
    if not given:
        return NOTHING
    no_cache, unvalidated = _qualified(given.get(b'no-cache'))
    private, personal = _qualified(given.get(b'private'))
    return Directives(
        no_store=b'no-store' in given,
        no_cache=no_cache,
        private=private,
        public=b'public' in given,
        must_revalidate=b'must-revalidate' in given,
        proxy_revalidate=b'proxy-revalidate' in given,
        must_understand=b'must-understand' in given,
        no_transform=b'no-transform' in given,
        only_if_cached=b'only-if-cached' in given,
        max_age=_shortest(given.get(b'max-age')),
        s_maxage=_shortest(given.get(b's-maxage')),
        min_fresh=_shortest(given.get(b'min-fresh')),
        max_stale=_max_stale(given.get(b'max-stale')),
        stale_while_revalidate=_shortest(given.get(b'stale-while-revalidate')),
        stale_if_error=_shortest(given.get(b'stale-if-error')),
        unstored_fields=unvalidated | personal,
    )


def is_public(headers: RawHeaders) -> bool:
    """Whether a response says that shared caches may give it to any client, in whichever of its two headers."""
    for name in (b'cache-control', b'cdn-cache-control'):
        said = directives([(b'cache-control', value) for field, value in headers if field == name])
        if (said.public or said.s_maxage is not None) and not (said.private or said.no_store or said.no_cache):
            return True
    return False


def _given(headers: RawHeaders) -> dict[bytes, list[bytes | None]]:
    """The arguments of each directive, None where there is none."""
    given: dict[bytes, list[bytes | None]] = {}
    for member in members(headers, b'cache-control'):
        directive, equals, argument = member.partition(b'=')
        name = directive.strip(b' \t').lower()
        found = _TOKEN.match(name)
        if found is not None and found.end() < len(name) and found[0] in _FORBIDDING:  # like `private;x-user`
            name, equals = found[0], b''
        given.setdefault(name, []).append(argument.strip(b' \t') if equals else None)
    return given


def _shortest(arguments: list[bytes | None] | None) -> int | None:
    return None if arguments is None else min(map(_delta_seconds, arguments))


def _max_stale(arguments: list[bytes | None] | None) -> float | None:
    if arguments is None:
        return None
    return min(math.inf if argument is None else _delta_seconds(argument) for argument in arguments)


def _delta_seconds(argument: bytes | None) -> int:
    """Seconds of an argument; one that cannot be read means stale already, hence 0 (RFC 9111 §4.2.1)."""
    return whole_number((argument or b'').strip(b'"')) or 0


def _qualified(arguments: list[bytes | None] | None) -> tuple[bool, frozenset[bytes]]:
    """Whether a directive that may name fields stands without any, and the fields that it names otherwise.

    An argument that is no list of names cannot be read, so it counts as none: the whole response is meant.
    """
    named = [(argument or b'').strip(b'"') for argument in arguments or ()]
    fields = {field.strip(b' \t').lower() for names in named for field in names.split(b',')} - {b''}
    is_bare = any(not names.strip(b' \t,') for names in named) or not all(map(_TOKEN.fullmatch, fields))
    return is_bare, frozenset(fields)
