"""A backend that may be slow or down. It is asked over links, which time out, and only while its breaker is closed.

Knows keys, objects and seconds. Does not know what the objects are, how keys are made, or which client library is used.
"""

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TypeVar, cast

from fastapi_caching_route._backends.batch import Reading
from fastapi_caching_route._backends.breaker import Breaker, Kind
from fastapi_caching_route._backends.drivers import Driver, Prolongs
from fastapi_caching_route._backends.journal import JournalHead, Journals, Tail
from fastapi_caching_route._backends.link import LARGE_BYTES, Link, all_closed
from fastapi_caching_route._backends.outage import is_full, is_too_large
from fastapi_caching_route._concurrency.lateness import in_time
from fastapi_caching_route._concurrency.tasks import Background

logger = logging.getLogger('fastapi_caching_route')

T = TypeVar('T')

MAX_LINKS = 16
"""How many links of event loops that are not running are kept: those loops may never run again."""


class LinkedBackend:
    """Stores objects in a backend. Each event loop uses it over a link of its own.

    `within` is how many seconds the caller waits. All trouble is raised: what the client library raises, a
    TimeoutError, or a ConnectionError while the breaker is open. `even_if_open` sends a command even then.
    """

    __slots__ = (
        *('breaker', '_followed', '_links', '_looking', '_new_driver', '_probe_keys', '_read_at_once', '_timeout'),
        *('_told', '_too_slow_at', '_weigh'),
    )

    def __init__(
        self,
        new_driver: Callable[[], Driver],
        timeout: float,
        *,
        probe_keys: Sequence[str],
        weigh: Callable[[object], int],
        read_at_once: Callable[[Sequence[str]], list[object]] | None = None,
    ) -> None:
        """Use a new driver for each event loop. A command that takes `timeout` seconds counts as failed.

        Probes read, write or delete the `probe_keys`. `weigh` returns the size of an object in bytes, by which reads
        are batched. `read_at_once` reads objects without waiting, if the backend can do that.
        """
        self._new_driver = new_driver
        self._read_at_once = read_at_once
        self._timeout = timeout
        self._probe_keys = probe_keys
        self._weigh = weigh
        self.breaker: Breaker = Breaker()
        self._followed: tuple[str, JournalHead | None] = ('', None)
        """The journal that was followed last, and from where."""
        self._links: dict[asyncio.AbstractEventLoop, Link] = {}
        self._looking: dict[Kind, Background] = {}
        self._told: set[str] = set()
        self._too_slow_at = 0.0

    async def get(self, keys: Sequence[str], within: float) -> tuple[list[object], float]:
        """The object under each key, or None, read with one command; and how late this event loop was meanwhile."""
        read = self.reading(keys)
        if isinstance(read, list):
            return read, 0.0
        found = await read.found_within(within)
        return [found[key] for key in keys], read.late

    def reading(self, keys: Sequence[str]) -> Reading | list[object]:
        """The object under each key, or None: in a batch, to be waited for, or at once if the backend can do that."""
        self._check('reading')
        if self._read_at_once is not None:
            return self._tried(self._read_at_once, keys)
        return self._link('reading').get(keys)

    def _tried(self, read_at_once: Callable[[Sequence[str]], list[object]], keys: Sequence[str]) -> list[object]:
        try:
            found = read_at_once(keys)
        except Exception as error:
            self.breaker.failed('reading', error, time.monotonic())
            raise
        self.breaker.worked('reading')
        return found

    def driver(self) -> Driver:
        """The driver of this event loop."""
        return self._link('reading').driver

    async def set(self, key: str, value: object, span: float, within: float, *, even_if_open: bool = False) -> bool:
        """Store an object for `span` seconds, or until its next whole one; return False if there is no room for it."""
        is_large = self._weigh(value) >= LARGE_BYTES
        try:
            link = None if even_if_open else self._link_to_set()
            if link is not None and not is_large:
                return _given((await link.set(key, value, span).found_within(within))[key])
            sent = partial(self._set, key, value, span)
            return await self.send('writing', sent, within, even_if_open=even_if_open, is_large=is_large)
        except Exception as error:
            if not is_full(error):
                raise
            return False  # the breaker has counted it

    def _link_to_set(self) -> Link | None:
        """The link, if it stores many objects at a time."""
        self._check('writing')
        link = self._link('writing')
        return link if link.driver.sets_many else None

    async def _set(self, key: str, value: object, span: float, driver: Driver) -> bool:
        try:
            return await driver.set(key, value, span)
        except Exception as error:
            if not is_too_large(error):
                raise
            level = logging.DEBUG if 'size' in self._told else logging.WARNING
            logger.log(level, 'an entry is too large for the cache backend (for memcached, see its option -I): %s', key)
            self._told.add('size')
            return False

    async def add(self, key: str, value: object, span: float, within: float, *, alone: bool = False) -> bool:
        """Store an object if there is none under the key; return whether it was, `alone`: by a command of its own."""
        self._check('writing')
        link = self._link('writing')
        sent = partial(link.driver.add, key, value, span)
        adding = link.send('writing', sent) if alone else link.add(key, sent)
        return await in_time(adding, within, link.lateness)

    async def prolong(self, key: str, span: float, within: float) -> bool:
        """Let what is under a key expire `span` seconds from now; return whether there is something."""
        return await self.send('writing', lambda driver: cast('Prolongs', driver).prolong(key, span), within)

    async def delete(self, key: str, within: float) -> int:
        """Delete a key; return how many keys were deleted (0 or 1)."""
        return await self.send('deleting', lambda driver: driver.delete(key), within)

    async def erase(self, key: str, within: float, *, even_if_open: bool = False) -> None:
        """Delete a key, or raise."""
        await self.send('deleting', lambda driver: driver.erase(key), within, even_if_open=even_if_open)

    async def release(self, key: str, token: str, within: float) -> bool:
        """Delete a key if it holds this token; return whether it did."""
        return await self.send('deleting', lambda driver: driver.release(key, token), within)

    async def append(
        self,
        journal: str,
        known: JournalHead | None,
        texts: Sequence[str],
        note: str,
        within: float,
        *,
        even_if_open: bool = False,
    ) -> Tail:
        """Append texts to a journal. A full store takes them, as it takes deletions."""
        self._followed = journal, known
        command = partial(_journal, journal, known, texts, note)
        return await self.send('following', command, within, even_if_open=even_if_open)

    async def since(self, journal: str, known: JournalHead | None, within: float) -> Tail:
        """What a journal has behind a head."""
        self._followed = journal, known
        self._check('reading')
        self._check('following')
        link = self._link('following')
        return await in_time(link.since(journal, known), within, link.lateness)

    async def send(
        self,
        kind: Kind,
        command: Callable[[Driver], Awaitable[T]],
        within: float,
        *,
        even_if_open: bool = False,
        is_large: bool = False,
    ) -> T:
        """The result of a command of this kind."""
        if not even_if_open:
            self._check(kind)
        link = self._link(kind)
        return await in_time(link.send(kind, partial(command, link.driver), is_large=is_large), within, link.lateness)

    def worth_storing(self) -> bool:
        """Whether storing is worth its time: false while the breaker is open for it."""
        breaker = self.breaker
        return not (breaker.has_failures and (breaker.is_open('writing') or breaker.is_open('storing')))

    def report_storing(self, *, in_time: bool) -> None:
        """Report whether the commands that precede storing finished within one request's time budget.

        Many requests that fail at the same time count as one failure: there were too many of them, which may pass.
        """
        now = time.monotonic()
        if in_time:
            self.breaker.worked('storing')
        elif now - self._too_slow_at > self._timeout:
            self._too_slow_at = now
            self.breaker.failed('storing', TimeoutError(f'nothing can be stored within {self._timeout} s'), now)

    def late(self) -> float:
        """How many seconds this event loop was late so far, in total. The backend is not to blame for them."""
        link = self._links.get(asyncio.get_running_loop())
        return 0.0 if link is None else link.lateness.seconds

    def _check(self, kind: Kind) -> None:
        """Raise if the breaker is open for this kind of command. Also start a probe if one is due; nobody waits for it.

        Raises:
            ConnectionError: the breaker is open.

        """
        if not self.breaker.has_failures:
            return
        for ill in self.breaker.all_open():
            looking = self._looking.setdefault(ill, Background())
            if not looking.is_under_way and self.breaker.takes_probe(ill, time.monotonic()):
                looking.begin(partial(self._look_again, ill))
        if self.breaker.is_open(kind):
            msg = f'the cache backend is failing, and is not asked: {self.breaker.why.get(kind)}'
            raise ConnectionError(msg)

    async def _look_again(self, kind: Kind) -> None:
        """Probe whether this kind of command works again. The links report the result to the breaker."""
        with suppress(Exception):  # the breaker has counted it, too
            link, keys = self._link(kind), self._probe_keys
            if kind == 'writing':
                await asyncio.gather(*(self.set(key, 'probe', 1, self._timeout, even_if_open=True) for key in keys))
            elif kind == 'deleting':
                await asyncio.gather(*(self.erase(key, self._timeout, even_if_open=True) for key in keys))
            elif kind == 'following':
                await link.since(*self._followed)
            else:
                await link.get(keys).found_within(self._timeout)
            if kind == 'storing':
                began = time.monotonic()
                for _ in range(2):  # as a miss does before it stores: it looks up, and reads marks or the journal
                    await link.get(keys).found_within(self._timeout - (time.monotonic() - began))
                self.breaker.worked('storing')

    def _link(self, kind: Kind) -> Link:
        """The link of this event loop."""
        loop = asyncio.get_running_loop()
        link = self._links.get(loop)
        if link is None or not link.usable:
            self._forget_ended()
            try:
                link = self._links[loop] = self._new_link()
            except Exception as error:
                self.breaker.failed(kind, error, time.monotonic())
                raise
        return link

    def _forget_ended(self) -> None:
        """Drop the links of closed event loops and, if there are many, of all that are not running."""
        links = tuple(self._links)
        for loop in links:
            if loop.is_closed() or (len(links) > MAX_LINKS and not loop.is_running()):
                self._links.pop(loop, None)  # another thread may have dropped it

    def _new_link(self) -> Link:
        driver = self._new_driver()
        self.breaker.address = driver.address
        return Link(driver, self._timeout, self.breaker, self._weigh)

    def loop(self) -> asyncio.AbstractEventLoop | None:
        """A running event loop that has used the backend, if there is one."""
        links = tuple(self._links.items())
        return next((loop for loop, link in links if loop.is_running() and link.pid == os.getpid()), None)

    async def close(self) -> None:
        """Close the link of this event loop. The next command opens a new one."""
        for looking in self._looking.values():
            await looking.end()
        link = self._links.pop(asyncio.get_running_loop(), None)
        if link is not None:
            await link.close()
        await all_closed()


async def _journal(journal: str, known: JournalHead | None, texts: Sequence[str], note: str, driver: Driver) -> Tail:
    return await cast('Journals', driver).journal(journal, known, texts, note)


def _given(outcome: bool | Exception) -> bool:  # noqa: FBT001, it is no option
    """What became of an object, if that is no exception; else raise it."""
    if isinstance(outcome, Exception):
        raise outcome
    return outcome
