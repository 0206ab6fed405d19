"""Results: a hit has the type that was returned, all the way down, or is not stored."""

import dataclasses
import datetime as dt
import enum
import uuid
from collections import defaultdict, deque
from decimal import Decimal
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeVar
from zoneinfo import ZoneInfo

import msgspec
import pydantic
import pytest
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from fastapi_caching_route import ConfigurationError, FastAPICache, MemoryCache
from fastapi_caching_route._functions.results import UnreadableError, results_of

T = TypeVar('T')
BERLIN = ZoneInfo('Europe/Berlin')


class Color(enum.Enum):
    RED = 'red'


class User(BaseModel):
    name: str
    born: dt.date
    tags: set[str] = set()


class Aliased(BaseModel):
    user_id: int = Field(alias='userId')


class Admin(User):
    level: int


class Secret(BaseModel):
    name: str
    password: str = Field('', exclude=True)


class Page(BaseModel, Generic[T]):
    items: list[T]
    total: int


@dataclasses.dataclass
class Order:
    id: uuid.UUID
    total: Decimal
    at: dt.datetime


class Cat(BaseModel):
    kind: Literal['cat'] = 'cat'
    name: str = ''


class Dog(BaseModel):
    kind: Literal['dog'] = 'dog'
    name: str = ''


class Place(NamedTuple):
    name: str
    at: tuple[float, float]


class Row(TypedDict):
    id: int
    made: dt.datetime


class Item(msgspec.Struct):
    id: int
    tags: set[str]


NOW = dt.datetime(2025, 1, 1, 12, 30, 1, 5)  # noqa: DTZ001, a time without a zone is a result, too
UTC = dt.timezone.utc
ADA = User(name='Ada', born=dt.date(1815, 12, 10), tags={'a', 'b'})

COME_BACK = [
    (int, 5),
    (int, 2**70),
    (str, 'ä\x00'),
    (float, 0.1),
    (float, float('inf')),
    (bool, True),
    (None, None),
    (bytes, b'\xff\x00'),
    (int | None, None),
    (int | str, '5'),
    (Decimal, Decimal('1.10')),
    (uuid.UUID, uuid.UUID(int=7)),
    (dt.datetime, NOW),
    (dt.datetime, NOW.replace(tzinfo=UTC)),
    (dt.datetime, NOW.replace(tzinfo=dt.timezone(dt.timedelta(hours=2)))),
    (dt.datetime, NOW.replace(tzinfo=ZoneInfo('UTC'))),
    (dt.date, dt.date(2025, 1, 1)),
    (dt.timedelta, dt.timedelta(days=1, microseconds=5)),
    (Color, Color.RED),
    (Literal['a', 'b'], 'a'),
    (list[int], [1, 2]),
    (set[str], {'a', 'b'}),
    (frozenset[int], frozenset({1})),
    (tuple[int, str], (1, 'a')),
    (dict[str, list[Decimal]], {'a': [Decimal(1)]}),
    (dict[int, str], {1: 'a'}),
    (dict[uuid.UUID, User], {uuid.UUID(int=1): ADA}),
    (User, ADA),
    (list[User], [ADA]),
    (Page[User], Page[User](items=[ADA], total=1)),
    (Aliased, Aliased(userId=5)),
    (Order, Order(uuid.UUID(int=1), Decimal('1.5'), NOW)),
    (Place, Place('a', (1.0, 2.0))),
    (Row, {'id': 1, 'made': NOW}),
    (Item, Item(1, {'a'})),
    (list[Item], [Item(1, {'a'})]),
    (Annotated[int, Field(gt=0)], 5),
    (Any, {'a': [1, None, 'b', 1.5]}),
    (Secret, Secret(name='a')),
    (deque[int], deque([1, 2])),
    (defaultdict[str, int], defaultdict(int, a=1)),
    (Cat | Dog, Dog(name='Rex')),
    (list[Annotated[Cat | Dog, Field(discriminator='kind')]], [Dog(name='Rex'), Cat(), Cat(name='Tom', kind='cat')]),
]

STAY_AWAY = [
    (int, '5'),
    (float, 5),
    (int, True),
    (str, b'a'),
    (list[int], (1, 2)),
    (dict[str, int], [('a', 1)]),
    (User, Admin(name='Ada', born=dt.date(1815, 12, 10), level=1)),
    (User, {'name': 'Ada', 'born': '1815-12-10'}),
    (Secret, Secret(name='a', password='b')),
    (Any, ADA),
    (Any, {'at': NOW}),
    (Any, (1, 2)),
    (Any, {1: 2}),
    (Any, object()),
    (dt.datetime, NOW.replace(tzinfo=BERLIN)),
    (Annotated[int, Field(gt=0)], -5),
    (Item, {'id': 1}),
    (int | None, 'a'),
    (str, '\ud800'),
    (deque[int], deque([1, 2], maxlen=5)),
    (defaultdict[str, int], defaultdict(lambda: 7, a=1)),
    (defaultdict[str, list[int]], defaultdict(None, a=[1])),
]


