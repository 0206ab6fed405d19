"""Cache-Control as it is read (RFC 9111 §5.2).

Directive names in any case, arguments as tokens or quoted strings (§5.2), unknown directives ignored (§5.2.3).
"""

from dataclasses import dataclass

from fastapi_caching_route._http.fields import RawHeaders, members, whole_number


@dataclass(frozen=True, slots=True)
class Directives:
    """The directives of a message that this cache acts on. Spans in seconds; None where a directive is absent."""

    no_store: bool = False
    no_cache: bool = False
    private: bool = False
    public: bool = False
    must_revalidate: bool = False
    proxy_revalidate: bool = False
    max_age: int | None = None
    s_maxage: int | None = None


NOTHING = Directives()


def directives(headers: RawHeaders) -> Directives:
    """What the Cache-Control lines of a message say; of a repeated span, the shorter counts (RFC 9111 §4.2.1)."""
    given: dict[bytes, list[bytes | None]] = {}
    for member in members(headers, b'cache-control'):
        name, equals, argument = member.partition(b'=')
        given.setdefault(name.strip(b' \t').lower(), []).append(argument.strip(b' \t') if equals else None)
    if not given:
        return NOTHING
    return Directives(
        no_store=b'no-store' in given,
        no_cache=b'no-cache' in given,
        private=b'private' in given,
        public=b'public' in given,
        must_revalidate=b'must-revalidate' in given,
        proxy_revalidate=b'proxy-revalidate' in given,
        max_age=_shortest(given.get(b'max-age')),
        s_maxage=_shortest(given.get(b's-maxage')),
    )


def _shortest(arguments: list[bytes | None] | None) -> int | None:
    return None if arguments is None else min(map(_delta_seconds, arguments))


def _delta_seconds(argument: bytes | None) -> int:
    """Seconds of an argument; one that cannot be read means stale already, hence 0 (RFC 9111 §4.2.1)."""
    return whole_number((argument or b'').strip(b'"')) or 0
