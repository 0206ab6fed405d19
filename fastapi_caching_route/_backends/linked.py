"""A backend that may be slow, or down: asked over links with time-outs, in our own format, as long as it is worth asking.

Knows bytes and keys; trouble with the backend is raised.
"""

import asyncio
import copy
import logging
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from fastapi_caching_route._backends.aiocache import BaseCache
from fastapi_caching_route._backends.breaker import Breaker, Kind
from fastapi_caching_route._backends.clients import own_client
from fastapi_caching_route._backends.drivers import (
    AsTheyAre,
    accepted_ttl,
    added,
    delete_token,
    deleted,
    is_full,
    is_too_large,
)
from fastapi_caching_route._backends.link import LARGE, Link, all_closed
from fastapi_caching_route._backends.outage import address_of
from fastapi_caching_route._concurrency.lateness import in_time
from fastapi_caching_route._concurrency.tasks import Chore
from fastapi_caching_route._core.entry import Entry
from fastapi_caching_route._core.key import full_key, root_of
from fastapi_caching_route._store.wire import Wire

logger = logging.getLogger('fastapi_caching_route')

PROBE, PROBES = '%probe', 32
"""The keys of what is read or written to see whether that works again; so many, where they are on several nodes."""

MOST_LINKS = 16
"""Links to event loops that do not run at the moment, and may never run again."""


