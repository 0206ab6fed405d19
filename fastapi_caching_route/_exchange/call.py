"""One request: its body for several readers, and its client, with the response that is built for it from an entry.

Does not know what is stored.
"""

import asyncio
from collections.abc import Collection, Iterable, Mapping
from copy import copy, deepcopy
from functools import partial
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from fastapi_caching_route._core.asgi import ADMITTED, OF_THE_ENDPOINT, WISHES, App, Message, Receive, Scope, Send
from fastapi_caching_route._core.codings import UndecodableError
from fastapi_caching_route._core.declared import Declared
from fastapi_caching_route._core.entry import Entry
from fastapi_caching_route._core.key import digest
from fastapi_caching_route._core.raw_request import RawRequest, begin_of
from fastapi_caching_route._core.read_names import NO_READING
from fastapi_caching_route._core.written import ByGuards
from fastapi_caching_route._exchange.account import Account
from fastapi_caching_route._exchange.negotiating import Choice, choice_of, refuses_plain
from fastapi_caching_route._exchange.plan import Plan
from fastapi_caching_route._http import conditional, representation
from fastapi_caching_route._http.coding import OF_THE_CONTENT
from fastapi_caching_route._http.conditional import OF_A_304, OF_A_BODY
from fastapi_caching_route._http.fields import Field, RawHeaders, without

NOT_MODIFIED, UNSATISFIABLE = 304, 416
ABOUT_STORING = (b'cache-control', b'cdn-cache-control', b'expires')


NOT_BY_GUARDS = OF_THE_CONTENT | {b'vary'}
"""What guards do not add to a 304: it may be one of another representation than the one that they know."""

NO_REQUEST = partial(RawRequest, {}, NO_READING)


class Call(Struct, eq=False):
    """One request to a cached route."""

    plan: Plan
    declared: Declared
    scope: Scope
    body: 'RequestBody'
    client: 'Client'
    forward: App
    """Lets the endpoint answer."""
    own_key: str | None = None
    """Its key without the namespace; None until it has been found."""
    key: str = ''
    """The full key."""
    raw: RawRequest = field(default_factory=NO_REQUEST)
    """The request as it is before the route reads or changes it."""

    @property
    def in_words(self) -> str:
        """The request in a line of the log. Of a key that a `key_builder` made, which may hold anything, a digest."""
        key = self.key if self.plan.hooks.key_builder is None else digest(self.key)
        return f'{self.scope["method"]} {self.plan.counts.route} ({key})'

    @property
    def is_admitted(self) -> bool:
        """Whether all that may refuse the request before the endpoint has let it in."""
        return self.declared.run_handler is None or self.scope.get(ADMITTED, False)

    def note(self, status: int, reason: str | None) -> None:
        """Note what the response of a run is; with a reason, it is not stored."""
        is_refused = not self.is_admitted or self.scope.get(OF_THE_ENDPOINT) is False
        self.client.account.answered(status, reason, is_refused=is_refused)

    def for_nobody(self, kept: Collection[bytes]) -> 'Call':
        """The same request once more, for a renewal; of its preconditions and ranges, only some are `kept`."""
        scope = asked_again(self.scope, kept, self.raw.scope.get('state'))
        client = self.client.replaced_by_nobody(scope)
        body = self.body.once_more()
        raw = RawRequest(begin_of(scope, scope['headers']), self.raw.reading)
        return Call(self.plan, self.declared, scope, body, client, self.forward, self.own_key, self.key, raw)


def raw_of(declared: Declared, scope: Scope) -> RawRequest:
    """The request as it is before the route reads or changes it: a copy if code gets the raw request."""
    reading = declared.inputs.reading
    return RawRequest(begin_of(scope, scope['headers']) if reading.takes_request else scope, reading)


