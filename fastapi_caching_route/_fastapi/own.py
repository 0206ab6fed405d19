"""The dependencies that this package offers. They take the request to say something about the response, and show it to nobody."""

from typing import TypeVar

Kind = TypeVar('Kind', bound=type)

_OWN: list[type] = []


def own_dependency(kind: Kind) -> Kind:
    """Count a class among them; those that users derive from it may do anything, and are not."""
    _OWN.append(kind)
    return kind


def is_own(call: object) -> bool:
    """Whether it is one of them."""
    return any(call is kind for kind in _OWN)
