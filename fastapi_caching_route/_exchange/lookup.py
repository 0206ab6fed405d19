"""The key of a request, what is stored under it, and what may be done with that.

Does not know guards, nor who answers in the end.
"""

import asyncio
from math import inf

from msgspec import Struct
from msgspec.structs import replace

from fastapi_caching_route._core.asgi import Message, Scope
from fastapi_caching_route._core.declared import Declared
from fastapi_caching_route._core.entry import Entry
from fastapi_caching_route._core.key import KeyPair
from fastapi_caching_route._core.raw_request import RawRequest
from fastapi_caching_route._core.ready import Ready, keep_ready, made_ready
from fastapi_caching_route._core.variants import Variants, needs_body, stored_variant, variant_key
from fastapi_caching_route._exchange.call import NOT_MODIFIED, Call, messages
from fastapi_caching_route._exchange.negotiating import accepted_of, choice_of, headers_in
from fastapi_caching_route._exchange.plan import Herds, Plan
from fastapi_caching_route._http import reuse
from fastapi_caching_route._http.fields import RawHeaders
from fastapi_caching_route._http.representation import IN_PART, UNCHANGED, simply
from fastapi_caching_route._http.reuse import ANSWER, NO_DEMAND, REFRESH, VALIDATE, Demand, Use
from fastapi_caching_route._store.visit import LATER, Found, Later, Visit


class Guessed(Struct, frozen=True):
    """What was looked up together with a record of variants, by what that record had said before."""

    variant: str
    found: Found | None


Asked = tuple[int, Visit, Guessed | None]
"""How many flights had brought something when a visit looked something up, that visit, and what else it looked up."""

Looked = tuple[KeyPair, Found | Variants | Later | None, Asked | None]
"""The key of a request, what is stored under it, and how that was looked up, unless it was at once."""

Answer = tuple[Message, Message, bool, Found]
"""The messages of a response, whether it is fresh, and the entry that it was made of, as it was found."""


def at_once(
    plan: Plan, declared: Declared, scope: Scope, looked: Looked | None = None, body: bytes | None = None
) -> tuple[Looked | None, Answer | None]:
    """What is stored for a request and, if that answers it, the response; without asking or waiting for anything.

    With `looked`, it has been looked up already. `body` is that of the request, if it has been read. The response is
    for a client that the guards let in, if there are any, and of which none sets a header.
    """
    runtime = plan.runtime
    if looked is None:
        comes_first = declared.before_key is None and plan.hooks.skip is None
        # As in `Plan.serves`: it is a call less for each hit.
        is_served = scope['method'] in plan.methods and not runtime.switch.times_off
        if (keys := declared.keys.at_once(scope, body) if comes_first and is_served else None) is None:
            return None, None
        look_up = runtime.store.at_once
        looked = keys, LATER if look_up is None else look_up(keys[1]), None
    stored = looked[1]
    found = _variant_at_once(plan, declared, scope, stored, looked[2]) if type(stored) is Variants else stored
    if type(found) is not Found or plan.heeds_demands:
        return looked, None
    now, entry, method, asked = runtime.clock(), found.entry, scope['method'], scope['headers']
    if entry.coded is not None:
        return looked, _negotiated(plan, declared, scope, looked, found, now=now)
    ready = declared.ready.get(entry.key) if found.stale_at == inf else None
    if ready is None or not ready.since <= now < ready.until or ready.entry() is not entry:
        ready = _made_ready(plan, declared, found, entry.key, entry.headers, now=now)
    if ready is None or (ready.renews and (found is not stored or _is_due(plan, looked, now))):
        return looked, None
    if (wanted := simply(method, asked, ready.tag)) is IN_PART:
        return looked, (*messages(method, asked, entry, ready.labels, now), ready.is_fresh, found)
    status, headers, body = entry.status, ready.headers, entry.content
    if wanted is UNCHANGED:
        status, headers, body = NOT_MODIFIED, ready.of_a_304(), b''
    # Both messages are new for each request, as those of `messages` are.
    start = {'type': 'http.response.start', 'status': status, 'headers': headers.copy()}
    return looked, (start, {'type': 'http.response.body', 'body': body}, ready.is_fresh, found)


