"""The observers of one cache: plain functions that get a record of everything that happens.

Does not know the records. One that raises is logged once, with its traceback, and is not called any more.
"""

import logging
import sys
from collections.abc import Callable, Iterable, Sequence
from threading import Lock
from typing import Any
from weakref import WeakSet

logger = logging.getLogger('fastapi_caching_route')


class Observers:
    """Calls all observers of a cache."""

    __slots__ = ('__weakref__', '_all', 'tell', 'tell_taken')

    def __init__(self, observers: Iterable[Callable[[Any], object]] = ()) -> None:
        """Begin with these observers."""
        self._all = tuple(observers)
        self.tell: Callable[[object], None] | None = self._tell_all if self._all else None
        """Gives a record to all of them; None if there are none: then no record needs to be made."""
        self.tell_taken: Callable[[Sequence[str]], None] | None = None
        """Is called with the names of pending invalidations that the backend has taken at last."""

    def tell_of(self, record: object) -> None:
        """Give a record to all observers, if there are any."""
        if self.tell is not None:
            self.tell(record)

    def add(self, observer: Callable[[Any], object]) -> None:
        """Call one more observer from now on."""
        self._all = (*self._all, observer)
        self.tell = self._tell_all

    def _tell_all(self, record: object) -> None:
        for observer in self._all:
            self._tell_one(observer, record)

    def _tell_one(self, observer: Callable[[Any], object], record: object) -> None:
        failed: BaseException | None = None
        try:
            observer(record)
        except (KeyboardInterrupt, SystemExit):
            raise
        # Nothing is awaited in there. So a CancelledError is the observer's own, and no task was cancelled by it: one
        # that was gets its own CancelledError where it waits next.
        except BaseException as error:  # noqa: BLE001, code of the user's
            failed = error
        if failed is not None:
            self.drop(observer)
            _cut_off(failed, sys.exc_info()[1])
            name = getattr(observer, '__qualname__', type(observer).__qualname__)
            logger.error('the observer %s raised an exception, and is not called any more', name, exc_info=failed)

    def drop(self, observer: Callable[[Any], object]) -> None:
        """Do not call this observer any more."""
        self._all = tuple(it for it in self._all if it is not observer)
        if not self._all:
            self.tell = None


def _cut_off(error: BaseException, handled: BaseException | None) -> None:
    """Forget that another exception was handled meanwhile: that one is of the request, and its text is not for the log.

    Records hold nothing secret, so neither does what an observer says of them.
    """
    at: BaseException | None = error
    while at is not None and handled is not None:
        if at.__context__ is handled:
            at.__context__ = None
        at = at.__context__


class AllObservers:
    """The observers of all caches that use one store, as long as there are these caches. Threads may share it."""

    __slots__ = ('_all', '_lock')

    def __init__(self) -> None:
        """No cache uses it yet."""
        self._all: WeakSet[Observers] = WeakSet()
        self._lock = Lock()

    def add(self, observers: Observers) -> None:
        """Tell those of one more cache."""
        with self._lock:
            self._all.add(observers)

    def tell_of(self, record: object) -> None:
        """Give a record to all of them."""
        with self._lock:
            found = [*self._all]
        for observers in found:
            observers.tell_of(record)
