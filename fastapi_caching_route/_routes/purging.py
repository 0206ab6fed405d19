"""Invalidations go on to caches in front: together, again after a failure, and once more when old runs have ended.

    1. A cache in front asks for a page: the endpoint begins, and reads the old row.
    2. A write invalidates the page here and in front.
    3. The endpoint's old response is not stored here, but it reaches the cache in front, which stores it.
    4. The second purge takes it away.

Knows names and moments; does not know stores, nor how a purge is sent. It never holds up a write.
"""

import asyncio
import logging
import math
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple
from urllib.parse import unquote

from fastapi_caching_route._concurrency.flights import Flights
from fastapi_caching_route._concurrency.tasks import IN_BRIEF_LOOP, Background, without_exit
from fastapi_caching_route._core.names import EVERYTHING
from fastapi_caching_route._routes.in_purges import OwnInvalidations, call
from fastapi_caching_route.errors import CacheError
from fastapi_caching_route.events import Event, Invalidated
from fastapi_caching_route.purge import Purge, PurgeRequest
from fastapi_caching_route.stats import PurgeStats
from fastapi_caching_route.surrogates import SurrogateKeys

logger = logging.getLogger('fastapi_caching_route')

MAX_NAMES = 1000
"""How many names are sent together at most. With more, everything is purged."""
MAX_LATER = 10 * MAX_NAMES
"""How many names wait for a further attempt or for the second purge. With more, everything is purged."""

