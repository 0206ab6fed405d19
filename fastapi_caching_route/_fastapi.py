"""Everything about the inside of FastAPI that this package relies on, and nothing else does.

FastAPI changes its internals often. What is used of them, for 0.115 up to the newest: `APIRoute.dependant` (or, since
`include_router()` no longer copies routes, the effective route in the scope), the fields of `Dependant`,
`get_dependant()` and `request_params_to_args()`.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from secrets import token_hex
from typing import Any

from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import get_dependant, request_params_to_args
from fastapi.routing import APIRoute
from pydantic import AliasChoices, BaseModel, RootModel
from starlette.datastructures import Headers, QueryParams
from starlette.requests import cookie_parser

from fastapi_caching_route._http.fields import lines
from fastapi_caching_route._key import Inputs, Parts, Scope, selected

Overrides = Mapping[Callable[..., Any], Callable[..., Any]]

_PROCESS = token_hex(8)
_serials = count()


def effective_route(route: APIRoute, scope: Scope) -> Any:
    """The route as this request reached it: itself, or itself with the prefix and dependencies of its includes."""
    context = scope.get('fastapi', {}).get('effective_route_context')
    return context if context is not None and context.original_route is route else route


class RouteInputs:
    """What one effective route is seen to read, dependency overrides applied."""

    __slots__ = ('_dependant', '_overridden', '_plain', '_provider', '_vary')

    def __init__(self, effective: Any, vary: tuple[bytes, ...]) -> None:
        """Read the declarations of what `effective_route` returned; `vary` names further request fields that count."""
        self._dependant: Dependant = effective.dependant
        self._provider = effective.dependency_overrides_provider
        self._vary = vary
        self._plain = declared_inputs(self._dependant, {}, vary)
        self._overridden: tuple[Parts, Inputs] = ((), self._plain)

    def __call__(self) -> Inputs:
        """The inputs under the overrides that are set at this moment: none in production, some in tests."""
        overrides = getattr(self._provider, 'dependency_overrides', None)
        if not overrides:
            return self._plain
        current = tuple(overrides.items())
        known, inputs = self._overridden
        if known != current:
            touched = any(dependant.call in overrides for dependant in _tree(self._dependant, {}))
            inputs = declared_inputs(self._dependant, overrides, self._vary) if touched else self._plain
            self._overridden = (current, inputs)
        return inputs


def declared_inputs(dependant: Dependant, overrides: Overrides, vary: tuple[bytes, ...]) -> Inputs:
    """All that the endpoint and its dependencies declare, the overriding ones in place of those overridden."""
    tree = list(_tree(dependant, overrides))
    query = _Parameters('query', [field for node in tree for field in node.query_params])
    headers = _Parameters('header', [field for node in tree for field in node.header_params])
    cookies = _Parameters('cookie', [field for node in tree for field in node.cookie_params])
    # What overrides stand for cannot be told from their names (two lambdas have one), so no entry outlives a change.
    override = (_PROCESS, next(_serials)) if overrides else ()

    def read(scope: Scope) -> Parts:
        return (
            query.read(QueryParams(scope['query_string'])) if query else (),
            headers.read(Headers(raw=list(scope['headers']))) if headers else (),
            cookies.read(_cookies(scope)) if cookies else (),
            selected(scope['headers'], vary),
            override,
        )

    return Inputs(
        read=read,
        selecting=tuple(dict.fromkeys((*headers.field_names, *((b'cookie',) if cookies else ()), *vary))),
        covered=frozenset((*headers.field_names, *vary)),
        body=any(node.body_params for node in tree),
        declared=True,
        raw=any(node.request_param_name or node.http_connection_param_name for node in tree),
        fingerprint=(query.fingerprint, headers.fingerprint, cookies.fingerprint, vary),
    )


def builder_inputs(vary: tuple[bytes, ...]) -> Callable[[], Inputs]:
    """The inputs where a key builder makes the key, and answers for it: none but the fields that select a variant."""
    inputs = Inputs(
        read=lambda _scope: (),
        selecting=vary,
        covered=frozenset(),
        body=False,
        declared=False,
        raw=False,
        fingerprint=(),
    )
    return lambda: inputs


def _tree(dependant: Dependant, overrides: Overrides) -> Iterator[Dependant]:
    yield dependant
    for sub in dependant.dependencies:
        call = overrides.get(sub.call, sub.call) if sub.call is not None else None
        if call is not None and call is not sub.call:
            sub = get_dependant(path=sub.path or '', call=call, name=sub.name)  # noqa: PLW2901, the override takes its place
        yield from _tree(sub, overrides)


def _cookies(scope: Scope) -> dict[str, str]:
    cookies: dict[str, str] = {}
    for line in lines(scope['headers'], b'cookie'):
        cookies.update(cookie_parser(line.decode('latin-1')))
    return cookies


class _Parameters:
    """The declared parameters of one place in the request: query, header or cookie."""

    __slots__ = ('_parameters', '_whole', 'field_names', 'fingerprint')

    def __init__(self, place: str, fields: list[Any]) -> None:
        self._parameters = [parameter for field in fields for parameter in _parameters(place, field)]
        # A model that lets undeclared parameters through, or that looks at all of them, reads the whole place.
        self._whole = any(parameter.names is None for parameter in self._parameters)
        names = [name for parameter in self._parameters for name in parameter.names or ()]
        self.field_names = tuple(dict.fromkeys(name.encode('latin-1') for name in names)) if place == 'header' else ()
        self.fingerprint = tuple((parameter.names, parameter.kind) for parameter in self._parameters)

    def __bool__(self) -> bool:
        return bool(self._parameters)

    def read(self, received: Any) -> Parts:
        """The values given, parameter by parameter; one that is given its default reads as one left out."""
        if self._whole:
            return ('whole', tuple(_all_items(received)))
        return tuple(parameter.read(received) for parameter in self._parameters)


@dataclass(frozen=True, slots=True)
class _Parameter:
    """One declared parameter, or one field of a parameter model."""

    names: tuple[str, ...] | None
    """What it may be called in a request; None where that cannot be told."""
    kind: str
    default: Callable[[Any], bool] | None
    """Whether the parameter as received comes to the same as none at all."""

    def read(self, received: Any) -> Parts:
        given = tuple((name, _values(received, name)) for name in self.names or () if name in received)
        return () if given and self.default is not None and self.default(received) else given


def _parameters(place: str, field: Any) -> Iterator[_Parameter]:
    """A field as FastAPI reads it: itself or, for a parameter model, each of the model's fields.

    A model knows which of its fields were given (`model_fields_set`), so there a default given is not a default
    omitted.
    """
    model = _model(field.field_info.annotation)
    if model is None:
        yield _Parameter(_names(place, field.name, field.field_info), _kind(field.field_info), _omission(field))
        return
    # FastAPI reads `Json[Model]` and, in older releases, one model among several parameters by the parameter's own name.
    yield _Parameter(_names(place, field.name, field.field_info), _kind(field.field_info), None)
    if _sees_all(model):
        yield _Parameter(None, model.__qualname__, None)
    for name, info in model.model_fields.items():
        names = _names(place, name, info)
        yield _Parameter(None if names is None else (*dict.fromkeys((*names, name)),), _kind(info), None)


def _model(annotation: Any) -> type[BaseModel] | None:
    """The parameter model among the types of an annotation, if there is one."""
    candidates = (annotation, *getattr(annotation, '__args__', ()))
    return next((it for it in candidates if isinstance(it, type) and issubclass(it, BaseModel)), None)


def _sees_all(model: type[BaseModel]) -> bool:
    """Whether parameters that the model does not declare can change what comes of it."""
    return (
        model.model_config.get('extra') in {'allow', 'forbid'}
        or issubclass(model, RootModel)
        or any(validator.info.mode != 'after' for validator in model.__pydantic_decorators__.model_validators.values())
        or model.__init__ is not BaseModel.__init__
        or getattr(model.__get_pydantic_core_schema__, '__func__', None)
        is not getattr(BaseModel.__get_pydantic_core_schema__, '__func__', None)
    )


def _names(place: str, name: str, info: Any) -> tuple[str, ...] | None:
    """The names under which FastAPI may look for a parameter, now or in an older release; None if any other counts."""
    choices = info.validation_alias
    given = choices.choices if isinstance(choices, AliasChoices) else [choices]
    if not all(isinstance(choice, str | None) for choice in given):
        return None  # an AliasPath looks inside of values
    names = [choice for choice in (info.alias, *given) if choice] or [name]
    if place == 'header':
        dashed = [
            it.replace('_', '-') if it == name and getattr(info, 'convert_underscores', True) else it for it in names
        ]
        names = [it.lower() for it in dashed]
    return (*dict.fromkeys(names),)


def _kind(info: Any) -> str:
    return getattr(info.annotation, '__qualname__', None) or str(info.annotation)


def _omission(field: Any) -> Callable[[Any], bool] | None:
    """A test whether values received for the field come to the same as none, by FastAPI's own reading of both."""
    if field.field_info.is_required() or field.field_info.default_factory is not None:
        return None
    omitted, errors = request_params_to_args([field], QueryParams(''))
    if errors:
        return None
    default = omitted[field.name]
    looks = repr(default)  # Decimal('1.0') equals Decimal('1.00'), True equals 1, and an endpoint can tell them apart

    def is_default(received: Any) -> bool:
        try:
            values, errors = request_params_to_args([field], received)
        except Exception:  # noqa: BLE001, a validator of the user's: it raises again in the route, in its turn
            return False
        value = None if errors else values[field.name]
        return not errors and type(value) is type(default) and value == default and repr(value) == looks

    return is_default


def _values(received: Any, name: str) -> tuple[str, ...]:
    several = getattr(received, 'getlist', None)
    return tuple(several(name)) if several is not None else (received[name],)


def _all_items(received: Any) -> Iterator[tuple[str, str]]:
    several = getattr(received, 'multi_items', None)
    yield from several() if several is not None else received.items()
