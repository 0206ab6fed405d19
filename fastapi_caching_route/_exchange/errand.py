"""The purpose of one run of the endpoint, its request, and the state before it. Does not know the response.

errand ──> snapshot ──> run: send, receive ──┬──> head ──> verdict ──┬─ Record   keeping, then sent like a hit
(frozen)   (frozen)                          │    (frozen)           └─ PassOn   sent as it comes, with the reason
                                             ├─ Confirmed   by a 304: `stale.confirm`
                                             └─ StandIn     for a failure: `stale.stand_in`
"""

import time
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from msgspec import Struct

from fastapi_caching_route._concurrency.flights import Flight
from fastapi_caching_route._core import reasons
from fastapi_caching_route._core.asgi import Message
from fastapi_caching_route._core.names import NAMELESS, Named
from fastapi_caching_route._core.raw_request import RawRequest, begin_of
from fastapi_caching_route._core.read_log import ReadLog
from fastapi_caching_route._core.read_names import BODY, vary_of
from fastapi_caching_route._core.variants import Brought, Group, Variants, may_be_for_all
from fastapi_caching_route._core.wishes import Wishes
from fastapi_caching_route._exchange.call import Call, RequestBody
from fastapi_caching_route._exchange.compressing import Compressing
from fastapi_caching_route._exchange.messages import Head, read_head
from fastapi_caching_route._exchange.user_code import call_hook, tell
from fastapi_caching_route._http import conditional, ranges
from fastapi_caching_route._http.fields import RawHeaders, lines, without
from fastapi_caching_route._http.ranges import WITH_RANGES
from fastapi_caching_route._store.lock import Lock
from fastapi_caching_route._store.variants import conditions_of
from fastapi_caching_route._store.visit import Before, Found, Visit


class Errand(Struct, frozen=True, kw_only=True):
    """The purpose of one run of the endpoint. Nothing in it is assigned while it runs."""

    call: Call
    """For a renewal: the same request once more, for nobody."""
    wishes: Wishes
    """The wishes of dependencies and the endpoint for the response; they add them while they run."""
    why: bytes
    """Why the endpoint is asked, in the words of Cache-Status."""
    stale: Found | None
    """The stored entry, if it has to be validated or replaced."""
    variants: Variants | None
    """Of which the response is one, if responses under the key vary, as far as that is known before."""
    flight: Flight[Brought]
    visit: Visit
    lock: Lock | None = None
    """Other processes wait until it is released."""
    compressing: Compressing | None = None
    """Compresses what is stored; None if it is kept as it is."""


class Question(Struct, frozen=True):
    """The request as the endpoint gets it (RFC 9111 §4.3.1)."""

    headers: RawHeaders
    conditions: frozenset[bytes] = frozenset()
    """The preconditions by which *we* ask whether what is stale still holds."""
    withholds_preconditions: bool = False
    """Whether the client's own preconditions are withheld from the endpoint, so that we answer them."""


def question(errand: Errand) -> Question:
    """The request to the endpoint: its preconditions are about our stored response, never about that of the client."""
    call, terms = errand.call, errand.call.plan.terms
    headers: RawHeaders = call.scope['headers']
    asked = lines(headers, b'range') if call.scope['method'] in WITH_RANGES else ()
    if asked and b'range' not in call.declared.inputs.known and not ranges.is_valid(asked):
        headers = without(headers, (b'range', b'if-range'))  # a hit ignores it, so the endpoint must not refuse it
    if not (terms.revalidate or terms.by_the_book) or call.scope['method'] not in WITH_RANGES:
        return Question(headers)
    old = None if errand.stale is None else errand.stale.entry
    conditions = [] if old is None else conditional.conditions(old.headers, our_tag=old.tag_is_ours)
    kept = conditions_of(call.declared.inputs, errand.variants)
    asking = conditional.question(headers, conditions, kept=kept)
    return Question(asking, frozenset(name for name, _ in conditions), withholds_preconditions=True)


