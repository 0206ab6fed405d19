"""Continues a request where its guards have accepted it: when their response is sent, or before their handler returns.

A request handler of a user's route class may look at the response of its route. If it was sent before the handler
returns, the handler gets a response with the head and the body that were sent.
"""

import logging
from functools import partial
from traceback import format_tb

from fastapi import Response
from starlette.types import Message, Receive, Send

from fastapi_caching_route._core.asgi import HANDLER, PROCEED, WRITE_LOG, Scope
from fastapi_caching_route._core.declared import Proceed

logger = logging.getLogger('fastapi_caching_route')

_RAISED = (
    '%r: the get_route_handler() of its route class raised %s after a response was sent from the cache. Its client has '
    'that response. Let the handler accept what is sent on hits: also a 304 or 206, and a compressed body:\n%s'
)


class Proceeding(Response):
    """A response that continues the request when it is sent. Dependencies with `yield` end after it."""

    def __init__(self, proceed: Proceed) -> None:  # it has no head and no body of its own
        self.background = None
        self._proceed = proceed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002, an ASGI app
        if await self._proceed(send) and self.background is not None:
            await self.background()


class Proceeded(Proceeding):
    """What stands for a response that was sent already."""

    def __init__(self, *, keeps_tasks: bool, sent: 'Sent | None' = None) -> None:
        """Only its background tasks are left to do, if the response keeps them."""
        super().__init__(partial(_continued, keeps_tasks=keeps_tasks))
        # Handlers of users look at these.
        self.status_code, self.raw_headers, self.body = (200, [], b'') if sent is None else sent.seen()


async def _continued(_send: Send, *, keeps_tasks: bool) -> bool:
    """The result of `proceed`, which has sent everything already."""
    return keeps_tasks


class Sent:
    """What was sent of a response: its head, and its body if that came at once."""

    __slots__ = ('_body', '_send', '_start')

    def __init__(self, send: Send) -> None:
        """Nothing was sent yet."""
        self._send = send
        self._start: Message = {'status': 200}
        self._body = b''

    async def send(self, message: Message) -> None:
        """Send a message, and note it."""
        if message['type'] == 'http.response.start':
            self._start = message
        elif not message.get('more_body', False):
            self._body = message.get('body', b'')
        await self._send(message)

    def seen(self) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        """Status, headers and body, for a response that code of the user's may change."""
        return self._start['status'], [*self._start.get('headers', ())], bytes(self._body)


class Once:
    """Continues a request inside of the handler of a route class: once, even if the handler tries again."""

    __slots__ = ('_failure', '_log', '_proceed', '_scope', 'has_ended', 'sent')

    def __init__(self, scope: Scope, send: Send) -> None:
        """Stand in the scope for what continues the request. The request of the user may have another `send`."""
        self._scope = scope
        self._proceed: Proceed = scope[PROCEED]
        self._log = scope[WRITE_LOG]
        self._failure: BaseException | None = None
        self.has_ended = False
        self.sent = Sent(send)
        scope[PROCEED] = self
        scope.pop(HANDLER, None)

    @property
    def was_sent(self) -> bool:
        """Whether the client has its response."""
        return self.has_ended and self._failure is None

    async def __call__(self) -> bool:
        """What `proceed` returns; False, or what it raised, if it was called before."""
        if not self.has_ended:
            self.has_ended = True
            return await self._first()
        if self._failure is not None:
            raise self._failure
        return False

    async def _first(self) -> bool:
        try:
            return await self._proceed(self.sent.send)
        except BaseException as error:
            self._failure = error
            raise
        finally:
            self._scope[PROCEED], self._scope[WRITE_LOG] = self, self._log
            self._scope.pop(HANDLER, None)  # that of the run, which is not to run again


class Telling:
    """Tells, once for a route, that its handler raised after the response was sent."""

    __slots__ = ('_has_told', '_path')

    def __init__(self, path: str) -> None:
        """Nothing was told yet."""
        self._path = path
        self._has_told = False

    def __call__(self, error: Exception) -> None:
        """Log the place, and not the text: it may hold what the handler has read."""
        if not self._has_told:
            self._has_told = True
            places = ''.join(format_tb(error.__traceback__))
            logger.warning(_RAISED, self._path, type(error).__qualname__, places)
