"""A given default and an omitted one share an entry where the endpoint gets the same, and no code runs for that."""

import enum
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from fastapi import Cookie, Depends, FastAPI, Header, Query
from fastapi.testclient import TestClient
from pydantic import AfterValidator, BeforeValidator, ByteSize

from tests.support import caching_router, client_of, marks, memory_cache, twins


class Colour(enum.Enum):
    RED = 'red'


class Size(enum.Enum):
    RED = 'red'


class Searching(enum.Enum):
    RED = 'red'

    @classmethod
    def _missing_(cls, value):
        looked_up.append(value)
        return cls.RED


class Text(str):
    """A text that an endpoint can tell from others."""

    __slots__ = ()


looked_up: list[object] = []


@pytest.mark.parametrize(
    ('annotation', 'default', 'given'),
    [
        (str, 'a', 'a'),
        (int, 1, '01'),
        (float, 1.5, '1.50'),
        (bool, True, 'yes'),
        (int | None, 1, '1'),
        (Decimal, Decimal('1.0'), '1.0'),
        (date, date(2026, 1, 1), '2026-01-01'),
        (datetime, datetime(2026, 1, 1, tzinfo=timezone.utc), '2026-01-01T00:00:00Z'),
        (timedelta, timedelta(hours=1), 'PT1H'),
        (UUID, UUID(int=1), str(UUID(int=1))),
        (Colour, Colour.RED, 'red'),
        (Literal['a', 'b'], 'a', 'a'),
        (list[int], [1], '1'),
        (tuple[int, ...], (1,), '1'),
        (set[str], {'a'}, 'a'),
        (Annotated[int, Query(ge=0)], 1, '1'),
        (Any, 'a', 'a'),
    ],
)
def test_a_plain_value_that_is_the_default_shares_its_entry(annotation, default, given):
    router, cache, runs = caching_router(), memory_cache(), []

    @router.get('/')
    @cache(ttl=60)
    async def endpoint(it: Annotated[annotation, Query()] = default):
        runs.append(it)
        return 1

    client = client_of(router)
    assert marks(client.get('/'), client.get('/', params={'it': given})) == ['MISS', 'HIT']
    assert len(runs) == 1


@pytest.mark.parametrize(
    ('annotation', 'default', 'given'),
    [
        (ByteSize, 1000, '1kb'),
        (ByteSize, ByteSize(1000), '1kb'),
        (int, ByteSize(1000), '1000'),
        (int, True, '1'),
        (float, 1, '1.0'),
        (str, Text('a'), 'a'),
        (Decimal, Decimal('1.0'), '1.00'),
        (float, -0.0, '0.0'),
        (list[float], [1], '1.0'),
        (Size, Colour.RED, 'red'),
    ],
)
def test_a_value_that_an_endpoint_can_tell_from_the_default_has_an_entry_of_its_own(annotation, default, given):
    router, cache, plain = caching_router(), memory_cache(), FastAPI()

    async def endpoint(it: Annotated[annotation, Query()] = default):
        return [type(it).__name__, repr(it)]

    plain.get('/')(endpoint)
    router.get('/')(cache(ttl=60)(endpoint))
    cached, uncached = client_of(router), TestClient(plain)
    for params in ({}, {'it': given}, {}, {'it': given}):
        assert cached.get('/', params=params).json() == uncached.get('/', params=params).json()


@pytest.mark.parametrize('place', [Query, Header, Cookie])
@pytest.mark.parametrize('validator', [BeforeValidator, AfterValidator])
def test_validators_run_in_their_turn_alone_and_never_for_a_key(place, validator):
    router, cache, order = caching_router(), memory_cache(), []

    def note(value):
        order.append(value)
        return value

    def dependency():
        order.append('dependency')

    async def endpoint(
        it: Annotated[str, validator(note), place()] = 'default', _: Annotated[Any, Depends(dependency)] = None
    ):
        order.append('endpoint')
        return it

    router.get('/')(cache(ttl=60)(endpoint))
    plain = FastAPI()
    plain.get('/')(endpoint)
    asked = {'params': {'it': 'a'}, 'headers': {'it': 'a', 'cookie': 'it=a'}}
    TestClient(plain).get('/', **asked)
    as_uncached = order[:]
    order.clear()
    client = client_of(router)
    assert marks(client.get('/', **asked)) == ['MISS']
    assert order == as_uncached
    assert marks(client.get('/', **asked)) == ['HIT']
    assert order == as_uncached


