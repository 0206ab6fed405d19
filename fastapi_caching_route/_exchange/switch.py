"""Whether a cache is in use. Knows nothing else."""

from dataclasses import dataclass


@dataclass(slots=True)
class Switch:
    """How many `with cache.disabled()` are open: the cache is in use at 0."""

    times_off: int = 0
    waits: bool = False
    """Whether the cache waits for its backend. It is also off once, so that a hit needs to ask for one number only."""
    is_disabled: bool = False
    """Whether `enabled` is False. The same applies."""

    def enable(self, *, enabled: bool) -> None:
        """Use the cache from now on, or do not."""
        if self.is_disabled == enabled:  # else nothing changes
            self.times_off += -1 if enabled else 1
            self.is_disabled = not enabled

    def begin(self) -> None:
        """Use the cache from now on: it has its backend."""
        if self.waits:
            self.waits = False
            self.times_off -= 1
