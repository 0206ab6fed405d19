"""Values as parts of a key: equal for equal values only. Objects have none, because they may hold anything. Pure."""

import datetime as dt
import decimal
import enum
import uuid
from types import MemberDescriptorType
from typing import Any

_MAX_DEPTH = 16
"""How deep plain values are looked at; what is deeper, or contains itself, has no plain value."""


class NotPlainError(Exception):
    """It cannot be told whether two requests are equal in this."""


_PLAIN = (str, bytes, int, float, bool, type(None))
_NAMED = (uuid.UUID, decimal.Decimal, dt.date, dt.time, dt.timedelta)


def plain(value: Any, depth: int = 0) -> object:
    """A value as a part of a key: equal for equal values only.

    Raises:
        NotPlainError: it is an object that may hold anything.

    """
    kind = type(value)
    if kind in _PLAIN:
        return value
    if depth > _MAX_DEPTH:
        raise NotPlainError
    name = f'{kind.__module__}.{kind.__qualname__}'
    if kind in _NAMED or (kind is dt.datetime and value.tzinfo in (None, dt.timezone.utc)):
        return name, repr(value)
    if isinstance(value, enum.Enum):
        return name, value.name
    if isinstance(value, dict):  # a session may be of a class of its own
        return name, tuple((plain(key, depth + 1), plain(it, depth + 1)) for key, it in dict.items(value))
    if kind in (list, tuple) or (isinstance(value, tuple) and hasattr(value, '_fields')):
        return name, tuple(plain(it, depth + 1) for it in value)
    if kind in (set, frozenset):
        return name, tuple(sorted(ascii(plain(it, depth + 1)) for it in value))
    raise NotPlainError


def person(value: object) -> object:
    """A user as a part of a key: an object counts if all its attributes are plain values.

    Raises:
        NotPlainError: one of them is not, or there may be others.

    """
    kind = type(value)
    if isinstance(value, dict) or kind in _PLAIN:
        return plain(value)
    slots: list[object] = []
    for it in kind.__mro__:
        if it is not object and not it.__module__.startswith('pydantic.') and _makes_up_attributes(it):
            raise NotPlainError
        slots += [_in_slot(slot, value) for slot in vars(it).values() if isinstance(slot, MemberDescriptorType)]
    if not slots and not hasattr(value, '__dict__'):
        raise NotPlainError
    own = dict(vars(value)) if hasattr(value, '__dict__') else {}
    return f'{kind.__module__}.{kind.__qualname__}', plain(own), plain(slots)


def _makes_up_attributes(kind: type) -> bool:
    return '__getattr__' in vars(kind) or '__getattribute__' in vars(kind)


def _in_slot(slot: MemberDescriptorType, value: object) -> object:
    try:
        return (slot.__get__(value),)
    except AttributeError:  # it is empty
        return ()
