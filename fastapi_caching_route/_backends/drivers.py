"""What a link sends commands by, and how that is done over a backend of aiocache.

Knows client libraries and their limits, each of which gives some commands in its own way. Knows neither time-outs nor
breakers.
"""

import copy
import math
import os
from collections.abc import Sequence
from typing import Any, Protocol

from fastapi_caching_route._backends.aiocache import SHORTEST, BaseCache
from fastapi_caching_route._backends.clients import MAX_CONCURRENT, close, concurrency, may_be_cancelled, own_client
from fastapi_caching_route._backends.outage import address_of

MAX_SPAN_IN_MEMCACHED = 30 * 86400
"""Seconds; it takes more for a date."""


class Driver(Protocol):
    """What a link sends commands by. Objects of ours in and out, spans in seconds; what is raised is trouble."""

    concurrency: int
    """How many commands it bears at a time."""
    address: str
    """Where it sends them, for the log; empty if that is not known."""
    is_ours: bool
    """Whether nobody else uses its client: then it is closed with its event loop, and when it hangs."""
    may_be_cancelled: bool
    """Whether it stays in step when a command is cancelled."""

    async def get_many(self, keys: Sequence[str]) -> Sequence[object]:
        """What is under each key, or None."""
        ...

    async def set(self, key: str, value: object, span: float) -> bool:
        """Keep it, or a little longer where only whole seconds count; whether it is kept."""
        ...

    async def add(self, key: str, value: object, span: float) -> bool:
        """The same, but only where there is nothing yet."""
        ...

    async def delete(self, key: str) -> int:
        """How many keys were deleted; 0 also where there is no such command."""
        ...

    async def erase(self, key: str) -> None:
        """Delete a key, for certain."""
        ...

    async def release(self, key: str, token: str) -> None:
        """Delete a key, if this token is there; in one step where the store can do that."""
        ...

    async def close(self) -> None:
        """Close the client, if it is ours."""
        ...


class Codec(Protocol):
    """Our format of what is stored, as aiocache calls a serializer."""

    encoding: str | None

    def dumps(self, value: Any) -> Any:
        """The bytes of something to be stored."""
        ...

    def loads(self, value: Any) -> Any:
        """What stored bytes stand for, or None."""
        ...


class AiocacheDriver:
    """Sends commands by a copy of a backend, with our codec and, where we can build one, a client of our own."""

    __slots__ = ('_backend', '_codec', '_reads_itself', 'address', 'concurrency', 'is_ours', 'may_be_cancelled')

    def __init__(self, backend: BaseCache, codec: Codec) -> None:
        """Nothing is opened yet."""
        ours: Any = copy.copy(backend)
        ours.serializer = codec
        ours.plugins = [_Plugin(it, backend) for it in backend.plugins]
        ours.timeout = None  # aiocache would cancel what takes longer
        client = own_client(backend)
        if client is not None:
            ours.client = client
        self._backend = ours
        self._codec = codec
        self._reads_itself = type(backend).multi_get is BaseCache.multi_get and not backend.plugins
        """Whether many keys are read by the backend's own command: not where plugins or a subclass have a part in it."""
        self.is_ours: bool = client is not None
        used: Any = getattr(ours, 'client', None)
        self.address: str = address_of(used)
        self.concurrency: int = concurrency(used)
        self.may_be_cancelled: bool = may_be_cancelled(used)

    async def get_many(self, keys: Sequence[str]) -> Sequence[object]:
        """See `Driver`."""
        if not self._reads_itself:
            found: Sequence[object] = await self._backend.multi_get(keys, namespace='')
        elif os.environ.get('AIOCACHE_DISABLE') == '1':  # as aiocache does it
            found = ()
        else:
            names = [self._backend.build_key(key, namespace='') for key in keys]
            found = [self._codec.loads(it) for it in await self._backend._multi_get(names, encoding=None)]
        return found or [None] * len(keys)

    async def set(self, key: str, value: object, span: float) -> bool:
        """See `Driver`."""
        return bool(await self._backend.set(key, value, ttl=accepted_ttl(self._backend, span), namespace=''))

    async def add(self, key: str, value: object, span: float) -> bool:
        """See `Driver`."""
        try:
            return bool(await self._backend.add(key, value, ttl=accepted_ttl(self._backend, span), namespace=''))
        except ValueError:  # by which aiocache says that there is something
            return False

    async def delete(self, key: str) -> int:
        """See `Driver`."""
        try:
            return int(await self._backend.delete(key, namespace=''))
        except NotImplementedError:  # a backend needs no such command
            return 0

    async def erase(self, key: str) -> None:
        """See `Driver`."""
        await self._backend.delete(key, namespace='')

    async def release(self, key: str, token: str) -> None:
        """See `Driver`."""
        client: Any = getattr(self._backend, 'client', None)
        stored = self._codec.dumps(token)
        if hasattr(client, 'eval'):  # Redis
            await self._backend._redlock_release(key, stored)
        elif hasattr(client, 'gets') and hasattr(client, 'cas'):  # memcached
            name = key.encode()
            found, unchanged = await client.gets(name)
            if found == stored and await client.cas(
                name, b'', unchanged
            ):  # it is ours, and nobody can add one any more
                await client.delete(name)
        elif await self._backend.get(key, namespace='') == token:
            await self._backend.delete(key, namespace='')

    async def close(self) -> None:
        """See `Driver`."""
        if self.is_ours:
            await close(self._backend.client)


