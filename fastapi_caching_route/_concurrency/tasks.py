"""What a process does in the background: something that is once at a time, and tasks that nobody may wait for."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar('T')


async def after(earlier: Awaitable[object], then: Callable[[], Awaitable[None]]) -> None:
    """Do one thing when another is done."""
    await earlier
    await then()


def on_asyncio() -> bool:
    """Whether this runs in a task of asyncio; if not, it may be trio, on which nothing of ours can wait."""
    try:
        return asyncio.current_task() is not None
    except RuntimeError:
        return False


def keep_running(running: 'asyncio.Task[T]', among: 'set[asyncio.Task[Any]]') -> 'asyncio.Task[T]':
    """The task, kept among others until it has ended; its exception has been heard, even if nobody waits for it."""

    def ended(task: 'asyncio.Task[Any]') -> None:
        among.discard(task)
        if not task.cancelled():
            task.exception()

    among.add(running)
    running.add_done_callback(ended)
    return running


class Background:
    """Begins a task, unless it is under way already.

    It is not if its event loop was closed, or is not run any more, or has stayed behind in the process that forked this one.
    """

    __slots__ = ('_pid', '_task')

    def __init__(self) -> None:
        """Nothing is under way."""
        self._task: asyncio.Task[None] | None = None
        self._pid = 0

    @property
    def is_under_way(self) -> bool:
        """Whether it has begun, and will come to its end."""
        task = self._task
        return task is not None and not task.done() and task.get_loop().is_running() and self._pid == os.getpid()

    def begin(self, work: Callable[[], Coroutine[Any, Any, None]]) -> 'asyncio.Task[None]':
        """The task that does it: the one under way, or a new one in this event loop."""
        if self._task is None or not self.is_under_way:
            self._task, self._pid = asyncio.get_running_loop().create_task(work()), os.getpid()
        return self._task

    async def end(self) -> None:
        """Cancel it, if it is under way in this event loop, and wait for its end."""
        task = self._task
        if task is not None and not task.done() and task.get_loop() is asyncio.get_running_loop():
            task.cancel()
            await asyncio.wait([task])