PAUSES = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Seconds before each further attempt; then it is given up."""

AGAIN_SECONDS, LONGEST_RUN_SECONDS = 2.0, 60.0
"""The second purge comes after the runs that were under way at the first one, at least and at most so much later: runs
of other processes, and responses on their way to the cache in front, cannot be seen from here."""

ANSWER_SECONDS = 1.0
"""For so long a response may be on its way to the cache in front after its run has ended here."""

MAX_SECONDS = 20.0
"""How long one attempt may take: a cache in front that never answers must not hold up other purges for ever."""

END_SECONDS, SCRIPT_SECONDS = 5.0, 30.0
"""For so long the end of the app waits for purges that are not sent yet, and the end of a script."""

SLOT_SECONDS = 0.1
"""What is due at about the same time is sent together."""


class _Later(NamedTuple):
    """When and how names are sent."""

    due_at: float
    soft: bool
    is_second: bool = False
    failures: int = 0
    sent_at: float = 0.0
    """When they were sent for the first time. The second purge waits for runs that had begun by then."""


class Purging:
    """Sends invalidations on to caches in front."""

    __slots__ = (
        *('_draining', '_failed', '_flights', '_is_ending', '_later', '_lock', '_names', '_own'),
        *('_purge', '_sending', '_sent', '_task', '_thread', '_waiting'),
    )

    def __init__(self, purge: Purge, surrogates: SurrogateKeys, flights: Flights[object]) -> None:
        """Nothing is to be sent yet."""
        self._purge = purge
        self._names = surrogates
        self._flights = flights
        self._lock = threading.Lock()
        self._waiting: dict[str, bool] = {}
        """Names that were not sent yet, and whether the purge is to be soft."""
        self._later: dict[_Later, dict[str, bool]] = {}
        """Names for a further attempt, and those for the second purge."""
        self._draining = Background()
        self._task: asyncio.Task[None] | None = None
        self._thread: threading.Thread | None = None
        self._is_ending = False
        self._sent = self._failed = 0
        self._sending: dict[str, bool] = {}
        """The names of the attempt that is under way."""
        self._own = OwnInvalidations()

    def stats(self) -> PurgeStats:
        """What has been sent."""
        waiting = (self._waiting, self._sending, *self._later.copy().values())
        return PurgeStats(self._sent, self._failed, sum(map(len, waiting)))

    def observe(self, event: Event) -> None:
        """An observer of the cache: an invalidation is to be sent on, unless a purge has made it."""
        if isinstance(event, Invalidated) and not self._own.include(event.names):
            self._begin(dict.fromkeys(event.names, event.soft))

    def repeat(self, names: Sequence[str]) -> None:
        """Send these once more: until now, other processes could still serve what they name to caches in front."""
        self._begin(dict.fromkeys(names, False))

    def _begin(self, names: Mapping[str, bool]) -> None:
        with self._lock:
            _add(self._waiting, names)
        try:
            asyncio.get_running_loop()
        except RuntimeError:  # a script, or a thread: it goes on until that is sent
            self._begin_thread()
        else:
            if IN_BRIEF_LOOP.get():
                self._begin_thread()
            else:
                self._begin_task()

    def _begin_task(self) -> None:
        task = self._draining.begin(self._drain)
        if task is not self._task:
            self._task = task
            task.add_done_callback(self._go_on_elsewhere)

    def _go_on_elsewhere(self, task: 'asyncio.Task[None]') -> None:
        """If the event loop ends before everything is sent, and not by the end of the app, go on as a script does."""
        if task.cancelled() and not self._is_ending:
            self._begin_thread()

    def _begin_thread(self) -> None:
        with self._lock:
            if self._thread is not None and self._thread.is_alive():  # not in a forked process, nor if it has failed
                return
            self._thread = threading.Thread(target=self._drain_in_thread)
            try:
                self._thread.start()
            except RuntimeError:  # the process exits
                self._thread = None

    def _drain_in_thread(self) -> None:
        while True:
            asyncio.run(self._drain_for_a_script())
            with self._lock:  # what is added after this begins another thread
                if not self._waiting:
                    self._thread = None
                    return

    async def _drain_for_a_script(self) -> None:
        """Send until there is nothing more to send, or the script has ended a while ago."""
        draining = asyncio.ensure_future(self._drain())
        left = SCRIPT_SECONDS
        while left > 0 and not draining.done():
            await asyncio.wait((draining,), timeout=1)
            left -= 0 if threading.main_thread().is_alive() else 1
        if draining.done():
            draining.result()
            return
        draining.cancel()
        await asyncio.wait((draining,))
        self._give_up(self._take_all(), 'the script has ended')

    async def end(self) -> None:
        """Send what is left, if that does not take too long."""
        self._is_ending = True
        task = self._task
        if task is not None and task.get_loop() is asyncio.get_running_loop():
            await asyncio.wait((task,), timeout=END_SECONDS)
        await self._draining.end()
        self._is_ending = False
        if not ((thread := self._thread) and thread.is_alive()):
            left = self._take_all()
            if left:
                self._give_up(left, 'the app has ended')

    def _take_all(self) -> list[str]:
        with self._lock:
            taken = [name for names in (self._waiting, *self._later.values()) for name in names]
            self._waiting.clear()
            self._later.clear()
        return taken

    async def _drain(self) -> None:
        """Send until there is nothing more to send."""
        await asyncio.sleep(0)  # what is invalidated in one turn goes together
        while self._waiting or self._later:
            chosen = self._next()
            if chosen is None:
                await asyncio.sleep(SLOT_SECONDS / 2)
            else:
                await self._send(*chosen)

    def _next(self) -> tuple[_Later, dict[str, bool]] | None:
        """What is to be sent now: new names first, the hard ones before the soft ones."""
        now = time.monotonic()
        with self._lock:
            if self._waiting:
                soft = all(self._waiting.values())
                names = {name: it for name, it in self._waiting.items() if it is soft}
                for name in names:
                    del self._waiting[name]
                return _Later(now, soft), names
            self._postpone(now)
            ready = [it for it in self._later if self._is_ending or now >= it.due_at]
            return (min(ready), self._later.pop(min(ready))) if ready else None

    def _postpone(self, now: float) -> None:
        """While a run is under way that began before the first purge, the second is due after its response arrives."""
        oldest = self._flights.oldest_began_at
        if oldest is None:
            return
        for later in [*self._later]:
            waits = later.is_second and not later.failures and oldest <= later.sent_at
            if waits and later.due_at < now + ANSWER_SECONDS and now < later.sent_at + LONGEST_RUN_SECONDS:
                due_at = _slot(now + ANSWER_SECONDS)
                names = self._later.pop(later)
                _add(self._later.setdefault(later._replace(due_at=due_at), {}), names)

    async def _send(self, how: _Later, names: dict[str, bool]) -> None:
        """Send these names; after a failure they are sent again, and others meanwhile."""
        self._sending = names
        # In a task of its own, so that a cancellation inside of it can be told from our own.
        attempt = asyncio.ensure_future(without_exit(call(self._purge, self.request([*names], soft=how.soft))))
        try:
            await asyncio.wait((attempt,), timeout=MAX_SECONDS)
        except asyncio.CancelledError:
            if _error_of(attempt) is None:
                self._sent += 1
                self._begin_second(how, names)
            else:
                with self._lock:
                    _add(self._waiting, names)
            raise
        finally:
            self._sending = {}
        error = _error_of(attempt)
        if error is not None:  # its text may hold a credential
            self._fail(how, names, str(error) if isinstance(error, CacheError) else type(error).__name__)
            return
        self._sent += 1
        self._begin_second(how, names)

    def _fail(self, how: _Later, names: dict[str, bool], said: str) -> None:
        if how.failures < len(PAUSES) and not self._is_ending:
            self._send_later(names, PAUSES[how.failures], how._replace(failures=how.failures + 1))
            return
        self._give_up(names, said)
        if not self._is_ending:
            self._begin_second(how, names)

    def _give_up(self, names: Iterable[str], said: str) -> None:
        self._failed += 1
        logger.error(
            'caches in front were not purged (%s), and may serve what was invalidated until it expires: %s',
            said,
            ', '.join(self._names.tags_of_public([*names])[:20]),
        )

    def _begin_second(self, how: _Later, names: dict[str, bool]) -> None:
        if not how.is_second:
            self._send_later(names, AGAIN_SECONDS, _Later(0, how.soft, is_second=True, sent_at=_slot(time.monotonic())))

    def _send_later(self, names: dict[str, bool], seconds: float, how: _Later) -> None:
        due_at = _slot(time.monotonic() + seconds)
        with self._lock:
            _add(self._later.setdefault(how._replace(due_at=due_at), {}), names)
            if sum(map(len, self._later.values())) > MAX_LATER:
                self._later.clear()
                _add(self._waiting, {EVERYTHING: False})

    def request(self, names: list[str], *, soft: bool) -> PurgeRequest:
        """What is to be purged for these names."""
        everything = EVERYTHING in names
        paths = tuple(unquote(it.removeprefix('path:')) for it in names if it.startswith('path:') and '%~' not in it)
        tags = self._names.tags_of_public([EVERYTHING] if everything else names)
        return PurgeRequest(tuple(tags), paths, soft=soft, everything=everything)


def _error_of(attempt: 'asyncio.Future[None]') -> BaseException | None:
    """Why an attempt has failed, if it has. One that has not ended is late, and is cancelled."""
    if attempt.cancel():
        return TimeoutError()
    return asyncio.CancelledError() if attempt.cancelled() else attempt.exception()


def _slot(moment: float) -> float:
    """The end of the slot of a moment."""
    return math.ceil(moment / SLOT_SECONDS) * SLOT_SECONDS


def _add(names: dict[str, bool], more: Mapping[str, bool]) -> None:
    """Add names, of which a hard purge makes a soft one unnecessary; all of them, if they are too many."""
    for name, soft in more.items():
        names[name] = soft and names.get(name, True)
    if len(names) > MAX_NAMES:
        names.clear()
        names[EVERYTHING] = False
