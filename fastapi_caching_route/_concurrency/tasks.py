"""Background tasks: those that nobody may wait for, and those of which only one runs at a time."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextvars import ContextVar
from typing import Any, TypeVar

T = TypeVar('T')

IN_BRIEF_LOOP: ContextVar[bool] = ContextVar('fastapi_caching_route_in_brief_loop', default=False)
"""Whether the event loop is one of ours that ends with what it was made for: no background task may begin there."""


async def after(earlier: Awaitable[object], then: Callable[[], Awaitable[object]]) -> None:
    """Wait for `earlier`, then call `then`."""
    await earlier
    await then()


def on_asyncio() -> bool:
    """Whether this runs in a task of asyncio. If not, it may be trio, where we cannot wait for anything."""
    try:
        return asyncio.current_task() is not None
    except RuntimeError:
        return False


async def without_exit(work: Awaitable[T]) -> T:
    """The result of `work`, in which `SystemExit` is an error like any other: it must not end the event loop.

    Raises:
        RuntimeError: it has raised `SystemExit`.

    """
    try:
        return await work
    except SystemExit as error:
        msg = f'SystemExit: {error}'
        raise RuntimeError(msg) from error


def keep_running(running: 'asyncio.Task[T]', among: 'set[asyncio.Task[Any]]') -> 'asyncio.Task[T]':
    """Keep a reference to a task until it ends, and retrieve its exception, so that nobody has to wait for it."""

    def ended(task: 'asyncio.Task[Any]') -> None:
        among.discard(task)
        if not task.cancelled():
            task.exception()

    among.add(running)
    running.add_done_callback(ended)
    return running


async def ends_of(tasks: 'Iterable[asyncio.Task[Any]]') -> None:
    """Wait for the ends of those tasks that belong to this event loop."""
    loop = asyncio.get_running_loop()
    await asyncio.gather(*(it for it in tuple(tasks) if it.get_loop() is loop), return_exceptions=True)


class Background:
    """A background task of which one runs at a time.

    A task does not count as running if its event loop is closed or stopped, or if this process was forked from the one
    in which it began.
    """

    __slots__ = ('_pid', '_task')

    def __init__(self) -> None:
        """No task is running."""
        self._task: asyncio.Task[None] | None = None
        self._pid = 0

    @property
    def is_under_way(self) -> bool:
        """Whether the task is running and can end."""
        task = self._task
        return task is not None and not task.done() and task.get_loop().is_running() and self._pid == os.getpid()

    def begin(self, work: Callable[[], Coroutine[Any, Any, None]]) -> 'asyncio.Task[None]':
        """The running task, or else a new one in this event loop."""
        if self._task is None or not self.is_under_way:
            self._task, self._pid = asyncio.get_running_loop().create_task(work()), os.getpid()
        return self._task

    async def end(self) -> None:
        """If the task belongs to this event loop, cancel it and wait for its end."""
        task = self._task
        if task is not None and not task.done() and task.get_loop() is asyncio.get_running_loop():
            task.cancel()
            await asyncio.wait([task])
