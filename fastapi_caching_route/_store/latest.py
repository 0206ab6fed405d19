"""When this process has invalidated something last, in whichever store. Knows nothing else.

Two caches may use one server, even by different backends. So an invalidation through one of them counts for the near
copies of all others: they read once more.
"""

import math
import time


class LatestInvalidation:
    """The time at which the latest invalidation by this process ended. Threads share it."""

    __slots__ = ('at',)

    def __init__(self) -> None:
        """Nothing has been invalidated."""
        self.at: float = -math.inf
        """In seconds of the monotonic clock."""

    def note(self) -> None:
        """Note that something was invalidated, and that this is about to return."""
        self.at = time.monotonic()


latest = LatestInvalidation()
"""That of this process."""
