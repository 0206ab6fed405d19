"""The way of one event loop to a backend outside of it: commands in their turns, look-ups of one moment in one command.

Who waits for a command may stop waiting; the command is not cancelled by that. A client library whose command is cut off
half-way may give its reply to the next command on that connection. What hangs is dropped, together with its client.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from fastapi_caching_route import _drivers
from fastapi_caching_route._breaker import FEW, Breaker, Kind
from fastapi_caching_route._chore import held
from fastapi_caching_route._entry import Entry
from fastapi_caching_route._shelf import LATE

MOST_TOGETHER = 64
"""Keys in one command: a reply may have so many values, and each who waits for one waits for all."""

MOST_BYTES = 1024 * 1024
"""Bytes in one reply, as far as the sizes of the last ones tell; a single entry may have more."""

HANGING = 2.0
"""Seconds past the time-out after which a command that hangs is given up, and its client with it. Before that it may just
be slow: a new connection, over TLS and far away, takes several round trips."""

FEW_TOGETHER = 4
"""Entries, of which so few go into one reply that they are large: then as many replies at a time are enough. More would take
their time from each other, and all would be too late."""

MOST_WAITING = 10_000
"""Commands under way and waiting for their turns, some kilobytes each; the next one would never be in time."""


class Link:
    """Sends the commands of one event loop, which is the one that runs as it is made."""

    __slots__ = (
        '_adding',
        '_at_end',
        '_batch',
        '_breaker',
        '_get_many',
        '_largest',
        '_loop',
        '_own',
        '_running',
        '_timeout',
        '_turns',
        '_turns_of_large',
        'backend',
        'usable',
    )

    def __init__(self, backend: Any, timeout: float, breaker: Breaker, *, own: bool) -> None:
        """Send them by this backend; one that takes longer than `timeout` seconds has failed.

        Its client is ours alone if it is our `own`, and is closed at the end of the event loop.
        """
        self.usable = True
        self.backend = backend
        self._timeout = timeout
        self._breaker = breaker
        self._own = own
        self._get_many = _drivers.get_many(backend)
        self._loop = asyncio.get_running_loop()
        concurrency = _drivers.concurrency(getattr(backend, 'client', None))
        breaker.few = min(FEW, concurrency)
        self._turns = asyncio.Semaphore(concurrency)
        self._turns_of_large = asyncio.Semaphore(min(FEW_TOGETHER, concurrency))
        self._largest = 0.0
        """Bytes of the largest entry that was read lately."""
        self._running: set[asyncio.Task[Any]] = set()
        self._adding: dict[str, asyncio.Task[Any]] = {}
        self._batch: tuple[dict[str, None], asyncio.Task[dict[str, Any]]] | None = None
        self._at_end = self._until_end()
        with suppress(StopIteration):  # a generator that has begun is all that an event loop closes before it ends
            self._at_end.__anext__().send(None)

    def get(self, keys: Sequence[str]) -> 'asyncio.Task[dict[str, Any]]':
        """What is under each key, or None; look-ups that come before it is sent go with it."""
        if self._batch is None or len(self._batch[0]) + len(keys) > self._most_together():
            together: dict[str, None] = {}  # aiomcache takes no key twice
            turns = self._turns if self._most_together() > FEW_TOGETHER else self._turns_of_large
            self._batch = (together, self.send('reading', partial(self._read, together), turns))
        self._batch[0].update(dict.fromkeys(keys))
        return self._batch[1]

    def _most_together(self) -> float:
        return min(MOST_TOGETHER, MOST_BYTES / self._largest) if self._largest else MOST_TOGETHER

    async def _read(self, together: dict[str, None]) -> dict[str, Any]:
        if self._batch is not None and self._batch[0] is together:
            self._batch = None  # it is closed
        keys = list(together)
        values = await self._get_many(keys)
        self._largest = max(self._largest / 2, *(len(it.body) for it in values if isinstance(it, Entry)), 1)
        return dict(zip(keys, values or [None] * len(keys), strict=True))  # none where aiocache is switched off

    def add(self, key: str, command: Callable[[], Awaitable[Any]]) -> 'asyncio.Task[Any]':
        """Give a command that adds something; who wants to add under the same key meanwhile has it done, too."""
        adding = self._adding.get(key)
        if adding is None:
            adding = self._adding[key] = self.send('writing', command)
            adding.add_done_callback(lambda _: self._adding.pop(key, None))
        return adding

    def send(
        self, kind: Kind, command: Callable[[], Awaitable[Any]], turns: asyncio.Semaphore | None = None
    ) -> 'asyncio.Task[Any]':
        """Give a command, as soon as fewer than the client bears are under way."""
        if len(self._running) >= MOST_WAITING:
            msg = 'too many commands wait for the cache backend'
            raise ConnectionError(msg)
        return held(self._loop.create_task(self._run(kind, command, turns or self._turns)), self._running)

    async def _run(self, kind: Kind, command: Callable[[], Awaitable[Any]], turns: asyncio.Semaphore) -> Any:
        async with turns:
            watch = Watch(self, kind, self._loop, self._timeout)
            try:
                given = await command()
            except Exception as error:
                if not watch.has_rung:  # else it is counted
                    self._breaker.failed(kind, error, time.monotonic())
                raise
            finally:
                watch.end()
            if not watch.has_rung:
                self._breaker.worked(kind)
            return given

    def overdue(self, kind: Kind) -> None:
        """Hear that a command takes longer than it may."""
        self._breaker.failed(kind, TimeoutError(f'no reply within {self._timeout} s'), time.monotonic())

    def give_up(self, running: 'asyncio.Task[Any] | None') -> None:
        """Close a client of ours with all commands that hang. Another one's may be in use elsewhere."""
        if self._own and self.usable:
            self.usable = False
            held(self._loop.create_task(self.close()), _closing)
        elif not self._own and running is not None and _drivers.may_be_cancelled(getattr(self.backend, 'client', None)):
            running.cancel()  # as aiocache would have done, by its own time-out

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
            if self._own:
                for running in self._running:
                    running.cancel()
                await asyncio.gather(*self._running, return_exceptions=True)
                await _drivers.close(self.backend.client)


