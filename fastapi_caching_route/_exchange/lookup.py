"""What is stored for a request, and what may be done with it.

Does not know guards, nor what sends the response in the end.
"""

import asyncio
import math
import time

from msgspec import Struct
from msgspec.structs import replace

from fastapi_caching_route._core.asgi import Scope
from fastapi_caching_route._core.declared import Declared
from fastapi_caching_route._core.entry import Entry
from fastapi_caching_route._core.key import KeyPair
from fastapi_caching_route._core.raw_request import RawRequest
from fastapi_caching_route._core.variants import Variants, needs_body, stored_variant, variant_key
from fastapi_caching_route._exchange.call import Call
from fastapi_caching_route._exchange.negotiating import choice_of
from fastapi_caching_route._exchange.plan import Plan, RunOptions
from fastapi_caching_route._http import reuse
from fastapi_caching_route._http.fields import RawHeaders
from fastapi_caching_route._http.reuse import ANSWER, REFRESH, Demand, Use
from fastapi_caching_route._store.visit import Found, Later, Visit


class Guessed(Struct, frozen=True):
    """A variant that was looked up together with the record of variants, as that record was known before."""

    variant: str
    found: Found | None


class Looking(Struct, frozen=True):
    """How something was looked up."""

    brought_so_far: int
    """How many flights had brought something by then."""
    visit: Visit
    guessed: Guessed | None
    asked_at: float
    """When that began, in seconds of the monotonic clock."""


class Looked(Struct, frozen=True, gc=False):
    """What is stored under the key of a request."""

    keys: KeyPair
    stored: Found | Variants | Later | None
    how: Looking | None = None
    """None if it was looked up at once, without a visit."""


def begins_with_the_body(plan: Plan, declared: Declared, scope: Scope) -> bool:
    """Whether the body of a request is all that is missing for its key, and nothing comes before it is read."""
    comes_first = declared.before_key is None and plan.hooks.skip is None
    is_served = scope['method'] in plan.methods and not plan.runtime.switch.times_off
    return declared.keys.is_by_body and comes_first and is_served


def judge(found: Found, now: float, demand: Demand, options: RunOptions) -> tuple[Use, float, float]:
    """How an entry may be used now, its age, and the seconds of freshness left.

    Nothing else decides this.
    """
    entry = found.entry
    age, left = reuse.age_and_left(entry.stored_at, entry.lifetime, found.stale_at, now)
    use = reuse.use(
        age,
        left,
        demand,
        must_validate=entry.must_validate,
        stale_if_accepted=entry.stale_if_accepted,
        while_revalidate=entry.stale_while_revalidate,
    )
    if options.eager_refresh is not None and use is ANSWER and options.is_due(entry, age):
        use = REFRESH
    return use, age, left


def is_renewal_due(plan: Plan, key: str, now: float, flight_key: str | None = None) -> bool:
    """Whether an entry that is to be renewed is not being renewed yet, and has not failed to be lately.

    Its renewal is called `flight_key`, if that is not its key.
    """
    runtime = plan.runtime
    under_way = runtime.flights.under_way(flight_key or key, plan.run_options.collapse_timeout)
    return under_way is None and not runtime.unrenewable.holds(key, now)


def window_on_error(plan: Plan, request: RawHeaders, entry: Entry) -> float:
    """For how many seconds past its lifetime an entry may stand in for a failure: the client may say so itself."""
    if not (plan.heeds_demands and entry.stale_if_accepted):
        return entry.stale_if_error
    accepted = reuse.accepted_on_error(request)
    return entry.stale_if_error if accepted is None else accepted


