"""Who has asked: what is sent to them, and how an entry becomes an answer for them."""

from collections.abc import Iterable

from fastapi_caching_route._asgi import Send, joined
from fastapi_caching_route._entry import Entry
from fastapi_caching_route._http import answer
from fastapi_caching_route._http.fields import RawHeaders, without
from fastapi_caching_route._key import Scope

UNSATISFIABLE = 416
SAYING_HOW_TO_STORE = (b'cache-control', b'cdn-cache-control', b'expires')


class Client:
    """The client of one request, with the fields that guards have set on the answer for it."""

    __slots__ = ('_method', 'guard_fields', 'headers', 'send')

    def __init__(self, scope: Scope, send: Send) -> None:
        """Nothing has been set yet."""
        self._method = scope['method']
        self.headers: RawHeaders = scope['headers']  # as the client sent them: the endpoint may be asked with others
        self.send = send
        self.guard_fields: list[tuple[bytes, bytes]] = []

    async def reply(self, entry: Entry, signs: Iterable[tuple[bytes, bytes]], now: float) -> None:
        """Send the entry, or what method, preconditions and range leave of it, with the signs of how it came about.

        All that is sent is made for this one request: who is outside of us changes the messages that they see.
        """
        whole = (entry.status, entry.headers, entry.body)
        status, headers, body = answer.shape(self._method, self.headers, whole, now)
        if status == UNSATISFIABLE:  # nobody is to store it in place of the whole
            headers, signs = (without(it, SAYING_HOW_TO_STORE) for it in (headers, list(signs)))
        if self.guard_fields:
            # A 304 leaves fields out, and they are the endpoint's all the same.
            own = {name for name, _ in entry.headers} - {b'set-cookie', b'vary'}
            self.guard_fields = without(self.guard_fields, own)
            headers = self.with_guards(headers, entry.shaped)
        await self.send({'type': 'http.response.start', 'status': status, 'headers': [*headers, *signs]})
        await self.send({'type': 'http.response.body', 'body': body})

    async def reply_nothing(self, signs: RawHeaders) -> None:
        """There is nothing stored for a client that wants nothing else (RFC 9111 §5.2.1.7)."""
        await self.send({'type': 'http.response.start', 'status': 504, 'headers': [(b'content-length', b'0'), *signs]})
        await self.send({'type': 'http.response.body', 'body': b''})

    def with_guards(self, headers: RawHeaders, shaped: bool) -> RawHeaders:  # noqa: FBT001, it is told what it has to know
        """The fields of an answer with those that guards have set for this client, where FastAPI adds them."""
        return joined(headers, self.guard_fields) if shaped and self.guard_fields else headers
