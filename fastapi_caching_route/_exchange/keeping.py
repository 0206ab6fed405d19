"""A complete answer becomes an entry: it is stored, and shared with those who wait for it, unless it is outdated by then."""

import math
import random
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from fastapi_caching_route._concurrency.flights import Instead
from fastapi_caching_route._concurrency.pauses import UNSHAREABLE_SECONDS
from fastapi_caching_route._core.asgi import OF_THE_ENDPOINT
from fastapi_caching_route._core.entry import Entry, Recording, entry_of
from fastapi_caching_route._core.names import are_tags, of_tag
from fastapi_caching_route._core.variants import Brought, Variants, fields_of_variants
from fastapi_caching_route._core.written import Made
from fastapi_caching_route._http import reuse
from fastapi_caching_route._http.conditional import OF_A_PART, PRECONDITIONS
from fastapi_caching_route._http.fields import RawHeaders
from fastapi_caching_route._http.sending import legal
from fastapi_caching_route._http.storing import Refused, Storable, ends_what_is_stored, judge
from fastapi_caching_route._store.variants import add_variant
from fastapi_caching_route._store.visit import Alive, Lost, Visit

if TYPE_CHECKING:
    from fastapi_caching_route._exchange.run import Fetch

BAD_REQUEST = 400

INCOMPLETE = frozenset({'disconnected', 'incomplete'})
"""Doubts about whether the response is the whole of what the endpoint had to say."""


async def keep(
    fetch: 'Fetch', recording: Recording, storable: Storable, confirmed: Entry | None = None, made: Made | None = None
) -> tuple[Entry, str | None]:
    """Store a complete answer under the key of its request or, where answers under it vary, of its variant.

    One that was `confirmed` keeps its names. Gives the entry, and why it is not stored, as far as that is known by now;
    of a stream it has been said before that it is.
    """
    more = (*(confirmed.names if confirmed else ()), *sorted(map(of_tag, fetch.fate.tags)))
    jitter = fetch.plan.ttl_jitter
    if jitter:  # not all that was stored together is to end together
        storable = replace(storable, lifetime=storable.lifetime * (1 - jitter * random.random()))  # noqa: S311, it is no secret
    entry = entry_of(
        recording,
        storable,
        key=fetch.key,
        left_out=fetch.plan.labels.miss[0],
        now=fetch.answered_at,
        names=fetch.plan.bounded(tuple(dict.fromkeys((*fetch.names, *more))), fetch.scope) if more else fetch.names,
        marks=fetch.before.held,  # as it will be in this process
        made=fetch.written.made() if made is None else made,
        tagged=not fetch.plan.terms.by_the_book,
        confirmed=confirmed,
    )
    storing = partial(_replace, fetch, entry, entry.lifetime + storable.window, is_new=confirmed is None)
    return entry, await fetch.visit.storing(storing)


async def _replace(fetch: 'Fetch', entry: Entry, span: float, visit: Visit, *, is_new: bool) -> str | None:
    """Store the entry in place of what was stored, which ends even if that cannot be done; return why not, if so."""
    reason = await _put(fetch, entry, span, visit)
    # What nobody has seen to be stale may go on: a store in trouble for a moment must not cost all that it keeps.
    if reason is not None and is_new and fetch.stale is not None:
        await end_stored(fetch, visit)
    return reason


async def _put(fetch: 'Fetch', entry: Entry, span: float, visit: Visit) -> str | None:
    """Store the entry for so many seconds, and let the flight land; return why it is not stored, if so."""
    # Who joins from now on might come after an invalidation that is not seen below.
    fetch.flight.is_storing = True
    try:
        standing = await visit.marks_after(fetch.before, entry.names, windowed=entry.windowed)
        if isinstance(standing, Lost):
            return standing.reason
        key, variants = await _place(fetch, visit)
        marks = standing.marks if isinstance(standing, Alive) else ()
        if key != entry.key or marks != entry.marks:
            entry = replace(entry, key=key, marks=marks)
        if _has_ended(fetch, visit, key):
            return 'invalidated'
        is_stored = isinstance(standing, Alive) and await visit.put(entry, span)
        if _has_ended(fetch, visit, key):  # meanwhile, and this may have been stored after it was deleted
            await visit.forget(key)
            return 'invalidated'
        if is_stored:
            visit.stored_anew(key)
        fetch.flight.land(_outcome(fetch, entry, variants), stored=is_stored)
        return None if is_stored else 'store-error'
    finally:
        fetch.flight.land(Instead.LEAD)  # without effect if it has landed


def _has_ended(fetch: 'Fetch', visit: Visit, key: str) -> bool:
    """Whether another run, which has ended since this one began, has said that what is under the key is not current."""
    return any(visit.has_ended(fetch.before, it) for it in (key, fetch.key))


