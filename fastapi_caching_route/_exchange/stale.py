"""A stale entry after the endpoint was asked: confirmed by a 304, standing in for a failure, or forgotten.

It answers before the end of what the endpoint sends, and so before background tasks of the endpoint.
Does not know the run.
"""

from msgspec import structs

from fastapi_caching_route._core import reasons
from fastapi_caching_route._core.entry import OLDEST, Entry, Recording
from fastapi_caching_route._core.labels import Outcome
from fastapi_caching_route._core.written import without_cookies
from fastapi_caching_route._exchange.call import NOT_MODIFIED, Client
from fastapi_caching_route._exchange.errand import Errand, Response, our_cache_control
from fastapi_caching_route._exchange.keeping import Kept, keep
from fastapi_caching_route._exchange.lookup import window_on_error
from fastapi_caching_route._exchange.messages import Head
from fastapi_caching_route._exchange.verdict import Evidence, PassOn, Record, storable_by_head, verdict
from fastapi_caching_route._http import conditional, reuse
from fastapi_caching_route._http.coding import may_be_coded
from fastapi_caching_route._http.fields import RawHeaders, without
from fastapi_caching_route._http.freshness import received_age
from fastapi_caching_route._http.storing import Refused, Storable, fields_for_one_client, stored_fields
from fastapi_caching_route._store.visit import Found


async def may_stand_in(errand: Errand) -> bool:
    """Whether what is stored may answer in place of a failure (RFC 5861 §4), and has not been invalidated meanwhile."""
    stale = errand.stale
    if stale is None or stale.entry.status in reuse.FAILURES:
        return False
    plan = errand.call.plan
    _, left = stale.age_and_left(plan.runtime.clock())
    window = window_on_error(plan, errand.call.scope['headers'], stale.entry)
    return reuse.in_window(left, window) and await _is_alive(errand, stale.entry)


async def _is_alive(errand: Errand, entry: Entry) -> bool:
    """Whether the entry may still be used: an invalidation, or another entry, may have come while the endpoint ran."""
    found = await errand.visit.look_up(entry.key)
    return isinstance(found, Found) and entry.is_still(found.entry)


async def stand_in(errand: Errand, client: Client, reason: reasons.Reason, status: int | None = None) -> None:
    """Answer from the stale entry, since the endpoint failed with this status (RFC 5861 §4), or is too slow."""
    await _reply_old(errand, client, reason, status)


async def _reply_old(
    errand: Errand, client: Client, reason: reasons.Reason, status: int | None, more: RawHeaders = ()
) -> None:
    """Answer from the stale entry as it is; `more` headers come with it."""
    assert errand.stale is not None
    plan = errand.call.plan
    age, left = errand.stale.age_and_left(plan.runtime.clock())
    ours: RawHeaders = ()
    if plan.labels.counts_down:
        headers = client.headers_of(errand.stale.entry)
        ours = plan.labels.our_cache_control(headers, errand.call.declared.inputs, errand.stale.entry.read, age, left)
    labels = plan.labels.on_entry(Outcome(errand.why, status=status, ttl=left, detail=reason.name), age, ours)
    client.account.note('stale', reason.name, age=age)
    await client.reply(errand.stale.entry, [*more, *labels], plan.runtime.clock())


