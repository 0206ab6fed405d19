"""The observers of one cache: plain functions that get a record of everything that happens.

Does not know the records. One that raises is logged once, with its traceback, and is not called any more.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any

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
        try:
            observer(record)
        except Exception:
            self.drop(observer)
            name = getattr(observer, '__qualname__', type(observer).__qualname__)
            logger.exception('the observer %s raised an exception, and is not called any more', name)

    def drop(self, observer: Callable[[Any], object]) -> None:
        """Do not call this observer any more."""
        self._all = tuple(it for it in self._all if it is not observer)
        if not self._all:
            self.tell = None
