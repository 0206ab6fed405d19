"""Look-ups in an LMDB store as each hit does one: a value, beside another one that rarely changes.

What was decoded before is not decoded again: it is recognized by its bytes, or by how they begin. While nobody has
written, by the number of the last transaction, it is not even read again. Does not know what the values stand for.
"""

import math
import struct
import time
from typing import Any, NamedTuple

from fastapi_caching_route._backends.codec import Codec
from fastapi_caching_route._backends.lmdb_store import LMDBStore
from fastapi_caching_route._backends.lmdb_table import END, VALUE, stored_key

_BEGIN = struct.Struct('<d16s')
"""When a value expires, and how its bytes begin. What is shorter is nothing of ours."""

MAX_SEEN = 2000
"""For how many values is remembered where they were seen last, at some two hundred bytes each."""


class _Seen(NamedTuple):
    """A value, as one state of the store has it."""

    ends_at: float
    name: bytes
    known: tuple[bytes, int]
    """What stands for it among those that the codec knows."""


class PairReader:
    """Reads values beside the one under a certain key. Threads may share it."""

    __slots__ = ('_beside', '_codec', '_ends_at', '_name', '_raw', '_seen', '_state', '_store')

    def __init__(self, store: LMDBStore, codec: Codec, beside: str) -> None:
        """Read beside this key."""
        self._store = store
        self._codec = codec
        self._name = VALUE + stored_key(beside)
        self._state: tuple[int, int] = (0, 0)
        """Which state of which files was read last. All that follows is changed under the lock of the environment."""
        self._seen: dict[str, _Seen] = {}
        """What was read in that state. Nothing of it has changed while the state is the same."""
        self._raw: bytes | None = b''
        """The bytes beside, as they were decoded last."""
        self._ends_at = -math.inf
        self._beside: object = None

    def read_beside(self) -> object:
        """What is beside, or None. Waits for nobody."""
        return self.read(None)[1]

    def read(self, key: str | None) -> tuple[object, object]:
        """What is under a key and beside it, or None; both of one moment. Waits for nobody."""
        store, now = self._store, time.time()
        environment = store.environment
        with environment.lock:
            opened = environment.current()
            txn = environment.reading(opened, buffers=True)
            try:
                if self._state != (opened.number, txn.id()) or now >= self._ends_at:
                    self._look_beside(txn, opened.number, now)
                seen = None if key is None else self._seen.get(key)
                if seen is not None and seen.ends_at > now:
                    found = self._codec.known.get(seen.known)
                    if found is not None:
                        if seen.name not in store.writer.used:
                            store.writer.note(seen.name)
                        return found, self._beside
                return self._looked_up(txn, key, now), self._beside
            except store.damage as error:
                environment.has_replaced(opened, error)
                raise
            finally:
                txn.abort()

    def _looked_up(self, txn: Any, key: str | None, now: float) -> object:
        if key is None:
            return None
        name, codec = stored_key(key), self._codec
        raw = txn.get(VALUE + name)
        if raw is None or len(raw) < _BEGIN.size:
            return None
        ends_at, begin = _BEGIN.unpack_from(raw)
        if ends_at <= now:
            return None
        if name not in self._store.writer.used:
            self._store.writer.note(name)
        known = begin, len(raw) - END.size
        if len(self._seen) >= MAX_SEEN:
            self._seen.clear()
        self._seen[key] = _Seen(ends_at, name, known)
        found = codec.known.get(known)
        return codec.loads(raw[END.size :]) if found is None else found

    def _look_beside(self, txn: Any, number: int, now: float) -> None:
        """Begin with another state; decode what is beside, unless it is the same still."""
        beside = txn.get(self._name)
        if self._raw != beside or self._ends_at <= now:
            self._decode(beside, now)
        self._seen.clear()
        self._state = number, txn.id()

    def _decode(self, raw: memoryview | None, now: float) -> None:
        self._raw = None if raw is None else bytes(raw)
        self._ends_at = math.inf if raw is None else END.unpack_from(raw)[0]
        self._beside = None if raw is None or self._ends_at <= now else self._codec.loads(raw[END.size :])
