"""A response that is made at once from a stored entry: nothing has to be waited for, and no user code runs.

Most hits are made here, so each call counts (`benchmarks/calls.py`): `at_once` inlines what would be small functions.
Does not know guards, nor what sends the response.
"""

from math import inf

from msgspec import Struct
from msgspec.structs import replace

from fastapi_caching_route._core.asgi import Message, Scope
from fastapi_caching_route._core.counts import Counts
from fastapi_caching_route._core.declared import Declared
from fastapi_caching_route._core.key import KeyPair
from fastapi_caching_route._core.raw_request import RawRequest
from fastapi_caching_route._core.ready import Ready, keep_ready, prepared_head
from fastapi_caching_route._core.variants import Variants, stored_variant, variant_key
from fastapi_caching_route._exchange.account import Account
from fastapi_caching_route._exchange.call import NOT_MODIFIED, messages
from fastapi_caching_route._exchange.lookup import Looked, is_renewal_due, judge
from fastapi_caching_route._exchange.negotiating import accepted_of, choice_of, headers_in
from fastapi_caching_route._exchange.plan import Plan
from fastapi_caching_route._http.fields import RawHeaders
from fastapi_caching_route._http.representation import IN_PART, UNCHANGED, simply
from fastapi_caching_route._http.reuse import ANSWER, NO_DEMAND, VALIDATE
from fastapi_caching_route._store.visit import LATER, Found, Later
from fastapi_caching_route.events import ResponseOutcome


class Hit(Struct, frozen=True, gc=False):
    """A response from a stored entry, for a client that all guards accept and for which none of them sets a header."""

    keys: KeyPair
    found: Found
    """The entry, as it was found."""
    start: Message
    """It and `body` are new for each request, because middleware changes what it sees."""
    body: Message
    is_fresh: bool


def at_once(
    plan: Plan, declared: Declared, scope: Scope, looked: Looked | None = None, body: bytes | None = None
) -> Hit | Looked | None:
    """The response from what is stored; else what was looked up; None if the key cannot be told without waiting.

    With `looked`, it has been looked up already. `body` is that of the request, if it has been read.
    """
    if looked is None:
        comes_first = declared.before_key is None and plan.hooks.skip is None
        # As in `Plan.serves`: it is a call less for each hit.
        is_served = scope['method'] in plan.methods and not plan.runtime.switch.times_off
        if (keys := declared.keys.at_once(scope, body) if comes_first and is_served else None) is None:
            return None
        look_up = plan.runtime.store.at_once
        looked = Looked(keys, LATER if look_up is None else look_up(keys[1]))
    stored = looked.stored
    found = _variant_at_once(plan, declared, scope, stored, looked) if type(stored) is Variants else stored
    if type(found) is not Found or plan.heeds_demands:
        return looked
    now, entry, method, asked = plan.runtime.clock(), found.entry, scope['method'], scope['headers']
    if entry.coded is not None:
        return _negotiated(plan, declared, scope, looked, found, now=now) or looked
    ready = declared.ready.get(entry.key) if found.stale_at == inf else None
    if ready is None or not ready.since <= now < ready.until or ready.entry_ref() is not entry:
        ready = _prepared(plan, declared, found, entry.key, entry.headers, now=now)
    # The flight that renews a variant is called by what selects it, which only `Herd.flight_key` knows.
    if ready is None or (ready.renews and (found is not stored or is_renewal_due(plan, looked.keys[1], now))):
        return looked
    if (wanted := simply(method, asked, ready.tag)) is IN_PART:
        return Hit(looked.keys, found, *messages(method, asked, entry, ready.labels, now), ready.is_fresh)
    status, headers, content = entry.status, ready.headers, entry.content
    if wanted is UNCHANGED:
        status, headers, content = NOT_MODIFIED, ready.of_a_304(), b''
    start = {'type': 'http.response.start', 'status': status, 'headers': headers.copy()}
    return Hit(looked.keys, found, start, {'type': 'http.response.body', 'body': content}, ready.is_fresh)


