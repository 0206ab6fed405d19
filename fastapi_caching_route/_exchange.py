"""One request through the cache: start reading here.

Does, and decides nothing about HTTP: that is in `_http`, `_key` and `_recorder`. Knows nothing of FastAPI.
"""

import logging
from collections.abc import Awaitable, Callable, Collection, Generator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from secrets import token_hex
from typing import Any

from fastapi_caching_route._entry import Entry, Recording, Variants, entry_of
from fastapi_caching_route._http.cache_control import directives
from fastapi_caching_route._http.conditional import none_match, not_modified
from fastapi_caching_route._http.fields import RawHeaders, names, with_vary, without
from fastapi_caching_route._http.reuse import age, fresh
from fastapi_caching_route._http.storing import Terms, lifetime, refusal
from fastapi_caching_route._key import Inputs, Parts, declared_key, escaped, full_key, selected, unprovable, variant_key
from fastapi_caching_route._recorder import STREAM_EXTENSIONS, Recorder
from fastapi_caching_route._store import Store

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Forward = Callable[[Scope, Receive, Send], Awaitable[None]]

OK = 200
NOT_MODIFIED = 304

logger = logging.getLogger('fastapi_caching_route')


@dataclass(frozen=True, slots=True)
class Plan:
    """What is known of a cached route before any request comes."""

    store: Store
    clock: Callable[[], float]
    """Seconds since the epoch."""
    identity: Parts
    """Which route this is, for its keys."""
    namespace: str
    inputs: Callable[[], Inputs]
    key_builder: Callable[[Scope], object] | None
    terms: Terms
    cache_header: bytes
    hit: bytes
    miss: bytes


