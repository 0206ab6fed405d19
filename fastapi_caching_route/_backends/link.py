"""The connection of one event loop to a backend: limits how many commands run at a time, and batches reads.

A caller may stop waiting for a command; that does not cancel the command. After a command was cut off half-way, a
client library may give its reply to the next command on that connection. A command that hangs is given up, together
with its client.

A large entry may take longer than the time-out although the backend works: its bytes are still arriving. So large
entries are read separately, only a few at a time, and their time-outs are not counted as failures. If the backend
really is down, the small commands tell: each request that has waited in vain for a large entry sends small ones next.
"""

import asyncio
import math
import os
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar, cast

from fastapi_caching_route._backends.batch import Batch, Reading
from fastapi_caching_route._backends.breaker import FAILURES_TO_OPEN, Breaker, Kind
from fastapi_caching_route._backends.codec import UnencodableError
from fastapi_caching_route._backends.drivers import Driver, ToSet
from fastapi_caching_route._backends.journal import JournalHead, Journals, Tail
from fastapi_caching_route._concurrency.lateness import UNAVOIDABLE_SECONDS, Lateness
from fastapi_caching_route._concurrency.tasks import keep_running

T = TypeVar('T')

MAX_TOGETHER = 64
"""How many keys one command reads: a caller waits for the whole reply."""

MAX_REPLY_BYTES = 1024 * 1024
"""How large one reply should be, judged by the sizes of recent ones. A single entry may be larger."""

GIVE_UP_SECONDS = 2.0
"""How long after its time-out a command is given up, and its client with it. Before that, it may just be slow: a new
TLS connection to a distant server takes several round trips."""

LARGE_BYTES = 64 * 1024
"""The size from which on an entry is read and written separately. Smaller ones are batched."""

MAX_LARGE_BYTES = 512 * 1024
"""How many bytes of large entries one command reads: more would only keep the first of them waiting."""

MAX_LARGE = 4
"""How many large entries are read or written at a time: with more, they would slow each other past the time-out. One
connection is kept free for small commands."""

MAX_SIZES = 4096
"""For how many keys the size of the last read is remembered, at some hundred bytes each."""

MAX_WAITING = 10_000
"""How many commands may be under way or waiting, at some kilobytes each. One more would time out anyway."""

Setting = Batch[ToSet, bool | Exception]
_SMALL, _LARGE = '', ' '
"""Under which batches of entries of known sizes are kept: no key has a blank."""


