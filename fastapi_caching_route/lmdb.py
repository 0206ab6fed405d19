"""`LMDBCache`: a cache of aiocache in a folder, for all processes of a machine, without a server."""

import asyncio
import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from aiocache.serializers import JsonSerializer
from typing_extensions import Doc

from fastapi_caching_route._backends.aiocache import SHORTEST, BaseCache
from fastapi_caching_route._backends.lmdb_environment import lmdb_module, map_size
from fastapi_caching_route._backends.lmdb_folder import checked_platform, default_folder
from fastapi_caching_route._backends.lmdb_store import LMDBStore
from fastapi_caching_route._backends.lmdb_table import Table, stored_key
from fastapi_caching_route._core.key import root_of
from fastapi_caching_route._core.owner import belongs
from fastapi_caching_route.errors import ConfigurationError

logger: logging.Logger = logging.getLogger('fastapi_caching_route')

LEAST = 256 * 1024
"""The smallest limit, in bytes: with less, the tables themselves would take most of it."""

CLEARED_AT_ONCE = 1000
"""How many keys a transaction deletes: about ten milliseconds, in which others wait."""


@dataclass(frozen=True, slots=True)
class LMDBStats:
    """The size and contents of an `LMDBCache`."""

    entries: int
    """Those that have expired count until they are freed."""
    bytes: int
    """Their size, with keys and tables."""
    max_bytes: int


class LMDBCache(BaseCache):
    """A cache of aiocache in a folder, for all processes of a machine, without a server; bounded in bytes.

        LMDBCache()
        LMDBCache('/var/cache/shop', max_bytes=1024 * 1024 * 1024)

    All processes that use one folder share what is stored: when an invalidation by one of them has returned, it is
    effective in all of them. Look-ups take a few microseconds and never wait. Each process writes in one thread. When
    the store is full, expired values are freed first; then, unused values are evicted.

    Only for processes of one machine that share their process ids: not for network file systems, and not across
    containers. Needs the extra `[lmdb]`.

    Raises:
        ConfigurationError: lmdb is not installed, or does not work on this platform; the folder is a symbolic link, or
            others may write to it; `max_bytes` is too small.

    """

    NAME: str = 'lmdb'

    def __init__(
        self,
        path: Annotated[
            str | os.PathLike[str] | None,
            Doc(
                'A folder, which is made if it is missing; only its owner may have access to it. By default, one in '
                'memory (`/dev/shm`) or among the temporary files, of this user and this working folder.'
            ),
        ] = None,
        *,
        max_bytes: Annotated[
            int, Doc('Bytes that all values may take together, with keys and tables. The file has up to 64 MiB more.')
        ] = 256 * 1024 * 1024,
        namespace: Annotated[str | None, Doc('The prefix of all keys.')] = None,
        ttl: Annotated[float | None, Doc('Seconds for values that are set without a ttl; None: forever.')] = None,
        serializer: Annotated[Any, Doc('For your own values; responses have a format of this library.')] = None,
        plugins: Annotated[Sequence[Any] | None, Doc('As in every cache of aiocache.')] = None,
        timeout: Annotated[float | None, Doc('Seconds for your own commands; responses use `store_timeout`.')] = 5,
    ) -> None:
        """Create the folder, or check the existing one."""
        checked_platform()
        lmdb_module()
        _check_bound(max_bytes)
        super().__init__(
            serializer=serializer or JsonSerializer(), plugins=plugins, namespace=namespace, ttl=ttl, timeout=timeout
        )
        self.path: Path = default_folder(map_size(max_bytes)) if path is None else Path(path)
        self.store: LMDBStore = LMDBStore(self.path, max_bytes)
        if path is None:
            logger.info('LMDBCache uses the folder %s', self.path)

    def stats(self) -> LMDBStats:
        """The entries that all processes store in the folder now, counted."""
        entries, taken = self.store.look(lambda table: (table.small + table.large, table.taken()))
        return LMDBStats(entries, taken, self.store.environment.max_bytes)

    async def _get(self, key: Any, encoding: str | None = 'utf-8', _conn: Any = None) -> Any:
        return _decoded(self.store.read([key])[0], encoding)

    async def _gets(self, key: Any, encoding: str | None = 'utf-8', _conn: Any = None) -> Any:
        return await self._get(key, encoding)

    async def _multi_get(self, keys: Sequence[Any], encoding: str | None = 'utf-8', _conn: Any = None) -> list[Any]:
        return [_decoded(it, encoding) for it in self.store.read(keys)]

    async def _set(
        self, key: Any, value: Any, ttl: float | None = None, _cas_token: Any = None, _conn: Any = None
    ) -> bool | int:
        raw = _bytes(value)
        if _cas_token is not None:
            swap = partial(_swapped, key=stored_key(key), expected=_bytes(_cas_token), value=raw, span=_span(ttl))
            return await self.store.write(swap, len(raw))
        return await self.store.put(key, raw, _span(ttl))

    async def _multi_set(self, pairs: Iterable[tuple[Any, Any]], ttl: float | None = None, _conn: Any = None) -> bool:
        return all([await self.store.put(key, _bytes(value), _span(ttl)) for key, value in pairs])

    async def _add(self, key: Any, value: Any, ttl: float | None = None, _conn: Any = None) -> bool:
        is_stored = await self.store.put(key, _bytes(value), _span(ttl), only_new=True)
        if not is_stored and await self._exists(key):
            msg = f'Key {key} already exists, use .set to update the value'  # aiocache's own words for it
            raise ValueError(msg)
        return is_stored

    async def _exists(self, key: Any, _conn: Any = None) -> bool:
        return bool(self.store.look(lambda table: table.ends_at(stored_key(key)) is not None))

    async def _increment(self, key: Any, delta: int, _conn: Any = None) -> int:
        total = await self.store.write(partial(_incremented, key=stored_key(key), delta=delta))
        if total is None:
            msg = 'Value is not an integer'
            raise TypeError(msg)
        return total

    async def _expire(self, key: Any, ttl: float | None, _conn: Any = None) -> bool:
        return await self.store.write(partial(_expiring, key=stored_key(key), span=_span(ttl)))

    async def _delete(self, key: Any, _conn: Any = None) -> int:
        return int(await self.store.delete(key))

    async def _clear(self, namespace: str | None = None, _conn: Any = None) -> bool:
        if not namespace:
            await asyncio.to_thread(self.store.environment.replace)
            return True
        for begin in {namespace, root_of(namespace)}:
            prefix = start = f'{begin}:'.encode()
            while start:
                clearing = partial(_cleared, namespace=namespace, prefix=prefix, start=start)
                start = await self.store.write(clearing, even_if_full=True)
        return True

    def _build_key(self, key: str, namespace: str | None = None) -> str:
        """Build keys as aiocache's `RedisCache` does: nobody can tell the end of a namespace without a separator."""
        namespace = self.namespace if namespace is None else namespace
        return f'{namespace}:{key}' if namespace else key

    async def _raw(self, command: str, *args: Any, encoding: Any = None, _conn: Any = None, **options: Any) -> Any:
        msg = f'LMDBCache has no raw commands, such as {command!r}'
        raise NotImplementedError(msg)

    async def _redlock_release(self, key: Any, value: Any) -> int:
        name, expected = stored_key(key), _bytes(value)
        return await self.store.write(lambda table: int(table.get(name) == expected and table.delete(name)))

    async def _close(self, *args: Any, _conn: Any = None, **options: Any) -> None:  # noqa: ARG002, aiocache's
        self.store.close()


