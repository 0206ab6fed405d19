"""A miss: the endpoint answers, and the answer is kept if it may be kept. `_exchange` sends it on its way.

The route runs its guards itself; its handler notes in the `Written` of the scope what they and others write on the response.
"""

import logging
from collections.abc import Awaitable, Callable
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from fastapi_caching_route._concurrency.flights import Flight, Instead
from fastapi_caching_route._concurrency.pauses import UNSHAREABLE_SECONDS
from fastapi_caching_route._core import reasons
from fastapi_caching_route._core.asgi import (
    ADMITTED,
    HANDLER,
    OF_THE_ENDPOINT,
    STREAM_EXTENSIONS,
    WRITTEN,
    App,
    Message,
    Receive,
    Scope,
)
from fastapi_caching_route._core.declared import Declared
from fastapi_caching_route._core.inputs import names_a_person
from fastapi_caching_route._core.labels import Outcome, age_unless_ours
from fastapi_caching_route._core.reasons import Extent
from fastapi_caching_route._core.recorder import Recorder, Step, is_last
from fastapi_caching_route._core.variants import Brought, Variants
from fastapi_caching_route._core.wishes import Fate
from fastapi_caching_route._core.written import Written
from fastapi_caching_route._exchange.call import Client, RequestBody
from fastapi_caching_route._exchange.keeping import end_stored, judged, keep, unseen
from fastapi_caching_route._exchange.messages import Lent, StartFields, less_extensions, start_fields, with_fields
from fastapi_caching_route._exchange.passing import Passing
from fastapi_caching_route._exchange.plan import Plan
from fastapi_caching_route._exchange.stale import (
    NOT_MODIFIED,
    compare,
    confirm,
    for_who_has_it,
    may_stand_in,
    overtake,
    question,
    stand_in,
)
from fastapi_caching_route._http import reuse
from fastapi_caching_route._http.fields import RawHeaders, lines, without
from fastapi_caching_route._http.storing import Refused, Storable, fields_for_one_client
from fastapi_caching_route._store.visit import Before, Found, Visit

logger = logging.getLogger('fastapi_caching_route')


