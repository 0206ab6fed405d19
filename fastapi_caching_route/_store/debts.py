"""Pending invalidations: those that a backend has not taken yet. This process *owes* them to the backend.

The rules:

1. While an invalidation is owed, this process uses no stored entry with one of its names.
2. It is sent again until the backend takes it: in the background while there is an event loop, by `soon.Writer` where
   there is none, once more when the app closes the cache, and once more when the process exits.
3. Other processes do not know of it before that. If the process is killed, they never will.
4. What is owed is a set of names, each with a *ticket*: a new object each time that the name is owed. A name that is
   owed again while it is being sent has a new ticket, and stays owed.
5. A soft invalidation is sent again as a hard one: the time at which entries should have become stale has passed.
6. When the backend has taken it, caches in front are purged once more: until then, other processes could serve them
   what they had purged before.

Knows names. Knows neither marks nor commands.
"""

import asyncio
import atexit
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from threading import Lock
from weakref import WeakKeyDictionary, WeakSet

from fastapi_caching_route._backends.outage import in_words
from fastapi_caching_route._concurrency.observers import Observers
from fastapi_caching_route._concurrency.tasks import IN_BRIEF_LOOP, Background
from fastapi_caching_route._core.key_names import key_name
from fastapi_caching_route._core.names import EVERYTHING, in_public, shown
from fastapi_caching_route._store.visit import NOTHING_OWED

logger = logging.getLogger('fastapi_caching_route')

MAX_OWED = 10_000
"""How many names one process owes to a backend. With more, it owes the invalidation of everything."""

FIRST_RETRY_SECONDS, MAX_RETRY_SECONDS = 0.1, 2.0
"""How long to wait between attempts: little after a single failure, more during an outage. Doubles each time."""

Owed = Mapping[str, object]
"""Names, each with the ticket of the last time that it was owed."""

Write = Callable[[Sequence[str]], Awaitable[None]]


class Debts:
    """What this process owes to one backend. All caches over that backend share it, and threads may share it.

    `write` is a function of the cache: it sends the invalidation of names, and raises if the backend does not take it.
    """

    __slots__ = ('_lock', '_names', '_retrying', '_retrying_later', '_told', '_write', 'observers', 'pending')

    def __init__(self) -> None:
        """Nothing is owed."""
        self._names: dict[str, object] = {}
        self.pending: Mapping[str, object] = self._names
        """The same, to be asked on each hit whether it is empty: `bool(debts)` would be another call."""
        self._retrying_later, self._retrying = Background(), Background()
        self._lock = Lock()
        self._told = False
        """Whether the log has a warning about this outage: one is enough."""
        self._write: Write | None = None
        self.observers: WeakSet[Observers] = WeakSet()
        """Those of all caches over the backend."""

    def __bool__(self) -> bool:
        """Whether anything is owed."""
        return bool(self._names)

    @property
    def count(self) -> int:
        """How many names are owed, without those of tag groups, which are owed together with their tags."""
        return len(in_public(tuple(self._names)))

    def include(self, names: Sequence[str], key: str | None = None) -> bool:
        """Whether one of these names is owed, or that of an entry under a full key."""
        owed = self._names
        return bool(owed) and any(name in owed for name in (names if key is None else (*names, key_name(key))))

    def owed(self) -> Owed:
        """A copy of what is owed, for `has_grown`."""
        return dict(self._names) if self._names else NOTHING_OWED

    def has_grown(self, names: Sequence[str], key: str, since: Owed) -> bool:
        """Whether one of these names, or that of the full key, has been owed again since that copy was made."""
        owed = self._names
        return bool(owed) and any(
            name in owed and owed[name] is not since.get(name) for name in (EVERYTHING, key_name(key), *names)
        )

    def owe(self, names: Sequence[str], error: Exception, write: Write) -> None:
        """Owe names, which the backend has just refused: log it, and retry in the background."""
        self.note(names, write)
        self._tell(names, error)
        self.retry_later(write)

    def note(self, names: Sequence[str], write: Write) -> None:
        """Owe names. May be called in any thread; the caller must arrange that they are sent."""
        ticket = object()  # see rule 4
        with self._lock:
            self._names.update(dict.fromkeys(names if len(self._names) < MAX_OWED else (EVERYTHING,), ticket))
            self._write = write

    def retry_later(self, write: Write) -> 'asyncio.Task[None]':
        """Retry in the background until the backend has taken everything."""
        return self._retrying_later.begin(partial(self._retry_until_written, write))

    async def _retry_until_written(self, write: Write) -> None:
        wait = FIRST_RETRY_SECONDS
        while self._names:
            await asyncio.sleep(wait)
            wait = min(2 * wait, MAX_RETRY_SECONDS)
            await asyncio.wait([self.retry(write)])

    def retry(self, write: Write) -> 'asyncio.Task[None]':
        """Retry once, in the background."""
        return self._retrying.begin(partial(self.retry_here, write))

    def at_exit(self) -> None:
        """Retry once more as the process exits, and warn about what other processes will never learn."""
        if self._write is not None and self._names:
            IN_BRIEF_LOOP.set(True)
            with suppress(RuntimeError):  # it is too late for a new event loop
                asyncio.run(self.retry_here(self._write))
        if self._names:
            logger.warning(
                'this process exits before the cache backend has taken the invalidation of %s: other processes may '
                'keep serving old responses; call clear() once the backend is back',
                shown(tuple(self._names)),
            )

    async def retry_here(self, write: Write) -> None:
        """Retry once, in this event loop, even if another one is doing so: sending a name twice does no harm."""
        owed = dict(self._names)
        if not owed:
            return
        names = [EVERYTHING] if EVERYTHING in owed else list(owed)
        try:
            await write(names)
        except Exception as error:  # noqa: BLE001, whatever a client library raises
            self._tell(names, error)
            return
        with self._lock:  # else another thread might owe a name again between the next two lines
            for name in [name for name, ticket in owed.items() if self._names.get(name) is ticket]:
                del self._names[name]
        for it in [*self.observers]:
            if it.tell_taken is not None:
                it.tell_taken(in_public(tuple(names)))
        if self._told and not self._names:
            self._told = False
            logger.info('the cache backend has taken all pending invalidations')

    def _tell(self, names: Sequence[str], error: Exception) -> None:
        level = logging.DEBUG if self._told else logging.WARNING
        self._told = True
        logger.log(
            level,
            'the cache backend has not taken the invalidation of %s yet, retrying: %s',
            shown(names),
            in_words(error),
        )

    async def close(self) -> None:
        """Stop retrying in this event loop. What is owed stays owed."""
        await self._retrying_later.end()
        await self._retrying.end()


_all: WeakKeyDictionary[object, Debts] = WeakKeyDictionary()


@atexit.register
def _at_exit() -> None:
    for debts in list(_all.values()):
        debts.at_exit()


def debts_to(backend: object) -> Debts:
    """The pending invalidations of a backend in this process."""
    return _all.setdefault(backend, Debts())
