"""One request through the cache: start reading here.

Does things in their order; what HTTP has to say is decided in `_http`, what makes a key in `_key`, and what becomes of
the messages of an answer in `_recorder`. Knows nothing of FastAPI.

Route and exchange talk through the scope: `HANDLER` names a request handler that runs explicit dependencies inside of
the route; that handler leaves in `GUARD_FIELDS` what guards have set on the response, and marks a response that FastAPI
has made with `SHAPED`.
"""

import logging
from collections.abc import Awaitable, Callable, Iterable
from copy import deepcopy
from dataclasses import replace
from functools import partial
from secrets import token_hex

from fastapi_caching_route._asgi import (
    GUARD_FIELDS,
    HANDLER,
    STREAM_EXTENSIONS,
    App,
    Receive,
    RequestBody,
    Send,
    joined,
    start_fields,
    with_start,
    without_extensions,
)
from fastapi_caching_route._bypass import Bypass, tell
from fastapi_caching_route._entry import Entry, Recording, Variants, entry_of
from fastapi_caching_route._http import conditional
from fastapi_caching_route._http.fields import RawHeaders, without
from fastapi_caching_route._http.reuse import age, fresh
from fastapi_caching_route._http.storing import FOREVER, Refused, judge
from fastapi_caching_route._key import (
    CACHED_METHODS,
    Scope,
    adding,
    declared_key,
    fields_of_variants,
    full_key,
    names_a_person,
    user_key,
    variant_key,
    variant_of,
)
from fastapi_caching_route._plan import Admission, Plan, given
from fastapi_caching_route._recorder import Message, Recorder, Step

logger = logging.getLogger('fastapi_caching_route')


