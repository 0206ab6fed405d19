"""Look-ups in an LMDB store as each hit does one: a value, beside another one that rarely changes.

What was decoded before is not decoded again: it is recognized by its bytes, or by how they begin. Does not know what
the values stand for.
"""

import math
import struct
import time

from fastapi_caching_route._backends.codec import Codec
from fastapi_caching_route._backends.lmdb_store import LMDBStore
from fastapi_caching_route._backends.lmdb_table import END, VALUE, stored_key

_BEGIN = struct.Struct('<d16s')
"""When a value expires, and how its bytes begin. What is shorter is nothing of ours."""


class PairReader:
    """Reads values beside the one under a certain key. Threads may share it."""

    __slots__ = ('_beside', '_codec', '_ends_at', '_name', '_raw', '_store')

    def __init__(self, store: LMDBStore, codec: Codec, beside: str) -> None:
        """Read beside this key."""
        self._store = store
        self._codec = codec
        self._name = VALUE + stored_key(beside)
        self._raw: bytes | None = b''
        """The bytes beside, as they were decoded last. They are changed under the lock of the environment."""
        self._ends_at = -math.inf
        self._beside: object = None

    def read(self, key: str) -> tuple[object, object]:
        """What is under a key and beside it, or None; both of one moment. Waits for nobody."""
        store, name, now = self._store, stored_key(key), time.time()
        environment = store.environment
        with environment.lock:
            txn = environment.reading(environment.current(), buffers=True)
            try:
                raw, beside = txn.get(VALUE + name), txn.get(self._name)
                if self._raw != beside or self._ends_at <= now:
                    self._decode(beside, now)
                if raw is None or len(raw) < _BEGIN.size:
                    return None, self._beside
                ends_at, begin = _BEGIN.unpack_from(raw)
                if ends_at <= now:
                    return None, self._beside
                if name not in store.writer.used:
                    store.writer.note(name)
                found = self._codec.known.get((begin, len(raw) - END.size))
                return self._codec.loads(raw[END.size :]) if found is None else found, self._beside
            finally:
                txn.abort()

    def _decode(self, raw: memoryview | None, now: float) -> None:
        self._raw = None if raw is None else bytes(raw)
        self._ends_at = math.inf if raw is None else END.unpack_from(raw)[0]
        self._beside = None if raw is None or self._ends_at <= now else self._codec.loads(raw[END.size :])
