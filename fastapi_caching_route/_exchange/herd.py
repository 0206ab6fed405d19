"""One request among others for the same answer: who of them runs the endpoint, and what the others do meanwhile.

Decides, and waits; what follows from it is done in `_exchange`.
"""

import time
from enum import Enum

from fastapi_caching_route._concurrency.flights import Flight, Instead
from fastapi_caching_route._core.asgi import Scope
from fastapi_caching_route._core.entry import Entry
from fastapi_caching_route._core.inputs import Inputs
from fastapi_caching_route._core.variants import Brought, Variants, variant_key, variant_of
from fastapi_caching_route._exchange.call import asked_again
from fastapi_caching_route._exchange.plan import Plan
from fastapi_caching_route._http import reuse
from fastapi_caching_route._store.lock import Lock
from fastapi_caching_route._store.variants import conditions_of

MOST_ATTEMPTS = 4
"""How often a request waits for another one, or leads: what three leaders did not get, each gets for itself."""


class Next(Enum):
    """What a request does that neither leads nor has got an entry."""

    LOOK_AGAIN = 'look again'
    """It has waited for what is stored now."""
    ALONE = 'alone'
    """It lets the endpoint answer, for itself."""


class Herd:
    """The others, as one request sees them."""

    __slots__ = ('_attempts', '_inputs', '_key', '_plan', '_scope', '_until', 'landings', 'variants')

    def __init__(self, plan: Plan, scope: Scope, inputs: Inputs, key: str) -> None:
        """It asks for what is under this key, and has not waited for anybody yet."""
        self._plan = plan
        self._scope = scope
        self._inputs = inputs
        self._attempts = 0
        self._until = 0.0
        self._key = key
        self.landings = 0
        """Those that there had been when it looked up what is stored."""
        self.variants: Variants | None = None
        """Of which the answer is one, if answers under the key vary, as far as that is known by now."""

    async def join(self, demand: reuse.Demand) -> Flight[Brought] | Entry | Next:
        """A flight to be led, or what another one has brought for all."""
        self._until = self._until or time.monotonic() + self._plan.herds.collapse_timeout
        flights = self._plan.runtime.flights
        while self._attempts < MOST_ATTEMPTS and self.may_share(demand):
            self._attempts += 1
            flight = flights.under_way(self.flight_key, self._plan.herds.collapse_timeout)
            if flight is not None:
                brought = await self.follow(flight)
                if brought is not None:
                    return brought
            elif flights.has_brought(self.flight_key, self.landings):
                return Next.LOOK_AGAIN  # it was stored since this request has looked
            else:
                return flights.lead(self.flight_key) if self.may_lead() else Next.ALONE
        return Next.ALONE

    async def follow(self, flight: Flight[Brought]) -> Entry | Next | None:
        """What a flight brings for this request; None if there is to be another one."""
        comes_too_late = flight.is_storing
        match await flight.outcome(self._until - time.monotonic()):
            case Brought() as brought:
                suits = self.suits(brought)
                self.variants = brought.variants
                if suits and not comes_too_late:
                    return brought.entry
                return Next.LOOK_AGAIN if comes_too_late else None
            case Instead.LEAD:
                return None
            case Instead.LOOK_UP:
                return Next.LOOK_AGAIN
            case _:
                return Next.ALONE

    @property
    def flight_key(self) -> str:
        """Under what the answer is waited for: that of its variant, as far as variants are known."""
        return self._key if self.variants is None else self.key_in(self.variants)

    def key_in(self, variants: Variants) -> str:
        """The key of the variant that this request asks for."""
        return variant_key(variants, self.variant_in(variants))

    def variant_in(self, variants: Variants) -> str:
        """What tells the variant that this request asks for from the others."""
        return variant_of(variants, self._scope, self._inputs.left_out, normalised=self._plan.terms.by_the_book)

    def may_share(self, demand: reuse.Demand) -> bool:
        """Whether this request may wait for what another one brings, or others for what this one does."""
        if not self._plan.herds.collapse or demand is not reuse.NO_DEMAND:
            return False
        alone = self._plan.runtime.unshareable.holds(self._key, self._plan.runtime.clock())
        return not (alone or reuse.asks_for_no_storing(self._scope['headers']))

    def may_lead(self) -> bool:
        """Whether what the endpoint answers to this request is likely to be for others too."""
        asked = dict(self._scope['headers'])
        personal = b'authorization' in asked and not self._inputs.authorization_covered
        return self._scope['method'] != 'HEAD' and b'range' not in asked and not personal

    def suits(self, brought: Brought) -> bool:
        """Whether an entry that another request has brought is the one for this request."""
        return brought.variants is None or self.key_in(brought.variants) == brought.entry.key

    def asked_again(self) -> Scope:
        """This request once more, for a renewal."""
        return asked_again(self._scope, conditions_of(self._inputs, self.variants))

    def lock(self, flight: Flight[Brought]) -> Lock | None:
        """The lock on the run, if other processes are to wait for it: until it has landed, though its response may go on."""
        herds, tokens = self._plan.herds, self._plan.runtime.store.tokens
        if tokens is None or not herds.lock:
            return None
        lock = Lock(tokens, self.flight_key, patience=herds.collapse_timeout)
        lock.release_after(flight.landing())
        return lock
