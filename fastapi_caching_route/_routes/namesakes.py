"""Numbers for objects with equal names, the same in every process. Does not know what the numbers are for."""

from collections.abc import Callable, Hashable
from secrets import token_hex
from types import FunctionType, MethodType
from typing import Any

from fastapi_caching_route._fastapi.endpoints import layers, name_of


class Namesakes:
    """Numbers the objects that have the same name, beginning with 0."""

    __slots__ = ('_alike', '_counted', 'token')

    def __init__(self) -> None:
        """Start without any numbers."""
        self._alike: dict[Hashable, list[tuple[object, ...]]] = {}
        self._counted: tuple[object, int] = (None, 0)
        self.token: str = token_hex(8)
        """A random text. No other cache or process shares an entry if the cache key contains it."""

    def of_endpoint(self, endpoint: Callable[..., Any]) -> int:
        """The number of this endpoint among endpoints that have the same name, but hold different objects.

        Closures and bound methods are numbered in the order in which they are decorated or routed, which is the same in
        every process of an app. A plain function always has the number 0.
        """
        *_, endpoint = layers(endpoint)
        if isinstance(endpoint, FunctionType) and endpoint.__closure__ is None:
            return 0
        return self.number(name_of(endpoint), (endpoint,))

    def number(self, name: Hashable, objects: tuple[object, ...]) -> int:
        """The number of these objects under this name. New objects get the next number."""
        alike = self._alike.setdefault(name, [])
        known = next((at for at, others in enumerate(alike) if _are_same(others, objects)), None)
        if known is None:
            alike.append(objects)
        return len(alike) - 1 if known is None else known

    def begin_count(self, app: object, routes: int) -> bool:
        """Note that the routes of this app are numbered now. Return False if they were already numbered.

        Numbering them again for each request would be slow.
        """
        if not routes or (self._counted[0] is app and self._counted[1] == routes):
            return False
        self._counted = (app, routes)
        return True

    def knows(self, name: Hashable, objects: tuple[object, ...]) -> bool:
        """Whether these objects have a number under this name."""
        return any(_are_same(others, objects) for others in self._alike.get(name, ()))


def _are_same(some: tuple[object, ...], others: tuple[object, ...]) -> bool:
    return len(some) == len(others) and all(map(_same, some, others))


def _same(one: object, other: object) -> bool:
    """Whether two objects are the same one. Each access to a bound method creates an object, but these are equal."""
    return one is other or (isinstance(one, MethodType) and isinstance(other, MethodType) and one == other)