def accepted_ttl(backend: BaseCache, span: float) -> float:
    """The span as the backend takes it: in memcached rounded up, since it counts in ticks and the first may be over at once."""
    if getattr(backend, 'NAME', '') == 'memcached':
        return min(math.ceil(span) + 1, MAX_SPAN_IN_MEMCACHED)
    return max(float(span), SHORTEST)


class _Plugin:
    """A plugin of aiocache that is called with the backend of the user, on which it counts, and not with our copy."""

    def __init__(self, plugin: Any, backend: BaseCache) -> None:
        """Call this plugin with this backend."""
        self._plugin = plugin
        self._backend = backend

    def __getattr__(self, hook: str) -> Any:
        """A hook, like `post_get`, without the backend that it will be given."""
        called = getattr(self._plugin, hook)
        return lambda _, *args, **options: called(self._backend, *args, **options)


class InProcessDriver:
    """Sends commands to a backend in this process, without a codec: entries cannot be changed, so they are kept as they are.

    The backend is not copied, since `clear()` of aiocache's gives the original a new dict of which a copy would not hear.
    """

    __slots__ = ('_backend', 'address', 'concurrency', 'is_ours', 'may_be_cancelled')

    def __init__(self, backend: BaseCache) -> None:
        """There is nothing to open."""
        self._backend: Any = backend
        self.address: str = ''
        self.concurrency: int = MAX_CONCURRENT
        self.is_ours: bool = False
        self.may_be_cancelled: bool = True

    async def get_many(self, keys: Sequence[str]) -> Sequence[object]:
        """See `Driver`."""
        found: Sequence[object] = await self._backend.multi_get(keys, namespace='', loads_fn=_as_it_is, timeout=None)
        return found or [None] * len(keys)  # none where aiocache is off

    async def set(self, key: str, value: object, span: float) -> bool:
        """See `Driver`."""
        ttl = max(span, SHORTEST)
        return bool(await self._backend.set(key, value, ttl=ttl, namespace='', dumps_fn=_as_it_is, timeout=None))

    async def add(self, key: str, value: object, span: float) -> bool:
        """See `Driver`."""
        ttl = max(span, SHORTEST)
        try:
            return bool(await self._backend.add(key, value, ttl=ttl, namespace='', dumps_fn=_as_it_is, timeout=None))
        except ValueError:  # by which aiocache says that there is something
            return False

    async def delete(self, key: str) -> int:
        """See `Driver`."""
        try:
            return int(await self._backend.delete(key, namespace='', timeout=None))
        except NotImplementedError:  # a backend needs no such command
            return 0

    async def erase(self, key: str) -> None:
        """See `Driver`."""
        await self._backend.delete(key, namespace='', timeout=None)

    async def release(self, key: str, token: str) -> None:
        """See `Driver`."""
        if await self._backend.get(key, namespace='', loads_fn=_as_it_is, timeout=None) == token:
            await self.erase(key)

    async def close(self) -> None:
        """See `Driver`."""


def _as_it_is(value: Any) -> Any:
    return value
