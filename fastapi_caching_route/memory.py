"""`MemoryCache`: a cache of aiocache in the memory of this process, with a limit on its size.

Knows keys, sizes and times; knows nothing of responses. It belongs to no event loop and starts no timer: each command
that writes or deletes also frees a few expired values. So several event loops and threads may share one object.
"""

import math
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from heapq import heappop, heappush
from sys import getsizeof
from threading import RLock
from typing import Annotated, Any

from aiocache.serializers import NullSerializer
from msgspec import Struct
from typing_extensions import Doc

from fastapi_caching_route._backends.aiocache import BaseCache
from fastapi_caching_route._backends.eviction import Held, Queues
from fastapi_caching_route._concurrency.observers import AllObservers
from fastapi_caching_route.errors import ConfigurationError
from fastapi_caching_route.events import Evicted, EvictingStore

TABLE_BYTES = 310
"""How much memory an entry takes in our own tables, in addition to its key and value. Measured, see the tests."""

FREED_AT_ONCE = 16
"""How many expired entries one command frees: more than it can add, and too few to be noticed."""

FREED_BY_STATS = 10_000
"""How many expired entries `stats` frees before it counts, which takes some milliseconds."""

SPLIT = 64
"""How exactly expiry is tracked: a ttl is divided into about this many parts, and values are freed at the end of a
part."""


@dataclass(frozen=True, slots=True)
class MemoryStats:
    """The size of a `MemoryCache`, and counters since it was created."""

    entries: int
    bytes: int
    """An upper estimate of the memory that they take, with keys and tables."""
    hits: int
    misses: int
    evicted: int
    """How many were removed to make room."""
    expired: int
    """How many were freed because they had expired."""


