"""Context variables that middleware has set for a request, by which code may know who asks.

What code reads of them cannot be seen, only that they are set. Known variables of libraries name no person.
"""

import sys
from collections.abc import Collection
from contextvars import ContextVar, copy_context
from functools import reduce
from typing import Any

_NAMES = frozenset(('decimal_context', 'current_async_library_cvar'))
"""Names of variables that are no attribute of a module: of Python's `decimal`, and of `sniffio`."""

_OF_LIBRARIES = (
    ('opentelemetry.context', '_RUNTIME_CONTEXT._current_context'),
    ('asgi_correlation_id.context', 'correlation_id'),
    ('asgi_correlation_id.context', 'celery_parent_id'),
    ('asgi_correlation_id.context', 'celery_current_id'),
    ('fastapi_caching_route._store.telling', 'OF_THIS_WRITE'),
    ('fastapi.routing', '_effective_route_context_var'),
)
"""The modules and attributes of other variables that hold neither requests nor users."""


class ContextVariables:
    """The context variables that count: those whose value is not that when the app was built, and not harmless."""

    __slots__ = ('_harmless', '_known')

    def __init__(self, harmless: Collection[ContextVar[Any]]) -> None:
        """A value that is set now is set by nobody for a request."""
        self._known = copy_context()
        self._harmless = frozenset(harmless)

    def set_by_middleware(self) -> str | None:
        """The name of a variable that is set for this request alone, or None."""
        for variable, value in copy_context().items():
            if not (variable in self._known and self._known[variable] is value) and not self._is_harmless(variable):
                return variable.name
        return None

    def _is_harmless(self, variable: ContextVar[Any]) -> bool:
        return variable in self._harmless or _is_of_a_library(variable)


def _is_of_a_library(variable: ContextVar[Any]) -> bool:
    return variable.name in _NAMES or any(_at(*place) is variable for place in _OF_LIBRARIES)


def _at(module: str, attributes: str) -> object:
    """What a module that is loaded has there, or None."""
    found: object = sys.modules.get(module)
    return reduce(lambda thing, name: getattr(thing, name, None), attributes.split('.'), found)