async def confirm(response: Response, evidence: Evidence) -> None:
    """Answer from the stale entry, and store it with the headers of the 304 (RFC 9111 §3.2, §4.3.4)."""
    errand, head = response.errand, response.head
    assert errand.stale is not None
    old, client, written = errand.stale.entry, errand.call.client, evidence.written
    cookies = [(name, value) for name, value in head.headers if name == b'set-cookie']
    if evidence.is_admitted:  # otherwise guards have run since then, and have written what goes with the response
        client.by_guards = without_cookies(written.by_guards)
    given = without(written.less_guards(head.headers), (b'set-cookie',))
    if not conditional.confirms(given, old.headers, response.snapshot.question.conditions):
        await errand.visit.withdraw(old.key, head.began_at)  # the next request gets what there is now
        await _reply_old(errand, client, reasons.VALIDATOR, NOT_MODIFIED, cookies)
        return
    headers = conditional.updated(old.headers, given, type_too=errand.call.plan.terms.by_the_book)
    updated = head.with_fields(old.status, headers)
    made = old.made.renewed(given)
    way = verdict(response.with_head(updated.with_fields(old.status, [*headers, *cookies])), evidence)
    is_alive, old = await _is_alive(errand, old), _as_kept(old, headers)
    if is_alive and isinstance(way, Record):
        lifetime = lifetime_after_304(way.storable, old, errand.wishes.ttl)
        recording = Recording(old.status, headers, old.content)
        kept = await keep(response.with_head(updated), recording, storable=lifetime, made=made, confirmed=old)
    else:
        reason = way.reason if is_alive and isinstance(way, PassOn) else reasons.INVALIDATED.name
        kept = await _used_once(errand, updated, reason, is_refused=isinstance(way, PassOn))
    own = fields_for_one_client(headers)
    earlier = [(name, value) for name, value in head.headers if name == b'cache-status']
    age = reuse.age(kept.entry.stored_at, head.began_at)
    client.account.note('revalidated', kept.reason, stored=kept.reason is None, age=age)
    entry = kept.entry.for_one(own, made)
    await client.reply(entry, [*cookies, *earlier, *_labels_of(errand, updated, kept)], head.began_at, own=own)


def _as_kept(old: Entry, headers: RawHeaders) -> Entry:
    """The entry, compressed as it is, unless the 304 forbids that. It was decoded when it was looked up."""
    is_plain = old.coded is None or not old.coded.coding or may_be_coded(old.status, headers)
    return old if is_plain else structs.replace(old, content=old.body, coded=None)


def lifetime_after_304(storable: Storable, old: Entry, chosen: float | None) -> Storable:
    """A lifetime that the endpoint chose through `CacheContext` survives a 304 that does not repeat it."""
    if not old.lifetime_was_chosen or chosen is not None:
        return storable
    return structs.replace(storable, lifetime=old.lifetime, lifetime_was_chosen=True)


async def _used_once(errand: Errand, updated: Head, reason: str, *, is_refused: bool) -> Kept:
    """The old entry with the headers of the 304, for this response alone; it ends if the 304 forbids to store it."""
    assert errand.stale is not None
    old = errand.stale.entry
    headers = without(stored_fields(updated.headers), (errand.call.plan.labels.cache_header,))
    stored_at = updated.began_at - min(received_age(updated.headers, updated.began_at, updated.delay), OLDEST)
    if is_refused and _forbids_storing(errand, updated):
        await errand.visit.withdraw(old.key, updated.began_at)  # otherwise it would stand in for a failure
    return Kept(structs.replace(old, headers=tuple(headers), stored_at=stored_at), reason)


def _forbids_storing(errand: Errand, updated: Head) -> bool:
    """Whether the 304 itself says that nothing may be stored any more (RFC 9111 §3): not only for this request."""
    return errand.wishes.refused is not None or isinstance(storable_by_head(errand, (), updated), Refused)


def _labels_of(errand: Errand, head: Head, kept: Kept) -> RawHeaders:
    """The labels of an entry that was confirmed."""
    plan, entry = errand.call.plan, kept.entry
    age = reuse.age(entry.stored_at, head.began_at)
    if kept.reason is not None:  # it is fresh for no later request
        outcome = Outcome(errand.why, status=NOT_MODIFIED, detail=kept.reason)
        return plan.labels.on_entry(outcome, age, ())
    left = entry.lifetime - age
    ours = our_cache_control(errand, errand.call.client.headers_of(entry), entry.read, age, left)
    outcome = Outcome(errand.why, stored=True, status=NOT_MODIFIED, ttl=left)
    return plan.labels.on_entry(outcome, age, ours)


async def forget_if_contradicted(errand: Errand, head: Head) -> None:
    """Delete what is stored if the response to a HEAD shows that it is not current (RFC 9111 §4.3.5)."""
    if errand.stale is None or errand.call.scope['method'] != 'HEAD':
        return
    stored = errand.stale.entry
    if head.status == stored.status and conditional.contradicts(head.headers, stored.headers):
        await errand.visit.forget(stored.key)
