"""Many requests for one answer: who lets the endpoint run, and what becomes of those who wait for it.

Knows keys and moments, and neither HTTP nor stores. A *flight* is one run of the endpoint, under the key of what it will
answer, in one event loop. It is led by one request; others may follow it until it has landed, by which all of them learn
what to do. A leader that leaves without a word has `finally` say for it that one of the others is to lead.
"""

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass
from enum import Enum

from fastapi_caching_route._entry import Entry, Variants

MOST_REMEMBERED = 10_000
"""Keys of which is remembered how they went lately, some hundred bytes each; the oldest goes for a new one."""

ALONE = 10.0
"""Seconds for which a key is remembered of which answers are not for sharing."""

LEFT = 0.1
"""Seconds between two looks at whether those who waited have left."""

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
"""Seconds for which an endpoint that has failed is not asked again where there is a stale entry: twice as long each time."""


@dataclass(slots=True)
class Shared:
    """All who wait may answer from this entry, if their selecting fields are those of its variant."""

    entry: Entry
    variants: Variants | None
    """Of which it is one, if answers under its key vary."""


class Told(Enum):
    """What those who wait are to do, where there is no entry for them."""

    EACH = 'each'
    """Each lets the endpoint answer: what it has said is not for sharing."""
    LOOK = 'look'
    """They look up what is stored: something stale may answer them."""
    NEXT = 'next'
    """One of them leads: what came of the run was for its leader alone, or nothing."""


Outcome = Shared | Told

OF_THE_LEADER = frozenset({'guard', 'head', 'partial', 'precondition', 'authorization', 'disconnected', 'incomplete'})
"""Why an answer is not kept, where another request might well get one that is."""

OF_THE_ANSWER = frozenset(
    {'freshness', 'live', 'no-cache', 'no-store', 'private', 'set-cookie', 'size', 'store-if', 'ttl', 'vary'}
)
"""Why it is not kept, where the next one will not be either: nobody is to wait for that."""


def told_by(reason: str) -> Told:
    """What those are told who wait for an answer that is not kept for this reason."""
    return Told.NEXT if reason in OF_THE_LEADER else Told.EACH


def will_be_so_again(reason: str) -> bool:
    """Whether the reason is in the answer itself, so that waiting for the next one is of no use either."""
    return reason in OF_THE_ANSWER


class Flight:
    """One run of the endpoint."""

    __slots__ = ('_flights', '_key', '_landing', '_outcome', 'began_at', 'closing', 'followers', 'is_led', 'loop')

    def __init__(self, flights: 'Flights', key: str, *, is_led: bool) -> None:
        """It has begun."""
        self.is_led: bool = is_led
        """Whether others may follow; else it is for one request alone, and in no table."""
        self._flights = flights
        self._key = key
        self.loop: asyncio.AbstractEventLoop = asyncio.get_running_loop()
        self.began_at: float = time.monotonic()
        self._outcome: Outcome | None = None
        self._landing: asyncio.Future[None] | None = None
        """For those who wait; most flights have none."""
        self.followers: int = 0
        self.closing: bool = False
        """Whether it is too late to answer from what it brings: an invalidation before now might not be seen any more. Who
        comes then waits, and looks it up."""

    async def outcome(self, seconds: float) -> Outcome | None:
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

    async def needed_no_more(self) -> None:
        """Wait until it has landed, or nobody waits for it any more."""
        while self.followers and self._outcome is None:
            await self._wait(LEFT)

    async def _wait(self, seconds: float | None) -> None:
        if self._outcome is None:
            self._landing = self._landing or self.loop.create_future()
            await asyncio.wait((self._landing,), timeout=seconds)

    def land(self, outcome: Outcome) -> None:
        """Tell all who wait what to do, and be no flight any more; without effect if that was done."""
        if self._outcome is None:
            self._flights.end(self._key, self, shared=isinstance(outcome, Shared))
            self._outcome = outcome
            if self._landing is not None:
                self._landing.set_result(None)


class Flights:
    """All that are under way in this process."""

    __slots__ = ('_brought', '_under_way', 'landings')

    def __init__(self) -> None:
        """None is under way."""
        self._under_way: dict[tuple[asyncio.AbstractEventLoop, str], Flight] = {}
        self.landings: int = 0
        """How many have brought something for all."""
        self._brought = Lately()

    def __len__(self) -> int:
        """How many are under way."""
        return len(self._under_way)

    def under_way(self, key: str, seconds: float) -> Flight | None:
        """The one for this key in this event loop, that has begun in the last seconds: an older one may never end."""
        flight = self._under_way.get((asyncio.get_running_loop(), key))
        return flight if flight is not None and time.monotonic() - flight.began_at < seconds else None

    def lead(self, key: str) -> Flight:
        """Begin one. Who has asked before, without waiting in between, whether one is under way, is its only leader."""
        flight = Flight(self, key, is_led=True)
        self._under_way[flight.loop, key] = flight
        return flight

    def alone(self) -> Flight:
        """One that nobody follows."""
        return Flight(self, '', is_led=False)

    def end(self, key: str, flight: Flight, *, shared: bool) -> None:
        """It has landed."""
        if self._under_way.get((flight.loop, key)) is flight:
            del self._under_way[flight.loop, key]
        if shared and flight.is_led:
            self.landings += 1
            self._brought.note(key, self.landings)

    def has_brought(self, key: str, since: int) -> bool:
        """Whether one for this key has landed with something for all, after so many landings."""
        return self._brought.of(key) > since


class Pauses:
    """Keys that are better left alone for a while. Moments in seconds since the epoch."""

    __slots__ = ('_lengths', '_until')

    def __init__(self) -> None:
        """There is none."""
        self._until, self._lengths = Lately(), Lately()

    def holds(self, key: str, now: float) -> bool:
        """Whether it is not over yet for this key."""
        return now < self._until.of(key)

    def begin(self, key: str, now: float, seconds: float) -> None:
        """Leave the key alone for so long."""
        self._until.note(key, now + seconds)

    def lengthen(self, key: str, now: float) -> None:
        """Leave the key alone for twice as long as the last time."""
        length = min(max(2 * self._lengths.of(key), FIRST_PAUSE), LONGEST_PAUSE)
        self._lengths.note(key, length)
        self.begin(key, now, length)

    def end(self, key: str) -> None:
        """All is well with the key."""
        self._until.forget(key)
        self._lengths.forget(key)


class Lately:
    """A number for each of many keys, of which the oldest are forgotten; 0 for those that are not known."""

    __slots__ = ('_numbers',)

    def __init__(self) -> None:
        """Nothing is known."""
        self._numbers: OrderedDict[str, float] = OrderedDict()

    def of(self, key: str) -> float:
        """The number of a key."""
        return self._numbers.get(key, 0.0)

    def note(self, key: str, number: float) -> None:
        """Keep a number for a key, as the newest."""
        self._numbers.pop(key, None)
        self._numbers[key] = number
        if len(self._numbers) > MOST_REMEMBERED:
            self._numbers.popitem(last=False)

    def forget(self, key: str) -> None:
        """The key is not known any more."""
        self._numbers.pop(key, None)
