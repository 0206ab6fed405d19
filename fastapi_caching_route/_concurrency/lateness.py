"""How late the event loop itself is, and waiting that does not count that time: the store is not to blame for it.

Knows clocks and timers; knows neither stores nor commands.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar('T')

BEAT_SECONDS = 0.02
"""How often the clock is checked while a command is under way."""

MAX_FORGIVEN = 4.0
"""How much of the loop's own lateness is added to a time-out at most, as a multiple of that time-out."""

UNAVOIDABLE_SECONDS = 0.002
"""Timers are late by up to this even on an idle machine."""


class Lateness:
    """How many seconds one event loop was late while commands were under way in it."""

    __slots__ = ('_due_at', '_is_idle', '_is_watched', '_loop', '_seconds')

    def __init__(self, loop: asyncio.AbstractEventLoop, is_idle: Callable[[], bool]) -> None:
        """Watch nothing yet. Watching stops by itself when `is_idle` says that no command is under way."""
        self._loop = loop
        self._is_idle = is_idle
        self._seconds = 0.0
        self._is_watched = False
        self._due_at = 0.0

    def watch(self) -> None:
        """Check the clock from now on, until no command is under way."""
        if not self._is_watched:
            self._is_watched = True
            self._wait()

    def _wait(self) -> None:
        self._due_at = time.monotonic() + BEAT_SECONDS
        self._loop.call_later(BEAT_SECONDS, self._beat)

    def _beat(self) -> None:
        self._seconds = self.seconds
        self._is_watched = not self._is_idle()
        if self._is_watched:
            self._wait()

    @property
    def seconds(self) -> float:
        """How late the loop was so far, in total."""
        late = time.monotonic() - self._due_at - UNAVOIDABLE_SECONDS if self._is_watched else 0.0
        return self._seconds + max(late, 0.0)


def forgiven(late: float, seconds: float) -> float:
    """How many seconds of lateness do not count for a caller that waits so many seconds."""
    return min(late, MAX_FORGIVEN * max(seconds, BEAT_SECONDS))


async def in_time(running: 'asyncio.Task[T]', seconds: float, lateness: Lateness) -> T:
    """The result of a command. The command goes on if it takes longer, and also if the caller is cancelled.

    Seconds during which the event loop itself was late do not count, up to `MAX_FORGIVEN`.

    Raises:
        TimeoutError: there was no result in time, or the command was dropped.

    """
    began, late_before, seconds = time.monotonic(), lateness.seconds, max(seconds, 0.0)
    await wait_for(running, seconds)
    while not running.done():
        late = forgiven(lateness.seconds - late_before, seconds)
        left = seconds + late - (time.monotonic() - began)
        if left < UNAVOIDABLE_SECONDS:
            break
        await wait_for(running, left)
    if not running.done() or running.cancelled():
        msg = 'the cache backend did not respond in time'
        raise TimeoutError(msg)
    return running.result()


async def waited_for(done: 'asyncio.Future[None]', seconds: float, late: Callable[[], float]) -> float:
    """Wait for a future as `in_time` does, at most `seconds`; return how many of them this has taken.

    `late` says how late the event loop was so far, in total.
    """
    began, late_before, seconds = time.monotonic(), late(), max(seconds, 0.0)
    left, taken = seconds, 0.0
    while not done.done() and left > 0:
        await wait_for(done, left)
        taken = time.monotonic() - began - forgiven(late() - late_before, seconds)
        left = seconds - taken if seconds - taken >= UNAVOIDABLE_SECONDS else 0.0
    return max(taken, 0.0)


async def wait_for(running: 'asyncio.Future[Any]', seconds: float) -> None:
    """Wait for a task or another future, at most `seconds`; it goes on after that, and also if the caller is cancelled.

    Costs half as much as `asyncio.wait`, and each look-up waits once, as each storing does.
    """
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
