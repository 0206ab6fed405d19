"""Endpoints that are wrapped, so that something happens after them on a plain `APIRoute` too."""

import functools
import inspect
from collections.abc import Callable, Coroutine
from typing import Any

import anyio.from_thread
from fastapi import Depends, Response
from fastapi.dependencies.utils import get_typed_return_annotation, get_typed_signature
from starlette.requests import HTTPConnection

from fastapi_caching_route._endpoint import INSIDE
from fastapi_caching_route._fastapi.path_values import text_of
from fastapi_caching_route._key import Scope

ROUTE_INVALIDATES = 'fastapi_caching_route.route_invalidates'
"""Where a scope says that the route itself does what has to happen after its endpoint."""

PARAMETER = 'fastapi_caching_route_answer'
"""By which FastAPI gives a wrapped endpoint what it has to know."""

Act = Callable[[Scope, dict[str, str]], Coroutine[Any, Any, None]]


class Answer:
    """A dependency: the request, and the response on which dependencies and endpoint may have set a status."""

    __slots__ = ('response', 'scope')

    def __init__(self, connection: HTTPConnection, response: Response) -> None:
        """FastAPI builds it, once for each request."""
        self.scope = connection.scope
        self.response = response

    def owes(self, returned: Any) -> bool:
        """Whether something has to happen: the endpoint has succeeded, and the route does not see to it itself."""
        answered = returned if isinstance(returned, Response) else self.response
        return ROUTE_INVALIDATES not in self.scope and (answered.status_code or 200) < 400

    def values(self, arguments: dict[str, Any]) -> dict[str, str]:
        """The path parameters, as validated for the endpoint, or else as they came."""
        received = self.scope.get('path_params', {})
        return {name: text_of(arguments.get(name, value)) for name, value in received.items()}


def followed(endpoint: Callable[..., Any], act: Act) -> Any:
    """The endpoint, with `act` called after it has succeeded. It can be called directly too; then nothing follows.

    A generator cannot be wrapped so; it is given back as it is, and a `CachingRoute` sees to it.
    """
    inside = endpoint.func if isinstance(endpoint, functools.partial) else endpoint  # FastAPI looks there too
    called = inside if inspect.isroutine(inside) else type(inside).__call__
    if inspect.isgeneratorfunction(called) or inspect.isasyncgenfunction(called):
        return endpoint
    passed_on = PARAMETER in inspect.signature(endpoint).parameters  # to one that is inside of this one
    if inspect.iscoroutinefunction(called):

        async def follow(*args: Any, **kwargs: Any) -> Any:
            answer: Answer | None = kwargs.get(PARAMETER)
            returned = await endpoint(*args, **(kwargs if passed_on else _without_ours(kwargs)))
            if answer is not None and answer.owes(returned):
                await act(answer.scope, answer.values(kwargs))
            return returned

        return _named(follow, endpoint)

    def follow_in_thread(*args: Any, **kwargs: Any) -> Any:
        answer: Answer | None = kwargs.get(PARAMETER)
        returned = endpoint(*args, **(kwargs if passed_on else _without_ours(kwargs)))
        if answer is not None and answer.owes(returned):
            anyio.from_thread.run(act, answer.scope, answer.values(kwargs))
        return returned

    return _named(follow_in_thread, endpoint)


def _without_ours(arguments: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in arguments.items() if name != PARAMETER}


def _named(wrapper: Any, endpoint: Callable[..., Any]) -> Any:
    """The wrapper under the name of the endpoint and with its signature, to which FastAPI adds what we ask for."""
    functools.update_wrapper(wrapper, endpoint)
    setattr(wrapper, INSIDE, endpoint)
    del wrapper.__wrapped__  # some releases would look through it, and see neither signature nor what is added to it
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