def _negotiated(
    plan: Plan, declared: Declared, scope: Scope, looked: Looked, found: Found, *, now: float
) -> Answer | None:
    """The response from an entry that is kept compressed, or is to be; None if that takes longer."""
    entry, method, asked = found.entry, scope['method'], scope['headers']
    is_coded = accepted_of(asked, entry, sends_plain=plan.sends_plain).prefers_coded
    name = entry.key if is_coded else f'{entry.key} plain'
    ready = declared.ready.get(name) if found.stale_at == inf else None
    if ready is None or not ready.since <= now < ready.until or ready.entry() is not entry:
        ready = _made_ready(plan, declared, found, name, headers_in(entry, entry.headers, coded=is_coded), now=now)
    if ready is None or (ready.renews and (found is not looked[1] or _is_due(plan, looked, now))):
        return None
    bodies, limit, wanted = plan.runtime.plain_bodies, plan.terms.max_body_size, simply(method, asked, ready.tag)
    if wanted is IN_PART:
        choice = choice_of(method, asked, entry, entry.headers, now, sends_plain=plan.sends_plain)
        content = bodies.at_once(entry, limit) if choice.needs_decoding else choice.content
        if content is None:
            return None
        choice = replace(choice, content=content)
        return (*messages(method, asked, entry, ready.labels, now, choice=choice), ready.is_fresh, found)
    status, headers = entry.status, ready.headers
    if wanted is UNCHANGED:
        status, headers, content = NOT_MODIFIED, ready.of_a_304(), b''
    else:
        content = entry.content if is_coded else bodies.at_once(entry, limit)
    if content is None:
        return None
    start = {'type': 'http.response.start', 'status': status, 'headers': headers.copy()}
    return start, {'type': 'http.response.body', 'body': content}, ready.is_fresh, found


def _made_ready(
    plan: Plan, declared: Declared, found: Found, name: str, sent: RawHeaders, *, now: float
) -> Ready | None:
    """The head of the response from an entry that is `sent` with these headers, or None to ask the endpoint.

    It is remembered under this name for as long as nothing would be decided otherwise.
    """
    entry = found.entry
    use, age, left = judge(found, now, NO_DEMAND, plan.herds)
    if use is VALIDATE:
        return None
    labels = plan.labels.on_hit(age, left, entry.headers, declared.inputs, entry.read)
    ready = made_ready(entry, sent, labels, now=now, age=age, left=left, renews=use is not ANSWER)
    if plan.herds.eager_refresh is None and found.stale_at == inf:
        keep_ready(ready, name, declared.ready)
    return ready


def _is_due(plan: Plan, looked: Looked, now: float) -> bool:
    return is_renewal_due(plan, looked[0][1], now)


def _variant_at_once(
    plan: Plan, declared: Declared, scope: Scope, variants: Variants, asked: Asked | None
) -> Found | Variants | Later | None:
    """The stored variant that is for a request, if that can be told without waiting."""
    look_up, guessed = plan.runtime.store.at_once, None if asked is None else asked[2]
    if look_up is None and guessed is None:
        return None
    request = RawRequest(scope, declared.inputs.reading)
    variant = stored_variant(variants, request, normalised=plan.terms.by_the_book)
    if guessed is not None and guessed.variant == variant:
        return guessed.found
    return None if variant is None or look_up is None else look_up(variant_key(variants, variant))


def begins_with_the_body(plan: Plan, declared: Declared, scope: Scope) -> bool:
    """Whether the body of a request is all that is missing for its key, and nothing comes before it is read."""
    comes_first = declared.before_key is None and plan.hooks.skip is None
    return declared.keys.is_by_body and comes_first and plan.serves(scope['method'])