class RequestBody(Struct, eq=False):
    """The body of a request for several readers, each of which gets all of it from its beginning."""

    _live: Receive
    """Gives what comes, when it is asked for."""
    _read: list[Message] = field(default_factory=list)
    _size: int = 0

    def once_more(self) -> 'RequestBody':
        """The part that has been read, to be read again; nothing follows it, not even a disconnect."""
        read = self._read or [{'type': 'http.request', 'body': b'', 'more_body': False}]
        return RequestBody(_silence, list(read))

    async def whole(self, limit: int) -> bytes | None:
        """All of the body; None if it breaks off, or goes on beyond `limit` bytes."""
        if not self._read:
            first = await self._live()
            if first['type'] != 'http.request':
                return None
            self._read.append(first)
            if not first.get('more_body', False):  # as for most bodies, or if there is none
                whole = bytes(first.get('body', b''))
                return whole if len(whole) <= limit else None
        receive, body, more = self.reader(), bytearray(), True
        while more and len(body) <= limit:
            message = await receive()
            if message['type'] != 'http.request':
                break
            body += message.get('body', b'')
            more = message.get('more_body', False)
        return None if more or len(body) > limit else bytes(body)

    def as_read(self) -> bytes | None:
        """All of the body if it has been read and kept to its end, else None."""
        if not self._read or self._read[-1].get('more_body', False):
            return None
        return b''.join([it.get('body', b'') for it in self._read])

    def reader(self, *, last: bool = False, kept: int = 0) -> Receive:
        """A `receive` that gives the body from its beginning.

        After the last reader, nothing more is kept, or up to `kept` bytes.
        """
        at = 0

        async def receive() -> Message:
            nonlocal at
            if at < len(self._read):
                at += 1
                return self._read[at - 1]
            message = await self._live()
            self._size += len(message.get('body', b''))
            if message['type'] == 'http.request' and (not last or self._size <= kept):
                self._read.append(message)
                at += 1
            return message

        return receive


async def _silence() -> Message:
    message: Message = await asyncio.get_running_loop().create_future()
    return message


def asked_again(scope: Scope, kept: Collection[bytes], state: Mapping[str, Any] | None = None) -> Scope:
    """The same request once more, for the whole response: of preconditions and ranges, only some are `kept`.

    The `state` is that before guards have left more there.
    """
    own = {} if state is None else {'state': dict(state)}
    again = {**scope, 'headers': without(scope['headers'], conditional.OF_ONE_CLIENT.difference(kept)), **own}
    again.pop(WISHES, None)
    if scope['method'] == 'HEAD':
        again['method'] = 'GET'
    if 'session' in scope:
        again['session'] = deepcopy(scope['session'])
    return again


