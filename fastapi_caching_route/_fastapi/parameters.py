"""Declared query, header and cookie parameters, read from a request as FastAPI reads them."""

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from fastapi.dependencies.utils import request_params_to_args
from pydantic import AliasChoices, BaseModel, RootModel
from starlette.datastructures import Headers, QueryParams

from fastapi_caching_route._core.asgi import Parts
from fastapi_caching_route._fastapi.effective import qualified
from fastapi_caching_route._fastapi.plain import distinguishing, has_order, is_no_text, is_plain
from fastapi_caching_route._fastapi.plain import equal as equal_parts
from fastapi_caching_route._http.fields import without

_PURE_FACTORIES = (list, dict, set, tuple, frozenset, str, int, float, bool)
"""Default factories that return an equal value each time."""


class Parameters:
    """The declared parameters of one place in the request: query, header or cookie."""

    __slots__ = ('_apart', '_parameters', '_whole', 'field_names', 'fingerprint')

    def __init__(self, place: str, fields: list[Any], apart: Collection[str] = (), *, equal: bool = False) -> None:
        """`apart` names headers that are not in the key: they are ignored even if they are declared here.

        `equal`: sets that are equal in any order, and instants in any time zone, read the same.
        """
        self._apart = frozenset(name.encode('latin-1') for name in apart)
        found = [parameter for field in fields for parameter in _parameters(place, field, equal=equal)]
        self._parameters = [less for parameter in found if (less := parameter.less(apart)) is not None]
        # A model that allows undeclared parameters, or that sees all of them, reads the whole place.
        self._whole = any(parameter.names is None for parameter in self._parameters)
        names = [name for it in self._parameters for name in it.display_names] if place == 'header' else ()
        self.field_names = tuple(dict.fromkeys(name.encode('latin-1') for name in names))
        self.fingerprint = tuple((parameter.names, parameter.kind) for parameter in self._parameters)

    def __bool__(self) -> bool:
        return bool(self._parameters)

    @property
    def in_words(self) -> tuple[str, ...]:
        """Their names in words; `*` for a parameter that may have any name."""
        names = ['*' if it.names is None else (it.display_names or ('',))[0] for it in self._parameters]
        return tuple(dict.fromkeys(name for name in names if name))

    @property
    def is_whole(self) -> bool:
        """Whether the whole place is in the key, even undeclared parameters."""
        return self._whole

    @property
    def has_texts(self) -> bool:
        """Whether one of them may be any text."""
        return self._whole or any(it.is_text for it in self._parameters)

    @property
    def received_names(self) -> frozenset[bytes]:
        """All names that they may have as headers of a request, unless `is_whole`."""
        return frozenset(name.encode('latin-1') for it in self._parameters for name in it.names or ())

    def may_read(self, name: str) -> bool:
        """Whether one of the parameters may have this name in a request."""
        return self._whole or any(name in (parameter.names or ()) for parameter in self._parameters)

    def read(self, received: Any) -> Parts:
        """The received values of each parameter. Values that code cannot distinguish read the same.

        So does a default that is passed and an omitted parameter, or `1` and `true` for a bool.
        """
        if self._apart:
            received = Headers(raw=without(received.raw, self._apart))
        if self._whole:
            return ('whole', tuple(_all_items(received)))
        return tuple(parameter.read(received) for parameter in self._parameters)


@dataclass(frozen=True, slots=True)
class _Parameter:
    """One declared parameter, or one field of a parameter model."""

    names: tuple[str, ...] | None
    """The names that it may have in a request; None if that is unknown."""
    display_names: tuple[str, ...]
    """The names for Vary and for descriptions."""
    kind: str
    value: Callable[[Any], Parts | None] | None
    """Returns the value of the parameter as received, in parts that are equal only for values that no code can
    distinguish, and empty for that of an omitted one. None if that cannot be said."""
    is_text: bool
    """Whether it may be any text, and not only a number, a time, or one of some choices."""

    def less(self, apart: Collection[str]) -> '_Parameter | None':
        """The parameter without some of its names; None if no other is left."""
        if self.names is None or not any(name in apart for name in self.names):
            return self
        names = tuple(name for name in self.names if name not in apart)
        display_names = tuple(name for name in self.display_names if name not in apart)
        return replace(self, names=names, display_names=display_names) if names else None

    def read(self, received: Any) -> Parts:
        given = tuple((name, _values(received, name)) for name in self.names or () if name in received)
        value = self.value(received) if given and self.value is not None else None
        return given if value is None else value


