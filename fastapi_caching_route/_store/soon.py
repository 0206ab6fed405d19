"""Has what is owed to a store written soon: by an event loop of this process, or by a thread where there is none.

Knows loops and threads. What is owed, and that it counts in this process until then, is in `_debts`.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from threading import Lock, Thread
from typing import Any

import anyio.from_thread

from fastapi_caching_route._concurrency.tasks import keep_running
from fastapi_caching_route._store.debts import FIRST_RETRY_SECONDS, MAX_RETRY_SECONDS, Debts, Write
from fastapi_caching_route.errors import ConfigurationError

Loop = asyncio.AbstractEventLoop

MAX_ATTEMPT_SECONDS = 2.0
"""Seconds for which one attempt in an event loop waits for another that is under way there."""


class Writer:
    """Writes what is owed to one backend, whoever asks for it: any thread, with or without an event loop.

    A thread of its own writes where no loop is known, as in a script. It ends when nothing is owed, and does not keep the
    process alive.
    """

    __slots__ = ('_begun_in', '_close', '_debts', '_home', '_lock', '_thread', '_under_way', '_write')

    def __init__(self, debts: Debts, write: Write, close: Callable[[], Awaitable[None]]) -> None:
        """Write by `write`, and `close` what that has opened where the event loop is one of our own."""
        self._home: tuple[Loop, int] | None = None
        """The event loop in which the app has opened the cache, and the process in which it runs."""
        self._debts = debts
        self._write = write
        self._close = close
        self._begun_in: Loop | None = None
        self._lock = Lock()
        self._thread: Thread | None = None
        self._under_way: set[asyncio.Task[Any]] = set()

    @property
    def home(self) -> Loop | None:
        """The event loop in which the app has opened the cache; None in a process that was forked since."""
        return self._home[0] if self._home is not None and self._home[1] == os.getpid() else None

    @home.setter
    def home(self, loop: Loop | None) -> None:
        self._home = None if loop is None else (loop, os.getpid())

    def soon(self, known: Loop | None) -> None:
        """Begin: in the event loop of this thread, else in the one of the app or one that is known to have used the store."""
        found = (
            _own_loop,
            lambda: self.home,
            lambda: known,
            _loop_of_worker,
        )  # in this order: the last one takes a while
        if not any(self._has_begun(find()) for find in found):
            self.in_thread()

    def _has_begun(self, loop: Loop | None) -> bool:
        if loop is None or not loop.is_running():
            return False
        if self._begun_in is loop:  # and what it has not begun yet will write this, too
            return True
        self._begun_in = loop
        try:
            loop.call_soon_threadsafe(self._begin)
        except RuntimeError:  # it was closed this very moment
            self._begun_in = None
        return self._begun_in is not None

    def _begin(self) -> None:
        self._begun_in = None
        keep_running(asyncio.get_running_loop().create_task(self._in_loop()), self._under_way)

    async def _in_loop(self) -> None:
        for _ in range(2):  # the attempt that is under way may have begun before this was owed
            await asyncio.wait([self._debts.retry(self._write)], timeout=MAX_ATTEMPT_SECONDS)
        if self._debts:
            self._debts.retry_later(self._write)

    def in_thread(self) -> None:
        """Begin in a thread, if there is none that is at it."""
        with self._lock:
            if self._thread is None or not self._thread.is_alive():  # as it is in a process that was forked, too
                self._thread = Thread(target=lambda: asyncio.run(self._retry()), daemon=True)
                with suppress(RuntimeError):  # the process ends, or has no threads
                    self._thread.start()

    async def _retry(self) -> None:
        wait = FIRST_RETRY_SECONDS
        await self._debts.retry_here(self._write)
        while not self._is_done():
            await asyncio.sleep(wait)
            wait = min(2 * wait, MAX_RETRY_SECONDS)
            await self._debts.retry_here(self._write)
        await self._close()

    def _is_done(self) -> bool:
        with self._lock:  # what comes to be owed after this has another thread
            if not self._debts:
                self._thread = None
            return not self._debts


def _own_loop() -> Loop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _loop_of_worker() -> Loop | None:
    """The event loop that has this thread run a `def` endpoint."""
    try:
        return anyio.from_thread.run_sync(_own_loop)
    except RuntimeError:
        return None


def refuse_in_loop() -> None:
    """See that no event loop runs in this thread, which would stand still.

    Raises:
        ConfigurationError: one does.

    """
    if _own_loop() is not None:
        msg = (
            'invalidate_now blocks, and an event loop runs in this thread: use `await cache.invalidate_tags(...)` and its '
            'like in `async def`, and cache.invalidate_soon(...) in code that cannot await'
        )
        raise ConfigurationError(msg)
