"""What a process has counted in each of the last sixty minutes. Pure: time comes in as `now`.

Nothing is counted on a hit for it: what was counted so far is noted every few seconds, and the difference belongs to
the minute of that moment.
"""

KEPT_MINUTES = 60
"""With the current one."""

Numbers = tuple[int, ...]


class Minutes:
    """The differences between what was counted so far, by minutes."""

    __slots__ = ('_known', '_last')

    def __init__(self) -> None:
        """Nothing has been noted."""
        self._last: Numbers | None = None
        self._known: dict[int, Numbers] = {}

    def note(self, now: float, counted: Numbers) -> None:
        """Note what was counted so far. The first time, it only says from where on to count."""
        minute, last = int(now // 60), self._last
        self._last = counted
        new = (0,) * len(counted) if last is None else tuple(b - a for a, b in zip(last, counted, strict=True))
        known = self._known.get(minute)
        self._known[minute] = new if known is None else tuple(map(sum, zip(known, new, strict=True)))
        for old in [it for it in self._known if not minute - KEPT_MINUTES < it <= minute]:
            self._known.pop(old, None)  # another thread may have done it

    def known(self) -> list[tuple[float, Numbers]]:
        """The minutes of which anything is known, in their order: when each began, and what it has brought."""
        return [(minute * 60.0, numbers) for minute, numbers in sorted(self._known.items())]
