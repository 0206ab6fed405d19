"""Endpoints that are wrapped, so that a function runs after them, on a plain `APIRoute` too."""

import functools
import inspect
from collections.abc import AsyncIterator, Callable, Collection, Coroutine
from typing import Any

import anyio.from_thread
from fastapi import Depends, Response
from fastapi.dependencies.utils import get_typed_return_annotation, get_typed_signature
from fastapi.responses import StreamingResponse
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection

from fastapi_caching_route._core.asgi import ROUTE_INVALIDATES, Scope
from fastapi_caching_route._fastapi.effective import effective_route
from fastapi_caching_route._fastapi.endpoints import INSIDE
from fastapi_caching_route._fastapi.own import own_dependency
from fastapi_caching_route._fastapi.path_values import PathParameters

PARAMETER = 'fastapi_caching_route_answer'
"""The parameter through which FastAPI passes `Answer` to a wrapped endpoint."""

Invalidate = Callable[[Scope, dict[str, str]], Coroutine[Any, Any, None]]
"""Invalidates for one request: gets its scope, and parameters as the route validates them."""


@own_dependency
class Answer:
    """A dependency: the scope, and the response on which dependencies and the endpoint may set a status.

    Its qualified name is in cache keys.
    """

    __slots__ = ('response', 'scope')

    def __init__(self, connection: HTTPConnection, response: Response) -> None:
        """FastAPI builds it, once for each request."""
        self.scope = connection.scope
        self.response = response

    def owes(self, status: int | None) -> bool:
        """Whether the wrapper must call `invalidate`: the endpoint succeeded, and the route does not do it itself."""
        return ROUTE_INVALIDATES not in self.scope and (status or self.response.status_code or 200) < 400

    def values(self, named: Collection[str]) -> dict[str, str]:
        """The path parameters, and the query parameters that are named, as the route validates them."""
        route = self.scope.get('route')
        if not isinstance(route, APIRoute):
            return {}
        return PathParameters(effective_route(route, self.scope)).of_request(self.scope, named)


def followed_by(endpoint: Callable[..., Any], invalidate: Invalidate, named: Collection[str]) -> Any:
    """The endpoint, with `invalidate` called after it succeeded, unless user code calls it directly.

    `invalidate` gets the path parameters, and the query parameters that are named. A stream continues after the
    endpoint returned, so `invalidate` is called again at its end. For a generator, `invalidate` is called only at its
    end.
    """
    inside = endpoint.func if isinstance(endpoint, functools.partial) else endpoint  # as FastAPI does
    called = inside if inspect.isroutine(inside) else type(inside).__call__
    kinds = (
        (inspect.isasyncgenfunction, _items),
        (inspect.isgeneratorfunction, _items_in_thread),
        (inspect.iscoroutinefunction, _coroutine),
    )
    wrap = next((wrap for is_kind, wrap in kinds if is_kind(called)), _in_thread)
    return _named(wrap(endpoint, _Following(endpoint, invalidate, named)), endpoint)


class _Following:
    """Calls `invalidate` after an endpoint."""

    __slots__ = ('_invalidate', '_named', '_passed_on')

    def __init__(self, endpoint: Callable[..., Any], invalidate: Invalidate, named: Collection[str]) -> None:
        self._invalidate = invalidate
        self._named = named
        self._passed_on = PARAMETER in inspect.signature(endpoint).parameters  # the endpoint is itself wrapped

    def own(self, given: dict[str, Any]) -> dict[str, Any]:
        """The arguments of the endpoint itself."""
        return given if self._passed_on else {name: value for name, value in given.items() if name != PARAMETER}

    async def after(self, given: dict[str, Any], status: int | None) -> None:
        """Invalidate, if the endpoint succeeded and the route does not do it itself."""
        answer: Answer | None = given.get(PARAMETER)
        if answer is not None and answer.owes(status):
            await self._invalidate(answer.scope, answer.values(self._named))

    def after_in_thread(self, given: dict[str, Any], status: int | None) -> None:
        """The same, from a worker thread of the event loop."""
        if given.get(PARAMETER) is not None:  # else user code called the endpoint, and there may be no event loop
            anyio.from_thread.run(self.after, given, status)

    def until_its_end(self, returned: Any, given: dict[str, Any]) -> Any:
        """The returned value. A stream calls `invalidate` at its end too."""
        if isinstance(returned, StreamingResponse):
            items = returned.body_iterator

            async def stream() -> AsyncIterator[Any]:
                try:
                    async for item in items:
                        yield item
                finally:
                    await self.after(given, returned.status_code)

            returned.body_iterator = stream()
        return returned


def _coroutine(endpoint: Any, following: _Following) -> Any:
    async def follow(*args: Any, **kwargs: Any) -> Any:
        try:
            returned = await endpoint(*args, **following.own(kwargs))
        except HTTPException as raised:  # a redirect may be raised too
            await following.after(kwargs, raised.status_code)
            raise
        await following.after(kwargs, _status(returned))
        return following.until_its_end(returned, kwargs)

    return follow


def _in_thread(endpoint: Any, following: _Following) -> Any:
    def follow(*args: Any, **kwargs: Any) -> Any:
        try:
            returned = endpoint(*args, **following.own(kwargs))
        except HTTPException as raised:
            following.after_in_thread(kwargs, raised.status_code)
            raise
        following.after_in_thread(kwargs, _status(returned))
        return following.until_its_end(returned, kwargs)

    return follow


def _items(endpoint: Any, following: _Following) -> Any:
    async def follow(*args: Any, **kwargs: Any) -> Any:
        try:
            async for item in endpoint(*args, **following.own(kwargs)):
                yield item
        finally:
            await following.after(kwargs, None)

    return follow


def _items_in_thread(endpoint: Any, following: _Following) -> Any:
    def follow(*args: Any, **kwargs: Any) -> Any:
        try:
            yield from endpoint(*args, **following.own(kwargs))
        finally:
            following.after_in_thread(kwargs, None)

    return follow


def _status(returned: Any) -> int | None:
    return returned.status_code if isinstance(returned, Response) else None


def _named(wrapper: Any, endpoint: Callable[..., Any]) -> Any:
    """The wrapper with the name and signature of the endpoint, plus our parameter."""
    functools.update_wrapper(wrapper, endpoint)
    setattr(wrapper, INSIDE, endpoint)
    del wrapper.__wrapped__  # some releases would follow it, and miss the parameter that is added here
    typed = get_typed_signature(endpoint)
    added = inspect.Parameter(PARAMETER, inspect.Parameter.KEYWORD_ONLY, default=Depends(Answer))
    given = [it for it in typed.parameters.values() if it.name != PARAMETER]
    split = next((at for at, it in enumerate(given) if it.kind is inspect.Parameter.VAR_KEYWORD), len(given))
    returns = get_typed_return_annotation(endpoint)
    wrapper.__signature__ = inspect.Signature(
        [*given[:split], added, *given[split:]],
        return_annotation=inspect.Signature.empty if returns is None else returns,
    )
    return wrapper
