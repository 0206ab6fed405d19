"""Whether a store is worth asking: after a few failures in a row it is not, but for one probe now and then.

Knows moments and failures; neither commands nor loops. Reading, writing, deleting and storing may fail each by itself: a store
without room still answers and deletes, and a replica takes nothing. One outage is told once, and so is its end.
"""

import logging
from typing import Literal

from fastapi_caching_route._backends.outage import in_words

logger = logging.getLogger('fastapi_caching_route')

Kind = Literal['reading', 'writing', 'deleting', 'storing']
"""`storing` is all that comes before an answer can be stored, which may be too slow where each command is not."""

FAILURES_TO_OPEN = 3
"""Failures in a row after which a store is not asked any more: one may be an accident."""

PROBE_SECONDS = 0.5
"""Seconds between probes: by so much a store is used again too late, and so often it is bothered while it is down."""

WARN_AGAIN_SECONDS = 60.0
"""Seconds for which failures that are not an outage yet are not told again."""


class Breaker:
    """Counts failures in a row, by kind. Several threads may use it; what they lose of a count does no harm."""

    __slots__ = ('_failures', '_probed_at', '_told', '_told_at', 'address', 'few', 'why')

    def __init__(self) -> None:
        """Nothing has failed yet."""
        self.few = FAILURES_TO_OPEN
        """Failures that are enough: no more than commands can be under way, for there may never be another one."""
        self._failures: dict[Kind, int] = {'reading': 0, 'writing': 0, 'deleting': 0, 'storing': 0}
        self.why: dict[Kind, str] = {}
        """The last failure of each kind."""
        self.address = ''
        """Where the store is, for the log."""
        self._probed_at: dict[Kind, float] = {}
        self._told = False
        self._told_at = -WARN_AGAIN_SECONDS

    def is_open(self, kind: Kind) -> bool:
        """Whether commands of this kind are not worth their time."""
        return self._failures[kind] >= self.few

    def all_open(self) -> list[Kind]:
        """The kinds of commands that are not worth their time."""
        return [kind for kind, failures in self._failures.items() if failures >= self.few]

    def takes_probe(self, kind: Kind, now: float) -> bool:
        """Whether it is time to try one again; who is told so is the one to do it."""
        if now - self._probed_at.get(kind, -PROBE_SECONDS) < PROBE_SECONDS:
            return False
        self._probed_at[kind] = now
        return True

    def failed(self, kind: Kind, error: BaseException, now: float) -> None:
        """A command has failed, or has not been answered in time."""
        self._failures[kind] += 1
        self.why[kind] = said = in_words(error)
        if self._failures[kind] == self.few:
            self._probed_at[kind] = now
        if not self._told and (self.is_open(kind) or now - self._told_at >= WARN_AGAIN_SECONDS):
            at = f' at {self.address}' if self.address else ''
            logger.warning('the cache backend%s is in trouble, endpoints answer without it: %s', at, said)
            self._told, self._told_at = True, now
        else:
            logger.debug('%s failed: %s', kind, said)

    def worked(self, kind: Kind) -> None:
        """A command has been answered in time."""
        if not self._failures[kind]:
            return
        self._failures[kind] = 0
        if self._told and not self.all_open():
            logger.info('the cache backend works again')
            self._told = False
