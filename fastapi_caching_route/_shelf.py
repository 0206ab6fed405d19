"""The commands of an aiocache backend, as this package gives them: in our own format, with a deadline, never cut off.

Knows bytes and keys; trouble with the backend is raised.
"""

import asyncio
import copy
import logging
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from aiocache.backends.memory import SimpleMemoryBackend, SimpleMemoryCache
from aiocache.base import BaseCache

from fastapi_caching_route._breaker import Breaker, Kind
from fastapi_caching_route._clients import at_once, own_client
from fastapi_caching_route._http.storing import FOREVER
from fastapi_caching_route._key import full_key, root_of
from fastapi_caching_route._link import Link, in_time
from fastapi_caching_route._wire import MARK, decode, encode, opened, signed
from fastapi_caching_route.errors import ConfigurationError
from fastapi_caching_route.memory import MemoryCache

logger = logging.getLogger('fastapi_caching_route')

SHORTEST = 0.001
"""Seconds; Redis refuses to keep anything for less."""

PROBE = '%probe'
"""The key of what is read or written to see whether that works again."""


class Shelf(Protocol):
    """Keeps objects of ours where a cache of aiocache keeps its values.

    `within` is for how many seconds who asks will wait, and never longer than the time-out. Trouble is raised: whatever the
    client library raises, or a TimeoutError. A store that is known to be in trouble is not asked, but for `anyway`.
    """

    async def get(self, keys: Sequence[str], within: float, *, anyway: bool) -> list[Any]:
        """What is under each key, or None; in one command."""
        ...

    async def set(self, key: str, value: object, span: float, within: float, *, anyway: bool) -> bool:
        """Keep it for `span` seconds, or a little more where the backend counts in whole ones; whether it is kept."""
        ...

    async def add(self, key: str, value: object, span: float, within: float, *, anyway: bool) -> bool:
        """The same, but only where there is nothing yet."""
        ...

    async def delete(self, key: str, within: float, *, anyway: bool) -> int:
        """How many keys were deleted (0 or 1)."""
        ...

    async def close(self) -> None:
        """Close what was opened in this event loop; what is needed later is opened again."""
        ...


def shelf_of(backend: BaseCache, timeout: float, signing_keys: Sequence[bytes] = ()) -> Shelf:
    """The way to a backend as the user built it; commands get `timeout` seconds if they can wait at all.

    What leaves the process is signed with the first of the keys, and must be signed with one of them.

    Raises:
        ConfigurationError: it is not a backend, or has a ttl that makes no sense.

    """
    if not isinstance(backend, BaseCache):
        msg = f'FastAPICache needs a cache of aiocache, like MemoryCache() or RedisCache(...), got {backend!r}'
        raise ConfigurationError(msg)
    if backend.ttl is not None and not backend.ttl >= 0:
        msg = f'the ttl of the backend is in seconds and must not be negative, got {backend.ttl!r}'
        raise ConfigurationError(msg)
    if not is_inside(backend):
        return Far(backend, Wire(signing_keys), timeout)
    if type(backend) in (MemoryCache, SimpleMemoryBackend, SimpleMemoryCache) and not backend.plugins:
        return Near(backend)
    return Far(backend, None, timeout)  # somebody else's code is in it, and may wait or fail


def is_inside(backend: BaseCache) -> bool:
    """Whether a backend is in this process, and in no other."""
    return isinstance(backend, (SimpleMemoryBackend, MemoryCache))


