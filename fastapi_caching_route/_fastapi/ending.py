"""What a request says by `CacheContext` where no `CachingRoute` sees to it: carried out by the exit stacks of FastAPI.

FastAPI has one stack that ends when the endpoint has returned, before its response leaves (since 0.121), and one that ends
when all is over (since 0.118). Ours is the last thing that happens in both: after what dependencies do after a `yield`.
"""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

from starlette.exceptions import HTTPException

from fastapi_caching_route._core.asgi import ROUTE_INVALIDATES, SAID, Scope
from fastapi_caching_route._routes.writes import Said, invalidate_for_all

BEFORE, AFTER = 'fastapi_function_astack', 'fastapi_inner_astack'
"""Where the scope holds the two stacks."""


def said_in(scope: Scope) -> Said:
    """What this request says, which is carried out by its route, or else by the stacks that there are."""
    for name in (ROUTE_INVALIDATES, SAID):
        said: Said | None = scope.get(name)
        if said is not None and not said.is_over:  # guards may run before the endpoint, in stacks of their own
            return said
    said = scope[SAID] = Said(at_once=scope['type'] != 'http' or BEFORE not in scope)
    for name in (BEFORE, AFTER):
        if isinstance(scope.get(name), AsyncExitStack):
            _end_with(scope[name], _carrying_out(said, is_last=name == AFTER))
    return said


def _carrying_out(said: Said, *, is_last: bool) -> Callable[..., Awaitable[None]]:
    async def carry_out(_kind: object, error: BaseException | None, _trace: object) -> None:
        said.is_over = said.is_over or is_last
        if error is None or (isinstance(error, HTTPException) and error.status_code < 400):
            said.has_succeeded = True
        if said.has_succeeded:
            await invalidate_for_all(said.take())

    return carry_out


def _end_with(stack: AsyncExitStack, last: Callable[..., Any]) -> None:
    """Have this called when all else of the stack is done, whatever is still to be pushed on it."""
    others = stack.pop_all()
    stack.push_async_exit(last)
    stack.push_async_exit(others)
