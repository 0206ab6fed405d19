"""What becomes of a stored response that may not be served without asking the endpoint: it holds, or stands in, or goes.

It answers before the end of what the endpoint sends, and so before whatever the endpoint leaves to be done after that.
"""

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from fastapi_caching_route._asgi import GUARD_FIELDS
from fastapi_caching_route._entry import Entry, Recording
from fastapi_caching_route._http import conditional, reuse
from fastapi_caching_route._http.fields import RawHeaders, names, without
from fastapi_caching_route._http.storing import Storable, stored_fields
from fastapi_caching_route._store import Found

if TYPE_CHECKING:
    from fastapi_caching_route._fetch import Fetch

logger = logging.getLogger('fastapi_caching_route')

NOT_MODIFIED = 304
FAILURES = frozenset((500, 502, 503, 504))
"""Statuses that are a failure of the endpoint (RFC 5861 §4)."""


def question(fetch: 'Fetch') -> RawHeaders:
    """The fields of the request as the endpoint gets them: it is asked about what is stored (RFC 9111 §4.3.1).

    What a client asks about what *it* has stored, we answer ourselves.
    """
    headers: RawHeaders = fetch.scope['headers']
    terms = fetch.plan.terms
    if not (terms.revalidate or terms.by_the_book) or fetch.scope['method'] != 'GET':
        return headers
    old = None if fetch.stale is None else fetch.stale.entry
    conditions = [] if old is None else conditional.conditions(old.headers, our_tag=old.tag_is_ours)
    fetch.asked = frozenset(name for name, _ in conditions)
    return conditional.question(headers, conditions)


async def may_stand_in(fetch: 'Fetch') -> bool:
    """Whether what is stored may answer in place of a failure (RFC 5861 §4), and has not been invalidated meanwhile."""
    if fetch.stale is None or fetch.stale.entry.status in FAILURES:
        return False
    return reuse.in_window(fetch.left, fetch.stale.entry.stale_if_error) and await _is_alive(fetch, fetch.stale.entry)


async def stand_in(fetch: 'Fetch') -> None:
    """Answer from a stale entry, since the endpoint has failed (RFC 5861 §4)."""
    assert fetch.stale is not None
    entry, now = fetch.stale.entry, fetch.plan.clock()
    emission = fetch.plan.emission(entry.headers, shared=fetch.declared.inputs.shared)
    seconds, status, told = reuse.age(entry.stored_at, now), fetch.failure or None, 'stale-if-error'
    signs = fetch.plan.signs_of_an_entry(seconds, fetch.why, status, emission, left=fetch.left, detail=told)
    await fetch.client.reply(entry, signs, now)


async def confirm(fetch: 'Fetch') -> None:
    """What is stored still holds: it answers, and is kept with the fields of the 304 (RFC 9111 §3.2, §4.3.4)."""
    assert fetch.stale is not None
    old, given, of_guards = fetch.stale.entry, fetch.answer.fields, fetch.scope.pop(GUARD_FIELDS, ())
    cookies = [(name, value) for name, value in given if name == b'set-cookie']
    fetch.client.guard_fields.extend(without(of_guards, (b'set-cookie',)))
    fresh = [it for it in given if it not in of_guards and it not in cookies]
    fields = conditional.updated(old.headers, fresh, with_type=fetch.plan.terms.by_the_book)
    fetch.answer = replace(fetch.answer, fields=fields, vary=frozenset(names(fields, b'vary')), shaped=old.shaped)
    verdict = fetch.verdict(old.status, [*fields, *cookies])
    reason: str | None = 'validator' if not conditional.confirms(fresh, old.headers, fetch.asked) else None
    if not await _is_alive(fetch, old):
        reason = 'invalidated'
    if reason is None and isinstance(verdict, Storable):
        recording = Recording(old.status, fields, old.body)
        entry, reason = await fetch.keep(recording, _as_short(fetch, verdict, old), old)
    else:
        kept = without(stored_fields(fields), (fetch.plan.miss[0],))
        entry = replace(old, headers=tuple(kept), stored_at=fetch.answered_at)
        reason = reason or getattr(verdict, 'reason', None)
    seconds = reuse.age(entry.stored_at, fetch.answered_at)
    signs = fetch.plan.signs_of_an_entry(
        seconds, fetch.why, NOT_MODIFIED, fetch.emission(), left=entry.lifetime - seconds, detail=reason or 'stored'
    )
    await fetch.client.reply(entry, [*cookies, *signs], fetch.answered_at)


def _as_short(fetch: 'Fetch', storable: Storable, old: Entry) -> Storable:
    """The lifetime of an entry that was renewed: what its endpoint has chosen for it, it need not say again with a 304."""
    if fetch.plan.terms.by_the_book or fetch.fate.ttl is not None:
        return storable
    return replace(storable, lifetime=min(storable.lifetime, old.lifetime))


async def _is_alive(fetch: 'Fetch', entry: Entry) -> bool:
    """Whether the entry may still be used: an invalidation may have come while the endpoint ran."""
    return isinstance(await fetch.plan.store.look_up(entry.key), Found)


async def compare(fetch: 'Fetch') -> None:
    """Have what is stored forgotten if the answer to a HEAD shows that it is not current (RFC 9111 §4.3.5)."""
    stored = fetch.stale.entry if fetch.stale is not None and fetch.scope['method'] == 'HEAD' else None
    if stored is not None and conditional.contradicts(fetch.answer.fields, stored.headers):
        await fetch.plan.store.forget(stored.key)