class Near:
    """A backend in this process: it answers at once, and does not fail."""

    __slots__ = ('_backend',)

    def __init__(self, backend: BaseCache) -> None:
        """Keep objects in this backend as they are, since they cannot be changed."""
        self._backend = AsTheyAre(backend)

    async def get(self, keys: Sequence[str], within: float, *, anyway: bool) -> list[Any]:  # noqa: ARG002, see Shelf
        """See `Shelf`."""
        return [await self._backend.get(key, namespace='') for key in keys]

    async def set(self, key: str, value: object, span: float, within: float, *, anyway: bool) -> bool:  # noqa: ARG002, see Shelf
        """See `Shelf`."""
        return bool(await self._backend.set(key, value, ttl=max(span, SHORTEST), namespace=''))

    async def add(self, key: str, value: object, span: float, within: float, *, anyway: bool) -> bool:  # noqa: ARG002, see Shelf
        """See `Shelf`."""
        return await _added(self._backend, key, value, max(span, SHORTEST))

    async def delete(self, key: str, within: float, *, anyway: bool) -> int:  # noqa: ARG002, see Shelf
        """See `Shelf`."""
        return int(await self._backend.delete(key, namespace=''))

    async def close(self) -> None:
        """See `Shelf`: nothing was opened."""


class Far:
    """A backend outside of this process: it may be slow, or down, and is used by each event loop over a link of its own."""

    __slots__ = ('_backend', '_breaker', '_links', '_probe', '_timeout', '_whole_seconds', '_wire')

    def __init__(self, backend: BaseCache, wire: 'Wire | None', timeout: float) -> None:
        """Keep objects there in our format, or as they are without one; wait `timeout` seconds for each command."""
        self._backend = backend
        self._wire = wire
        self._timeout = timeout
        self._whole_seconds = getattr(backend, 'NAME', '') == 'memcached'
        self._breaker = Breaker(at_once(vars(backend).get('client')))
        self._links: dict[asyncio.AbstractEventLoop, Link] = {}
        self._probe: asyncio.Task[None] | None = None

    async def get(self, keys: Sequence[str], within: float, *, anyway: bool) -> list[Any]:
        """See `Shelf`."""
        found = await in_time(self._link('reading', anyway=anyway).get(keys), within)
        return [found[key] for key in keys]

    async def set(self, key: str, value: object, span: float, within: float, *, anyway: bool) -> bool:
        """See `Shelf`."""
        return bool(await self._write(lambda it: _set(it, key, value, self._ttl(span)), within, anyway=anyway))

    async def add(self, key: str, value: object, span: float, within: float, *, anyway: bool) -> bool:
        """See `Shelf`."""
        link = self._link('writing', anyway=anyway)
        adding = link.add(key, lambda: _added(link.backend, key, value, self._ttl(span)))
        return bool(await in_time(adding, within))

    async def delete(self, key: str, within: float, *, anyway: bool) -> int:
        """See `Shelf`."""
        return int(await self._write(lambda it: it.delete(key, namespace=''), within, anyway=anyway))

    async def close(self) -> None:
        """See `Shelf`."""
        link = self._links.pop(asyncio.get_running_loop(), None)
        if link is not None:
            await link.close()

    async def _write(self, command: Callable[[Any], Awaitable[Any]], within: float, *, anyway: bool) -> Any:
        link = self._link('writing', anyway=anyway)
        return await in_time(link.send('writing', lambda: command(link.backend)), within)

    def _link(self, kind: Kind, *, anyway: bool) -> Link:
        """The way from this event loop, unless the backend is known to be in trouble."""
        if not anyway and self._breaker.is_open(kind):
            if self._breaker.takes_probe(kind, time.monotonic()):
                self._begin_probe(kind)
            msg = 'the cache backend is in trouble, and is not asked'
            raise ConnectionError(msg)
        loop = asyncio.get_running_loop()
        link = self._links.get(loop)
        if link is None or not link.usable:
            for ended in [it for it in self._links if it.is_closed()]:
                del self._links[ended]
            link = self._links[loop] = self._new_link()
        return link

    def _new_link(self) -> Link:
        if self._wire is None:
            return Link(AsTheyAre(self._backend), self._timeout, self._breaker, own=False)
        ours: Any = copy.copy(self._backend)
        ours.serializer = self._wire
        ours.timeout = None  # aiocache would cancel what takes longer
        client = own_client(self._backend)
        if client is not None:
            ours.client = client
        return Link(ours, self._timeout, self._breaker, own=client is not None)

    def _begin_probe(self, kind: Kind) -> None:
        """See whether it works again; nobody waits for that."""
        if self._probe is None or self._probe.done() or self._probe.get_loop().is_closed():
            self._probe = asyncio.get_running_loop().create_task(self._look_again(kind))

    async def _look_again(self, kind: Kind) -> None:
        key = full_key(root_of(self._backend.namespace), PROBE)
        try:
            if kind == 'reading':
                await self.get((key,), self._timeout, anyway=True)
            else:
                await self.set(key, 'probe', 1, self._timeout, anyway=True)
        except Exception as error:  # noqa: BLE001, whatever a client library raises
            logger.debug('the cache backend is still in trouble: %r', error)

    def _ttl(self, span: float) -> float:
        # memcached counts in ticks of a second, of which the first may be over at once.
        return min(math.ceil(span) + 1, int(FOREVER)) if self._whole_seconds else max(float(span), SHORTEST)


