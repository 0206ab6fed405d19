"""Many requests for one answer: who lets the endpoint run, and what becomes of those who wait for it.

Knows keys and moments, and neither HTTP nor stores. A *flight* is one run of the endpoint, under the key of what it will
answer, in one event loop. It is led by one request; others may follow it until it has landed, by which all of them learn
what to do. A leader that leaves without a word has `finally` say for it that one of the others is to lead.
"""

import asyncio
import time
from enum import Enum
from typing import Generic, TypeVar

from fastapi_caching_route._concurrency.pauses import RecentNumbers

T = TypeVar('T')
"""What a flight brings for all who follow it."""

FOLLOWER_POLL_SECONDS = 0.1
"""Seconds between two looks at whether those who waited have left."""


class Instead(Enum):
    """What those who wait are to do, where there is no entry for them."""

    FORWARD = 'forward'
    """Each lets the endpoint answer: what it has said is not for sharing."""
    LOOK_UP = 'look up'
    """They look up what is stored: something stale may answer them."""
    LEAD = 'lead'
    """One of them leads: what came of the run was for its leader alone, or nothing."""


class Flight(Generic[T]):
    """One run of the endpoint."""

    __slots__ = (
        *('_flights', '_key', '_landing', '_outcome'),
        *('began_at', 'followers', 'is_led', 'is_storing', 'loop', 'stored'),
    )

    def __init__(self, flights: 'Flights[T]', key: str, *, is_led: bool) -> None:
        """It has begun."""
        self.is_led: bool = is_led
        """Whether others may follow; else it is for one request alone, and in no table."""
        self._flights = flights
        self._key = key
        self.loop: asyncio.AbstractEventLoop = asyncio.get_running_loop()
        self.began_at: float = time.monotonic()
        self._outcome: T | Instead | None = None
        self._landing: asyncio.Future[None] | None = None
        """For those who wait; most flights have none."""
        self.followers: int = 0
        self.is_storing: bool = False
        """Whether it is too late to answer from what it brings: an invalidation before now might not be seen any more. Who
        comes then waits, and looks it up."""
        self.stored: bool = False
        """Whether what it has brought is stored."""

    async def outcome(self, seconds: float) -> T | Instead | None:
        """What it has come to; None if that is not known in so many seconds."""
        self.followers += 1
        try:
            await self._wait(max(seconds, 0))
        finally:
            self.followers -= 1
        return self._outcome

    @property
    def is_waited_for(self) -> bool:
        """Whether others may follow it, and have not been told yet."""
        return self.is_led and self._outcome is None

    async def landing(self) -> None:
        """Wait until it has landed."""
        await self._wait(None)

    async def no_longer_needed(self) -> None:
        """Wait until it has landed, or nobody waits for it any more."""
        while self.followers and self._outcome is None:
            await self._wait(FOLLOWER_POLL_SECONDS)

    async def _wait(self, seconds: float | None) -> None:
        if self._outcome is None:
            self._landing = self._landing or self.loop.create_future()
            await asyncio.wait((self._landing,), timeout=seconds)

    def land(self, outcome: T | Instead, *, stored: bool = False) -> None:
        """Tell all who wait what to do, and be no flight any more; if that was done before, only note what is `stored`."""
        self.stored = self.stored or stored
        if self._outcome is None:
            self._flights.end(self._key, self, has_brought=not isinstance(outcome, Instead))
            self._outcome = outcome
            if self._landing is not None:
                self._landing.set_result(None)


class Flights(Generic[T]):
    """All that are under way in this process."""

    __slots__ = ('_brought', '_under_way', 'brought_so_far')

    def __init__(self) -> None:
        """None is under way."""
        self._under_way: dict[tuple[asyncio.AbstractEventLoop, str], Flight[T]] = {}
        self.brought_so_far: int = 0
        """How many have brought something for all."""
        self._brought = RecentNumbers()

    def __len__(self) -> int:
        """How many are under way."""
        return len(self._under_way)

    def under_way(self, key: str, seconds: float) -> Flight[T] | None:
        """The one for this key in this event loop, that has begun in the last seconds: an older one may never end."""
        flight = self._under_way.get((asyncio.get_running_loop(), key))
        return flight if flight is not None and time.monotonic() - flight.began_at < seconds else None

    def lead(self, key: str) -> Flight[T]:
        """Begin one. Who has asked before, without waiting in between, whether one is under way, is its only leader."""
        flight = Flight(self, key, is_led=True)
        self._under_way[flight.loop, key] = flight
        return flight

    def unfollowed(self) -> Flight[T]:
        """One that nobody follows."""
        return Flight(self, '', is_led=False)

    def end(self, key: str, flight: Flight[T], *, has_brought: bool) -> None:
        """It has landed."""
        if self._under_way.get((flight.loop, key)) is flight:
            del self._under_way[flight.loop, key]
        if has_brought and flight.is_led:
            self.brought_so_far += 1
            self._brought.note(key, self.brought_so_far)

    def has_brought(self, key: str, since: int) -> bool:
        """Whether one for this key has landed with something for all, after so many that had."""
        return self._brought.of(key) > since
