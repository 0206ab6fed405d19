"""A store over a backend that may be slow or down.

What one request does with it is in `remote_visit`. Knows keys, names and whole entries; knows neither drivers nor
client libraries. An invalidation that the backend has not taken is *pending*: this process obeys it at once, and sends
it again until the backend takes it.

How the time-outs nest. `timeout` is the user's `store_timeout`:

- A request has one budget of `timeout` seconds for all its commands together (`RemoteVisit`). When it is used up,
  nothing is found and nothing is stored. The time of the endpoint does not count.
- Storing has a new budget of the same size, but the client waits for it only as long as its own budget lasts.
- Each command of an invalidation, and of a lock, has all of `timeout`.
- A caller whose time is over stops waiting (`in_time`). Its command goes on.
- A command that takes `timeout` seconds counts as a failure (`Watch`). After `FAILURES_TO_OPEN` of them, the breaker
  opens, and the backend is not asked any more.
- After another `GIVE_UP_SECONDS`, the command is given up, and its client is closed if it is ours.
- A lock lasts half of the user's `collapse_timeout`, whether the backend is slow or not (`Lock`).

Time during which the event loop itself was late counts neither for a command nor for the budget of a request.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Coroutine, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from fastapi_caching_route._backends.clients import doubts_about
from fastapi_caching_route._backends.commands import Persistent
from fastapi_caching_route._backends.linked import LinkedBackend
from fastapi_caching_route._backends.outage import in_words
from fastapi_caching_route._concurrency.observers import Observers
from fastapi_caching_route._concurrency.tasks import IN_BRIEF_LOOP, on_asyncio
from fastapi_caching_route._core.key import full_key, root_of
from fastapi_caching_route._core.names import EVERYTHING, shown
from fastapi_caching_route._store.board import Board
from fastapi_caching_route._store.condition import Condition, Faults
from fastapi_caching_route._store.debts import Debts
from fastapi_caching_route._store.held_tokens import HeldTokens
from fastapi_caching_route._store.latest import latest
from fastapi_caching_route._store.listing import described_remotely, listed_remotely
from fastapi_caching_route._store.parts import Parts
from fastapi_caching_route._store.remote_visit import RemoteVisit
from fastapi_caching_route._store.soon import Writer
from fastapi_caching_route._store.telling import tell_invalidated
from fastapi_caching_route._store.tokens import Tokens
from fastapi_caching_route._store.visit import Described, ListedPage, LookUp, Visit
from fastapi_caching_route.errors import InvalidationError

logger = logging.getLogger('fastapi_caching_route')

T = TypeVar('T')

START_SECONDS = 2.0
"""How long the start of an app waits for a store at least: the first connection may take longer than a command."""


class RemoteStore:
    """Keeps entries in a `LinkedBackend`; a `Ledger` tells which of them are alive."""

    __slots__ = (
        *('_board', '_can_lock', '_held', '_locks', '_observers', '_parts', '_writer'),
        *('at_once', 'is_shared', 'namespace', 'ttl'),
    )

    def __init__(
        self,
        parts: Parts,
        *,
        namespace: str,
        ttl: float | None,
        is_shared: bool,
        at_once: LookUp | None = None,
        locks: Tokens | None = None,
        can_lock: bool = True,
    ) -> None:
        """Connect when the first command is sent. `locks` are for a backend that no other process uses.

        A backend that adds in two steps cannot lock.
        """
        self._locks, self._can_lock = locks, can_lock
        self._observers = Observers()
        self._board = Board(parts.backend, root_of(namespace), parts.timeout)
        self._held = HeldTokens(parts.backend, parts.timeout)
        self._parts = parts
        self.at_once: LookUp | None = at_once
        self.namespace: str = namespace
        self.ttl: float | None = ttl
        self.is_shared: bool = is_shared
        self._writer = Writer(parts.debts, parts.write, parts.backend.close)

    @property
    def backend(self) -> LinkedBackend:
        """The backend that keeps the entries."""
        return self._parts.backend

    @property
    def debts(self) -> Debts:
        """The pending invalidations."""
        return self._parts.debts

    @property
    def tokens(self) -> Tokens | None:
        """See `Store`."""
        return self if self.is_shared and self._can_lock else None

    @property
    def locks(self) -> Tokens | None:
        """See `Store`."""
        return self._locks or self.tokens

    @property
    def board(self) -> Board | None:
        """See `Store`."""
        return self._board if self.is_shared else None

    def condition(self) -> Condition:
        """See `Store`."""
        parts, breaker = self._parts, self._parts.backend.breaker
        return Condition(
            address=breaker.address,
            failed_at=breaker.failed_at,
            error=breaker.last_error,
            not_sent=tuple(breaker.all_open()),
            pending=parts.debts.count,
            seconds={str(kind): seconds for kind, seconds in [*breaker.seconds.items()]},
            near=None if parts.copies is None else parts.copies.stats(),
        )

    def listed(self, prefix: str, after: int = 0) -> AsyncGenerator[ListedPage, None]:
        """See `Store`."""
        return listed_remotely(self._parts, prefix, after)

    async def described(self, keys: Sequence[str]) -> Described:
        """See `Store`."""
        return await described_remotely(self._parts, keys)

    async def erase(self, keys: Sequence[str]) -> None:
        """See `Store`."""
        parts = self._parts
        for key in keys:
            await parts.backend.erase(key, parts.timeout, even_if_open=True)
            if parts.copies is not None:
                parts.copies.drop(key)

    async def faults(self) -> Faults:
        """See `Store`."""
        if not on_asyncio():
            return Faults()
        backend, within = self._parts.backend, max(self._parts.timeout, START_SECONDS)
        try:
            await backend.get((full_key(root_of(self.namespace), '%start'),), within)
            asking = self.go_on(doubts_about(getattr(backend.driver(), 'client', None)))
            await asyncio.wait((asking,), timeout=within)
            return Faults(warnings=tuple(asking.result() if asking.done() else ()))
        except Exception as error:  # noqa: BLE001, whatever a client library raises; the breaker has logged it
            at = f' at {backend.breaker.address}' if backend.breaker.address else ''
            return Faults((f'the cache backend{at} does not answer: {in_words(error)}',))

    def observe(self, observers: Observers) -> None:
        """See `Store`."""
        self._observers = observers
        self._parts.debts.observers.add(observers)
        self._parts.backend.breaker.observers = observers
        for evicting in self._parts.evicting:
            evicting.add(observers)

    def visit(self) -> Visit:
        """See `Store`."""
        return RemoteVisit(self._parts)

    def open(self) -> None:
        """See `Store`."""
        self._writer.home = asyncio.get_running_loop()
        if self._parts.debts:
            self._writer.soon(None)

    def invalidate_now(self, names: Sequence[str]) -> None:
        """See `Store`."""
        if self._parts.ledger.invalidate_here(names):
            tell_invalidated(self._observers, names, soft=False)
            return
        loop = asyncio.new_event_loop()
        try:
            loop.run_until_complete(self._invalidate_here(names))
        except InvalidationError:
            self._writer.soon(self._parts.backend.loop())
            raise
        finally:
            loop.close()

    async def _invalidate_here(self, names: Sequence[str]) -> None:
        IN_BRIEF_LOOP.set(True)
        debts = self._parts.debts
        try:
            await self.invalidate(names)
        except InvalidationError:
            await debts.retry_here(self._parts.write)  # the time-out may have passed while it was connecting
            if debts.include((EVERYTHING, *names)):
                raise
        finally:
            await self.close()
            await asyncio.get_running_loop().shutdown_asyncgens()

    async def invalidate(self, names: Sequence[str], *, soft_at: float | None = None, keys: Sequence[str] = ()) -> int:
        """See `Store`."""
        if not on_asyncio():
            self.invalidate_soon(names)
            if self.is_shared:
                msg = (
                    f'{shown(names)}: invalidated in this process only; to reach other processes, the cache needs '
                    'asyncio'
                )
                raise InvalidationError(msg)
            return 0
        return await asyncio.shield(self.begin_invalidation(names, soft_at=soft_at, keys=keys))

    def begin_invalidation(
        self, names: Sequence[str], *, soft_at: float | None = None, keys: Sequence[str] = ()
    ) -> 'asyncio.Task[int]':
        """See `Store`."""
        return self.go_on(self._invalidate(names, soft_at, keys))

    async def _invalidate(self, names: Sequence[str], soft_at: float | None, keys: Sequence[str]) -> int:
        parts, began_at = self._parts, time.perf_counter()
        try:
            await parts.ledger.invalidate(Persistent(parts.backend, parts.timeout, even_if_open=False), names, soft_at)
        except Exception as error:
            parts.debts.owe(names, error, parts.write)
            seconds = time.perf_counter() - began_at
            tell_invalidated(self._observers, names, soft=soft_at is not None, is_pending=True, seconds=seconds)
            msg = (
                f'the backend has not taken the invalidation of {shown(names)}; this process already ignores them and '
                'keeps trying'
            )
            raise InvalidationError(msg) from error
        finally:
            latest.note()
        tell_invalidated(self._observers, names, soft=soft_at is not None, seconds=time.perf_counter() - began_at)
        deleted = 0
        with suppress(Exception):  # even if it is not deleted, it is not used again
            for key in keys:
                deleted += await parts.backend.delete(key, parts.timeout)
        return deleted

    def invalidate_soon(self, names: Sequence[str]) -> None:
        """See `Store`."""
        if self._parts.ledger.invalidate_here(names):
            tell_invalidated(self._observers, names, soft=False)
            return
        self._parts.debts.note(names, self._parts.write)
        tell_invalidated(self._observers, names, soft=False, is_pending=True)
        self._writer.soon(self._parts.backend.loop())

    def go_on(self, work: Coroutine[Any, Any, T]) -> 'asyncio.Task[T]':
        """See `Tokens`."""
        return self._parts.go_on(work)

    async def add(self, key: str, token: str, span: float, *, mends: bool = False) -> bool | None:
        """See `Tokens`."""
        try:
            if mends:
                return await self._held.add(key, token, span)
            return await self._parts.backend.add(key, token, span, self._parts.timeout, alone=True)
        except Exception as error:  # noqa: BLE001, whatever a client library raises
            logger.debug('the cache backend failed for a lock: %s', in_words(error))
            return None

    async def release(self, key: str, token: str) -> bool | None:
        """See `Tokens`."""
        with suppress(Exception):  # it expires by itself
            return await self._parts.backend.release(key, token, self._parts.timeout)
        return None

    async def holds(self, key: str, token: str) -> bool | None:
        """See `Tokens`."""
        with suppress(Exception):
            return (await self._parts.backend.get((key,), self._parts.timeout))[0][0] == token
        return None

    async def close(self) -> None:
        """See `Store`."""
        parts, loop = self._parts, asyncio.get_running_loop()
        if self._writer.home is loop:
            self._writer.home = None
        await asyncio.gather(*(it for it in parts.under_way if it.get_loop() is loop), return_exceptions=True)
        if parts.debts and parts.backend.worth_storing():
            await parts.debts.retry_here(parts.write)
        await parts.debts.close()
        await parts.backend.close()
