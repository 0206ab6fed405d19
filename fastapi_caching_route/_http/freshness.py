"""How long a response is fresh (RFC 9111 §4.2), and how old it was when it was received."""

from fastapi_caching_route._http.cache_control import Directives
from fastapi_caching_route._http.dates import timestamp
from fastapi_caching_route._http.fields import RawHeaders, lines, members, whole_number
from fastapi_caching_route._http.terms import Terms

FOREVER = 30 * 24 * 3600.0
"""The longest lifetime, in seconds: memcached reads a longer span as a date."""

HEURISTIC_SHARE, HEURISTIC_LIMIT = 0.1, 24 * 3600.0
"""A response that was not modified for a year will probably stay the same for a while, but not for a month (RFC 9111
§4.2.2)."""

HEURISTIC_STATUSES = frozenset((200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501))
"""The statuses of RFC 9110 §15.1 without 206: their lifetime may be guessed."""


def lifetime(status: int, response: RawHeaders, said: Directives, terms: Terms, now: float) -> float:
    """The lifetime in seconds: chosen by the endpoint, or the ttl of the route, which headers may shorten.

    With `mode='rfc9111'`: the explicit lifetime of the response, or a heuristic one (RFC 9111 §4.2.1, §4.2.2).
    """
    if terms.chosen_ttl is not None:
        return min(terms.chosen_ttl, FOREVER)
    explicit = explicit_lifetime(response, said, now)
    if terms.by_the_book:
        guessed = heuristic_lifetime(status, response, said, now) if explicit is None else explicit
        return min(guessed, FOREVER)
    given = [span for span in (terms.ttl_of(status), explicit) if span is not None]
    if not given:
        given = [FOREVER if terms.fallback_ttl is None else terms.fallback_ttl]
    return min(*given, FOREVER)


def explicit_lifetime(response: RawHeaders, said: Directives, now: float) -> float | None:
    """The explicit lifetime of the response in seconds; None if it has none (RFC 9111 §4.2.1)."""
    if said.s_maxage is not None:
        return said.s_maxage
    if said.max_age is not None:
        return said.max_age
    expires = lines(response, b'expires')
    if not expires:
        return None
    date = lines(response, b'date')
    moments = [timestamp(value, now) for value in expires]
    if None in moments:
        return 0  # an invalid date counts as one in the past (RFC 9111 §5.3)
    date_at = timestamp(date[0], now) if date else None
    return max(0.0, min(it for it in moments if it is not None) - (now if date_at is None else date_at))


def heuristic_lifetime(status: int, response: RawHeaders, said: Directives, now: float) -> float:
    """A share of the time since the response was last modified; 0 if no guess is allowed (RFC 9111 §4.2.2)."""
    modified = lines(response, b'last-modified')
    modified_at = timestamp(modified[0], now) if modified else None
    if modified_at is None or (status not in HEURISTIC_STATUSES and not said.public):
        return 0.0
    return min(HEURISTIC_SHARE * max(0.0, now - modified_at), HEURISTIC_LIMIT)


def received_age(response: RawHeaders, now: float, delay: float = 0.0) -> float:
    """The age of the response when it was received, in seconds, by Age or by Date (RFC 9111 §4.2.3).

    `delay` are the seconds since it was asked for: it has left the origin at any moment of them. Of several Age values
    the first counts; an invalid one is ignored (§5.1).
    """
    if {b'age', b'date'}.isdisjoint(dict(response)):
        return delay
    ages, date = members(response, b'age'), lines(response, b'date')
    date_at = timestamp(date[0], now) if date else None
    apparent = 0.0 if date_at is None else max(0.0, now - date_at)
    return max(apparent, ((whole_number(ages[0]) if ages else None) or 0) + delay)
