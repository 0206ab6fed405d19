"""The thread that writes to an LMDB store, one for each process.

A write transaction waits for those of other processes without a time-out: a process that is stopped inside one keeps
all others waiting. So no thread of the app begins one. The queue is bounded, and whoever waits may stop waiting.
Operations that wait at the same time share a transaction. The thread ends when there is nothing to do.
"""

import asyncio
import logging
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from threading import Condition, Thread
from typing import Any, Generic, NamedTuple, TypeVar

from fastapi_caching_route._backends.lmdb_environment import Environment, Opened
from fastapi_caching_route._backends.lmdb_files import is_disk_full, is_full
from fastapi_caching_route._backends.lmdb_table import Table
from fastapi_caching_route._concurrency.observers import AllObservers
from fastapi_caching_route.events import Evicted

logger = logging.getLogger('fastapi_caching_route')

T = TypeVar('T')

MAX_WAITING = 1000
"""How many operations wait at most: as many are written in some ten milliseconds, if nothing is in the way."""

MAX_WAITING_BYTES = 64 * 1024 * 1024
"""How many bytes they have together."""

MAX_TOGETHER = 100
"""How many operations share a transaction: all others wait for its end."""

EVICTED_AT_ONCE = 1000
"""How many values a transaction evicts at most: more than it can add, and about ten milliseconds. A store whose limit
was lowered shrinks step by step."""

IDLE = 2.0
"""After how many seconds without work the thread ends."""

FOLDED_AFTER = 1.0
"""After how many seconds uses are written, if nothing else is."""

START_OVER = 60.0
"""At most once in so many seconds, entries are dropped because the disk is full."""

MAX_USED = 2000
"""How many used keys are remembered until then."""


@dataclass(slots=True)
class Job(Generic[T]):
    """An operation, which may run more than once, and who waits for its result."""

    operation: Callable[[Table], T]
    size: int
    loop: asyncio.AbstractEventLoop
    result: 'asyncio.Future[T]'
    even_if_full: bool


