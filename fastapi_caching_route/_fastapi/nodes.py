"""The nodes of a route whose inputs affect its responses, and the credentials that its schemes read."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from fastapi.dependencies.models import Dependant

from fastapi_caching_route._fastapi.effective import Overrides, overridden, tree
from fastapi_caching_route._fastapi.security import Credential, credential

_OWN_INPUTS = (
    *('path_params', 'query_params', 'header_params', 'cookie_params', 'body_params'),
    *('call', 'request_param_name', 'http_connection_param_name'),
)


@dataclass(slots=True)
class SeenNodes:
    """The nodes and credentials in a tree of dependencies."""

    nodes: list[Dependant] = field(default_factory=list)
    handed: list[Credential] = field(default_factory=list)
    """Credentials whose values user code receives."""
    checked: list[Credential] = field(default_factory=list)
    """Credentials that a scheme checks and passes to no code."""
    schemes: list[Any] = field(default_factory=list)
    """The schemes that read these credentials."""


def seen_in(roots: Iterable[Dependant], overrides: Overrides) -> SeenNodes:
    seen = SeenNodes()
    for root in roots:
        for node in tree(root, overrides):
            found = credential(node)
            if found is None:
                seen.nodes.append(node)
            else:
                (seen.checked if node.name is None else seen.handed).append(found)
                seen.schemes.append(node.call)
    return seen


def deciding_nodes(
    route: Dependant, guards: Sequence[Dependant], overrides: Overrides
) -> tuple[list[Dependant], list[Dependant]]:
    """The nodes whose inputs affect the response, if the user chose which clients share.

    First the nodes of the endpoint and its dependencies. Guards without a parameter name are left out, because they
    pass nothing to the endpoint. Then the nodes of guards with a name: inputs of these that identify a person are not
    in the key, and all others are.
    """
    own = [Dependant(**{name: getattr(route, name) for name in _OWN_INPUTS})]
    of_guards: list[Dependant] = []
    for dependency in route.dependencies:
        is_guard = any(dependency is it for it in guards)
        if not is_guard or dependency.name is not None:
            below = seen_in([overridden(dependency, overrides)], overrides).nodes
            (of_guards if is_guard else own).extend(below)
    return own, of_guards