class Exchange:
    """One request, and the response it gets, passing through one cached route.

    Read the methods in order: each is called by one above it.
    """

    __slots__ = ('forward', 'inputs', 'key', 'plan', 'receive', 'recorder', 'scope', 'send', 'started_at', 'variants')

    def __init__(self, plan: Plan, scope: Scope, receive: Receive, send: Send, forward: Forward) -> None:
        """`forward` lets the endpoint answer."""
        self.plan = plan
        self.scope = scope
        self.receive = receive
        self.send = send
        self.forward = forward
        self.inputs = plan.inputs()
        self.variants: Variants | None = None

    async def respond(self) -> None:
        """Answer from the store when RFC 9111 §4 allows it, else from the endpoint."""
        key = await self.find_key()
        if key is None:
            await self.forward(self.scope, self.receive, self.send)
            return
        self.key = full_key(self.plan.namespace, key)
        entry = await self.look_up()
        if entry is not None and fresh(seconds := age(entry.stored_at, self.plan.clock()), entry.lifetime):
            await self.reply(entry, (b'age', b'%d' % seconds), (self.plan.cache_header, self.plan.hit))
        else:
            await self.fetch()

    async def find_key(self) -> str | None:
        """The key of this request inside its namespace, or None if the request must go by the cache."""
        if self.plan.key_builder is not None:
            return user_key(self.plan.key_builder(self.scope), self.scope)
        if self.inputs.raw and unprovable(self.scope, self.inputs.covered):
            return None
        body: bytes | None = b''
        if self.inputs.body or self.inputs.raw:
            body = await self.read_body()
        return None if body is None else declared_key(self.scope, self.plan.identity, self.inputs, body)

    async def read_body(self) -> bytes | None:
        """The request's body, to be read again by the endpoint; None if it breaks off or is too large for a key."""
        limit = self.plan.terms.max_body_size
        messages: list[Message] = []
        body, more = bytearray(), True
        while more and len(body) <= limit:
            message = await self.receive()
            messages.append(message)
            if message['type'] != 'http.request':
                break
            body += message.get('body', b'')
            more = message.get('more_body', False)
        self.receive = replaying(messages, self.receive)
        return None if more or len(body) > limit else bytes(body)

    async def look_up(self) -> Entry | None:
        """What is stored for this request, fresh or not."""
        found = await self.plan.store.get(self.key)
        if isinstance(found, Variants):
            self.variants = found
            found = await self.plan.store.get(self.variant_key(found))
        return found if isinstance(found, Entry) else None

    async def fetch(self) -> None:
        """Let the endpoint answer, and keep the answer if it may be kept."""
        self.recorder = Recorder(self.refusal, self.amend, self.plan.terms.max_body_size)
        with without_extensions(self.scope, STREAM_EXTENSIONS):
            await self.forward(self.scope, self.receive, self.record)
        for message in self.recorder.release():
            await self.send(message)

    def refusal(self, status: int, response: RawHeaders) -> str | None:
        """Why the answer that starts like this is not kept, or None if it may be."""
        self.started_at = self.plan.clock()
        if self.scope['method'] == 'HEAD':
            return 'head'  # there is no body in it to answer a GET with
        uncovered = without(self.scope['headers'], self.inputs.covered)
        return refusal(uncovered, status, response, self.plan.terms, self.started_at)

    def amend(self, response: RawHeaders, *, stored: bool) -> RawHeaders:
        """The fields of an answer that is passed on while it comes."""
        fields = with_vary(response, self.inputs.selecting)
        if stored:
            fields = [*without(fields, (self.plan.cache_header,)), (self.plan.cache_header, self.plan.miss)]
        return fields

    async def record(self, message: Message) -> None:
        """Take a message from the endpoint; the answer is stored before its last message leaves."""
        was_complete = self.recorder.recording is not None
        passed = self.recorder.feed(message)
        if self.recorder.recording is not None and not was_complete:
            entry = await self.keep(self.recorder.recording)
            if not passed:
                await self.reply(entry, (self.plan.cache_header, self.plan.miss))
        for it in passed:
            await self.send(it)

    async def keep(self, recording: Recording) -> Entry:
        """Store a complete answer under the key of this request or, where it varies with more, of its variant."""
        span = lifetime(recording.headers, directives(recording.headers), self.plan.terms, self.started_at)
        varies = names(recording.headers, b'vary')
        if self.plan.key_builder is not None:
            varies.update(self.inputs.selecting)
        beyond = {name for name in varies if not self.inputs.covers(name)}
        entry = entry_of(
            recording,
            key=await self.select(beyond, span) if beyond else self.key,
            selecting=self.inputs.selecting,
            dropped=self.plan.cache_header,
            now=self.started_at,
            lifetime=span,
        )
        await self.plan.store.put(entry, span)
        return entry

    async def select(self, beyond: set[bytes], span: float) -> str:
        """The key of this request's variant, by all fields with which answers under its key have been seen to vary."""
        known = set(self.variants.selecting) if self.variants else set()
        if self.variants is None or not beyond <= known:
            self.variants = Variants(self.key, tuple(sorted(beyond | known)), token_hex(8))
        await self.plan.store.put(self.variants, span)
        return self.variant_key(self.variants)

    def variant_key(self, variants: Variants) -> str:
        """The key of this request's variant."""
        return variant_key(self.key, variants.token, selected(self.scope['headers'], variants.selecting))

    async def reply(self, entry: Entry, *signs: tuple[bytes, bytes]) -> None:
        """Send the entry, or what its validator and the method leave of it, with the signs of how it came about.

        All that is sent is made for this one request: what is outside of us changes the messages that it sees.
        """
        status, headers, body = entry.status, entry.headers, entry.body
        method = self.scope['method']
        if status == OK and method in {'GET', 'HEAD'} and not none_match(self.scope['headers'], entry.etag):
            status, headers, body = NOT_MODIFIED, tuple(not_modified(headers)), b''
        elif method == 'HEAD':
            body = b''
        await self.send({'type': 'http.response.start', 'status': status, 'headers': [*headers, *signs]})
        await self.send({'type': 'http.response.body', 'body': body})


def user_key(built: object, scope: Scope) -> str | None:
    """The key that a key builder made, or None, with a warning, if it did not make one."""
    if isinstance(built, str) and built:
        return escaped(built)
    logger.warning('%s: not cached: the key_builder must return a str with something in it', scope['path'])
    return None


@contextmanager
def without_extensions(scope: Scope, left_out: Collection[str]) -> Generator[None]:
    """Take ASGI extensions out of a scope for a while. It is not copied: what is outside of us holds the same one."""
    offered = scope.get('extensions')
    if not offered:
        yield
        return
    scope['extensions'] = {name: it for name, it in offered.items() if name not in left_out}
    try:
        yield
    finally:
        scope['extensions'] = offered


def replaying(messages: list[Message], receive: Receive) -> Receive:
    """A `receive` that gives the messages again, and then the live ones."""
    again = iter(messages)

    async def replay() -> Message:
        for message in again:
            return message
        return await receive()

    return replay
