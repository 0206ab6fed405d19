"""Things of one name, told apart alike in every process. Does not know what they are for."""

from collections.abc import Callable, Hashable
from secrets import token_hex
from types import FunctionType, MethodType
from typing import Any

from fastapi_caching_route._fastapi.endpoints import layers, name_of


class Namesakes:
    """Numbers things that have one name: the first is 0."""

    __slots__ = ('_alike', '_counted', 'token')

    def __init__(self) -> None:
        """Know nothing yet."""
        self._alike: dict[Hashable, list[tuple[object, ...]]] = {}
        self._counted: tuple[object, int] = (None, 0)
        self.token: str = token_hex(8)
        """By which nobody else shares."""

    def of_endpoint(self, endpoint: Callable[..., Any]) -> int:
        """Which one this is among the endpoints of one name that answer differently by what they hold.

        Closures and bound methods are counted in the order in which they are decorated or routed, which is the same in
        every process of an app. Of a plain function there is one.
        """
        *_, endpoint = layers(endpoint)
        if isinstance(endpoint, FunctionType) and endpoint.__closure__ is None:
            return 0
        return self.number(name_of(endpoint), (endpoint,))

    def number(self, name: Hashable, objects: tuple[object, ...]) -> int:
        """Which one this is among the things of one name that are made of different objects; new ones are counted on."""
        alike = self._alike.setdefault(name, [])
        known = next((at for at, others in enumerate(alike) if _are_same(others, objects)), None)
        if known is None:
            alike.append(objects)
        return len(alike) - 1 if known is None else known

    def begin_count(self, app: object, routes: int) -> bool:
        """Note that an app of so many routes is counted through; False if it is the one that was last: to do it for each request is slow."""
        if not routes or (self._counted[0] is app and self._counted[1] == routes):
            return False
        self._counted = (app, routes)
        return True

    def knows(self, name: Hashable, objects: tuple[object, ...]) -> bool:
        """Whether these have been numbered."""
        return any(_are_same(others, objects) for others in self._alike.get(name, ()))


def _are_same(some: tuple[object, ...], others: tuple[object, ...]) -> bool:
    return len(some) == len(others) and all(map(_same, some, others))


def _same(one: object, other: object) -> bool:
    """Whether two are one object; a bound method is made anew at each access, but equals itself."""
    return one is other or (isinstance(one, MethodType) and isinstance(other, MethodType) and one == other)