def judge(found: Found, now: float, demand: Demand, herds: Herds) -> tuple[Use, float, float]:
    """What may be done with an entry now, its age, and for how many seconds it is fresh yet.

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
    if herds.eager_refresh is not None and use is ANSWER and herds.is_due(entry, age):
        use = REFRESH
    return use, age, left


def is_renewal_due(plan: Plan, key: str, now: float, flight_key: str | None = None) -> bool:
    """Whether an entry that is to be renewed is not being renewed yet, and has not failed to be lately.

    Its renewal is called `flight_key`, if that is not its key.
    """
    runtime = plan.runtime
    under_way = runtime.flights.under_way(flight_key or key, plan.herds.collapse_timeout)
    return under_way is None and not runtime.unrenewable.holds(key, now)


def window_on_error(plan: Plan, request: RawHeaders, entry: Entry) -> float:
    """For how many seconds past its lifetime an entry may stand in for a failure: the client may say so itself."""
    if not (plan.heeds_demands and entry.stale_if_accepted):
        return entry.stale_if_error
    accepted = reuse.accepted_on_error(request)
    return entry.stale_if_error if accepted is None else accepted


async def look_up_key(plan: Plan, keys: KeyPair, request: RawRequest) -> Looked:
    """Look up what is stored under a key; together with it the variant that a request probably gets, if it has some.

    The count is read before the look-up: after it, a flight that lands meanwhile would be counted although its entry
    was not seen (`test_herds` counts the runs).
    """
    runtime = plan.runtime
    so_far, visit = runtime.flights.brought_so_far, runtime.store.visit()
    record = runtime.records.get(keys[1])
    variant = None if record is None else _expected(record, request, plan)
    if record is None or variant is None:
        found, guessed = await visit.look_up(keys[1]), None
    else:
        found, guessed = await _both(visit, keys[1], variant_key(record, variant), variant)
    if isinstance(found, Variants) and runtime.store.is_shared:
        runtime.records.note(found)
    return keys, found, (so_far, visit, guessed)


def _expected(record: Variants, request: RawRequest, plan: Plan) -> str | None:
    if needs_body(record) and request.body is None:
        return None
    return stored_variant(record, request, normalised=plan.terms.by_the_book)


async def _both(
    visit: Visit, key: str, key_of_variant: str, variant: str
) -> tuple[Found | Variants | None, Guessed | None]:
    """What is under two keys. Looked up in one turn of the event loop, they are read with one command."""
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
    """What there was for a request when it was looked up."""

    found: Found | None
    """What is stored and has not been invalidated, fresh or not."""
    variants: Variants | None
    """Of which it is one, or would be, if responses under the key vary."""
    brought_so_far: int
    """How many flights had brought something by then: a later one may have stored what was not there yet."""
    visit: Visit
    """With what is left of its time."""

    def among(self, variants: Variants | None) -> 'Seen':
        """The same, as one of these variants."""
        return self if variants is self.variants else replace(self, variants=variants)


async def look_up(call: Call, looked: Looked | None = None) -> Seen:
    """What is stored for a request now; with `looked`, what is under its key is known already."""
    if looked is None or isinstance(looked[1], Later):
        looked = await look_up_key(call.plan, (call.own_key or '', call.key), call.raw)
    _, found, asked = looked
    # No other flight has landed since `at_once` has looked: it is the same step.
    so_far, visit, guessed = asked or (call.plan.runtime.flights.brought_so_far, call.plan.runtime.store.visit(), None)
    variants = None
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
    return Seen(found if isinstance(found, Found) else None, variants, so_far, visit)


async def _can_be_sent(call: Call, found: Found) -> bool:
    """Whether an entry that is kept compressed can be decoded, if this client or another one may need that."""
    plan, entry, now = call.plan, found.entry, call.plan.runtime.clock()
    choice = choice_of(
        call.scope['method'], call.client.headers, entry, entry.headers, now, sends_plain=plan.sends_plain
    )
    if not choice.needs_decoding and found.age_and_left(now)[1] > 0 and not entry.must_validate:
        return True
    return await plan.runtime.plain_bodies.get(entry, plan.terms.max_body_size) is not None
