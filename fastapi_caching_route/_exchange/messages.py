"""ASGI messages: the fields of a start message, and scopes that are changed for a while. Knows neither plans nor entries."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

from fastapi_caching_route._core.asgi import Message, Scope, Send
from fastapi_caching_route._http.fields import RawHeaders, names, shared_name, with_vary, without


def with_fields(start: Message, *fields: RawHeaders) -> Message:
    """The start of an answer with these fields in place of its own."""
    return {**start, 'headers': [*chain(*fields)]}


def with_start(send: Send, change: Callable[[Message], Message]) -> Send:
    """A `send` that changes the start of an answer."""

    async def changing(message: Message) -> None:
        await send(change(message) if message['type'] == 'http.response.start' else message)

    return changing


@dataclass(slots=True)
class StartFields:
    """The fields of an answer as its start message gives them."""

    fields: RawHeaders
    """With names in lower case, and one Vary line."""
    vary: frozenset[bytes]
    """What the endpoint itself names in Vary."""


def start_fields(
    start: Message, selecting: Collection[bytes], *, ours: bytes, as_they_are: bool = False
) -> StartFields:
    """Read the fields of a start message, once, whoever wrote them and in whatever form.

    `ours` is the header by which we say HIT or MISS: one that an upstream has sent says nothing of this response. With
    `as_they_are`, Vary is written anew only where something is added to it.
    """
    headers = [(shared_name(bytes(name).lower()), bytes(value)) for name, value in start.get('headers', ())]
    present = dict(headers)
    if ours in present:
        headers = without(headers, (ours,))
    vary = frozenset(names(headers, b'vary') if b'vary' in present else ())
    fields = headers if as_they_are and vary.issuperset(selecting) else with_vary(headers, selecting)
    return StartFields(fields, vary)


class Lent:
    """A scope that is given other things for a while. It is not copied: who is outside of us holds the same one."""

    __slots__ = ('_others', '_own', '_scope')

    def __init__(self, scope: Scope, others: Mapping[str, Any]) -> None:
        """Have these things in place of its own ones."""
        self._scope = scope
        self._others = others
        self._own: dict[str, Any] = {}

    def __enter__(self) -> None:
        """It has them."""
        self._own = {name: self._scope[name] for name in self._others}
        self._scope.update(self._others)

    def __exit__(self, *_: object) -> None:
        """It has its own ones again."""
        self._scope.update(self._own)


def less_extensions(scope: Scope, left_out: Collection[str]) -> dict[str, Any]:
    """What a scope is to be given so that these extensions are not offered, if they are."""
    offered = scope.get('extensions')
    if not offered:
        return {}
    return {'extensions': {name: extension for name, extension in offered.items() if name not in left_out}}
