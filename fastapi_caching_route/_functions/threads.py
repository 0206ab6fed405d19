"""The event loop that works for a thread which cannot wait in one: the app's own, or one in a thread of its own.

Knows threads and event loops only.
"""

import asyncio
import os
from collections.abc import Coroutine
from threading import Lock, Thread
from typing import Any, TypeVar

import anyio.from_thread

T = TypeVar('T')

Loop = asyncio.AbstractEventLoop

_lock = Lock()
_own: tuple[int, Thread, Loop] | None = None
"""The process, the thread and the event loop."""


def is_in_loop() -> bool:
    """Whether this thread runs an event loop."""
    return _running() is not None


def _running() -> Loop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def loop_for_thread() -> Loop:
    """The event loop that works for this thread: that of the app if it runs a `def` endpoint or dependency here.

    Else it is one in a thread of its own, which lives as long as the process, and does not keep it alive.
    """
    return (None if is_in_loop() else _of_worker()) or _of_nobody()


def _of_worker() -> Loop | None:
    try:
        return anyio.from_thread.run_sync(_running)
    except RuntimeError:
        return None


def _of_nobody() -> Loop:
    global _own  # noqa: PLW0603, one for the process
    with _lock:
        if _own is None or _own[0] != os.getpid() or not _own[1].is_alive():
            loop = asyncio.new_event_loop()
            thread = Thread(target=_run, args=(loop,), name='fastapi-caching-route', daemon=True)
            thread.start()
            _own = os.getpid(), thread, loop
        return _own[2]


def _run(loop: Loop) -> None:
    """Run an event loop for ever. `SystemExit` in a task is for whoever waits for that task, not for all others."""
    while True:
        try:
            loop.run_forever()
        except (SystemExit, KeyboardInterrupt):
            continue
        return


def wait_for(work: Coroutine[Any, Any, T]) -> T:
    """Block until something is done, in the event loop that works for this thread."""
    return asyncio.run_coroutine_threadsafe(work, loop_for_thread()).result()


async def run_in_own_loop(work: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine in the event loop that has a thread of its own; if there is none, close the coroutine."""
    own = _own
    if own is None or own[0] != os.getpid() or not own[1].is_alive():
        work.close()
    else:
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, own[2]))
