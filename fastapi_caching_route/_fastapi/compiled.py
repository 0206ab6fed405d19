"""Runs simple guards in steps that are worked out once, and not for each request as in `solve_dependencies`.

Simple are functions and FastAPI's own schemes, each used once, that take parameters, the request and each other's
values. For everything else, and for everything that a later FastAPI adds to a `Dependant`, there are no steps.
"""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from types import FunctionType
from typing import Any

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import request_params_to_args

from fastapi_caching_route._fastapi.effective import tree
from fastapi_caching_route._fastapi.security import credential

_PLACES = ('path', 'query', 'header', 'cookie')
"""The places of parameters, in the order of FastAPI."""
_PARTS = {'path': 'path_params', 'query': 'query_params', 'header': 'headers', 'cookie': 'cookies'}
_READ = frozenset(
    (
        *(f'{place}_params' for place in _PLACES),
        *('dependencies', 'name', 'call', 'request_param_name', 'http_connection_param_name'),
    )
)
"""The fields of a node that the steps are made of."""
_WITHOUT_EFFECT = frozenset(
    (
        *('use_cache', 'cache_key', 'path', 'security_requirements', 'security_scopes', 'own_oauth_scopes'),
        *('parent_oauth_scopes',),
    )
)
"""Fields that change nothing for a dependency that is used once and does not ask for its scopes."""


@dataclass(frozen=True, slots=True)
class SimpleGuard:
    """One dependency, with those below it."""

    call: Callable[..., Any]
    is_async: bool
    name: str | None
    below: tuple['SimpleGuard', ...]
    reads: tuple[tuple[list[Any], str], ...]
    """Its parameters in each place, and the attribute of the request that has their values."""
    takes_request: tuple[str, ...]
    """The names of its parameters for the request."""


def steps_of(nodes: Sequence[Dependant]) -> tuple[SimpleGuard, ...] | None:
    """The steps that run these dependencies; None if they are not simple."""
    every = [it for node in nodes for it in tree(node, {})]
    is_each_used_once = len({id(it.call) for it in every}) == len(every)
    return tuple(map(_step, nodes)) if is_each_used_once and all(map(_is_simple, every)) else None


async def run(steps: Sequence[SimpleGuard], request: Request) -> list[Any]:
    """Run the dependencies, and return what is not valid in the request."""
    return await _run(steps, request, {})


async def _run(steps: Sequence[SimpleGuard], request: Request, values: dict[str, Any]) -> list[Any]:
    """Run the dependencies, put the values of those with a name in `values`, and return what is not valid."""
    errors: list[Any] = []
    for step in steps:
        given: dict[str, Any] = {}
        wrong = await _run(step.below, request, given) if step.below else []
        for parameters, part in step.reads:
            read, of_these = request_params_to_args(parameters, getattr(request, part))
            given.update(read)
            wrong += of_these
        if wrong:  # it does not run, but the others do
            errors += wrong
            continue
        for name in step.takes_request:
            given[name] = request
        value = await (step.call(**given) if step.is_async else run_in_threadpool(step.call, **given))
        if step.name is not None:
            values[step.name] = value
    return errors


def is_fastapis_own(node: Dependant) -> bool:
    """Whether this is a scheme without user code."""
    return credential(node) is not None and type(node.call).__module__.startswith('fastapi.security')


def _step(node: Dependant) -> SimpleGuard:
    call: Any = node.call
    found = ((getattr(node, f'{place}_params'), _PARTS[place]) for place in _PLACES)
    names = (node.http_connection_param_name, node.request_param_name)
    return SimpleGuard(
        call,
        is_async=inspect.iscoroutinefunction(_function_of(node)),
        name=node.name,
        below=tuple(map(_step, node.dependencies)),
        reads=tuple((parameters, part) for parameters, part in found if parameters),
        takes_request=tuple(name for name in names if name),
    )


def _is_simple(node: Dependant) -> bool:
    """Whether FastAPI does nothing with a dependency except what a step does."""
    others = (it.name for it in fields(node) if it.name not in _READ | _WITHOUT_EFFECT)
    return _is_plain_function(_function_of(node)) and not any(getattr(node, name) for name in others)


def _function_of(node: Dependant) -> Any:
    """The function that runs: that of the dependency, or the one of FastAPI's own class of schemes."""
    return getattr(type(node.call), '__call__', None) if is_fastapis_own(node) else node.call  # noqa: B004


def _is_plain_function(call: Any) -> bool:
    """Whether a function is a coroutine function or not, without doubt: no generator, nothing inside, no marks."""
    is_generator = inspect.isgeneratorfunction(call) or inspect.isasyncgenfunction(call)
    return isinstance(call, FunctionType) and not (vars(call) or is_generator)
