"""Tells observers of invalidations, and the write during which they happen. Knows names; does not know stores."""

from collections.abc import Sequence
from contextvars import ContextVar

from fastapi_caching_route._concurrency.observers import Observers
from fastapi_caching_route._core.names import in_public
from fastapi_caching_route.events import Invalidated

OF_THIS_WRITE: ContextVar[list[str] | None] = ContextVar('fastapi_caching_route_of_this_write', default=None)
"""Collects what is invalidated while a write runs, by whatever code; None outside of a write."""


def tell_invalidated(
    observers: Observers, names: Sequence[str], *, soft: bool, is_pending: bool = False, seconds: float = 0.0
) -> None:
    """Tell the observers, if there are any, that these names are invalidated in this process."""
    during = OF_THIS_WRITE.get()
    if during is not None:
        during += names
    if observers.tell is not None:
        observers.tell(Invalidated(names=in_public(names), soft=soft, is_pending=is_pending, seconds=seconds))
