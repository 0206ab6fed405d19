"""The way of one event loop to a backend outside of it: commands in their turns, look-ups of one moment in one command.

Who waits for a command may stop waiting; the command is not cancelled by that. A client library whose command is cut off
half-way may give its reply to the next command on that connection. What hangs is dropped, together with its client.

A large entry may take longer than its time-out although the store answers: its bytes are on their way. So it is read by itself, some
at a time only, and says nothing about the store: the marks do, which each request reads that has waited for it in vain.
"""

import asyncio
import math
import os
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from fastapi_caching_route._backends.breaker import FAILURES_TO_OPEN, Breaker, Kind
from fastapi_caching_route._backends.drivers import Driver
from fastapi_caching_route._concurrency.lateness import UNAVOIDABLE_SECONDS, Lateness
from fastapi_caching_route._concurrency.tasks import keep_running

T = TypeVar('T')

MAX_TOGETHER = 64
"""Keys in one command: a reply may have so many values, and each who waits for one waits for all."""

MAX_REPLY_BYTES = 1024 * 1024
"""Bytes in one reply, as far as the sizes of the last ones tell; a single entry may have more."""

GIVE_UP_SECONDS = 2.0
"""Seconds past the time-out after which a command that hangs is given up, and its client with it. Before that it may just
be slow: a new connection, over TLS and far away, takes several round trips."""

LARGE_BYTES = 64 * 1024
"""Bytes of an entry from which on it is read and written by itself: of smaller ones, some go into one reply."""

MAX_LARGE = 4
"""Large entries that are read or written at a time: more would take their time from each other, and all would be too late. One
connection stays free for what is small."""

MAX_SIZES = 4096
"""Keys of which the size of what was read is remembered, some hundred bytes each."""

MAX_WAITING = 10_000
"""Commands under way and waiting for their turns, some kilobytes each; the next one would never be in time."""