class LMDBWriter:
    """Runs operations in write transactions, in the order in which they come."""

    def __init__(self, environment: Environment) -> None:
        """Start the thread when there is something to do."""
        self.environment = environment
        self._most = environment.max_bytes
        self._started_over_at = -math.inf
        self.observers: AllObservers = AllObservers()
        """Of the caches that use the store: they are told of evictions."""
        environment.in_child.append(self._renew)
        self._renew()

    def _renew(self) -> None:
        """Forget everything; what the parent of a fork waits for is its own."""
        self._jobs: deque[Job[Any]] = deque()
        self._bytes = 0
        self._changed = Condition()
        self._is_running = False
        self.used: set[bytes] = set()
        """The keys that were read since the last transaction."""
        self._evicted: list[Evicted] = []
        """Of which observers have not been told yet."""

    async def run(self, operation: Callable[[Table], T], size: int = 0, *, even_if_full: bool = False) -> T:
        """The result of an operation, after its transaction has ended.

        If the map or the disk is full, values are evicted. If that does not help, it raises; with `even_if_full`, all
        that is stored is dropped instead: so an invalidation succeeds.

        Raises:
            ConnectionError: too many operations wait.
            lmdb.Error: LMDB failed.

        """
        (result,) = self.begin([(operation, size)], even_if_full=even_if_full)
        return await result

    def begin(
        self, operations: 'Sequence[tuple[Callable[[Table], T], int]]', *, even_if_full: bool = False
    ) -> 'list[asyncio.Future[T]]':
        """Let the thread run operations of these sizes; return the results to come, each as `run` returns it."""
        loop = asyncio.get_running_loop()
        jobs = [Job(operation, size, loop, loop.create_future(), even_if_full) for operation, size in operations]
        with self._changed:
            for job in jobs:
                if len(self._jobs) >= MAX_WAITING or self._bytes + job.size > MAX_WAITING_BYTES:
                    said = f'{len(self._jobs)} write operations wait for the LMDB store already'
                    job.result.set_exception(ConnectionError(said))
                else:
                    self._jobs.append(job)
                    self._bytes += job.size
            if self._jobs:
                self._wake()
        return [job.result for job in jobs]

    def note(self, key: bytes) -> None:
        """Note that a key was read."""
        if len(self.used) < MAX_USED:
            self.used.add(key)
            if len(self.used) == 1:
                with self._changed, suppress(RuntimeError):  # there can be no more threads, or the process ends
                    self._wake()

    def _wake(self) -> None:
        if self._is_running:
            self._changed.notify()
        else:
            Thread(target=self._run, name='fastapi-caching-route-lmdb', daemon=True).start()
            self._is_running = True

    def _run(self) -> None:
        while (jobs := self._next()) is not None:
            self._write(jobs)

    def _next(self) -> 'list[Job[Any]] | None':
        """What to do next; None if there is nothing for a while."""
        with self._changed:
            if not self._jobs and not self._changed.wait_for(lambda: self._jobs, FOLDED_AFTER if self.used else IDLE):
                self._is_running = bool(self.used)
                return [] if self.used else None
            jobs: list[Job[Any]] = []
            size = 0
            while self._jobs and len(jobs) < MAX_TOGETHER and size < self.environment.max_bytes // 8:
                job = self._jobs.popleft()
                self._bytes, size = self._bytes - job.size, size + job.size
                if not job.result.cancelled():
                    jobs.append(job)
            return jobs

    def _write(self, jobs: 'Sequence[Job[Any]]') -> None:
        """Run operations in one transaction; if that fails, each in its own."""
        outcome = self._attempt(jobs)
        if isinstance(outcome, list):
            self._tell([_Told(job, result, None) for job, result in zip(jobs, outcome, strict=True)])
        elif len(jobs) > 1:
            for job in jobs:
                self._write([job])
        elif jobs:
            outcome = self._with_room(jobs[0], outcome)
            result, error = (outcome[0], None) if isinstance(outcome, list) else (None, outcome)
            self._tell([_Told(jobs[0], result, error)])

    def _attempt(self, jobs: 'Sequence[Job[Any]]') -> list[Any] | Exception:
        """The results of a transaction, or why it has failed."""
        try:
            return self._committed([it.operation for it in jobs])
        except Exception as error:  # noqa: BLE001, whatever LMDB raises; the thread has to go on
            return error

    def _committed(self, operations: Sequence[Callable[[Table], Any]]) -> list[Any]:
        while True:
            used, self.used = self.used, set()
            with self.environment.writing:  # before it is looked up: a fork closes it
                with self.environment.lock:
                    opened = self.environment.current()
                results, table = self._transaction(opened, operations, used)
            if self.environment.is_current(opened):
                if table.evicted:
                    self._evicted.append(Evicted(store='lmdb', entries=table.evicted, bytes=table.evicted_bytes))
                return results
            # It was written to files that were replaced meanwhile, which no process reads any more.

    def _transaction(
        self, opened: Opened, operations: Sequence[Callable[[Table], Any]], used: set[bytes]
    ) -> tuple[list[Any], Table]:
        with self.environment.writing_to(opened) as txn:
            table = Table(txn, time.time())
            table.note_uses(used)
            results = [operation(table) for operation in operations]
            table.free_ended()
            table.shrink(self._most, EVICTED_AT_ONCE)
            table.save()
        return results, table

    def _with_room(self, job: Job[Any], error: Exception) -> list[Any] | Exception:
        """The result of an operation that has failed, after room was made for it; or why it has failed."""
        outcome: list[Any] | Exception = error
        for part in (0.9, 0.5):
            if not is_full(outcome):
                return outcome
            self.environment.check_readers()
            self._attempt([Job(partial(_shrunk, part=part), 0, job.loop, job.result, even_if_full=False)])
            outcome = self._attempt([job])
        if is_full(outcome) and self._starts_over(job, is_disk_full(outcome)):
            outcome = self._attempt([job])
        return outcome

    def _starts_over(self, job: Job[Any], is_disk_full: bool) -> bool:  # noqa: FBT001, inside only
        """Drop all that is stored, for an invalidation, or now and then because the disk is full; return whether.

        On a full disk not even an eviction can be written.
        """
        now = time.monotonic()
        if not job.even_if_full and not (is_disk_full and now - self._started_over_at > START_OVER):
            return False
        self._started_over_at = now
        with suppress(OSError):
            self._evicted.append(self._all_of_it())
            if is_disk_full:
                self._most = min(self._most, self.environment.size() // 2)
            self.environment.close()  # the space of its files is free only then
            self.environment.replace()
        logger.warning(
            'all entries of the LMDB store %s are deleted, because its %s has no room for a write: %d bytes are used',
            self.environment.folder,
            'disk' if is_disk_full else 'map',
            self._most,
        )
        return True

    def _all_of_it(self) -> Evicted:
        """The eviction of all that is stored."""
        with self.environment.lock:
            txn = self.environment.reading(self.environment.current(), buffers=False)
            try:
                table = Table(txn, time.time())
                entries, taken = table.small + table.large, table.taken()
            finally:
                txn.abort()
        return Evicted(store='lmdb', entries=entries, bytes=taken, cause='emptied')

    def _tell(self, told: 'Sequence[_Told]') -> None:
        """Give the results to their event loops, with one call to each; observers are told of evictions before."""
        if self._evicted:
            evicted, self._evicted = self._evicted, []
            _tell_evicted(self.observers, evicted, told[0].job.loop if told else None)
        for loop in {it.job.loop for it in told}:
            with suppress(RuntimeError):  # it was closed
                loop.call_soon_threadsafe(_settle, [it for it in told if it.job.loop is loop])


class _Told(NamedTuple):
    job: Job[Any]
    result: Any
    error: Exception | None


def _shrunk(table: Table, part: float) -> None:
    table.shrink(int(table.taken() * part))


def _settle(told: Sequence[_Told]) -> None:
    for job, result, error in told:
        if job.result.done():
            continue
        if error is None:
            job.result.set_result(result)
        else:
            job.result.set_exception(error)


def _tell_evicted(observers: AllObservers, evicted: Sequence[Evicted], loop: asyncio.AbstractEventLoop | None) -> None:
    """Tell observers in an event loop that has written; in this thread, if there is none."""
    for it in evicted:
        try:
            if loop is not None:
                loop.call_soon_threadsafe(observers.tell_of, it)
        except RuntimeError:  # it was closed
            loop = None
        if loop is None:
            observers.tell_of(it)
