"""What becomes of a stored response that may not be served without asking the endpoint: it holds, or stands in, or goes.

It answers before the end of what the endpoint sends, and so before whatever the endpoint leaves to be done after that.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from fastapi_caching_route._concurrency.flights import Instead
from fastapi_caching_route._concurrency.pauses import MAX_PAUSE_SECONDS
from fastapi_caching_route._core.asgi import Message
from fastapi_caching_route._core.entry import OLDEST, Entry, Recording
from fastapi_caching_route._core.labels import Outcome
from fastapi_caching_route._core.written import without_cookies
from fastapi_caching_route._exchange.call import Client
from fastapi_caching_route._exchange.keeping import judged, keep
from fastapi_caching_route._http import conditional, ranges, reuse
from fastapi_caching_route._http.fields import RawHeaders, lines, names, without
from fastapi_caching_route._http.storing import Refused, Storable, fields_for_one_client, received_age, stored_fields
from fastapi_caching_route._store.variants import conditions_of
from fastapi_caching_route._store.visit import Found

if TYPE_CHECKING:
    from fastapi_caching_route._exchange.run import Fetch

logger = logging.getLogger('fastapi_caching_route')

NOT_MODIFIED = 304


def question(fetch: 'Fetch') -> RawHeaders:
    """The fields of the request as the endpoint gets them: it is asked about what is stored (RFC 9111 §4.3.1).

    What a client asks about what *it* has stored, we answer ourselves.
    """
    headers: RawHeaders = fetch.scope['headers']
    terms = fetch.plan.terms
    asked = lines(headers, b'range') if fetch.scope['method'] == 'GET' else ()
    if asked and b'range' not in fetch.declared.inputs.covered and not ranges.is_valid(asked):
        headers = without(headers, (b'range', b'if-range'))  # a hit ignores it, so the endpoint is not to refuse it
    if not (terms.revalidate or terms.by_the_book) or fetch.scope['method'] != 'GET':
        return headers
    old = None if fetch.stale is None else fetch.stale.entry
    conditions = [] if old is None else conditional.conditions(old.headers, our_tag=old.tag_is_ours)
    fetch.answers_conditions = True
    fetch.asked = frozenset(name for name, _ in conditions)
    kept = conditions_of(fetch.declared.inputs, fetch.variants)
    return conditional.question(headers, conditions, kept=kept)


async def may_stand_in(fetch: 'Fetch') -> bool:
    """Whether what is stored may answer in place of a failure (RFC 5861 §4), and has not been invalidated meanwhile."""
    if fetch.stale is None or fetch.stale.entry.status in reuse.FAILURES:
        return False
    _, left = fetch.stale.age_and_left(fetch.plan.runtime.clock())
    return reuse.in_window(left, fetch.stale.entry.stale_if_error) and await _is_alive(fetch, fetch.stale.entry)


async def stand_in(fetch: 'Fetch', client: Client, detail: str) -> None:
    """Answer from a stale entry, since the endpoint has failed (RFC 5861 §4), or is too slow."""
    await _reply_old(fetch, client, fetch.failure or None, detail)


async def overtake(fetch: 'Fetch', patience: float | None) -> None:
    """Answer from a stale entry if the endpoint takes longer than so many seconds; it goes on for those who come later."""
    # A body that is still coming cannot be read by guards and endpoint at a time.
    if patience is None or await fetch.body.whole(fetch.plan.terms.max_body_size) is None:
        await fetch.run_through()
        return
    fetch.scope = dict(fetch.scope)  # guards may read the request while it runs
    running = asyncio.get_running_loop().create_task(fetch.run_through())
    try:
        await asyncio.wait((running,), timeout=patience)
        if running.done() or not await may_stand_in(fetch) or fetch.passed_on or fetch.answers_from_store:
            await running
            return
        client, fetch.client = fetch.client, fetch.client.nobody(fetch.scope)
        behind_guards, fetch.behind_guards = fetch.behind_guards, for_nobody
        # Until it has ended, all get what is stored.
        fetch.plan.runtime.failing.begin(fetch.key, fetch.plan.runtime.clock(), MAX_PAUSE_SECONDS)
        fetch.flight.land(Instead.LOOK_UP)
        await behind_guards(partial(stand_in, fetch, client, 'endpoint-timeout'))
        await asyncio.wait((running,))
        if not fetch.flight.stored:
            fetch.plan.runtime.failing.lengthen(fetch.key, fetch.plan.runtime.clock())
        if not running.cancelled() and running.exception() is not None:
            logger.warning(
                '%s: the endpoint failed, long after its client was served: %r', fetch.key, running.exception()
            )
    finally:
        running.cancel()


async def for_nobody(then: Callable[[], Awaitable[None]]) -> None:
    """Nobody gets what is sent, so nobody needs to be let in."""
    await then()


async def confirm(fetch: 'Fetch') -> None:
    """What is stored still holds: it answers, and is kept with the fields of the 304 (RFC 9111 §3.2, §4.3.4)."""
    assert fetch.stale is not None
    old, given = fetch.stale.entry, fetch.answer.fields
    cookies = [(name, value) for name, value in given if name == b'set-cookie']
    if fetch.is_admitted:  # else those have written that have run since
        fetch.client.by_guards = without_cookies(fetch.written.by_guards)
    fresh = without(fetch.written.less_guards(given), (b'set-cookie',))
    if not conditional.confirms(fresh, old.headers, fetch.asked):
        await fetch.visit.end(old.key, fetch.answered_at)  # the next request gets what there is now
        await _reply_old(fetch, fetch.client, NOT_MODIFIED, 'validator', cookies)
        return
    fields = conditional.updated(old.headers, fresh)
    fetch.answer = replace(fetch.answer, fields=fields, vary=frozenset(names(fields, b'vary')))
    verdict = fetch.verdict(old.status, [*fields, *cookies])
    reason: str | None = None if await _is_alive(fetch, old) else 'invalidated'
    if reason is None and isinstance(verdict, Storable):
        recording = Recording(old.status, fields, old.body)
        entry, reason = await keep(fetch, recording, _as_short(fetch, verdict, old), old, old.made.renewed(fresh))
    else:
        kept = without(stored_fields(fields), (fetch.plan.labels.miss[0],))
        stored_at = fetch.answered_at - min(received_age(fields, fetch.answered_at), OLDEST)
        entry = replace(old, headers=tuple(kept), stored_at=stored_at)
        if isinstance(verdict, Refused) and _is_withdrawn(fetch, old, fields):
            await fetch.visit.end(old.key, fetch.answered_at)  # else it would stand in for a failure
        reason = reason or getattr(verdict, 'reason', None)
    seconds = reuse.age(entry.stored_at, fetch.answered_at)
    headers = fetch.client.headers_of(entry)
    emission = fetch.emission(headers) if reason is None else ()
    outcome = Outcome(
        fetch.why, stored=reason is None, status=NOT_MODIFIED, ttl=entry.lifetime - seconds, detail=reason
    )
    signs = fetch.plan.labels.on_entry(outcome, seconds, emission)
    earlier = [(name, value) for name, value in given if name == b'cache-status']
    own = fields_for_one_client(fields)
    entry = entry.for_one(own, old.made.renewed(fresh))
    await fetch.client.reply(entry, [*cookies, *earlier, *signs], fetch.answered_at, own=own)


def _is_withdrawn(fetch: 'Fetch', old: Entry, fields: RawHeaders) -> bool:
    """Whether the 304 itself says that nothing is to be stored any more (RFC 9111 §3): not only for this request."""
    return fetch.fate.refused is not None or isinstance(judged(fetch, (), old.status, fields), Refused)


async def _reply_old(fetch: 'Fetch', client: Client, status: int | None, detail: str, more: RawHeaders = ()) -> None:
    """Answer from the stale entry as it is."""
    stale = fetch.stale
    assert stale is not None
    seconds, left = stale.age_and_left(fetch.plan.runtime.clock())
    signs = fetch.plan.labels.on_entry(Outcome(fetch.why, status=status, ttl=left, detail=detail), seconds, ())
    await client.reply(stale.entry, [*more, *signs], fetch.plan.runtime.clock())


def _as_short(fetch: 'Fetch', storable: Storable, old: Entry) -> Storable:
    """The lifetime of an entry that was renewed: what its endpoint has chosen for it, it need not say again with a 304."""
    if not old.lifetime_was_chosen or fetch.fate.ttl is not None:
        return storable
    return replace(storable, lifetime=old.lifetime, lifetime_was_chosen=True)


async def _is_alive(fetch: 'Fetch', entry: Entry) -> bool:
    """Whether the entry may still be used: an invalidation, or another entry, may have come while the endpoint ran."""
    found = await fetch.visit.look_up(entry.key)
    return isinstance(found, Found) and found.entry == entry


async def compare(fetch: 'Fetch', status: int) -> None:
    """Have what is stored forgotten if the answer to a HEAD shows that it is not current (RFC 9111 §4.3.5)."""
    stored = fetch.stale.entry if fetch.stale is not None and fetch.scope['method'] == 'HEAD' else None
    if stored is not None and status == stored.status and conditional.contradicts(fetch.answer.fields, stored.headers):
        await fetch.visit.forget(stored.key)


def for_who_has_it(fetch: 'Fetch', message: Message, fields: RawHeaders) -> tuple[Message, RawHeaders]:
    """The start of an answer that is not kept: a 304, if we have kept from the endpoint that its client has it."""
    asked = fetch.client.headers if fetch.answers_conditions else ()
    if not conditional.not_modified(fetch.scope['method'], asked, message['status'], fields, fetch.answered_at):
        return message, fields
    fetch.muted = True
    return {**message, 'status': NOT_MODIFIED}, without(fields, conditional.OF_A_BODY)