class Link:
    """Sends the commands of one event loop, which is the one that runs as it is made."""

    __slots__ = (
        '_adding',
        '_answered_at',
        '_at_end',
        '_batches',
        '_breaker',
        '_largest',
        '_loop',
        '_running',
        '_sizes',
        '_timeout',
        '_turns',
        '_turns_of_large',
        '_weigh',
        'driver',
        'lateness',
        'pid',
        'usable',
    )

    def __init__(self, driver: Driver, timeout: float, breaker: Breaker, weigh: Callable[[object], int]) -> None:
        """Send them by this driver; one that takes longer than `timeout` seconds has failed.

        `weigh` gives the size of an object, by which replies are made up.
        """
        self.usable = True
        self.pid: int = os.getpid()
        """The process in which the event loop runs: in one that was forked from it, it stands still."""
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
        """Bytes of the largest entry that was read lately without its size being known."""
        self._answered_at: dict[Kind, float] = {}
        self._running: set[asyncio.Task[Any]] = set()
        self.lateness = Lateness(self._loop, lambda: not self._running)
        self._adding: dict[str, asyncio.Task[bool]] = {}
        self._batches: dict[str, tuple[dict[str, None], asyncio.Task[dict[str, object]]]] = {}
        """What is to be read in the next command: all that is small together, and each large entry under its key."""
        self._at_end = self._until_end()
        with suppress(StopIteration):  # a generator that has begun is all that an event loop closes before it ends
            self._at_end.__anext__().send(None)

    def get(self, keys: Sequence[str]) -> 'asyncio.Task[dict[str, object]]':
        """What is under each key, or None; look-ups that come before it is sent go with it."""
        is_large = any(self._sizes.get(key, 0) >= LARGE_BYTES for key in keys)
        may_be_large = is_large or (self._largest >= LARGE_BYTES and any(key not in self._sizes for key in keys))
        name = keys[0] if may_be_large else ''
        batch = self._batches.get(name)
        if batch is None or len(batch[0]) + len(keys) > self._most_together():
            together: dict[str, None] = {}  # aiomcache takes no key twice
            running = self.send('reading', partial(self._read, name, together), is_large=is_large)
            batch = self._batches[name] = together, running
        batch[0].update(dict.fromkeys(keys))
        return batch[1]

    def _most_together(self) -> float:
        return min(MAX_TOGETHER, MAX_REPLY_BYTES / self._largest) if self._largest else MAX_TOGETHER

    async def _read(self, name: str, together: dict[str, None]) -> dict[str, object]:
        if name in self._batches and self._batches[name][0] is together:
            del self._batches[name]  # it is closed
        keys = list(together)
        found = dict(zip(keys, await self.driver.get_many(keys), strict=True))
        sizes = {key: self._weigh(it) for key, it in found.items() if it is not None}
        self._largest = max([self._largest / 2, *(size for key, size in sizes.items() if key not in self._sizes)])
        if len(self._sizes) > MAX_SIZES:
            self._sizes.clear()
        self._sizes.update(sizes)
        return found

    def add(self, key: str, command: Callable[[], Awaitable[bool]]) -> 'asyncio.Task[bool]':
        """Give a command that adds something; who wants to add under the same key meanwhile has it done, too."""
        adding = self._adding.get(key)
        if adding is None:
            adding = self._adding[key] = self.send('writing', command)
            adding.add_done_callback(lambda _: self._adding.pop(key, None))
        return adding

    def send(self, kind: Kind, command: Callable[[], Awaitable[T]], *, is_large: bool = False) -> 'asyncio.Task[T]':
        """Give a command, as soon as fewer than the client bears are under way."""
        if len(self._running) >= MAX_WAITING:
            msg = 'too many commands wait for the cache backend'
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
                if not watch.has_rung:  # else it is counted
                    self._breaker.failed(kind, error, time.monotonic())
                raise
            finally:
                watch.end()
            if not watch.has_rung:
                self._answered_at[kind] = time.monotonic()
                self._breaker.worked(kind)
            return given

    def has_answered(self, kind: Kind, since: float) -> bool:
        """Whether another command of this kind was answered in time since that moment."""
        return self._answered_at.get(kind, -math.inf) > since

    def overdue(self, kind: Kind, late: float) -> None:
        """Hear that a command takes longer than it may, and by how many seconds this event loop was late meanwhile."""
        busy = f', beside {late:.2f} s for which this process itself was busy' if late >= 0.01 else ''
        self._breaker.failed(kind, TimeoutError(f'no reply within {self._timeout} s{busy}'), time.monotonic())

    def give_up(self, running: 'asyncio.Task[Any]', *, alone: bool) -> None:
        """Close a client of ours with all commands that hang; or cancel this one, if it is `alone` or the client not ours."""
        if self.driver.may_be_cancelled and (alone or not self.driver.is_ours):
            running.cancel()  # as aiocache would have done, by its own time-out
        elif self.driver.is_ours and self.usable:
            self.usable = False
            keep_running(self._loop.create_task(self.close()), _closing)

    async def close(self) -> None:
        """Use it no more, and close what we have opened."""
        self.usable = False
        with suppress(RuntimeError):  # somebody else is closing it
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
    """Wait until the links of this event loop are closed that were given up."""
    loop = asyncio.get_running_loop()
    await asyncio.gather(*(it for it in tuple(_closing) if it.get_loop() is loop), return_exceptions=True)


class Watch:
    """Rings when a command takes longer than its time-out, and gives it up when it takes much longer.

    The time by which the event loop is late does not count. Nobody hears of it where other commands are answered meanwhile.
    """

    __slots__ = (
        '_began_at',
        '_handle',
        '_is_large',
        '_kind',
        '_late_before',
        '_link',
        '_loop',
        '_running',
        '_seconds',
        'has_rung',
    )

    def __init__(
        self, link: Link, kind: Kind, loop: asyncio.AbstractEventLoop, timeout: float, *, is_large: bool
    ) -> None:
        """Begin now, for the command of this task, of which the link is to hear."""
        self._link = link
        self._kind: Kind = kind
        self._running: Any = asyncio.current_task(loop)
        self._loop = loop
        self._is_large = is_large
        self._seconds = timeout
        self._began_at = time.monotonic()
        self._late_before = link.lateness.seconds
        self.has_rung = False
        self._handle = loop.call_later(timeout, self._ring)

    def _ring(self) -> None:
        late = self._link.lateness.seconds - self._late_before
        left = self._seconds + late - (time.monotonic() - self._began_at)
        answered = self._link.has_answered(self._kind, self._began_at)
        if left > UNAVOIDABLE_SECONDS:  # the reply may be there, and we had no time to read it
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
        """The command has come to its end."""
        self._handle.cancel()
