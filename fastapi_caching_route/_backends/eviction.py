"""Which value in memory is evicted next: two queues, and the keys that were evicted lately.

Knows keys and sizes; does not know limits, time or locks. The rules are those of S3-FIFO (Yang et al., SOSP 2023):

1. A new key enters the small queue. At its head, a key that was used moves to the main queue. Any other is evicted and
   remembered for a while.
2. A key that comes back while it is remembered enters the main queue.
3. At the head of the main queue, a key that was used goes to its end, and counts as unused. Any other is evicted.
4. The small queue is evicted from while it takes a tenth of all or more.

So keys that are asked for once pass through a tenth of the memory and evict one another, while the hot keys stay. A use
only sets a flag. `LMDBCache` has the same queues in its file (`lmdb_table`), where a use is written later.
"""

from collections import OrderedDict
from typing import Any

from msgspec import Struct

MAX_MOVED = 32
"""How many used keys one eviction passes over: it must not take longer where there are more."""


class Held(Struct, eq=False):
    """A value in memory."""

    value: Any
    size: int
    ends_at: float
    part: int
    """The part of time in which it expires; -1 if it never expires."""
    used: bool = False
    """Whether it was used since it came into its queue, or to the head of the main one."""


class Queues:
    """All values, in the order in which they came. Not for threads."""

    __slots__ = ('_lately', 'bytes', 'main', 'small', 'small_bytes')

    def __init__(self) -> None:
        """Start empty."""
        self.small: OrderedDict[Any, Held] = OrderedDict()
        self.main: OrderedDict[Any, Held] = OrderedDict()
        self.bytes = self.small_bytes = 0
        self._lately = _Lately()

    def __len__(self) -> int:
        """How many values there are."""
        return len(self.small) + len(self.main)

    def get(self, key: Any) -> Held | None:
        """What is held under a key, without counting it as used."""
        return self.small.get(key) or self.main.get(key)

    def put(self, key: Any, held: Held, old: Held | None) -> None:
        """Add a value, in place of an old one that was taken out."""
        self.bytes += held.size
        if self._lately.has_any and self._lately.take(key):
            self.main[key] = held
        else:
            # What is stored anew was asked for again.
            held.used = old is not None
            self.small[key] = held
            self.small_bytes += held.size

    def pop(self, key: Any, *, comes_back: bool = False) -> Held | None:
        """Take a value out. `comes_back` says that it is likely to come back, and has been there for a while."""
        held = self.small.pop(key, None)
        if held is not None:
            self.small_bytes -= held.size
            comes_back = comes_back and held.used
        else:
            held = self.main.pop(key, None)
            if held is None:
                return None
        if comes_back:
            self._lately.note(key, len(self) // 2)
        self.bytes -= held.size
        return held

    def next(self) -> Any:
        """The key to evict next. There must be one."""
        queue = self._queue()
        key = next(iter(queue))
        for _ in range(MAX_MOVED):
            if not queue[key].used:
                break
            self._move(key, queue)
            queue = self._queue()
            key = next(iter(queue))
        if queue is self.small:
            self._lately.note(key, (len(self.small) + len(self.main)) // 2)
        return key

    def _move(self, key: Any, queue: OrderedDict[Any, Held]) -> None:
        """Move a key to the end of the main queue, as unused."""
        held = queue.pop(key)
        held.used = False
        self.main[key] = held
        if queue is self.small:
            self.small_bytes -= held.size

    def _queue(self) -> OrderedDict[Any, Held]:
        """The queue that is evicted from."""
        return self.small if self.small_bytes * 10 >= self.bytes and self.small else self.main


class _Lately:
    """The keys that left lately, by their hashes: two keys of one hash only cost a place in the main queue."""

    __slots__ = ('_before', '_last', 'has_any')

    def __init__(self) -> None:
        self.has_any = False
        self._last: set[int] = set()
        self._before: set[int] = set()

    def note(self, key: Any, most: int) -> None:
        """Remember a key, for so many more at least, and for twice as many at most."""
        if len(self._last) >= most:
            self._before, self._last = self._last, set()
        self._last.add(hash(key))
        self.has_any = True

    def take(self, key: Any) -> bool:
        """Whether a key is remembered; it is forgotten."""
        it = hash(key)
        if it not in self._last and it not in self._before:
            return False
        self._last.discard(it)
        self._before.discard(it)
        return True
