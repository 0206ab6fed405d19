"""A complete response becomes an entry: it is stored, and shared with the followers, unless it is outdated by then.

Sends nothing.
"""

import random
from collections.abc import Coroutine
from functools import partial
from typing import Any

from msgspec import Struct, structs

from fastapi_caching_route._concurrency.flights import Instead
from fastapi_caching_route._concurrency.pauses import UNSHAREABLE_SECONDS
from fastapi_caching_route._core import reasons
from fastapi_caching_route._core.asgi import OF_THE_ENDPOINT
from fastapi_caching_route._core.entry import About, Coded, Entry, Recording, entry_of
from fastapi_caching_route._core.key_names import is_of_key, with_key
from fastapi_caching_route._core.names import CACHE_GROUPS, MAX_TAGS, NAMELESS, Named, cut, groups_of, tag_name
from fastapi_caching_route._core.read_names import vary_of
from fastapi_caching_route._core.variants import Brought, Group, Variants, may_be_for_all
from fastapi_caching_route._core.written import Made
from fastapi_caching_route._exchange.errand import Errand, Response
from fastapi_caching_route._exchange.placing import is_for_others, placed, ready_of, selecting_of
from fastapi_caching_route._exchange.plan import Plan
from fastapi_caching_route._http import reuse
from fastapi_caching_route._http.coding import as_plain
from fastapi_caching_route._http.fields import LARGEST, RawHeaders, lines, whole_number, with_vary
from fastapi_caching_route._http.storing import Storable, supersedes_stored
from fastapi_caching_route._store.compressed import coded_later
from fastapi_caching_route._store.visit import Lost, Visit

BROKEN_OFF = frozenset({reasons.DISCONNECTED.name, reasons.INCOMPLETE.name})
"""Doubts about whether the response is the whole of what the endpoint had to say."""


class Kept(Struct, frozen=True):
    """The entry of a complete response, stored or not."""

    entry: Entry
    reason: str | None
    """Why it is not stored, as far as that is known by now."""


async def keep(
    response: Response,
    recording: Recording,
    *,
    storable: Storable,
    made: Made,
    confirmed: Entry | None = None,
) -> Kept:
    """Store a complete response under the key of its request or, if responses under it vary, of its variant.

    One that was `confirmed` keeps its names. Of a stream it has been said before that it is stored.
    """
    errand, plan, named = response.errand, response.errand.call.plan, _named(response, confirmed)
    read = _read(response, confirmed) if response.snapshot.reads.noted or confirmed is not None else ()
    recording = _recorded(errand, recording, named.names, read) if read or plan.surrogates else recording
    kept_as = _jittered(storable, plan.ttl_jitter) if plan.ttl_jitter else storable
    entry = _entry(response, recording, kept_as, named=named, read=read, made=made, confirmed=confirmed)
    if plan.compression is not None or confirmed is not None:
        entry = structs.replace(entry, coded=_coded(plan, recording, confirmed))
    storing = partial(_store_in_place, response, entry, window=storable.window, is_new=confirmed is None)
    return Kept(entry, await errand.visit.storing(storing) if plan.stores else reasons.STORE.name)


def _entry(
    response: Response,
    recording: Recording,
    storable: Storable,
    *,
    named: Named,
    read: Group,
    made: Made,
    confirmed: Entry | None,
) -> Entry:
    """The entry, as far as it is known before it is stored."""
    call, head = response.errand.call, response.head
    # Of one that was confirmed, how long the endpoint took for all of it.
    seconds = call.client.account.endpoint_seconds if confirmed is None else confirmed.about.seconds
    return entry_of(
        recording,
        storable,
        key=call.key,
        left_out=call.plan.labels.cache_header,
        now=head.began_at,
        delay=head.delay,
        names=named.names,
        marks=response.snapshot.before.held,
        made=made,
        tagged=not call.plan.terms.by_the_book,
        confirmed=confirmed,
        told=head.told if recording.headers is head.headers else None,
        read=read,
        about=About(call.plan.counts.route, named.path, named.tags[:MAX_TAGS], seconds),
    )


def _coded(plan: Plan, recording: Recording, confirmed: Entry | None) -> Coded | None:
    """How the content of the entry is kept. One that was confirmed keeps its content."""
    if confirmed is not None and confirmed.coded is not None and confirmed.coded.coding:
        return confirmed.coded
    return coded_later(plan.compression, recording.status, recording.headers, len(recording.body))