async def end_stored(fetch: 'Fetch', visit: Visit) -> None:
    """End what is stored for the request, since the endpoint itself has answered otherwise, and that is not stored.

    A refusal ends nothing, whoever makes it, or any client could. Where nothing was found because the store is in trouble,
    there may be something all the same.
    """
    if not fetch.scope.get(OF_THE_ENDPOINT) or fetch.recorder.doubt in INCOMPLETE:
        return
    asked, stale = fetch.scope['headers'], fetch.stale
    if not ends_what_is_stored(fetch.scope['method'], fetch.status, asked):
        return
    if stale is not None and fetch.status == stale.entry.status and reuse.asks_for_no_storing(asked):
        return  # it would have been stored, had its client not forbidden that, which no client may do to others
    if stale is not None:
        await visit.end(stale.entry.key, fetch.answered_at)
    elif not fetch.before.is_known:
        visit.note_ending(fetch.key, fetch.answered_at)  # nobody waits for a store in trouble to delete it


async def _place(fetch: 'Fetch', visit: Visit) -> tuple[str, Variants | None]:
    """The key to store it under; and of which variants it is one, if answers under the key of the request vary."""
    inputs = fetch.declared.inputs
    if inputs.declared and not (fetch.answer.vary or fetch.variants or fetch.varies_with_all):
        return fetch.key, None
    varying = fields_of_variants(inputs, fetch.answer.vary, fetch.variants, all_fields=fetch.varies_with_all)
    if not varying:
        return fetch.key, None
    return await add_variant(
        visit,
        fetch.key,
        varying,
        known=fetch.variants,
        scope=fetch.scope,
        left_out=inputs.left_out,
        normalised=fetch.plan.terms.by_the_book,
    )


def _outcome(fetch: 'Fetch', entry: Entry, variants: Variants | None) -> Brought | Instead:
    """Those who wait may have the entry if it would answer them from the store."""
    now = fetch.plan.runtime.clock()
    _, left = reuse.age_and_left(entry.stored_at, entry.lifetime, math.inf, now)
    fetch.plan.runtime.failing.end(fetch.key)
    if entry.validated_always or left <= 0:
        fetch.plan.runtime.unshareable.begin(fetch.key, now, UNSHAREABLE_SECONDS)
        return Instead.FORWARD
    fetch.plan.runtime.unshareable.end(fetch.key)
    return Brought(entry, variants)


def unseen(fetch: 'Fetch', status: int) -> str | None:
    """Why an answer must not be kept, that its own fields do not show."""
    if fetch.scope['method'] == 'HEAD':
        return 'head'  # it has no body to answer a GET with
    if fetch.session != dict(fetch.scope.get('session') or {}):
        return 'session'  # it becomes a cookie outside of us
    if not are_tags(fetch.fate.tags):
        return 'tags'
    # A guard's answer is for this client; as on a hit, it must not tell that there is something.
    if not fetch.is_admitted or _stands(fetch, status):
        return 'status'
    if status >= 400 and _may_be_about_a_part(fetch, status):
        return 'precondition'
    # A guard may have written over what is not legal: for this client, and not for the next one.
    is_legal = legal([it[1:] for operations in fetch.written.made().by_others for it in operations])
    return fetch.recorder.doubt or fetch.fate.refused or (None if is_legal else 'header')


def judged(fetch: 'Fetch', request: RawHeaders, status: int, headers: RawHeaders) -> Storable | Refused:
    """Whether an answer may be kept, by its start, and by what its endpoint has said of it."""
    fate, covered = fetch.fate, fetch.declared.inputs.authorization_covered
    terms = fetch.plan.terms.for_one(fate.ttl, fate.stale_while_revalidate, fate.stale_if_error, covered=covered)
    return judge(request, status, headers, terms, fetch.answered_at)


def _stands(fetch: 'Fetch', status: int) -> bool:
    """Whether what is stored is better than a failure, and may still answer."""
    if status not in reuse.FAILURES or fetch.stale is None or fetch.stale.entry.status in reuse.FAILURES:
        return False
    entry, (_, left) = fetch.stale.entry, fetch.stale.age_and_left(fetch.plan.runtime.clock())
    return left > 0 or reuse.in_window(left, max(entry.stale_while_revalidate, entry.stale_if_error))


def _may_be_about_a_part(fetch: 'Fetch', status: int) -> bool:
    """Whether a range or a precondition may be what was wrong, which are in no key.

    An endpoint that takes the raw request sees them, and `FileResponse` says 400 of a range.
    """
    inputs = fetch.declared.inputs
    sees_them = inputs.raw or not inputs.declared or status == BAD_REQUEST
    # Those by which we ask, if we do, are in the place of the client's.
    fields = OF_A_PART if fetch.asked else OF_A_PART | PRECONDITIONS
    return sees_them and not fields.isdisjoint(dict(fetch.scope['headers']))
