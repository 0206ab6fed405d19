"""Hands the user's exception handlers, which respond instead of the endpoint, requests that note what is read."""

from typing import Any

from starlette._utils import is_async_callable

from fastapi_caching_route._core.asgi import Scope
from fastapi_caching_route._core.read_log import ReadLog
from fastapi_caching_route._fastapi.noting import noted, noted_response

_FRAMEWORK = ('fastapi.', 'starlette.')


def watching_handlers(scope: Scope, reads: ReadLog) -> dict[str, Any]:
    """Items for a scope by which it is noted what a user's exception handlers read of the raw request.

    The handlers of FastAPI and Starlette use only the exception.
    """
    handlers = scope.get('starlette.exception_handlers')
    # A list, and no call for each: this is done for each run, and mostly all are of the framework.
    if handlers is None or all(
        [  # noqa: C419
            getattr(it, '__module__', '').startswith(_FRAMEWORK) for group in handlers for it in group.values()
        ]
    ):
        return {}
    noting = tuple(
        {kind: it if _is_default(it) else _noting(it, reads) for kind, it in group.items()} for group in handlers
    )
    return {'starlette.exception_handlers': noting}


def _is_default(handler: Any) -> bool:
    return getattr(handler, '__module__', '').startswith(_FRAMEWORK)


def _noting(handler: Any, reads: ReadLog) -> Any:
    if is_async_callable(handler):

        async def handle(connection: Any, error: Exception) -> Any:
            return noted_response(await handler(noted(connection, reads), error), reads)

        return handle

    def handle_in_thread(connection: Any, error: Exception) -> Any:
        return noted_response(handler(noted(connection, reads), error), reads)

    return handle_in_thread
