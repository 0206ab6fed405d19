"""Invalidations go on to caches in front: together, again after a failure, and once more when old runs have ended.

    1. A cache in front asks for a page: the endpoint begins, and reads the old row.
    2. A write invalidates the page here and in front.
    3. The endpoint's old response is not stored here, but it reaches the cache in front, which stores it.
    4. The second purge takes it away.

Knows names and moments; does not know stores, nor how a purge is sent. It never holds up a write.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from fastapi_caching_route._concurrency.flights import Flights
from fastapi_caching_route._concurrency.tasks import Background
from fastapi_caching_route._core.names import EVERYTHING
from fastapi_caching_route.errors import CacheError, ConfigurationError
from fastapi_caching_route.events import Event, Invalidated
from fastapi_caching_route.purge import Purge, PurgeRequest
from fastapi_caching_route.stats import PurgeStats
from fastapi_caching_route.surrogates import SurrogateKeys

logger = logging.getLogger('fastapi_caching_route')

MOST_NAMES = 1000
"""How many names wait at most. With more, everything is purged."""

PAUSES = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Seconds before each further attempt; then it is given up."""

AGAIN_SECONDS, LONGEST_RUN_SECONDS = 2.0, 60.0
"""The second purge comes after the runs that were under way at the first one, at least and at most so much later: runs
of other processes, and responses on their way to the cache in front, cannot be seen from here."""

END_SECONDS = 5.0
"""For so long the end of the app waits for purges that are not sent yet."""


class Purging:
    """Sends invalidations on to caches in front."""

    __slots__ = (
        *('_again', '_draining', '_failed', '_flights', '_is_ending', '_lock', '_names'),
        *('_purge', '_sent', '_task', '_thread', '_waiting'),
    )

    def __init__(self, purge: Purge, surrogates: SurrogateKeys, flights: Flights[object]) -> None:
        """Nothing is to be sent yet."""
        self._purge = purge
        self._names = surrogates
        self._flights = flights
        self._lock = threading.Lock()
        self._waiting: dict[str, bool] = {}
        """Names for the first purge, and whether it is to be soft."""
        self._again: dict[str, bool] = {}
        """The same for the second one."""
        self._draining = Background()
        self._task: asyncio.Task[None] | None = None
        self._thread: threading.Thread | None = None
        self._is_ending = False
        self._sent = self._failed = 0

    def stats(self) -> PurgeStats:
        """What has been sent."""
        return PurgeStats(self._sent, self._failed, len(self._waiting) + len(self._again))

    def observe(self, event: Event) -> None:
        """An observer of the cache: an invalidation is to be sent on."""
        if not isinstance(event, Invalidated):
            return
        with self._lock:
            _add(self._waiting, dict.fromkeys(event.names, event.soft))
        try:
            asyncio.get_running_loop()
        except RuntimeError:  # a script, or a thread: it goes on until that is sent
            self._begin_thread()
        else:
            self._task = self._draining.begin(self._drain)

    def _begin_thread(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._drain_in_thread)
                self._thread.start()

    def _drain_in_thread(self) -> None:
        while True:
            asyncio.run(self._drain())
            with self._lock:  # what is added after this begins another thread
                if not self._waiting:
                    self._thread = None
                    return

    async def end(self) -> None:
        """Send what is left, if that does not take too long."""
        self._is_ending = True
        task = self._task
        if task is not None and task.get_loop() is asyncio.get_running_loop():
            await asyncio.wait((task,), timeout=END_SECONDS)
        await self._draining.end()
        self._is_ending = False

    async def _drain(self) -> None:
        """Send until there is nothing more to send."""
        await asyncio.sleep(0)  # what is invalidated in one turn goes together
        while self._waiting or self._again:
            first = self._take(self._waiting)
            if first:
                await self._send(first)
                with self._lock:
                    _add(self._again, first)
            else:
                await self._runs_have_ended()
                await self._send(self._take(self._again))

    def _take(self, names: dict[str, bool]) -> dict[str, bool]:
        with self._lock:
            taken = dict(names)
            names.clear()
        return taken

    async def _runs_have_ended(self) -> None:
        """Wait for the runs that are under way; a new invalidation comes first."""
        began_at = time.monotonic()
        while not (self._is_ending or self._waiting):
            seconds = time.monotonic() - began_at
            oldest = self._flights.oldest_began_at
            is_running = oldest is not None and oldest <= began_at and seconds < LONGEST_RUN_SECONDS
            if seconds >= AGAIN_SECONDS and not is_running:
                return
            await asyncio.sleep(0.05)

    async def _send(self, names: Mapping[str, bool]) -> None:
        for soft in (False, True):
            chosen = [name for name, it in names.items() if it is soft]
            if chosen:
                await self._send_one(self.request(chosen, soft=soft))

    def request(self, names: list[str], *, soft: bool) -> PurgeRequest:
        """What is to be purged for these names."""
        everything = EVERYTHING in names
        paths = tuple(unquote(it.removeprefix('path:')) for it in names if it.startswith('path:') and '%~' not in it)
        tags = self._names.tags([EVERYTHING] if everything else names)
        return PurgeRequest(tuple(tags), paths, soft=soft, everything=everything)

    async def _send_one(self, request: PurgeRequest) -> None:
        """Send it, and once more after each pause if that fails."""
        for pause in (*PAUSES, None):
            try:
                await self._purge(request)
            except Exception as error:  # noqa: BLE001, the user's; its text may hold a credential
                said = str(error) if isinstance(error, CacheError) else type(error).__name__
            else:
                self._sent += 1
                return
            if pause is None or self._is_ending:
                self._failed += 1
                logger.error(
                    'caches in front were not purged (%s), and may serve what was invalidated until it expires: %s',
                    said,
                    ', '.join(request.tags[:20]),
                )
                return
            await asyncio.sleep(pause)


def _add(names: dict[str, bool], more: Mapping[str, bool]) -> None:
    """Add names, of which a hard purge makes a soft one unnecessary; all of them, if they are too many."""
    for name, soft in more.items():
        names[name] = soft and names.get(name, True)
    if len(names) > MOST_NAMES:
        names.clear()
        names[EVERYTHING] = False


def purging_of(purge: Any, surrogates: SurrogateKeys | None, flights: Flights[Any]) -> Purging | None:
    """What sends invalidations on; None if there is no cache in front.

    Raises:
        ConfigurationError: it cannot be called, or finds its tags in another header than responses have.

    """
    if purge is None:
        return None
    if not callable(purge):
        msg = f'purge must be an async function of a PurgeRequest, or FastlyPurge(...), got {purge!r}'
        raise ConfigurationError(msg)
    wanted = getattr(purge, 'header', None)
    if wanted is not None and (surrogates is None or surrogates.header.lower() != wanted.lower()):
        msg = f'purge={type(purge).__name__}(...) purges by tags in {wanted}: set surrogate_keys={wanted!r}, too'
        raise ConfigurationError(msg)
    return Purging(purge, surrogates or SurrogateKeys(header='Surrogate-Key'), flights)
