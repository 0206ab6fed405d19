"""Python values as plain values: two that differ never become the same.

Knows the records of dataclasses, pydantic, msgspec and attrs. What it does not know, it refuses: it may hold anything.
"""

import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import ipaddress
import pathlib
import sys
import uuid
from collections import OrderedDict, defaultdict, deque
from functools import cached_property
from secrets import token_hex
from types import FunctionType, MemberDescriptorType
from typing import Any
from weakref import WeakKeyDictionary, WeakValueDictionary
from zoneinfo import ZoneInfo

from msgspec import Struct, field
from pydantic_core import TzInfo

from fastapi_caching_route._core.plain import NotPlainError

MAX_DEPTH = 32
"""How deep a value is looked into. What is deeper, or contains itself, is refused."""

LONGEST_INT = 2**64
"""Longer numbers are written in hexadecimal: CPython refuses to write very long ones in decimal."""


_PLAIN = frozenset((str, bytes, float, bool, type(None)))
_SAID_BY_REPR = frozenset(
    (
        *(uuid.UUID, decimal.Decimal, fractions.Fraction, complex, range, bytearray, dt.date, dt.timedelta),
        *(ipaddress.IPv4Address, ipaddress.IPv4Network, ipaddress.IPv4Interface),
        *(ipaddress.IPv6Address, ipaddress.IPv6Network, ipaddress.IPv6Interface),
        *(pathlib.PurePosixPath, pathlib.PureWindowsPath, pathlib.PosixPath, pathlib.WindowsPath),
    )
)
_BASES = (str, bytes, bytearray, int, float, complex, dict, list, set, frozenset)


class Reader(Struct):
    """Reads values, one after the other."""

    is_for_results: bool = False
    """Whether what JSON cannot keep counts as equal: the name of a fixed offset. Then objects of unknown types are put
    aside for `others`, too."""
    others: list[object] = field(default_factory=list)
    """With `is_for_results`: the objects of unknown types, in their order."""
    models: list[Any] = field(default_factory=list)
    """The pydantic models, in their order."""

    def plain(self, value: Any, depth: int = 0) -> object:
        """The value as str, bytes, numbers, None, and tuples of such.

        Raises:
            NotPlainError: it is of a type that may hold anything, or it is too deep. Its text does not say the value.

        """
        kind = type(value)
        if kind in _PLAIN:
            return value
        if kind is int:
            return value if -LONGEST_INT < value < LONGEST_INT else (named(int), hex(value))
        if depth > MAX_DEPTH:
            msg = 'it is nested too deep, or contains itself'
            raise NotPlainError(msg)
        if kind in _SAID_BY_REPR:
            return named(kind), repr(value)
        if kind in {dt.datetime, dt.time}:
            return named(kind), repr(value.replace(tzinfo=None)), self._zone(value)
        return self._compound(kind, value, depth + 1)

    def _zone(self, value: Any) -> object:
        """The time zone of a datetime or a time."""
        zone = value.tzinfo
        if zone is None:
            return None
        is_utc = isinstance(zone, ZoneInfo) and zone.key in {'UTC', 'Etc/UTC'}
        if type(zone) in {dt.timezone, TzInfo} or (is_utc and self.is_for_results):
            return repr(value.utcoffset()), None if self.is_for_results else value.tzname()
        if type(zone) is ZoneInfo and zone.key:
            return named(ZoneInfo), zone.key
        raise NotPlainError(_unknown(type(zone)))

    def _compound(self, kind: type, value: Any, depth: int) -> object:
        """A value that holds others."""
        if isinstance(value, enum.Enum):
            return named(kind), value.name, self.plain(value._value_, depth)
        if kind is dict or kind is OrderedDict:  # in its order, which code can see
            return named(kind), tuple((self.plain(key, depth), self.plain(it, depth)) for key, it in value.items())
        if kind in {list, tuple} or (isinstance(value, tuple) and hasattr(value, '_fields')):
            return named(kind), tuple(self.plain(it, depth) for it in value)
        if kind in {set, frozenset}:
            return named(kind), tuple(sorted(ascii(self.plain(it, depth)) for it in value))
        if _is_record(kind) and not isinstance(value, (*_BASES, tuple)):
            return self._record(kind, value, depth)
        return self._other(kind, value, depth)

    def _other(self, kind: type, value: Any, depth: int) -> object:
        """A value with a rule of its own; a class or a function, which is its name; or an object of an unknown type."""
        if kind in {deque, defaultdict}:
            rule = value.maxlen if kind is deque else self.plain(value.default_factory, depth)
            return named(kind), rule, self.plain((list if kind is deque else dict)(value), depth)
        if isinstance(value, type | FunctionType):
            return named(kind), _importable(value)
        if not self.is_for_results:
            raise NotPlainError(_unknown(kind))
        self.others.append(value)
        return named(kind), 'other'

    def _record(self, kind: type, value: Any, depth: int) -> object:
        """A record: all of its attributes, except those that are computed from the others."""
        found = dict(getattr(value, '__dict__', {}))
        slots = {name: it for base in kind.__mro__ for name, it in vars(base).items()}
        for name, it in slots.items():
            if isinstance(it, cached_property):
                found.pop(name, None)
            elif isinstance(it, MemberDescriptorType) and name not in _OF_PYDANTIC and hasattr(value, name):
                found[name] = getattr(value, name)
        if hasattr(kind, '__pydantic_fields_set__'):
            self.models.append(value)
            found.update((name, getattr(value, name, None)) for name in _OF_PYDANTIC)
        return named(kind), tuple((name, self.plain(found[name], depth)) for name in sorted(found))


