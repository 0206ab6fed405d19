"""The endpoint's answer, message by message, until it is known whether it can be kept.

Pure: ASGI messages in, ASGI messages out, to be sent at once. An answer in one body message is held, so that it can
still become a 304; a stream is passed on as it comes while a copy is taken.
"""

from collections.abc import Callable, MutableMapping
from typing import Any

from fastapi_caching_route._entry import Recording
from fastapi_caching_route._http.fields import RawHeaders, lines

Message = MutableMapping[str, Any]
Refusal = Callable[[int, RawHeaders], str | None]
Amend = Callable[..., RawHeaders]

STREAM_EXTENSIONS = frozenset(('http.response.pathsend', 'http.response.zerocopysend', 'http.response.trailers'))
"""ASGI extensions by which a body would travel unseen; a recorded endpoint must not be offered them."""


class Recorder:
    """Feed it every message of one answer; `recording` is there once the answer is complete and may be kept."""

    __slots__ = ('_amend', '_chunks', '_held', '_limit', '_refusal', '_size', '_start', 'recording', 'refused')

    def __init__(self, refusal: Refusal, amend: Amend, limit: int) -> None:
        """Ask `refusal` about status and fields, let `amend` complete the fields of what is passed on.

        `amend` gets the fields and whether the answer is being stored; `limit` is in bytes of the body.
        """
        self._refusal = refusal
        self._amend = amend
        self._limit = limit
        self._start: Message | None = None
        self._held = False
        self._chunks: list[bytes] = []
        self._size = 0
        self.refused: str | None = None
        self.recording: Recording | None = None

    def feed(self, message: Message) -> list[Message]:
        """Take the next message; return those that go to the client now."""
        kind = message['type']
        if kind == 'http.response.debug':  # Starlette's test client: the template of an answer, ahead of it
            return [message]
        if self.refused is not None or self.recording is not None:
            return [message]
        if kind == 'http.response.start':
            return self._begin(message)
        if kind == 'http.response.body' and self._start is not None:
            return self._continue(message)
        return self._refuse(f'message {kind}', message)

    def release(self) -> list[Message]:
        """What is still held although the endpoint has ended: an answer without a body message."""
        return [] if self.recording is not None else self._passed_start(stored=False)

    def _begin(self, message: Message) -> list[Message]:
        self._start = message
        self._held = True
        reason = 'trailers' if message.get('trailers') else self._refusal(message['status'], self._fields)
        return [] if reason is None else self._refuse(reason)

    @property
    def _fields(self) -> RawHeaders:
        assert self._start is not None
        return [(bytes(name).lower(), bytes(value)) for name, value in self._start.get('headers', ())]

    def _continue(self, message: Message) -> list[Message]:
        body = message.get('body', b'')
        self._size += len(body)
        if self._size > self._limit:
            return self._refuse('size', message)
        self._chunks.append(bytes(body))
        if message.get('more_body', False):
            return [*self._passed_start(stored=True), message]
        return self._complete(message)

    def _complete(self, message: Message) -> list[Message]:
        assert self._start is not None
        length = lines(self._fields, b'content-length')
        if length and length[0] != b'%d' % self._size:
            return self._refuse('incomplete', message)
        self.recording = Recording(self._start['status'], self._fields, b''.join(self._chunks))
        return [] if self._held else [message]

    def _refuse(self, reason: str, *messages: Message) -> list[Message]:
        self.refused = reason
        self._chunks.clear()
        return [*self._passed_start(stored=False), *messages]

    def _passed_start(self, *, stored: bool) -> list[Message]:
        """The start message if it is still held, in a copy of its own."""
        if not self._held:
            return []
        assert self._start is not None
        self._held = False
        return [{**self._start, 'headers': self._amend(self._fields, stored=stored)}]