def _jittered(storable: Storable, jitter: float) -> Storable:
    """The same with a shorter lifetime: entries that were stored together must not expire together."""
    lifetime = storable.lifetime * (1 - jitter * random.random())  # noqa: S311, it is no secret
    return structs.replace(storable, lifetime=lifetime)


def _recorded(errand: Errand, recording: Recording, names: tuple[str, ...], read: Group) -> Recording:
    """The same with its tags, and with all that was read in Vary: a stream may have read more since its head."""
    plan, headers = errand.call.plan, with_vary(recording.headers, vary_of(read))
    if not may_be_for_all(errand.call.declared.inputs, read):
        plan.doubt_public(headers, errand.call.scope['path'])
    tagged = headers if plan.surrogates is None else plan.tagged(headers, names, errand.call.scope['path'])
    return Recording(recording.status, tagged, recording.body)


def _read(response: Response, confirmed: Entry | None) -> Group:
    """The names of what was read of the raw request, by the run that made the response or one that confirmed it."""
    read = response.snapshot.read_with(response.errand.call.body)
    return read if confirmed is None else tuple(sorted({*read, *confirmed.read}))


def with_tags(response: Response) -> RawHeaders:
    """The headers of a response that is sent while it is recorded, with the tags that are known by now."""
    call, headers = response.errand.call, response.head.headers
    plan = call.plan
    if plan.surrogates is not None:
        headers = plan.tagged(headers, _named(response, None).names, call.scope['path'])
    if plan.compression is None:
        return headers
    length = lines(headers, b'content-length')
    size = whole_number(length[0]) if length else None
    is_plain = coded_later(plan.compression, response.head.status, headers, LARGEST if size is None else size) is None
    return headers if is_plain else as_plain(headers)


def _named(response: Response, confirmed: Entry | None) -> Named:
    """The names of the entry; endpoints may have added tags while they ran."""
    call, named = response.errand.call, response.snapshot.named or NAMELESS
    tags = sorted(response.errand.wishes.tags)
    if call.plan.terms.by_the_book:
        tags += groups_of(call.scope, response.head.headers, CACHE_GROUPS)
    if confirmed is None and not tags:
        return named
    of_confirmed = [it for it in confirmed.names if not is_of_key(it)] if confirmed else ()
    names = (*named.names, *of_confirmed, *map(tag_name, tags))
    given = (*named.tags, *(confirmed.about.tags if confirmed else ()), *map(cut, tags))
    bounded = call.plan.bounded(tuple(dict.fromkeys(names)), call.scope)
    return Named(bounded, named.path, tuple(dict.fromkeys(given)))


def _store_in_place(
    response: Response, entry: Entry, visit: Visit, *, window: float, is_new: bool
) -> Coroutine[Any, Any, str | None]:
    """Replace the stored entry, if there is one; return why the new one is not stored, if so."""
    # Before the marks are checked (test_an_invalidation_while_a_response_is_stored):
    #     1. The marks are read: they are alive.
    #     2. Somebody invalidates, and that returns.
    #     3. C asks, and joins the flight.
    #     4. The entry is stored and shared: C would get a response that is older than its invalidation.
    response.errand.flight.begin_storing(partial(ready_of, response, entry))
    putting = _put(response, entry, visit, span=entry.lifetime + window)
    if response.errand.call.plan.run_options.lock:
        putting = _or_unlocked(putting, response)
    # A confirmed entry stays: a brief failure of the store must not delete it.
    return _or_withdraw(putting, response, visit) if is_new and response.errand.stale is not None else putting


async def _or_unlocked(putting: Coroutine[Any, Any, str | None], response: Response) -> str | None:
    """If the store does not take the entry, use no lock for a while: other processes would wait for nothing."""
    reason, call = await putting, response.errand.call
    if reason == reasons.STORE_ERROR.name:
        call.plan.runtime.unstorable.begin(call.key, call.plan.runtime.clock(), UNSHAREABLE_SECONDS)
    elif reason is None:
        call.plan.runtime.unstorable.end(call.key)
    return reason


async def _or_withdraw(putting: Coroutine[Any, Any, str | None], response: Response, visit: Visit) -> str | None:
    """If the new entry cannot be stored, withdraw the old one and return the reason."""
    reason = await putting
    if reason is not None:
        await withdraw_stored(response, visit)
    return reason


