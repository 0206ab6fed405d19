"""The endpoint's answer, message by message, until it is known whether it can be kept.

Pure, but for what the user says about storing: ASGI messages in, ASGI messages out. An answer in one body message is held back whole, so that it can still become
a 304; a stream is passed on as it comes while a copy is taken.
"""

from collections.abc import Callable
from dataclasses import dataclass

from fastapi_caching_route._core.asgi import Message
from fastapi_caching_route._core.entry import Recording
from fastapi_caching_route._http.fields import RawHeaders
from fastapi_caching_route._http.sending import fits


@dataclass(slots=True)
class Step:
    """What to do after a message: pass these on, and, if the answer is complete and may be kept, keep it.

    An answer that is complete without anything to pass on was held: the client has had nothing of it.
    """

    passed: tuple[Message, ...] = ()
    complete: Recording | None = None


@dataclass(slots=True)
class Budget:
    """How many bytes all recordings that are under way hold together, and how many they may."""

    limit: int
    used: int = 0

    def take(self, size: int) -> bool:
        """Whether there is room for so many more bytes; if so, they are taken."""
        if self.used + size > self.limit:
            return False
        self.used += size
        return True

    def give_back(self, size: int) -> None:
        """Room for others: a recording has ended."""
        self.used -= size


class Recorder:
    """Takes the messages of one answer in order: `start` the first, `feed` all others, `release` at the end."""

    __slots__ = (
        '_budget',
        '_chunks',
        '_dressed',
        '_held',
        '_kept',
        '_limit',
        '_size',
        '_status',
        '_taken',
        '_wanted',
        'doubt',
        'refused',
    )

    def __init__(self, limit: int, budget: Budget, wanted: Callable[[Recording], bool] | None = None) -> None:
        """Give up on bodies of more than `limit` bytes, where the budget of all recordings is used up, and on what is not wanted."""
        self._limit = limit
        self._budget = budget
        self._wanted = wanted
        self._status = 0
        self._dressed: Callable[[str | None], Message] = _nothing
        self._kept: RawHeaders = ()
        self._held = False
        self._chunks: list[bytes] = []
        self._size = 0
        self._taken = 0  # of the budget
        self.refused: str | None = 'no start'
        """Why the answer is not kept; 'complete' if it is."""
        self.doubt: str | None = None
        """Why it must not be kept although nothing in its messages shows it; may be set while they come."""

    def start(
        self, start: Message, dressed: Callable[[str | None], Message], kept: RawHeaders, refused: str | None
    ) -> Step:
        """Take the start message.

        `dressed(reason)` makes the start as it is sent; the reason is None if the answer is kept. `kept` are the fields that are recorded: those of the answer, without what is for this one client.
        """
        self._status, self._dressed, self._kept, self._held = start['status'], dressed, kept, True
        self.refused = 'trailers' if start.get('trailers') else refused or self.doubt
        return Step() if self.refused is None else self._let_go(self.refused)

    def feed(self, message: Message) -> Step:
        """Take the next message."""
        kind = message['type']
        if self.refused is not None or kind == 'http.response.debug':  # Starlette's test client: about the template
            return Step((message,))
        if kind != 'http.response.body':
            return self._let_go(f'message {kind}', message)
        chunk = bytes(message.get('body', b''))
        if self._size + len(chunk) > self._limit:
            return self._let_go('size', message)
        if not self._takes(len(chunk), message):
            return self._let_go('budget', message)
        self._size += len(chunk)
        self._chunks.append(chunk)
        if message.get('more_body', False):
            return Step((*self._released(None), message))
        return self._completed(message)

    def _takes(self, size: int, message: Message) -> bool:
        """Whether there is room for a chunk. What is held whole is there already, and needs none: streams never starve it."""
        if self._held and is_last(message):
            return True
        taken = self._budget.take(size)
        self._taken += size if taken else 0
        return taken

    def begin(self) -> tuple[Message, ...]:
        """The start, which is held no longer, since the body takes its time."""
        if self.refused is None and self.doubt is not None:
            return self._let_go(self.doubt).passed
        return self._released(self.refused)

    def give_up(self) -> None:
        """Keep nothing of what is passed on: its client takes too long."""
        if self.refused is None:
            self._let_go('slow-client')

    def release(self) -> Step:
        """What is still held although the endpoint has ended: the start of an answer without a body message."""
        return Step(self._released(self.refused or 'no body'))

    def close(self) -> None:
        """Hold nothing any more, however it ended."""
        self._budget.give_back(self._taken)
        self._size = self._taken = 0
        self._chunks.clear()

    def _completed(self, last: Message) -> Step:
        if not fits(self._status, self._kept, self._size):
            self.doubt = 'incomplete'
        if self.doubt is not None:
            return self._let_go(self.doubt, last)
        recording = Recording(self._status, self._kept, b''.join(self._chunks))
        if self._wanted is not None and not self._wanted(recording):
            return self._let_go('store-if', last)
        self.refused = 'complete'
        self.close()
        held, self._held = self._held, False
        return Step(() if held else (last,), recording)

    def _let_go(self, reason: str, *messages: Message) -> Step:
        self.refused = reason
        self.close()
        return Step((*self._released(reason), *messages))

    def _released(self, refused: str | None) -> tuple[Message, ...]:
        """The start message, if it is still held; and why it is not kept, if so."""
        held, self._held = self._held, False
        return (self._dressed(refused),) if held else ()


def is_last(message: Message) -> bool:
    """Whether it ends the body of the response."""
    return message['type'] == 'http.response.body' and not message.get('more_body', False)


def _nothing(_refused: str | None) -> Message:
    return {}
