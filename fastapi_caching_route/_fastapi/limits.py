"""The limit of request bodies that a route sets itself, in newer releases of FastAPI."""

from typing import Any

from fastapi import Request
from starlette._exception_handler import wrap_app_handling_exceptions
from starlette.types import ASGIApp, Receive, Scope, Send

try:
    from fastapi._body_limit import wrap_app_with_body_limit
except ImportError:  # before FastAPI 0.165
    wrap_app_with_body_limit = None  # type: ignore[assignment]


def body_limit(effective: Any) -> int | None:
    """The most bytes of a request body, if the route or an include sets a limit."""
    return getattr(effective, 'max_body_size', None)


async def limited(app: ASGIApp, limit: int, scope: Scope, receive: Receive, send: Send) -> None:
    """Run the app with the body limit of its route, which replaces that of the application.

    FastAPI applies it to the endpoint only, and the cache reads the body before that.
    """
    assert wrap_app_with_body_limit is not None  # otherwise no route has a limit

    async def handled(scope: Scope, receive: Receive, send: Send) -> None:
        # A body that is too large raises an exception, which FastAPI turns into a response inside of the limit.
        await wrap_app_handling_exceptions(app, Request(scope))(scope, receive, send)

    await wrap_app_with_body_limit(handled, limit)(scope, receive, send)
