"""One request among others for the same response: whether it runs the endpoint, and what it does meanwhile.

Waits for other requests and decides; `exchange` acts on it.
"""

import math
import time
from enum import Enum

from msgspec import Struct

from fastapi_caching_route._concurrency.flights import Flight, Instead, RunFailedError
from fastapi_caching_route._core.entry import Entry
from fastapi_caching_route._core.variants import Brought, Variants, expected_variant, variant_key, variants_for
from fastapi_caching_route._exchange.call import Call
from fastapi_caching_route._exchange.lookup import Seen
from fastapi_caching_route._http import reuse
from fastapi_caching_route._store.lock import Lock
from fastapi_caching_route._store.visit import Visit

MAX_ATTEMPTS = 4
"""How often a request waits for another one, or leads. After so many flights it goes to the endpoint alone."""


class Lead(Struct, frozen=True):
    """The request runs the endpoint, for all that follow its flight."""

    flight: Flight[Brought]
    variants: Variants | None
    """As far as they are known by now, here and below."""


class Follow(Struct, frozen=True):
    """Another request has brought this entry for all."""

    entry: Entry


class Alone(Struct, frozen=True):
    """The request runs the endpoint for itself."""

    variants: Variants | None


class LookAgain(Enum):
    """There may be something else in the store by now."""

    LOOK_AGAIN = 'look again'


Joined = Lead | Follow | Alone | LookAgain


class _NextFlight(Struct, frozen=True):
    """There is to be another flight."""

    variants: Variants | None


class Herd(Struct, eq=False):
    """The other requests, as one of them sees them."""

    _call: Call
    _attempts: int = 0
    _until: float = 0.0
    """The moment until which it waits for them, by the monotonic clock; 0 before it waits for the first."""
    _asked_at: float = math.inf
    """When it was there at the latest: what is made from then on is for it, see `flights`."""

    async def join(self, seen: Seen, demand: reuse.Demand) -> Joined:
        """Whether this request leads, follows or runs the endpoint alone: nothing that it has seen may be sent.

        Between `under_way`, `has_brought` and `lead` there must be no `await`, or two requests would lead.
        `has_brought` closes the gap between look-up and flight (`test_followers`):

            1. A looks up: nothing is stored.
            2. B stores, and its flight lands.
            3. A asks: no flight is under way. Without the count, A would run the endpoint once more.
        """
        flights, timeout = self._call.plan.runtime.flights, self._call.plan.run_options.collapse_timeout
        self._until = self._until or time.monotonic() + timeout
        self._asked_at = min(self._asked_at, seen.asked_at)
        variants = seen.variants
        while self._attempts < MAX_ATTEMPTS and self._may_share(demand):
            self._attempts += 1
            key = self.flight_key(variants)
            if key is None:
                return Alone(variants)
            flight = flights.under_way(key, timeout)
            if flight is not None:
                outcome = await self._follow(flight, variants, seen.visit)
                if not isinstance(outcome, _NextFlight):
                    return outcome
                variants = outcome.variants
            elif flights.has_brought(key, seen.brought_so_far):
                return LookAgain.LOOK_AGAIN
            else:
                return Lead(flights.lead(key), variants) if self._may_lead() else Alone(variants)
        return Alone(variants)

    async def _follow(
        self, flight: Flight[Brought], variants: Variants | None, visit: Visit | None = None
    ) -> Joined | _NextFlight:
        """The same after a flight has landed."""
        comes_too_late = flight.is_storing  # see `keeping._store_in_place`: it may come after an invalidation
        wait_for_store = None if visit is None else visit.wait_for_store
        outcome = await flight.outcome(self._until - time.monotonic(), self._asked_at, wait_for_store)
        if outcome is Instead.TAKE_READY:
            outcome, comes_too_late = flight.ready_for(self._asked_at) or Instead.LEAD, False
        match outcome:
            case Brought() if comes_too_late:
                return LookAgain.LOOK_AGAIN
            case Brought() as brought:
                suits = self._suits(brought)
                return Follow(brought.entry) if suits else _NextFlight(brought.variants)
            case RunFailedError() as failed:
                raise failed.for_a_follower()
            case Instead.LEAD:
                return _NextFlight(variants)
            case Instead.LOOK_UP:
                return LookAgain.LOOK_AGAIN
            case _:
                return Alone(variants)

    def _may_share(self, demand: reuse.Demand) -> bool:
        """Whether this request may wait for what another one brings, or others for what this one brings."""
        plan, key = self._call.plan, self._call.key
        if not plan.run_options.collapse or demand is not reuse.NO_DEMAND:
            return False
        pauses = plan.runtime.unshareable
        unshareable = not pauses.are_none and pauses.holds(key, plan.runtime.clock())
        return not (unshareable or reuse.asks_for_no_storing(self._call.scope['headers']))

    def _may_lead(self) -> bool:
        """Whether the response to this request is likely to be for others too."""
        asked = dict(self._call.scope['headers'])
        if self._call.scope['method'] == 'HEAD' or b'range' in asked:
            return False
        inputs = self._call.declared.inputs
        return b'authorization' not in asked or self._call.plan.covers_authorization(self._call.scope, inputs)

    def _suits(self, brought: Brought) -> bool:
        """Whether an entry that another request has brought is the one for this request."""
        call, variants = self._call, brought.variants
        by_the_book = call.plan.terms.by_the_book
        return variants is None or brought.entry.key in variants_for(variants, call.raw, normalised=by_the_book)

    def lock(self, flight: Flight[Brought], variants: Variants | None) -> Lock | None:
        """The lock on the run if other processes wait for it: not if the store did not take the last response.

        It is released after the flight has landed, not after the run: storing may go on behind the response
        (`store-slow`), and another process that takes the lock must find the entry.
        """
        plan, runtime, key = self._call.plan, self._call.plan.runtime, self.flight_key(variants)
        options, tokens = plan.run_options, runtime.store.tokens
        if tokens is None or not options.lock or key is None:
            return None
        if not runtime.unstorable.are_none and runtime.unstorable.holds(self._call.key, runtime.clock()):
            return None
        lock = Lock(tokens, key, patience=options.collapse_timeout)
        lock.release_after(flight.landing())
        return lock

    def flight_key(self, variants: Variants | None) -> str | None:
        """The key of the flight of the response: it contains everything that is known to select among the variants.

        None if the request cannot be compared with others in that.
        """
        if variants is None:
            return self._call.key
        variant = expected_variant(variants, self._call.raw, normalised=self._call.plan.terms.by_the_book)
        return None if variant is None else variant_key(variants, variant)
