"""What one request does at a store: it looks something up, and keeps what the endpoint has answered.

Knows keys, names and entries as wholes. Trouble with the backend costs what is stored, never an answer: a look-up finds
nothing, and storing does nothing.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from fastapi_caching_route._backends.commands import Commands
from fastapi_caching_route._core.entry import Entry
from fastapi_caching_route._core.variants import Variants
from fastapi_caching_route._http import reuse
from fastapi_caching_route._http.storing import FOREVER
from fastapi_caching_route._store.debts import Owed
from fastapi_caching_route._store.endings import Endings
from fastapi_caching_route._store.local import Direct
from fastapi_caching_route._store.moments import Moments

if TYPE_CHECKING:
    from fastapi_caching_route._store.remote import Store

logger = logging.getLogger('fastapi_caching_route')

FEW_NAMES = 32
"""Names of a response up to which it says something about the store if their marks cannot be had in time."""

Stored = Entry | Variants
Marked = int | tuple[str, ...]
Given = TypeVar('Given')


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


@dataclass(frozen=True, slots=True)
class Lost:
    """An answer that must not be stored: a name of it was invalidated while it was computed, or nobody can tell."""

    reason: str


class Outside:
    """What one request does at a store. It waits no longer than the time-out for all of that together: then it finds nothing.

    Only the time counts for which it waits here, and not what the endpoint takes in between.
    """

    __slots__ = ('_left', '_store')

    def __init__(self, store: 'Store') -> None:
        """Nothing has been waited for yet."""
        self._store = store
        self._left = store.timeout

    async def look_up(self, key: str) -> Found | Variants | None:
        """What is stored under a full key, and is alive; anything that was not stored under just this key is nothing."""
        if self._store.debts:
            self._left -= await self._store.pay(self._left)
        return await self._or_nothing(partial(self._look_up, key))

    async def _look_up(self, key: str, store: Commands) -> Found | Variants | None:
        marks = self._store.marks
        endings = self._store.endings
        found, *beside = await store.get((key, *marks.beside))
        if isinstance(found, Variants):
            return found if found.key == key else None
        if not isinstance(found, Entry) or found.key != key or self._store.debts.include(found.names):
            return None
        if endings.includes(key, found.stored_at):
            await store.delete(key)  # which could not be done then
            return None
        stale_at = await marks.stale_at(store, found, beside)
        return None if stale_at is None else Found(found, stale_at)

    async def begin(self, names: Sequence[str], *, windowed: bool) -> object | None:
        """What `land` will ask for: to be got before the endpoint runs. None if the backend is in trouble."""
        shelf, had_time = self._store.shelf, self._left > 0
        if not shelf.stores():
            return None
        begun = await self._or_nothing(partial(self._store.marks.begin, names=names, windowed=windowed))
        if begun is not None or (had_time and self._left <= 0 and len(names) <= FEW_NAMES):
            shelf.could_begin(in_time=begun is not None)
        return begun

    async def land(self, begun: object, names: Sequence[str], *, windowed: bool) -> Marked | Lost:
        """The marks for an answer with these names; or why it must not be stored."""
        landed = await self._or_nothing(partial(self._landed, begun, names, windowed=windowed))
        return Lost('store-error') if landed is None else landed

    async def _landed(self, begun: object, names: Sequence[str], store: Commands, *, windowed: bool) -> Marked | Lost:
        marks: Marked | None = await self._store.marks.land(store, begun, names, windowed=windowed)
        return Lost('invalidated') if marks is None else marks

    async def put(self, stored: Stored, span: float) -> bool:
        """Store under its own key for `span` seconds; return whether the backend is known to have taken it."""
        return bool(await self._or_nothing(lambda store: store.set(stored.key, stored, min(span, FOREVER))))

    def owed(self) -> Owed:
        """What invalidations could not be written yet, for `owes_more`."""
        return self._store.debts.owed()

    def owes_more(self, names: Sequence[str], since: Owed) -> bool:
        """Whether an invalidation of one of these names has come to be owed since."""
        return self._store.debts.has_grown(names, since)

    async def forget(self, key: str) -> None:
        """Delete what is stored under a full key, if that can be done now; it will end by itself."""
        await self._or_nothing(lambda store: store.delete(key))

    async def end(self, key: str, now: float) -> None:
        """Do not use what was stored until now under a full key any more. Where it cannot be deleted, this process remembers it."""
        self._store.endings.note(key, now)
        await self.forget(key)

    async def storing(self, store_it: 'Callable[[Outside], Coroutine[Any, Any, str | None]]') -> str | None:
        """Store an answer. Its client waits for that no longer than is left to it; it goes on behind the answer if need be.

        Return why the answer is not stored, or 'store-slow' if that is not known by then.
        """
        running = self._store.go_on(store_it(Outside(self._store)))  # which has time of its own: nobody waits for it
        await asyncio.wait((running,), timeout=max(self._left, 0))
        return running.result() if running.done() and not running.cancelled() else 'store-slow'

    async def _or_nothing(self, asked: Callable[[Commands], Awaitable[Given]]) -> Given | None:
        """What the store gives, or None where it is in trouble."""
        commands = Commands(self._store.shelf, self._left)
        try:
            return await asked(commands)
        except Exception as error:  # noqa: BLE001, whatever a client library raises
            logger.debug('the cache backend is of no use to a request: %r', error)
            return None
        finally:
            self._left = commands.left


class Inside:
    """What all requests do at a store that is a table in this process: at once, so that nothing fails and nothing is owed."""

    __slots__ = ('_endings', '_moments', '_read', '_shelf')

    def __init__(self, shelf: Direct, moments: Moments, endings: Endings) -> None:
        """One for all, since it keeps nothing of a request."""
        self._shelf = shelf
        self._endings = endings
        self._read = shelf.read
        self._moments = moments

    async def look_up(self, key: str) -> Found | Variants | None:
        """See `Outside`."""
        return self.at_once(key)

    def at_once(self, key: str) -> Found | Variants | None:
        """The same, at once."""
        found = self._read(key)
        if not isinstance(found, Entry):
            return found if isinstance(found, Variants) and found.key == key else None
        stale_at = self._moments.stale_since(found) if found.key == key else None
        return None if stale_at is None else Found(found, stale_at)

    async def begin(self, names: Sequence[str], *, windowed: bool) -> int:  # noqa: ARG002, see Outside
        """See `Outside`."""
        return self._moments.now

    async def land(self, begun: Any, names: Sequence[str], *, windowed: bool) -> Marked | Lost:  # noqa: ARG002, see Outside
        """See `Outside`."""
        return begun if self._moments.are_unchanged(names, begun) else Lost('invalidated')

    async def put(self, stored: Stored, span: float) -> bool:
        """See `Outside`."""
        try:
            return self._shelf.write(stored.key, stored, min(span, FOREVER))
        except Exception as error:  # noqa: BLE001, nothing in it should fail, and if it does, nobody's answer shall
            logger.debug('the table has not taken an entry: %r', error)
            return False

    def owed(self) -> Owed:
        """See `Outside`."""
        return {}

    def owes_more(self, names: Sequence[str], since: Owed) -> bool:  # noqa: ARG002, see Outside
        """See `Outside`."""
        return False

    async def forget(self, key: str) -> None:
        """See `Outside`."""
        await self._shelf.delete(key, 0)

    async def end(self, key: str, now: float) -> None:
        """See `Outside`."""
        self._endings.note(key, now)
        await self.forget(key)

    async def storing(self, store_it: 'Callable[[Inside], Coroutine[Any, Any, str | None]]') -> str | None:
        """See `Outside`."""
        return await store_it(self)


Visit = Outside | Inside
"""What one request does at a store, whichever it is."""
