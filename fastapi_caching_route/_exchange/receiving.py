"""What the endpoint receives: its client may send slowly or disconnect, while followers wait for the response."""

import asyncio

from msgspec import Struct

from fastapi_caching_route._concurrency.flights import Flight, Instead
from fastapi_caching_route._core import reasons
from fastapi_caching_route._core.asgi import Message, Receive
from fastapi_caching_route._core.recorder import Recorder
from fastapi_caching_route._core.variants import Brought


class Receiving(Struct, eq=False):
    """The endpoint's `receive`."""

    _receive: Receive
    _flight: Flight[Brought]
    _recorder: Recorder
    _patience: float
    """For how many seconds followers still wait for the body."""
    _has_body: bool = False
    """Whether the body has come to its end."""

    async def __call__(self) -> Message:
        """The next message.

        A disconnect may end the endpoint early. Once the body is complete, it is held back while followers wait for the
        whole response. Before that, the endpoint cannot go on without it, and followers do not wait for its client.
        """
        message = await (self._receive() if self._has_body else self._next_of_body())
        if message['type'] == 'http.disconnect':
            if self._has_body:
                await self._flight.no_longer_needed()
            else:
                self._flight.land(Instead.LEAD)
            self._recorder.doubt = reasons.DISCONNECTED.name
        elif not message.get('more_body', False):
            self._has_body = True
        return message

    async def _next_of_body(self) -> Message:
        """The next message of the body. If its client has been waited for too long, followers go on without it."""
        loop = asyncio.get_running_loop()
        began_at = loop.time()
        waiting = loop.call_later(self._patience, self._flight.land, Instead.LEAD)
        try:
            return await self._receive()
        finally:
            waiting.cancel()
            self._patience -= loop.time() - began_at
