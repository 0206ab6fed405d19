"""Small things about ASGI: a body that is read and still there, and extensions taken out of a scope."""

from collections.abc import Awaitable, Callable, Collection, Generator
from contextlib import contextmanager

from fastapi_caching_route._key import Scope
from fastapi_caching_route._recorder import Message

Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

STREAM_EXTENSIONS = frozenset(('http.response.pathsend', 'http.response.zerocopysend', 'http.response.trailers'))
"""Extensions by which a body would travel unseen; an endpoint that is recorded must not be offered them."""


async def read_body(receive: Receive, limit: int) -> tuple[bytes | None, Receive]:
    """The body of a request, and a `receive` that gives all of it again.

    The body is None if it breaks off, or goes on beyond `limit` bytes; `receive` gives what there is in any case.
    """
    messages: list[Message] = []
    body, more = bytearray(), True
    while more and len(body) <= limit:
        message = await receive()
        messages.append(message)
        if message['type'] != 'http.request':
            break
        body += message.get('body', b'')
        more = message.get('more_body', False)
    return None if more or len(body) > limit else bytes(body), _replaying(messages, receive)


def _replaying(messages: list[Message], receive: Receive) -> Receive:
    """A `receive` that gives these messages, and then the live ones."""
    again = iter(messages)

    async def replay() -> Message:
        message = next(again, None)
        return await receive() if message is None else message

    return replay


@contextmanager
def without_extensions(scope: Scope, left_out: Collection[str]) -> Generator[None]:
    """Take extensions out of a scope for a while. It is not copied: who is outside of us holds the same one."""
    offered = scope.get('extensions')
    if not offered:
        yield
        return
    scope['extensions'] = {name: extension for name, extension in offered.items() if name not in left_out}
    try:
        yield
    finally:
        scope['extensions'] = offered
