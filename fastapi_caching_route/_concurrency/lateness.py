"""How late an event loop is itself, and waiting in which that does not count: it is no fault of the store that is waited for.

Knows clocks and timers, and neither stores nor commands.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar('T')

BEAT_SECONDS = 0.02
"""Seconds between two looks at the clock, while something is waited for."""

MAX_FORGIVEN = 4.0
"""How many times as long as it would someone waits at most, since the loop is late: who is served so slowly may well wait."""

UNAVOIDABLE_SECONDS = 0.002
"""Seconds by which timers are late without anything being wrong."""


class Lateness:
    """The seconds by which one event loop was late, since its commands are watched."""

    __slots__ = ('_due_at', '_is_idle', '_is_watched', '_loop', '_seconds')

    def __init__(self, loop: asyncio.AbstractEventLoop, is_idle: Callable[[], bool]) -> None:
        """Nothing is watched yet. It ends by itself when the loop `is_idle`, with nothing to wait for."""
        self._loop = loop
        self._is_idle = is_idle
        self._seconds = 0.0
        self._is_watched = False
        self._due_at = 0.0

    def watch(self) -> None:
        """Look at the clock from now on, until nothing is waited for."""
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
        """How late it was until now, all in all."""
        late = time.monotonic() - self._due_at - UNAVOIDABLE_SECONDS if self._is_watched else 0.0
        return self._seconds + max(late, 0.0)


async def in_time(running: 'asyncio.Task[T]', seconds: float, lateness: Lateness) -> T:
    """What a command gives, if that is soon enough; it goes on if not, and also if who waits is cancelled.

    The seconds by which the event loop is late do not count, up to `MAX_FORGIVEN`.

    Raises:
        TimeoutError: it did not give anything in time, or was dropped.

    """
    began, late_before, seconds = time.monotonic(), lateness.seconds, max(seconds, 0.0)
    await _wait(running, seconds)
    while not running.done():
        late = min(lateness.seconds - late_before, MAX_FORGIVEN * max(seconds, BEAT_SECONDS))
        left = seconds + late - (time.monotonic() - began)
        if left < UNAVOIDABLE_SECONDS:
            break
        await _wait(running, left)
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