class MemoryCache(BaseCache):
    """A cache of aiocache in the memory of this process, with a limit in bytes; the default of `FastAPICache()`.

    When it is full, values that are used again stay, however many others are used once. Expired values are freed even
    if they are never read again. The time of a command does not depend on the number of values. Values are returned as
    they were set, not copied.

    Raises:
        ConfigurationError: a limit is not positive.

    """

    NAME: str = 'memory'

    def __init__(
        self,
        *,
        max_bytes: Annotated[int, Doc('Bytes that all entries may take together, with headers, keys and tables.')] = 64
        * 1024
        * 1024,
        max_entries: Annotated[int | None, Doc('How many entries are kept at most; None for no limit.')] = None,
        clock: Annotated[Callable[[], float], Doc('Returns seconds, and never goes back.')] = time.monotonic,
        namespace: Annotated[str | None, Doc('The prefix of all keys.')] = None,
        ttl: Annotated[float | None, Doc('Seconds for values that are set without a ttl; None: forever.')] = None,
        serializer: Annotated[Any, Doc('As in every cache of aiocache; by default, values are not serialized.')] = None,
        plugins: Annotated[Sequence[Any] | None, Doc('As in every cache of aiocache.')] = None,
    ) -> None:
        """Start empty."""
        _check_bound('max_bytes', max_bytes)
        if max_entries is not None:
            _check_bound('max_entries', max_entries)
        super().__init__(
            serializer=serializer or NullSerializer(), plugins=plugins, namespace=namespace, ttl=ttl, timeout=None
        )
        self.max_bytes = max_bytes
        self.max_entries = max_entries
        self._clock = clock
        self._queues = Queues()
        self._small, self._main = self._queues.small, self._queues.main
        self._ending: dict[int, set[Any]] = {}
        """The keys that expire in each part of time, by the end of that part."""
        self._parts: list[int] = []
        """A heap of those ends; some parts may have no keys left."""
        self._hits = self._misses = self._evicted = self._expired = 0
        self._lock = RLock()
        self.observers: AllObservers = AllObservers()
        """Of the caches that use it: they are told of evictions."""
        self.told_as: EvictingStore = 'memory'

    def stats(self) -> MemoryStats:
        """The size now, and the counters so far."""
        with self._lock:
            self._free_ended(FREED_BY_STATS)
            held, taken = len(self._queues), self._queues.bytes
            return MemoryStats(held, taken, self._hits, self._misses, self._evicted, self._expired)

    def read(self, key: Any) -> Any:
        """The value under a key, as it was set, or None."""
        with self._lock:  # else another thread might count a hit at the same time
            held = self._small.get(key)
            if held is None:
                held = self._main.get(key)
            if held is not None and held.ends_at > self._clock():
                held.used = True
                self._hits += 1
                return held.value
            if held is not None:
                self._expired += self._drop(key, comes_back=True) is not None
            self._misses += 1
            return None

    def write(self, key: Any, value: Any, span: float | None, size: int | None = None) -> bool:
        """Store a value for `span` seconds, or forever if that is None. Return False if it is larger than the limit.

        `size` is its size in bytes, if the caller knows it.
        """
        span = span if span is not None and span < math.inf else None
        size = (size_of(value) if size is None else size) + getsizeof(key) + TABLE_BYTES
        with self._lock:
            old = self._drop(key, comes_back=True) if key in self._small or key in self._main else None
            queues, most, now = self._queues, self.max_entries, self._clock()
            if self._parts and self._parts[0] <= now:
                self._free_ended(FREED_AT_ONCE)
            if size > self.max_bytes:
                return False
            evicted: list[Held | None] = []
            while queues.bytes + size > self.max_bytes or (most is not None and len(queues) >= most):
                evicted.append(self._drop(queues.next()))
            self._evicted += len(evicted)
            ends_at = math.inf if span is None else now + span
            queues.put(key, Held(value, size, ends_at, self._note_end(key, ends_at, span)), old)
        for it in evicted:  # behind the lock, since observers are the user's
            self.observers.tell_of(Evicted(store=self.told_as, bytes=0 if it is None else it.size))
        return True

    def _note_end(self, key: Any, ends_at: float, span: float | None) -> int:
        """Put the key into its part of time. A part lasts about 1/`SPLIT` of the ttl, so there are never many parts."""
        if span is None:
            return -1
        width = 1 << int(span / SPLIT).bit_length()
        part = math.ceil(ends_at / width) * width
        keys = self._ending.get(part)
        if keys is None:
            keys = self._ending[part] = set()
            heappush(self._parts, part)
        keys.add(key)
        return part

    def _free_ended(self, most: int) -> None:
        now = self._clock()
        while self._parts and self._parts[0] <= now and most > 0:
            keys = self._ending.get(self._parts[0])
            if not keys:
                self._ending.pop(heappop(self._parts), None)
                continue
            self._drop(keys.pop(), comes_back=True)
            self._expired += 1
            most -= 1

    def _drop(self, key: Any, *, comes_back: bool = False) -> Held | None:
        held = self._queues.pop(key, comes_back=comes_back)
        if held is not None and held.part >= 0:
            self._ending[held.part].discard(key)
        return held

    def remove(self, key: Any) -> int:
        """Delete a key; return how many keys were deleted (0 or 1)."""
        with self._lock:
            self._free_ended(FREED_AT_ONCE)
            return int(self._drop(key) is not None)

    def keys(self) -> list[Any]:
        """All keys now, in no order; some may have expired."""
        with self._lock:
            return [*self._small, *self._main]

    # The interface that aiocache calls:

    async def _get(self, key: Any, encoding: Any = None, _conn: Any = None) -> Any:  # noqa: ARG002, aiocache's
        return self.read(key)

    async def _gets(self, key: Any, encoding: Any = None, _conn: Any = None) -> Any:  # noqa: ARG002, aiocache's
        return self.read(key)

    async def _multi_get(self, keys: Sequence[Any], encoding: Any = None, _conn: Any = None) -> list[Any]:  # noqa: ARG002, aiocache's
        return [self.read(key) for key in keys]

    async def _set(
        self,
        key: Any,
        value: Any,
        ttl: float | None = None,
        _cas_token: Any = None,
        _conn: Any = None,
    ) -> bool | int:
        with self._lock:
            if _cas_token is not None and _cas_token != self.peek(key):
                return 0
            return self.write(key, value, ttl or None)

    async def _multi_set(self, pairs: Iterable[tuple[Any, Any]], ttl: float | None = None, _conn: Any = None) -> bool:
        return all([self.write(key, value, ttl or None) for key, value in pairs])  # noqa: C419, set all of them

    async def _add(self, key: Any, value: Any, ttl: float | None = None, _conn: Any = None) -> bool:
        with self._lock:
            if await self._exists(key):
                msg = f'Key {key} already exists, use .set to update the value'  # aiocache's own words for it
                raise ValueError(msg)
            return self.write(key, value, ttl or None)

    async def _exists(self, key: Any, _conn: Any = None) -> bool:
        with self._lock:
            held = self._queues.get(key)
            return held is not None and held.ends_at > self._clock()

    async def _increment(self, key: Any, delta: int, _conn: Any = None) -> int:
        with self._lock:
            held = self._queues.get(key)
            span = None if held is None or held.ends_at == math.inf else max(held.ends_at - self._clock(), 0.0)
            try:
                total = int(self.peek(key) or 0) + delta
            except ValueError:
                msg = 'Value is not an integer'
                raise TypeError(msg) from None
            self.write(key, total, span or None)
            return total

    async def _expire(self, key: Any, ttl: float | None, _conn: Any = None) -> bool:
        with self._lock:
            return await self._exists(key) and self.write(key, self.peek(key), ttl or None)

    async def _delete(self, key: Any, _conn: Any = None) -> int:
        return self.remove(key)

    async def _clear(self, namespace: str | None = None, _conn: Any = None) -> bool:
        with self._lock:
            for key in [key for key in (*self._small, *self._main) if str(key).startswith(namespace or '')]:
                self._drop(key)
        return True

    async def _raw(self, command: str, *args: Any, encoding: Any = None, _conn: Any = None, **options: Any) -> Any:
        msg = f'MemoryCache has no raw commands, such as {command!r}'
        raise NotImplementedError(msg)

    async def _redlock_release(self, key: Any, value: Any) -> int:
        with self._lock:
            return self.remove(key) if self.peek(key) == value else 0

    def peek(self, key: Any) -> Any:
        """The value under a key, without counting it as used."""
        held = self._queues.get(key)
        return None if held is None or held.ends_at <= self._clock() else held.value


def _check_bound(option: str, bound: object) -> None:
    if not isinstance(bound, int | float) or isinstance(bound, bool) or not bound > 0:
        msg = f'{option} must be a number above 0, got {bound!r}'
        raise ConfigurationError(msg)


def size_of(value: Any) -> int:
    """The size of a value in bytes, with everything that it refers to, even if other values share that."""
    size, seen, left = 0, set(), [value]
    while left:
        it = left.pop()
        if it is None or isinstance(it, bool):
            continue
        size += getsizeof(it)
        if isinstance(it, (bytes, str, int, float)) or id(it) in seen:
            continue
        seen.add(id(it))
        if isinstance(it, memoryview):
            size += it.nbytes
        elif isinstance(it, Mapping):
            left.extend(it.keys())
            left.extend(it.values())
        elif isinstance(it, Collection):
            left.extend(it)
        elif is_dataclass(it):
            left.extend(getattr(it, field.name) for field in fields(it))
        elif isinstance(it, Struct):
            left.extend(getattr(it, name) for name in it.__struct_fields__)
        else:
            left.extend(getattr(it, '__dict__', {}).values())
    return size
