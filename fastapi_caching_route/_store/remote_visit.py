"""The look-ups and writes of one request in a `RemoteStore`.

If the backend fails, requests are answered without the cache: a look-up finds nothing, and storing does nothing.
"""

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import Any, TypeVar

from fastapi_caching_route._backends.commands import Commands
from fastapi_caching_route._backends.outage import in_words
from fastapi_caching_route._concurrency.lateness import wait_for, waited_for
from fastapi_caching_route._core.entry import Entry
from fastapi_caching_route._core.variants import Variants
from fastapi_caching_route._http.freshness import FOREVER
from fastapi_caching_route._store.compressed import replaced
from fastapi_caching_route._store.parts import KeepsCopies, Parts
from fastapi_caching_route._store.visit import (
    LATER,
    Alive,
    Before,
    Early,
    Found,
    Later,
    Lost,
    Standing,
    StoredObject,
    Visit,
)

logger = logging.getLogger('fastapi_caching_route')

T = TypeVar('T')
U = TypeVar('U')


class Failed:
    """What takes the place of a result if the store fails, where None is a result."""

    __slots__ = ()


FAILED = Failed()

FEW_NAMES = 32
"""If a response has more names than this, a time-out while reading its marks is no sign that the store is too slow."""


class RemoteVisit:
    """One request's use of a `RemoteStore`, with one budget for all of the time in which it waits itself."""

    __slots__ = ('_left', '_parts')

    def __init__(self, parts: Parts) -> None:
        """Start with the whole budget."""
        self._parts = parts
        self._left = parts.timeout

    def look_up(self, key: str) -> Coroutine[Any, Any, Found | Variants | None]:
        """See `Visit`."""
        copies = self._parts.copies
        copy = None if copies is None or self._parts.debts.pending else copies.get(key)
        return self._looked_up(key) if copies is None or copy is None else self._confirmed(copy, copies)

    async def _confirmed(self, copy: Entry, copies: 'KeepsCopies') -> Found | Variants | None:
        """A copy, if one small read says that the entry is still alive; if not, what is stored."""
        parts, key, began_at, found = self._parts, copy.key, time.monotonic(), None
        keys, commands = parts.ledger.beside, Commands(parts.backend, self._left)
        try:
            # Awaited right here, as below: each coroutine in between costs twice, when it begins and when it goes on.
            beside = parts.backend.reading(keys)
            if not isinstance(beside, list):
                beside = commands.taken(keys, beside, await beside.found_within(self._left))
            if None not in beside:  # else it was lost, or the backend is switched off
                found = self._told(copy, key, beside)
                if isinstance(found, Later):
                    found = await self._alive(copy, key, commands, beside)
                copies.note_read(began_at, beside)
        except Exception as error:  # noqa: BLE001, as in `_or_nothing`, without whose calls a hit is cheaper
            logger.debug('the cache backend failed for one request: %s', in_words(error))
            return None
        finally:
            self._left = commands.left
        if isinstance(found, Found) and found.stale_at == math.inf:
            return found
        copies.drop(key)
        return await self._looked_up(key)

    async def _looked_up(self, key: str) -> Found | Variants | None:
        """What is stored under a key."""
        parts, copies, keys = self._parts, self._parts.copies, (key, *self._parts.ledger.beside)
        if parts.debts.pending:
            self._left -= await parts.retry(self._left)
        commands, began_at = Commands(parts.backend, self._left), time.monotonic()
        since = 0 if copies is None else copies.changes
        try:
            read = parts.backend.reading(keys)
            if not isinstance(read, list):
                read = commands.taken(keys, read, await read.found_within(self._left))
            stored, *beside = read
            found = self._told(stored, key, beside)
            if isinstance(found, Later):
                found = await self._alive(stored, key, commands, beside)
            if copies is not None:
                copies.note_read(began_at, beside)
                if isinstance(found, Found) and found.stale_at == math.inf:
                    copies.keep_read(found.entry, since)
        except Exception as error:  # noqa: BLE001, as in `_or_nothing`, without whose calls a hit is cheaper
            logger.debug('the cache backend failed for one request: %s', in_words(error))
            return None
        else:
            return found
        finally:
            self._left = commands.left

    def _told(self, stored: object, key: str, beside: Sequence[object]) -> Found | Variants | Later | None:
        """What `_alive` returns, if nothing more has to be asked."""
        parts, withdrawals = self._parts, self._parts.withdrawals
        if not isinstance(stored, Entry) or stored.key != key or parts.debts.pending:
            return LATER
        if withdrawals.count and withdrawals.includes(key, stored.stored_at):
            return LATER
        stale_at = parts.ledger.stale_at_once(stored, beside)
        return stale_at if stale_at is None or isinstance(stale_at, Later) else Found(stored, stale_at)

    async def _alive(
        self, stored: object, key: str, commands: Commands, beside: Sequence[object]
    ) -> Found | Variants | None:
        """What is stored under a key, if that is so and it may be used.

        What was read beside it is noted also for a miss: the run that follows begins with what is known now.
        """
        parts = self._parts
        seen = await parts.ledger.see(commands, beside)
        if isinstance(stored, Variants):
            return stored if stored.key == key else None
        if not isinstance(stored, Entry) or stored.key != key or parts.debts.include(stored.names, key):
            return None
        if parts.withdrawals.includes(key, stored.stored_at):
            await commands.delete(key)  # it could not be deleted when it was withdrawn
            return None
        stale_at = await parts.ledger.stale_at(commands, stored, seen)
        return None if stale_at is None else Found(stored, stale_at)

    async def marks_before(self, names: tuple[str, ...], key: str, *, windowed: bool) -> Before:
        """See `Visit`."""
        # Noted before the marks are read, so that what is added meanwhile counts as added since.
        parts = self._parts
        owed, withdrawals = parts.debts.owed(), parts.withdrawals.count
        is_failing = parts.backend.breaker.has_failures
        if is_failing and (not parts.backend.worth_storing() or parts.backend.breaker.is_open('reading')):
            return Before(None, owed, withdrawals)
        early = parts.ledger.early_at_once()
        if early is None or is_failing:
            early = await self._early(names, key, windowed=windowed)
        return Before(early, owed, withdrawals)

    async def _early(self, names: tuple[str, ...], key: str, *, windowed: bool) -> Early | None:
        backend, had_time = self._parts.backend, self._left > 0
        asked = partial(self._parts.ledger.marks_before, names=names, key=key, windowed=windowed)
        early = await self._or_nothing(asked, None)
        if early is not None or (had_time and self._left <= 0 and len(names) <= FEW_NAMES):
            backend.report_storing(in_time=early is not None)
        return early

    async def marks_after(
        self, before: Before, names: tuple[str, ...], key: str, *, windowed: bool, span: float
    ) -> Standing:
        """See `Visit`."""
        # Also if the marks are known, which are the old ones then: 1. A begins to run the endpoint. 2. B invalidates;
        # the backend does not take it. 3. C follows A's flight. C must not get the response of A:
        # test_a_pending_invalidation_counts_for_followers_of_a_run_that_began_before
        if self._parts.debts.has_grown(names, key, before.owed):
            return Lost('invalidated')
        if before.early is None:
            return Lost('store-error')
        asked = partial(self._parts.ledger.marks_after, early=before.early, names=names, key=key)
        marks = await self._or_nothing(partial(asked, windowed=windowed, span=span), FAILED)
        if isinstance(marks, Failed):
            return Lost('store-error')
        return Lost('invalidated') if marks is None else Alive(marks)

    async def put(self, stored: StoredObject, span: float) -> bool:
        """See `Visit`."""
        setting = partial(Commands.set, key=stored.key, value=stored, span=min(span, FOREVER))
        is_stored = await self._or_nothing(setting, False)  # noqa: FBT003, it is the result
        if self._parts.copies is not None:
            self._parts.copies.keep(stored) if is_stored else self._parts.copies.drop(stored.key)
        return is_stored

    async def replace(self, old: Entry, new: Entry, span: float) -> bool:
        """See `Visit`. Another process may store something in between, as with each `put`."""
        return await self._or_nothing(partial(replaced, old, new, span, self._parts.copies), False)  # noqa: FBT003

    async def withdraw(self, key: str, now: float) -> None:
        """See `Visit`."""
        self.note_withdrawal(key, now)
        await self.forget(key)

    async def forget(self, key: str) -> None:
        """See `Visit`."""
        if self._parts.copies is not None:
            self._parts.copies.drop(key)
        await self._or_nothing(partial(Commands.delete, key=key), None)

    def note_withdrawal(self, key: str, now: float) -> None:
        """See `Visit`."""
        self._parts.withdrawals.note(key, now)

    def was_withdrawn(self, before: Before, key: str) -> bool:
        """See `Visit`."""
        withdrawals = self._parts.withdrawals
        return withdrawals.count > before.withdrawals and withdrawals.came_since(key, before.withdrawals)

    def forget_withdrawal(self, key: str) -> None:
        """See `Visit`."""
        if self._parts.withdrawals.count:
            self._parts.withdrawals.forget(key)

    async def wait_for_store(self, done: 'asyncio.Future[None]', seconds: float, waited: float) -> bool:
        """See `Visit`."""
        left = self._left = self._left - waited
        self._left -= await waited_for(done, min(left, seconds), self._parts.backend.late)
        return done.done() or seconds < left

    async def storing(self, store_it: Callable[[Visit], Coroutine[Any, Any, str | None]]) -> str | None:
        """See `Visit`."""
        # A task with a new budget. The budget of the client only limits how long the client waits, and a client that
        # disconnects must not leave an entry half stored. `Parts.under_way` holds the task, since an event loop keeps
        # only weak references, and `RemoteStore.close` waits for it.
        running = self._parts.go_on(store_it(RemoteVisit(self._parts)))
        await wait_for(running, max(self._left, 0))
        return running.result() if running.done() and not running.cancelled() else 'store-slow'

    async def _or_nothing(self, asked: Callable[[Commands], Awaitable[T]], nothing: U) -> T | U:
        """The result of some commands, or `nothing` if the store fails."""
        commands = Commands(self._parts.backend, self._left)
        try:
            return await asked(commands)
        except Exception as error:  # noqa: BLE001, whatever a client library raises
            logger.debug('the cache backend failed for one request: %s', in_words(error))
            return nothing
        finally:
            self._left = commands.left
