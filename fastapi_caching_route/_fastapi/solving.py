"""Runs guards by FastAPI's own `solve_dependencies`, without a request handler around it.

It covers all guards except those that read a body, and those for which an older FastAPI keeps no exit stacks in the
scope. FastAPI's telemetry observes the request handler, so it needs that. Does not know what follows the guards.
"""

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from functools import partial
from types import MethodWrapperType
from typing import Any

from fastapi import Request, Response, _compat, routing
from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import get_dependant, solve_dependencies
from fastapi.exceptions import RequestValidationError
from starlette.background import BackgroundTasks

from fastapi_caching_route._core.asgi import Scope
from fastapi_caching_route._fastapi.compiled import is_fastapis_own, run, steps_of
from fastapi_caching_route._fastapi.effective import tree
from fastapi_caching_route._fastapi.ending import AFTER, BEFORE
from fastapi_caching_route._fastapi.own import names_clients

_WORDS = frozenset(
    (
        *('request', 'dependant', 'response', 'background_tasks', 'dependency_cache', 'dependency_overrides_provider'),
        *('async_exit_stack', 'embed_body_fields'),
    )
)
_module: Any = routing
_TELEMETRY = 'fastapi.telemetry'
"""The key in the scope of a request that FastAPI's telemetry observes."""
_STACKS_ARE_IN_SCOPE = routing.request_response.__module__ == routing.__name__
"""Whether FastAPI keeps the exit stacks of a request in its scope, since 0.118."""


class Solving:
    """The guards of one route, in a form in which `solve_dependencies` runs them."""

    __slots__ = ('_effective', '_provider', '_roots', '_schemes', '_steps', 'decides_only', 'takes_response')

    def __init__(self, effective: Any, nodes: Sequence[Dependant]) -> None:
        """Take the nodes of the guards and their effective route; `is_covered` must be true of them."""
        self._effective = effective
        self._provider = effective.dependency_overrides_provider
        every = [it for node in nodes for it in tree(node, {})]
        self.takes_response = any(it.response_param_name for it in every)
        """Whether a guard can write headers."""
        self.decides_only = not self.takes_response and not any(map(_needs_more, every))
        """Whether the guards only accept or refuse a request: they leave nothing to do after that."""
        own = next((at for at, node in enumerate(nodes) if not is_fastapis_own(node)), len(nodes))
        schemes = nodes[:own] if self.decides_only else ()
        self._schemes: list[Any] = [node.call for node in schemes]
        """The schemes in front of everything else. They are called directly, since they read the request alone."""
        others = nodes[len(schemes) :]
        each = [[node] for node in others] if self.takes_response else [others] if others else []
        self._roots = [_root(effective.path_format, group) for group in each]
        self._steps = None if self.takes_response else steps_of(others)

    async def refusal(self, scope: Scope) -> Exception | None:
        """The exception with which the guards refuse a request; None if they accept it. Only if `decides_only`."""
        try:
            if self._steps is not None and self._is_untouched():
                request = Request(scope)
                for scheme in self._schemes:
                    await scheme(request)
                if self._steps and (errors := await run(self._steps, request)):
                    return invalid(self._effective, request, errors)
                return None
            async with AsyncExitStack() as stack:  # empty, but FastAPI insists on it
                # The scope is a copy, because no other code expects these stacks after the guards.
                request = Request({**scope, AFTER: stack, BEFORE: stack})
                for scheme in self._schemes:
                    await scheme(request)
                await self._solve(request, stack, _UNUSED, None)
        except Exception as error:  # noqa: BLE001, it is raised again where FastAPI turns it into a response
            return error
        return None

    async def __call__(
        self, request: Request, response: Response | None, begin_guard: Callable[[], object]
    ) -> BackgroundTasks | None:
        """Run the guards inside of the exit stacks in the scope, and return their background tasks.

        The guards write on this response, each after a call of `begin_guard`. They raise what refuses the request.
        """
        stack = request.scope.get(AFTER) or AsyncExitStack()  # older releases: nothing is going to be in it
        if response is not None:
            return await self._solve(request, stack, response, begin_guard)
        if self._steps is None or not self._is_untouched():
            return await self._solve(request, stack, _UNUSED, None)
        if errors := await run(self._steps, request):
            raise invalid(self._effective, request, errors)
        return None

    def _is_untouched(self) -> bool:
        """Whether neither overrides nor instrumentations are in the place of what FastAPI would call."""
        is_original = _module.solve_dependencies is solve_dependencies
        return is_original and not getattr(self._provider, 'dependency_overrides', None)

    async def _solve(
        self, request: Request, stack: AsyncExitStack, response: Response, begin_guard: Callable[[], object] | None
    ) -> BackgroundTasks | None:
        errors: list[Any] = []
        known: dict[Any, Any] = {}
        tasks = None
        for root in self._roots:
            if begin_guard is not None:
                begin_guard()
            solved = await _module.solve_dependencies(  # found there by each call, since instrumentations replace it
                request=request,
                dependant=root,
                response=response,
                background_tasks=tasks,
                dependency_cache=known,
                dependency_overrides_provider=self._provider,
                async_exit_stack=stack,
                embed_body_fields=False,
            )
            tasks, known = solved.background_tasks, solved.dependency_cache
            errors += solved.errors
        if errors:
            raise invalid(self._effective, request, errors)
        return tasks


