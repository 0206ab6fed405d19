"""Path parameters as a route validates them, so that `/users/07` and `/users/7` are one user."""

from collections.abc import Mapping
from datetime import datetime, timezone
from decimal import Decimal
from enum import Enum
from typing import Any

from fastapi.dependencies.utils import request_params_to_args

from fastapi_caching_route._fastapi.effective import tree
from fastapi_caching_route.errors import ConfigurationError


class PathParameters:
    """The path parameters of one effective route."""

    __slots__ = ('_fields', 'declared', 'names')

    def __init__(self, effective: Any) -> None:
        """Take what endpoint and dependencies declare of them; of several declarations, the outermost counts."""
        self.names: frozenset[str] = frozenset(effective.param_convertors)
        self._fields: dict[str, Any] = {}
        self.declared: set[str] = set()
        """Parameters of any kind: one of the query may come to stand in the path by the prefix of an include."""
        for node in tree(effective.dependant, {}):
            for field in node.path_params:
                self._fields.setdefault(field.alias, field)
            self.declared.update(it.alias for it in (*node.path_params, *node.query_params))

    @property
    def known(self) -> set[str]:
        """All that may be a path parameter, here or with the prefix of an include."""
        return {*self.names, *self.declared}

    def values(self, received: Mapping[str, Any]) -> dict[str, str]:
        """The parameters of a request after validation, as text; as they came where they are not valid."""
        found = {}
        for name in self.names & received.keys():
            value, _ = self._validated(name, received[name])
            found[name] = text_of(value, received[name])
        return found

    def checked(self, given: Mapping[str, object]) -> dict[str, str]:
        """The same for values that user code gives.

        Raises:
            ConfigurationError: one is not valid; the message says why.

        """
        found = {}
        for name, value in given.items():
            validated, errors = self._validated(name, value)
            if errors:
                msg = f'{value!r} is not a valid {name}: {errors[0]["msg"]}'
                raise ConfigurationError(msg)
            found[name] = text_of(validated, value)
        return found

    def _validated(self, name: str, value: object) -> tuple[Any, list[Any]]:
        field = self._fields.get(name)
        if field is None:
            return value, []
        try:
            values, errors = request_params_to_args([field], {name: value})  # type: ignore[arg-type, unused-ignore]
        except Exception as error:  # noqa: BLE001, a validator of the user's: it raises again in the route, in its turn
            return value, [{'msg': str(error)}]
        return (value if errors else values[field.name]), errors


def text_of(value: Any, received: object) -> str:
    """One text for equal values, as far as that can be told; for those that have none, what was received."""
    match value:
        case Enum():
            return text_of(value.value, received)
        case float():
            return repr(value + 0.0)  # so that there is one nought
        case Decimal() if value.is_finite():
            return str(value.normalize())
        case datetime() if value.tzinfo is not None:
            return value.astimezone(timezone.utc).isoformat()
        case _:
            return str(received) if object.__repr__ in _own_texts(value) else str(value)


def _own_texts(value: object) -> tuple[Any, ...]:
    """How the value is written: by `__str__` or, where it has none of its own, by `__repr__`."""
    of_type = type(value)
    return (of_type.__repr__,) if of_type.__str__ is object.__str__ else (of_type.__str__,)
