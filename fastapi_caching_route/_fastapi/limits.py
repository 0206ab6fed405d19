"""How large a request body may be, where a route says so itself, as the newer releases of FastAPI let it."""

from typing import Any

from fastapi import Request
from starlette._exception_handler import wrap_app_handling_exceptions
from starlette.types import ASGIApp, Receive, Scope, Send

try:
    from fastapi._body_limit import wrap_app_with_body_limit
except ImportError:  # before FastAPI 0.165
    wrap_app_with_body_limit = None  # type: ignore[assignment]


def body_limit(effective: Any) -> int | None:
    """The bytes that the body of a request to the route may have, where it says so itself, or an include does."""
    return getattr(effective, 'max_body_size', None)


async def limited(app: ASGIApp, limit: int, scope: Scope, receive: Receive, send: Send) -> None:
    """Let the app answer with the limit of its route, in the place of that of the application.

    FastAPI puts it around the endpoint alone, and a cache reads the body before that.
    """
    assert wrap_app_with_body_limit is not None  # else no route has a limit

    async def handled(scope: Scope, receive: Receive, send: Send) -> None:
        # A body that is too large is an exception, of which FastAPI makes a response inside of the limit.
        await wrap_app_handling_exceptions(app, Request(scope))(scope, receive, send)

    await wrap_app_with_body_limit(handled, limit)(scope, receive, send)
