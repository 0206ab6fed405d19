"""Records: bytes under keys that are changed in one step, so that no change is lost and nothing is used twice.

A record is written by `add`, where nothing is there, or by `swap`, where it is what the writer has read. So there are
no locks, and a writer that dies leaves nothing behind. A store outside of the process is asked over a link, with
time-outs and a breaker, as entries are; near copies, marks and journals of a cache have no part in it.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any, TypeVar, cast

from aiocache.backends.memory import SimpleMemoryBackend

from fastapi_caching_route._backends.aiocache import BaseCache
from fastapi_caching_route._backends.clients import (
    MAX_CONCURRENT,
    close,
    concurrency,
    look_for_nodes_after,
    may_be_cancelled,
    own_client,
)
from fastapi_caching_route._backends.drivers import Driver, ToSet
from fastapi_caching_route._backends.linked import LinkedBackend
from fastapi_caching_route._backends.lmdb_store import LMDBStore
from fastapi_caching_route._backends.outage import address_of, in_words
from fastapi_caching_route._backends.record_commands import (
    LMDBCommands,
    MemcachedCommands,
    MemoryCommands,
    RecordCommands,
    RedisCommands,
)
from fastapi_caching_route.errors import CacheError, ConfigurationError

T = TypeVar('T')

PROBE = '%records'


class StoreTroubleError(CacheError):
    """A store did not do what it was asked, or nobody knows whether it has."""


class RecordDriver:
    """Sends the commands for records of one event loop. See `Driver`."""

    __slots__ = ('address', 'client', 'commands', 'concurrency', 'is_ours', 'may_be_cancelled', 'sets_many')

    def __init__(self, commands: RecordCommands, client: Any, address: str, *, is_ours: bool) -> None:
        """Use a client, if there is one."""
        self.commands, self.client, self.address, self.is_ours = commands, client, address, is_ours
        self.concurrency: int = MAX_CONCURRENT if client is None else concurrency(client)
        self.may_be_cancelled: bool = client is None or may_be_cancelled(client)
        self.sets_many: bool = False

    def knows(self, key: str) -> bool:  # noqa: ARG002, see `Driver`
        """See `Driver`."""
        return False

    async def get_many(self, keys: Sequence[str]) -> Sequence[object]:
        """See `Driver`."""
        return await self.commands.get_many(keys)

    async def heads(self, keys: Sequence[str]) -> list[object]:
        """See `Driver`. Records are small."""
        return [*await self.commands.get_many(keys)]

    async def set(self, key: str, value: object, span: float) -> bool:
        """See `Driver`. Only probes do that."""
        return await self.commands.set(key, str(value).encode(), span)

    async def set_many(self, objects: Sequence[ToSet]) -> list[bool | Exception]:
        """See `Driver`."""
        return [await self.set(*it) for it in objects]

    async def add(self, key: str, value: object, span: float) -> bool:
        """See `Driver`."""
        return await self.commands.add(key, cast('bytes', value), span)

    async def delete(self, key: str) -> int:
        """See `Driver`."""
        return int(await self.commands.delete(key))

    async def erase(self, key: str) -> None:
        """See `Driver`."""
        await self.commands.delete(key)

    async def release(self, key: str, token: str) -> bool:  # noqa: ARG002, see `Driver`
        """See `Driver`. Nobody locks a record."""
        return False

    def failed(self, error: Exception) -> None:
        """See `Driver`."""
        look_for_nodes_after(error, self.client)

    async def close(self) -> None:
        """See `Driver`."""
        if self.is_ours:
            await close(self.client)


class Records:
    """The records in one backend."""

    __slots__ = ('_commands', '_linked', '_timeout', '_trouble', 'is_shared')

    def __init__(self, backend: BaseCache, timeout: float) -> None:
        """Open nothing yet. Each command may take `timeout` seconds.

        Raises:
            ConfigurationError: it is not known how this backend changes a record in one step.

        """
        self._timeout = timeout
        self._trouble = _errors_of_clients()
        self._commands: RecordCommands | None = None
        self._linked: LinkedBackend | None = None
        self.is_shared: bool = not _is_memory(backend)
        """Whether other processes may see the same records."""
        if not self.is_shared:
            self._commands = MemoryCommands(backend)
            return
        store, new_driver = getattr(backend, 'store', None), _new_driver(backend)
        self._linked = LinkedBackend(
            new_driver,
            timeout,
            probe_keys=[PROBE],
            weigh=lambda record: len(record) if isinstance(record, bytes) else 0,
            read_at_once=_read_at_once(backend, store) if isinstance(store, LMDBStore) else None,
        )
        self._linked.breaker.effect = 'requests that need a session or a state are answered with 503'

    async def get_many(self, *keys: str) -> list[bytes | None]:
        """The bytes under each key, or None.

        Raises:
            StoreTroubleError: the store does not tell.

        """
        if self._commands is not None:
            return await self._commands.get_many(keys)
        found, _ = await self._tried(cast('LinkedBackend', self._linked).get(keys, self._timeout))
        return [it if isinstance(it, bytes) else None for it in found]

    async def add(self, key: str, value: bytes, span: float) -> bool:
        """Store bytes if there is nothing under the key; return whether they were stored.

        Raises:
            StoreTroubleError: the store fails.

        """
        return await self._changed('writing', lambda commands: commands.add(key, value, span))

    async def swap(self, key: str, expected: bytes, value: bytes, span: float) -> bool:
        """Replace the bytes under a key if they are the expected ones; return whether they were.

        Of several that expect the same, one returns True.

        Raises:
            StoreTroubleError: the store fails. The bytes may have been replaced.

        """
        return await self._changed('writing', lambda commands: commands.swap(key, expected, value, span))

    async def delete(self, key: str) -> bool:
        """Delete a key; return whether there was something.

        Raises:
            StoreTroubleError: the store fails. The key may have been deleted.

        """
        return await self._changed('deleting', lambda commands: commands.delete(key))

    async def keys(self, prefix: str) -> AsyncGenerator[str, None]:
        """All keys with a prefix; none if the store cannot list them.

        Raises:
            StoreTroubleError: the store fails.

        """
        commands = self._commands or cast('RecordDriver', cast('LinkedBackend', self._linked).driver()).commands
        try:
            async for key in commands.keys(prefix):
                yield key
        except self._trouble as error:
            raise StoreTroubleError(in_words(error)) from error

    async def close(self) -> None:
        """Close the connections of this event loop; they are opened again when they are used."""
        if self._linked is not None:
            await self._linked.close()

    async def _changed(self, kind: Any, command: Callable[[RecordCommands], Awaitable[T]]) -> T:
        if self._commands is not None:
            return await command(self._commands)
        linked = cast('LinkedBackend', self._linked)
        sent = partial(_through, command)
        return await self._tried(linked.send(kind, sent, self._timeout))

    async def _tried(self, command: Awaitable[T]) -> T:
        try:
            return await command
        except self._trouble as error:
            raise StoreTroubleError(in_words(error)) from error


async def _through(command: Callable[[RecordCommands], Awaitable[T]], driver: Driver) -> T:
    return await command(cast('RecordDriver', driver).commands)


def _is_memory(backend: BaseCache) -> bool:
    """Whether a backend is one in memory whose commands run without a pause, because nobody has changed them."""
    is_one = isinstance(backend, SimpleMemoryBackend) or (hasattr(backend, 'peek') and hasattr(backend, 'remove'))
    commands: list[Any] = [getattr(type(backend), name) for name in ('_set', '_add', '_delete')]
    return is_one and all(it.__module__.startswith(('aiocache.', 'fastapi_caching_route.')) for it in commands)


def _new_driver(backend: BaseCache) -> Callable[[], RecordDriver]:
    """Makes drivers for a backend.

    Raises:
        ConfigurationError: it is none of those that are known.

    """
    store: Any = getattr(backend, 'store', None)
    if isinstance(store, LMDBStore):
        folder = str(store.environment.folder)
        return lambda: RecordDriver(LMDBCommands(backend, store), None, folder, is_ours=False)
    kinds: dict[str, Callable[[BaseCache, Any], RecordCommands]] = {
        'redis': RedisCommands,
        'memcached': MemcachedCommands,
    }
    kind = kinds.get(getattr(backend, 'NAME', ''))
    if kind is None:
        msg = (
            f'sessions and states need a store that changes a record in one step, and {type(backend).__name__} is not '
            'known to do that: use Redis, memcached, LMDBCache or MemoryCache'
        )
        raise ConfigurationError(msg)

    def new_driver() -> RecordDriver:
        ours = own_client(backend)
        client: Any = getattr(backend, 'client', None) if ours is None else ours
        return RecordDriver(kind(backend, client), client, address_of(client), is_ours=ours is not None)

    return new_driver


def _read_at_once(backend: BaseCache, store: LMDBStore) -> Callable[[Sequence[str]], list[object]]:
    commands = LMDBCommands(backend, store)
    return lambda keys: [*commands.read(keys)]


def _errors_of_clients() -> tuple[type[BaseException], ...]:
    """What says that a store is in trouble; anything else is a fault in code, and goes on."""
    known = [('redis.exceptions', 'RedisError'), ('aiomcache.exceptions', 'ClientException'), ('lmdb', 'Error')]
    found = [getattr(import_module(module), name) for module, name in known if find_spec(module.partition('.')[0])]
    return (OSError, TimeoutError, *found)
