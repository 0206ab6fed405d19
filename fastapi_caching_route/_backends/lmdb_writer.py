"""The thread that writes to an LMDB store, one for each process.

A write transaction waits for those of other processes without a time-out: a process that is stopped inside one keeps
all others waiting. So no thread of the app begins one. The queue is bounded, and whoever waits may stop waiting.
Operations that wait at the same time share a transaction. The thread ends when there is nothing to do.
"""

import asyncio
import logging
import math
import struct
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from threading import Condition, Thread
from typing import Any, TypeVar

from fastapi_caching_route._backends.lmdb_environment import Environment, Opened
from fastapi_caching_route._backends.lmdb_files import free_bytes, is_disk_full, is_full
from fastapi_caching_route._backends.lmdb_jobs import Done, Job, tell, tell_evicted, tried
from fastapi_caching_route._backends.lmdb_table import DamageError, Table
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

USE_MORE_AFTER = 60.0
"""After so many seconds in which no write failed for lack of room, twice as much is used as before, until it is all."""

MAX_USED = 2000
"""How many used keys are remembered until then."""


class LMDBWriter:
    """Runs operations in write transactions, in the order in which they come."""

    def __init__(self, environment: Environment) -> None:
        """Start the thread when there is something to do."""
        self.environment = environment
        self._most = environment.max_bytes
        self._started_over_at = -math.inf
        self._no_room_at = -math.inf
        """When there was no room for a write, or when it was decided to use more."""
        self.observers: AllObservers = AllObservers()
        """Of the caches that use the store: they are told of evictions."""
        environment.in_child.append(self._renew)
        self._renew()

    def _renew(self) -> None:
        """Forget everything; what the parent of a fork waits for is its own."""
        self._jobs: deque[Job[Any]] = deque()
        self._bytes = 0
        self._changed = Condition()
        self._thread: Thread | None = None
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
                self._begin_thread()
        return [job.result for job in jobs]

    def _begin_thread(self) -> None:
        try:
            self._wake()
        except RuntimeError as error:  # there can be no more threads, or the process ends
            self._bytes, left = 0, [*self._jobs]
            self._jobs.clear()
            tell([Done(job, None, error) for job in left])

    def note(self, key: bytes) -> None:
        """Note that a key was read."""
        if len(self.used) < MAX_USED:
            self.used.add(key)
            if len(self.used) == 1:
                with self._changed, suppress(RuntimeError):  # there can be no more threads, or the process ends
                    self._wake()

    def _wake(self) -> None:
        if self._thread is not None and self._thread.is_alive():
            self._changed.notify()
        else:
            self._thread = Thread(target=self._run, name='fastapi-caching-route-lmdb', daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while (jobs := self._next()) is not None:
            tried(self._use_more)
            self._write(jobs)

    def _next(self) -> 'list[Job[Any]] | None':
        """What to do next; None if there is nothing for a while."""
        with self._changed:
            if not self._jobs and not self._changed.wait_for(lambda: self._jobs, FOLDED_AFTER if self.used else IDLE):
                if self.used:
                    return []
                self._thread = None  # before the lock is released: the next operation has to begin another one
                return None
            jobs: list[Job[Any]] = []
            size = 0
            while self._jobs and len(jobs) < MAX_TOGETHER and size < self.environment.max_bytes // 8:
                job = self._jobs.popleft()
                self._bytes, size = self._bytes - job.size, size + job.size
                if not job.result.cancelled():
                    jobs.append(job)
            return jobs

    def _use_more(self) -> None:
        """Some time after the disk was full, use more of it again."""
        environment, now = self.environment, time.monotonic()
        if self._most < environment.max_bytes and now - self._no_room_at > USE_MORE_AFTER:
            self._no_room_at = now
            possible = min(
                2 * self._most, environment.max_bytes, environment.size() + free_bytes(environment.inner) // 2
            )
            self._most = max(self._most, possible)

    def _write(self, jobs: 'Sequence[Job[Any]]') -> None:
        """Run operations in one transaction; if that fails, each in its own."""
        outcome = self._attempt(jobs)
        if isinstance(outcome, list):
            self._tell([Done(job, result, None) for job, result in zip(jobs, outcome, strict=True)])
        elif len(jobs) > 1:
            for job in jobs:
                self._write([job])
        elif jobs:
            outcome = self._with_room(jobs[0], outcome)
            result, error = (outcome[0], None) if isinstance(outcome, list) else (None, outcome)
            self._tell([Done(jobs[0], result, error)])

    def _attempt(self, jobs: 'Sequence[Job[Any]]') -> list[Any] | Exception:
        """The results of a transaction, or why it has failed."""
        return tried(lambda: self._committed([it.operation for it in jobs]))

    def _committed(self, operations: Sequence[Callable[[Table], Any]]) -> list[Any]:
        while True:
            used, self.used = self.used, set()
            with self.environment.writing:  # before it is looked up: a fork closes it
                with self.environment.lock:
                    opened = self.environment.current()
                try:
                    results, table = self._transaction(opened, operations, used)
                except (self.environment.lmdb.Error, struct.error, DamageError) as error:
                    if self.environment.has_replaced(opened, error):
                        continue
                    raise
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
        if is_full(error):
            self._no_room_at = time.monotonic()
        for part in (0.9, 0.5):
            if not is_full(outcome):
                return outcome
            tried(partial(self._make_room, part))
            outcome = self._attempt([job])
        if is_full(outcome) and tried(partial(self._starts_over, job, is_disk_full(outcome))) is True:
            outcome = self._attempt([job])
        return outcome

    def _make_room(self, part: float) -> None:
        self.environment.check_readers()
        self._committed([partial(_shrunk, part=part)])

    def _starts_over(self, job: Job[Any], is_disk_full: bool) -> bool:  # noqa: FBT001, inside only
        """Drop all that is stored, for an invalidation, or now and then because the disk is full; return whether.

        On a full disk not even an eviction can be written. It raises if the store cannot be opened, or replaced.
        """
        now = time.monotonic()
        if not job.even_if_full and not (is_disk_full and now - self._started_over_at > START_OVER):
            return False
        emptied = self._all_of_it()
        self._started_over_at = now
        if is_disk_full:
            self._most = min(self._most, self.environment.size() // 2)
        self.environment.close()  # the space of its files is free only then
        self.environment.replace()
        self._evicted.append(emptied)
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

    def _tell(self, told: Sequence[Done]) -> None:
        """Give the results to their event loops; observers are told of evictions before."""
        if self._evicted:
            evicted, self._evicted = self._evicted, []
            tried(partial(tell_evicted, self.observers, evicted, told[0].job.loop if told else None))
        tell(told)


def _shrunk(table: Table, part: float) -> None:
    table.shrink(int(table.taken() * part))
