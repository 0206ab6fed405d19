"""Calls a function when FastAPI's exit stacks of a request close, whatever route class serves it.

One stack closes after the endpoint returned and before its response is sent (since FastAPI 0.121), the other one at the
end of the request (since 0.118). Our function is the last in both: it runs after the code behind each `yield`.
"""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, Protocol

from starlette.exceptions import HTTPException

from fastapi_caching_route._core.asgi import Scope

BEFORE, AFTER = 'fastapi_function_astack', 'fastapi_inner_astack'
"""The keys of the two stacks in the scope."""


class Last(Protocol):
    """A function that runs last in both stacks. `is_last` says whether this is the second of them."""

    def __call__(self, *, has_succeeded: bool, is_last: bool) -> Awaitable[None]: ...


def may_wait(scope: Scope) -> bool:
    """Whether the first stack exists, so that the function runs before the response is sent."""
    return scope['type'] == 'http' and BEFORE in scope


def call_at_ends(scope: Scope, last: Last) -> None:
    """Call the function when each of the existing stacks closes."""
    for name in (BEFORE, AFTER):
        if isinstance(scope.get(name), AsyncExitStack):
            _end_with(scope[name], _hearing(last, is_last=name == AFTER))


def _hearing(last: Last, *, is_last: bool) -> Callable[..., Awaitable[None]]:
    async def hear(_kind: object, error: BaseException | None, _trace: object) -> None:
        has_succeeded = error is None or (isinstance(error, HTTPException) and error.status_code < 400)
        await last(has_succeeded=has_succeeded, is_last=is_last)

    return hear


def _end_with(stack: AsyncExitStack, last: Callable[..., Any]) -> None:
    """Call the function after everything else in the stack, including anything that is pushed on it later."""
    others = stack.pop_all()
    stack.push_async_exit(last)
    stack.push_async_exit(others)
