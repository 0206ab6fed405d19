"""The declarations of a route that apply to one request."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from msgspec import Struct

from fastapi_caching_route._core.asgi import App, Receive, Scope, Send
from fastapi_caching_route._core.inputs import Inputs
from fastapi_caching_route._core.key import Keys
from fastapi_caching_route._core.ready import Ready

Proceed = Callable[[Send], Awaitable[bool]]
"""Continues the request. It receives the `send` to use, and returns whether to run the background tasks of the
dependencies."""


class GuardRefusal(Struct, frozen=True):
    """The guards refuse the request."""

    app: App
    """Sends their response."""


class WithoutRefusal(Enum):
    """The guards have not refused the request."""

    ACCEPTED = 'accepted'
    NOT_RUN = 'not run'
    """None of them has run: the admission must be called."""


Decision = GuardRefusal | WithoutRefusal
ACCEPTED, NOT_RUN = WithoutRefusal.ACCEPTED, WithoutRefusal.NOT_RUN


class Admission(Protocol):
    """Runs guards. If they accept the request, it calls the last argument; else it sends the refusal.

    `decide` makes the call unnecessary if all that guards do is to accept or refuse. Else it runs none of them.
    """

    async def decide(self, scope: Scope, /) -> Decision: ...
    async def __call__(self, scope: Scope, receive: Receive, send: Send, proceed: Proceed, /) -> None: ...


@dataclass(frozen=True, slots=True)
class Declared:
    """The declarations that apply to one request. An admission is None if there is no dependency to run."""

    inputs: Inputs
    keys: Keys
    before_key: Admission | None = None
    """Explicit dependencies that run before the key is made: a key builder or an identity callable may read what they
    set in `request.state`."""
    on_hit: Admission | None = None
    """The guards that must accept the request before it gets an entry."""
    run_handler: object | None = None
    """The request handler that runs the route with everything that did not run before the key; None if nothing can
    refuse a request before the endpoint."""
    guards: tuple[str, ...] = ()
    """The dependencies that `before_key` and `on_hit` run, in words."""
    not_on_hit: tuple[str, ...] = ()
    """The other dependencies of the endpoint, which run only with it, in words."""
    refusing: tuple[str, ...] = ()
    """The dependencies in `not_on_hit` that can refuse requests, as their source shows, in words."""
    lenient: tuple[str, ...] = ()
    """The dependencies in `guards` that let requests through without a valid credential, as far as their source shows,
    and return the client if there is one; in words. Empty where `identity` or a key builder names the client."""
    pass_handler: object | None = None
    """The request handler for methods that are never cached, for which there is no key."""
    ready: dict[str, Ready] = field(default_factory=dict)
    """The prepared heads of recent hits, by the keys of their entries."""
