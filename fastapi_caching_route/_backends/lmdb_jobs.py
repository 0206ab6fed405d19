"""Operations that wait for the thread that writes to an LMDB store, and how their results get back.

Knows event loops. Does not know transactions.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

from fastapi_caching_route._backends.lmdb_table import Table
from fastapi_caching_route._concurrency.observers import AllObservers
from fastapi_caching_route.events import Evicted

T = TypeVar('T')


@dataclass(slots=True)
class Job(Generic[T]):
    """An operation, which may run more than once, and who waits for its result."""

    operation: Callable[[Table], T]
    size: int
    loop: asyncio.AbstractEventLoop
    result: 'asyncio.Future[T]'
    even_if_full: bool


class Done(NamedTuple):
    """What came of an operation."""

    job: Job[Any]
    result: Any
    error: Exception | None


def tell(told: Sequence[Done]) -> None:
    """Give the results to their event loops, with one call to each."""
    for loop in {it.job.loop for it in told}:
        with suppress(RuntimeError):  # it was closed
            loop.call_soon_threadsafe(_settle, [it for it in told if it.job.loop is loop])


def _settle(told: Sequence[Done]) -> None:
    for job, result, error in told:
        if job.result.done():
            continue
        if error is None:
            job.result.set_result(result)
        else:
            job.result.set_exception(error)


def tell_evicted(observers: AllObservers, evicted: Sequence[Evicted], loop: asyncio.AbstractEventLoop | None) -> None:
    """Tell observers in an event loop that has written; in this thread, if there is none."""
    for it in evicted:
        try:
            if loop is not None:
                loop.call_soon_threadsafe(observers.tell_of, it)
        except RuntimeError:  # it was closed
            loop = None
        if loop is None:
            observers.tell_of(it)


def tried(work: Callable[[], T]) -> T | Exception:
    """What a function returns or raises. It may be anything: the thread that calls it has to go on."""
    try:
        return work()
    except BaseException as error:  # noqa: BLE001, whatever LMDB, the disk or an operation raises
        if isinstance(error, Exception) and not isinstance(error, StopIteration):
            return error
        return RuntimeError(f'{type(error).__name__}: {error}')  # a future takes no other exception