class Exchange:
    """One request, and the response it gets, passing through one cached route.

    Read the methods in order: each is called by one above it.
    """

    def __init__(self, plan: Plan, scope: Scope, receive: Receive, send: Send, forward: App) -> None:
        """`forward` lets the endpoint answer."""
        self.plan = plan
        self.scope = scope
        if not isinstance(scope['headers'], list):  # ASGI lets it be any iterable, and we are not its only reader
            scope['headers'] = list(scope['headers'])
        self.body = RequestBody(receive)
        self.send = send
        self.forward = forward
        self.declared = plan.declared()
        self.inputs = self.declared.inputs
        self.guard_fields: list[tuple[bytes, bytes]] = []
        self.key = ''
        self.why = b'uri-miss'
        self.varies_with_all = False
        self.variants: Variants | None = None

    async def respond(self) -> None:
        """Answer the request, once the dependencies have let it in that a key builder may have to hear of."""
        if self.scope['method'] in CACHED_METHODS:
            await self.admit(self.declared.before_key, self.answer)
        else:
            await self.pass_by(b'method', self.declared.uncached_handler)

    async def admit(self, admission: Admission | None, then: Callable[[], Awaitable[None]]) -> None:
        """Run dependencies, and go on if they let the request in; the fields that they set go with the answer."""
        if admission is None:
            await then()
            return

        admitted = False

        async def proceed(fields: RawHeaders, send: Send) -> None:
            nonlocal admitted
            admitted = True
            self.guard_fields.extend(fields)
            self.send = send  # theirs, so that they know when the answer has begun
            await then()

        def refused(start: Message) -> Message:
            """By which they refuse the request: as it would look if the route ran them, whatever is stored."""
            return start if admitted else self.dressed(start, b'uri-miss', 'status')

        await admission(self.scope, self.body.reader(), with_start(self.send, refused), proceed)

    async def answer(self) -> None:
        """Answer from the store when RFC 9111 §4 allows it, else from the endpoint."""
        key = await self.find_key()
        if isinstance(key, Bypass):
            tell(key.reason, self.scope['path'], self.plan.told)
            await self.pass_by(b'bypass', self.declared.handler, key.reason)
            return
        self.key = full_key(self.plan.namespace, key)
        entry = await self.look_up()
        seconds = age(entry.stored_at, self.plan.clock()) if entry else 0.0
        if entry and fresh(seconds, entry.lifetime):
            await self.admit(self.declared.on_hit, partial(self.reply_hit, entry, seconds))
        else:
            self.why = b'stale' if entry else b'vary-miss' if self.variants else b'uri-miss'
            await self.fetch()

    async def find_key(self) -> str | Bypass:
        """The key of this request inside its namespace, or why the request must go by the cache."""
        if self.plan.key_builder is not None:
            built = await given(self.plan.key_builder, self.scope)
            return user_key(built) if built else Bypass('key-builder')
        if self.inputs.raw and self.inputs.personal:
            reason = names_a_person(self.scope, self.inputs.covered)
            if reason is not None:
                return Bypass(reason)
        name = '' if self.plan.who is None else await given(self.plan.who, self.scope)
        if name is None:
            return Bypass('identity')
        body: bytes | None = b''
        if self.inputs.keyed_body or self.inputs.raw:
            body = await self.body.whole(self.plan.terms.max_body_size)
        if body is None:
            return Bypass('body')
        return declared_key(self.scope, self.plan.identity, self.inputs, body, name)

    async def pass_by(self, why: bytes, handler: object, reason: str | None = None) -> None:
        """Let the endpoint answer without looking anything up or keeping anything."""
        self.scope[HANDLER] = handler
        dress = partial(self.dressed, why=why, reason=reason)
        await self.forward(self.scope, self.body.reader(last=True), with_start(self.send, dress))

    def dressed(self, start: Message, why: bytes, reason: str | None) -> Message:
        """The start of an answer that is not kept, as this client gets it."""
        began = start_fields(start, self.inputs.selecting)
        return {
            **start,
            'headers': [*self.with_guards(began.fields, began.shaped), *self.plan.status(why, detail=reason)],
        }

    def with_guards(self, headers: RawHeaders, shaped: bool) -> RawHeaders:  # noqa: FBT001, it is told what it has to know
        """The fields of an answer with those that guards have set for this client, where FastAPI adds them."""
        return joined(headers, self.guard_fields) if shaped and self.guard_fields else headers

    async def look_up(self) -> Entry | None:
        """What is stored for this request, fresh or not."""
        found = await self.plan.store.get(self.key)
        if isinstance(found, Variants):
            self.variants = found
            variant = variant_of(found, self.scope, self.inputs.left_out)
            found = await self.plan.store.get(variant_key(found, variant)) if variant in found.known else None
        return found if isinstance(found, Entry) else None

    async def reply_hit(self, entry: Entry, seconds: float) -> None:
        """Answer from a fresh entry of this age."""
        await self.reply(entry, self.plan.signs_of_a_hit(seconds, entry.lifetime))

    async def fetch(self) -> None:
        """Let the endpoint answer, and keep the answer if it may be kept. The route runs its guards itself."""
        self.recorder = Recorder(self.plan.terms.max_body_size, self.plan.budget)
        self.session = deepcopy(dict(self.scope.get('session') or {}))
        self.scope[HANDLER] = self.declared.handler
        receive = partial(self.receive_watched, self.body.reader(last=True))
        try:
            with without_extensions(self.scope, STREAM_EXTENSIONS), self.plan.watch(self.scope, self.doubt_handler):
                await self.forward(self.scope, receive, self.record)
            await self.take(self.recorder.release())
        finally:
            self.recorder.close()

    def doubt_handler(self) -> None:
        """An exception handler of the user's makes the answer; it gets the raw request, and may read all of it."""
        self.varies_with_all = self.inputs.declared and not self.inputs.raw
        if self.varies_with_all and self.inputs.personal and names_a_person(self.scope, self.inputs.covered):
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
        self.began = start_fields(message, self.inputs.selecting)
        # What this client gets; what is kept is less by what guards have set, for they set it anew for the next client.
        mine = self.with_guards(self.began.fields, self.began.shaped)
        terms = replace(self.plan.terms, authorization_covered=self.inputs.authorization_covered)
        verdict = judge(self.scope['headers'], message['status'], mine, terms, self.answered_at)
        unseen = self.unseen()
        if unseen is not None:
            verdict = Refused(unseen)
        if isinstance(verdict, Refused):
            logger.debug('%s: not stored: %s', self.key, verdict.reason)
            plain = {**message, 'headers': [*mine, *self.plan.status(self.why, detail=verdict.reason)]}
            return self.recorder.start(plain, plain, (), verdict.reason)
        self.storable = verdict
        of_guards = self.scope.pop(GUARD_FIELDS, ())
        self.guard_fields.extend(of_guards)
        kept = [field for field in self.began.fields if field not in of_guards]
        plain = {**message, 'headers': [*mine, *self.plan.status(self.why)]}
        as_miss = {**message, 'headers': [*without(mine, (self.plan.miss[0],)), *self.plan.signs_of_a_miss(self.why)]}
        return self.recorder.start(plain, as_miss, kept, None)

    def unseen(self) -> str | None:
        """Why an answer must not be kept, that its own messages do not show."""
        if self.scope['method'] == 'HEAD':
            return 'head'  # it has no body to answer a GET with
        if self.session != dict(self.scope.get('session') or {}):
            return 'session'  # it becomes a cookie outside of us
        return self.recorder.doubt

    async def take(self, step: Step) -> None:
        """Do what follows from a message: an answer is stored before the client has the end of it."""
        if step.complete is not None:
            entry, stored = await self.keep(step.complete)
            if not step.passed:  # it was held, so that it can be sent like a hit, as a 304 for instance
                await self.reply(
                    entry,
                    self.plan.signs_of_a_miss(self.why) if stored else self.plan.status(self.why, detail='store-error'),
                )
        for message in step.passed:
            await self.send(message)

    async def keep(self, recording: Recording) -> tuple[Entry, bool]:
        """Store a complete answer under the key of this request or, where answers under it vary, of its variant.

        Whether it was stored comes too late for a stream, which has been marked as a miss at its start.
        """
        varying = fields_of_variants(self.inputs, self.began.vary, self.variants, all_fields=self.varies_with_all)
        entry = entry_of(
            recording,
            key=await self.keep_variants(varying) if varying else self.key,
            left_out=self.plan.miss[0],
            now=self.answered_at,
            lifetime=self.storable.lifetime,
            shaped=self.began.shaped,
        )
        return entry, await self.plan.store.put(entry, entry.lifetime)

    async def keep_variants(self, varying: set[bytes]) -> str:
        """Store with what the answers under the key vary; return the key of this request's variant.

        With a field more, all variants get new keys, by a new token. Where two first answers come at once, the record
        that is stored last counts, and the variant of the other one is not found again: a miss, not a mistake.
        """
        current = await self.plan.store.get(self.key)  # others may have added to it while the endpoint ran
        variants = current if isinstance(current, Variants) else self.variants
        if variants is None or varying != set(variants.selecting):
            variants = Variants(self.key, tuple(sorted(varying)), token_hex(8))
        variant = variant_of(variants, self.scope, self.inputs.left_out)
        variants, dropped = adding(variants, variant)
        for key in dropped:
            await self.plan.store.forget(key)
        await self.plan.store.put(variants, FOREVER)  # as long as any variant may live
        return variant_key(variants, variant)

    async def reply(self, entry: Entry, signs: Iterable[tuple[bytes, bytes]]) -> None:
        """Send the entry, or what method and preconditions leave of it, with the signs of how it came about.

        All that is sent is made for this one request: who is outside of us changes the messages that they see.
        """
        status, headers, with_body = conditional.reply(
            self.scope['method'], self.scope['headers'], entry.status, entry.headers, entry.etag
        )
        # A 304 leaves fields out, and they are the endpoint's all the same.
        self.guard_fields = without(self.guard_fields, {name for name, _ in entry.headers} - {b'set-cookie', b'vary'})
        headers = [*self.with_guards(headers, entry.shaped), *signs]
        await self.send({'type': 'http.response.start', 'status': status, 'headers': headers})
        await self.send({'type': 'http.response.body', 'body': entry.body if with_body else b''})
