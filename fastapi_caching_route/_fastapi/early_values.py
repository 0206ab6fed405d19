"""Hands the values of dependencies that have run before there was a key to the route, so that they run once in a request.

FastAPI solves the dependencies of a route in one go, and remembers their values in there. What runs before is solved by itself:
so dependencies of ours note the values there, and others stand in for the dependencies in the route.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from copy import copy
from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import get_dependant

from fastapi_caching_route._core.asgi import EARLY_VALUES, Parts, Scope
from fastapi_caching_route._fastapi.effective import Overrides, overridden, yields

RAISED = 'raised'


class EarlyValues:
    """Dependencies that run before the key, and what of a route has their values then."""

    __slots__ = ('_overrides', '_path', '_values', 'nodes')

    def __init__(self, path: str, explicit: Sequence[tuple[Any, Dependant]], overrides: Overrides) -> None:
        """Have these run before the key, each a `Depends(...)` with what it is made into, and with what overrides them."""
        self._path = path
        self._overrides = overrides
        self._values: dict[Parts, _Value] = {}
        self.nodes: list[Dependant] = [self._noted(depends, node) for depends, node in explicit]
        """The same, and they note their values."""

    def _noted(self, depends: Any, node: Dependant) -> Dependant:
        found = copy(node)
        if not self._overrides:  # else FastAPI reads each signature anew, and sees nothing of what is put below here
            below = Depends(_nothing)
            found.dependencies = [self._noted(below, it) for it in node.dependencies]
        is_generator = yields(overridden(node, self._overrides).call)
        if not node.use_cache or (is_generator and getattr(node, 'scope', None) == 'function'):
            return found  # the one wants to be run each time, and the other is over when the route begins
        value = self._values.setdefault(_remembered_as(node), _Value(depends, yields=is_generator))
        noting = get_dependant(path=self._path, call=value.note, name=node.name)
        if not self._overrides:
            found.name = 'given'
            noting.dependencies = [found]
        return noting

    def with_values(self, node: Dependant) -> Dependant:
        """The dependency of a route, or what stands in for it; and so below it."""
        value = self._values.get(_remembered_as(node)) if node.use_cache else None
        if value is not None:
            return get_dependant(path=self._path, call=value.give, name=node.name)
        below = [self.with_values(it) for it in node.dependencies]
        if all(new is old for new, old in zip(below, node.dependencies, strict=True)):
            return node
        found = copy(node)
        found.dependencies = below
        return found


class _Value:
    """The value of one dependency, in each of many requests."""

    __slots__ = ('give', 'note')

    def __init__(self, depends: Any, *, yields: bool) -> None:
        async def note(request: Request, given: Annotated[Any, depends]) -> Any:
            request.scope.setdefault(EARLY_VALUES, {})[self] = given
            return given

        async def give(request: Request) -> Any:
            return request.scope[EARLY_VALUES][self]

        async def give_and_listen(request: Request) -> AsyncIterator[Any]:
            handed = request.scope[EARLY_VALUES]
            try:
                yield handed[self]
            except BaseException as error:  # it would have heard of that in the route
                handed[RAISED] = error
                raise

        self.note: Callable[..., Any] = note
        self.give: Callable[..., Any] = give_and_listen if yields else give


def raised_in_route(scope: Scope) -> BaseException | None:
    """What the route has raised inside of dependencies with `yield` that ran before it."""
    raised: BaseException | None = scope.get(EARLY_VALUES, {}).get(RAISED)
    return raised


def forget_raised(scope: Scope) -> None:
    """It may be the scope of an earlier request."""
    scope.get(EARLY_VALUES, {}).pop(RAISED, None)


def _remembered_as(node: Dependant) -> Parts:
    """What FastAPI remembers the value under, but for scopes that do not matter: then it runs once more."""
    given = (getattr(node, it, None) or () for it in ('own_oauth_scopes', 'parent_oauth_scopes', 'security_scopes'))
    return (node.call, tuple(sorted({scope for scopes in given for scope in scopes})), getattr(node, 'scope', None))


async def _nothing() -> None:
    """Stands where the dependency is put."""
