"""Bodies in memory for entries that are kept compressed: the plain ones, and those that are being compressed.

Does not know clients.
"""

import asyncio
from functools import partial
from threading import RLock
from weakref import ref

from msgspec.structs import replace

from fastapi_caching_route._core.codings import UndecodableError
from fastapi_caching_route._core.entry import Entry
from fastapi_caching_route._store.compressed import compressed
from fastapi_caching_route.compression import Compression

DECODED_IN_THE_LOOP = 64 * 1024
"""Bytes that are decoded while the event loop waits, in less than a millisecond."""

MAX_DECODED_BYTES = 8 * 1024 * 1024
"""How many bytes of plain bodies are remembered, or the last one: most clients accept what is kept."""


class PlainBodies:
    """The plain bodies that were decoded last, as long as there is the entry of each. Threads may share them."""

    __slots__ = ('_bytes', '_found', '_lock', 'limit')

    def __init__(self) -> None:
        """None has been decoded."""
        self._found: dict[str, tuple[ref[Entry], bytes]] = {}
        self._bytes = 0
        self._lock = RLock()  # an entry may end while one is kept
        self.limit: int = 0
        """The largest `max_body_size` of all routes: nothing larger is decoded, whatever an entry says."""

    async def get(self, entry: Entry, limit: int | None = None) -> bytes | None:
        """The plain body of an entry; None if it cannot be decoded, or would be more than `limit` bytes."""
        body = self.at_once(entry, limit)
        if body is not None or not DECODED_IN_THE_LOOP < entry.body_bytes <= self._most(limit):
            return body
        return await asyncio.get_running_loop().run_in_executor(None, self._decoded, entry)

    def at_once(self, entry: Entry, limit: int | None = None) -> bytes | None:
        """The same, or None if that takes longer."""
        coded = entry.coded
        if coded is None or not coded.coding:
            return entry.content
        known = self._found.get(entry.key)
        if known is not None and known[0]() is entry:
            return known[1]
        return self._decoded(entry) if coded.body_bytes <= min(self._most(limit), DECODED_IN_THE_LOOP) else None

    def _most(self, limit: int | None) -> int:
        return self.limit if limit is None else limit

    def _decoded(self, entry: Entry) -> bytes | None:
        try:
            body = entry.body
        except UndecodableError:
            return None
        with self._lock:
            self._drop(entry.key)
            self._found[entry.key] = ref(entry, partial(self._ended, entry.key)), body
            self._bytes += len(body)
            while self._bytes > MAX_DECODED_BYTES and len(self._found) > 1:
                self._drop(next(iter(self._found)))
        return body

    def _ended(self, key: str, entry: 'ref[Entry]') -> None:
        with self._lock:
            if self._found.get(key, (None, b''))[0] is entry:
                self._drop(key)

    def _drop(self, key: str) -> None:
        known = self._found.pop(key, None)
        self._bytes -= 0 if known is None else len(known[1])


class CodedEntries:
    """Entries that are compressed: each content once, as long as there is an entry with it."""

    __slots__ = ('_found',)

    def __init__(self) -> None:
        """None has been compressed."""
        self._found: dict[tuple[int, int], tuple[ref[Entry], asyncio.Task[Entry | None]]] = {}

    async def get(self, compression: Compression, entry: Entry) -> Entry:
        """The entry with its content compressed; itself if that would not make it smaller."""
        loop = asyncio.get_running_loop()
        # Not that of the entry: the first client, its followers and the store may have it with other headers or marks.
        name = id(entry.content), id(loop)
        known = self._found.get(name)
        first = None if known is None else known[0]()
        if known is None or first is None or first.content is not entry.content:
            forget = partial(self._forget, name)
            known = ref(entry, forget), loop.create_task(_smaller(compression, entry))
            self._found[name] = known
        smaller = await asyncio.shield(known[1])  # others wait for it, too
        return entry if smaller is None else replace(entry, content=smaller.content, coded=smaller.coded)

    def _forget(self, name: tuple[int, int], entry: 'ref[Entry]') -> None:
        if (known := self._found.get(name)) is not None and known[0] is entry:
            del self._found[name]


async def _smaller(compression: Compression, entry: Entry) -> Entry | None:
    """The entry compressed, or None: what is remembered for an entry must not keep it in memory."""
    smaller = await compressed(compression, entry)
    return None if smaller is entry else smaller
