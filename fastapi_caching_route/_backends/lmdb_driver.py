"""The driver of an LMDB store. What is in it is read at once; what is written takes a thread."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

from fastapi_caching_route._backends.clients import MAX_CONCURRENT
from fastapi_caching_route._backends.codec import Codec, dumped
from fastapi_caching_route._backends.drivers import ToSet
from fastapi_caching_route._backends.journal import JournalHead, Tail
from fastapi_caching_route._backends.lmdb_journal import LMDBJournal
from fastapi_caching_route._backends.lmdb_pairs import PairReader
from fastapi_caching_route._backends.lmdb_store import LMDBStore
from fastapi_caching_route._backends.lmdb_table import Table, stored_key


class LMDBBackend(Protocol):
    """What a driver uses of an `LMDBCache`."""

    @property
    def store(self) -> LMDBStore:
        """Where its values are."""


class LMDBDriver:
    """Sends commands to an LMDB store, with our codec. See `Driver`."""

    __slots__ = ('_codec', '_readers', '_store', 'address', 'concurrency', 'is_ours', 'may_be_cancelled', 'sets_many')

    def __init__(self, backend: LMDBBackend, codec: Codec) -> None:
        """Use the store of a backend, which others may use, too."""
        self._store = backend.store
        self._codec = codec
        self._readers: dict[str, PairReader] = {}
        """They remember what is under a key beside which others are read."""
        self.address: str = str(backend.store.environment.folder)
        self.concurrency: int = MAX_CONCURRENT
        self.is_ours: bool = False
        self.sets_many: bool = True
        self.may_be_cancelled: bool = True
        """What waits for its transaction is dropped then, and nothing else is disturbed."""

    def read_at_once(self, keys: Sequence[str]) -> list[object]:
        """The object under each key, or None; all of one moment."""
        if len(keys) == 1 and (reader := self._readers.get(keys[0])) is not None:
            return [reader.read_beside()]
        return self._store.read_as(keys, self._codec.loads)

    def reading_beside(self, key: str) -> Callable[[str], tuple[object, object]]:
        """A function that returns the objects under a given key and under this one, or None; both of one moment."""
        return self._readers.setdefault(key, PairReader(self._store, self._codec, key)).read

    def knows(self, key: str) -> bool:  # noqa: ARG002, see `Driver`
        """See `Driver`. Nothing is sent."""
        return True

    def keys_after(self, prefix: str, after: str, most: int) -> list[str]:
        """The next keys with a prefix, at most so many, in their order."""
        start = after.encode() + b'\0' if after else prefix.encode()
        found = self._store.look(lambda table: table.keys_from(prefix.encode(), most, start))
        return [it.decode(errors='replace') for it in found]

    async def get_many(self, keys: Sequence[str]) -> Sequence[object]:
        """See `Driver`."""
        return self.read_at_once(keys)

    async def heads(self, keys: Sequence[str]) -> list[object]:
        """See `Driver`. They do not count as used."""
        return self._store.read_as(keys, lambda raw: self._codec.loads_head(raw, len(raw)), uses=False)

    async def set(self, key: str, value: object, span: float) -> bool:
        """See `Driver`."""
        return await self._store.put(key, self._bytes(value), span)

    async def set_many(self, objects: Sequence[ToSet]) -> list[bool | Exception]:
        """See `Driver`."""
        raws = [dumped(value, self._bytes) for _, value, _ in objects]
        given = [(it[0], raw, it[2]) for it, raw in zip(objects, raws, strict=True) if isinstance(raw, bytes)]
        outcomes = iter(await self._store.put_all(given))
        return [next(outcomes) if isinstance(raw, bytes) else raw for raw in raws]

    async def add(self, key: str, value: object, span: float) -> bool:
        """See `Driver`. It is not evicted: it may be the token of a lock."""
        return await self._store.put(key, self._bytes(value), span, only_new=True, pinned=True)

    async def delete(self, key: str) -> int:
        """See `Driver`."""
        return int(await self._store.delete(key))

    async def erase(self, key: str) -> None:
        """See `Driver`."""
        await self._store.delete(key)

    async def release(self, key: str, token: str) -> bool:
        """See `Driver`."""
        releasing = partial(_released, key=stored_key(key), value=self._bytes(token))
        return bool(await self._store.write(releasing, even_if_full=True))

    def journal_at_once(self, key: str, known: JournalHead | None) -> Tail | None:
        """What a journal has behind a head; None if a new epoch has to begin first."""
        return self._store.look(lambda table: LMDBJournal(table, key, self._codec).since(known))

    async def journal(self, key: str, known: JournalHead | None, texts: Sequence[str], note: str) -> Tail:
        """See `Journals`. What is appended is stored even if the store is full."""
        tail = None if texts else self.journal_at_once(key, known)
        if tail is not None:
            return tail
        return await self._store.write(
            lambda table: LMDBJournal(table, key, self._codec).write(known, texts, note), even_if_full=True
        )

    def failed(self, error: Exception) -> None:
        """See `Driver`."""

    async def close(self) -> None:
        """See `Driver`."""

    def _bytes(self, value: object) -> bytes:
        raw: Any = self._codec.dumps(value)
        return raw.encode() if isinstance(raw, str) else bytes(raw)


def _released(table: Table, key: bytes, value: bytes) -> int:
    """Delete a key if it has this value; return how many keys were deleted."""
    return int(table.get(key) == value and table.delete(key))
