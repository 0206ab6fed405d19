"""Tells apart the apps that serve the routes of one cache, because their responses may differ by `request.app`.

Does not know what a cache key is.
"""

import os
import threading
import weakref
from contextlib import suppress
from dataclasses import dataclass, field
from secrets import token_hex
from typing import Any, Protocol

from starlette.applications import Starlette

from fastapi_caching_route._core.asgi import Parts
from fastapi_caching_route._fastapi.effective import qualified
from fastapi_caching_route._fastapi.likeness import are_alike
from fastapi_caching_route._fastapi.serving import app_of, way_to

MAX_COMPARED = 8
"""An app is compared with so many others at most. It counts as different from those before them."""

UNNAMED = (
    'several apps of this process have the title %r and serve this route at one place, so other processes do not share '
    'their entries; give each app a title of its own'
)


class KnowsApps(Protocol):
    """A route that remembers how its apps were identified."""

    def forget(self) -> None:
        """Identify them again at the next request."""


@dataclass(frozen=True, slots=True, eq=False)
class _Served:
    app: 'weakref.ref[Any]'
    number: int


@dataclass(slots=True)
class _Namesakes:
    """The apps of one description that this process has served."""

    known: dict[int, _Served] = field(default_factory=dict)
    """All that are alive, by id."""
    latest: list[_Served] = field(default_factory=list)
    numbers: int = 0
    """How many differ. Numbers of apps that are gone are not used again."""
    used_by: 'weakref.WeakSet[KnowsApps]' = field(default_factory=weakref.WeakSet)
    """The routes of the only app. Other processes may see their entries."""

    def number(self, app: Any) -> int | None:
        known = self.known.get(id(app))
        return known.number if known is not None and known.app() is app else None

    def living(self) -> list[_Served]:
        return [it for it in self.latest if it.app() is not None]

    def add(self, app: Any, number: int | None) -> int:
        """Add an app that is alike to those of this number, or to none."""
        if number is None:
            number = self.numbers = self.numbers + 1
        known, at = self.known, id(app)
        served = known[at] = _Served(weakref.ref(app, lambda _: known.pop(at, None)), number)
        self.latest = [*self.living(), served][-MAX_COMPARED:]
        return number


class Apps:
    """Identifies apps by their mounts, hosts and titles, which are equal in every process that runs the same code.

    Where these are equal for several apps of a process which are not alike in all that they hold, the apps are numbered
    as requests reach them. Another process may number them differently, so none of them shares entries with another
    process.
    """

    __slots__ = ('_lock', '_namesakes', '_token')

    def __init__(self) -> None:
        """Start without apps."""
        self._lock = threading.Lock()
        self._namesakes: dict[Parts, _Namesakes] = {}
        self._token: str = token_hex(8)

    def identity(self, app: Any, outermost: Any, route: KnowsApps, *, is_shared: bool) -> Parts:
        """What identifies an app inside the outermost app, for a route that forgets it when it is told to.

        `is_shared` says whether other processes may see the entries. If not, the numbers are enough.
        """
        if not isinstance(app, Starlette):
            return ()
        described = _described(app, outermost)
        compared: list[_Served] = []
        alike: int | None = None
        while True:
            with self._lock:
                namesakes = self._namesakes.setdefault(described, _Namesakes())
                number = namesakes.number(app)
                known = [] if number is not None or alike is not None else namesakes.living()
                others = [it for it in known if it not in compared]
                if not others:
                    number = number or namesakes.add(app, alike)
                    return self._identified(described, namesakes, number, route if is_shared else None)
            compared += others
            # Outside of the lock, because this runs code of the apps. Those that come meanwhile are compared then.
            alike = next((it.number for it in reversed(others) if _are_alike(app, it.app())), None)

    def _identified(self, described: Parts, namesakes: _Namesakes, number: int, route: KnowsApps | None) -> Parts:
        """`route` is None if no other process sees the entries."""
        if route is None:
            return described if number == 1 else (*described, number)
        if namesakes.numbers == 1:
            namesakes.used_by.add(route)
            return described
        for known in namesakes.used_by:
            known.forget()
        namesakes.used_by.clear()
        return (*described, number, os.getpid(), self._token)


def _described(app: Any, outermost: Any) -> Parts:
    """The place of an app, and the titles of the apps around it and of itself."""
    place, around = '', (outermost,)
    with suppress(Exception):  # unusual mounted objects must not break a request
        place, around = way_to(app, outermost)
    outside = [it for it in map(app_of, around) if it is not app]
    return place, tuple(getattr(it, 'title', None) or qualified(type(it)) for it in (*outside, app))


def _are_alike(one: Any, other: Any) -> bool:
    with suppress(Exception):  # unusual mounted objects must not break a request
        return are_alike(one, other)
    return False


def doubt_of(identity: Parts) -> str | None:
    """A warning about an app that is identified in this process only, with the remedy; None about any other."""
    if len(identity) <= len(('place', 'titles', 'number')):
        return None
    titles: Any = identity[1]
    return UNNAMED % (titles[-1],)
