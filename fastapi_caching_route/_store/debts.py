"""Invalidations that a store has not taken yet: they count in this process, and are written as soon as it takes them.

Knows names. A soft invalidation that is owed is written as a hard one: when it was meant is long ago by then.
"""

import asyncio
import atexit
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from threading import Lock
from weakref import WeakKeyDictionary

from fastapi_caching_route._backends.outage import in_words
from fastapi_caching_route._concurrency.tasks import Background
from fastapi_caching_route._core.names import EVERYTHING

logger = logging.getLogger('fastapi_caching_route')

MAX_OWED = 10_000
"""Names that one process owes to a backend that does not answer; with more, it owes everything."""

FIRST_RETRY_SECONDS, MAX_RETRY_SECONDS = 0.1, 2.0
"""Seconds between attempts to write what is owed: soon after a stumble, and not often during an outage."""

MAX_SHOWN = 10
"""Names of which the log tells that they were never written."""

Owed = Mapping[str, object]
"""Names, with a ticket for each time that they came to be owed."""

Write = Callable[[Sequence[str]], Awaitable[None]]


class Debts:
    """What this process owes to one backend, for all caches over it.

    They bring a `write` that invalidates names in the backend, and raises if it does not answer. Several threads may use it.
    """

    __slots__ = ('_lock', '_names', '_retrying', '_retrying_later', '_told', '_write')

    def __init__(self) -> None:
        """Nothing is owed."""
        self._names: dict[str, object] = {}
        self._retrying_later, self._retrying = Background(), Background()
        self._lock = Lock()
        self._told = False
        """Whether the log says that the backend does not take them: once for one outage."""
        self._write: Write | None = None

    def owe(self, names: Sequence[str], error: Exception, write: Write) -> None:
        """From now on nothing with one of these names is used here, until that could be written."""
        self.note(names, write)
        self._tell(names, error)
        self.retry_later(write)

    def note(self, names: Sequence[str], write: Write) -> None:
        """The same, from any thread; somebody has to see to it that it is written."""
        ticket = object()  # by which `retry_here` tells what has come to be owed again while it was being written
        with self._lock:
            self._names.update(dict.fromkeys(names if len(self._names) < MAX_OWED else (EVERYTHING,), ticket))
            self._write = write

    def _tell(self, names: Sequence[str], error: Exception) -> None:
        level = logging.DEBUG if self._told else logging.WARNING
        self._told = True
        logger.log(
            level, 'an invalidation of %s could not be written yet, and is tried again: %s', names, in_words(error)
        )

    def __bool__(self) -> bool:
        """Whether anything is owed."""
        return bool(self._names)

    def include(self, names: Sequence[str]) -> bool:
        """Whether one of these names is owed."""
        return bool(self._names) and any(name in self._names for name in names)

    def owed(self) -> Owed:
        """What is owed now, for `has_grown`."""
        return dict(self._names)

    def has_grown(self, names: Sequence[str], since: Owed) -> bool:
        """Whether one of these names has come to be owed since."""
        return any(name in self._names and self._names[name] is not since.get(name) for name in (EVERYTHING, *names))

    def retry_later(self, write: Write) -> 'asyncio.Task[None]':
        """See to it that what is owed is written, again and again until the backend takes it."""
        return self._retrying_later.begin(partial(self._retry_until_written, write))

    async def _retry_until_written(self, write: Write) -> None:
        wait = FIRST_RETRY_SECONDS
        while self._names:
            await asyncio.sleep(wait)
            wait = min(2 * wait, MAX_RETRY_SECONDS)
            await asyncio.wait([self.retry(write)])

    def retry(self, write: Write) -> 'asyncio.Task[None]':
        """Try to write what is owed, now."""
        return self._retrying.begin(partial(self.retry_here, write))

    async def retry_here(self, write: Write) -> None:
        """The same, in this event loop, whether another one is at it or not: to write a name twice does no harm."""
        owed = dict(self._names)
        if not owed:
            return
        names = [EVERYTHING] if EVERYTHING in owed else list(owed)
        try:
            await write(names)
        except Exception as error:  # noqa: BLE001, whatever a client library raises
            self._tell(names, error)
            return
        with self._lock:  # else another thread may owe a name again between these two lines
            for name in [name for name, ticket in owed.items() if self._names.get(name) is ticket]:
                del self._names[name]
        if self._told and not self._names:
            self._told = False
            logger.info('all invalidations are written')

    async def close(self) -> None:
        """Do not try any more in this event loop; what is owed stays owed."""
        await self._retrying_later.end()
        await self._retrying.end()

    def at_exit(self) -> None:
        """The process ends: try once more, and say what other processes will never hear of."""
        if self._write is not None and self._names:
            with suppress(RuntimeError):  # no event loop can be made any more
                asyncio.run(self.retry_here(self._write))
        if self._names:
            logger.warning(
                'this process ends, and the cache backend has not taken the invalidation of %s: other processes may go on '
                'serving what is stored under these names; clear() is the remedy',
                ', '.join(sorted(self._names)[:MAX_SHOWN]) + (' ...' if len(self._names) > MAX_SHOWN else ''),
            )


_all: WeakKeyDictionary[object, Debts] = WeakKeyDictionary()


@atexit.register
def _at_exit() -> None:
    for debts in list(_all.values()):
        debts.at_exit()


def debts_to(backend: object) -> Debts:
    """What this process owes to a backend."""
    return _all.setdefault(backend, Debts())