def _check_bound(max_bytes: object) -> None:
    if not isinstance(max_bytes, int) or isinstance(max_bytes, bool) or max_bytes < LEAST:
        msg = f'max_bytes must be an integer, and at least {LEAST}, got {max_bytes!r}'
        raise ConfigurationError(msg)


def _bytes(value: Any) -> bytes:
    match value:
        case bytes():
            return value
        case str() | int() | float():
            return str(value).encode()
        case bytearray() | memoryview():
            return bytes(value)
        case _:
            msg = f'LMDBCache stores bytes and text: its serializer must not return {type(value).__name__}'
            raise TypeError(msg)


def _decoded(value: bytes | None, encoding: str | None) -> Any:
    return value if value is None or encoding is None else value.decode(encoding)


def _span(ttl: float | None) -> float | None:
    return max(ttl, SHORTEST) if ttl else None


def _swapped(table: Table, key: bytes, expected: bytes, value: bytes, span: float | None) -> int:
    if table.get(key) != expected:
        return 0
    table.put(key, value, span)
    return 1


def _incremented(table: Table, key: bytes, delta: int) -> int | None:
    """The new number under a key; None if there is something else."""
    try:
        total = int(table.get(key) or 0) + delta
    except ValueError:
        return None
    ends_at = table.ends_at(key)
    table.put(key, str(total).encode(), None if ends_at is None else ends_at - table.now)
    return total


def _expiring(table: Table, key: bytes, span: float | None) -> bool:
    value = table.get(key)
    if value is not None:
        table.put(key, value, span)
    return value is not None


def _cleared(table: Table, namespace: str, prefix: bytes, start: bytes) -> bytes:
    """Delete some of the keys with the prefix, if they are in the namespace; return where to go on, or nothing."""
    found = table.keys_from(prefix, CLEARED_AT_ONCE, start)
    for key in found:
        if belongs(key.decode(errors='replace'), table.get(key) or b'', namespace):
            table.delete(key)
    return found[-1] + b'\0' if found else b''
