"""Withdrawn entries: the endpoint has answered otherwise since, so this process does not use them any more.

Deleting them is not enough: the store may be failing, and a run that began before may store what it read back then.
"""

from fastapi_caching_route._concurrency.pauses import RecentNumbers


class Withdrawals:
    """The keys whose entries were withdrawn in one store. Times are in seconds since the epoch."""

    __slots__ = ('_counted', '_moments', 'count')

    def __init__(self) -> None:
        """Nothing has been withdrawn."""
        self.count: int = 0
        """How many withdrawals there have been."""
        self._counted, self._moments = RecentNumbers(), RecentNumbers()

    def note(self, key: str, now: float) -> None:
        """Withdraw what was stored under a full key until `now`."""
        self.count += 1
        self._counted.note(key, self.count)
        self._moments.note(key, now)

    def includes(self, key: str, stored_at: float) -> bool:
        """Whether an entry that was stored under a key at that time is withdrawn."""
        return stored_at <= self._moments.of(key)

    def came_since(self, key: str, since: int) -> bool:
        """Whether a key was withdrawn since `count` was `since`. True also if so many others were that nobody knows."""
        return self._counted.at_most(key) > since

    def forget(self, key: str) -> None:
        """Note that what is stored under a key now is newer than the last withdrawal."""
        self._moments.forget(key)
