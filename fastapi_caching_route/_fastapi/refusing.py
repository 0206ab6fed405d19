"""Finds dependencies that refuse requests in their source: `raise HTTPException(...)` and the like.

It reads the source and does not run it. Without source, it finds no refusal.
"""

import ast
import builtins
import inspect
import textwrap
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import partial
from types import FunctionType
from typing import Any

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

_ANSWERED = (HTTPException, RequestValidationError)
"""Exceptions that FastAPI itself turns into responses."""

_RUN_LATER = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)


def refuses(call: Any, handled: Mapping[Any, Any]) -> bool:
    """Whether the source of a dependency raises an exception that becomes a response.

    `handled` are the exception handlers of the app. A handler for all exceptions is for failures, not for refusals.
    """
    classes = [it for it in handled if isinstance(it, type) and it not in {Exception, BaseException}]
    becomes_a_response = (*_ANSWERED, *classes)
    return any(issubclass(raised, becomes_a_response) for function in _functions(call) for raised in _raised(function))


def _functions(call: Any) -> Iterator[FunctionType]:
    """The Python functions that run when a dependency is called."""
    while isinstance(call, partial):
        call = call.func
    call = inspect.unwrap(call) if callable(call) else call
    if isinstance(call, type):
        found = [vars(call).get(name) for name in ('__new__', '__init__', '__post_init__')]
    else:
        found = [call if inspect.isroutine(call) else getattr(type(call), '__call__', None)]  # noqa: B004, to read it
    for each in found:
        function = getattr(each, '__func__', each)
        if isinstance(function, FunctionType):
            yield function


def _raised(function: FunctionType) -> Iterator[type]:
    """The classes of the exceptions in `raise` statements of a function's own body."""
    try:
        [definition] = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    except (OSError, TypeError, ValueError, SyntaxError):  # there is no source, or it is part of a line
        return
    nodes = [*_own_nodes(definition)]
    made = {
        target.id: node.value
        for node in nodes
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in nodes:
        if isinstance(node, ast.Raise) and node.exc is not None:
            thing = _meant(made.get(node.exc.id, node.exc) if isinstance(node.exc, ast.Name) else node.exc, function)
            raised = thing if isinstance(thing, type) else type(thing)
            if issubclass(raised, BaseException):
                yield raised


def _own_nodes(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, _RUN_LATER):
            yield child
            yield from _own_nodes(child)


def _meant(expression: ast.AST, function: FunctionType) -> object:
    """The object that a name in the source of a function refers to; for a call, the object called; None if unknown."""
    if isinstance(expression, ast.Call):
        return _meant(expression.func, function)
    if isinstance(expression, ast.Attribute):
        within = _meant(expression.value, function)
        return inspect.getattr_static(within, expression.attr, None)
    if not isinstance(expression, ast.Name):
        return None
    with suppress(ValueError):  # the cell is still empty
        cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
        if expression.id in cells:
            return cells[expression.id].cell_contents
    return function.__globals__.get(expression.id, getattr(builtins, expression.id, None))
