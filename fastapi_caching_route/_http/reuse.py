"""Whether a stored response may answer a request (RFC 9111 §4)."""

from dataclasses import dataclass
from enum import Enum

from fastapi_caching_route._http.cache_control import directives
from fastapi_caching_route._http.fields import RawHeaders, lines


class Use(Enum):
    """What may be done with a stored response."""

    ANSWER = 'answer'
    """It answers."""
    REFRESH = 'refresh'
    """It is fresh and answers; afterwards it is renewed."""
    RENEW = 'renew'
    """It is stale and answers; afterwards it is renewed (RFC 5861 §3)."""
    VALIDATE = 'validate'
    """The endpoint has to be asked."""


ANSWER, REFRESH, RENEW, VALIDATE = Use.ANSWER, Use.REFRESH, Use.RENEW, Use.VALIDATE
"""The same, for hits: up to Python 3.11, to find a member of an Enum takes as long as a call does."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What the Cache-Control of a request asks for (RFC 9111 §5.2.1). Spans in seconds; None if not given."""

    no_cache: bool = False
    only_if_cached: bool = False
    max_age: int | None = None
    min_fresh: int | None = None
    max_stale: float | None = None


FAILURES = frozenset((500, 502, 503, 504))
"""Statuses that are a failure of the endpoint (RFC 5861 §4)."""

NO_DEMAND = Demand()
"""Compared by identity: `demand` returns no other one that asks for nothing."""


def demand(request: RawHeaders) -> Demand:
    """What a request asks for; without Cache-Control, `Pragma: no-cache` counts as `no-cache` (RFC 9111 §5.4)."""
    if not lines(request, b'cache-control'):
        pragma = b','.join(lines(request, b'pragma')).lower()
        return Demand(no_cache=True) if b'no-cache' in pragma else NO_DEMAND
    said = directives(request)
    asked = Demand(said.no_cache, said.only_if_cached, said.max_age, said.min_fresh, said.max_stale)
    return NO_DEMAND if asked == NO_DEMAND else asked


def accepted_on_error(request: RawHeaders) -> int | None:
    """For how many seconds past its lifetime a client accepts a response in place of a failure (RFC 5861 §4)."""
    return directives(request).stale_if_error


def asks_for_no_storing(request: RawHeaders) -> bool:
    """Whether no part of the request or of its response may be stored (RFC 9111 §5.2.1.5)."""
    return directives(request).no_store


def age(stored_at: float, now: float) -> float:
    """The age of a response in seconds (RFC 9111 §4.2.3); it is never negative, even if the clock was set back."""
    return now - stored_at if now > stored_at else 0.0


def age_and_left(stored_at: float, lifetime: float, stale_at: float, now: float) -> tuple[float, float]:
    """The age, and the seconds of freshness left (RFC 9111 §4.2); negative: how long it has been stale.

    `stale_at` is when a soft invalidation made it stale, in seconds since the epoch, or infinity.
    """
    seconds = age(stored_at, now)
    return seconds, min(lifetime - seconds, stale_at - now)


def in_window(left: float, window: float) -> bool:
    """Whether a response with `left` seconds of freshness is stale, and still in this stale window (RFC 5861)."""
    return -window < left <= 0


def use(
    age: float, left: float, demand: Demand, *, must_validate: bool, stale_if_accepted: bool, while_revalidate: float
) -> Use:
    """What may be done with a response of this age and `left` seconds of freshness (RFC 9111 §4, §4.2.4, §5.2.1)."""
    if must_validate or demand.no_cache or (demand.max_age is not None and age > demand.max_age):
        return VALIDATE
    if demand.min_fresh is not None and left < demand.min_fresh:
        return VALIDATE
    if left > 0:
        return ANSWER
    if stale_if_accepted and demand.max_stale is not None and -left <= demand.max_stale:
        return ANSWER
    return RENEW if in_window(left, while_revalidate) else VALIDATE