def test_an_enum_that_looks_values_up_is_not_asked_for_a_key():
    router, cache = caching_router(), memory_cache()

    @router.get('/')
    @cache(ttl=60)
    async def endpoint(it: Searching = Searching.RED):
        return it

    client = client_of(router)
    assert marks(client.get('/?it=other'), client.get('/?it=other')) == ['MISS', 'HIT']
    assert looked_up == ['other']


def test_an_entry_of_a_key_builder_never_outlives_a_change_of_overrides():
    router, cache, app = caching_router(), memory_cache(), FastAPI()

    def source():
        return 'real'

    @router.get('/')
    @cache(ttl=60, key_builder=lambda request: 'key')
    async def endpoint(of: Annotated[str, Depends(source)]):
        return of

    app.include_router(router)
    client = TestClient(app)
    assert [client.get('/').json() for _ in range(2)] == ['real'] * 2
    for number in range(2):
        app.dependency_overrides[source] = lambda number=number: f'fake {number}'
        assert [client.get('/').json() for _ in range(2)] == [f'fake {number}'] * 2
    app.dependency_overrides.clear()
    again = client.get('/')
    assert (again.json(), again.headers['x-cache']) == ('real', 'HIT')


@pytest.mark.anyio
async def test_what_a_key_builder_keys_is_invalidated_by_its_key_while_dependencies_are_overridden():
    router, cache, app, runs = caching_router(), memory_cache(), FastAPI(), []

    def source():
        return 'real'

    @router.get('/')
    @cache(ttl=60, key_builder=lambda request: 'key')
    async def endpoint(of: Annotated[str, Depends(source)]):
        runs.append(of)
        return of

    app.include_router(router)
    app.dependency_overrides[source] = lambda: 'fake'
    client = TestClient(app)
    client.get('/')
    await cache.invalidate_cached('key')
    assert client.get('/').headers['x-cache'] == 'MISS'
    assert runs == ['fake', 'fake']


def test_an_invalid_value_is_not_taken_for_the_default_none():
    async def endpoint(limit: int | None = None):
        return limit

    cached, plain = twins(endpoint)
    for path in ('/', '/?limit=x', '/'):
        assert cached.get(path).status_code == plain.get(path).status_code


BERLIN = datetime(2026, 1, 1, tzinfo=ZoneInfo('Europe/Berlin'))


@pytest.mark.parametrize(
    ('default', 'given', 'shared'),
    [
        (datetime(2026, 1, 1, tzinfo=timezone.utc), '2026-01-01T00:00:00Z', True),
        (datetime(2026, 1, 1, tzinfo=timezone.utc), '2026-01-01T01:00:00+01:00', False),
        (BERLIN, '2026-01-01T00:00:00+01:00', False),
    ],
)
def test_a_moment_is_its_default_only_where_nobody_can_tell(default, given, shared):
    async def endpoint(at: datetime = default):
        return f'{at} {at.tzname()}'

    cached, _ = twins(endpoint)
    assert marks(cached.get('/'), cached.get('/', params={'at': given})) == ['MISS', 'HIT' if shared else 'MISS']


def test_a_list_made_anew_each_time_is_a_default_like_any_other():
    async def endpoint(q: Annotated[list[str], Query(default_factory=list)]):
        return q

    cached, _ = twins(endpoint)
    assert marks(cached.get('/'), cached.get('/?utm_source=a'), cached.get('/?q=a')) == ['MISS', 'HIT', 'MISS']
