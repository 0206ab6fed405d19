"""Which dependencies refuse requests, as far as their source shows it: `raise HTTPException(...)` and the like.

It reads source and runs nothing of it, and where there is no source, it knows of no refusal.
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
"""Exceptions of which FastAPI itself makes a response."""

_RUN_LATER = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)


def refuses(call: Any, handled: Mapping[Any, Any]) -> bool:
    """Whether the source of a dependency raises an exception that becomes a response of its own.

    `handled` are the exception handlers of the app. One for all exceptions is about failures, not about refusals.
    """
    classes = [it for it in handled if isinstance(it, type) and it not in {Exception, BaseException}]
    becomes_a_response = (*_ANSWERED, *classes)
    return any(issubclass(raised, becomes_a_response) for function in _functions(call) for raised in _raised(function))


def _functions(call: Any) -> Iterator[FunctionType]:
    """The functions that run when a dependency is called, as far as they are of Python."""
    while isinstance(call, partial):
        call = call.func
    call = inspect.unwrap(call) if callable(call) else call
    if isinstance(call, type):
        found = [vars(call).get(name) for name in ('__new__', '__init__', '__post_init__')]
    else:
        found = [call if inspect.isroutine(call) else getattr(type(call), '__call__', None)]  # noqa: B004, what it runs is read
    for each in found:
        function = getattr(each, '__func__', each)
        if isinstance(function, FunctionType):
            yield function


def _raised(function: FunctionType) -> Iterator[type]:
    """The classes of the exceptions that a function raises by `raise`, in its own body."""
    try:
        [definition] = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    except (OSError, TypeError, ValueError, SyntaxError):  # there is no source, or it is a part of a line
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
    """The object that a name in the source of a function stands for, or the one that is called; None if that is not known."""
    if isinstance(expression, ast.Call):
        return _meant(expression.func, function)
    if isinstance(expression, ast.Attribute):
        within = _meant(expression.value, function)
        return inspect.getattr_static(within, expression.attr, None)
    if not isinstance(expression, ast.Name):
        return None
    with suppress(ValueError):  # of a cell that is empty yet
        cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
        if expression.id in cells:
            return cells[expression.id].cell_contents
    return function.__globals__.get(expression.id, getattr(builtins, expression.id, None))
