"""Path parameters as a route validates them, so that `/users/07` and `/users/7` name the same user."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timezone
from decimal import Decimal
from enum import Enum
from typing import Any

from fastapi.dependencies.utils import request_params_to_args
from pydantic import BaseModel
from starlette.datastructures import QueryParams

from fastapi_caching_route._fastapi.effective import tree
from fastapi_caching_route.errors import ConfigurationError


class PathParameters:
    """The path parameters of one effective route."""

    __slots__ = ('_fields', '_models', '_queries', 'declared', 'names')

    def __init__(self, effective: Any) -> None:
        """Collect the declarations of the endpoint and its dependencies; of each name, the outermost one."""
        self.names: frozenset[str] = frozenset(effective.param_convertors)
        self._fields: dict[str, Any] = {}
        self._queries: dict[str, Any] = {}
        self._models: set[str] = set()
        """Those of them that are models: FastAPI makes parameters of their fields."""
        self.declared: set[str] = set()
        """Path and query parameters: the prefix of an include can turn a query parameter into a path parameter."""
        for node in tree(effective.dependant, {}):
            for field in node.path_params:
                self._fields.setdefault(field.alias, field)
                if _is_model(field.field_info.annotation):
                    self._models.add(field.alias)
            for field in node.query_params:
                self._queries.setdefault(field.alias, field)
            self.declared.update(it.alias for it in (*node.path_params, *node.query_params))

    @property
    def query_names(self) -> set[str]:
        """The query parameters."""
        return set(self._queries)

    @property
    def known(self) -> set[str]:
        """All names that may be path parameters, here or with the prefix of an include."""
        return {*self.names, *self.declared}

    def values(self, received: Mapping[str, Any]) -> dict[str, str]:
        """The parameters of a request after validation, as text; invalid ones as they were received."""
        found = {}
        for name in self.names & received.keys():
            value, _ = self._validated(name, received[name])
            found[name] = text_of(value, received[name])
        return found

    def of_request(self, scope: Mapping[str, Any], named: Iterable[str]) -> dict[str, str]:
        """The path parameters of a request, and those of its query parameters that are named."""
        read = self.query_values(named)
        return {**({} if read is None else read(scope)), **self.values(scope.get('path_params', {}))}

    def query_values(self, named: Iterable[str]) -> Callable[[Mapping[str, Any]], dict[str, str]] | None:
        """A function of a scope that returns these query parameters after validation, as text; None if there are none.

        An invalid one is as it was received: its response is a 422.
        """
        fields = {it: self._queries[it] for it in named if it in self._queries and it not in self.names}
        if not fields:
            return None

        def read(scope: Mapping[str, Any]) -> dict[str, str]:
            received = QueryParams(scope['query_string'])
            return {
                name: text_of(_validated_of(field, received.get(name), received)[0], name)
                for name, field in fields.items()
            }

        return read

    def checked(self, given: Mapping[str, object]) -> dict[str, str]:
        """The same for values from user code.

        Raises:
            ConfigurationError: a value is not valid; the message says why.

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
        # What FastAPI does then, and far cheaper.
        is_direct = name not in self._models and value is not None
        return _validated_of(field, value, None if is_direct else {name: value})


def _validated_of(field: Any, value: object, received: Any) -> tuple[Any, list[Any]]:
    """The value of a field after validation: of what was received or, without that, of the value itself."""
    try:
        if received is None:
            validated, wrong = field.validate(value, {}, loc=('path', field.alias))
            return (value, wrong if isinstance(wrong, list) else [wrong]) if wrong else (validated, [])
        values, errors = request_params_to_args([field], received)
    except Exception as error:  # noqa: BLE001, the user's validator may raise: it raises again in the route
        return value, [{'msg': str(error)}]
    return (value if errors else values[field.name]), errors


def _is_model(annotation: object) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def text_of(value: Any, received: object) -> str:
    """The same text for equal values, as far as possible; `received` for values without a text of their own."""
    match value:
        case Enum():
            return text_of(value.value, received)
        case float():
            return repr(value + 0.0)  # -0.0 becomes 0.0
        case Decimal() if value.is_finite():
            return str(value.normalize())
        case datetime() if value.tzinfo is not None:
            return value.astimezone(timezone.utc).isoformat()
        case _:
            return str(received) if object.__repr__ in _own_texts(value) else str(value)


def _own_texts(value: object) -> tuple[Any, ...]:
    """The method that makes the text of a value: its `__str__`, or its `__repr__` if it has no `__str__` of its own."""
    of_type = type(value)
    return (of_type.__repr__,) if of_type.__str__ is object.__str__ else (of_type.__str__,)
