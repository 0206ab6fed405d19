"""One request through the cache: start reading here.

Does things in their order; what HTTP has to say is decided in `_http`, what makes a key in `_key`, and what becomes of
the messages of an answer in `_recorder`. Knows nothing of FastAPI. GET, HEAD, QUERY and POST requests come here.
"""

import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from secrets import token_hex
from typing import Protocol

from fastapi_caching_route._asgi import (
    STREAM_EXTENSIONS,
    App,
    Receive,
    RequestBody,
    Send,
    joined,
    with_start,
    without_extensions,
)
from fastapi_caching_route._entry import Entry, Recording, Variants, entry_of
from fastapi_caching_route._http import conditional
from fastapi_caching_route._http.fields import RawHeaders, with_vary, without
from fastapi_caching_route._http.reuse import age, fresh
from fastapi_caching_route._http.storing import FOREVER, Refused, Terms, judge
from fastapi_caching_route._key import (
    Inputs,
    Parts,
    Scope,
    declared_key,
    fields_of_variants,
    full_key,
    names_a_person,
    user_key,
    variant_key,
)
from fastapi_caching_route._recorder import Budget, Message, Recorder, Step
from fastapi_caching_route._store import Store

Proceed = Callable[[RawHeaders, Send], Awaitable[None]]

logger = logging.getLogger('fastapi_caching_route')


class Admission(Protocol):
    """Runs dependencies; if they let the request in, they call the last argument, else they answer themselves."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send, proceed: Proceed, /) -> None: ...


class Declared(Protocol):
    """What a route declares, as it stands for one request; None is an admission of no dependencies."""

    @property
    def inputs(self) -> Inputs: ...
    @property
    def before_key(self) -> Admission | None: ...
    @property
    def on_hit(self) -> Admission | None: ...
    @property
    def on_miss(self) -> Admission | None: ...


@dataclass(frozen=True, slots=True)
class Plan:
    """What is known of a cached route before any request comes."""

    store: Store
    clock: Callable[[], float]
    """Seconds since the epoch."""
    identity: Parts
    """Which route this is, for its keys."""
    namespace: str
    declared: Callable[[], Declared]
    """What the route declares; asked anew for each request, since tests override dependencies while the app runs."""
    key_builder: Callable[[Scope], object] | None
    watch: Callable[[Scope, Callable[[], None]], AbstractContextManager[None]]
    """Has a function called when an exception handler of the user's answers."""
    terms: Terms
    budget: Budget
    hit: tuple[bytes, bytes]
    """The field that marks an answer from an entry, and below the one on an answer that is being stored."""
    miss: tuple[bytes, bytes]