class Link:
    """Sends the commands of the event loop in which it is created."""

    __slots__ = (
        *('_adding', '_answered_at', '_at_end', '_batches', '_breaker', '_largest', '_loop', '_most', '_running'),
        *('_sizes', '_tails', '_timeout', '_to_set', '_turns', '_turns_of_large', '_weigh'),
        *('driver', 'lateness', 'pid', 'usable'),
    )

    def __init__(self, driver: Driver, timeout: float, breaker: Breaker, weigh: Callable[[object], int]) -> None:
        """Send commands through this driver. A command that takes longer than `timeout` seconds has failed.

        `weigh` returns the size of an object in bytes.
        """
        self.usable = True
        self.pid: int = os.getpid()
        """The process of the event loop. In a process that was forked from it, the loop does not run."""
        self.driver: Driver = driver
        self._timeout = timeout
        self._breaker = breaker
        self._weigh = weigh
        self._loop = asyncio.get_running_loop()
        breaker.few = min(FAILURES_TO_OPEN, driver.concurrency)
        self._turns = asyncio.Semaphore(driver.concurrency)
        self._turns_of_large = asyncio.Semaphore(max(1, min(MAX_LARGE, driver.concurrency - 1)))
        self._sizes: dict[str, int] = {}
        self._largest = 0.0
        """The size of the largest entry that was read recently without being expected; it decays."""
        self._most: float = MAX_TOGETHER
        """How many keys a batch of small entries may have, by that."""
        self._answered_at: dict[Kind, float] = {}
        self._running: set[asyncio.Task[Any]] = set()
        self.lateness = Lateness(self._loop, lambda: not self._running)
        self._adding: dict[str, asyncio.Task[bool]] = {}
        self._batches: dict[str, Reading] = {}
        """The reads that are not sent yet: of small entries, of large ones, and of each other one under its own key."""
        self._to_set: Setting | None = None
        """The objects that are not sent yet."""
        self._tails: dict[tuple[str, JournalHead | None], asyncio.Task[Tail]] = {}
        """The reads of journals that are not sent yet."""
        self._at_end = self._until_end()
        with suppress(StopIteration):  # an event loop closes started generators before it ends, and nothing else
            self._at_end.__anext__().send(None)

    def get(self, keys: Sequence[str]) -> Reading:
        """The object under each key, or None. Keys that are asked for before the command is sent join it."""
        size = max([self._sizes.get(key, 0) for key in keys])
        is_large = size >= LARGE_BYTES
        may_be_large = not is_large and self._largest >= LARGE_BYTES and any(key not in self._sizes for key in keys)
        name = keys[0] if may_be_large else _LARGE if is_large else _SMALL
        batch = self._batches.get(name)
        is_sent = is_large and not self.driver.knows(keys[0])
        if batch is None or len(batch.keys) > (MAX_LARGE_BYTES / size if is_sent else self._most):
            batch = Batch(self.lateness, self._timeout)
            batch.begin(self.send('reading', partial(self._read, name, batch), is_large=is_large))
            self._batches[name] = batch  # not before: too many commands may be waiting, so that it is not sent
        for key in keys:
            batch.keys[key] = None
        return batch

    async def _read(self, name: str, batch: Reading) -> dict[str, object]:
        if self._batches.get(name) is batch:
            del self._batches[name]  # no more keys can join
        keys = list(batch.keys)
        found = dict(zip(keys, await self.driver.get_many(keys), strict=True))
        sizes = {key: self._weigh(it) for key, it in found.items() if it is not None}
        self._largest = max([self._largest / 2, *(size for key, size in sizes.items() if key not in self._sizes)])
        self._most = min(MAX_TOGETHER, MAX_REPLY_BYTES / max(self._largest, 1))
        if len(self._sizes) > MAX_SIZES:
            self._sizes.clear()
        self._sizes.update(sizes)
        return found

    def set(self, key: str, value: object, span: float) -> Setting:
        """What became of each object that is stored with this one: those that are given before it is sent."""
        batch = self._to_set
        if batch is None or key in batch.keys:
            batch = Batch(self.lateness, self._timeout)
            batch.begin(self.send('writing', partial(self._set_all, batch)))
            self._to_set = batch
        batch.keys[key] = key, value, span
        return batch

    async def _set_all(self, batch: Setting) -> dict[str, bool | Exception]:
        if self._to_set is batch:
            self._to_set = None  # no more objects can join
        outcomes = await self.driver.set_many([*batch.keys.values()])
        sent = [it for it in outcomes if not isinstance(it, UnencodableError)]
        failures = [it for it in sent if isinstance(it, Exception)]
        for it in failures:
            self.driver.failed(it)
        if failures and len(failures) == len(sent):  # for which there is one reason
            raise failures[0]
        return dict(zip(batch.keys, outcomes, strict=True))

    def since(self, journal: str, known: JournalHead | None) -> 'asyncio.Task[Tail]':
        """What a journal has behind a head. Callers that ask the same before the command is sent share it."""
        tail = self._tails.get((journal, known))
        if tail is None:
            tail = self._tails[journal, known] = self.send('following', partial(self._read_tail, journal, known))
        return tail

    async def _read_tail(self, journal: str, known: JournalHead | None) -> Tail:
        self._tails.pop((journal, known), None)  # a later caller may need what is appended from now on
        return await cast('Journals', self.driver).journal(journal, known, (), '')

    def add(self, key: str, command: Callable[[], Awaitable[bool]]) -> 'asyncio.Task[bool]':
        """Send a command that adds an object. Callers that add the same key meanwhile share the command."""
        adding = self._adding.get(key)
        if adding is None:
            adding = self._adding[key] = self.send('writing', command)
            adding.add_done_callback(lambda _: self._adding.pop(key, None))
        return adding

    def send(self, kind: Kind, command: Callable[[], Awaitable[T]], *, is_large: bool = False) -> 'asyncio.Task[T]':
        """Send a command as soon as the driver can take one more.

        Raises:
            ConnectionError: too many commands are waiting.

        """
        if len(self._running) >= MAX_WAITING:
            msg = f'{MAX_WAITING} commands are waiting for the cache backend; this one is not sent'
            raise ConnectionError(msg)
        run = self._run_large(kind, command) if is_large else self._run(kind, command)
        running = keep_running(self._loop.create_task(run), self._running)
        self.lateness.watch()
        return running

    async def _run_large(self, kind: Kind, command: Callable[[], Awaitable[T]]) -> T:
        async with self._turns_of_large:
            return await self._run(kind, command, is_large=True)

    async def _run(self, kind: Kind, command: Callable[[], Awaitable[T]], *, is_large: bool = False) -> T:
        async with self._turns:
            watch = Watch(self, kind, self._loop, self._timeout, is_large=is_large)
            try:
                given = await command()
            except Exception as error:
                self.driver.failed(error)
                if not watch.has_rung:  # else it was counted before
                    self._breaker.failed(kind, error, time.monotonic())
                raise
            finally:
                watch.end()
            if not watch.has_rung:
                now = self._answered_at[kind] = time.monotonic()
                self._breaker.worked(kind, now - watch.began_at)
            return given

    def has_answered(self, kind: Kind, since: float) -> bool:
        """Whether another command of this kind was answered in time after `since`."""
        return self._answered_at.get(kind, -math.inf) > since

    def overdue(self, kind: Kind, late: float) -> None:
        """Count a command that has timed out. `late` is how many seconds this event loop itself was late meanwhile."""
        busy = f', not counting {late:.2f} s during which this process itself was busy' if late >= 0.01 else ''
        self._breaker.failed(kind, TimeoutError(f'no reply within {self._timeout} s{busy}'), time.monotonic())

    def give_up(self, running: 'asyncio.Task[Any]', *, alone: bool) -> None:
        """Give up a command that hangs: cancel it if it is `alone` or the client is not ours, else close our client."""
        if self.driver.may_be_cancelled and (alone or not self.driver.is_ours):
            running.cancel()  # as aiocache's own time-out would have done
        elif self.driver.is_ours and self.usable:
            self.usable = False
            keep_running(self._loop.create_task(self.close()), _closing)

    async def close(self) -> None:
        """Stop using this link, and close its client if it is ours."""
        self.usable = False
        with suppress(RuntimeError):  # it is being closed already
            await self._at_end.aclose()

    async def _until_end(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            self.usable = False
            if self.driver.is_ours:
                for running in self._running:
                    running.cancel()
                await asyncio.gather(*self._running, return_exceptions=True)
                await self.driver.close()


_closing: set['asyncio.Task[None]'] = set()


async def all_closed() -> None:
    """Wait until the links of this event loop that were given up are closed."""
    loop = asyncio.get_running_loop()
    await asyncio.gather(*(it for it in tuple(_closing) if it.get_loop() is loop), return_exceptions=True)


class Watch:
    """Reports a command that takes longer than its time-out, and gives it up when it takes much longer.

    Time during which the event loop itself was late does not count. A command is not reported if others of its kind
    were answered meanwhile: then the backend works.
    """

    __slots__ = (
        *('_handle', '_is_large', '_kind', '_late_before', '_link', '_loop', '_running', '_seconds'),
        *('began_at', 'has_rung'),
    )

    def __init__(
        self, link: Link, kind: Kind, loop: asyncio.AbstractEventLoop, timeout: float, *, is_large: bool
    ) -> None:
        """Watch the command of the current task, and report to the link."""
        self._link = link
        self._kind: Kind = kind
        self._running: Any = asyncio.current_task(loop)
        self._loop = loop
        self._is_large = is_large
        self._seconds = timeout
        self.began_at = time.monotonic()
        self._late_before = link.lateness.seconds
        self.has_rung = False
        self._handle = loop.call_later(timeout, self._ring)

    def _ring(self) -> None:
        late = self._link.lateness.seconds - self._late_before
        left = self._seconds + late - (time.monotonic() - self.began_at)
        answered = self._link.has_answered(self._kind, self.began_at)
        if left > UNAVOIDABLE_SECONDS:  # the reply may have arrived, and we had no time to read it
            self._handle = self._loop.call_later(left, self._ring)
        elif self.has_rung:
            self._link.give_up(self._running, alone=answered)
        else:
            self.has_rung = True
            if not (answered or self._is_large):
                self._link.overdue(self._kind, late)
            self._seconds += GIVE_UP_SECONDS
            self._handle = self._loop.call_later(GIVE_UP_SECONDS, self._ring)

    def end(self) -> None:
        """Stop watching: the command has ended."""
        self._handle.cancel()
