"""Whether a stored response may answer a request (RFC 9111 §4)."""

from dataclasses import dataclass
from enum import Enum

from fastapi_caching_route._http.cache_control import directives
from fastapi_caching_route._http.fields import RawHeaders, lines


class Use(Enum):
    """What may be done with a stored response."""

    ANSWER = 'answer'
    """It answers as it is."""
    REFRESH = 'refresh'
    """It answers as it is, fresh, and is renewed after that."""
    RENEW = 'renew'
    """It answers as it is, stale, and is renewed after that (RFC 5861 §3)."""
    VALIDATE = 'validate'
    """The endpoint has to be asked."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What the Cache-Control of a request asks for (RFC 9111 §5.2.1). Spans in seconds, None where it says nothing."""

    no_cache: bool = False
    only_if_cached: bool = False
    max_age: int | None = None
    min_fresh: int | None = None
    max_stale: float | None = None


FAILURES = frozenset((500, 502, 503, 504))
"""Statuses that are a failure of the endpoint (RFC 5861 §4)."""

NO_DEMAND = Demand()
"""The only one of its kind."""


def demand(request: RawHeaders) -> Demand:
    """What a request asks for; without Cache-Control, `Pragma: no-cache` counts as `no-cache` (RFC 9111 §5.4)."""
    if not lines(request, b'cache-control'):
        pragma = b','.join(lines(request, b'pragma')).lower()
        return Demand(no_cache=True) if b'no-cache' in pragma else NO_DEMAND
    said = directives(request)
    asked = Demand(said.no_cache, said.only_if_cached, said.max_age, said.min_fresh, said.max_stale)
    return NO_DEMAND if asked == NO_DEMAND else asked


def asks_for_no_storing(request: RawHeaders) -> bool:
    """Whether no part of the request or of its response may be stored (RFC 9111 §5.2.1.5)."""
    return directives(request).no_store


def age(stored_at: float, now: float) -> float:
    """Seconds since the response was made (RFC 9111 §4.2.3); a clock set back does not make it younger than new."""
    return now - stored_at if now > stored_at else 0.0


def age_and_left(stored_at: float, lifetime: float, stale_at: float, now: float) -> tuple[float, float]:
    """The age, and the seconds for which the response is still fresh (RFC 9111 §4.2); negative by how long it has been stale.

    `stale_at` is when somebody has made it stale before its time, in seconds since the epoch, or infinity.
    """
    seconds = age(stored_at, now)
    by_age, by_word = lifetime - seconds, stale_at - now
    return seconds, min(by_word, by_age)


def in_window(left: float, window: float) -> bool:
    """Whether a response that has so many seconds left is stale, and inside of a window for that (RFC 5861)."""
    return -window < left <= 0


def use(
    age: float, left: float, demand: Demand, *, must_validate: bool, stale_if_accepted: bool, while_revalidate: float
) -> Use:
    """What may be done with a response of this age that has so many seconds left (RFC 9111 §4, §4.2.4, §5.2.1)."""
    if must_validate or demand.no_cache or (demand.max_age is not None and age > demand.max_age):
        return Use.VALIDATE
    if demand.min_fresh is not None and left < demand.min_fresh:
        return Use.VALIDATE
    if left > 0:
        return Use.ANSWER
    if stale_if_accepted and demand.max_stale is not None and -left <= demand.max_stale:
        return Use.ANSWER
    return Use.RENEW if in_window(left, while_revalidate) else Use.VALIDATE
