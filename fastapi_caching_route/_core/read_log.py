"""A log of everything that code has read of one raw request while a response was made. Pure."""

from collections.abc import Collection, Iterable
from typing import Any

from msgspec import Struct, field

from fastapi_caching_route._core.asgi import Parts
from fastapi_caching_route._core.raw_request import NOT_PLAIN, RawRequest
from fastapi_caching_route._core.read_names import AUTH, EVERYTHING, SESSION, STATE, USER, is_personal


class ReadLog(Struct, eq=False):
    """The names of what was read of one request; several threads may note at the same time."""

    began: RawRequest
    """The request as it is before the route reads or changes it."""
    noted: dict[str, object] = field(default_factory=dict)
    """The names of what was read until now, each with its value if code may change that later, else None."""
    handed: list[tuple[Any, Any]] = field(default_factory=list)
    """The requests of this run, each with the one that notes what is read of it."""
    is_open: bool = False
    """Whether code has the request, or sends the response itself: it may read more after the head of the response."""
    is_quiet: bool = False
    """Whether what is read now does not count."""
    is_personal: bool = True
    """Whether what names a person counts now."""

    def note(self, name: str) -> None:
        """Note that something is read. Its value is found now if code may change it later."""
        if self.is_quiet or name in self.noted or not (self.is_personal or not is_personal(name)):
            return
        value = None
        if name.startswith(_CHANGEABLE):
            values = self.began.values((name,))
            value = NOT_PLAIN if values is None else values[0]
        self.noted[name] = value

    def values(self, names: Collection[str]) -> Parts | None:
        """The values of these names in this run; None if there is one that cannot be compared."""
        given = self.noted.copy()
        return self.began.values(names, {name: value for name, value in given.items() if value is not None})

    def incomparable(self, names: Iterable[str]) -> list[str]:
        """Those of these names whose values cannot be compared."""
        return [it for it in self.began.parts(names) if self.values((it,)) is None]


_CHANGEABLE = (SESSION, USER, AUTH, STATE, 'scope:', EVERYTHING)
