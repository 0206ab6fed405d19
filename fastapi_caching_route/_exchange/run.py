"""The endpoint runs once, its response is watched message by message, and it is stored if it may be.

The route runs its guards itself; its handler notes in the `Written` of the scope what they and others write on the
response. Does not know the requests that wait for it, nor other runs.
"""

import logging
from collections.abc import Awaitable, Coroutine
from functools import partial
from typing import Any

from fastapi_caching_route._concurrency.flights import Instead, failure_of
from fastapi_caching_route._concurrency.pauses import UNSHAREABLE_SECONDS
from fastapi_caching_route._core import reasons
from fastapi_caching_route._core.asgi import (
    ADMITTED,
    HANDLER,
    OF_THE_ENDPOINT,
    READ_LOG,
    STREAM_EXTENSIONS,
    WRITTEN,
    Message,
    Receive,
)
from fastapi_caching_route._core.entry import Recording
from fastapi_caching_route._core.labels import Outcome, age_unless_ours
from fastapi_caching_route._core.reasons import Extent
from fastapi_caching_route._core.recorder import NOTHING, Recorder, Step, is_last
from fastapi_caching_route._core.written import Written
from fastapi_caching_route._exchange.call import NOT_MODIFIED, to_nobody
from fastapi_caching_route._exchange.errand import (
    Errand,
    Response,
    Snapshot,
    head_of,
    note_reads,
    our_cache_control,
    snapshot,
)
from fastapi_caching_route._exchange.guards import behind_guards
from fastapi_caching_route._exchange.keeping import Kept, keep, with_tags, withdraw_stored
from fastapi_caching_route._exchange.messages import less_extensions, with_headers, with_lent
from fastapi_caching_route._exchange.passing import STALLED_SECONDS, Passing
from fastapi_caching_route._exchange.receiving import Receiving
from fastapi_caching_route._exchange.stale import confirm, forget_if_contradicted, may_stand_in, stand_in
from fastapi_caching_route._exchange.verdict import (
    Confirmed,
    Evidence,
    PassOn,
    Record,
    StandIn,
    Way,
    extent_of,
    verdict,
)
from fastapi_caching_route._http import conditional, reuse
from fastapi_caching_route._http.fields import lines, without
from fastapi_caching_route._http.freshness import received_age
from fastapi_caching_route._http.storing import fields_for_one_client

logger = logging.getLogger('fastapi_caching_route')