@dataclass(slots=True, kw_only=True)
class Fetch:
    """One run of the endpoint for one request. Read the methods in order: each is called by one above it."""

    plan: Plan
    scope: Scope
    body: RequestBody
    client: Client
    declared: Declared
    fate: Fate
    forward: App  # lets the endpoint answer
    visit: Visit
    key: str
    why: bytes  # in the words of Cache-Status
    variants: Variants | None
    stale: Found | None
    """What is stored, and may not be served without asking the endpoint."""
    behind_guards: Callable[[Callable[[], Awaitable[None]]], Awaitable[object]]
    """Does something if the guards let the request in."""
    flight: Flight[Brought]
    recorder: Recorder = field(init=False)
    passing: Passing = field(init=False)
    varies_with_all: bool = field(init=False, default=False)
    names: tuple[str, ...] = field(init=False, default=())
    before: Before = field(init=False, default_factory=Before)  # what was so before the endpoint ran
    answered_at: float = field(init=False, default=0.0)
    status: int = field(init=False, default=0)
    answer: StartFields = field(init=False)
    storable: Storable = field(init=False)
    written: Written = field(init=False, default_factory=Written)
    """What its dependencies and the endpoint write on the response."""
    session: dict[str, Any] = field(init=False)  # as it was before the endpoint ran
    asked: frozenset[bytes] = field(init=False, default=frozenset())
    """By which fields the endpoint is asked if what is stored still holds, and below, whether it has said so."""
    confirmed: bool = field(init=False, default=False)
    answers_conditions: bool = field(init=False, default=False)  # those of the client, which the endpoint does not get
    muted: bool = field(init=False, default=False)  # the client has the body already
    passed_on: bool = field(init=False, default=False)
    failure: int | None = field(init=False, default=None)  # its status, if it is not passed on; 0 for an exception

    async def run(self) -> None:
        """Let the endpoint answer the client, and keep the answer if it may be kept."""
        self.recorder = Recorder(self.plan.terms.max_body_size, self.plan.runtime.budget, self.plan.hooks.store_if)
        self.passing = Passing(self)
        await (self.run_through() if self.stale is None else overtake(self, self.plan.herds.endpoint_timeout))

    async def run_through(self) -> None:
        """Let the endpoint answer, from its beginning to its end."""
        await self.begin()
        self.session = deepcopy(dict(self.scope['session'])) if self.scope.get('session') else {}
        for name in (ADMITTED, OF_THE_ENDPOINT):  # it may be the scope of an earlier request
            self.scope.pop(name, None)
        self.written = self.scope[WRITTEN] = Written(self.client.before_key)
        self.scope[HANDLER] = self.declared.handler
        # Guards may have to read the body once more, if what is stored answers in the end.
        body = self.body.reader(last=self.stale is None)
        try:
            with Lent(self.scope, self.lent()):
                await self.forward(self.scope, partial(self.receive_watched, body), self.record)
            await self.passing.catch_up()
            if self.answers_from_store and not self.passed_on:  # there was no body
                await self.answer_from_store()
            await self.take(self.recorder.release())
            self.client.keeps_tasks = self.written.keeps_tasks
        except Exception as error:
            self.passing.hold()
            if self.passed_on or not await may_stand_in(self):
                self.flight.land(Instead.FORWARD)
                raise
            logger.warning('%s: the endpoint failed, the stale entry answers: %r', self.key, error)
            self.failed(0)
            await self.answer_from_store()
        finally:
            self.passing.close()
            self.recorder.close()

    async def begin(self) -> None:
        """Name the answer and note the marks of its names, before the endpoint reads anything."""
        names = await self.plan.names(self.scope, None if self.declared.inputs.declared else self.fate.key)
        if names is None:
            self.recorder.doubt = 'tags'
            return
        self.names = names
        if self.stale is not None:
            names = tuple(dict.fromkeys((*names, *self.stale.entry.names)))  # it may be confirmed
        self.before = await self.visit.marks_before(names, windowed=self.plan.terms.windowed)

    def lent(self) -> dict[str, Any]:
        """What the scope is given while the endpoint runs."""
        watching = self.plan.watch(self.scope, self.doubt_handler)
        return {'headers': question(self), **less_extensions(self.scope, STREAM_EXTENSIONS), **watching}

    def doubt_handler(self) -> None:
        """An exception handler of the user's makes the answer; it gets the raw request, and may read all of it."""
        inputs = self.declared.inputs
        self.varies_with_all = inputs.declared and not inputs.raw
        if self.varies_with_all and inputs.personal and names_a_person(self.scope, inputs.covered):
            self.recorder.doubt = self.recorder.doubt or 'exception-handler'

    async def receive_watched(self, receive: Receive) -> Message:
        """The `receive` of the endpoint: one that hears that its client has left may answer less than the whole."""
        message = await receive()
        if message['type'] == 'http.disconnect':
            await self.flight.no_longer_needed()  # others wait for the whole of the answer
            self.recorder.doubt = 'disconnected'
        return message

    async def record(self, message: Message) -> None:
        """The `send` of the endpoint."""
        if message['type'] == 'http.response.start':
            if message['status'] in reuse.FAILURES and await may_stand_in(self):
                logger.warning('%s: the endpoint answered %d, the stale entry answers', self.key, message['status'])
                self.failed(message['status'])
            elif message['status'] == NOT_MODIFIED and self.asked:
                self.confirmed = True
                self.hold(message)
            else:
                await self.take(self.start(message))
                self.passing.start_soon(length_is_known=bool(lines(self.answer.fields, b'content-length')))
                if self.stale is not None:
                    await compare(self, message['status'])
        elif not self.answers_from_store:
            await self.passing.catch_up()
            step = self.recorder.feed({**message, 'body': b''} if self.muted else message)
            if self.recorder.refused not in (None, 'complete', 'no start'):
                self.tell_followers(self.recorder.refused)  # who need not wait until its client has read it
            if step.complete is None and is_last(message):
                await end_stored(self, self.visit)
            await self.take(step)
        elif is_last(message):
            await self.answer_from_store()

    def failed(self, status: int) -> None:
        """Note that what is stored stands in for a failure, now and for a while: it is no use to ask again at once."""
        self.failure = status
        if self.is_admitted:  # else it is a guard that has failed, for this client
            self.plan.runtime.failing.lengthen(self.key, self.plan.runtime.clock())
            self.flight.land(Instead.LOOK_UP)

    @property
    def is_admitted(self) -> bool:
        """Whether all that may refuse the request before the endpoint has let it in."""
        return self.declared.handler is None or self.scope.get(ADMITTED, False)

    @property
    def answers_from_store(self) -> bool:
        """Whether what is stored answers in place of what the endpoint sends."""
        return self.confirmed or self.failure is not None

    async def answer_from_store(self) -> None:
        """What is stored answers; behind the guards, where the endpoint has not been reached behind them."""
        self.passed_on = True
        if self.failure is not None:
            # The failure may have been a guard's: then that is the answer.
            await self.behind_guards(partial(stand_in, self, self.client, 'stale-if-error'))
        elif self.is_admitted:
            await confirm(self)
        else:
            await self.behind_guards(partial(confirm, self))

    def hold(self, message: Message) -> None:
        """Note when the answer began, and its fields."""
        plan, selecting = self.plan, self.declared.inputs.selecting
        self.answered_at, self.status = plan.runtime.clock(), message['status']
        self.answer = start_fields(message, selecting, ours=plan.labels.miss[0], as_they_are=plan.terms.by_the_book)

    def start(self, message: Message) -> Step:
        """Decide from the start of the answer whether it is kept, and in which form it is passed on."""
        self.hold(message)
        self.client.by_guards = self.written.by_guards
        mine = self.answer.fields
        verdict = self.verdict(message['status'], mine)
        if isinstance(verdict, Refused):
            logger.debug('%s: not stored: %s', self.key, verdict.reason)
            self.tell_followers(verdict.reason)
            plain = with_fields(
                *for_who_has_it(self, message, mine), self.plan.labels.on_pass(Outcome(self.why, detail=verdict.reason))
            )
            return self.recorder.start(message, lambda _: plain, (), verdict.reason)
        self.storable = verdict
        # What guards have written they write anew for the next client.
        kept = self.written.less_guards(mine)
        return self.recorder.start(message, partial(self.dressed, message, mine), kept, None)

    def dressed(self, message: Message, mine: RawHeaders, refused: str | None) -> Message:
        """The start of an answer that is passed on as it comes, for this client."""
        if refused is None and not self.before.is_known:  # those who wait may have it, if it is held
            refused = 'store-error'
        if refused is not None:
            return with_fields(message, mine, self.plan.labels.on_pass(Outcome(self.why, detail=refused)))
        emission = self.emission(mine)
        outdated = () if age_unless_ours(0, emission) else (b'age',)
        return with_fields(
            message, without(mine, outdated), self.plan.labels.on_miss(Outcome(self.why, stored=True), emission)
        )

    def tell_followers(self, reason: str) -> None:
        """The answer will not be kept: those who wait for it are to go on without it."""
        if not self.flight.is_waited_for:
            return
        if reason == 'set-cookie' and not lines(self.written.less_guards(self.answer.fields), b'set-cookie'):
            reason = 'guard'
        extent = reasons.named(reason).extent if self.is_admitted else Extent.THIS_REQUEST
        if extent is Extent.THIS_KEY:
            self.plan.runtime.unshareable.begin(self.key, self.plan.runtime.clock(), UNSHAREABLE_SECONDS)
        self.flight.land(Instead.LEAD if extent is Extent.THIS_REQUEST else Instead.FORWARD)

    def verdict(self, status: int, headers: RawHeaders) -> Storable | Refused:
        """Whether the answer may be kept, by its start and by what cannot be seen there."""
        reason = unseen(self, status)
        return Refused(reason) if reason else judged(self, self.scope['headers'], status, headers)

    async def take(self, step: Step) -> None:
        """Do what follows from a message: an answer is stored before the client has the end of it."""
        if step.complete is not None:
            verdict: Storable | Refused = self.storable
            if step.passed:  # endpoints may say more about it while they stream it
                verdict = self.verdict(step.complete.status, self.answer.fields)
            if isinstance(verdict, Refused):
                self.tell_followers(verdict.reason)
                await end_stored(self, self.visit)
            else:
                entry, reason = await keep(self, step.complete, verdict)
                if not step.passed:  # it was held, to be sent like a hit, as a 304 for instance
                    self.passed_on = True
                    age = reuse.age(entry.stored_at, self.answered_at)
                    outcome = Outcome(self.why, stored=reason is None, detail=reason)
                    fields = self.answer.fields
                    signs = self.plan.labels.on_held(outcome, self.emission(fields), fields, age)
                    own = fields_for_one_client(step.complete.headers)
                    mine = entry.for_one(own, self.written.made())
                    await self.client.reply(mine, signs, self.answered_at, own=own)
        await self.passing.pass_on(step.passed)

    def emission(self, headers: RawHeaders) -> RawHeaders:
        """What we say about how others may store the answer that has these headers."""
        inputs = replace(self.declared.inputs, for_all=False) if self.varies_with_all else self.declared.inputs
        return self.plan.labels.our_cache_control(headers, inputs, self.variants)
