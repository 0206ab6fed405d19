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

from fastapi_caching_route._fastapi.schemas import outline
from fastapi_caching_route._functions.values import same, same_and_as_set
from fastapi_caching_route.errors import ConfigurationError

Dump = Callable[[Any], bytes]

_EXACT = ConfigDict(ser_json_bytes='base64', val_json_bytes='base64', ser_json_inf_nan='strings')
_BOTH_NAMES: Any = {'by_alias': True, 'by_name': True}
"""A field may have been written by its name or by its alias."""
_KNOWS_BY_NAME = tuple(map(int, pydantic.VERSION.split('.')[:2])) >= (2, 11)


class UnreadableError(Exception):
    """What is stored is not a result of this function, as it is annotated now."""


class Results(Struct, frozen=True):
    """Results of one type."""

    dumps: tuple[tuple[Dump, Callable[[object, object], bool]], ...]
    """Ways to write a result, each with how it is compared with what comes back: the first that is right is used."""
    load: Callable[[bytes], Any]
    outline: object
    """The type as a part of keys: a deploy that changes it finds no older results."""

    def dumped(self, result: object) -> bytes | None:
        """The result as bytes; None if it would not come back as it is."""
        for dump, is_same in self.dumps:
            with suppress(ValueError, TypeError, ArithmeticError, RecursionError, msgspec.MsgspecError):
                raw = dump(result)
                if is_same(self.load(raw), result):
                    return raw
        return None

    def loaded(self, raw: bytes) -> Any:
        """The result in these bytes, as a new object.

        Raises:
            UnreadableError: it is none of this type.

        """
        try:
            return self.load(raw)
        except (ValueError, TypeError, msgspec.MsgspecError) as error:
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
    def ways(**options: Any) -> Any:
        return (
            (partial(adapter.dump_json, exclude_unset=True, warnings=False, **options), same_and_as_set),
            (partial(adapter.dump_json, warnings=False, **options), same),
        )

    names = _BOTH_NAMES if _KNOWS_BY_NAME else {}
    by_name = ways() if _KNOWS_BY_NAME else ()
    return Results((*ways(by_alias=True), *by_name), partial(adapter.validate_json, **names), outline)


def _by_msgspec(annotation: Any) -> Results:
    try:
        decoder, schema = msgspec.json.Decoder(annotation), msgspec.json.schema(annotation)
    except TypeError as error:
        msg = f'results of the type {annotation!r} cannot be stored: {error}'
        raise ConfigurationError(msg) from None
    return Results(((msgspec.json.encode, same),), decoder.decode, msgspec.json.encode(schema, order='sorted'))


def _holds_struct(annotation: Any) -> bool:
    """Whether a type is one of msgspec's own, or holds one."""
    if isclass(annotation) and issubclass(annotation, Struct):
        return True
    return any(map(_holds_struct, get_args(annotation)))