def invalid(effective: Any, request: Request, errors: list[Any], body: Any = None) -> RequestValidationError:
    """The exception that FastAPI's request handler raises for these errors, with the endpoint of the route."""
    normalized = getattr(_compat, '_normalize_errors', list)(errors)
    context_of = getattr(routing, '_extract_endpoint_context', None)
    if context_of is None:
        return RequestValidationError(normalized, body=body)
    path = f'{request.method} {request.scope.get("root_path", "").rstrip("/")}{effective.path_format}'
    context: Any = {**context_of(effective.endpoint), 'path': path}
    return RequestValidationError(normalized, body=body, endpoint_ctx=context)


def is_covered(nodes: Sequence[Dependant]) -> bool:
    """Whether `solve_dependencies` can run these guards, and is called in this release as we call it."""
    every = [it for node in nodes for it in tree(node, {})]
    ends_in_scope = _STACKS_ARE_IN_SCOPE or not any(may_yield(it.call) for it in every)
    return _IS_KNOWN and ends_in_scope and not any(it.body_params for it in every)


def reads_request(node: Dependant) -> bool:
    """Whether a guard or a dependency below it takes the raw request."""
    return any(it.request_param_name or it.http_connection_param_name for it in tree(node, {}))


def is_observed(scope: Scope) -> bool:
    """Whether FastAPI's telemetry observes the request."""
    return bool(scope.get(_TELEMETRY))


def response_of_dependencies() -> Response:
    """The response that FastAPI gives to dependencies."""
    response: Any = Response()
    del response.headers['content-length']
    response.status_code = None
    return response  # type: ignore[no-any-return]


_UNUSED = response_of_dependencies()
"""The response for guards that take none."""


def may_yield(call: Any) -> bool:
    """Whether any release of FastAPI can take a dependency for a generator."""
    return any(inspect.isgeneratorfunction(it) or inspect.isasyncgenfunction(it) for it in _inside(call, []))


def _inside(call: Any, seen: list[Any]) -> Iterator[Any]:
    """A callable, with those inside of partial objects, decorators and objects."""
    if any(it is call for it in seen):
        return
    seen.append(call)
    yield call
    if isinstance(call, partial):
        yield from _inside(call.func, seen)
    if hasattr(call, '__wrapped__'):
        yield from _inside(call.__wrapped__, seen)
    if not (inspect.isroutine(call) or isinstance(call, MethodWrapperType)):  # Python 3.10 takes these for no routines
        yield from _inside(call.__call__, seen)


def _needs_more(node: Dependant) -> bool:
    """Whether a dependency takes something that lasts, or the raw request, which it may read, write and keep.

    A `CacheContext` has the key of the request, which is in its scope only once an exchange has begun.
    """
    takes = bool(node.request_param_name or node.http_connection_param_name)
    takes_request = takes and not (is_fastapis_own(node) or names_clients(node.call))
    return takes_request or bool(node.background_tasks_param_name) or may_yield(node.call)


def _root(path: str, nodes: Sequence[Dependant]) -> Dependant:
    root = get_dependant(path=path, call=_nothing)
    root.dependencies = list(nodes)
    return root


async def _nothing() -> None:
    """A placeholder for the endpoint."""


def _is_called_as_expected(solve: Callable[..., Any]) -> bool:
    parameters = inspect.signature(solve).parameters
    required = {name for name, it in parameters.items() if it.default is it.empty}
    return required <= _WORDS <= parameters.keys()


_IS_KNOWN = _is_called_as_expected(solve_dependencies)
