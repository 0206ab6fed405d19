"""A miss: the endpoint answers, and the answer is kept if it may be kept. `_exchange` sends it on its way.

The route runs its guards itself; its handler leaves in `GUARD_FIELDS` of the scope what guards have set on the response, and
marks a response that FastAPI has made with `SHAPED`. Everything here is about one run of the endpoint; what HTTP has to say is decided in
`_http`, and what becomes of the messages of an answer in `_recorder`.
"""

import logging
from collections.abc import Collection
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import partial
from secrets import token_hex
from typing import Any, TypeGuard

from fastapi_caching_route._asgi import (
    GUARD_FIELDS,
    HANDLER,
    STREAM_EXTENSIONS,
    App,
    Receive,
    RequestBody,
    StartFields,
    start_fields,
    without_extensions,
)
from fastapi_caching_route._bypass import tell
from fastapi_caching_route._client import Client
from fastapi_caching_route._entry import Recording, Variants, entry_of
from fastapi_caching_route._fate import Fate
from fastapi_caching_route._http.fields import RawHeaders, without
from fastapi_caching_route._http.storing import FOREVER, Refused, Storable, judge
from fastapi_caching_route._key import (
    Scope,
    adding,
    fields_of_variants,
    names_a_person,
    variant_key,
    variant_of,
)
from fastapi_caching_route._names import of_tag
from fastapi_caching_route._plan import Declared, Plan, asked
from fastapi_caching_route._recorder import Message, Recorder, Step
from fastapi_caching_route._store import Lost

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
    forward: App
    """Lets the endpoint answer."""
    key: str
    why: bytes
    """Why the endpoint is asked, in the words of Cache-Status."""
    variants: Variants | None
    recorder: Recorder = field(init=False)
    varies_with_all: bool = field(init=False, default=False)
    names: tuple[str, ...] = field(init=False, default=())
    marks_before: Any = field(init=False, default=None)
    """What the store needs to tell whether a name was invalidated while the endpoint ran."""
    answered_at: float = field(init=False, default=0.0)
    answer: StartFields = field(init=False)
    storable: Storable = field(init=False)
    session: dict[str, Any] = field(init=False)
    """As it was before the endpoint ran."""

    async def run(self) -> None:
        """Let the endpoint answer the client, and keep the answer if it may be kept."""
        self.recorder = Recorder(self.plan.terms.max_body_size, self.plan.budget)
        await self.begin()
        self.session = deepcopy(dict(self.scope.get('session') or {}))
        self.scope[HANDLER] = self.declared.handler
        receive = partial(self.receive_watched, self.body.reader(last=True))
        try:
            with without_extensions(self.scope, STREAM_EXTENSIONS), self.plan.watch(self.scope, self.doubt_handler):
                await self.forward(self.scope, receive, self.record)
            await self.take(self.recorder.release())
        finally:
            self.recorder.close()

    async def begin(self) -> None:
        """Name the answer and note the marks of its names, before the endpoint reads anything."""
        tags: object = () if self.plan.tags is None else await asked(self.plan.tags, self.scope)
        reason = 'tags-callable' if not are_tags(tags) else 'tags' if self.plan.naming.unknown else None
        if reason is not None or not are_tags(tags):
            self.recorder.doubt = 'tags'
            tell(reason or 'tags', self.scope['path'], self.plan.told)
            return
        user_built = None if self.declared.inputs.declared else self.key
        self.names = self.plan.naming.names(self.scope, user_built, tags)
        self.marks_before = await self.plan.store.begin(self.names, windowed=self.plan.terms.windowed)
        if self.marks_before is None:
            self.recorder.doubt = 'store-error'

    def doubt_handler(self) -> None:
        """An exception handler of the user's makes the answer; it gets the raw request, and may read all of it."""
        inputs = self.declared.inputs
        self.varies_with_all = inputs.declared and not inputs.raw
        if self.varies_with_all and inputs.personal and names_a_person(self.scope, inputs.covered):
            self.recorder.doubt = 'exception-handler'

    async def receive_watched(self, receive: Receive) -> Message:
        """The `receive` of the endpoint: one that hears that its client has left may answer less than the whole."""
        message = await receive()
        if message['type'] == 'http.disconnect':
            self.recorder.doubt = 'disconnected'
        return message

    async def record(self, message: Message) -> None:
        """The `send` of the endpoint: take a message of its answer."""
        if message['type'] == 'http.response.start':
            await self.take(self.start(message))
        else:
            await self.take(self.recorder.feed(message))

    def start(self, message: Message) -> Step:
        """Decide from the start of the answer whether it is kept, and in which form it is passed on."""
        self.answered_at = self.plan.clock()
        self.answer = start_fields(message, self.declared.inputs.selecting)
        # What this client gets; what is kept is less by what guards have set, for they set it anew for the next client.
        mine = self.client.with_guards(self.answer.fields, self.answer.shaped)
        verdict = self.verdict(message['status'], mine)
        if isinstance(verdict, Refused):
            logger.debug('%s: not stored: %s', self.key, verdict.reason)
            plain = {**message, 'headers': [*mine, *self.plan.status(self.why, detail=verdict.reason)]}
            return self.recorder.start(plain, plain, (), verdict.reason)
        self.storable = verdict
        of_guards = self.scope.pop(GUARD_FIELDS, ())
        self.client.guard_fields.extend(of_guards)
        kept = [field for field in self.answer.fields if field not in of_guards]
        plain = {**message, 'headers': [*mine, *self.plan.status(self.why)]}
        as_miss = {**message, 'headers': [*without(mine, (self.plan.miss[0],)), *self.plan.signs_of_a_miss(self.why)]}
        return self.recorder.start(plain, as_miss, kept, None)

    def verdict(self, status: int, headers: RawHeaders) -> Storable | Refused:
        """Whether the answer may be kept, by its start and by what cannot be seen there."""
        unseen = self.unseen()
        if unseen is not None:
            return Refused(unseen)
        fate, terms = self.fate, self.plan.terms
        terms = replace(
            terms,
            chosen_ttl=fate.ttl,
            stale_while_revalidate=_first(fate.stale_while_revalidate, terms.stale_while_revalidate),
            stale_if_error=_first(fate.stale_if_error, terms.stale_if_error),
            authorization_covered=self.declared.inputs.authorization_covered,
        )
        return judge(self.scope['headers'], status, headers, terms, self.answered_at)

    def unseen(self) -> str | None:
        """Why an answer must not be kept, that its own messages do not show."""
        if self.scope['method'] == 'HEAD':
            return 'head'  # it has no body to answer a GET with
        if self.session != dict(self.scope.get('session') or {}):
            return 'session'  # it becomes a cookie outside of us
        if not are_tags(self.fate.tags):
            return 'tags'
        return self.recorder.doubt or self.fate.refused

    async def take(self, step: Step) -> None:
        """Do what follows from a message: an answer is stored before the client has the end of it."""
        if step.complete is not None:
            verdict: Storable | Refused = self.storable
            if step.passed:  # endpoints may say more about it while they stream it
                verdict = self.verdict(step.complete.status, self.answer.fields)
            if isinstance(verdict, Storable):
                await self.keep(step.complete, verdict, held=not step.passed)
        for message in step.passed:
            await self.client.send(message)

    async def keep(self, recording: Recording, storable: Storable, *, held: bool) -> None:
        """Store a complete answer under the key of this request or, where answers under it vary, of its variant.

        One that was held is sent like a hit, as a 304 for instance. Of a stream it has been said before that it is stored.
        """
        names = (*self.names, *sorted(map(of_tag, self.fate.tags)))
        landed = await self.plan.store.land(self.marks_before, names, windowed=storable.window > 0)
        reason = landed.reason if isinstance(landed, Lost) else None
        inputs = self.declared.inputs
        varying = fields_of_variants(inputs, self.answer.vary, self.variants, all_fields=self.varies_with_all)
        entry = entry_of(
            recording,
            storable,
            key=await self.keep_variants(varying) if varying and reason is None else self.key,
            left_out=self.plan.miss[0],
            now=self.answered_at,
            names=names,
            marks=() if isinstance(landed, Lost) else landed,
            shaped=self.answer.shaped,
        )
        if reason is None and not await self.plan.store.put(entry, entry.lifetime + storable.window):
            reason = 'store-error'
        if held:
            stored = reason is None
            signs = self.plan.signs_of_a_miss(self.why) if stored else self.plan.status(self.why, detail=reason)
            await self.client.reply(entry, signs)

    async def keep_variants(self, varying: set[bytes]) -> str:
        """Store with what the answers under the key vary; return the key of this request's variant.

        With a field more, all variants get new keys, by a new token. Where two first answers come at once, the record
        that is stored last counts, and the variant of the other one is not found again: a miss, not a mistake.
        """
        current = await self.plan.store.look_up(self.key)  # others may have added to it while the endpoint ran
        variants = current if isinstance(current, Variants) else self.variants
        if variants is None or varying != set(variants.selecting):
            variants = Variants(self.key, tuple(sorted(varying)), token_hex(8))
        variant = variant_of(variants, self.scope, self.declared.inputs.left_out)
        variants, dropped = adding(variants, variant)
        for key in dropped:
            await self.plan.store.forget(key)
        await self.plan.store.put(variants, FOREVER)  # as long as any variant may live
        return variant_key(variants, variant)


def are_tags(tags: object) -> TypeGuard[Collection[str]]:
    """Whether these are several texts; a single one is a mistake, and would be read as its letters."""
    return isinstance(tags, list | tuple | set | frozenset) and all(isinstance(tag, str) for tag in tags)


def _first(chosen: float | None, otherwise: float) -> float:
    return otherwise if chosen is None else chosen
