"""Sees requests that reach a plain `APIRoute`, for as long as somebody asks: nothing of ours runs there otherwise.

Meanwhile, `APIRoute.handle` is a function of ours, which calls the one that was there. Knows no decorations.
"""

from typing import Any, Protocol
from weakref import WeakSet

from fastapi.routing import APIRoute
from starlette.types import Receive, Scope, Send


class SeesRequests(Protocol):
    """Somebody who waits for a request."""

    def sees(self, route: Any) -> bool:
        """A request has reached this route. Return whether to wait for another one."""
        ...


_KIND: Any = APIRoute
_waiting: 'WeakSet[SeesRequests]' = WeakSet()


def tell_of_requests(it: SeesRequests) -> None:
    """Tell an object of each request that reaches a plain route, until it waits for no more."""
    if not _waiting and not hasattr(_KIND.handle, _OURS):
        _replace_handle()
    _waiting.add(it)


_OURS = '__fastapi_caching_route_replaces__'
"""The attribute of our function that holds the original one."""


def _replace_handle() -> None:
    original = _KIND.handle
    is_own = 'handle' in APIRoute.__dict__

    async def handle(route: APIRoute, scope: Scope, receive: Receive, send: Send) -> None:
        for it in [*_waiting]:
            if not it.sees(route):
                _waiting.discard(it)
        # Others may have replaced it since. It does not name itself: that would be a reference cycle.
        if not _waiting and getattr(_KIND.handle, _OURS, None) is original:
            if is_own:
                _KIND.handle = original
            else:
                del _KIND.handle
        await original(route, scope, receive, send)

    setattr(handle, _OURS, original)
    _KIND.handle = handle


def without_us(handle: Any) -> Any:
    """The bound method without our function, which is only there for a while."""
    original = getattr(handle, _OURS, None)
    return handle if original is None else original.__get__(handle.__self__)
