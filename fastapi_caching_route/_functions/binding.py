"""The arguments of a call, bound to the signature of the function. Does not know what is stored under them."""

from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from enum import Enum
from inspect import Parameter, Signature, signature
from typing import Any
from uuid import UUID

from msgspec import Struct

from fastapi_caching_route._core.names import are_tags, fields_of, filled
from fastapi_caching_route._core.plain import NotPlainError
from fastapi_caching_route._functions.values import Reader, named
from fastapi_caching_route.errors import ConfigurationError

KeyOf = Callable[..., object] | Mapping[str, Callable[[Any], object]]
"""What stands for the arguments in a key: a function of all of them, or functions of some of them by their names."""

IN_TAGS = (str, int, float, Decimal, UUID, date)
"""An argument of one of these types may be in a tag: it has one text."""


class Arguments(Struct, frozen=True):
    """How the arguments of one function become a key and tags."""

    in_words: str
    """The name of the function, for errors."""
    signature: Signature
    key: KeyOf | None
    tags: tuple[str, ...] | Callable[..., Any]

    def parts(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        """The arguments as text: equal for equal arguments only, however they are passed.

        Raises:
            TypeError: they are not those of the function.
            ConfigurationError: it cannot be told of one of them whether it is equal to another; it is named.

        """
        if callable(self.key):
            return ascii(self._plain('key', self.key(*args, **kwargs)))
        found, said = self._bound(args, kwargs), []
        by_user = self.key or {}
        for name, it in self.signature.parameters.items():
            value, kind = found[name], None
            if name in by_user:  # its class counts, too: a method may be another one there
                value, kind = by_user[name](value), named(type(value))
            elif it.kind is Parameter.VAR_KEYWORD:
                value = {key: value[key] for key in sorted(value)}
            said.append((name, kind, self._plain(name, value)))
        return ascii(said)

    def _bound(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Mapping[str, Any]:
        bound = self.signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return bound.arguments

    def _plain(self, name: str, value: object) -> object:
        try:
            return Reader().plain(value)
        except NotPlainError as error:
            what = 'the result of key' if callable(self.key) else f'the argument {name!r}'
            msg = (
                f'{self.in_words}: {what} cannot be in a cache key: {error}; say what stands for it, like '
                f'key={{{name!r}: lambda it: it.id}}, or key={{{name!r}: lambda it: None}} if it does not count'
            )
            raise ConfigurationError(msg) from None

    def tags_of(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[str]:
        """The tags of the result for these arguments.

        Raises:
            ConfigurationError: an argument in a template has no text of its own, or `tags` returned something else.

        """
        if callable(self.tags):
            told = self.tags(*args, **kwargs)
            if not are_tags(told):
                msg = f'{self.in_words}: tags must return a list of str, got {told!r}'
                raise ConfigurationError(msg)
            return [*told]
        if not self.tags:
            return []
        needed = {name for template in self.tags for name in fields_of(template)}
        values = {name: self._text(name, it) for name, it in self._bound(args, kwargs).items() if name in needed}
        return [filled(template, values) for template in self.tags]

    def _text(self, name: str, value: Any) -> str:
        value = value.value if isinstance(value, Enum) else value
        if isinstance(value, IN_TAGS):
            return str(value)
        msg = (
            f'{self.in_words}: the argument {name!r} in tags is a {type(value).__qualname__}, which has no text; '
            'give a function of the arguments: tags=lambda ...: [...]'
        )
        raise ConfigurationError(msg)


def arguments_of(function: Callable[..., Any], in_words: str, key: Any, tags: Any) -> Arguments:
    """How the arguments of this function become a key and tags.

    Raises:
        ConfigurationError: an option does not suit the function.

    """
    found = signature(function)
    if key is not None and not callable(key):
        if not isinstance(key, Mapping) or not all(map(callable, key.values())):
            msg = f'key must be a function of the arguments, or a dict of functions by parameter, got {key!r}'
            raise ConfigurationError(msg)
        _refuse_unknown('key', key, found)
    if not callable(tags):
        _refuse_unknown('tags', {name for template in tags for name in fields_of(template)}, found)
    return Arguments(in_words, found, key, tags)


def _refuse_unknown(option: str, names: Any, found: Signature) -> None:
    unknown = sorted(set(names) - set(found.parameters))
    if unknown:
        msg = f'{option} names {", ".join(unknown)}, and the parameters are {", ".join(found.parameters) or "none"}'
        raise ConfigurationError(msg)