async def _set(backend: Any, key: str, value: object, ttl: float) -> bool:
    try:
        return bool(await backend.set(key, value, ttl=ttl, namespace=''))
    except Exception as error:
        if 'too large' not in str(error):
            raise
        logger.warning('an entry is too large for the cache backend (1 MB in memcached, see its option -I): %s', key)
        return False


async def _added(backend: Any, key: str, value: object, ttl: float) -> bool:
    try:
        return bool(await backend.add(key, value, ttl=ttl, namespace=''))
    except ValueError:  # by which aiocache says that there is something
        return False


class Wire:
    """Our format, as aiocache calls a serializer."""

    encoding = None  # bytes stay bytes

    def __init__(self, signing_keys: Sequence[bytes]) -> None:
        """Sign with the first of the keys, if there are any, and then take no entry that none of them has signed."""
        self._keys = signing_keys

    def dumps(self, value: Any) -> Any:
        """The bytes of something to be stored."""
        return signed(encode(value), self._keys[0]) if self._keys and not isinstance(value, str) else encode(value)

    def loads(self, value: Any) -> Any:
        """What stored bytes stand for, or None."""
        if self._keys and value is not None and not (isinstance(value, bytes) and value.startswith(MARK)):
            value = opened(value, self._keys)
            if value is None:
                logger.warning('an entry in the cache backend has no valid signature, and is not used')
        return decode(value)


class AsTheyAre:
    """A backend in this process, without its serializer: entries cannot be changed, so they are kept as they are.

    It is not copied, since `clear()` of aiocache's gives the original a new dict of which a copy would not hear.
    """

    __slots__ = ('_backend',)

    def __init__(self, backend: Any) -> None:
        """Keep entries in this backend."""
        self._backend = backend

    async def get(self, key: str, *, namespace: str) -> Any:
        """The object under the key, or None."""
        return await self._backend.get(key, namespace=namespace, loads_fn=_as_it_is, timeout=None)

    async def multi_get(self, keys: list[str], *, namespace: str) -> Any:
        """The objects under the keys, or None for each."""
        return await self._backend.multi_get(keys, namespace=namespace, loads_fn=_as_it_is, timeout=None)

    async def set(self, key: str, value: object, *, ttl: float, namespace: str) -> Any:
        """Keep the object under the key; return whether it is kept."""
        return await self._backend.set(key, value, ttl=ttl, namespace=namespace, dumps_fn=_as_it_is, timeout=None)

    async def add(self, key: str, value: object, *, ttl: float, namespace: str) -> Any:
        """Keep the object under the key where there is none; return whether it is kept."""
        return await self._backend.add(key, value, ttl=ttl, namespace=namespace, dumps_fn=_as_it_is, timeout=None)

    async def delete(self, key: str, *, namespace: str) -> Any:
        """How many keys were deleted."""
        return await self._backend.delete(key, namespace=namespace, timeout=None)


def _as_it_is(value: Any) -> Any:
    return value