def _negotiated(
    plan: Plan, declared: Declared, scope: Scope, looked: Looked, found: Found, *, now: float
) -> Hit | None:
    """The response from an entry that is kept compressed, or is to be; None if that takes longer."""
    entry, method, asked = found.entry, scope['method'], scope['headers']
    is_coded = accepted_of(asked, entry, sends_plain=plan.sends_plain).prefers_coded
    name = entry.key if is_coded else f'{entry.key} plain'
    ready = declared.ready.get(name) if found.stale_at == inf else None
    if ready is None or not ready.since <= now < ready.until or ready.entry_ref() is not entry:
        ready = _prepared(plan, declared, found, name, headers_in(entry, entry.headers, coded=is_coded), now=now)
    if ready is None or (ready.renews and (found is not looked.stored or is_renewal_due(plan, looked.keys[1], now))):
        return None
    bodies, limit, wanted = plan.runtime.plain_bodies, plan.terms.max_body_size, simply(method, asked, ready.tag)
    if wanted is IN_PART:
        choice = choice_of(method, asked, entry, entry.headers, now, sends_plain=plan.sends_plain)
        content = bodies.at_once(entry, limit) if choice.needs_decoding else choice.content
        if content is None:
            return None
        choice = replace(choice, content=content)
        start, sent = messages(method, asked, entry, ready.labels, now, choice=choice)
        return Hit(looked.keys, found, start, sent, ready.is_fresh)
    status, headers = entry.status, ready.headers
    if wanted is UNCHANGED:
        status, headers, content = NOT_MODIFIED, ready.of_a_304(), b''
    else:
        content = entry.content if is_coded else bodies.at_once(entry, limit)
    if content is None:
        return None
    start = {'type': 'http.response.start', 'status': status, 'headers': headers.copy()}
    return Hit(looked.keys, found, start, {'type': 'http.response.body', 'body': content}, ready.is_fresh)


def _prepared(plan: Plan, declared: Declared, found: Found, name: str, sent: RawHeaders, *, now: float) -> Ready | None:
    """The head of the response from an entry that is `sent` with these headers, or None if the endpoint has to run.

    It is remembered under this name for as long as nothing would be decided otherwise.
    """
    entry = found.entry
    use, age, left = judge(found, now, NO_DEMAND, plan.run_options)
    if use is VALIDATE:
        return None
    labels = plan.labels.on_hit(age, left, entry.headers, declared.inputs, entry.read)
    ready = prepared_head(entry, sent, labels, now=now, age=age, left=left, renews=use is not ANSWER)
    if plan.run_options.eager_refresh is None and found.stale_at == inf:
        keep_ready(ready, name, declared.ready)
    return ready


def _variant_at_once(
    plan: Plan, declared: Declared, scope: Scope, variants: Variants, looked: Looked
) -> Found | Variants | Later | None:
    """The stored variant that is for a request, if that can be told without waiting."""
    look_up, guessed = plan.runtime.store.at_once, None if looked.how is None else looked.how.guessed
    if look_up is None and guessed is None:
        return None
    request = RawRequest(scope, declared.inputs.reading)
    variant = stored_variant(variants, request, normalised=plan.terms.by_the_book)
    if guessed is not None and guessed.variant == variant:
        return guessed.found
    return None if variant is None or look_up is None else look_up(variant_key(variants, variant))


def count(counts: Counts, hit: Hit) -> None:
    """Count a hit."""
    if hit.is_fresh:
        counts.hit += 1
    else:
        counts.stale += 1
    counts.bytes += len(hit.body['body'])
    counts.seconds_saved += hit.found.entry.about.seconds


def tell_hit(account: Account, plan: Plan, hit: Hit) -> None:
    """Tell the observers of a hit."""
    age, _ = hit.found.age_and_left(plan.runtime.clock())
    outcome: ResponseOutcome = 'hit' if hit.is_fresh else 'stale'
    account.was_hit(hit.keys[0], outcome, hit.start['status'], len(hit.body['body']), age)
