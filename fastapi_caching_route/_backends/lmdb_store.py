"""Bytes under keys in LMDB, for all processes of a machine: look-ups at once, writes over a thread.

Knows keys, bytes and seconds. Does not know what they stand for.
"""

import asyncio
import os
import struct
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from threading import Lock
from typing import TypeVar
from weakref import WeakValueDictionary

from fastapi_caching_route._backends.lmdb_environment import Environment
from fastapi_caching_route._backends.lmdb_files import is_full
from fastapi_caching_route._backends.lmdb_folder import prepared
from fastapi_caching_route._backends.lmdb_table import END, VALUE, DamageError, Table, stored_key
from fastapi_caching_route._backends.lmdb_writer import LMDBWriter

T = TypeVar('T')

LARGEST = 4
"""A value may take one part in `LARGEST` of the store. More would evict nearly everything."""


class LMDBStore:
    """What is stored in one folder. All objects of a process that have the same folder share an environment."""

    __slots__ = ('damage', 'environment', 'writer')

    def __init__(self, folder: Path, max_bytes: int) -> None:
        """Check the folder; open it when it is used for the first time.

        Raises:
            ConfigurationError: the folder cannot be used, or lmdb is not installed.

        """
        self.writer: LMDBWriter = _writer_of(folder, max_bytes)
        self.environment: Environment = self.writer.environment
        self.damage: tuple[type[Exception], ...] = (self.environment.lmdb.Error, struct.error, DamageError)
        """What is raised where the files may be damaged."""

    def read(self, keys: Sequence[str]) -> list[bytes | None]:
        """The value under each key, or None; all of one moment. Waits for nobody."""
        return self.read_as(keys, bytes)

    def read_as(self, keys: Iterable[str], loads: Callable[[memoryview], T], *, uses: bool = True) -> list[T | None]:
        """What `loads` makes of the value under each key, or None. It must copy what it keeps of the given buffer.

        With `uses`, it counts as a use.
        """
        environment = self.environment
        found: list[T | None] = []
        with environment.lock:
            opened = environment.current()
            now, writer = time.time(), self.writer
            txn = environment.reading(opened, buffers=True)
            try:
                for key in keys:
                    name = stored_key(key)
                    raw = txn.get(VALUE + name)
                    if raw is None or END.unpack_from(raw)[0] <= now:
                        found.append(None)
                    else:
                        if uses and name not in writer.used:
                            writer.note(name)
                        found.append(loads(raw[END.size :]))
            except self.damage as error:
                environment.has_replaced(opened, error)
                raise
            finally:
                txn.abort()
        return found

    def look(self, operation: Callable[[Table], T]) -> T:
        """The result of an operation that writes nothing. Waits for nobody."""
        with self.environment.lock:
            opened = self.environment.current()
            txn = self.environment.reading(opened, buffers=False)
            try:
                return operation(Table(txn, time.time()))
            except self.damage as error:
                self.environment.has_replaced(opened, error)
                raise
            finally:
                txn.abort()

    async def write(self, operation: Callable[[Table], T], size: int = 0, *, even_if_full: bool = False) -> T:
        """The result of an operation that writes, see `LMDBWriter.run`."""
        return await self.writer.run(operation, size, even_if_full=even_if_full)

    async def put(
        self, key: str, value: bytes, span: float | None, *, only_new: bool = False, pinned: bool = False
    ) -> bool:
        """Store a value for `span` seconds, or forever if that is None. Return False if there is no room for it.

        With `only_new`, return False also if there is a value under the key. If `pinned`, it is not evicted.
        """
        if self._is_too_large(value):
            return False
        try:
            return await self.writer.run(
                partial(_put, key=stored_key(key), value=value, span=span, only_new=only_new, pinned=pinned), len(value)
            )
        except self.environment.lmdb.Error as error:
            if not is_full(error):
                raise
            return False

    async def put_all(self, values: Sequence[tuple[str, bytes, float]]) -> list[bool | Exception]:
        """Store values, as `put` does; what became of each of them."""
        puttings = [
            (partial(_put, key=stored_key(key), value=value, span=span), len(value))
            for key, value, span in values
            if not self._is_too_large(value)
        ]
        outcomes = iter(await asyncio.gather(*self.writer.begin(puttings), return_exceptions=True))
        return [not self._is_too_large(value) and self._outcome(next(outcomes)) for _, value, _ in values]

    def _is_too_large(self, value: bytes) -> bool:
        return len(value) > self.environment.max_bytes // LARGEST

    def _outcome(self, outcome: bool | BaseException) -> bool | Exception:  # noqa: FBT001, inside only
        """What became of a value: there was no room for it, or what an operation has returned or raised."""
        if isinstance(outcome, self.environment.lmdb.Error) and is_full(outcome):
            return False
        return outcome if isinstance(outcome, bool | Exception) else ConnectionError(str(outcome))

    async def delete(self, key: str) -> bool:
        """Delete a key; return whether there was a value."""
        return await self.writer.run(lambda table: table.delete(stored_key(key)), even_if_full=True)

    def close(self) -> None:
        """Close the files; they are opened again when they are used."""
        self.environment.close()


_writers: WeakValueDictionary[Path, LMDBWriter] = WeakValueDictionary()
_finding = Lock()


def _writer_of(folder: Path, max_bytes: int) -> LMDBWriter:
    """The writer to a folder, with its environment; the one that is there already if this process uses the folder."""
    os.close(prepared(folder))
    name = folder.resolve()
    with _finding:
        found = _writers.get(name)
        if found is None:
            found = _writers[name] = LMDBWriter(Environment(folder, max_bytes))
        return found


def _put(
    table: Table, key: bytes, value: bytes, span: float | None, *, only_new: bool = False, pinned: bool = False
) -> bool:
    if only_new and table.ends_at(key) is not None:
        return False
    table.put(key, value, span, pinned=pinned)
    return True