class Snapshot(Struct, frozen=True):
    """The state before the endpoint read anything. A response is as current as this."""

    question: Question
    named: Named | None
    """The names of the response; None if its tags cannot be told, so that it must not be stored."""
    before: Before
    session: Mapping[str, Any]
    asked_at: float
    """When the endpoint was asked, in seconds since the epoch."""
    reads: ReadLog
    """Everything that is read of the raw request from then on."""

    def read_with(self, body: RequestBody) -> Group:
        """The same, with the `body` for its values."""
        read = self.read()
        if BODY in read:
            self.reads.began.body = body.as_read()
        return read

    def read(self) -> Group:
        """The names of all that was read until now and selects a response."""
        return self.reads.began.reading.counting(self.reads.noted.copy()) if self.reads.noted else ()


async def snapshot(errand: Errand) -> Snapshot:
    """Name the response, note the marks of its names, and keep the session as it is."""
    call = errand.call
    session = deepcopy(dict(call.scope['session'])) if call.scope.get('session') else {}
    asked_at = call.plan.runtime.clock()
    asked = question(errand)
    began = call.raw
    if asked.headers is not began.scope['headers']:
        began = RawRequest(begin_of(began.scope, asked.headers), began.reading)
    reads = ReadLog(began)
    is_named, tell_tags = call.plan.stores or call.plan.surrogates, call.plan.hooks.tags
    tags: object = () if tell_tags is None or not is_named else await call_hook(tell_tags, call.scope)
    if not call.plan.stores:
        named = call.plan.names(call.scope, None, tags) if is_named else NAMELESS
        return Snapshot(asked, named, Before(0), session, asked_at, reads)
    named = call.plan.names(call.scope, None if call.declared.inputs.declared else errand.wishes.key, tags)
    before = Before()
    if named is not None:
        marked = named.names
        if errand.stale is not None:
            marked = tuple(dict.fromkeys((*marked, *errand.stale.entry.names)))  # it may be confirmed
        before = await errand.visit.marks_before(marked, key=call.key, windowed=call.plan.terms.windowed)
    errand.flight.run_began_at = time.monotonic()
    return Snapshot(asked, named, before, session, asked_at, reads)


class Response(Struct, frozen=True):
    """What the endpoint sends, from its head on."""

    errand: Errand
    snapshot: Snapshot
    head: Head

    def with_head(self, head: Head) -> 'Response':
        """The same with this head."""
        return Response(self.errand, self.snapshot, head)


def head_of(errand: Errand, snapshot: Snapshot, start: Message) -> Head:
    """The head of the response that begins with this message."""
    plan, inputs, read = errand.call.plan, errand.call.declared.inputs, snapshot.read() if snapshot.reads.noted else ()
    head = read_head(
        start,
        (*inputs.selecting, *vary_of(read)) if read else inputs.selecting,
        ours=plan.labels.cache_header,
        at=plan.runtime.clock(),
        asked_at=snapshot.asked_at,
        as_they_are=plan.terms.by_the_book,
        read=read,
    )
    if (read or inputs.unsaid) and not may_be_for_all(inputs, read):
        plan.doubt_public(head.headers, errand.call.scope['path'])
    return head


def note_reads(call: Call, snapshot: Snapshot) -> bool:
    """Note what was read of the request, for `explain`; return whether others can be compared with it in all of that.

    If they cannot, the log says so, once.
    """
    read = snapshot.read_with(call.body)
    call.plan.learn(read)
    if not read or snapshot.reads.values(read) is not None:
        return True
    tell(reasons.NOT_COMPARABLE, call.scope['path'], call.plan.told, of=snapshot.reads.incomparable(read))
    return False


def our_cache_control(errand: Errand, headers: RawHeaders, read: Group | None, age: float, left: float) -> RawHeaders:
    """Our Cache-Control for a response with these headers that is fresh for `left` seconds.

    `read` is what was read of the raw request to make it, None as long as more may be read.
    """
    plan, inputs = errand.call.plan, errand.call.declared.inputs
    if plan.labels.says_public and inputs.for_all and (read is None or not may_be_for_all(inputs, read)):
        tell(reasons.NOT_FOR_ALL, errand.call.scope['path'], plan.told)
    return plan.labels.our_cache_control(headers, inputs, read, age, left)
