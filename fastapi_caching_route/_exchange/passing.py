"""How a response is passed on while it is recorded: its start soon, and at the pace of its client, which may be slow.

Knows moments and clients, and nothing of HTTP.
"""

import asyncio
from collections.abc import Iterable

from msgspec import Struct

from fastapi_caching_route._concurrency.flights import Flight, Instead
from fastapi_caching_route._core.asgi import Message
from fastapi_caching_route._core.recorder import Recorder
from fastapi_caching_route._core.variants import Brought
from fastapi_caching_route._exchange.call import Client, to_nobody

START_SECONDS = 0.1
"""For so long the start of a response of known length is held for its body: a file is opened in a thread first."""

STALLED_SECONDS = 0.5
"""Followers wait for the client of a response for so long, all in all. A follower waits for one slow client after
another, `MAX_ATTEMPTS` at most, so for two seconds."""

GIVE_UP_SECONDS = 5.0
"""If a client does not take a message for so long, the recording of its response is given up."""


class Passing(Struct, eq=False):
    """Passes on the messages of one response."""

    _client: Client
    _flight: Flight[Brought]
    _recorder: Recorder
    has_begun: bool = False
    """Whether the client has got something, or is to get what is stored."""
    _timer: asyncio.TimerHandle | None = None
    """Passes on the start after a while."""
    _starting: 'asyncio.Task[None] | None' = None
    """Passes it on, since the timer has rung."""
    _giving_up: asyncio.TimerHandle | None = None
    """Gives up the recording after a while, since followers do not wait for the client any more."""
    _waited: float = 0.0
    """For how many seconds this client has been waited for."""

    def start_soon(self, *, length_is_known: bool) -> None:
        """Pass on the start that is held if its body does not follow soon: then it is a stream.

        One of unknown length whose body does not follow in the same step is a stream already.
        """
        if self._recorder.is_recording:
            self._timer = asyncio.get_running_loop().call_later(START_SECONDS if length_is_known else 0, self._start)

    def _start(self) -> None:
        self._starting = asyncio.get_running_loop().create_task(self.pass_on(self._recorder.begin()))

    async def catch_up(self) -> None:
        """Wait until the start has been passed on: the next message comes after it."""
        starting, self._starting = self._starting, None
        if starting is not None:
            await starting

    async def pass_on(self, messages: Iterable[Message]) -> None:
        """Send the messages to the client. While they are recorded, it is watched whether the client reads anything."""
        loop = asyncio.get_running_loop()
        for message in messages:
            self.has_begun = True
            began_at, watching = loop.time(), None
            if self._recorder.is_recording:
                watching = loop.call_later(STALLED_SECONDS - self._waited, self._stalled)
            try:
                await self._client.send(message)
            except OSError:  # the client has disconnected
                if not self._flight.followers:
                    raise
                self._client.send = to_nobody
            finally:
                self._waited += loop.time() - began_at
                for timer in (watching, self._giving_up):
                    if timer is not None:
                        timer.cancel()

    def _stalled(self) -> None:
        """The client is slow: followers go on without it. In the end its recording makes room for others."""
        self._flight.land(Instead.LEAD)
        loop = asyncio.get_running_loop()
        self._giving_up = loop.call_later(GIVE_UP_SECONDS - STALLED_SECONDS, self._recorder.give_up)

    def close(self) -> None:
        """Pass on nothing any more."""
        self.hold()
        if self._starting is not None and not self._starting.cancel() and not self._starting.cancelled():
            self._starting.exception()  # the client has disconnected; unless this is read, asyncio logs it

    def hold(self) -> bool:
        """Do not pass on the start by itself any more. Return whether that has begun."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        return self._starting is not None
