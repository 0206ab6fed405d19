"""Small things about ASGI: a body for several readers, fields added on the way out, extensions taken out of a scope."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from copy import deepcopy
from dataclasses import dataclass
from itertools import chain
from typing import Any

from fastapi_caching_route._http import conditional
from fastapi_caching_route._http.fields import RawHeaders, names, shared_name, with_vary, without
from fastapi_caching_route._key import Scope
from fastapi_caching_route._recorder import Message

Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

STREAM_EXTENSIONS = frozenset(('http.response.pathsend', 'http.response.zerocopysend', 'http.response.trailers'))
"""Extensions by which a body would travel unseen; an endpoint that is recorded must not be offered them."""


HANDLER = 'fastapi_caching_route.handler'
"""Where a scope names the request handler that the route is to use for this one request."""


ADMITTED = 'fastapi_caching_route.admitted'
"""Where a scope says that all dependencies of the route have let the request in."""

OF_THE_ENDPOINT = 'fastapi_caching_route.of_the_endpoint'
"""Where a scope says whether the response comes from the endpoint or a dependency that is no guard. It is False while a
guard runs, and where declared values are not valid; it is missing where the request has not reached the route's handler."""


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


async def after(earlier: Awaitable[object], then: Callable[[], Awaitable[None]]) -> None:
    """Do one thing when another is done."""
    await earlier
    await then()


async def to_nobody(_message: Message) -> None:
    """A `send` behind which nobody is."""


def with_fields(start: Message, *fields: RawHeaders) -> Message:
    """The start of an answer with these fields in place of its own."""
    return {**start, 'headers': [*chain(*fields)]}


def with_start(send: Send, change: Callable[[Message], Message]) -> Send:
    """A `send` that changes the start of an answer."""

    async def changing(message: Message) -> None:
        await send(change(message) if message['type'] == 'http.response.start' else message)

    return changing


@dataclass(slots=True)
class StartFields:
    """The fields of an answer as its start message gives them."""

    fields: RawHeaders
    """With names in lower case, and one Vary line."""
    vary: frozenset[bytes]
    """What the endpoint itself names in Vary."""


def start_fields(
    start: Message, selecting: Collection[bytes], *, ours: bytes, as_they_are: bool = False
) -> StartFields:
    """Read the fields of a start message, once, whoever wrote them and in whatever form.

    `ours` is the header by which we say HIT or MISS: one that an upstream has sent says nothing of this response. With
    `as_they_are`, Vary is written anew only where something is added to it.
    """
    headers = [(shared_name(bytes(name).lower()), bytes(value)) for name, value in start.get('headers', ())]
    present = dict(headers)
    if ours in present:
        headers = without(headers, (ours,))
    vary = frozenset(names(headers, b'vary') if b'vary' in present else ())
    fields = headers if as_they_are and vary.issuperset(selecting) else with_vary(headers, selecting)
    return StartFields(fields, vary)


class Lent:
    """A scope that is given other things for a while. It is not copied: who is outside of us holds the same one."""

    __slots__ = ('_others', '_own', '_scope')

    def __init__(self, scope: Scope, others: Mapping[str, Any]) -> None:
        """Have these things in place of its own ones."""
        self._scope = scope
        self._others = others
        self._own: dict[str, Any] = {}

    def __enter__(self) -> None:
        """It has them."""
        self._own = {name: self._scope[name] for name in self._others}
        self._scope.update(self._others)

    def __exit__(self, *_: object) -> None:
        """It has its own ones again."""
        self._scope.update(self._own)


def less_extensions(scope: Scope, left_out: Collection[str]) -> dict[str, Any]:
    """What a scope is to be given so that these extensions are not offered, if they are."""
    offered = scope.get('extensions')
    if not offered:
        return {}
    return {'extensions': {name: extension for name, extension in offered.items() if name not in left_out}}