@pytest.mark.parametrize(('annotation', 'result'), COME_BACK, ids=range(len(COME_BACK)))
async def test_a_hit_has_the_type_that_was_returned(annotation, result):
    cache, runs = FastAPICache(), []

    @cache.function(ttl=60)
    async def load() -> annotation:
        runs.append(1)
        return result

    first, hit = await load(), await load()
    assert (first is result, len(runs)) == (True, 1)
    assert (type(hit), hit) == (type(result), result)
    several = result if isinstance(result, list) else [result]
    for before, after in zip(several, hit if several is result else [hit], strict=True):
        assert getattr(after, 'model_fields_set', None) == getattr(before, 'model_fields_set', None)


@pytest.mark.parametrize(('annotation', 'result'), STAY_AWAY, ids=range(len(STAY_AWAY)))
async def test_a_result_that_would_come_back_as_another_one_is_not_stored(annotation, result, caplog):
    cache = FastAPICache()

    @cache.function(ttl=60)
    async def load() -> annotation:
        return result

    assert await load() is result
    assert await load() is result
    (warning,) = [it.message for it in caplog.records if it.levelname == 'WARNING']
    assert warning.startswith(f'{load.__module__}.{load.__qualname__}: its result is not stored, because it would not')


@pytest.mark.skipif(tuple(map(int, pydantic.VERSION.split('.')[:2])) < (2, 11), reason='by_name came with 2.11')
async def test_names_and_aliases_for_one_direction_come_back():
    class OneWay(BaseModel):
        user_id: int = Field(validation_alias='userId')

    cache, runs = FastAPICache(), []

    @cache.function(ttl=60)
    async def load() -> OneWay:
        runs.append(1)
        return OneWay.model_validate({'userId': 5})

    assert [await load(), await load()] == [OneWay.model_validate({'userId': 5})] * 2
    assert len(runs) == 1


async def test_a_result_without_annotation_is_stored_if_json_keeps_it():
    cache, runs = FastAPICache(), []

    @cache.function(ttl=60)
    async def load(number):
        runs.append(number)
        return [number]

    assert [await load(1), await load(1)] == [[1], [1]]
    assert runs == [1]


@pytest.mark.parametrize('annotation', [object, pytest.MonkeyPatch, list[pytest.MonkeyPatch]])
def test_a_type_that_cannot_be_written_is_refused_at_once(annotation):
    async def load() -> annotation: ...

    if annotation is object:  # it is anything, as Any is
        assert FastAPICache().function(ttl=60)(load)
    else:
        with pytest.raises(ConfigurationError, match=r'load: results of the type .* cannot be stored'):
            FastAPICache().function(ttl=60)(load)


def test_what_was_planted_is_not_a_result():
    with pytest.raises(UnreadableError):
        results_of(User).loaded(b'{"name": 5}')
    with pytest.raises(UnreadableError):
        results_of(Item).loaded(b'[')


async def test_what_is_stored_and_cannot_be_read_is_ignored(caplog):
    cache, runs, strict = FastAPICache(), [], []

    def check(value):
        if strict:
            raise ValueError
        return value

    @cache.function(ttl=60)
    async def load() -> Annotated[int, pydantic.AfterValidator(check)]:
        runs.append(1)
        return len(runs)

    assert [await load(), await load()] == [1, 1]
    strict.append(1)
    assert await load() == 2
    strict.clear()
    assert [await load(), await load()] == [3, 3]
    assert 'what is stored is no result of it' in caplog.text


async def test_a_class_below_the_function_may_be_in_its_annotation():
    cache, space = FastAPICache(), {'FastAPICache': FastAPICache}
    space['cache'] = cache
    source = (
        '@cache.function(ttl=60)\n'
        "async def load() -> 'Later':\n    return Later(x=1)\n"
        'from pydantic import BaseModel\n'
        'class Later(BaseModel):\n    x: int\n'
    )
    exec(compile(source, 'later', 'exec'), {**space, '__name__': __name__}, space)  # noqa: S102
    space['load'].__wrapped__.__globals__.update(space)
    assert [await space['load'](), await space['load']()] == [space['Later'](x=1)] * 2


async def test_a_model_that_has_changed_finds_no_older_results():
    backend, runs = MemoryCache(), []

    def loader(model):
        """The function as another deployment has it, on the same backend."""

        async def load() -> model:
            runs.append(1)
            return model(x=1)

        load.__qualname__ = 'load'
        return FastAPICache(backend).function(ttl=60, key=lambda: 1)(load)

    old, new = (pydantic.create_model('M', x=int), pydantic.create_model('M', x=int, y=(int, 5)))
    assert await loader(old)() == old(x=1)
    assert await loader(new)() == new(x=1)
    assert len(runs) == 2
    assert await loader(old)() == old(x=1)
    assert len(runs) == 2
