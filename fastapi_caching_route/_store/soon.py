"""Sends pending invalidations soon: in an event loop of this process or, if none is running, in a thread.

Knows event loops and threads. Which invalidations are pending is in `debts`.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from threading import Lock, Thread
from typing import Any

import anyio.from_thread

from fastapi_caching_route._concurrency.tasks import IN_BRIEF_LOOP, keep_running, without_exit
from fastapi_caching_route._store.debts import FIRST_RETRY_SECONDS, MAX_RETRY_SECONDS, Debts, Write
from fastapi_caching_route.errors import ConfigurationError

Loop = asyncio.AbstractEventLoop

MAX_ATTEMPT_SECONDS = 2.0
"""How long an attempt waits for another one that is under way in the same event loop."""


class Writer:
    """Sends the pending invalidations of one backend. Any thread may ask for that, with or without an event loop.

    If no event loop is known, as in a script, a thread of its own does it. That thread ends when nothing is pending,
    and does not keep the process alive.
    """

    __slots__ = ('_begun_in', '_close', '_debts', '_home', '_lock', '_thread', '_under_way', '_write')

    def __init__(self, debts: Debts, write: Write, close: Callable[[], Awaitable[None]]) -> None:
        """Send with `write`. In an event loop of our own, `close` the connections that this has opened."""
        self._home: tuple[Loop, int] | None = None
        """The event loop in which the app has opened the cache, and the process of that loop."""
        self._debts = debts
        self._write = write
        self._close = close
        self._begun_in: Loop | None = None
        self._lock = Lock()
        self._thread: Thread | None = None
        self._under_way: set[asyncio.Task[Any]] = set()

    @property
    def home(self) -> Loop | None:
        """The event loop in which the app has opened the cache; None after a fork."""
        return self._home[0] if self._home is not None and self._home[1] == os.getpid() else None

    @home.setter
    def home(self, loop: Loop | None) -> None:
        self._home = None if loop is None else (loop, os.getpid())

    def soon(self, known: Loop | None) -> None:
        """Start sending: in the loop of this thread, the app's, `known` (one that has used the store), or a thread."""
        found = (
            _own_loop,
            lambda: self.home,
            lambda: known,
            _loop_of_worker,  # last, since it takes a while
        )
        if not any(self._has_begun(find()) for find in found):
            self.in_thread()

    def _has_begun(self, loop: Loop | None) -> bool:
        if loop is None or not loop.is_running():
            return False
        if self._begun_in is loop:  # it was asked before and has not started: it will send this, too
            return True
        self._begun_in = loop
        try:
            loop.call_soon_threadsafe(self._begin)
        except RuntimeError:  # it has just been closed
            self._begun_in = None
        return self._begun_in is not None

    def _begin(self) -> None:
        self._begun_in = None
        keep_running(asyncio.get_running_loop().create_task(self._in_loop()), self._under_way)

    async def _in_loop(self) -> None:
        for _ in range(2):  # an attempt under way may have begun before this was pending
            await asyncio.wait([self._debts.retry(self._write)], timeout=MAX_ATTEMPT_SECONDS)
        if self._debts:
            self._debts.retry_later(self._write)

    def in_thread(self) -> None:
        """Start sending in a thread, unless one is doing so."""
        with self._lock:
            if self._thread is None or not self._thread.is_alive():  # also after a fork
                self._thread = Thread(target=lambda: asyncio.run(self._retry()), daemon=True)
                with suppress(RuntimeError):  # the process exits, or cannot have threads
                    self._thread.start()

    async def _retry(self) -> None:
        IN_BRIEF_LOOP.set(True)
        wait = FIRST_RETRY_SECONDS
        await self._attempt()
        while not self._is_done():
            await asyncio.sleep(wait)
            wait = min(2 * wait, MAX_RETRY_SECONDS)
            await self._attempt()
        await self._close()

    async def _attempt(self) -> None:
        """Retry once. In a task of its own: it may raise anything, also a cancellation, and this has to go on."""
        attempt = asyncio.ensure_future(without_exit(self._debts.retry_here(self._write)))
        await asyncio.wait((keep_running(attempt, self._under_way),))

    def _is_done(self) -> bool:
        with self._lock:  # what is owed after this gets another thread
            if not self._debts:
                self._thread = None
            return not self._debts


def _own_loop() -> Loop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _loop_of_worker() -> Loop | None:
    """The event loop that runs a `def` endpoint in this thread."""
    try:
        return anyio.from_thread.run_sync(_own_loop)
    except RuntimeError:
        return None


def refuse_in_loop() -> None:
    """Raise if an event loop is running in this thread: it would be blocked.

    Raises:
        ConfigurationError: an event loop is running.

    """
    if _own_loop() is not None:
        msg = (
            'invalidate_now blocks, but an event loop is running in this thread: in `async def`, use `await '
            'cache.invalidate_tags(...)` or a similar method, and cache.invalidate_soon(...) in code that cannot await'
        )
        raise ConfigurationError(msg)
