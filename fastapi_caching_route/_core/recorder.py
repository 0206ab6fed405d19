"""The endpoint's response, message by message, until it is known whether it can be stored.

Pure, except for the user's `store_if`: ASGI messages in, ASGI messages out. A response with one body message is held
back completely, so that it can still become a 304. A stream is passed on at once while it is copied.
"""

from collections.abc import Callable
from dataclasses import dataclass

from msgspec import Struct, field

from fastapi_caching_route._core import reasons
from fastapi_caching_route._core.asgi import Message
from fastapi_caching_route._core.entry import Recording
from fastapi_caching_route._http.conditional import entity_tag
from fastapi_caching_route._http.fields import RawHeaders, lines
from fastapi_caching_route._http.sending import fits


class Step(Struct, frozen=True):
    """The action after a message: pass these messages on, and store the response if it is complete.

    If the response is complete and there is nothing to pass on, it was held: the client has received nothing of it.
    """

    passed: tuple[Message, ...] = ()
    complete: Recording | None = None


NOTHING = Step()
"""Compared by identity: there is nothing to do after the message."""


@dataclass(slots=True)
class Budget:
    """The bytes that all current recordings hold together, and their limit."""

    limit: int
    used: int = 0

    def take(self, size: int) -> bool:
        """Take this many bytes if there is room. Return whether there was."""
        if self.used + size > self.limit:
            return False
        self.used += size
        return True

    def give_back(self, size: int) -> None:
        """Free this many bytes: a recording has ended."""
        self.used -= size


class Recorder(Struct, eq=False):
    """Records the messages of one response in order.

    | after | may come |
    |---|---|
    | nothing | `start` |
    | `start` | `feed`, `begin` (the body is slow), `release` (the endpoint has ended) |
    | `feed` | `feed`, `give_up` (the client is slow), `release` |
    | anything | `close` |

    A start message that is still held at the end is released with a reason: a response without a body message is not
    complete.
    """

    _limit: int
    """The most bytes of a body that are recorded."""
    _budget: Budget
    _store_if: Callable[[Recording], bool] | None = None
    _status: int = 0
    _labelled: Callable[[str | None], Message] | None = None
    """Makes the start message that is held."""
    _kept: RawHeaders = ()
    _chunks: list[bytes] = field(default_factory=list)
    _size: int = 0
    _taken: int = 0
    """Of the budget."""
    is_recording: bool = False
    """Whether the response is being recorded: not before its start, nor when it is complete or only passed on."""
    reason: str | None = None
    """Why the response is not stored, as far as that is known so far."""
    doubt: str | None = None
    """Why the response must not be stored for a reason outside of its messages; may be set between messages."""

    @property
    def is_held(self) -> bool:
        """Whether the start message has not been passed on yet."""
        return self._labelled is not None

    def tagged(self, headers: RawHeaders) -> RawHeaders:
        """The headers with an ETag, like those of the entry, if its whole body has come: as Content-Length says."""
        is_whole = bool(self._chunks) and lines(self._kept, b'content-length') == [b'%d' % self._size]
        if not is_whole or lines(headers, b'etag'):
            return headers
        return [*headers, (b'etag', entity_tag(b''.join(self._chunks)))]

    def start(
        self, start: Message, labelled: Callable[[str | None], Message], kept: RawHeaders, refused: str | None
    ) -> Step:
        """Take the start message.

        `labelled(reason)` returns the start message to send; the reason is None if the response is stored. `kept` are
        the headers to record: those of the response, without those for this client only. `refused` is why the response
        must not be recorded, or None.
        """
        self._status, self._labelled, self._kept = start['status'], labelled, kept
        self.is_recording = True
        reason = reasons.TRAILERS.name if start.get('trailers') else refused or self.doubt
        return NOTHING if reason is None else self._let_go(reason)

    def feed(self, message: Message) -> Step:
        """Take the next message."""
        kind = message['type']
        if not self.is_recording or kind == 'http.response.debug':  # Starlette's test client: about the template
            return Step((message,))
        if kind != 'http.response.body':
            return self._let_go(f'message {kind}', message)
        chunk = bytes(message.get('body', b''))
        if self._size + len(chunk) > self._limit:
            return self._let_go(reasons.SIZE.name, message)
        more = message.get('more_body', False)
        # A body in one message needs no room in the budget, so streams never starve it.
        if (more or self._labelled is None) and not self._takes(len(chunk)):
            return self._let_go(reasons.BUDGET.name, message)
        self._size += len(chunk)
        self._chunks.append(chunk)
        if more:
            return Step((*self._released(None), message))
        return self._completed(message)

    def _takes(self, size: int) -> bool:
        """Whether the budget has room for a chunk."""
        taken = self._budget.take(size)
        self._taken += size if taken else 0
        return taken

    def _completed(self, last: Message) -> Step:
        if not fits(self._status, self._kept, self._size):
            self.doubt = reasons.INCOMPLETE.name
        if self.doubt is not None:
            return self._let_go(self.doubt, last)
        recording = Recording(self._status, self._kept, b''.join(self._chunks))
        if self._store_if is not None and not self._store_if(recording):
            return self._let_go(reasons.STORE_IF.name, last)
        passed = (last,) if self._labelled is None else ()
        self.is_recording = False
        self.close()
        return Step(passed, recording)

    def begin(self) -> tuple[Message, ...]:
        """Release the start message, because the body is slow."""
        if self.is_recording and self.doubt is not None:
            return self._let_go(self.doubt).passed
        return self._released(self.reason)

    def give_up(self) -> None:
        """Stop recording, because the client is slow."""
        if self.is_recording:
            self._let_go(reasons.SLOW_CLIENT.name)

    def release(self) -> Step:
        """The messages that are still held when the endpoint ends: the start of a response without a body message."""
        return Step(self._released(self.reason or reasons.NO_BODY.name))

    def _let_go(self, reason: str, *messages: Message) -> Step:
        self.is_recording, self.reason = False, reason
        released = self._released(reason)
        self.close()
        return Step((*released, *messages))

    def _released(self, reason: str | None) -> tuple[Message, ...]:
        """The start message, if it is still held, labelled with the reason against storing."""
        labelled, self._labelled = self._labelled, None
        return () if labelled is None else (labelled(reason),)

    def close(self) -> None:
        """Free the recording and its part of the budget, and what makes its start: that refers to this recorder."""
        self._labelled = None
        if self._taken:
            self._budget.give_back(self._taken)
        self._size = self._taken = 0
        self._chunks.clear()


def is_last(message: Message) -> bool:
    """Whether this message ends the body of the response."""
    return message['type'] == 'http.response.body' and not message.get('more_body', False)