async def _put(response: Response, entry: Entry, visit: Visit, *, span: float) -> str | None:
    """Store the entry for so many seconds, and let the flight land; return why it is not stored, if so."""
    errand, before = response.errand, response.snapshot.before
    try:
        standing = await visit.marks_after(before, entry.names, entry.key, windowed=entry.windowed, span=span)
        if isinstance(standing, Lost):
            errand.flight.land(_instead(errand, entry, standing.reason))
            return standing.reason
        selecting = selecting_of(response, entry)
        place = (entry.key, None) if selecting is None else await placed(response, selecting, visit, span=span)
        if place is None:
            errand.flight.land(Instead.FORWARD)
            return reasons.NOT_COMPARABLE.name
        key, variants = place
        if standing.marks != entry.marks or key != entry.key:
            entry = structs.replace(entry, key=key, marks=standing.marks, names=_names_under(key, entry))
        if _was_withdrawn(response, key, visit):
            return reasons.INVALIDATED.name
        is_stored = await visit.put(entry, span)
        if _was_withdrawn(response, key, visit):  # meanwhile, and it may have been stored after it was deleted
            await visit.forget(key)
            return reasons.INVALIDATED.name
        if is_stored:
            visit.forget_withdrawal(key)
            if errand.compressing is not None:
                errand.compressing.note(entry, span, partial(_was_withdrawn, response, key))
        errand.flight.land(_outcome(errand, entry, variants), stored=is_stored)
        return None if is_stored else reasons.STORE_ERROR.name
    finally:
        if not errand.flight.has_landed:
            errand.flight.land(Instead.LEAD)


def _names_under(key: str, entry: Entry) -> tuple[str, ...]:
    """The names of an entry that is stored under this key: that of a variant does not tell the key of the request."""
    return entry.names if key == entry.key else with_key(entry.names, entry.key)


def _was_withdrawn(response: Response, key: str, visit: Visit) -> bool:
    """Whether another run, which ended since this one began, has withdrawn what is stored under the key."""
    before, own = response.snapshot.before, response.errand.call.key
    return visit.was_withdrawn(before, key) or (key != own and visit.was_withdrawn(before, own))


async def withdraw_stored(response: Response, visit: Visit, doubt: str | None = None) -> None:
    """Withdraw what is stored for the request: the endpoint's own response differs, and that is not stored.

    A refusal withdraws nothing; otherwise any client could do that. If nothing was found because the store is failing,
    something may be stored nevertheless.
    """
    errand, head = response.errand, response.head
    scope, stale = errand.call.scope, errand.stale
    if not scope.get(OF_THE_ENDPOINT) or doubt in BROKEN_OFF:
        return
    if not supersedes_stored(scope['method'], head.status, scope['headers']):
        return
    if stale is not None and head.status == stale.entry.status and reuse.asks_for_no_storing(scope['headers']):
        return  # it would have been stored, had its client not forbidden that, which no client may do to others
    if stale is not None:
        await visit.withdraw(stale.entry.key, head.began_at)
    elif not response.snapshot.before.is_known:
        visit.note_withdrawal(errand.call.key, head.began_at)  # no request waits until a failing store deletes it


def _outcome(errand: Errand, entry: Entry, variants: Variants | None) -> Brought | Instead:
    """What the followers get: the entry, if the store would give it to them as a hit.

    Also begins or ends the pauses of its key: one more function would make all misses dearer.
    """
    runtime, key = errand.call.plan.runtime, errand.call.key
    now = runtime.clock()
    if not runtime.failing.are_none:
        runtime.failing.end(key)
    if not is_for_others(entry, now):
        runtime.unshareable.begin(key, now, UNSHAREABLE_SECONDS)
        return Instead.FORWARD
    if not runtime.unshareable.are_none:
        runtime.unshareable.end(key)
    return Brought(entry, variants)


def _instead(errand: Errand, entry: Entry, reason: str) -> Instead:
    """What followers do if the response was invalidated while the endpoint ran, or nobody can tell."""
    if reason == reasons.INVALIDATED.name:
        return Instead.LEAD
    is_for_others = isinstance(_outcome(errand, entry, None), Brought) and errand.flight.ready is not None
    return Instead.TAKE_READY if is_for_others else Instead.FORWARD
