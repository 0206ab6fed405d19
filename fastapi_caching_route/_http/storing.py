"""Whether a response may be kept, and for how long (RFC 9111 §3 and §4.2.1), for a shared cache."""

from dataclasses import dataclass
from datetime import timezone
from email.utils import parsedate_to_datetime

from fastapi_caching_route._http.cache_control import Directives, directives
from fastapi_caching_route._http.fields import HOP_BY_HOP, RawHeaders, lines, names, whole_number, without

FOREVER = 30 * 24 * 3600.0
"""The longest lifetime, in seconds: memcached reads a longer span as a date."""

NOT_STORED = HOP_BY_HOP | {b'age', b'cache-status', b'set-cookie'}
"""Fields that are true of one exchange only (RFC 9111 §3.1)."""


@dataclass(frozen=True, slots=True)
class Terms:
    """On which terms a route's responses are kept. Spans in seconds, None where nobody said."""

    accepted: frozenset[int]
    ttl: float | None
    fallback_ttl: float | None
    max_body_size: int
    """Bytes."""
    stale_while_revalidate: float = 0.0
    stale_if_error: float = 0.0
    chosen_ttl: float | None = None
    """What the endpoint itself has chosen for this one answer; it counts alone."""
    authorization_covered: bool = False
    """Whether Authorization is accounted for: by the key, a security scheme, or somebody who has said who shares."""

    @property
    def windowed(self) -> bool:
        """Whether responses may be served stale."""
        return self.stale_while_revalidate > 0 or self.stale_if_error > 0


@dataclass(frozen=True, slots=True)
class Storable:
    """A response may be kept; it is fresh for `lifetime` seconds, and may be served stale for so many more (RFC 5861)."""

    lifetime: float
    stale_while_revalidate: float = 0.0
    stale_if_error: float = 0.0

    @property
    def window(self) -> float:
        """Seconds past the lifetime for which it is kept."""
        return max(self.stale_while_revalidate, self.stale_if_error)


@dataclass(frozen=True, slots=True)
class Refused:
    """A response must not be kept."""

    reason: str


def judge(request: RawHeaders, status: int, response: RawHeaders, terms: Terms, now: float) -> Storable | Refused:
    """Whether this response may be kept, and for how long: decided from its start alone."""
    said = directives(response)
    present = {name for name, _ in response}
    length = lines(response, b'content-length')
    span = lifetime(response, said, terms, now)
    broken = {
        'status': status not in terms.accepted,
        'partial': b'content-range' in present,
        'set-cookie': b'set-cookie' in present,
        'no-store': said.no_store or directives(request).no_store,
        'private': said.private,
        'no-cache': said.no_cache,
        'vary': b'*' in names(response, b'vary'),
        'authorization': not (terms.authorization_covered or storable_with_authorization(request, said)),
        'size': bool(length) and (whole_number(length[0]) or 0) > terms.max_body_size,
        'ttl': span <= 0,
    }
    reason = next((reason for reason, holds in broken.items() if holds), None)
    if reason is not None:
        return Refused(reason)
    if said.must_revalidate or said.proxy_revalidate:  # never stale (RFC 9111 §5.2.2.2, §5.2.2.8)
        return Storable(span)
    return Storable(span, terms.stale_while_revalidate, terms.stale_if_error)


def storable_with_authorization(request: RawHeaders, said: Directives) -> bool:
    """Whether an Authorization field in the request, if there is one, leaves the response storable (RFC 9111 §3.5)."""
    if not lines(request, b'authorization'):
        return True
    return said.public or said.s_maxage is not None or said.must_revalidate


def lifetime(response: RawHeaders, said: Directives, terms: Terms, now: float) -> float:
    """Seconds for which the response is fresh: chosen for it, or the route's ttl, which its fields may only shorten."""
    if terms.chosen_ttl is not None:
        return min(terms.chosen_ttl, FOREVER)
    explicit = explicit_lifetime(response, said, now)
    given = [span for span in (terms.ttl, explicit) if span is not None]
    if not given:
        given = [FOREVER if terms.fallback_ttl is None else terms.fallback_ttl]
    return min(*given, FOREVER)


def explicit_lifetime(response: RawHeaders, said: Directives, now: float) -> float | None:
    """The freshness lifetime that the response states, in seconds, if it does (RFC 9111 §4.2.1)."""
    if said.s_maxage is not None:
        return said.s_maxage
    if said.max_age is not None:
        return said.max_age
    expires, date = lines(response, b'expires'), lines(response, b'date')
    if not expires:
        return None
    expires_at = moment(expires[0])
    if expires_at is None:
        return 0  # a date that cannot be read has passed (RFC 9111 §5.3)
    date_at = moment(date[0]) if date else None
    return max(0.0, expires_at - (now if date_at is None else date_at))


def moment(value: bytes) -> float | None:
    """Seconds since the epoch of an HTTP date, or None (RFC 9110 §5.6.7)."""
    try:
        read = parsedate_to_datetime(value.decode('latin-1'))
        return (read if read.tzinfo else read.replace(tzinfo=timezone.utc)).timestamp()
    except (ValueError, OverflowError):
        return None


def stored_fields(response: RawHeaders) -> list[tuple[bytes, bytes]]:
    """The fields that are kept: all but those about the connection (RFC 9111 §3.1)."""
    return without(response, NOT_STORED | names(response, b'connection'))
