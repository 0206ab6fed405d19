"""One request, and its client: the body for several readers, and how an entry becomes a response for the client."""

import asyncio
from collections.abc import Collection, Iterable
from copy import deepcopy

from fastapi_caching_route._core.asgi import Message, Receive, Scope, Send
from fastapi_caching_route._core.entry import Entry
from fastapi_caching_route._core.written import ByGuards
from fastapi_caching_route._http import conditional
from fastapi_caching_route._http import representation as answer
from fastapi_caching_route._http.conditional import OF_A_304, OF_A_BODY
from fastapi_caching_route._http.fields import RawHeaders, without


class RequestBody:
    """The body of a request for several readers, each of which gets all of it from its beginning."""

    __slots__ = ('_live', '_read')

    def __init__(self, receive: Receive) -> None:
        """Take what comes by `receive`, when it is asked for."""
        self._live = receive
        self._read: list[Message] = []

    def reader(self, *, last: bool = False) -> Receive:
        """A `receive` that gives the body from its beginning. After the last reader, nothing more is kept."""
        at = 0

        async def receive() -> Message:
            nonlocal at
            if at < len(self._read):
                at += 1
                return self._read[at - 1]
            message = await self._live()
            if message['type'] == 'http.request' and not last:
                self._read.append(message)
                at += 1
            return message

        return receive

    def again(self) -> 'RequestBody':
        """What has been read, to be read once more; after that there is nothing, and nobody who leaves."""
        read = self._read or [{'type': 'http.request', 'body': b'', 'more_body': False}]
        body = RequestBody(_silence)
        body._read = list(read)
        return body

    async def whole(self, limit: int) -> bytes | None:
        """All of the body; None if it breaks off, or goes on beyond `limit` bytes."""
        receive, body, more = self.reader(), bytearray(), True
        while more and len(body) <= limit:
            message = await receive()
            if message['type'] != 'http.request':
                break
            body += message.get('body', b'')
            more = message.get('more_body', False)
        return None if more or len(body) > limit else bytes(body)


async def _silence() -> Message:
    message: Message = await asyncio.get_running_loop().create_future()
    return message


def asked_again(scope: Scope, kept: Collection[bytes]) -> Scope:
    """A request once more, for nobody, and for the whole of the response; of preconditions and ranges, some are `kept`."""
    again = {**scope, 'headers': without(scope['headers'], conditional.OF_ONE_CLIENT.difference(kept))}
    if scope['method'] == 'HEAD':
        again['method'] = 'GET'
    if 'session' in scope:
        again['session'] = deepcopy(scope['session'])
    return again


async def to_nobody(_message: Message) -> None:
    """A `send` behind which nobody is."""


NOT_MODIFIED, UNSATISFIABLE = 304, 416
SAYING_HOW_TO_STORE = (b'cache-control', b'cdn-cache-control', b'expires')


Field = tuple[bytes, bytes]


def messages(
    method: str,
    asked: RawHeaders,
    entry: Entry,
    signs: Iterable[Field],
    now: float,
    *,
    by_guards: ByGuards = (),
    ours: bytes = b'',
) -> tuple[Message, Message]:
    """The entry, or what method, preconditions and range leave of it, with the signs of how it came about.

    All of it is made for this one request: who is outside of us changes the messages that they see. `by_guards` is
    what guards have written for its client, who have no say about the header that is `ours`.
    """
    whole = entry.made.for_one(entry.headers, by_guards, ours) if by_guards else entry.headers
    status, headers, body = answer.shape(method, asked, (entry.status, whole, entry.body), now)
    if status == UNSATISFIABLE:  # nobody is to store it in place of the whole
        headers, signs = (without(it, SAYING_HOW_TO_STORE) for it in (headers, list(signs)))
    if (
        status == NOT_MODIFIED and whole is not entry.headers
    ):  # what guards say is of this exchange, and not of the body
        headers = [*headers, *(it for it in whole if it not in entry.headers and it not in headers)]
    return (
        {'type': 'http.response.start', 'status': status, 'headers': [*headers, *signs]},
        {'type': 'http.response.body', 'body': body},
    )


class Client:
    """The client of one request, with what guards have written on the response for it."""

    __slots__ = ('_method', '_ours', 'before_key', 'by_guards', 'headers', 'keeps_tasks', 'send')

    def __init__(self, scope: Scope, send: Send, ours: bytes) -> None:
        """Nothing has been written yet. `ours` is the name of the header that says HIT or MISS."""
        self._ours = ours
        self._method = scope['method']
        self.headers: RawHeaders = scope['headers']  # as the client sent them: the endpoint may be asked with others
        self.send = send
        self.by_guards: ByGuards = ()
        self.before_key: ByGuards = ()
        """The first of it, by those that ran before there was a key."""
        self.keeps_tasks = True
        """Whether the background tasks of dependencies run after this response."""

    def let_in(self, by_guards: ByGuards, send: Send, *, before_key: bool) -> None:
        """Guards have let it in, and have written this. The `send` is theirs, so that they know when the answer has begun."""
        self.by_guards = by_guards
        if before_key:
            self.before_key = by_guards
        self.send = send

    def headers_of(self, entry: Entry) -> RawHeaders:
        """The headers of a stored response as this client gets them."""
        return entry.made.for_one(entry.headers, self.by_guards, self._ours) if self.by_guards else entry.headers

    def nobody(self, scope: Scope) -> 'Client':
        """One in its place that gets nothing, and for which the dependencies have run that come before the key."""
        client = Client(scope, to_nobody, self._ours)
        client.before_key = self.before_key
        return client

    async def reply(self, entry: Entry, signs: Iterable[Field], now: float, *, own: RawHeaders = ()) -> None:
        """Send the entry as it answers this request, with the signs of how it came about.

        `own` are those of its headers that are for this client alone: a 304 has them too.
        """
        start, body = messages(self._method, self.headers, entry, signs, now, by_guards=self.by_guards, ours=self._ours)
        if own and start['status'] == NOT_MODIFIED:
            start['headers'] += without(own, OF_A_304 | OF_A_BODY)
        self.keeps_tasks = entry.made.keeps_tasks
        await self.send(start)
        await self.send(body)

    async def reply_nothing(self, signs: RawHeaders) -> None:
        """There is nothing stored for a client that wants nothing else (RFC 9111 §5.2.1.7)."""
        await self.send({'type': 'http.response.start', 'status': 504, 'headers': [(b'content-length', b'0'), *signs]})
        await self.send({'type': 'http.response.body', 'body': b''})