_OF_PYDANTIC = ('__pydantic_fields_set__', '__pydantic_extra__', '__pydantic_private__')
"""What makes up a model besides its fields."""


def _is_record(kind: type) -> bool:
    """Whether all that objects of this class hold is in their attributes."""
    marks = ('__pydantic_core_schema__', '__struct_fields__', '__attrs_attrs__')
    return dataclasses.is_dataclass(kind) or any(hasattr(kind, it) for it in marks)


_names: 'WeakKeyDictionary[type, str]' = WeakKeyDictionary()
_owners: 'WeakValueDictionary[str, type]' = WeakValueDictionary()


def named(kind: type) -> str:
    """The name of a class.

    If another class of this process has it already, as those that a function defines may have, it gets a random end,
    and so no other process finds what is stored for it.
    """
    name = _names.get(kind)
    if name is None:
        name = f'{kind.__module__}.{kind.__qualname__}'
        if _owners.setdefault(name, kind) is not kind:
            name = f'{name} {token_hex(8)}'
        _names[kind] = name
    return name


def _importable(thing: Any) -> str:
    """The name of a class or a function by which every process finds the same one.

    Raises:
        NotPlainError: it has no such name.

    """
    found: Any = sys.modules.get(thing.__module__)
    for name in thing.__qualname__.split('.'):
        found = getattr(found, name, None)
    if found is not thing:
        msg = f'{thing.__qualname__} cannot be imported by its name'
        raise NotPlainError(msg)
    return f'{thing.__module__}.{thing.__qualname__}'


def _unknown(kind: type) -> str:
    return f'a {kind.__module__}.{kind.__qualname__} may hold anything'


def same(one: object, other: object) -> bool:
    """Whether a result has come back as it was: equal, and of the same types all the way down."""
    readers = [Reader(is_for_results=True) for _ in range(2)]
    try:
        said = [ascii(reader.plain(value)) for reader, value in zip(readers, (one, other), strict=True)]
    except NotPlainError:
        return False
    pairs = zip(readers[0].others, readers[1].others, strict=False)
    return said[0] == said[1] and all(type(it) is type(twin) and it == twin for it, twin in pairs)


def models_in(result: object) -> list[Any]:
    """The pydantic models in a result, in an order that is the same in a copy, unless they are in a set."""
    reader = Reader(is_for_results=True)
    reader.plain(result)
    return reader.models
