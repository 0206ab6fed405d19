"""What the lifespan of an app leaves in the state of each request: database pools, clients, models. Pure.

It is the same for all requests, so it tells nothing of a client. But middleware may put another object in its place for
some of them. So it is known by its name and its identity, and a request that has another object there differs.
"""

from typing import Any

from fastapi_caching_route._core.asgi import Parts

OF_THE_LIFESPAN: Parts = (('lifespan',),)
"""Stands for such an object as a part of a key. No plain value is equal to it."""


class LifespanState:
    """The objects that the lifespan of the app has yielded last, by their names."""

    __slots__ = ('_objects',)

    def __init__(self) -> None:
        """Nothing has been yielded."""
        self._objects: dict[str, Any] = {}

    def note(self, objects: dict[str, Any]) -> None:
        """These were yielded."""
        self._objects.update(objects)

    def includes(self, name: str, value: object) -> bool:
        """Whether this very object was yielded under this name."""
        return name in self._objects and self._objects[name] is value
