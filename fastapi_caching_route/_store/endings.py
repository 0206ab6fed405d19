"""Keys of which what was stored is not used any more, in this process at once: the endpoint has answered otherwise.

Deleting alone is not enough: the store may be in trouble, and a run that began before may store what it has read by then.
"""

from fastapi_caching_route._concurrency.pauses import RecentNumbers


class Endings:
    """What has ended in one store. Moments in seconds since the epoch."""

    __slots__ = ('_counted', '_moments', 'count')

    def __init__(self) -> None:
        """Nothing has ended yet."""
        self.count: int = 0
        """How many there have been."""
        self._counted, self._moments = RecentNumbers(), RecentNumbers()

    def note(self, key: str, now: float) -> None:
        """End what was stored until now under a full key."""
        self.count += 1
        self._counted.note(key, self.count)
        self._moments.note(key, now)

    def includes(self, key: str, stored_at: float) -> bool:
        """Whether what was stored under a key at that moment has ended."""
        return stored_at <= self._moments.of(key)

    def have_come(self, key: str, since: int) -> bool:
        """Whether one has come for a key, after so many endings."""
        return self._counted.of(key) > since

    def stored_anew(self, key: str) -> None:
        """What is stored under a key now is newer than its last ending."""
        self._moments.forget(key)
