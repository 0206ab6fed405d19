"""What the rest of the package knows of a store: what one request does at it, and what invalidates entries in it.

Protocols and values only. Who implements them is in `local` and `remote`; `opening` says which store a backend gets.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from fastapi_caching_route._core.entry import Entry
from fastapi_caching_route._core.variants import Variants
from fastapi_caching_route._http import reuse

StoredObject = Entry | Variants
HeldMarks = int | tuple[str, ...]
"""What an entry keeps to tell whether it is alive: a moment of this process, or the marks of its names."""

Early = int | Mapping[str, str]
"""What a ledger has read before the endpoint ran: a moment of this process, or marks by their keys."""


@dataclass(slots=True)
class Found:
    """An entry that is alive. `stale_at` is when a soft invalidation made it stale, or infinity."""

    entry: Entry
    stale_at: float

    def age_and_left(self, now: float) -> tuple[float, float]:
        """Its age, and for how long it is fresh yet, in seconds; negative by how long it has been stale."""
        return reuse.age_and_left(self.entry.stored_at, self.entry.lifetime, self.stale_at, now)

    def use(self, seconds: float, left: float, demand: reuse.Demand) -> reuse.Use:
        """What may be done with it, at this age, and with so many seconds left."""
        return reuse.use(
            seconds,
            left,
            demand,
            validated_always=self.entry.validated_always,
            stale_on_demand=self.entry.stale_on_demand,
            while_revalidate=self.entry.stale_while_revalidate,
        )


LookUp = Callable[[str], Found | Variants | None]


@dataclass(frozen=True, slots=True)
class Before:
    """What was so before the endpoint ran: an answer is as current as this. Without anything, it is not known."""

    early: Early | None = None
    """None if the store is in trouble."""
    owed: Mapping[str, object] = field(default_factory=dict)
    """The invalidations that could not be written yet, see `Debts.owed`."""
    endings: int = 0

    @property
    def is_known(self) -> bool:
        """Whether there can be marks for the answer; if not, `marks_after` gives none."""
        return self.early is not None

    @property
    def held(self) -> HeldMarks:
        """The marks that an entry will have if it keeps a moment; none where they are known only after the run."""
        return self.early if isinstance(self.early, int) else ()


@dataclass(frozen=True, slots=True)
class Alive:
    """An answer that may be stored, with these marks."""

    marks: HeldMarks


@dataclass(frozen=True, slots=True)
class Lost:
    """An answer that must not be stored: a name of it was invalidated while it was computed, or nobody can tell."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """The store cannot tell, so that nothing is stored; and nothing in this process says no."""


Standing = Alive | Lost | Unknown
"""What has become of an answer while it was computed."""


class Visit(Protocol):
    """What one request does at a store. Trouble is nothing found, nothing stored: never an exception."""

    async def look_up(self, key: str) -> Found | Variants | None:
        """What is stored under a full key, and is alive; anything that was not stored under just this key is nothing."""
        ...

    async def marks_before(self, names: Sequence[str], *, windowed: bool) -> Before:
        """What `marks_after` will ask for: to be got before the endpoint runs.

        `windowed` says whether the entry may be served stale.
        """
        ...

    async def marks_after(self, before: Before, names: Sequence[str], *, windowed: bool) -> Standing:
        """Whether an answer with these names may be stored, and with which marks."""
        ...

    async def put(self, stored: StoredObject, span: float) -> bool:
        """Store under its own key for `span` seconds; return whether the store is known to have taken it."""
        ...

    async def forget(self, key: str) -> None:
        """Delete what is stored under a full key, if that can be done now; it will end by itself."""
        ...

    async def end(self, key: str, now: float) -> None:
        """Do not use what was stored until now under a full key any more. Where it cannot be deleted, this process remembers it."""
        ...

    def note_ending(self, key: str, now: float) -> None:
        """The same, but nobody waits for a store to delete it."""
        ...

    def has_ended(self, before: Before, key: str) -> bool:
        """Whether another run, which has ended since this one began, has said that what is under the key is not current."""
        ...

    def stored_anew(self, key: str) -> None:
        """What is stored under a key now is newer than its last ending."""
        ...

    async def storing(self, store_it: 'Callable[[Visit], Coroutine[Any, Any, str | None]]') -> str | None:
        """Store an answer. Its client waits for that no longer than is left to it; it goes on behind the answer if need be.

        Return why the answer is not stored, or 'store-slow' if that is not known by then.
        """
        ...


class Tokens(Protocol):
    """What locks are made of, in a store that several processes share."""

    async def add(self, key: str, token: str, span: float) -> bool | None:
        """Keep a token for so many seconds where there is none; whether that was done, None if the store is in trouble."""
        ...

    async def release(self, key: str, token: str) -> None:
        """Delete a token, if it is this one."""
        ...

    def go_on(self, work: Coroutine[Any, Any, None]) -> 'asyncio.Task[None]':
        """Begin something that is to come to its end, even if nobody waits for it any more."""
        ...


class Store(Protocol):
    """Keeps entries, and ends them by their names."""

    namespace: str
    ttl: float | None
    is_shared: bool
    """Whether other processes may use it, too."""
    told: set[str]
    """What the log says already of all that use it."""
    at_once: LookUp | None
    """Looks something up as `Visit.look_up` does, without waiting; None where a look-up may have to wait."""

    @property
    def tokens(self) -> Tokens | None:
        """For locks; None where no other process uses the store."""
        ...

    def visit(self) -> Visit:
        """For what one request has to do here."""
        ...

    async def invalidate(self, names: Sequence[str], *, soft_at: float | None = None, key: str | None = None) -> int:
        """Invalidate all entries with one of the names, for all processes; delete this full key too.

        Return how many keys were deleted (0 or 1).

        Raises:
            InvalidationError: it could not be written. It is owed from now on.

        """
        ...

    def begin_invalidation(
        self, names: Sequence[str], *, soft_at: float | None = None, key: str | None = None
    ) -> 'asyncio.Future[int]':
        """The same, begun now, and going on to its end even if who has asked for it is cancelled."""
        ...

    def invalidate_soon(self, names: Sequence[str]) -> None:
        """Use nothing with one of these names in this process from now on, and have that written for all others.

        From any thread, with or without an event loop.
        """
        ...

    def invalidate_now(self, names: Sequence[str]) -> None:
        """As `invalidate`, in an event loop and over a connection of its own, in a thread where none runs.

        Raises:
            InvalidationError: it could not be written. It is owed from now on.

        """
        ...

    def open(self) -> None:
        """Have what other threads invalidate written by this event loop; also what is owed already."""
        ...

    async def close(self) -> None:
        """Close what was opened in this event loop, when all is done that is under way in it; what is owed is tried once more."""
        ...


class Reads(Protocol):
    """What a ledger needs of a backend for one request: commands of one who knows how long he can wait."""

    async def get(self, keys: Sequence[str], /) -> Sequence[object]: ...
    async def set(self, key: str, value: object, span: float, /) -> bool: ...
    async def add(self, key: str, value: object, span: float, /) -> bool: ...


class Writes(Protocol):
    """What a ledger needs of a backend for an invalidation: each command has the whole time-out."""

    async def set(self, key: str, value: object, span: float, /) -> bool:
        """Keep it; False if the store has no room for it."""
        ...

    async def delete(self, key: str, /) -> None:
        """Delete a key, which a store does that has no room."""
        ...


class Ledger(Protocol):
    """Tells whether the entries of a `RemoteStore` are alive. Who asks brings the backend, as it is for him."""

    beside: tuple[str, ...]
    """Keys to be read together with an entry; `stale_at` needs what is found there."""

    async def marks_before(self, store: Reads, names: Sequence[str], *, windowed: bool) -> Early | None:
        """What `marks_after` will ask for, read before the endpoint reads anything; None if the backend does not keep marks."""
        ...

    async def marks_after(
        self, store: Reads, early: Early, names: Sequence[str], *, windowed: bool
    ) -> HeldMarks | None:
        """The marks for an answer with these names; None if one of them was invalidated while it was computed."""
        ...

    async def stale_at(self, store: Reads, entry: Entry, beside: Sequence[object]) -> float | None:
        """When a soft invalidation made the entry stale, in seconds since the epoch; infinity if none did.

        None if one of its names was invalidated, so that the entry must not be used. `beside` is what was found beside it.
        """
        ...

    async def invalidate(self, store: Writes, names: Sequence[str], soft_at: float | None) -> None:
        """Make sure that nothing that began before is used again under these names, by any process.

        With `soft_at`, seconds since the epoch, entries that may be served stale are stale from then on.
        """
        ...

    def invalidate_here(self, names: Sequence[str]) -> bool:
        """Invalidate at once, from any thread, where no command is needed for that; else return False."""
        ...
