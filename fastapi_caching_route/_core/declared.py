"""What a route declares, as it stands for one request."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from fastapi_caching_route._core.asgi import Receive, Scope, Send
from fastapi_caching_route._core.inputs import Inputs
from fastapi_caching_route._core.key import Keys

Proceed = Callable[[Send], Awaitable[bool]]


class Admission(Protocol):
    """Runs dependencies; if they let the request in, they call the last argument, else they answer themselves.

    Some can tell beforehand that they will let it in, and then need not be run.
    """

    async def lets_in(self, scope: Scope, /) -> bool: ...
    async def __call__(self, scope: Scope, receive: Receive, send: Send, proceed: Proceed, /) -> None: ...


class Declared(Protocol):
    """What a route declares, as it stands for one request; None is an admission of no dependencies."""

    @property
    def inputs(self) -> Inputs: ...
    @property
    def keys(self) -> Keys: ...
    @property
    def before_key(self) -> Admission | None: ...
    @property
    def guards(self) -> tuple[str, ...]: ...
    @property
    def not_on_hit(self) -> tuple[str, ...]: ...
    @property
    def refusing(self) -> tuple[str, ...]: ...
    @property
    def on_hit(self) -> Admission | None: ...
    @property
    def handler(self) -> object | None: ...
    @property
    def uncached_handler(self) -> object | None: ...
