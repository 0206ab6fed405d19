"""Keys to leave alone for a while. Knows keys and moments only."""

from collections import OrderedDict

MAX_KEYS = 10_000
"""Keys of which is remembered how they went lately, some hundred bytes each; the oldest goes for a new one."""

UNSHAREABLE_SECONDS = 10.0
"""Seconds for which a key is remembered of which answers are not for sharing."""

FIRST_PAUSE_SECONDS, MAX_PAUSE_SECONDS = 1.0, 30.0
"""Seconds for which an endpoint that has failed is not asked again where there is a stale entry: twice as long each time."""


class Pauses:
    """Keys that are better left alone for a while. Moments in seconds since the epoch."""

    __slots__ = ('_lengths', '_until')

    def __init__(self) -> None:
        """There is none."""
        self._until, self._lengths = RecentNumbers(), RecentNumbers()

    def holds(self, key: str, now: float) -> bool:
        """Whether it is not over yet for this key."""
        return now < self._until.of(key)

    def begin(self, key: str, now: float, seconds: float) -> None:
        """Leave the key alone for so long."""
        self._until.note(key, now + seconds)

    def lengthen(self, key: str, now: float) -> None:
        """Leave the key alone for twice as long as the last time."""
        length = min(max(2 * self._lengths.of(key), FIRST_PAUSE_SECONDS), MAX_PAUSE_SECONDS)
        self._lengths.note(key, length)
        self.begin(key, now, length)

    def end(self, key: str) -> None:
        """All is well with the key."""
        self._until.forget(key)
        self._lengths.forget(key)


class RecentNumbers:
    """A number for each of many keys, of which the oldest are forgotten; 0 for those that are not known."""

    __slots__ = ('_numbers',)

    def __init__(self) -> None:
        """Nothing is known."""
        self._numbers: OrderedDict[str, float] = OrderedDict()

    def of(self, key: str) -> float:
        """The number of a key."""
        return self._numbers.get(key, 0.0)

    def note(self, key: str, number: float) -> None:
        """Keep a number for a key, as the newest."""
        self._numbers.pop(key, None)
        self._numbers[key] = number
        if len(self._numbers) > MAX_KEYS:
            self._numbers.popitem(last=False)

    def forget(self, key: str) -> None:
        """The key is not known any more."""
        self._numbers.pop(key, None)
