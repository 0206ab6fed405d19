"""How a response is passed on while it is recorded: its start soon, and at the pace of its client, who may take its time.

Knows moments and clients, and nothing of HTTP.
"""

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING

from fastapi_caching_route._concurrency.flights import Instead
from fastapi_caching_route._core.asgi import Message
from fastapi_caching_route._exchange.call import to_nobody

if TYPE_CHECKING:
    from fastapi_caching_route._exchange.run import Fetch

SOON = 0.1
"""Seconds for which the start of a response of known length is held for its body: a file is opened in a thread first."""

STALLED, GIVEN_UP = 0.5, 5.0
"""Seconds for which a client takes nothing, after which nobody waits for its response any more, and after which its recording is
given up. Four times the first (`MOST_ATTEMPTS`) is the longest that others wait for slow clients, one after another."""


class Passing:
    """Passes on the messages of one response."""

    __slots__ = ('_ending', '_fetch', '_loop', '_starting', '_timer')

    def __init__(self, fetch: 'Fetch') -> None:
        """Nothing is passed on yet."""
        self._fetch = fetch
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._ending: asyncio.TimerHandle | None = None
        self._starting: asyncio.Task[None] | None = None

    def start_soon(self, *, length_is_known: bool) -> None:
        """Pass on the start that is held if its body does not follow soon: then it is a stream.

        One of unknown length whose body does not follow in the same step is a stream already.
        """
        if self._fetch.recorder.refused is None:
            self._timer = self._loop.call_later(SOON if length_is_known else 0, self._start)

    def _start(self) -> None:
        self._starting = self._loop.create_task(self.pass_on(self._fetch.recorder.begin()))

    async def catch_up(self) -> None:
        """The next message is there: it comes after the start, if that is being passed on."""
        self.hold()
        starting, self._starting = self._starting, None
        if starting is not None:
            await starting

    def hold(self) -> None:
        """Do not pass on the start by itself any more, if that has not begun."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def pass_on(self, messages: Iterable[Message]) -> None:
        """Send the messages to the client. While it is recorded what it takes, it is watched whether it takes anything."""
        fetch = self._fetch
        for message in messages:
            fetch.passed_on = True
            watching = self._loop.call_later(STALLED, self._stalled) if fetch.recorder.refused is None else None
            try:
                await fetch.client.send(message)
            except OSError:  # its client has left
                if not fetch.flight.followers:
                    raise
                fetch.client.send = to_nobody
            finally:
                for timer in (watching, self._ending):
                    if timer is not None:
                        timer.cancel()

    def _stalled(self) -> None:
        """Its client takes nothing: those who wait go on without it, and in the end its recording makes room for others."""
        self._fetch.flight.land(Instead.LEAD)
        self._ending = self._loop.call_later(GIVEN_UP - STALLED, self._fetch.recorder.give_up)

    def close(self) -> None:
        """Pass on nothing any more."""
        self.hold()
        if self._starting is not None and not self._starting.cancel() and not self._starting.cancelled():
            self._starting.exception()  # its client has left, of which nobody needs to be told
