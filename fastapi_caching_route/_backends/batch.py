"""Callers that wait for one command together. Knows tasks and seconds, not what the command does."""

import asyncio
import time
from collections.abc import Awaitable
from typing import Generic, TypeVar

from fastapi_caching_route._concurrency.lateness import UNAVOIDABLE_SECONDS, Lateness, forgiven, in_time

Given = TypeVar('Given')
Found = TypeVar('Found')

SHARED_PART = 0.9
"""A caller that has less than this part of the time-out left has a timer of its own."""


class Batch(Generic[Given, Found]):
    """Keys that one command reads or writes, and callers that wait for it, each as long as its budget lasts.

    Most callers have the same budget and begin at the same time, so they share one timer.
    """

    __slots__ = (
        *('_began_at', '_is_over', '_late_before', '_lateness', '_running', '_seconds', '_timer', '_waiting'),
        *('keys', 'late'),
    )

    _running: 'asyncio.Task[dict[str, Found]]'

    def __init__(self, lateness: Lateness, seconds: float) -> None:
        """Wait at most `seconds`, not counting those for which the event loop is late."""
        self.keys: dict[str, Given] = {}  # without duplicates, which aiomcache rejects
        """The keys, and what the command is given for each of them."""
        self.late: float = 0.0
        """How late the event loop was while callers waited."""
        self._seconds = seconds
        self._lateness = lateness
        self._waiting: list[asyncio.Future[dict[str, Found]]] = []
        """One for each caller: a caller that is cancelled stops waiting at once, and the others go on."""
        self._is_over = False
        self._began_at, self._late_before = time.monotonic(), lateness.seconds

    def begin(self, running: 'asyncio.Task[dict[str, Found]]') -> None:
        """The command is under way."""
        self._running = running
        self._timer = running.get_loop().call_later(self._seconds, self._ring)
        running.add_done_callback(self._arrive)

    def found_within(self, within: float) -> Awaitable[dict[str, Found]]:
        """The objects by their keys, to be awaited. It raises a TimeoutError if they do not arrive in time."""
        if within < SHARED_PART * self._seconds:
            return in_time(self._running, within, self._lateness)
        waiting: asyncio.Future[dict[str, Found]] = self._running.get_loop().create_future()
        if self._is_over:
            self._settle(waiting)
        else:
            self._waiting.append(waiting)
        return waiting

    def _settle(self, waiting: 'asyncio.Future[dict[str, Found]]') -> None:
        """Let a caller go on."""
        running = self._running
        if waiting.done():  # it was cancelled
            return
        if not running.done() or running.cancelled():
            waiting.set_exception(TimeoutError('the cache backend did not respond in time'))
        elif (error := running.exception()) is not None:
            waiting.set_exception(error)
        else:
            waiting.set_result(running.result())

    def _ring(self) -> None:
        late = forgiven(self._lateness.seconds - self._late_before, self._seconds)
        left = self._seconds + late - (time.monotonic() - self._began_at)
        if left < UNAVOIDABLE_SECONDS:
            self._arrive()
        else:
            self._timer = self._running.get_loop().call_later(left, self._ring)

    def _arrive(self, _: object = None) -> None:
        self._timer.cancel()
        if not self._is_over:
            self._is_over = True
            self.late = self._lateness.seconds - self._late_before
            for waiting in self._waiting:
                self._settle(waiting)


Reading = Batch[None, object]
