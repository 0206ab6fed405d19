"""The dependencies that this package offers. They take the raw request, but do not show it to user code."""

from typing import TypeVar

Kind = TypeVar('Kind', bound=type)

_OWN: list[type] = []


def own_dependency(kind: Kind) -> Kind:
    """Register a class. Subclasses that users derive from it may do anything, so they are not registered."""
    _OWN.append(kind)
    return kind


def is_own(call: object) -> bool:
    """Whether this is one of our dependencies."""
    return any(call is kind for kind in _OWN)
