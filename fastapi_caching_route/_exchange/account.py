"""The account of one request: what becomes of it, for the counters of its route and for observers.

Knows messages and moments; does not know how a response comes about.
"""

from time import perf_counter
from types import TracebackType
from typing import Literal

from msgspec import Struct, field
from typing_extensions import Self

from fastapi_caching_route._core.asgi import Message, Send
from fastapi_caching_route._core.counts import Counts
from fastapi_caching_route._core.key import digest
from fastapi_caching_route._core.recorder import is_last
from fastapi_caching_route._exchange.plan import Plan
from fastapi_caching_route._http.reuse import FAILURES
from fastapi_caching_route.events import Responded, ResponseOutcome

Part = Literal['look_up', 'guards', 'endpoint']
"""The parts of the time of a request."""

FREE = frozenset(('hit', 'stale', 'collapsed', 'revalidated'))
"""The outcomes whose body is that of an entry."""

MAX_REASONS = 64
"""How many reasons of a route are counted: `no_store('...')` may give any text."""


class Account(Struct, eq=False):
    """The outcome of one request. Counters and observers get it when the response has been sent, once."""

    plan: Plan
    _method: str
    _send: Send
    _began_at: float = 0.0
    """0 if nobody observes it: then only the run of the endpoint is timed."""
    _at: float = 0.0
    _run_began_at: float | None = None
    _seconds: dict[Part, float] = field(default_factory=dict)
    _status: int = 0
    _bytes: int = 0
    _is_over: bool = False
    _is_sending: bool = False
    outcome: ResponseOutcome | None = None
    """None while nothing is known."""
    reason: str | None = None
    stored: bool = False
    age: float | None = None
    saved: float = 0.0
    """The seconds for which the endpoint would have run."""
    endpoint_seconds: float = 0.0
    """For how long it has run, once its response is complete."""
    key: str | None = None
    """Without its namespace."""

    def start_timing(self) -> Self:
        """Measure the time of each part from now on; return the same account."""
        self._began_at = self._at = perf_counter()
        return self

    def for_nobody(self) -> 'Account':
        """An account for a run without a client: only the run is counted. If this one has begun, it is that run."""
        again = Account(self.plan, self._method, self._send)
        again._is_over = True
        again._run_began_at, self._run_began_at = self._run_began_at, None
        return again

    def __enter__(self) -> Self:
        """Tell what became of the request at the end, even if no response is complete."""
        return self

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> None:
        """Tell what has not been told yet. A client that has gone before its response began got none."""
        if isinstance(error, Exception) and not self._is_sending:  # else the client has gone
            self.note('error', 'exception')
            self._status = self._status or 500
        if self._status and not self._is_over:
            self._tell()

    def began_run(self) -> None:
        """The endpoint begins."""
        self._run_began_at = perf_counter()

    def answered(self, status: int, reason: str | None, *, is_refused: bool) -> None:
        """Note what the response of a run is; with a reason, it is not stored."""
        failed = reason is not None and status in FAILURES
        self.outcome = 'refused' if is_refused else 'error' if failed else 'miss'
        self.reason, self.stored, self.age, self.saved = reason, reason is None, None, 0.0

    def begins(self, status: int) -> None:
        """A response is sent from now on."""
        self._status, self._is_sending = status, True

    def ends(self, size: int) -> None:
        """The last message is sent, with so many bytes of the body: tell what became of the request."""
        self._bytes += size
        self._tell()

    async def send(self, message: Message) -> None:
        """Send a message, and note what it says; after the last one, tell what became of the request."""
        if message['type'] == 'http.response.start':
            self._status = message['status']
        if message['type'] == 'http.response.body':
            self._bytes += len(message.get('body', b''))
            if is_last(message):  # told before it is sent: then the span of the request ends
                self._tell()
        self._is_sending = True
        await self._send(message)
        self._is_sending = False

    def was_hit(self, key: str, outcome: ResponseOutcome, status: int, size: int, age: float) -> None:
        """A hit is sent at once, with so many bytes of the body; it has been counted."""
        self.end_part('look_up')
        self.key, self.outcome, self.age = key, outcome, age
        self._status, self._bytes, self._is_over = status, size, True
        self._report()

    def end_part(self, part: Part) -> None:
        """The time since the last part was that of this one."""
        if not self._began_at:
            return
        began_at, self._at = self._at, perf_counter()
        self._seconds[part] = self._seconds.get(part, 0.0) + self._at - began_at

    def note(
        self,
        outcome: ResponseOutcome,
        reason: str | None = None,
        *,
        stored: bool = False,
        age: float | None = None,
        saved: float = 0.0,
    ) -> None:
        """Note what becomes of the request, as far as that is known by now."""
        self.outcome, self.reason, self.stored, self.age, self.saved = outcome, reason, stored, age, saved

    def _tell(self) -> None:
        if self._is_over:
            return
        self._is_over = True
        if self._run_began_at is not None:
            self.ended_run()
        self._count(self.plan.counts, self.outcome or 'miss')
        if self._began_at:
            self._report()

    def ended_run(self) -> None:
        """If the endpoint runs, its response is complete, or there will be none."""
        if self._run_began_at is None:
            return
        seconds = self._seconds['endpoint'] = self.endpoint_seconds = perf_counter() - self._run_began_at
        self._run_began_at = None
        if self.outcome != 'refused':
            self.plan.counts.runs += 1
            self.plan.counts.endpoint_seconds += seconds

    def _count(self, counts: Counts, outcome: ResponseOutcome) -> None:
        setattr(counts, outcome, getattr(counts, outcome) + 1)
        counts.stored += self.stored
        counts.seconds_saved += self.saved
        counts.bytes += self._bytes if outcome in FREE else 0
        if self.reason is not None:
            pair = outcome, self.reason
            if pair not in counts.reasons and len(counts.reasons) >= MAX_REASONS:
                pair = outcome, 'other'
            counts.reasons[pair] = counts.reasons.get(pair, 0) + 1

    def _report(self) -> None:
        """Give the record to the observers."""
        tell = self.plan.runtime.observers.tell
        if tell is None:
            return
        counts, seconds, key = self.plan.counts, self._seconds, self.key
        if key is not None and self.plan.hooks.key_builder is not None:  # it may hold anything
            key = digest(key)
        tell(
            Responded(
                outcome=self.outcome or 'miss',
                method=self._method,
                route=counts.route,
                endpoint=counts.endpoint,
                status=self._status,
                reason=self.reason,
                stored=self.stored,
                bytes=self._bytes,
                age=self.age,
                key=key,
                seconds=perf_counter() - self._began_at,
                look_up_seconds=seconds.get('look_up', 0.0),
                guard_seconds=seconds.get('guards', 0.0),
                endpoint_seconds=seconds.get('endpoint', 0.0),
            )
        )