_closing: set['asyncio.Task[None]'] = set()


async def all_closed() -> None:
    """Wait until the links of this event loop are closed that were given up."""
    loop = asyncio.get_running_loop()
    await asyncio.gather(*(it for it in tuple(_closing) if it.get_loop() is loop), return_exceptions=True)


class Watch:
    """Rings when a command takes longer than its time-out, and gives it up when it takes much longer."""

    __slots__ = ('_due_at', '_handle', '_kind', '_link', '_loop', '_running', '_timeout', 'has_rung')

    def __init__(self, link: Link, kind: Kind, loop: asyncio.AbstractEventLoop, timeout: float) -> None:
        """Begin now, for the command of this task, of which the link is to hear."""
        self._link = link
        self._kind: Kind = kind
        self._running = asyncio.current_task(loop)
        self._loop = loop
        self._timeout = timeout
        self.has_rung = False
        self._wait(timeout)

    def _wait(self, seconds: float) -> None:
        self._due_at = self._loop.time() + seconds
        self._handle = self._loop.call_later(seconds, self._ring)

    def _ring(self) -> None:
        if self._loop.time() - self._due_at > LATE:  # the reply may be there, and we had no time to read it
            self._wait(self._timeout)
        elif self.has_rung:
            self._link.give_up(self._running)
        else:
            self.has_rung = True
            self._link.overdue(self._kind)
            self._wait(HANGING)

    def end(self) -> None:
        """The command has come to its end."""
        self._handle.cancel()


async def in_time(running: 'asyncio.Task[Any]', seconds: float) -> Any:
    """What a command gives, if that is soon enough; it goes on if not, and also if who waits is cancelled.

    An event loop that is late itself gives it as many seconds again.

    Raises:
        TimeoutError: it did not give anything in time, or was dropped.

    """
    began, seconds = time.monotonic(), max(seconds, 0)
    await _wait(running, seconds)
    if not running.done() and time.monotonic() - began > seconds + LATE:  # we were busy, which is not its fault
        await _wait(running, max(seconds, LATE))
    if not running.done() or running.cancelled():
        msg = 'the cache backend did not answer in time'
        raise TimeoutError(msg)
    return running.result()


async def _wait(running: 'asyncio.Task[Any]', seconds: float) -> None:
    """Wait until it is done, or so many seconds are over: as `asyncio.wait`, at half of its cost, for each look-up waits once."""
    if running.done():
        return
    waiter = running.get_loop().create_future()

    def wake(_: object = None) -> None:
        if not waiter.done():
            waiter.set_result(None)

    timer = running.get_loop().call_later(seconds, wake)
    running.add_done_callback(wake)
    try:
        await waiter
    finally:
        timer.cancel()
        running.remove_done_callback(wake)
