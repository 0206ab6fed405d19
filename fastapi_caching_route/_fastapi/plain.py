"""Plain types, whose values are created and compared without user code, and how their values are distinguished."""

from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin
from uuid import UUID

_VALUES = frozenset((str, bytes, int, float, bool, NoneType, Decimal, date, datetime, time, timedelta, UUID))
_NO_TEXTS = frozenset((int, float, bool, NoneType, Decimal, date, datetime, time, timedelta))
_COLLECTIONS = frozenset((list, tuple, set, frozenset))
_OF_SEVERAL = frozenset((*_COLLECTIONS, Union, UnionType))


def is_plain(annotation: Any) -> bool:
    """Whether all values of a parameter of this type have types without user code."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return is_plain(arguments[0])
    if origin is Literal:
        return all(distinguishing(it) is not None for it in arguments)
    if origin in _OF_SEVERAL:
        return all(it is ... or is_plain(it) for it in arguments)
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return _looks_nothing_up(annotation)
    # A parameter of type Any receives the str itself.
    return annotation is Any or annotation in (*_VALUES, *_COLLECTIONS)


def is_no_text(annotation: Any) -> bool:
    """Whether a parameter of this type is a number, a time, or one of some choices; or a collection of such."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return is_no_text(arguments[0])
    if origin in _OF_SEVERAL:
        return all(it is ... or is_no_text(it) for it in arguments)
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return _looks_nothing_up(annotation)
    return origin is Literal or annotation in _NO_TEXTS


def distinguishing(value: object) -> tuple[object, ...] | None:
    """Parts that are equal only for plain values that no endpoint can distinguish; None for any other value.

    `Decimal('1.0')` equals `Decimal('1.00')`, and `True` equals 1, but endpoints can distinguish them. Datetimes with a
    fixed offset are compared without the class of their tzinfo.
    """
    kind = type(value)
    if isinstance(value, list | tuple | set | frozenset) and kind in _COLLECTIONS:
        inside = [distinguishing(it) for it in value]
        ordered = inside if kind in {list, tuple} else sorted(inside, key=repr)
        return None if None in inside else (kind, *ordered)
    if isinstance(value, Enum):
        return (kind, value.name)
    if kind not in _VALUES:
        return None
    fixed = isinstance(value, datetime) and value.tzinfo is not None and value.tzinfo.utcoffset(None) is not None
    return (kind, value.isoformat() if isinstance(value, datetime) and fixed else repr(value))


def equal(value: object) -> tuple[object, ...] | None:
    """Like `distinguishing`, but instants are equal in any time zone."""
    kind = type(value)
    if isinstance(value, datetime) and kind is datetime and value.tzinfo is not None:
        return ('instant', repr(value.astimezone(timezone.utc)))
    if isinstance(value, list | tuple | set | frozenset) and kind in _COLLECTIONS:
        inside = [equal(it) for it in value]
        ordered = inside if kind in {list, tuple} else sorted(inside, key=repr)
        return None if None in inside else (kind, *ordered)
    return distinguishing(value)


def has_order(value: object) -> bool:
    """Whether equal values always look alike: code can see in which order a set was filled."""
    if isinstance(value, list | tuple):
        return all(map(has_order, value))
    return not isinstance(value, set | frozenset)


def _looks_nothing_up(kind: type[Enum]) -> bool:
    """Whether an enum has no `_missing_` method of its own, which would create members from other values."""
    return getattr(kind._missing_, '__func__', None) is getattr(Enum._missing_, '__func__', None)
