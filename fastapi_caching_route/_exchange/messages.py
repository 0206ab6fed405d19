"""ASGI messages: the head of a response, headers put in, and a scope that is changed for a while.

Knows neither plans nor entries.
"""

from collections.abc import Callable, Collection, Mapping
from itertools import chain
from typing import Any

from msgspec import Struct

from fastapi_caching_route._core.asgi import Message, Scope, Send
from fastapi_caching_route._http.fields import RawHeaders, field_names, interned, with_vary, without


class Head(Struct, frozen=True):
    """The head of a response, read once from its start message."""

    status: int
    began_at: float
    """When the start message came, in seconds since the epoch."""
    headers: RawHeaders
    """With names in lower case, and one Vary line."""
    vary: frozenset[bytes]
    """What the endpoint itself names in Vary."""
    delay: float = 0.0
    """Seconds between the question and the start message, if they count for its age (RFC 9111 §4.2.3)."""
    varies_with_all: bool = False
    """Whether an exception handler made it, which sees the raw request."""


def read_head(
    start: Message,
    selecting: Collection[bytes],
    *,
    ours: bytes,
    at: float = 0.0,
    asked_at: float = 0.0,
    as_they_are: bool = False,
    varies_with_all: bool = False,
) -> Head:
    """Read a start message, whoever wrote it and in whatever form.

    `ours` is the header by which we say HIT or MISS: one that an upstream has sent says nothing of this response. With
    `as_they_are`, Vary is written anew only if something is added to it.
    """
    headers = [(interned(bytes(name).lower()), bytes(value)) for name, value in start.get('headers', ())]
    present = dict(headers)
    if ours in present:
        headers = without(headers, (ours,))
    vary = frozenset(field_names(headers, b'vary') if b'vary' in present else ())
    if not (as_they_are and vary.issuperset(selecting)):
        headers = with_vary(headers, selecting)
    # A response that was made here is as old as its start, unless it says that it comes from elsewhere.
    delay = max(0.0, at - asked_at) if as_they_are or b'age' in present else 0.0
    return Head(start['status'], at, headers, vary, delay, varies_with_all)


def with_headers(start: Message, *headers: RawHeaders) -> Message:
    """The start message with these headers in place of its own."""
    return {**start, 'headers': [*chain(*headers)]}


def with_start(send: Send, change: Callable[[Message], Message]) -> Send:
    """A `send` that changes the start message."""

    async def changing(message: Message) -> None:
        await send(change(message) if message['type'] == 'http.response.start' else message)

    return changing


class Lent:
    """A scope that has other things for a while.

    It is changed in place and put back, not copied: middleware outside of us holds the same dict. Nothing else reads it
    meanwhile, since a run that its client does not wait for has a copy of its own (`overtaking.run_endpoint`).
    """

    __slots__ = ('_others', '_own', '_scope')

    def __init__(self, scope: Scope, others: Mapping[str, Any]) -> None:
        """Have these things in place of its own ones."""
        self._scope = scope
        self._others = others
        self._own: dict[str, Any] = {}

    def __enter__(self) -> None:
        """Put the other things in."""
        self._own = {name: self._scope[name] for name in self._others}
        self._scope.update(self._others)

    def __exit__(self, *_: object) -> None:
        """Put its own things back."""
        self._scope.update(self._own)


def less_extensions(scope: Scope, left_out: Collection[str]) -> dict[str, Any]:
    """What a scope is to have so that these extensions are not offered, if they are."""
    offered = scope.get('extensions')
    if not offered:
        return {}
    return {'extensions': {name: extension for name, extension in offered.items() if name not in left_out}}
