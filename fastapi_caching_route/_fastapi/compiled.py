"""Runs simple guards in steps that are worked out once, and not for each request as in `solve_dependencies`.

Simple are functions, generators and FastAPI's own schemes, each used once, that take parameters, the request and each
other's values. For everything else, and for everything that a later FastAPI adds to a `Dependant`, there are no steps.
"""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from types import FunctionType
from typing import Any

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from fastapi.dependencies import utils
from fastapi.dependencies.models import Dependant

from fastapi_caching_route._fastapi.effective import tree
from fastapi_caching_route._fastapi.ending import AFTER, BEFORE
from fastapi_caching_route._fastapi.reading import PLACES, PlaceReader
from fastapi_caching_route._fastapi.security import credential

_SOLVE_GENERATOR: Any = getattr(utils, '_solve_generator', getattr(utils, 'solve_generator', None))
_WORDS = frozenset(inspect.signature(_SOLVE_GENERATOR).parameters) if _SOLVE_GENERATOR else frozenset(('nothing',))
_GENERATORS_ARE_KNOWN = {'request', 'dependant', 'call', 'stack', 'sub_values'} >= _WORDS
"""Whether FastAPI runs generators in this release as we ask it to."""
_READ = frozenset(
    (
        *(f'{place}_params' for place in PLACES),
        *('dependencies', 'name', 'call', 'request_param_name', 'http_connection_param_name', 'scope'),
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
    reads: tuple[PlaceReader, ...]
    """Its parameters in each place."""
    takes_request: tuple[str, ...]
    """The names of its parameters for the request."""
    generator: Dependant | None
    """Itself, if it has a `yield`."""


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
        for read in step.reads:
            wrong += read(request, given)
        if wrong:  # it does not run, but the others do
            errors += wrong
            continue
        for name in step.takes_request:
            given[name] = request
        if step.generator is not None:
            value = await _begun(step.generator, request, given)
        else:
            value = await (step.call(**given) if step.is_async else run_in_threadpool(step.call, **given))
        if step.name is not None:
            values[step.name] = value
    return errors


async def _begun(generator: Dependant, request: Request, given: dict[str, Any]) -> Any:
    """The value that a generator yields. It ends with its exit stack in the scope."""
    stack = request.scope[BEFORE if getattr(generator, 'scope', None) == 'function' else AFTER]
    words = {'request': request, 'dependant': generator, 'call': generator.call, 'stack': stack, 'sub_values': given}
    return await _SOLVE_GENERATOR(**{name: words[name] for name in _WORDS})


def is_fastapis_own(node: Dependant) -> bool:
    """Whether this is a scheme without user code."""
    return credential(node) is not None and type(node.call).__module__.startswith('fastapi.security')


def _step(node: Dependant) -> SimpleGuard:
    call: Any = node.call
    names = (node.http_connection_param_name, node.request_param_name)
    return SimpleGuard(
        call,
        is_async=inspect.iscoroutinefunction(_function_of(node)),
        name=node.name,
        below=tuple(map(_step, node.dependencies)),
        reads=tuple(PlaceReader(place, of_place) for place in PLACES if (of_place := getattr(node, f'{place}_params'))),
        takes_request=tuple(name for name in names if name),
        generator=node if _is_generator(node.call) else None,
    )


def _is_simple(node: Dependant) -> bool:
    """Whether FastAPI does nothing with a dependency except what a step does."""
    others = (it.name for it in fields(node) if it.name not in _READ | _WITHOUT_EFFECT)
    return _is_plain_function(_function_of(node)) and not any(getattr(node, name) for name in others)


def _function_of(node: Dependant) -> Any:
    """The function that runs: that of the dependency, or the one of FastAPI's own class of schemes."""
    return getattr(type(node.call), '__call__', None) if is_fastapis_own(node) else node.call  # noqa: B004


def _is_plain_function(call: Any) -> bool:
    """Whether a function is a coroutine function, a generator or neither, without doubt: nothing inside, no marks."""
    return isinstance(call, FunctionType) and not vars(call) and (_GENERATORS_ARE_KNOWN or not _is_generator(call))


def _is_generator(call: Any) -> bool:
    return inspect.isgeneratorfunction(call) or inspect.isasyncgenfunction(call)
