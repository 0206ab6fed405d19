"""Tells observers of invalidations. Knows names; does not know stores."""

from collections.abc import Sequence

from fastapi_caching_route._concurrency.observers import Observers
from fastapi_caching_route._core.names import in_public
from fastapi_caching_route.events import Invalidated


def tell_invalidated(
    observers: Observers, names: Sequence[str], *, soft: bool, is_pending: bool = False, seconds: float = 0.0
) -> None:
    """Tell the observers, if there are any, that these names are invalidated in this process."""
    if observers.tell is not None:
        observers.tell(Invalidated(names=in_public(names), soft=soft, is_pending=is_pending, seconds=seconds))
