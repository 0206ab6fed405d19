"""The protocols of a store, and the values that they pass: this is all that the rest of the package knows about stores.

They are implemented by `local` and `remote`; `opening` decides which store a backend gets.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Protocol

from msgspec import Struct

from fastapi_caching_route._concurrency.observers import Observers
from fastapi_caching_route._core.entry import Entry, Headed, HeldMarks, Position
from fastapi_caching_route._core.variants import StoredRecord, Variants
from fastapi_caching_route._http import reuse
from fastapi_caching_route._store.board import Board
from fastapi_caching_route._store.condition import Condition, Faults
from fastapi_caching_route._store.tokens import Tokens

StoredObject = Entry | Variants

Listed = tuple[Headed, float | None]
"""An entry, and when a soft invalidation made it stale, or infinity; None if it is invalidated."""


class Described(Struct, frozen=True):
    """What is stored under some keys, by its keys: all but the bodies."""

    entries: dict[str, Listed]
    """Those of this cache. Others may have entries under such keys."""
    records: dict[str, StoredRecord]
    others: set[str]
    """The keys of entries of which nothing proves whose they are."""


ListedPage = tuple[Described, int]
"""Some of what is stored, and where the next page begins; 0 at the end."""

Early = int | Position | Mapping[str, str]
"""What is known before the endpoint runs: a moment of this process, a place in the journal of the store, or the marks
by their keys."""


class Found(Struct):
    """An entry that is not invalidated. `stale_at` is when a soft invalidation made it stale, or infinity."""

    entry: Entry
    stale_at: float

    def age_and_left(self, now: float) -> tuple[float, float]:
        """Its age, and the seconds for which it is still fresh; negative: for how long it has been stale."""
        return reuse.age_and_left(self.entry.stored_at, self.entry.lifetime, self.stale_at, now)


class Later:
    """What `Store.at_once` returns if it cannot tell without waiting."""

    __slots__ = ()


LATER = Later()

LookUp = Callable[[str], Found | Variants | Later | None]


NOTHING_OWED: Mapping[str, object] = MappingProxyType({})


class Before(Struct, frozen=True):
    """The state of a store before the endpoint ran. A response is as current as this. `Before()`: nothing is known."""

    early: Early | None = None
    """None if the store is failing."""
    owed: Mapping[str, object] = NOTHING_OWED
    """The pending invalidations, see `Debts.owed`."""
    withdrawals: int = 0
    """How many entries had been withdrawn, see `Withdrawals.count`."""

    @property
    def is_known(self) -> bool:
        """Whether the response can get marks. If not, `marks_after` never returns `Alive`."""
        return self.early is not None

    @property
    def held(self) -> HeldMarks:
        """The marks of the entry, if they are known before the run: its moment or its place; else none."""
        return self.early if isinstance(self.early, int | Position) else ()


class Alive(Struct, frozen=True):
    """The response may be stored, with these marks."""

    marks: HeldMarks


class Lost(Struct, frozen=True):
    """The response must not be stored: a name was invalidated during the run, or nobody can tell.

    It must not be shared with those who asked after the run began either. If the store cannot tell, another process may
    have invalidated it meanwhile, and so may this one: a store that takes too long, or was down when the run began, may
    have taken that.
    """

    reason: str


Standing = Alive | Lost
"""What became of a response while it was computed."""


class Visit(Protocol):
    """The look-ups and writes of one request. If the store fails, nothing is found or stored, and nothing is raised."""

    def look_up(self, key: str) -> Coroutine[Any, Any, Found | Variants | None]:
        """The entry or record under a full key. What is not alive, or was stored under another key, is a miss."""
        ...

    async def marks_before(self, names: tuple[str, ...], key: str, *, windowed: bool) -> Before:
        """Read what `marks_after` needs, before the endpoint runs.

        The `key` is the full key of the request: its name is one of the names of the response, whether it is listed or
        not. `windowed` says whether the entry may be served stale.
        """
        ...

    async def marks_after(
        self, before: Before, names: tuple[str, ...], key: str, *, windowed: bool, span: float
    ) -> Standing:
        """Decide, after the run, whether a response with these names may be stored, and with which marks.

        It is to be stored for `span` seconds.
        """
        ...

    async def put(self, stored: StoredObject, span: float) -> bool:
        """Store an object under its own key for `span` seconds; return whether the store has confirmed it."""
        ...

    async def replace(self, old: Entry, new: Entry, span: float) -> bool:
        """Store an entry for `span` seconds in place of one under its key; return False if that one is not there."""
        ...

    async def forget(self, key: str) -> None:
        """Delete what is stored under a full key. If that fails, it expires by itself."""
        ...

    async def withdraw(self, key: str, now: float) -> None:
        """Withdraw what was stored under a full key until now: delete it and, in case that fails, remember it here."""
        ...

    def note_withdrawal(self, key: str, now: float) -> None:
        """Withdraw what was stored under a full key until now, without deleting it: for a store that is failing."""
        ...

    def was_withdrawn(self, before: Before, key: str) -> bool:
        """Whether another run, since this one began, has withdrawn what is stored under the key."""
        ...

    def forget_withdrawal(self, key: str) -> None:
        """Note that what is stored under a key now is newer than the last withdrawal."""
        ...

    def wait_for_store(self, done: 'asyncio.Future[None]', seconds: float, waited: float) -> Coroutine[Any, Any, bool]:
        """Wait for what another request stores, at most `seconds`; return False if the budget ends before.

        So many seconds have been `waited` for the store already, which this visit does not know of.
        """
        ...

    def storing(
        self, store_it: 'Callable[[Visit], Coroutine[Any, Any, str | None]]'
    ) -> Coroutine[Any, Any, str | None]:
        """Run `store_it` on a visit. The client waits as long as its budget lasts; storing may go on after that.

        Return why the response is not stored, or 'store-slow' if that is not known in time.
        """
        ...


class WithoutBudget:
    """What a visit has in common with others to a store for which nobody has to wait."""

    __slots__ = ()

    async def wait_for_store(self, done: 'asyncio.Future[None]', seconds: float, waited: float) -> bool:  # noqa: ARG002
        """See `Visit`."""
        await asyncio.wait((done,), timeout=max(seconds, 0))
        return True


class Store(Protocol):
    """Keeps entries, and invalidates them by their names."""

    namespace: str
    ttl: float | None
    is_shared: bool
    """Whether other processes can use it, too."""
    at_once: LookUp | None
    """Does what `Visit.look_up` does, without waiting, or returns LATER; None if every look-up may have to wait."""

    @property
    def tokens(self) -> Tokens | None:
        """The tokens for locks; None if no other process uses the store."""
        ...

    @property
    def locks(self) -> Tokens | None:
        """The tokens for locks of user code, also in a store of this process; None if the backend has none."""
        ...

    @property
    def board(self) -> Board | None:
        """Where processes that share the store publish something for each other; None if no other process uses it."""
        ...

    def condition(self) -> Condition:
        """How the store is."""
        ...

    def listed(self, prefix: str, after: int = 0) -> AsyncGenerator[ListedPage, None]:
        """What is stored under keys with a prefix, alive or not, from the page on that begins there.

        Raises:
            NotImplementedError: the backend cannot list its keys.

        """
        ...

    async def described(self, keys: Sequence[str]) -> Described:
        """What is stored under these full keys at one moment, alive or not; or raise."""
        ...

    async def erase(self, keys: Sequence[str]) -> None:
        """Delete full keys, or raise."""
        ...

    async def faults(self) -> Faults:
        """Ask the store whether it works, and whether its settings suit a cache."""
        ...

    def observe(self, observers: Observers) -> None:
        """Tell these observers of invalidations and evictions, and of outages and their ends."""
        ...

    def visit(self) -> Visit:
        """A new visit, for one request."""
        ...

    async def invalidate(self, names: Sequence[str], *, soft_at: float | None = None, keys: Sequence[str] = ()) -> int:
        """Invalidate all entries with one of the names, for all processes. Also delete these full keys.

        Return how many keys were deleted.

        Raises:
            InvalidationError: the backend has not taken it. It is pending from now on.

        """
        ...

    def begin_invalidation(
        self, names: Sequence[str], *, soft_at: float | None = None, keys: Sequence[str] = ()
    ) -> 'asyncio.Future[int]':
        """Start what `invalidate` does. It runs to its end even if the caller is cancelled."""
        ...

    def invalidate_soon(self, names: Sequence[str]) -> None:
        """Invalidate names in this process now, and for all other processes soon.

        May be called in any thread, with or without an event loop.
        """
        ...

    def invalidate_now(self, names: Sequence[str]) -> None:
        """Invalidate names for all processes, and block until that is done. For threads that run no event loop.

        Raises:
            InvalidationError: the backend has not taken it. It is pending from now on.

        """
        ...

    def open(self) -> None:
        """Let this event loop send what other threads invalidate, and what is pending already."""
        ...

    async def close(self) -> None:
        """Wait for the tasks of this event loop, retry pending invalidations once, and close its connections."""
        ...
