"""A backend that may be slow, or down: asked over links with time-outs, as long as it is worth asking.

Knows keys, objects of ours and seconds; neither what the objects are, nor how keys are made, nor client libraries.
"""

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TypeVar

from fastapi_caching_route._backends.breaker import Breaker, Kind
from fastapi_caching_route._backends.drivers import Driver
from fastapi_caching_route._backends.link import LARGE_BYTES, Link, all_closed
from fastapi_caching_route._backends.outage import is_full, is_too_large
from fastapi_caching_route._concurrency.lateness import in_time
from fastapi_caching_route._concurrency.tasks import Background

logger = logging.getLogger('fastapi_caching_route')

T = TypeVar('T')

MAX_LINKS = 16
"""Links to event loops that do not run at the moment, and may never run again."""


class LinkedBackend:
    """Keeps objects of ours where a backend keeps its values. Each event loop uses it over a link of its own.

    `within` is for how many seconds who asks will wait. Trouble is raised: whatever the client library raises, or a
    TimeoutError. A store that is known to be in trouble is not asked, but for a `set` or an `erase` that is needed
    `even_if_open`, by which the breaker is meant.
    """

    __slots__ = (
        *('_breaker', '_links', '_looking', '_new_driver', '_probe_keys', '_timeout', '_told', '_too_slow_at'),
        '_weigh',
    )

    def __init__(
        self,
        new_driver: Callable[[], Driver],
        timeout: float,
        *,
        probe_keys: Sequence[str],
        weigh: Callable[[object], int],
    ) -> None:
        """Send commands by a new driver for each event loop. What takes `timeout` seconds counts as failed.

        `probe_keys` are read or written to see whether that works again, and `weigh` gives the size of an object, by which
        replies are made up.
        """
        self._new_driver = new_driver
        self._timeout = timeout
        self._probe_keys = probe_keys
        self._weigh = weigh
        self._breaker = Breaker()
        self._links: dict[asyncio.AbstractEventLoop, Link] = {}
        self._looking: dict[Kind, Background] = {}
        self._told: set[str] = set()
        self._too_slow_at = 0.0

    async def get(self, keys: Sequence[str], within: float) -> list[object]:
        """What is under each key, or None; in one command."""
        self._check('reading')
        link = self._link('reading')
        found = await in_time(link.get(keys), within, link.lateness)
        return [found[key] for key in keys]

    async def set(self, key: str, value: object, span: float, within: float, *, even_if_open: bool = False) -> bool:
        """Keep it for `span` seconds, or a little more where the backend counts in whole ones; whether there is room for it."""
        command = partial(self._set, key, value, span)
        is_large = self._weigh(value) >= LARGE_BYTES
        try:
            return await self._write('writing', command, within, even_if_open=even_if_open, is_large=is_large)
        except Exception as error:
            if not is_full(error):
                raise
            return False  # the breaker has heard of it

    async def _set(self, key: str, value: object, span: float, driver: Driver) -> bool:
        try:
            return await driver.set(key, value, span)
        except Exception as error:
            if not is_too_large(error):
                raise
            level = logging.DEBUG if 'size' in self._told else logging.WARNING
            logger.log(level, 'an entry is too large for the cache backend (memcached: see its option -I): %s', key)
            self._told.add('size')
            return False

    async def add(self, key: str, value: object, span: float, within: float) -> bool:
        """The same, but only where there is nothing yet."""
        self._check('writing')
        link = self._link('writing')
        adding = link.add(key, partial(link.driver.add, key, value, span))
        return await in_time(adding, within, link.lateness)

    async def delete(self, key: str, within: float) -> int:
        """How many keys were deleted (0 or 1)."""
        return await self._write('deleting', lambda driver: driver.delete(key), within)

    async def erase(self, key: str, within: float, *, even_if_open: bool = False) -> None:
        """Delete a key, for certain."""
        await self._write('deleting', lambda driver: driver.erase(key), within, even_if_open=even_if_open)

    async def release(self, key: str, token: str, within: float) -> None:
        """Delete a key, if this token is there."""
        await self._write('deleting', lambda driver: driver.release(key, token), within)

    async def _write(
        self,
        kind: Kind,
        command: Callable[[Driver], Awaitable[T]],
        within: float,
        *,
        even_if_open: bool = False,
        is_large: bool = False,
    ) -> T:
        if not even_if_open:
            self._check(kind)
        link = self._link(kind)
        return await in_time(link.send(kind, partial(command, link.driver), is_large=is_large), within, link.lateness)

    def worth_storing(self) -> bool:
        """Whether it is worth its time to store something."""
        return not (self._breaker.is_open('writing') or self._breaker.is_open('storing'))

    def report_storing(self, *, in_time: bool) -> None:
        """Hear whether all that comes before an answer can be stored was done in the time that a request may wait.

        Many at once that could not are one failure: they were too many, and will not be next time.
        """
        now = time.monotonic()
        if in_time:
            self._breaker.worked('storing')
        elif now - self._too_slow_at > self._timeout:
            self._too_slow_at = now
            self._breaker.failed('storing', TimeoutError(f'nothing can be stored within {self._timeout} s'), now)

    def late(self) -> float:
        """For how many seconds this event loop was too busy to wait for it, all in all: that is no fault of the store."""
        link = self._links.get(asyncio.get_running_loop())
        return 0.0 if link is None else link.lateness.seconds

    def _check(self, kind: Kind) -> None:
        """See that the backend is worth asking. While it is not, look again now and then; nobody waits for that.

        Raises:
            ConnectionError: it is not.

        """
        for ill in self._breaker.all_open():
            looking = self._looking.setdefault(ill, Background())
            if not looking.is_under_way and self._breaker.takes_probe(ill, time.monotonic()):
                looking.begin(partial(self._look_again, ill))
        if self._breaker.is_open(kind):
            msg = f'the cache backend is in trouble, and is not asked: {self._breaker.why.get(kind)}'
            raise ConnectionError(msg)

    async def _look_again(self, kind: Kind) -> None:
        """See whether it works again: the breaker hears of it."""
        with suppress(Exception):  # the breaker has heard of that, too
            link, keys = self._link(kind), self._probe_keys
            if kind == 'writing':
                await asyncio.gather(*(self.set(key, 'probe', 1, self._timeout, even_if_open=True) for key in keys))
            elif kind == 'deleting':
                await asyncio.gather(*(self.erase(key, self._timeout, even_if_open=True) for key in keys))
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
            if loop.is_closed() or (len(links) > MAX_LINKS and not loop.is_running()):
                self._links.pop(loop, None)  # another thread may do the same

    def _new_link(self) -> Link:
        driver = self._new_driver()
        self._breaker.address = driver.address
        return Link(driver, self._timeout, self._breaker, self._weigh)

    def loop(self) -> asyncio.AbstractEventLoop | None:
        """An event loop that runs and has used it, if there is one."""
        links = tuple(self._links.items())
        return next((loop for loop, link in links if loop.is_running() and link.pid == os.getpid()), None)

    async def close(self) -> None:
        """Close what was opened in this event loop; what is needed later is opened again."""
        for looking in self._looking.values():
            await looking.end()
        link = self._links.pop(asyncio.get_running_loop(), None)
        if link is not None:
            await link.close()
        await all_closed()
