"""Passes the values of dependencies that ran before the key was made to the route, so that each runs once per request.

FastAPI solves all dependencies of a route together and remembers their values there. Dependencies that run earlier are
solved separately. So our own dependencies record their values, and others of ours return these values in the route.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from copy import copy
from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import get_dependant

from fastapi_caching_route._core.asgi import EARLY_VALUES, Parts, Scope
from fastapi_caching_route._fastapi.effective import Overrides, overridden, yields
from fastapi_caching_route._fastapi.option_dependencies import noting_identity

RAISED = 'raised'


class EarlyValues:
    """Dependencies that run before the key is made, and the replacements in the route that return their values."""

    __slots__ = ('_overrides', '_path', '_values', 'nodes')

    def __init__(
        self, path: str, explicit: Sequence[tuple[Any, Dependant]], overrides: Overrides, identity: Any = None
    ) -> None:
        """Take the dependencies, each a `Depends(...)` with its node, and the current overrides.

        `identity` is the one of them whose value is the identity of the request, if there is one.
        """
        self._path = path
        self._overrides = overrides
        self._values: dict[Parts, _Value] = {}
        self.nodes: list[Dependant] = [self._noted(depends, node) for depends, node in explicit]
        """The nodes of these dependencies, which record their values."""
        for at, (depends, _) in enumerate(explicit):
            if depends is identity:
                self.nodes[at] = self._named(self.nodes[at])

    def _noted(self, depends: Any, node: Dependant) -> Dependant:
        found = copy(node)
        if not self._overrides:  # with overrides, FastAPI reads each signature again and ignores what we add below
            below = Depends(_nothing)
            found.dependencies = [self._noted(below, it) for it in node.dependencies]
        is_generator = yields(overridden(node, self._overrides).call)
        # Without `use_cache`, it runs each time; with scope 'function', it ends before the route begins.
        if not node.use_cache or (is_generator and getattr(node, 'scope', None) == 'function'):
            return found
        value = self._values.setdefault(_remembered_as(node), _Value(depends, yields=is_generator))
        noting = get_dependant(path=self._path, call=value.note, name=node.name)
        if not self._overrides:
            found.name = 'given'
            noting.dependencies = [found]
        return noting

    def _named(self, solving: Dependant) -> Dependant:
        """A node that also notes the value of another one as the identity."""
        assert solving.call is not None
        noting = noting_identity(self._path, solving.call)
        if not self._overrides:
            solving.name = 'given'
            noting.dependencies = [solving]
        return noting

    def with_values(self, node: Dependant) -> Dependant:
        """The dependency of a route, with every recorded one at or below it replaced."""
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
    """Records and returns the value of one dependency, in many requests."""

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
            except BaseException as error:  # in the route, the dependency itself would have seen it
                handed[RAISED] = error
                raise

        self.note: Callable[..., Any] = note
        self.give: Callable[..., Any] = give_and_listen if yields else give


def raised_in_route(scope: Scope) -> BaseException | None:
    """The exception that the route raised inside of dependencies with `yield` that ran before it."""
    raised: BaseException | None = scope.get(EARLY_VALUES, {}).get(RAISED)
    return raised


def forget_raised(scope: Scope) -> None:
    """Forget the exception of an earlier request with the same scope."""
    scope.get(EARLY_VALUES, {}).pop(RAISED, None)


def _remembered_as(node: Dependant) -> Parts:
    """The key under which FastAPI remembers the value, with all scopes: if they differ, a dependency may run again."""
    given = (getattr(node, it, None) or () for it in ('own_oauth_scopes', 'parent_oauth_scopes', 'security_scopes'))
    return (node.call, tuple(sorted({scope for scopes in given for scope in scopes})), getattr(node, 'scope', None))


async def _nothing() -> None:
    """A placeholder for the dependency."""
