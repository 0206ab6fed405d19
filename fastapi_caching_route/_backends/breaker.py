"""A circuit breaker: after a few failures in a row, the backend is not asked any more, except for a probe now and then.

Knows times and failures; knows neither commands nor event loops. Reading, writing, deleting, following a journal and
storing are counted apart, because each can fail alone: a full Redis still reads and deletes, a replica takes no writes,
and a user may lack the permission for scripts. The log has one line for an outage and one for its end.
"""

import logging
from time import monotonic
from typing import Literal, get_args

from fastapi_caching_route._backends.outage import in_words
from fastapi_caching_route._concurrency.observers import Observers
from fastapi_caching_route.events import StoreFailed, StoreRecovered

logger = logging.getLogger('fastapi_caching_route')

Kind = Literal['reading', 'writing', 'deleting', 'following', 'storing']
"""`following` means to read a journal or to append to it. `storing` means all the commands before a response can be
stored: together they may be too slow, each alone fast enough."""

FAILURES_TO_OPEN = 3
"""How many failures in a row open the breaker: a single one may be an accident."""

PROBE_SECONDS = 0.5
"""How often a probe is sent. The end of an outage is noticed at most this much late."""

WARN_AGAIN_SECONDS = 60.0
"""How long failures that do not open the breaker are not logged again."""


SMOOTHED_OVER = 20
"""Over about how many commands their time is averaged."""


class Breaker:
    """Counts failures in a row, by kind. Threads may share it: a lost update of a count does no harm."""

    __slots__ = (
        *('_failing', '_failures', '_probed_at', '_told', '_told_at', 'address', 'effect', 'failed_at', 'few'),
        *('last_error', 'observers', 'seconds', 'why'),
    )

    def __init__(self) -> None:
        """No failures yet."""
        self.observers: Observers = Observers()
        """They get a record of each outage, and of its end."""
        self.failed_at: float | None = None
        """When the outage began of which the log has told; None if there is none."""
        self.effect = 'requests are answered without it'
        """What an outage means, for the log."""
        self.few = FAILURES_TO_OPEN
        """How many failures open it: no more than the commands that can be under way, since all of those may hang."""
        self._failures: dict[Kind, int] = dict.fromkeys(get_args(Kind), 0)
        self._failing: set[Kind] = set()
        self.why: dict[Kind, str] = {}
        """The last error of each kind, as text."""
        self.last_error: str | None = None
        """The last error of all, as text."""
        self.seconds: dict[Kind, float] = {}
        """How long commands of each kind took lately."""
        self.address = ''
        """Where the backend is, for the log."""
        self._probed_at: dict[Kind, float] = {}
        self._told = False
        self._told_at = -WARN_AGAIN_SECONDS

    @property
    def has_failures(self) -> bool:
        """Whether a command has failed since the last one of its kind that was answered."""
        return bool(self._failing)

    def is_open(self, kind: Kind) -> bool:
        """Whether commands of this kind must not be sent."""
        return self._failures[kind] >= self.few

    def all_open(self) -> list[Kind]:
        """The kinds of commands that must not be sent."""
        return [kind for kind, failures in self._failures.items() if failures >= self.few]

    def takes_probe(self, kind: Kind, now: float) -> bool:
        """Whether a probe is due. The caller that gets True must send it."""
        if now - self._probed_at.get(kind, -PROBE_SECONDS) < PROBE_SECONDS:
            return False
        self._probed_at[kind] = now
        return True

    def failed(self, kind: Kind, error: BaseException, now: float) -> None:
        """Count a command that failed or timed out."""
        self._failures[kind] += 1
        self._failing.add(kind)
        self.why[kind] = self.last_error = said = in_words(error)
        if self._failures[kind] == self.few:
            self._probed_at[kind] = now
        if not self._told and (self.is_open(kind) or now - self._told_at >= WARN_AGAIN_SECONDS):
            at = f' at {self.address}' if self.address else ''
            logger.warning('the cache backend%s is failing, %s: %s', at, self.effect, said)
            self._told, self._told_at, self.failed_at = True, now, monotonic()
            if self.observers.tell is not None:
                self.observers.tell(StoreFailed(address=self.address, error=said))
        else:
            logger.debug('%s failed: %s', kind, said)

    def worked(self, kind: Kind, seconds: float | None = None) -> None:
        """Note that a command was answered in time, and how long that took."""
        if seconds is not None:
            usual = self.seconds.get(kind, seconds)
            self.seconds[kind] = usual + (seconds - usual) / SMOOTHED_OVER
        if not self._failures[kind]:
            return
        self._failures[kind] = 0
        self._failing.discard(kind)
        if self._told and not self.all_open():
            logger.info('the cache backend%s works again', f' at {self.address}' if self.address else '')
            self._told = False
            self._tell_recovered()

    def _tell_recovered(self) -> None:
        began_at, self.failed_at = self.failed_at, None
        if self.observers.tell is not None and began_at is not None:
            self.observers.tell(StoreRecovered(address=self.address, seconds=monotonic() - began_at))