class Linked:
    """A backend that may take its time, or be down. Each event loop uses it over a link of its own."""

    __slots__ = ('_backend', '_breaker', '_links', '_looking', '_timeout', '_told', '_too_slow_at', '_wire')

    def __init__(self, backend: BaseCache, wire: 'Wire | None', timeout: float) -> None:
        """Keep objects there in our format, or as they are without one. What takes `timeout` seconds counts as failed."""
        self._backend = backend
        self._wire = wire
        self._timeout = timeout
        self._breaker = Breaker()
        self._links: dict[asyncio.AbstractEventLoop, Link] = {}
        self._looking: dict[Kind, Chore] = {}
        self._told: set[str] = set()
        self._too_slow_at = 0.0

    async def get(self, keys: Sequence[str], within: float) -> list[Any]:
        """See `Shelf`."""
        self._check('reading')
        link = self._link('reading')
        found = await in_time(link.get(keys), within, link.lateness)
        return [found[key] for key in keys]

    async def set(self, key: str, value: object, span: float, within: float, *, anyway: bool = False) -> bool:
        """See `Shelf`."""
        command = partial(self._set, key, value, self._ttl(span))
        is_large = isinstance(value, Entry) and len(value.body) >= LARGE
        try:
            return bool(await self._write('writing', command, within, anyway=anyway, is_large=is_large))
        except Exception as error:
            if not is_full(error):
                raise
            return False  # the breaker has heard of it

    async def _set(self, key: str, value: object, ttl: float, backend: Any) -> bool:
        try:
            return bool(await backend.set(key, value, ttl=ttl, namespace=''))
        except Exception as error:
            if not is_too_large(error):
                raise
            level = logging.DEBUG if 'size' in self._told else logging.WARNING
            logger.log(level, 'an entry is too large for the cache backend (memcached: see its option -I): %s', key)
            self._told.add('size')
            return False

    async def add(self, key: str, value: object, span: float, within: float) -> bool:
        """See `Shelf`."""
        self._check('writing')
        link = self._link('writing')
        adding = link.add(key, lambda: added(link.backend, key, value, self._ttl(span)))
        return bool(await in_time(adding, within, link.lateness))

    async def delete(self, key: str, within: float) -> int:
        """See `Shelf`."""
        return int(await self._write('deleting', partial(deleted, key), within))

    async def erase(self, key: str, within: float, *, anyway: bool = False) -> None:
        """See `Shelf`."""
        await self._write('deleting', lambda backend: backend.delete(key, namespace=''), within, anyway=anyway)

    async def release(self, key: str, token: str, within: float) -> None:
        """See `Shelf`."""
        stored: Any = token if self._wire is None else self._wire.dumps(token)
        await self._write('deleting', lambda backend: delete_token(backend, key, token, stored), within)

    async def _write(
        self,
        kind: Kind,
        command: Callable[[Any], Awaitable[Any]],
        within: float,
        *,
        anyway: bool = False,
        is_large: bool = False,
    ) -> Any:
        if not anyway:
            self._check(kind)
        link = self._link(kind)
        return await in_time(link.send(kind, partial(command, link.backend), is_large=is_large), within, link.lateness)

    def _ttl(self, span: float) -> float:
        return accepted_ttl(self._backend, span)

    def stores(self) -> bool:
        """See `Shelf`."""
        return not (self._breaker.is_open('writing') or self._breaker.is_open('storing'))

    def could_begin(self, *, in_time: bool) -> None:
        """See `Shelf`. Many at once that could not are one failure: they were too many, and will not be next time."""
        now = time.monotonic()
        if in_time:
            self._breaker.worked('storing')
        elif now - self._too_slow_at > self._timeout:
            self._too_slow_at = now
            self._breaker.failed('storing', TimeoutError(f'nothing can be stored within {self._timeout} s'), now)

    def late(self) -> float:
        """See `Shelf`."""
        link = self._links.get(asyncio.get_running_loop())
        return 0.0 if link is None else link.lateness.seconds

    def _check(self, kind: Kind) -> None:
        """See that the backend is worth asking. While it is not, look again now and then; nobody waits for that.

        Raises:
            ConnectionError: it is not.

        """
        for ill in self._breaker.all_open():
            looking = self._looking.setdefault(ill, Chore())
            if not looking.is_under_way and self._breaker.takes_probe(ill, time.monotonic()):
                looking.begin(partial(self._look_again, ill))
        if self._breaker.is_open(kind):
            msg = f'the cache backend is in trouble, and is not asked: {self._breaker.why.get(kind)}'
            raise ConnectionError(msg)

    async def _look_again(self, kind: Kind) -> None:
        """See whether it works again: the breaker hears of it."""
        root, count = root_of(self._backend.namespace), PROBES if hasattr(self._backend, 'new_client') else 1
        keys = [full_key(root, f'{PROBE}{number}') for number in range(count)]
        with suppress(Exception):  # the breaker has heard of that, too
            link = self._link(kind)
            if kind == 'writing':
                await asyncio.gather(*(self.set(key, 'probe', 1, self._timeout, anyway=True) for key in keys))
            elif kind == 'deleting':
                await asyncio.gather(*(self.erase(key, self._timeout, anyway=True) for key in keys))
            else:
                await in_time(link.get(keys), self._timeout, link.lateness)
            if kind == 'storing':
                began = time.monotonic()
                for _ in range(2):  # to look up, and to read marks
                    await in_time(link.get(keys), self._timeout - (time.monotonic() - began), link.lateness)
                self._breaker.worked('storing')

    def _link(self, kind: Kind) -> Link:
        """The way from this event loop."""
        loop = asyncio.get_running_loop()
        link = self._links.get(loop)
        if link is None or not link.usable:
            self._forget_ended()
            try:
                link = self._links[loop] = self._new_link()
            except Exception as error:
                self._breaker.failed(kind, error, time.monotonic())
                raise
        return link

    def _forget_ended(self) -> None:
        """Forget the links of event loops that have ended, and of others that do not run where there are many."""
        links = tuple(self._links)
        for loop in links:
            if loop.is_closed() or (len(links) > MOST_LINKS and not loop.is_running()):
                self._links.pop(loop, None)  # another thread may do the same

    def _new_link(self) -> Link:
        if self._wire is None:
            return Link(AsTheyAre(self._backend), self._timeout, self._breaker, own=False)
        ours: Any = copy.copy(self._backend)
        ours.serializer = self._wire
        ours.plugins = [_Plugin(it, self._backend) for it in self._backend.plugins]
        ours.timeout = None  # aiocache would cancel what takes longer
        client = own_client(self._backend)
        if client is not None:
            ours.client = client
        self._breaker.address = address_of(getattr(ours, 'client', None))
        return Link(ours, self._timeout, self._breaker, own=client is not None)

    def loop(self) -> asyncio.AbstractEventLoop | None:
        """See `Shelf`."""
        links = tuple(self._links.items())
        return next((loop for loop, link in links if loop.is_running() and link.pid == os.getpid()), None)

    async def close(self) -> None:
        """See `Shelf`."""
        for looking in self._looking.values():
            await looking.end()
        link = self._links.pop(asyncio.get_running_loop(), None)
        if link is not None:
            await link.close()
        await all_closed()


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
