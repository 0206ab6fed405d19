"""Many requests for one response: one of them runs the endpoint, the others wait for its result.

Knows keys and times; knows neither HTTP nor stores. The terms:

- A *flight* is one run of the endpoint, under a key, in one event loop.
- One request *leads* it: it runs the endpoint. Other requests for the same key may *follow* it: they wait.
- The flight *lands* once, with an outcome: something that it *brought* for all followers, or what they do instead
  (`Instead`), or what they raise (`RunFailedError`). From then on it is no longer under way.

A leader always lands its flight: if it is cancelled or raises, a `finally` in the exchange lands it with
`Instead.LEAD`, so that a follower takes over. A follower that waits longer than its own time-out stops waiting.

A response may be older than an invalidation that returned while it was made, unless the store says that there was none.
But requests that came before its run began may have it, whatever was invalidated since: a run of their own would have
begun no earlier. So at the end of its run, a flight has something ready for them, in case the store cannot tell.

A flight belongs to one event loop, since a future does. Threads with event loops of their own do not share flights.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from enum import Enum
from types import TracebackType
from typing import Generic, NoReturn, TypeVar

from msgspec import Struct, field

from fastapi_caching_route._concurrency.pauses import RecentNumbers

T = TypeVar('T')
"""What a flight brings for all its followers."""

WaitForStore = Callable[['asyncio.Future[None]', float, float], Awaitable[bool]]
"""See `Visit.wait_for_store`."""

FOLLOWER_POLL_SECONDS = 0.1
"""How often a flight checks whether its followers have left."""


class Instead(Enum):
    """What followers do when the flight brought nothing that they can share."""

    FORWARD = 'forward'
    """Each of them runs the endpoint itself: the response must not be shared."""
    LOOK_UP = 'look up'
    """They look up the store again: a stale entry may answer them."""
    LEAD = 'lead'
    """One of them leads the next flight: this run brought nothing, or a response for its leader only."""
    TAKE_READY = 'take what is ready'
    """Followers that came before the run began take what is ready for them. One of the others leads."""


class RunFailedError(Exception):
    """The run of a function has raised an exception, which is for all of its followers."""

    def __init__(self, error: Exception, traceback: TracebackType | None) -> None:
        """With the traceback of the run, since an exception collects those of all that raise it."""
        super().__init__(error)
        self.error = error
        self.traceback = traceback

    def __repr__(self) -> str:
        """As the exception of the function."""
        return repr(self.error)

    def for_a_follower(self) -> 'RunFailedError':
        """The same, to be raised by one of the followers."""
        return RunFailedError(self.error, self.traceback)

    def raise_as_it_was(self) -> NoReturn:
        """Raise what the run has raised."""
        raise self.error.with_traceback(self.traceback)


def failure_of(error: Exception) -> Instead | RunFailedError:
    """What followers do as a run has raised this. Of a route, it may be for the client of the leader alone."""
    return error if isinstance(error, RunFailedError) else Instead.FORWARD


class Flight(Struct, Generic[T], eq=False):
    """One run of the endpoint. It begins when it is made."""

    _flights: 'Flights[T]'
    _key: str
    is_led: bool
    """Whether others may follow. If not, it serves a single request and is not in the table."""
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)
    began_at: float = field(default_factory=time.monotonic)
    _outcome: T | Instead | RunFailedError | None = None
    _landing: 'asyncio.Future[None] | None' = None
    """What followers wait for; created for the first of them, since most flights have none."""
    _end: 'asyncio.Future[None] | None' = None
    """The end of the run, in the same way: then it is storing, or has landed."""
    run_began_at: float = math.inf
    """When the run began to read anything to make the response, by the monotonic clock."""
    _make_ready: Callable[[], T | None] | None = None
    _ready: T | None = None
    followers: int = 0
    has_landed: bool = False
    is_storing: bool = False
    """Set when storing begins. A request that joins later may come after an invalidation that the check of the marks
    has missed. So it waits, but then looks the entry up instead of sharing it."""
    stored: bool = False
    """Whether the response was stored. Valid once the flight has landed and storing has ended."""

    def begin_storing(self, make_ready: Callable[[], T | None]) -> None:
        """The run has ended; `make_ready` makes what followers that came before it began may have, if they need it."""
        self.is_storing, self._make_ready = True, make_ready
        if self._end is not None:
            _wake(self._end)

    async def outcome(
        self, seconds: float, asked_at: float = math.inf, wait_for_store: WaitForStore | None = None
    ) -> T | Instead | RunFailedError | None:
        """Follow the flight: wait for its outcome; None if it has not landed after `seconds`.

        While it is storing, this waits by `wait_for_store`. A follower whose time for the store is over takes what is
        ready for it, or else lands the flight; the response may still be stored.
        """
        joined_at = time.monotonic()
        self.followers += 1
        try:
            if wait_for_store is None:
                await self._wait(max(seconds, 0))
            else:
                await self._run_end(max(seconds, 0))
                if self._outcome is None and self.is_storing:
                    self._landing = self._landing or self.loop.create_future()
                    # What came before the run was the time of the store, or of a lock in it.
                    waited = max(self.run_began_at - joined_at, 0.0) if self.run_began_at < math.inf else 0.0
                    if not await wait_for_store(self._landing, joined_at + seconds - time.monotonic(), waited):
                        if self.ready_for(asked_at) is not None:
                            return Instead.TAKE_READY
                        self.land(Instead.TAKE_READY)
        finally:
            self.followers -= 1
        return self._outcome

    async def _run_end(self, seconds: float) -> None:
        if self._outcome is None and not self.is_storing:
            self._end = self._end or self.loop.create_future()
            await asyncio.wait((self._end,), timeout=seconds)

    def ready_for(self, asked_at: float) -> T | None:
        """What the run has brought for a request that was there at this time, if that was before it began."""
        return self.ready if asked_at < self.run_began_at else None

    @property
    def ready(self) -> T | None:
        """What the run has brought for followers that came before it began."""
        if self._make_ready is not None:
            self._ready, self._make_ready = self._make_ready(), None
        return self._ready

    @property
    def is_waited_for(self) -> bool:
        """Whether it may have followers, and has not landed yet."""
        return self.is_led and self._outcome is None

    async def landing(self) -> None:
        """Wait until it has landed."""
        await self._wait(None)

    async def no_longer_needed(self) -> None:
        """Wait until it has landed, or has no followers left."""
        while self.followers and self._outcome is None:
            await self._wait(FOLLOWER_POLL_SECONDS)

    async def _wait(self, seconds: float | None) -> None:
        if self._outcome is None:
            self._landing = self._landing or self.loop.create_future()
            await asyncio.wait((self._landing,), timeout=seconds)

    def land(self, outcome: T | Instead | RunFailedError, *, stored: bool = False) -> None:
        """Give all followers the outcome, and end. Only the first call counts; later ones can only set `stored`."""
        # An overtaken run has already landed, with LOOK_UP, when its response is stored.
        self.stored = self.stored or stored
        if self._outcome is None:
            # It leaves the table, is counted and wakes its followers in one step, without an `await`:
            #   1. A looks up: nothing is stored.
            #   2. This flight stores its entry, and lands.
            #   3. A asks for a flight: none is under way, but one has brought something since A looked. A looks again.
            # If it left the table before it is counted, A would run the endpoint once more in between.
            self._flights.end(self._key, self, has_brought=not isinstance(outcome, Instead | RunFailedError))
            self._outcome, self.has_landed = outcome, True
            if outcome is not Instead.TAKE_READY:
                self._make_ready = None  # it refers to this flight: a reference cycle for each miss
            if self._end is not None:
                _wake(self._end)
            if self._landing is not None:
                _wake(self._landing)


class Flights(Generic[T]):
    """All flights that are under way in this process."""

    __slots__ = ('_alone', '_brought', '_under_way', 'brought_so_far')

    def __init__(self) -> None:
        """No flight is under way."""
        self._under_way: dict[tuple[asyncio.AbstractEventLoop, str], Flight[T]] = {}
        self._alone: set[Flight[T]] = set()
        """Those that nobody can follow."""
        self.brought_so_far: int = 0
        """How many flights have brought something to share. Requests compare it with what it was at their look-up."""
        self._brought = RecentNumbers()

    def __len__(self) -> int:
        """How many flights are under way."""
        return len(self._under_way)

    @property
    def oldest_began_at(self) -> float | None:
        """When the oldest flight that is under way began, in seconds of the monotonic clock; None if none is."""
        return min((it.began_at for it in (*self._under_way.copy().values(), *self._alone.copy())), default=None)

    def under_way(self, key: str, seconds: float) -> Flight[T] | None:
        """The flight for this key in this event loop, unless it began `seconds` ago: an older one may never end."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # a thread without one, in which a plain function is called
            return None
        flight = self._under_way.get((loop, key))
        return flight if flight is not None and time.monotonic() - flight.began_at < seconds else None

    def lead(self, key: str) -> Flight[T]:
        """Begin a flight. The caller has just asked `under_way`, without an `await` since: so it is the only leader."""
        flight = Flight(self, key, is_led=True)
        self._under_way[flight.loop, key] = flight
        return flight

    def unfollowed(self) -> Flight[T]:
        """Begin a flight that nobody can follow. The caller lands it, too: it is under way until then."""
        flight = Flight(self, '', is_led=False)
        self._alone.add(flight)
        return flight

    def end(self, key: str, flight: Flight[T], *, has_brought: bool) -> None:
        """Remove a flight that lands."""
        self._alone.discard(flight)
        if self._under_way.get((flight.loop, key)) is flight:
            del self._under_way[flight.loop, key]
        if has_brought and flight.is_led:
            self.brought_so_far += 1
            self._brought.note(key, self.brought_so_far)

    def has_brought(self, key: str, since: int) -> bool:
        """Whether a flight for this key has brought something to share since `brought_so_far` was `since`."""
        return self.brought_so_far > since and self._brought.of(key) > since


def _wake(future: 'asyncio.Future[None]') -> None:
    """End the waits for a future."""
    if not future.done():
        future.set_result(None)