class Exchange:
    """One request, and the response it gets, passing through one cached route.

    Read the methods in order: each is called by one above it.
    """

    __slots__ = (
        'answered_at',
        'body',
        'declared',
        'forward',
        'inputs',
        'key',
        'plan',
        'recorder',
        'scope',
        'send',
        'storable',
        'variants',
    )

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
        self.key = ''
        self.variants: Variants | None = None

    async def respond(self) -> None:
        """Answer the request, once the dependencies have let it in that a key builder may have to hear of."""
        await self.admit(self.declared.before_key, self.answer)

    async def admit(self, admission: Admission | None, then: Callable[[], Awaitable[None]]) -> None:
        """Run dependencies, and go on if they let the request in; the fields that they set go with the answer."""
        if admission is None:
            await then()
            return

        async def proceed(fields: RawHeaders, send: Send) -> None:
            add = partial(self.with_fields, fields)
            self.send = with_start(send, add) if fields else send
            await then()

        await admission(self.scope, self.body.reader(), with_start(self.send, self.amended), proceed)

    def with_fields(self, fields: RawHeaders, start: Message) -> Message:
        """A start message with fields that dependencies have set."""
        return {**start, 'headers': joined(start['headers'], fields)}

    async def answer(self) -> None:
        """Answer from the store when RFC 9111 §4 allows it, else from the endpoint."""
        key = await self.find_key()
        if key is None:
            await self.admit(self.declared.on_miss, self.bypass)
            return
        self.key = full_key(self.plan.namespace, key)
        entry = await self.look_up()
        seconds = age(entry.stored_at, self.plan.clock()) if entry else 0.0
        if entry and fresh(seconds, entry.lifetime):
            hit = partial(self.reply, entry, (b'age', b'%d' % seconds), self.plan.hit)
            await self.admit(self.declared.on_hit, hit)
        else:
            await self.admit(self.declared.on_miss, self.fetch)

    async def find_key(self) -> str | None:
        """The key of this request inside its namespace, or None if the request must go by the cache."""
        if self.plan.key_builder is not None:
            return checked_key(self.plan.key_builder(self.scope), self.scope)
        if self.inputs.raw and names_a_person(self.scope, self.inputs.covered):
            return None
        body: bytes | None = b''
        if self.inputs.body or self.inputs.raw:
            body = await self.body.whole(self.plan.terms.max_body_size)
        return None if body is None else declared_key(self.scope, self.plan.identity, self.inputs, body)

    async def bypass(self) -> None:
        """Let the endpoint answer without keeping anything. The answer varies with what all answers vary with."""
        await self.forward(self.scope, self.body.reader(last=True), with_start(self.send, self.amended))

    async def look_up(self) -> Entry | None:
        """What is stored for this request, fresh or not."""
        found = await self.plan.store.get(self.key)
        if isinstance(found, Variants):
            self.variants = found
            found = await self.plan.store.get(variant_key(found, self.scope['headers']))
        return found if isinstance(found, Entry) else None

    async def fetch(self) -> None:
        """Let the endpoint answer, and keep the answer if it may be kept."""
        self.recorder = Recorder(self.plan.terms.max_body_size, self.plan.budget)
        receive = partial(self.receive_watched, self.body.reader(last=True))
        try:
            with without_extensions(self.scope, STREAM_EXTENSIONS), self.plan.watch(self.scope, self.doubt_handler):
                await self.forward(self.scope, receive, self.record)
            await self.take(self.recorder.release())
        finally:
            self.recorder.close()

    def doubt_handler(self) -> None:
        """An exception handler of the user's makes the answer: all of the request is in the key, or it is not kept."""
        if not self.inputs.raw:
            self.recorder.doubt = 'exception handler'

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
        plain = self.amended(message)
        headers = plain['headers']
        self.answered_at = self.plan.clock()
        verdict = judge(self.scope['headers'], plain['status'], headers, self.terms, self.answered_at)
        if self.scope['method'] == 'HEAD':
            verdict = Refused('head')  # it has no body to answer a GET with
        if isinstance(verdict, Refused):
            logger.debug('%s: not stored: %s', self.key, verdict.reason)
            return self.recorder.start(plain, plain, verdict.reason)
        self.storable = verdict
        as_miss = {**plain, 'headers': [*without(headers, (self.plan.miss[0],)), self.plan.miss]}
        return self.recorder.start(plain, as_miss, None)

    def amended(self, start: Message) -> Message:
        """A start message of our own, with what the answer varies with; names in lower case, whoever wrote them."""
        headers = [(bytes(name).lower(), bytes(value)) for name, value in start.get('headers', ())]
        return {**start, 'headers': with_vary(headers, self.inputs.selecting)}

    @property
    def terms(self) -> Terms:
        """The terms of the route, for this request."""
        return replace(self.plan.terms, authorization_covered=b'authorization' in self.inputs.selecting)

    async def take(self, step: Step) -> None:
        """Do what follows from a message: an answer is stored before the client has the end of it."""
        if step.complete is not None:
            entry = await self.keep(step.complete)
            if not step.passed:  # it was held, so that it can be sent like a hit, as a 304 for instance
                await self.reply(entry, self.plan.miss)
        for message in step.passed:
            await self.send(message)

    async def keep(self, recording: Recording) -> Entry:
        """Store a complete answer under the key of this request or, where answers under it vary, of its variant."""
        varying = fields_of_variants(self.inputs, recording.headers, self.variants)
        entry = entry_of(
            recording,
            key=await self.keep_variants(varying) if varying else self.key,
            left_out=self.plan.miss[0],
            now=self.answered_at,
            lifetime=self.storable.lifetime,
        )
        await self.plan.store.put(entry, entry.lifetime)
        return entry

    async def keep_variants(self, varying: set[bytes]) -> str:
        """Store with what the answers under the key vary; return the key of this request's variant.

        With a field more, all variants get new keys, by a new token. Where two first answers come at once, the record
        that is stored last counts, and the variant of the other one is not found again: a miss, not a mistake.
        """
        if self.variants is None or varying != set(self.variants.selecting):
            self.variants = Variants(self.key, tuple(sorted(varying)), token_hex(8))
        await self.plan.store.put(self.variants, FOREVER)  # as long as any variant may live
        return variant_key(self.variants, self.scope['headers'])

    async def reply(self, entry: Entry, *extra: tuple[bytes, bytes]) -> None:
        """Send the entry, or what method and preconditions leave of it, with the extra fields.

        All that is sent is made for this one request: who is outside of us changes the messages that they see.
        """
        status, headers, with_body = conditional.reply(
            self.scope['method'], self.scope['headers'], entry.status, entry.headers, entry.etag
        )
        await self.send({'type': 'http.response.start', 'status': status, 'headers': [*headers, *extra]})
        await self.send({'type': 'http.response.body', 'body': entry.body if with_body else b''})


def checked_key(built: object, scope: Scope) -> str | None:
    """The key that a key builder made, or None, with a warning, if it did not make one."""
    if isinstance(built, str) and built:
        return user_key(built)
    logger.warning('%s: not cached: the key_builder must return a str with something in it', scope['path'])
    return None
