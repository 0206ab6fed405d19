"""What a store has to know to tell whether its entries are alive: the protocol of ledgers, and of their commands.

Implemented by `ledger`, `marks` and `moments`.
"""

from collections.abc import Awaitable, Sequence
from typing import Any, Protocol

from fastapi_caching_route._backends.journal import JournalHead, Tail
from fastapi_caching_route._core.entry import Entry, HeldMarks
from fastapi_caching_route._store.visit import Early, Later


class Reads(Protocol):
    """The commands that a ledger needs for a request, which has a time budget."""

    async def get(self, keys: Sequence[str], /) -> Sequence[object]: ...
    def set(self, key: str, value: object, span: float, /) -> Awaitable[bool]: ...
    def add(self, key: str, value: object, span: float, /) -> Awaitable[bool]: ...
    def prolong(self, key: str, span: float, /) -> Awaitable[bool]: ...
    def since(self, journal: str, known: JournalHead | None, /) -> Awaitable[Tail]: ...


class Writes(Protocol):
    """The commands that a ledger needs for an invalidation: each has the whole time-out."""

    async def set(self, key: str, value: object, span: float, /) -> bool:
        """Store an object; return False if there is no room for it."""
        ...

    async def delete(self, key: str, /) -> None:
        """Delete a key, or raise. This works in a full store, too."""
        ...

    async def append(self, journal: str, known: JournalHead | None, texts: Sequence[str], note: str, /) -> Tail:
        """Append texts to a journal; return what it has behind a head. This works in a full store, too."""
        ...


class Ledger(Protocol):
    """Knows whether the entries of a `RemoteStore` are alive. Each method gets the commands to use."""

    beside: tuple[str, ...]
    """Keys that are read together with an entry, for `see`."""

    async def see(self, store: Reads, beside: Sequence[object]) -> object:
        """Take note of what was found under the keys `beside`. The result is for `stale_at`."""
        ...

    def early_at_once(self) -> Early | None:
        """What `marks_before` returns, if that needs no command now; else None."""
        ...

    async def marks_before(self, store: Reads, names: tuple[str, ...], key: str, *, windowed: bool) -> Early | None:
        """Read what `marks_after` needs, before the endpoint runs; None if the backend does not keep marks.

        The `key` is the full key of the request. Its name is one of the names of the response, listed or not.
        """
        ...

    async def marks_after(
        self, store: Reads, early: Early, names: tuple[str, ...], key: str, *, windowed: bool, span: float
    ) -> HeldMarks | None:
        """The marks for a response with these names; None if one of the names was invalidated since `early`.

        They are kept for `span` seconds at least, as long as the response is to be stored.
        """
        ...

    def stale_at_once(self, entry: Entry, beside: Sequence[object]) -> 'float | Later | None':
        """What `stale_at` returns after `see`, by what was found under the keys `beside`; LATER if more is needed."""
        ...

    async def stale_at(self, store: Reads, entry: Entry, seen: Any) -> float | None:
        """When a soft invalidation made the entry stale, in seconds since the epoch; infinity if none did.

        None if one of its names was invalidated, so the entry must not be used. `seen` is the result of `see` for what
        was read together with the entry.
        """
        ...

    def has_known(self, entry: Entry, seen: Any) -> bool:
        """Whether what an entry keeps can only be of this ledger, although the entry may be alive no more.

        False if that is not known.
        """
        ...

    async def invalidate(self, store: Writes, names: Sequence[str], soft_at: float | None) -> None:
        """Invalidate names for all processes: no response that began before may be used afterwards.

        With `soft_at`, in seconds since the epoch, entries that may be served stale become stale at that time instead.
        """
        ...

    def invalidate_here(self, names: Sequence[str]) -> bool:
        """Invalidate names at once, in any thread, if that needs no command; else do nothing and return False."""
        ...