async def look_up_key(plan: Plan, keys: KeyPair, request: RawRequest, visit: Visit | None = None) -> Looked:
    """Look up what is stored under a key; together with it the variant that a request probably gets, if it has some.

    The count is read before the look-up: after it, a flight that lands meanwhile would be counted although its entry
    was not seen (`test_herds` counts the runs).
    """
    runtime, asked_at = plan.runtime, time.monotonic()
    so_far, visit = runtime.flights.brought_so_far, visit or runtime.store.visit()
    record = runtime.records.get(keys[1])
    variant = None if record is None else _expected(record, request, plan)
    if record is None or variant is None:
        found, guessed = await visit.look_up(keys[1]), None
    else:
        found, guessed = await _both(visit, keys[1], variant_key(record, variant), variant)
    if isinstance(found, Variants) and runtime.store.is_shared:
        runtime.records.note(found)
    return Looked(keys, found, Looking(so_far, visit, guessed, asked_at))


def _expected(record: Variants, request: RawRequest, plan: Plan) -> str | None:
    if needs_body(record) and request.body is None:
        return None
    return stored_variant(record, request, normalised=plan.terms.by_the_book)


async def _both(
    visit: Visit, key: str, key_of_variant: str, variant: str
) -> tuple[Found | Variants | None, Guessed | None]:
    """The entries under two keys. Looked up in one turn of the event loop, they are read with one command."""
    guessing = asyncio.ensure_future(visit.look_up(key_of_variant))
    try:
        found = await visit.look_up(key)
        if not isinstance(found, Variants):
            return found, None
        guess = await guessing
        return found, Guessed(variant, guess if isinstance(guess, Found) else None)
    finally:
        guessing.cancel()


class Seen(Struct, frozen=True):
    """The result of a look-up for a request."""

    found: Found | None
    """The entry, fresh or not, if it has not been invalidated."""
    variants: Variants | None
    """Of which it is one, or would be, if responses under the key vary."""
    brought_so_far: int
    """How many flights had brought something by then: a later one may have stored what was not there yet."""
    visit: Visit
    """With what is left of its time."""
    asked_at: float = math.inf
    """When the look-up began, in seconds of the monotonic clock: the request was there by then."""

    def among(self, variants: Variants | None) -> 'Seen':
        """The same, as one of these variants."""
        return self if variants is self.variants else replace(self, variants=variants)


async def look_up(call: Call, looked: Looked | None = None, *, visit: Visit | None = None) -> Seen:
    """Look up the entry for a request; `looked` is what is under its key, if that is known already.

    On this `visit`, with what is left of its time; else on a new one.
    """
    if looked is None or isinstance(looked.stored, Later):
        looked = await look_up_key(call.plan, (call.own_key or '', call.key), call.raw, visit)
    found, how, variants = looked.stored, looked.how, None
    if how is None:  # no other flight has landed since `at_once` has looked: it is the same step
        runtime = call.plan.runtime
        how = Looking(runtime.flights.brought_so_far, runtime.store.visit(), None, time.monotonic())
    guessed, visit = how.guessed, how.visit
    if isinstance(found, Variants):
        variants = found
        if needs_body(variants):
            call.raw.body = await call.body.whole(call.plan.terms.max_body_size)
        variant = stored_variant(variants, call.raw, normalised=call.plan.terms.by_the_book)
        if guessed is not None and guessed.variant == variant:
            found = guessed.found
        else:
            found = None if variant is None else await visit.look_up(variant_key(variants, variant))
    if isinstance(found, Found) and found.entry.coded is not None and not await _can_be_sent(call, found):
        found = None
    return Seen(found if isinstance(found, Found) else None, variants, how.brought_so_far, visit, how.asked_at)


async def _can_be_sent(call: Call, found: Found) -> bool:
    """Whether an entry that is kept compressed can be decoded, if this client or another one may need that."""
    plan, entry, now = call.plan, found.entry, call.plan.runtime.clock()
    choice = choice_of(
        call.scope['method'], call.client.headers, entry, entry.headers, now, sends_plain=plan.sends_plain
    )
    if not choice.needs_decoding and found.age_and_left(now)[1] > 0 and not entry.must_validate:
        return True
    return await plan.runtime.plain_bodies.get(entry, plan.terms.max_body_size) is not None
