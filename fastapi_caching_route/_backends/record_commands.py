"""How each store changes bytes in one step: the memory of this process, LMDB, Redis, memcached.

Knows keys, bytes and seconds; does not know what the bytes stand for, nor what happens if a store is in trouble.
"""

import time
from collections.abc import AsyncGenerator, Sequence
from functools import partial
from typing import Any, Protocol

from fastapi_caching_route._backends.aiocache import SHORTEST, BaseCache
from fastapi_caching_route._backends.clients import look_for_nodes, pattern_of
from fastapi_caching_route._backends.lmdb_store import LMDBStore
from fastapi_caching_route._backends.lmdb_table import Table, stored_key

LISTED_AT_ONCE = 500

MAX_SPAN_IN_MEMCACHED = 30 * 86400
"""In seconds. memcached takes a larger number for a date."""

_SWAP = """
if redis.call('GET', KEYS[1]) == ARGV[1] then
    redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
    return 1
end
return 0
"""


class RecordCommands(Protocol):
    """The commands for records. Spans are in seconds; a store may keep a record a little longer."""

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """The bytes under each key, or None."""
        ...

    async def set(self, key: str, value: bytes, span: float) -> bool:
        """Store bytes, whatever is there; return False if there is no room."""
        ...

    async def add(self, key: str, value: bytes, span: float) -> bool:
        """Store bytes if there is nothing under the key; return whether they were stored."""
        ...

    async def swap(self, key: str, expected: bytes, value: bytes, span: float) -> bool:
        """Replace the bytes under a key if they are the expected ones; return whether they were."""
        ...

    async def delete(self, key: str) -> bool:
        """Delete a key; return whether there was something."""
        ...

    def keys(self, prefix: str) -> AsyncGenerator[str, None]:
        """All keys with a prefix; none where a store cannot list them."""
        ...


class RedisCommands:
    """Redis, Valkey, and clusters of them."""

    __slots__ = ('_backend', '_client')

    def __init__(self, backend: BaseCache, client: Any) -> None:
        """Send commands through this client."""
        self._backend, self._client = backend, client

    def _name(self, key: str) -> str:
        name: str = self._backend.build_key(key, namespace='')
        return name

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """See `RecordCommands`. In a cluster, keys are on several nodes."""
        get_all = getattr(self._client, 'mget_nonatomic', self._client.mget)
        found = await get_all([self._name(key) for key in keys])
        return [it.encode() if isinstance(it, str) else it for it in found]

    async def set(self, key: str, value: bytes, span: float) -> bool:
        """See `RecordCommands`."""
        return bool(await self._client.set(self._name(key), value, px=_milliseconds(span)))

    async def add(self, key: str, value: bytes, span: float) -> bool:
        """See `RecordCommands`."""
        return bool(await self._client.set(self._name(key), value, px=_milliseconds(span), nx=True))

    async def swap(self, key: str, expected: bytes, value: bytes, span: float) -> bool:
        """See `RecordCommands`."""
        return bool(await self._client.eval(_SWAP, 1, self._name(key), expected, value, _milliseconds(span)))

    async def delete(self, key: str) -> bool:
        """See `RecordCommands`."""
        return bool(await self._client.delete(self._name(key)))

    async def keys(self, prefix: str) -> AsyncGenerator[str, None]:
        """See `RecordCommands`."""
        look_for_nodes(self._client)
        before = len(self._name(prefix)) - len(prefix)
        async for name in self._client.scan_iter(match=pattern_of(self._name(prefix)), count=LISTED_AT_ONCE):
            text = name.decode(errors='replace') if isinstance(name, bytes) else str(name)
            yield text[before:]


class MemcachedCommands:
    """memcached: `gets` and `cas` change a record in one step."""

    __slots__ = ('_backend', '_client')

    def __init__(self, backend: BaseCache, client: Any) -> None:
        """Send commands through this client."""
        self._backend, self._client = backend, client

    def _name(self, key: str) -> bytes:
        name: Any = self._backend.build_key(key, namespace='')
        return name if isinstance(name, bytes) else str(name).encode()

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """See `RecordCommands`."""
        return [*await self._client.multi_get(*[self._name(key) for key in keys])]

    async def set(self, key: str, value: bytes, span: float) -> bool:
        """See `RecordCommands`."""
        return bool(await self._client.set(self._name(key), value, exptime=_ticks(span)))

    async def add(self, key: str, value: bytes, span: float) -> bool:
        """See `RecordCommands`."""
        return bool(await self._client.add(self._name(key), value, exptime=_ticks(span)))

    async def swap(self, key: str, expected: bytes, value: bytes, span: float) -> bool:
        """See `RecordCommands`."""
        found, unchanged = await self._client.gets(self._name(key))
        if found != expected or unchanged is None:
            return False
        return bool(await self._client.cas(self._name(key), value, unchanged, exptime=_ticks(span)))

    async def delete(self, key: str) -> bool:
        """See `RecordCommands`."""
        return bool(await self._client.delete(self._name(key)))

    async def keys(self, prefix: str) -> AsyncGenerator[str, None]:  # noqa: ARG002, see `RecordCommands`
        """See `RecordCommands`. It lists nothing."""
        return
        yield ''