class Client(Struct, eq=False):
    """The client of one request, with what guards have written on the response for it."""

    _method: str
    headers: RawHeaders
    """As the client sent them: the endpoint may be asked with others."""
    send: Send
    account: Account
    _ours: bytes
    """The name of the header that says HIT or MISS."""
    direct: Send | None = None
    """Its own `send`, if neither guards nor a copy of it need to know what is sent."""
    is_nobody: bool = False
    """Whether nobody gets what is sent, so that no guard has to let it in."""
    was_served: bool = False
    """Whether an entry has been sent."""
    by_guards: ByGuards = ()
    before_key: ByGuards = ()
    """The first of it: what the guards have written that run before there is a key."""
    keeps_tasks: bool = True
    """Whether the background tasks of dependencies run after this response."""

    def note_guards(self, by_guards: ByGuards, send: Send, *, before_key: bool) -> None:
        """Note what guards that have accepted it have written on its response.

        The `send` is theirs, so that they know when the response has begun.
        """
        self.by_guards = by_guards
        if before_key:
            self.before_key = by_guards
        self.send, self.direct = send, None

    def replaced_by_nobody(self, scope: Scope) -> 'Client':
        """A client that gets nothing, for which the guards have run that come before the key."""
        method, headers, account = scope['method'], scope['headers'], self.account.for_nobody()
        return Client(method, headers, to_nobody, account, self._ours, is_nobody=True, before_key=self.before_key)

    def hand_over(self) -> 'Client':
        """A copy that can still send; from now on, this one discards messages."""
        client = copy(self)
        self.account, self.send, self.direct, self.is_nobody = self.account.for_nobody(), to_nobody, None, True
        return client

    async def reply(self, entry: Entry, labels: Iterable[Field], now: float, *, own: RawHeaders = ()) -> None:
        """Send what the entry comes to for this request (200, 206, 304 or no body), with our labels.

        `own` are those of its headers that are for this client alone: a 304 has them too.
        """
        choice = None if entry.coded is None else await self._choice(entry, now)
        start, body = messages(
            self._method, self.headers, entry, labels, now, by_guards=self.by_guards, ours=self._ours, choice=choice
        )
        if own and start['status'] == NOT_MODIFIED:
            start['headers'] += without(own, OF_A_304 | OF_A_BODY)
        self.keeps_tasks = entry.made.keeps_tasks
        self.was_served = True
        if self.direct is None:
            await self.send(start)
            await self.send(body)
        else:
            self.account.begins(start['status'])
            await self.direct(start)
            self.account.ends(len(body['body']))
            await self.direct(body)

    async def _choice(self, entry: Entry, now: float) -> Choice:
        """The representation of an entry for this client; that it can be decoded was seen when it was looked up."""
        plan, is_plain = self.account.plan, entry.coded is None or not entry.coded.coding
        whole = self.headers_of(entry)
        if is_plain and plan.compression is not None and refuses_plain(self.headers, whole, plan.compression):
            entry = await plan.runtime.coded_entries.get(plan.compression, entry)
        choice = choice_of(self._method, self.headers, entry, whole, now, sends_plain=plan.sends_plain)
        if not choice.needs_decoding:
            return choice
        body = await plan.runtime.plain_bodies.get(entry, plan.terms.max_body_size)
        if body is None:
            raise UndecodableError(entry.key)
        return replace(choice, content=body)

    def headers_of(self, entry: Entry) -> RawHeaders:
        """The headers of an entry as this client gets them."""
        return entry.made.for_one(entry.headers, self.by_guards, self._ours) if self.by_guards else entry.headers

    async def reply_nothing(self, labels: RawHeaders) -> None:
        """Answer a client that wants a stored response only, and there is none (RFC 9111 §5.2.1.7)."""
        await self.send({'type': 'http.response.start', 'status': 504, 'headers': [(b'content-length', b'0'), *labels]})
        await self.send({'type': 'http.response.body', 'body': b''})


async def to_nobody(_message: Message) -> None:
    """A `send` that drops what is sent."""


def messages(
    method: str,
    asked: RawHeaders,
    entry: Entry,
    labels: Iterable[Field],
    now: float,
    *,
    by_guards: ByGuards = (),
    ours: bytes = b'',
    choice: Choice | None = None,
) -> tuple[Message, Message]:
    """The entry, or what method, preconditions and range leave of it, with our labels.

    Both messages are new for each request, because middleware changes what it sees. `by_guards` is what guards have
    written for its client; they have no say about the header that is `ours`. Of an entry that is kept compressed, a
    representation was chosen before.
    """
    whole = entry.made.for_one(entry.headers, by_guards, ours) if by_guards else entry.headers
    stored = entry.status, whole, entry.content
    if choice is not None:
        asked, stored = choice.request, (entry.status, choice.headers, choice.content)
    status, headers, body = representation.select(method, asked, stored, now, entry.stored_at)
    if status == UNSATISFIABLE:  # it must not be stored in place of the whole
        headers, labels = (without(it, ABOUT_STORING) for it in (headers, list(labels)))
    if status == NOT_MODIFIED and whole is not entry.headers:  # guards speak of this exchange, not of the body
        headers = [
            *headers,
            *(it for it in whole if it not in entry.headers and it not in headers and it[0] not in NOT_BY_GUARDS),
        ]
    return (
        {'type': 'http.response.start', 'status': status, 'headers': [*headers, *labels]},
        {'type': 'http.response.body', 'body': body},
    )
