"""ASGI messages: the head of a response, headers put in, and a scope that is changed for a while.

Knows neither plans nor entries.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping
from functools import lru_cache
from itertools import chain
from typing import Any

from msgspec import Struct

from fastapi_caching_route._core.asgi import Message, Scope, Send
from fastapi_caching_route._http.fields import Field, RawHeaders, field_names, interned, usual_form, with_vary, without
from fastapi_caching_route._http.storing import Told, told_by


class Head(Struct, frozen=True):
    """The head of a response, read once from its start message."""

    status: int
    began_at: float
    """When the start message came, in seconds since the epoch."""
    headers: RawHeaders
    """With names in lower case, and one Vary line."""
    vary: frozenset[bytes]
    """The headers that the endpoint itself names in Vary."""
    told: Told
    """What the headers tell."""
    delay: float = 0.0
    """Seconds between the question and the start message, if they count for its age (RFC 9111 §4.2.3)."""
    read: tuple[str, ...] = ()
    """The names of all that was read of the raw request until then."""

    def told_of(self, headers: RawHeaders) -> Told:
        """What these headers tell; mostly they are its own."""
        return self.told if headers is self.headers else told_by(headers)

    def with_fields(self, status: int, headers: RawHeaders) -> 'Head':
        """The same with this status and these headers. Those from an entry name more in Vary than its endpoint does."""
        return Head(status, self.began_at, headers, self.vary, told_by(headers), self.delay, self.read)


def read_head(
    start: Message,
    selecting: Collection[bytes],
    *,
    ours: bytes,
    at: float = 0.0,
    asked_at: float = 0.0,
    as_they_are: bool = False,
    read: tuple[str, ...] = (),
) -> Head:
    """Read a start message, whoever wrote it and in whatever form.

    `ours` is the header by which we say HIT or MISS: one that an upstream has sent says nothing of this response. With
    `as_they_are`, Vary is written anew only if something is added to it.
    """
    given = start.get('headers', ())
    headers = [(interned(it, it), bytes(value)) for name, value in given for it in (bytes(name).lower(),)]
    form, rules = usual_form(headers), (tuple(selecting), ours, as_they_are)
    found = _read(tuple(headers), *rules) if form is None else _usually_read(form, *rules)
    if found.changes:
        headers, _ = _written_anew(headers, *rules)
    # A response that was made here is as old as its start, unless it says that it comes from elsewhere.
    delay = max(0.0, at - asked_at) if as_they_are or found.has_age else 0.0
    return Head(start['status'], at, headers, found.vary, found.told, delay, read)


class _Read(Struct, frozen=True):
    """What was read in the headers of a start message, whatever number its Content-Length is."""

    changes: bool
    """Whether the headers have to be written anew."""
    has_age: bool
    vary: frozenset[bytes]
    told: Told


def _read(headers: RawHeaders, selecting: Collection[bytes], ours: bytes, as_they_are: bool) -> _Read:  # noqa: FBT001
    anew, vary = _written_anew(headers, selecting, ours, as_they_are)
    return _Read(anew != [*headers], b'age' in dict(headers), vary, told_by(anew))


_usually_read = lru_cache(512)(_read)


def _written_anew(
    headers: RawHeaders,
    selecting: Collection[bytes],
    ours: bytes,
    as_they_are: bool,  # noqa: FBT001
) -> tuple[list[Field], frozenset[bytes]]:
    """The headers without ours and with one Vary line, and what they name in Vary."""
    present = dict(headers)
    kept = without(headers, (ours,)) if ours in present else [*headers]
    vary = frozenset(field_names(kept, b'vary') if b'vary' in present else ())
    return kept if as_they_are and vary.issuperset(selecting) else with_vary(kept, selecting), vary


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


async def with_lent(scope: Scope, others: Mapping[str, Any], then: Callable[[], Awaitable[None]]) -> None:
    """Go on while the scope has these other things."""
    with Lent(scope, others):
        await then()


def less_extensions(scope: Scope, left_out: Collection[str]) -> dict[str, Any]:
    """The items of a scope without these extensions, if it offers any."""
    offered = scope.get('extensions')
    if not offered:
        return {}
    return {'extensions': {name: extension for name, extension in offered.items() if name not in left_out}}
