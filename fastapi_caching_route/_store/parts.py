"""The parts of a store over a backend that may be slow or down, which its requests share."""

import asyncio
import time
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from fastapi_caching_route._backends.commands import Persistent
from fastapi_caching_route._backends.linked import LinkedBackend
from fastapi_caching_route._concurrency.observers import AllObservers
from fastapi_caching_route._concurrency.tasks import keep_running
from fastapi_caching_route._core.entry import Entry
from fastapi_caching_route._store.debts import Debts
from fastapi_caching_route._store.latest import latest
from fastapi_caching_route._store.ledgers import Ledger
from fastapi_caching_route._store.visit import StoredObject
from fastapi_caching_route._store.withdrawals import Withdrawals
from fastapi_caching_route.memory import MemoryStats

T = TypeVar('T')


class KeepsCopies(Protocol):
    """Copies of entries in this process, see `copies`."""

    def get(self, key: str, /) -> Entry | None: ...
    def keep(self, stored: StoredObject) -> None: ...
    def keep_read(self, entry: Entry, since: int) -> None: ...
    def drop(self, key: str) -> None: ...
    def stats(self) -> MemoryStats: ...
    def note_read(self, began_at: float, beside: Sequence[object]) -> None: ...

    @property
    def changes(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a `RemoteStore`, which its visits use."""

    backend: LinkedBackend
    ledger: Ledger
    debts: Debts
    timeout: float
    """How many seconds a request waits for the store in total, and an invalidation for each command."""
    copies: 'KeepsCopies | None' = None
    withdrawals: Withdrawals = field(default_factory=Withdrawals)
    evicting: 'Sequence[AllObservers]' = ()
    """Who is told of evictions in this process."""
    under_way: 'set[asyncio.Task[Any]]' = field(default_factory=set)

    async def retry(self, within: float) -> float:
        """Retry the pending invalidations, wait at most `within` seconds for that, and return the seconds waited.

        The event loop may end soon, and no later one may have the time: so it is done now.
        """
        began = time.monotonic()
        self.debts.retry_later(self.write)
        if self.backend.worth_storing():
            await asyncio.wait([self.debts.retry(self.write)], timeout=max(within, 0))
        return time.monotonic() - began

    async def write(self, names: Sequence[str]) -> None:
        """Invalidate names, even if the breaker is open."""
        await self.ledger.invalidate(Persistent(self.backend, self.timeout, even_if_open=True), names, None)
        latest.note()

    def go_on(self, work: Coroutine[Any, Any, T]) -> 'asyncio.Task[T]':
        """Start a background task that runs to its end, even if nobody waits for it."""
        return keep_running(asyncio.get_running_loop().create_task(work), self.under_way)
