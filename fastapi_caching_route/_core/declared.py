"""What a route declares, as it stands for one request."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from fastapi_caching_route._core.asgi import Receive, Scope, Send
from fastapi_caching_route._core.inputs import Inputs
from fastapi_caching_route._core.key import Keys

Proceed = Callable[[Send], Awaitable[bool]]
"""What goes on: it gets the `send` to use, and returns whether the background tasks of the dependencies are to run."""


class Admission(Protocol):
    """Runs dependencies; if they let the request in, they call the last argument, else they answer themselves.

    Some can tell beforehand that they will let it in, and then need not be run.
    """

    async def lets_in(self, scope: Scope, /) -> bool: ...
    async def __call__(self, scope: Scope, receive: Receive, send: Send, proceed: Proceed, /) -> None: ...


@dataclass(frozen=True, slots=True)
class Declared:
    """What holds for one request. Of the admissions, None is one of no dependencies."""

    inputs: Inputs
    keys: Keys
    before_key: Admission | None
    """Explicit dependencies, where a key builder or an identity callable may read what they leave in `request.state`."""
    on_hit: Admission | None
    """All that have to let the request in before an entry answers it."""
    run_handler: object | None
    """Runs the route with all that has not run before the key; None where nothing may refuse a request before the endpoint."""
    guards: tuple[str, ...]
    """What `before_key` and `on_hit` run, in words."""
    not_on_hit: tuple[str, ...]
    """The other dependencies of the endpoint, which run with it only, in words."""
    refusing: tuple[str, ...]
    """Those among them that refuse requests, by what can be seen of their source, in words."""
    pass_handler: object | None
    """The same for methods that are never cached, of which there is no key."""
