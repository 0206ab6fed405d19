"""Keys that are left alone for a while. Knows keys and times only."""

from collections import OrderedDict

MAX_KEYS = 10_000
"""How many keys are remembered, at some hundred bytes each. The oldest is dropped for a new one."""

UNSHAREABLE_SECONDS = 10.0
"""How long a key is remembered whose responses must not be shared. Meanwhile its requests do not wait for each
other."""

FIRST_PAUSE_SECONDS, MAX_PAUSE_SECONDS = 1.0, 30.0
"""How long a failing endpoint is left alone while a stale entry can answer. Doubles with each failure, up to the
maximum."""


class Pauses:
    """Keys that are left alone for a while. Times are in seconds since the epoch."""

    __slots__ = ('_lengths', '_until', 'are_none')

    def __init__(self) -> None:
        """No key is paused."""
        self._until, self._lengths = RecentNumbers(), RecentNumbers()
        self.are_none: bool = True
        """Whether no key was ever paused: then nobody has to ask, nor to end a pause."""

    def holds(self, key: str, now: float) -> bool:
        """Whether this key is still paused."""
        return now < self._until.of(key)

    def lengthen(self, key: str, now: float) -> None:
        """Leave the key alone for twice as long as the last time."""
        length = min(max(2 * self._lengths.of(key), FIRST_PAUSE_SECONDS), MAX_PAUSE_SECONDS)
        self._lengths.note(key, length)
        self.begin(key, now, length)

    def begin(self, key: str, now: float, seconds: float) -> None:
        """Leave the key alone for `seconds`."""
        self.are_none = False
        self._until.note(key, now + seconds)

    def end(self, key: str) -> None:
        """End the pause of a key, and start with the shortest one next time."""
        self._until.forget(key)
        self._lengths.forget(key)


class RecentNumbers:
    """A number for each of the `MAX_KEYS` most recent keys; 0 for all others."""

    __slots__ = ('_dropped', '_numbers')

    def __init__(self) -> None:
        """No key has a number."""
        self._numbers: OrderedDict[str, float] = OrderedDict()
        self._dropped = 0.0
        """The number of the key that was dropped last, to make room."""

    def of(self, key: str) -> float:
        """The number of a key, or 0."""
        return self._numbers.get(key, 0.0)

    def at_most(self, key: str) -> float:
        """A number not below that of the key, even if the key was dropped; where each number exceeds the last one."""
        return self._numbers.get(key, self._dropped)

    def note(self, key: str, number: float) -> None:
        """Set the number of a key, which becomes the most recent one."""
        self._numbers.pop(key, None)
        self._numbers[key] = number
        if len(self._numbers) > MAX_KEYS:
            _, self._dropped = self._numbers.popitem(last=False)

    def forget(self, key: str) -> None:
        """Drop a key."""
        self._numbers.pop(key, None)
