"""What a route declares, as it stands for one request: what it reads, and which dependencies run without its endpoint."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import get_parameterless_sub_dependant

from fastapi_caching_route._fastapi.admission import Admission
from fastapi_caching_route._fastapi.effective import Overrides, tree
from fastapi_caching_route._fastapi.inputs import builder_inputs, declared_inputs
from fastapi_caching_route._key import Inputs, Parts


@dataclass(frozen=True, slots=True)
class Declared:
    """What holds for one request. Of the admissions, None is one of no dependencies."""

    inputs: Inputs
    before_key: Admission | None
    """Explicit dependencies, where a key builder may read what they leave in `request.state`."""
    on_hit: Admission | None
    """All that have to let the request in before an entry answers it."""
    on_miss: Admission | None
    """Those that the route does not run itself."""


class Declarations:
    """What one effective route declares, dependency overrides applied."""

    __slots__ = ('_builder', '_effective', '_explicit', '_overridden', '_plain', '_raw', '_roots', '_vary')

    def __init__(
        self, effective: Any, explicit: Sequence[Any], vary: tuple[bytes, ...], *, builder: bool, raw: bool
    ) -> None:
        """Read what `effective_route` returned, and the explicit dependencies.

        `vary` names further request fields that count; `builder` says that a key builder makes the key, and `raw` that
        the request is read in a way that no declaration shows.
        """
        self._effective = effective
        self._explicit = explicit
        path = effective.path_format
        explicit_nodes = [get_parameterless_sub_dependant(depends=depends, path=path) for depends in explicit]
        self._roots: list[Dependant] = [effective.dependant, *explicit_nodes]
        self._vary = vary
        self._builder = builder
        self._raw = raw
        self._plain = self._declared({})
        self._overridden: tuple[Parts, Declared] = ((), self._plain)

    def __call__(self) -> Declared:
        """What holds under the overrides that are set at this moment: none in production, some in tests."""
        overrides = getattr(self._effective.dependency_overrides_provider, 'dependency_overrides', None)
        if not overrides:
            return self._plain
        current = tuple(overrides.items())
        known, declared = self._overridden
        if known != current:
            touched = any(node.call in overrides for root in self._roots for node in tree(root, {}))
            declared = self._declared(overrides) if touched else self._plain
            self._overridden = (current, declared)
        return declared

    def _declared(self, overrides: Overrides) -> Declared:
        own = [_signature(node) for node in tree(self._effective.dependant, {})]
        foreign = [
            depends
            for depends, node in zip(self._explicit, self._roots[1:], strict=True)
            if _signature(node) not in own
        ]
        if self._builder:
            return Declared(builder_inputs(self._vary), self._admission(self._explicit), None, None)
        inputs = declared_inputs(self._roots, overrides, self._vary, raw=self._raw)
        return Declared(inputs, None, self._admission(self._explicit), self._admission(foreign))

    def _admission(self, explicit: Sequence[Any]) -> Admission | None:
        return Admission(self._effective, explicit, ()) if explicit else None


def _signature(node: Dependant) -> Parts:
    """What makes two dependencies the same one: the function, and the scopes that are asked of it."""
    scopes = getattr(node, 'own_oauth_scopes', None) or getattr(node, 'security_scopes', None) or ()
    return (node.call, tuple(scopes))
