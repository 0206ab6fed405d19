"""Observes the user's exception handlers. They respond instead of the endpoint and can read the whole raw request."""

from collections.abc import Callable
from typing import Any

from starlette._utils import is_async_callable

from fastapi_caching_route._core.asgi import Scope


def watching_handlers(scope: Scope, note: Callable[[], None]) -> dict[str, Any]:
    """Items for a scope that call the function when a user's exception handler runs.

    These handlers take the raw request. The handlers of FastAPI and Starlette use only the exception.
    """
    handlers = scope.get('starlette.exception_handlers')
    if handlers is None or all([_is_default(it) for group in handlers for it in group.values()]):  # noqa: C419, cheaper
        return {}
    noting = tuple(
        {kind: it if _is_default(it) else _noting(it, note) for kind, it in group.items()} for group in handlers
    )
    return {'starlette.exception_handlers': noting}


def _is_default(handler: Any) -> bool:
    return getattr(handler, '__module__', '').startswith(('fastapi.', 'starlette.'))


def _noting(handler: Any, note: Callable[[], None]) -> Any:
    if is_async_callable(handler):

        async def handle(connection: Any, error: Exception) -> Any:
            note()
            return await handler(connection, error)

        return handle

    def handle_in_thread(connection: Any, error: Exception) -> Any:
        note()
        return handler(connection, error)

    return handle_in_thread
