"""Tells apart the apps that serve the routes of one cache, because their responses may differ by `request.app`.

Does not know what a cache key is.
"""

import os
import weakref
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from secrets import token_hex
from typing import Any, Protocol

from starlette.applications import Starlette

from fastapi_caching_route._core.asgi import Parts
from fastapi_caching_route._fastapi.effective import qualified
from fastapi_caching_route._fastapi.rivals import are_alike, has_rival
from fastapi_caching_route._fastapi.serving import place_of

UNNAMED = (
    'several apps of this process have the title %r and serve this route at one place, so other processes do not share '
    'their entries; give each app a title of its own'
)


class KnowsApps(Protocol):
    """A route that remembers how its apps were identified."""

    def is_cached(self, route: Any) -> bool:
        """Whether a route of an app is cached."""

    def forget(self) -> None:
        """Identify them again at the next request."""


class Apps:
    """Identifies apps by their mounts, hosts and titles, which are equal in every process that runs the same code.

    Where these are equal for several apps of a process which are not alike in all that they hold, the apps are numbered
    as requests reach them. Another process may number them differently, so none of them shares entries with another
    process.
    """

    __slots__ = ('_known', '_numbered', '_token', '_used_by')

    def __init__(self) -> None:
        """Start without apps."""
        self._known: weakref.WeakKeyDictionary[Any, dict[Parts, int]] = weakref.WeakKeyDictionary()
        self._used_by: weakref.WeakKeyDictionary[Any, weakref.WeakSet[KnowsApps]] = weakref.WeakKeyDictionary()
        self._numbered: Counter[Parts] = Counter()
        self._token: str = token_hex(8)

    def identity(self, app: Any, outermost: Any, route: KnowsApps, *, is_shared: bool) -> Parts:
        """What identifies an app inside the outermost app, for a route that forgets it when it is told to.

        `is_shared` says whether other processes may see the entries. If not, the numbers are enough.
        """
        if not isinstance(app, Starlette) or type(app).__hash__ is None:
            return ()
        described: Parts = (_place_of(app, outermost), getattr(app, 'title', None) or qualified(type(app)))
        number = self._number(app, described, outermost, route if is_shared else None)
        self._used_by.setdefault(app, weakref.WeakSet()).add(route)
        if not is_shared:
            return described if number == 1 else (*described, number)
        return described if self._numbered[described] == 1 else (*described, number, os.getpid(), self._token)

    def _number(self, app: Any, described: Parts, outermost: Any, route: KnowsApps | None) -> int:
        """The number of an app among those of one description. Numbers of apps that are gone are not used again.

        `route` is None if no other process sees the entries.
        """
        numbers = self._known.setdefault(app, {})
        if described not in numbers:
            others = [it for it, known in self._known.items() if described in known]
            alike = next((it for it in others if _are_alike(app, it)), None)
            if alike is not None:
                numbers[described] = self._known[alike][described]
                return numbers[described]
            for known in [known for it in others if route is not None for known in self._used_by.get(it, ())]:
                known.forget()
            # A rival makes it one of several, even if no request has reached the rival yet.
            is_alone = route is None or described[0] or not _has_rival(app, outermost, route.is_cached)
            self._numbered[described] += 1 if is_alone else 2
            numbers[described] = self._numbered[described]
        return numbers[described]


def _place_of(app: Any, outermost: Any) -> str:
    with suppress(Exception):  # unusual mounted objects must not break a request
        return place_of(app, outermost)
    return ''


def _are_alike(one: Any, other: Any) -> bool:
    with suppress(Exception):  # unusual mounted objects must not break a request
        return are_alike(one, other)
    return False


def _has_rival(app: Any, outermost: Any, is_cached: Callable[[Any], bool]) -> bool:
    with suppress(Exception):  # unusual mounted objects must not break a request
        return has_rival(app, outermost, is_cached)
    return False


def doubt_of(identity: Parts) -> str | None:
    """A warning about an app that is identified in this process only, with the remedy; None about any other."""
    return UNNAMED % (identity[1],) if len(identity) > len(('place', 'title', 'number')) else None
