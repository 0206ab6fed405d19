"""How a store is, as one process sees it. Knows no stores."""

from collections.abc import Mapping
from types import MappingProxyType

from msgspec import Struct

from fastapi_caching_route.memory import MemoryStats

NOTHING_TIMED: Mapping[str, float] = MappingProxyType({})


class Faults(Struct, frozen=True):
    """What is wrong with a store as an app starts, in words."""

    errors: tuple[str, ...] = ()
    """For which the log has a warning by then."""
    warnings: tuple[str, ...] = ()


class Condition(Struct, frozen=True):
    """How a store is, as this process sees it. The defaults are those of a store that cannot fail."""

    address: str = ''
    failed_at: float | None = None
    """When the outage began that lasts, in seconds of the monotonic clock."""
    error: str | None = None
    """The last error, as text."""
    not_sent: tuple[str, ...] = ()
    """The kinds of commands for which the breaker is open."""
    pending: int = 0
    """How many names are owed to the backend."""
    seconds: Mapping[str, float] = NOTHING_TIMED
    """How long commands of each kind took lately."""
    near: MemoryStats | None = None
    """What the near copies hold."""
