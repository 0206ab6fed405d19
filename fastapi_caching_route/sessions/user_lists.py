"""The sessions of a user: a list of those that count, which is changed in one step.

A session of a user that is not in the list is none, whatever else is stored. So all of them end in one step, and one
that gets another id meanwhile cannot escape, since its new id has to take the place of the old one in the list.
"""

import asyncio
import logging
import random
from collections.abc import Callable

from fastapi_caching_route.sessions.errors import SessionEndedError, SessionStoreError
from fastapi_caching_route.sessions.places import Place
from fastapi_caching_route.sessions.stored import StoredUser, decoded, encoded
from fastapi_caching_route.sessions.tokens import slot_of

logger: logging.Logger = logging.getLogger('fastapi_caching_route')

USER = 'user'
"""The kind of records."""

MAX_ATTEMPTS = 64
"""How often a change is tried: others win against it each time, or the store lies."""

TURN_SECONDS, LONGEST_TURNS = 0.004, 25
"""About how long a change takes, and how many others are waited for at most before the next attempt."""

Listed = dict[str, float]
"""The handles of sessions, each with the moment at which it ends, however it is used."""


class UserLists:
    """The lists of all users."""

    __slots__ = ('_challenge', '_clock', '_most', '_place')

    def __init__(self, place: Place, clock: Callable[[], float], most: int, challenge: str) -> None:
        """A list has at most so many sessions. The `challenge` is that of an error."""
        self._place, self._clock, self._most, self._challenge = place, clock, most, challenge

    async def add(self, user: str, handle: str, ends_at: float, replaced: str | None = None) -> set[str]:
        """Let a session count, if the one whose place it takes does; return those that count no more for lack of room.

        Raises:
            SessionEndedError: the one whose place it takes does not count.
            SessionStoreError: the store is in trouble.

        """

        def added(listed: Listed) -> Listed:
            if replaced is not None and listed.pop(replaced, None) is None:
                raise SessionEndedError(self._challenge)
            listed[handle] = ends_at
            newest_last = sorted(listed, key=lambda it: (it == handle, listed[it]))
            return {it: listed[it] for it in newest_last[-self._most :]}

        return await self._change(user, added) - {replaced, handle}

    async def remove(self, user: str, handle: str) -> None:
        """Let a session count no more.

        Raises:
            SessionStoreError: the store is in trouble.

        """
        await self._change(user, lambda listed: {it: at for it, at in listed.items() if it != handle})

    async def clear(self, user: str, keep: str | None) -> set[str]:
        """Let no session count, but one that is kept; return the others.

        Raises:
            SessionStoreError: the store is in trouble.

        """
        if keep is not None:
            return await self._change(user, lambda listed: {it: at for it, at in listed.items() if it == keep})
        ended = set(await self.handles(user))
        await self._place.delete(USER, slot_of(user))  # a full store takes that, too
        return ended

    async def handles(self, user: str) -> list[str]:
        """The sessions that count, the one that can last longest at the end.

        Raises:
            SessionStoreError: the store is in trouble.

        """
        [raw] = await self._place.read((USER, slot_of(user)))
        alive = self._alive(raw)
        return sorted(alive, key=alive.__getitem__)

    def _alive(self, raw: bytes | None) -> Listed:
        now, stored = self._clock(), decoded(raw, StoredUser)
        return {} if stored is None else {it: at for it, at in stored.sessions.items() if at > now}

    async def _change(self, user: str, change: Callable[[Listed], Listed]) -> set[str]:
        """Change a list in one step; return the sessions that counted before it and do not after it."""
        slot = slot_of(user)
        for attempt in range(MAX_ATTEMPTS):
            await give_way(attempt)
            [raw] = await self._place.read((USER, slot))
            alive = self._alive(raw)
            listed = change(dict(alive))
            if await self._rewritten(slot, raw, listed):
                return set(alive) - set(listed)
        logger.warning('the sessions of a user were changed by others %d times in a row', MAX_ATTEMPTS)
        raise SessionStoreError

    async def _rewritten(self, slot: str, raw: bytes | None, listed: Listed) -> bool:
        span = max([at - self._clock() for at in listed.values()], default=1.0)
        new = encoded(StoredUser(listed))
        if raw is None:
            return not listed or await self._place.add(USER, slot, new, span)
        return new == raw or await self._place.swap(USER, slot, raw, new, span)


async def give_way(attempt: int) -> None:
    """Wait for a moment before another attempt, longer each time: else many that change one record starve some."""
    if attempt:
        await asyncio.sleep(random.random() * min(attempt, LONGEST_TURNS) * TURN_SECONDS)  # noqa: S311, no secret


def counts(raw: bytes | None, handle: str) -> bool:
    """Whether a session counts, by the record of the list of its user."""
    stored = decoded(raw, StoredUser)
    return stored is not None and handle in stored.sessions
