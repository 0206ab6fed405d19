"""The exit stacks of FastAPI, by which something happens as a request ends, whoever serves it.

FastAPI has one stack that ends when the endpoint has returned, before its response leaves (since 0.121), and one that ends
when all is over (since 0.118). Ours is the last thing that happens in both: after what dependencies do after a `yield`.
"""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, Protocol

from starlette.exceptions import HTTPException

from fastapi_caching_route._core.asgi import Scope

BEFORE, AFTER = 'fastapi_function_astack', 'fastapi_inner_astack'
"""Where the scope holds the two stacks."""


class Last(Protocol):
    """What happens last in both stacks; it hears whether the endpoint has succeeded, and whether this is the last of the two."""

    def __call__(self, *, has_succeeded: bool, is_last: bool) -> Awaitable[None]: ...


def may_wait(scope: Scope) -> bool:
    """Whether what happens as the endpoint returns comes before its response leaves."""
    return scope['type'] == 'http' and BEFORE in scope


def call_at_ends(scope: Scope, last: Last) -> None:
    """Have this called as the stacks end that there are."""
    for name in (BEFORE, AFTER):
        if isinstance(scope.get(name), AsyncExitStack):
            _end_with(scope[name], _hearing(last, is_last=name == AFTER))


def _hearing(last: Last, *, is_last: bool) -> Callable[..., Awaitable[None]]:
    async def hear(_kind: object, error: BaseException | None, _trace: object) -> None:
        has_succeeded = error is None or (isinstance(error, HTTPException) and error.status_code < 400)
        await last(has_succeeded=has_succeeded, is_last=is_last)

    return hear


def _end_with(stack: AsyncExitStack, last: Callable[..., Any]) -> None:
    """Have this called when all else of the stack is done, whatever is still to be pushed on it."""
    others = stack.pop_all()
    stack.push_async_exit(last)
    stack.push_async_exit(others)