class Run:
    """One run of the endpoint. Read the methods in order: each is called by one above it."""

    __slots__ = ('_passing', '_recorder', '_response', '_snapshot', '_uses_entry', '_way', '_written', 'errand')

    _snapshot: Snapshot
    _written: Written
    _response: Response

    def __init__(self, errand: Errand) -> None:
        """It has not begun."""
        plan = errand.call.plan
        self.errand = errand
        self._recorder = Recorder(plan.terms.max_body_size, plan.runtime.budget, plan.hooks.store_if)
        self._passing = Passing(errand.call.client, errand.flight, self._recorder)
        self._way: Way | None = None
        self._uses_entry = False

    @property
    def has_responded(self) -> bool:
        """Whether something has been sent to the client, or the stored entry is going to be."""
        return self._passing.has_begun or self._uses_entry

    async def run(self) -> None:
        """Let the endpoint answer, from its beginning to its end."""
        call = self.errand.call
        await self._begin()
        # Guards may have to read the body once more, if what is stored answers in the end.
        kept = call.plan.terms.max_body_size if call.raw.reading.takes_request else 0
        body = call.body.reader(last=self.errand.stale is None, kept=kept)
        call.client.account.began_run()
        try:
            await self._forwarded(body)
            if self._passing.hold():
                await self._passing.catch_up()
            if self._uses_entry and not self._passing.has_begun:  # there was no body
                await self._send_entry()
            if self._recorder.is_held:
                call.client.account.ended_run()
                await self._take(self._recorder.release())
            call.client.keeps_tasks = self._written.keeps_tasks
        except Exception as error:
            self._passing.hold()
            if self._passing.has_begun or not await may_stand_in(self.errand):
                self.errand.flight.land(failure_of(error))
                raise
            logger.warning('%s: the endpoint failed; the stale entry is sent: %r', call.in_words, error)
            self._fail(None)
            await self._send_entry()
        finally:
            self._passing.close()
            self._recorder.close()
            self._snapshot.reads.handed.clear()
            call.scope[READ_LOG] = None  # it refers to the scope: a reference cycle for each miss

    async def _begin(self) -> None:
        """Take the snapshot before the endpoint reads anything, and clear what an earlier run has left in the scope."""
        call = self.errand.call
        self._snapshot = await snapshot(self.errand)
        if self.errand.lock is not None and not self._snapshot.before.is_known:
            self.errand.lock.release_now()
        if self._snapshot.named is None:
            self._recorder.doubt = reasons.TAGS.name
        for name in (ADMITTED, OF_THE_ENDPOINT):
            call.scope.pop(name, None)
        self._written = call.scope[WRITTEN] = Written(call.client.before_key)
        call.scope[HANDLER] = call.declared.run_handler
        call.scope[READ_LOG] = self._snapshot.reads if call.declared.inputs.noted else None

    def _forwarded(self, body: Receive) -> Awaitable[None]:
        """Let the endpoint read the body, and answer."""
        call, lent = self.errand.call, self._lent()
        receive = Receiving(body, self.errand.flight, self._recorder, STALLED_SECONDS)
        if lent:
            return with_lent(call.scope, lent, partial(call.forward, call.scope, receive, self._send))
        return call.forward(call.scope, receive, self._send)

    def _lent(self) -> dict[str, Any]:
        """The items that the scope has while the endpoint runs."""
        scope = self.errand.call.scope
        watching = self.errand.call.plan.watch(scope, self._snapshot.reads) if scope[READ_LOG] is not None else {}
        headers = self._snapshot.question.headers
        asking = {} if headers is scope['headers'] else {'headers': headers}
        return {**asking, **less_extensions(scope, STREAM_EXTENSIONS), **watching}

    def _send(self, message: Message) -> Coroutine[Any, Any, None]:
        """The endpoint's `send`."""
        if message['type'] == 'http.response.start':
            return self._start(message)
        ends = is_last(message)
        if ends:
            self.errand.call.client.account.ended_run()
        if not self._uses_entry:
            return self._feed(message)
        return self._send_entry() if ends else to_nobody(message)

    async def _start(self, message: Message) -> None:
        """Find out from the head what becomes of the response."""
        errand, status = self.errand, message['status']
        if status in reuse.FAILURES and await may_stand_in(errand):
            logger.warning('%s: the endpoint answered %d; the stale entry is sent', errand.call.in_words, status)
            self._fail(status)
            return
        head = head_of(errand, self._snapshot, message)
        self._response = Response(errand, self._snapshot, head)
        if status == NOT_MODIFIED and self._snapshot.question.conditions:
            self._way, self._uses_entry = Confirmed(), True
            return
        errand.call.client.by_guards = self._written.by_guards
        way = self._way = verdict(self._response, self._evidence())
        step = self._record(message) if isinstance(way, Record) else self._pass_on(message, way)
        if step is not NOTHING:
            await self._take(step)
        length_is_known = bool(lines(head.headers, b'content-length'))
        if not (length_is_known and self._written.is_whole):  # a timer is dear
            self._passing.start_soon(length_is_known=length_is_known)
        if errand.stale is not None:
            await forget_if_contradicted(errand, head)

    def _fail(self, status: int | None) -> None:
        """Let the stale entry stand in for a failure, now and for a while: the endpoint is not run again at once."""
        call = self.errand.call
        self._way, self._uses_entry = StandIn(status), True
        if call.is_admitted:  # otherwise a guard has failed, for this client
            call.plan.runtime.failing.lengthen(call.key, call.plan.runtime.clock())
            self.errand.flight.land(Instead.LOOK_UP)

    def _record(self, message: Message) -> Step:
        """Begin to record; guards write anew for the next client what they have written for this one."""
        kept = self._written.less_guards(self._response.head.headers)
        return self._recorder.start(message, partial(self._labelled, message), kept, None)

    def _pass_on(self, message: Message, way: PassOn) -> Step:
        """Pass the response on as it comes: the client gets a 304 if it has it already."""
        headers = self._response.head.headers
        logger.debug('%s: not stored: %s', self.errand.call.plan.counts.route, way.reason)
        self._note_unstored(way.reason)
        if way.is_not_modified:
            message, headers = {**message, 'status': NOT_MODIFIED}, without(headers, conditional.OF_A_BODY)
        labels = self.errand.call.plan.labels.on_pass(Outcome(self.errand.why, detail=way.reason))
        start = with_headers(message, headers, labels)
        return self._recorder.start(message, lambda _: start, (), way.reason)

    def _labelled(self, message: Message, refused: str | None) -> Message:
        """The start of a response that is passed on while it is recorded, or is not recorded after all."""
        headers, labels = self._response.head.headers, self.errand.call.plan.labels
        if refused is None and not self._snapshot.before.is_known:  # one that is held may still be for followers
            refused = reasons.STORE_ERROR.name
        if refused is not None:
            return with_headers(message, headers, labels.on_pass(Outcome(self.errand.why, detail=refused)))
        headers = with_tags(self._response)
        headers = headers if self.errand.call.plan.terms.by_the_book else self._recorder.tagged(headers)
        age = received_age(headers, self._response.head.began_at, self._response.head.delay)
        left = self._way.storable.lifetime - age if isinstance(self._way, Record) else 0.0
        read = None if self._snapshot.reads.is_open else self._response.head.read
        ours = our_cache_control(self.errand, headers, read, age, left)
        outdated = () if age_unless_ours(0, ours) else (b'age',)
        stores = self.errand.call.plan.stores
        outcome = Outcome(self.errand.why, stored=stores, detail=None if stores else reasons.STORE.name)
        return with_headers(message, without(headers, outdated), labels.on_miss(outcome, ours))

    async def _feed(self, message: Message) -> None:
        """Take the next message of the response."""
        if self._passing.hold():
            await self._passing.catch_up()
        is_cut = isinstance(self._way, PassOn) and self._way.is_not_modified
        step = self._recorder.feed({**message, 'body': b''} if is_cut else message)
        if self._recorder.reason is not None:  # followers need not wait until the client has read it
            self._note_unstored(self._recorder.reason)
        if step.complete is None and is_last(message) and self._way is not None:  # it was not recorded to its end
            await withdraw_stored(self._response, self.errand.visit, self._recorder.doubt)
        await self._take(step)

    async def _take(self, step: Step) -> None:
        """Carry out a step: store a complete response, then send. The client gets its end only after it was stored."""
        if step.complete is not None:
            # Endpoints may say more about a response while they stream it.
            way = verdict(self._response, self._evidence()) if step.passed else self._way
            if isinstance(way, PassOn):
                self._note_unstored(way.reason)
                await withdraw_stored(self._response, self.errand.visit, self._recorder.doubt)
            elif isinstance(way, Record):
                made = self._written.made()
                kept = await keep(self._response, step.complete, storable=way.storable, made=made)
                self.errand.call.note(self._response.head.status, kept.reason)
                if not step.passed:
                    await self._reply(step.complete, kept)
        if step.passed:
            await self._passing.pass_on(step.passed)
        if step.complete is not None and self.errand.compressing is not None:
            self.errand.compressing.begin()

    def _note_unstored(self, reason: str) -> None:
        """Note that the response will not be stored, and let no request wait for it any more."""
        self.errand.call.note(self._response.head.status, reason)
        if self.errand.flight.is_waited_for:
            self._release_followers(extent_of(reason, self._response, self._written))

    def _release_followers(self, extent: Extent) -> None:
        """Let one of the followers lead, or each of them ask the endpoint, for a while if it is for this key."""
        call = self.errand.call
        if extent is Extent.THIS_KEY:
            call.plan.runtime.unshareable.begin(call.key, call.plan.runtime.clock(), UNSHAREABLE_SECONDS)
        self.errand.flight.land(Instead.LEAD if extent is Extent.THIS_REQUEST else Instead.FORWARD)

    async def _reply(self, recording: Recording, kept: Kept) -> None:
        """Send a response that was held like a hit, as a 304 for instance."""
        client, head = self.errand.call.client, self._response.head
        self._passing.has_begun = True
        outcome = Outcome(self.errand.why, stored=kept.reason is None, detail=kept.reason)
        age = reuse.age(kept.entry.stored_at, head.began_at)
        ours = our_cache_control(self.errand, head.headers, kept.entry.read, age, kept.entry.lifetime - age)
        labels = self.errand.call.plan.labels.on_held(outcome, ours, head.headers, age)
        own = fields_for_one_client(recording.headers, head.told_of(recording.headers))
        entry = kept.entry.for_one(own, self._written.made()) if own else kept.entry
        await client.reply(entry, labels, head.began_at, own=own)

    async def _send_entry(self) -> None:
        """Send the stale entry, behind the guards if the endpoint was not reached behind them."""
        self._passing.has_begun = True
        call = self.errand.call
        if isinstance(self._way, StandIn):  # the failure may have been a guard's: then that is the response
            standing_in = partial(stand_in, self.errand, call.client, reasons.STALE_IF_ERROR, self._way.status)
            await behind_guards(call, standing_in)
        elif call.is_admitted:
            await self._confirm()
        else:
            await behind_guards(call, self._confirm)

    async def _confirm(self) -> None:
        await confirm(self._response, self._evidence())

    def _evidence(self) -> Evidence:
        call = self.errand.call
        session, now = dict(call.scope.get('session') or {}), call.plan.runtime.clock()
        is_comparable = not self._snapshot.reads.noted or note_reads(call, self._snapshot)
        return Evidence(call.is_admitted, self._recorder.doubt, session, is_comparable, self._written, now)