class LMDBCommands:
    """LMDB: each command is one transaction."""

    __slots__ = ('_backend', '_store')

    def __init__(self, backend: BaseCache, store: LMDBStore) -> None:
        """Use the store of a backend, which others may use, too."""
        self._backend, self._store = backend, store

    def _name(self, key: str) -> str:
        name: str = self._backend.build_key(key, namespace='')
        return name

    def read(self, keys: Sequence[str]) -> list[bytes | None]:
        """The bytes under each key, or None; all of one moment. Waits for nobody."""
        return self._store.read([self._name(key) for key in keys])

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """See `RecordCommands`."""
        return self.read(keys)

    async def set(self, key: str, value: bytes, span: float) -> bool:
        """See `RecordCommands`."""
        return await self._store.put(self._name(key), value, max(span, SHORTEST))

    async def add(self, key: str, value: bytes, span: float) -> bool:
        """See `RecordCommands`."""
        return await self._store.put(self._name(key), value, max(span, SHORTEST), only_new=True)

    async def swap(self, key: str, expected: bytes, value: bytes, span: float) -> bool:
        """See `RecordCommands`."""
        swapping = partial(_swapped, key=stored_key(self._name(key)), expected=expected, value=value, span=span)
        return await self._store.write(swapping, len(value))

    async def delete(self, key: str) -> bool:
        """See `RecordCommands`."""
        return await self._store.delete(self._name(key))

    async def keys(self, prefix: str) -> AsyncGenerator[str, None]:
        """See `RecordCommands`."""
        start, begin = self._name(prefix).encode(), b''
        before = len(start) - len(prefix.encode())
        while page := self._store.look(partial(_page, prefix=start, begin=begin)):
            for name in page:
                yield name.decode(errors='replace')[before:]
            begin = page[-1] + b'\0'


def _page(table: Table, prefix: bytes, begin: bytes) -> list[bytes]:
    return table.keys_from(prefix, LISTED_AT_ONCE, begin)


def _swapped(table: Table, key: bytes, expected: bytes, value: bytes, span: float) -> bool:
    if table.get(key) != expected:
        return False
    table.put(key, value, max(span, SHORTEST))
    return True


class MemoryCommands:
    """The memory of this process: each command of aiocache's runs without a pause."""

    __slots__ = ('_backend',)

    def __init__(self, backend: BaseCache) -> None:
        """Use the backend itself."""
        self._backend: Any = backend

    def _name(self, key: str) -> Any:
        return self._backend.build_key(key, namespace='')

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """See `RecordCommands`."""
        found: list[bytes | None] = await self._backend._multi_get([self._name(key) for key in keys])
        return found

    async def set(self, key: str, value: bytes, span: float) -> bool:
        """See `RecordCommands`."""
        return bool(await self._backend._set(self._name(key), value, ttl=max(span, SHORTEST)))

    async def add(self, key: str, value: bytes, span: float) -> bool:
        """See `RecordCommands`."""
        try:
            return bool(await self._backend._add(self._name(key), value, ttl=max(span, SHORTEST)))
        except ValueError:  # how aiocache says that the key exists
            return False

    async def swap(self, key: str, expected: bytes, value: bytes, span: float) -> bool:
        """See `RecordCommands`."""
        name, ttl = self._name(key), max(span, SHORTEST)
        return bool(await self._backend._set(name, value, ttl=ttl, _cas_token=expected))

    async def delete(self, key: str) -> bool:
        """See `RecordCommands`."""
        return bool(await self._backend._delete(self._name(key)))

    async def keys(self, prefix: str) -> AsyncGenerator[str, None]:
        """See `RecordCommands`."""
        listed: Any = getattr(self._backend, 'keys', None)
        name = str(self._name(prefix))
        for key in listed() if listed is not None else [*self._backend._cache]:
            if str(key).startswith(name):
                yield str(key)[len(name) - len(prefix) :]


def _milliseconds(span: float) -> int:
    return max(1, int(span * 1000))


def _ticks(span: float) -> int:
    """A time to expire as memcached takes it: it counts whole ticks, and the first of them may end at once."""
    ticks = int(span) + 2
    return ticks if ticks < MAX_SPAN_IN_MEMCACHED else int(time.time()) + ticks