def _parameters(place: str, field: Any, *, equal: bool) -> Iterator[_Parameter]:
    """A field as FastAPI reads it: itself and, for a parameter model, each of the model's fields.

    A model knows which of its fields were passed (`model_fields_set`). So for a model, passing a default differs from
    omitting it. Its own name is in the key too: FastAPI reads `Json[Model]` by its name and, in older releases, a model
    beside other parameters.
    """
    info, model = field.field_info, _model(field.field_info.annotation)
    names = _names(place, field.name, info)
    if model is None:
        is_text = not is_no_text(info.annotation)
        yield _Parameter(names, names or (), _kind(info), _reader(field, equal=equal), is_text)
        return
    yield _Parameter(names, (), _kind(info), None, is_text=False)
    if info.metadata or _sees_all(model):
        yield _Parameter(None, (), model.__qualname__, None, is_text=True)
    for name, each in model.model_fields.items():
        names = _names(place, name, each)
        display_names = tuple(it.replace('_', '-') if it == name else it for it in names or ())
        by_name = (name.lower(), name.lower().replace('_', '-')) if place == 'header' else (name,)
        all_names = None if names is None else _distinct((*names, *display_names, *by_name))
        yield _Parameter(all_names, display_names, _kind(each), None, not is_no_text(each.annotation))


def _model(annotation: Any) -> type[BaseModel] | None:
    """The parameter model among the types of an annotation, if there is one."""
    candidates = (annotation, *getattr(annotation, '__args__', ()))
    return next((it for it in candidates if isinstance(it, type) and issubclass(it, BaseModel)), None)


def _sees_all(model: type[BaseModel]) -> bool:
    """Whether parameters that the model does not declare can affect it."""
    return (
        model.model_config.get('extra') in {'allow', 'forbid'}
        or issubclass(model, RootModel)
        or any(validator.info.mode != 'after' for validator in model.__pydantic_decorators__.model_validators.values())
        or model.__init__ is not BaseModel.__init__
        or getattr(model.__get_pydantic_core_schema__, '__func__', None)
        is not getattr(BaseModel.__get_pydantic_core_schema__, '__func__', None)
    )


def _names(place: str, name: str, info: Any) -> tuple[str, ...] | None:
    """The names under which FastAPI may look for a parameter, in this or an older release; None if they are unknown."""
    choices = info.validation_alias
    given = choices.choices if isinstance(choices, AliasChoices) else [choices]
    if not all(isinstance(choice, str | None) for choice in given):
        return None  # an AliasPath reads inside of values
    names = [choice for choice in (info.alias, *given) if choice] or [name]
    if place == 'header':
        # If an alias is the parameter's own name, some releases use it unchanged, and others with dashes.
        names = [it.lower() for one in names for it in ((one, one.replace('_', '-')) if one == name else (one,))]
    return _distinct(names)


def _distinct(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


def _kind(info: Any) -> str:
    return f'{qualified(info.annotation)} = {qualified(info.default)}'


def _reader(field: Any, *, equal: bool) -> Callable[[Any], Parts | None] | None:
    """A function that returns the value of received texts in parts, and () for that of an omitted field.

    Parts are equal only for values that no code can distinguish or, with `equal`, for equal ones. It returns None if
    that cannot be said: the texts are not valid, or their value is a set, whose order code can see. FastAPI validates.
    Only plain types have this function: user code must not run for a key, and values of other types may be equal and
    still behave differently (`ByteSize(1000)` and 1000).
    """
    if not is_plain(field.field_info.annotation) or runs_user_code(field):
        return None
    default = _omitted(field)

    def read(received: Any) -> Parts | None:
        try:
            values, errors = request_params_to_args([field], received)
        except Exception:  # noqa: BLE001, the user's enum may raise: it raises again in the route
            return None
        if errors:
            return None
        value = values[field.name]
        seen = distinguishing(value)
        if seen is not None and seen == default:
            return ()
        return equal_parts(value) if equal else seen if has_order(value) else None

    return read


def _omitted(field: Any) -> Parts | None:
    """The value of an omitted field in parts; None if there is none, or if it is not always the same."""
    factory = field.field_info.default_factory
    if field.field_info.is_required() or (factory is not None and factory not in _PURE_FACTORIES):
        return None
    omitted, errors = request_params_to_args([field], QueryParams(''))
    return None if errors else distinguishing(omitted[field.name])


def runs_user_code(field: Any) -> bool:
    """Whether user functions may take part in the validation of a field, as far as its schema shows it."""
    adapter = getattr(field, '_type_adapter', None)
    return adapter is None or "'function-" in repr(adapter.core_schema)


def refused(place: str, field: Any, received: Any) -> Iterator[str]:
    """The names of what FastAPI would refuse of a field, as far as that can be said without running user code."""
    info, model = field.field_info, _model(field.field_info.annotation)
    if model is None and is_plain(info.annotation) and not runs_user_code(field):
        if request_params_to_args([field], received)[1]:
            yield info.alias or field.name
        return
    fields = {field.name: info} if model is None else model.model_fields if model is info.annotation else {}
    for name, each in fields.items():
        names = _names(place, name, each) or ()
        given = (*names, name, *(it.replace('_', '-') for it in (name, *names)))
        if names and each.is_required() and not any(it in received for it in given):
            yield names[0]


def _values(received: Any, name: str) -> tuple[str, ...]:
    several = getattr(received, 'getlist', None)
    return tuple(several(name)) if several is not None else (received[name],)


def _all_items(received: Any) -> Iterator[tuple[str, str]]:
    several = getattr(received, 'multi_items', None)
    yield from several() if several is not None else received.items()
