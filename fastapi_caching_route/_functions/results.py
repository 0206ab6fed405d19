"""What a function returns, as JSON and back, by its annotation. Nothing is pickled, and nothing in it is executed.

A result is stored only if it comes back as it was: equal, and of the same types. Knows pydantic and msgspec.
"""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from inspect import isclass
from typing import Any, get_args

import msgspec
import pydantic
from msgspec import Struct
from pydantic import ConfigDict, PydanticUserError, TypeAdapter

from fastapi_caching_route._core.plain import NotPlainError
from fastapi_caching_route._fastapi.schemas import outline
from fastapi_caching_route._functions.values import models_in, same
from fastapi_caching_route.errors import ConfigurationError

Dump = Callable[[Any], bytes]

_EXACT = ConfigDict(ser_json_bytes='base64', val_json_bytes='base64', ser_json_inf_nan='strings')
_BOTH_NAMES: Any = {'by_alias': True, 'by_name': True}
"""A field may have been written by its name or by its alias."""
_WITH_SET = b'\x1e'
"""Around the names of fields that were set. No JSON has this character as it is."""
_KNOWS_BY_NAME = tuple(map(int, pydantic.VERSION.split('.')[:2])) >= (2, 11)


class UnreadableError(Exception):
    """What is stored is not a result of this function, as it is annotated now."""


class Results(Struct, frozen=True):
    """Results of one type."""

    dumps: tuple[Dump, ...]
    """Ways to write a result: the first one is used by which it comes back as it is."""
    load: Callable[[bytes], Any]
    outline: object
    """The type as a part of keys: a deploy that changes it finds no older results."""

    def dumped(self, result: object) -> bytes | None:
        """The result as bytes; None if it would not come back as it is."""
        for dump in self.dumps:
            with suppress(ValueError, TypeError, ArithmeticError, RecursionError, msgspec.MsgspecError, NotPlainError):
                raw = dump(result)
                if same(self.load(raw), result):
                    return raw
        return None

    def loaded(self, raw: bytes) -> Any:
        """The result in these bytes, as a new object.

        Raises:
            UnreadableError: it is none of this type.

        """
        try:
            return self.load(raw)
        except (ValueError, TypeError, msgspec.MsgspecError, NotPlainError) as error:
            raise UnreadableError from error


def results_of(annotation: Any) -> Results:
    """The results of a type, by pydantic, or by msgspec for a `Struct`.

    Raises:
        ConfigurationError: neither can read or write it.
        NameError: a name in it does not exist yet.

    """
    try:
        return _by_pydantic(_adapter(annotation), outline(annotation, by_alias=True))
    except PydanticUserError as error:
        if not _holds_struct(annotation):
            why = str(error).partition('\n')[0]
            msg = f'results of the type {annotation!r} cannot be stored: {why}'
            raise ConfigurationError(msg) from None
    return _by_msgspec(annotation)


def _adapter(annotation: Any) -> TypeAdapter[Any]:
    try:
        return TypeAdapter(annotation, config=_EXACT)
    except PydanticUserError as error:
        if error.code != 'type-adapter-config-unused':  # a model has its own
            raise
    return TypeAdapter(annotation)


def _by_pydantic(adapter: TypeAdapter[Any], outline: object) -> Results:
    def ways(**options: Any) -> tuple[Dump, ...]:
        dump = partial(adapter.dump_json, warnings=False, **options)
        return partial(dump, exclude_unset=True), partial(_dumped_with_set, dump)

    load = partial(adapter.validate_json, **(_BOTH_NAMES if _KNOWS_BY_NAME else {}))
    by_name = ways() if _KNOWS_BY_NAME else ()
    return Results((*ways(by_alias=True), *by_name), partial(_loaded_with_set, load), outline)


def _dumped_with_set(dump: Dump, result: object) -> bytes:
    """A result with all of its fields, and the names of those that were set: a union may need the others, too."""
    names = [sorted(it.__pydantic_fields_set__) for it in models_in(result)]
    return b''.join((_WITH_SET, msgspec.json.encode(names), _WITH_SET, dump(result))) if names else dump(result)


def _loaded_with_set(load: Callable[[bytes], Any], raw: bytes) -> Any:
    if not raw.startswith(_WITH_SET):
        return load(raw)
    _, names, body = raw.split(_WITH_SET, 2)
    result = load(body)
    for model, of_model in zip(models_in(result), msgspec.json.decode(names, type=list[set[str]]), strict=True):
        object.__setattr__(model, '__pydantic_fields_set__', of_model)
    return result


def _by_msgspec(annotation: Any) -> Results:
    try:
        decoder, schema = msgspec.json.Decoder(annotation), msgspec.json.schema(annotation)
    except TypeError as error:
        msg = f'results of the type {annotation!r} cannot be stored: {error}'
        raise ConfigurationError(msg) from None
    return Results((msgspec.json.encode,), decoder.decode, msgspec.json.encode(schema, order='sorted'))


def _holds_struct(annotation: Any) -> bool:
    """Whether a type is one of msgspec's own, or holds one."""
    if isclass(annotation) and issubclass(annotation, Struct):
        return True
    return any(map(_holds_struct, get_args(annotation)))
