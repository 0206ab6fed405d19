"""Invalidations that a store has not taken yet: they count in this process, and are written as soon as it takes them.

Knows names. A soft invalidation that is owed is written as a hard one: when it was meant is long ago by then.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from weakref import WeakKeyDictionary

from fastapi_caching_route._aiocache import BaseCache
from fastapi_caching_route._chore import Chore
from fastapi_caching_route._names import EVERYTHING

logger = logging.getLogger('fastapi_caching_route')

MOST_OWED = 10_000
"""Names that one process owes to a backend that does not answer; with more, it owes everything."""

FIRST_WAIT, LONGEST_WAIT = 0.1, 2.0
"""Seconds between attempts to write what is owed: soon after a stumble, and not often during an outage."""

Owed = Mapping[str, object]
"""Names, with a ticket for each time that they came to be owed."""

Write = Callable[[Sequence[str]], Awaitable[None]]


class Debts:
    """What this process owes to one backend, for all caches over it.

    They bring a `write` that invalidates names in the backend, and raises if it does not answer.
    """

    __slots__ = ('_names', '_paying', '_settling')

    def __init__(self) -> None:
        """Nothing is owed."""
        self._names: dict[str, object] = {}
        self._settling, self._paying = Chore(), Chore()

    def owe(self, names: Sequence[str], error: Exception, write: Write) -> None:
        """From now on nothing with one of these names is used here, until that could be written."""
        level = logging.DEBUG if self._names else logging.WARNING  # one warning for one outage
        logger.log(level, 'an invalidation of %s could not be written yet, and is tried again: %r', names, error)
        ticket = object()  # by which `_pay` tells what has come to be owed again while it was being written
        self._names.update(dict.fromkeys(names if len(self._names) < MOST_OWED else (EVERYTHING,), ticket))
        self.settle_later(write)

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

    async def settled(self, write: Write) -> None:
        """Wait until nothing is owed."""
        while self._names:
            await asyncio.wait([self.settle_later(write)])

    def settle_later(self, write: Write) -> 'asyncio.Task[None]':
        """See to it that what is owed is written, again and again until the backend takes it."""
        return self._settling.begin(partial(self._settle, write))

    async def _settle(self, write: Write) -> None:
        wait = FIRST_WAIT
        while self._names:
            await asyncio.sleep(wait)
            wait = min(2 * wait, LONGEST_WAIT)
            await asyncio.wait([self.pay(write)])

    def pay(self, write: Write) -> 'asyncio.Task[None]':
        """Try to write what is owed, now."""
        return self._paying.begin(partial(self._pay, write))

    async def _pay(self, write: Write) -> None:
        owed = dict(self._names)
        if not owed:
            return
        try:
            await write([EVERYTHING] if EVERYTHING in owed else list(owed))
        except Exception as error:  # noqa: BLE001, whatever a client library raises
            logger.debug('invalidations could still not be written: %r', error)
            return
        for name in [name for name, ticket in owed.items() if self._names.get(name) is ticket]:
            del self._names[name]
        if not self._names:
            logger.info('all invalidations are written')

    async def close(self) -> None:
        """Do not try any more in this event loop; what is owed stays owed."""
        await self._settling.end()
        await self._paying.end()


_all: WeakKeyDictionary[BaseCache, Debts] = WeakKeyDictionary()


def debts_to(backend: BaseCache) -> Debts:
    """What this process owes to a backend."""
    return _all.setdefault(backend, Debts())
