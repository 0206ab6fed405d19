"""Who has asked: what is sent to them, and how an entry becomes an answer for them."""

from collections.abc import Iterable

from fastapi_caching_route._asgi import Send, joined
from fastapi_caching_route._entry import Entry
from fastapi_caching_route._http import answer
from fastapi_caching_route._http.fields import RawHeaders, without
from fastapi_caching_route._key import Scope
from fastapi_caching_route._recorder import Message

UNSATISFIABLE = 416
SAYING_HOW_TO_STORE = (b'cache-control', b'cdn-cache-control', b'expires')


Field = tuple[bytes, bytes]


def messages(
    method: str, asked: RawHeaders, entry: Entry, signs: Iterable[Field], now: float, *, guard_fields: RawHeaders = ()
) -> tuple[Message, Message]:
    """The entry, or what method, preconditions and range leave of it, with the signs of how it came about.

    All of it is made for this one request: who is outside of us changes the messages that they see. `guard_fields` are
    those that guards have set for its client.
    """
    status, headers, body = answer.shape(method, asked, (entry.status, entry.headers, entry.body), now)
    if status == UNSATISFIABLE:  # nobody is to store it in place of the whole
        headers, signs = (without(it, SAYING_HOW_TO_STORE) for it in (headers, list(signs)))
    if guard_fields and entry.shaped:
        # A 304 leaves fields out, and they are the endpoint's all the same.
        own = {name for name, _ in entry.headers} - {b'set-cookie', b'vary'}
        headers = joined(headers, without(guard_fields, own))
    return (
        {'type': 'http.response.start', 'status': status, 'headers': [*headers, *signs]},
        {'type': 'http.response.body', 'body': body},
    )


class Client:
    """The client of one request, with the fields that guards have set on the answer for it."""

    __slots__ = ('_method', 'guard_fields', 'headers', 'send')

    def __init__(self, scope: Scope, send: Send) -> None:
        """Nothing has been set yet."""
        self._method = scope['method']
        self.headers: RawHeaders = scope['headers']  # as the client sent them: the endpoint may be asked with others
        self.send = send
        self.guard_fields: list[Field] = []

    async def reply(self, entry: Entry, signs: Iterable[Field], now: float) -> None:
        """Send the entry as it answers this request, with the signs of how it came about."""
        start, body = messages(self._method, self.headers, entry, signs, now, guard_fields=self.guard_fields)
        await self.send(start)
        await self.send(body)

    async def reply_nothing(self, signs: RawHeaders) -> None:
        """There is nothing stored for a client that wants nothing else (RFC 9111 §5.2.1.7)."""
        await self.send({'type': 'http.response.start', 'status': 504, 'headers': [(b'content-length', b'0'), *signs]})
        await self.send({'type': 'http.response.body', 'body': b''})

    def with_guards(self, headers: RawHeaders, shaped: bool) -> RawHeaders:  # noqa: FBT001, it is told what it has to know
        """The fields of an answer with those that guards have set for this client, where FastAPI adds them."""
        return joined(headers, self.guard_fields) if shaped and self.guard_fields else headers
