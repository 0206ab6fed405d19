"""Outcomes as headers: X-Cache, Age, Cache-Status (RFC 9211), and the Cache-Control of the route.

Pure. Does not know how an outcome came about.
"""

from dataclasses import dataclass
from functools import lru_cache
from math import floor

from msgspec import Struct

from fastapi_caching_route._core import reasons
from fastapi_caching_route._core.inputs import Inputs
from fastapi_caching_route._core.variants import Group, may_be_for_all
from fastapi_caching_route._http import cache_status
from fastapi_caching_route._http.fields import Field, RawHeaders, lines

OF_OTHER_CACHES = frozenset((b'age', b'cache-status'))
"""Headers that caches nearer to the origin add; ours come after theirs."""


class Outcome(Struct, frozen=True):
    """How a response came about, for Cache-Status."""

    why: bytes | None
    """Why the request was forwarded to the endpoint (RFC 9211 §2.2); None if it was not."""
    stored: bool = False
    collapsed: bool = False
    """Whether the response comes from a run of the endpoint for another request."""
    status: int | None = None
    """The status of the endpoint's response, if a different one was sent."""
    ttl: float | None = None
    """Remaining seconds of freshness; negative if the response is stale."""
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Labels:
    """The headers that a route adds to its responses."""

    name: bytes | None
    """The name of this cache in Cache-Status; None if that header is not sent."""
    cache_header: bytes
    """The name of the header with HIT or MISS."""
    hit: Field
    """Marks a response from an entry."""
    miss: Field
    """Marks a response that is being stored."""
    cache_control: RawHeaders
    """Cache-Control and CDN-Cache-Control of the route."""
    cache_control_for_one: RawHeaders
    """The same for responses that are for one client only."""
    cache_control_to_validate: RawHeaders
    """The same for responses of which nobody knows yet what selects them: their client asks again before each use."""
    counts_down: bool = False
    """Whether they say what is left of the lifetime."""
    says_public: bool = False
    """Whether the route itself says that caches in front share its responses."""

    def our_cache_control(
        self, headers: RawHeaders, inputs: Inputs, read: Group | None, age: float, left: float
    ) -> RawHeaders:
        """The headers of the route for other caches, without those that the response already has.

        The response is of this `age`, and fresh for `left` seconds; `read` is what was read of the raw request to make
        it, None as long as more may be read.
        """
        if not self.cache_control:
            return ()
        if read is None:
            ours = self.cache_control_to_validate
        else:
            ours = self.cache_control if may_be_for_all(inputs, read) else self.cache_control_for_one
        present = {name for name, _ in headers}
        given = [field for field in ours if field[0] not in present]
        return counted_down(given, age, left) if self.counts_down else given

    def on_hit(
        self,
        age: float,
        left: float,
        headers: RawHeaders,
        inputs: Inputs,
        read: Group = (),
        *,
        detail: bytes | None = None,
    ) -> RawHeaders:
        """For a response with these headers from an entry of this age, which is fresh for `left` seconds."""
        if not self.cache_control and detail is None:
            return _on_most_hits(int(age), floor(left), self.hit, self.name)
        ours = self.our_cache_control(headers, inputs, read, age, left)
        labels = [*age_unless_ours(age, ours), *ours, self.hit]
        if self.name is not None:
            labels.append((b'cache-status', cache_status.hit(self.name, left, detail)))
        return labels

    def on_entry(self, outcome: Outcome, age: float, ours: RawHeaders) -> RawHeaders:
        """For a response from an entry although the endpoint ran: collapsed, confirmed, or used after a failure."""
        return (*age_unless_ours(age, ours), *ours, self.hit, *self.on_pass(outcome))

    def on_miss(self, outcome: Outcome, ours: RawHeaders) -> RawHeaders:
        """For the endpoint's response; headers for other caches are added only if it is stored here, too.

        Or if it is not because the route leaves storing to them, with `store=False`.
        """
        if outcome.detail == reasons.STORE.name:
            return (*ours, *self.on_pass(outcome))
        return (*ours, self.miss, *self.on_pass(outcome)) if outcome.stored else self.on_pass(outcome)

    def on_held(self, outcome: Outcome, ours: RawHeaders, headers: RawHeaders, age: float) -> RawHeaders:
        """The same for a response that is sent like an entry: its own Age and Cache-Status are kept."""
        labels = self.on_miss(outcome, ours)
        if OF_OTHER_CACHES.isdisjoint(dict(headers)):
            return labels
        if lines(headers, b'age'):  # it was not new when it arrived (RFC 9111 §5.1)
            labels = (*age_unless_ours(age, labels), *labels)
        return (*((b'cache-status', it) for it in lines(headers, b'cache-status')), *labels)

    def on_pass(self, outcome: Outcome) -> RawHeaders:
        """For a response that is passed on: the request bypassed the cache, or the response is not stored."""
        if self.name is None:
            return ()
        return _on_most_passes(self.name, outcome) if outcome.ttl is None else _on_pass(self.name, outcome)


def _on_pass(name: bytes, outcome: Outcome) -> RawHeaders:
    value = cache_status.forwarded(
        name,
        outcome.why,
        status=outcome.status,
        ttl=None if outcome.ttl is None else floor(outcome.ttl),
        stored=outcome.stored,
        collapsed=outcome.collapsed,
        detail=outcome.detail,
    )
    return ((b'cache-status', value),)


_on_most_passes = lru_cache(512)(_on_pass)
"""The same for outcomes without a number, remembered."""


@lru_cache(1024)
def _on_most_hits(age: int, left: int, hit: Field, name: bytes | None) -> RawHeaders:
    """The same for most hits, remembered: many hits in one second have the same headers."""
    status = [] if name is None else [(b'cache-status', cache_status.hit(name, left))]
    return ((b'age', b'%d' % age), hit, *status)


def counted_down(ours: RawHeaders, age: float, left: float) -> RawHeaders:
    """The headers with what is left of the lifetime; where Age is sent beside them, a cache subtracts it once more."""
    seconds = max(0, floor(left))
    if seconds and age_unless_ours(age, ours):
        seconds += int(age)
    return [(name, value.replace(b'=ttl', b'=%d' % seconds)) for name, value in ours]


def age_unless_ours(age: float, ours: RawHeaders) -> RawHeaders:
    """Age, except beside a Cache-Control of ours: its lifetime starts now."""
    return [] if any(name == b'cache-control' for name, _ in ours) else [(b'age', b'%d' % age)]
