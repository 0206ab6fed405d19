"""Arguments as parts of keys: equal arguments share, and two that differ never do."""

import asyncio
import dataclasses
import datetime as dt
import enum
import pathlib
import string
import uuid
from decimal import Decimal
from typing import NamedTuple
from zoneinfo import ZoneInfo

import msgspec
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastapi_caching_route._core.plain import NotPlainError
from fastapi_caching_route._functions.values import Reader


class Color(enum.Enum):
    RED = 1
    BLUE = '1'


class Number(enum.IntEnum):
    ONE = 1


class Flags(enum.Flag):
    A = 1
    B = 2


@dataclasses.dataclass(frozen=True)
class Point:
    x: object
    y: object = 0


@dataclasses.dataclass(frozen=True, slots=True)
class Slotted:
    x: object
    y: object = 0


class Pair(NamedTuple):
    x: object
    y: object


class Model(pydantic.BaseModel, frozen=True):
    x: object
    y: object = 0


class Packed(msgspec.Struct, frozen=True):
    x: object
    y: object = 0


ZONES = (None, dt.timezone.utc, dt.timezone(dt.timedelta(hours=1)), ZoneInfo('Europe/Berlin'), ZoneInfo('UTC'))
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from([0.0, 1.0, -1.0, 0.5, float('inf')]),
    st.text(string.printable, max_size=3),
    st.sampled_from(['1', 'True', 'None', '1.0', "('a',)", "b'1'"]),
    st.binary(max_size=2),
    st.sampled_from([*Color, *Number, *Flags, Flags.A | Flags.B]),
    st.sampled_from([Decimal(1), Decimal('1.0'), Decimal('0.5')]),
    st.sampled_from([uuid.UUID(int=1), pathlib.PurePosixPath('1'), dt.timedelta(1), dt.date(2025, 1, 1), 10**4000]),
    st.builds(dt.datetime, st.just(2025), st.integers(1, 2), st.just(1), tzinfo=st.sampled_from(ZONES)),
)
records = st.sampled_from([Point, Slotted, Pair, Model, Packed])


def nested(inner):
    return st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.frozensets(scalars, max_size=3),
        st.dictionaries(st.text('ab', max_size=2), inner, max_size=2),
        st.builds(lambda kind, x, y: kind(x=x, y=y), records, inner, scalars),
    )


values = st.recursive(scalars, nested, max_leaves=6)


def said(value):
    return ascii(Reader().plain(value))


def differ(one, other):
    """Whether code can tell two values apart: by their types or their equality, anywhere inside."""
    if type(one) is not type(other):
        return True
    if isinstance(one, list | tuple) and len(one) == len(other):
        return any(differ(*it) for it in zip(one, other, strict=True))
    if isinstance(one, dict):
        return differ([*one.items()], [*other.items()])
    if isinstance(one, frozenset):
        kinds = [{(type(it), it) for it in each} for each in (one, other)]
        return kinds[0] != kinds[1]
    if isinstance(one, Point | Slotted | Model | Packed):
        return differ((one.x, one.y), (other.x, other.y))
    return repr(one) != repr(other) if isinstance(one, dt.datetime) else one != other


@given(values, values)
@settings(max_examples=1000, deadline=None)
def test_two_arguments_that_differ_never_share_a_key(one, other):
    assert (said(one) != said(other)) or not differ(one, other)


@given(values)
@settings(max_examples=200, deadline=None)
def test_a_copy_of_an_argument_shares_its_key(value):
    import copy  # noqa: PLC0415

    assert said(copy.deepcopy(value)) == said(value)


ALIKE = [1, True, 1.0, '1', b'1', Decimal(1), Number.ONE, Color.RED, Color.BLUE, [1], (1,), {1}, frozenset({1}), {1: 1}]


def test_what_python_calls_equal_is_told_apart_by_type():
    assert len({said(it) for it in ALIKE}) == len(ALIKE)
    assert len({said([it]) for it in ALIKE}) == len({said({'a': it}) for it in ALIKE}) == len(ALIKE)


def test_a_model_of_which_other_fields_were_set_is_another_one():
    assert said(Model(x=1)) != said(Model(x=1, y=0))


def test_attributes_beside_the_fields_count_and_computed_ones_do_not():
    import functools  # noqa: PLC0415

    @dataclasses.dataclass
    class Extended:
        x: int

        @functools.cached_property
        def doubled(self):
            return object()

    one, other = Extended(1), Extended(1)
    assert one.doubled
    assert said(one) == said(other)
    other.more = 2
    assert said(one) != said(other)


def test_two_classes_of_one_name_are_told_apart():
    def made():
        @dataclasses.dataclass
        class Local:
            x: int

        return Local

    one, other = made(), made()
    assert said(one(1)) == said(one(1)) != said(other(1))


def test_the_order_of_a_dict_counts_and_that_of_a_set_does_not():
    assert said({'a': 1, 'b': 2}) != said({'b': 2, 'a': 1})
    assert said({'a', 'b', 'c'}) == said({'c', 'b', 'a'})


def test_what_was_made_by_pydantic_shares_with_what_was_made_by_hand():
    parsed = pydantic.TypeAdapter(dt.datetime).validate_python('2025-01-01T00:00:00Z')
    assert said(parsed) == said(dt.datetime(2025, 1, 1, tzinfo=dt.timezone.utc))


class Strange(dt.tzinfo):
    def utcoffset(self, _):
        return dt.timedelta(0)


class TextList(list):
    pass


def _recursive():
    found = []
    found.append(found)
    return found


@pytest.mark.parametrize(
    'value',
    [
        object(),
        lambda: 1,
        TextList(),
        _recursive(),
        dt.datetime(2025, 1, 1, tzinfo=Strange()),
        dt.time(1, tzinfo=Strange()),
        {'a': [object()]},
        Point(object()),
        asyncio.Lock(),
    ],
    ids=range(9),
)
def test_what_may_hold_anything_is_refused(value):
    with pytest.raises(NotPlainError):
        said(value)


def test_a_number_too_long_to_be_written_in_decimal_is_a_value():
    assert said(10**5000) != said(10**5000 + 1)


def test_classes_and_functions_are_their_names():
    assert said(Point) != said(Model) != said(string.capwords)
