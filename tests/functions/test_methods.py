"""Methods: `self` is in the key by a stated value, or it is an error."""

import pytest

from fastapi_caching_route import ConfigurationError, FastAPICache


class Shop:
    """Its methods are cached by its name."""

    cache = FastAPICache()

    def __init__(self, name: str) -> None:
        self.name = name
        self.runs = 0

    @cache.function(ttl=60, key={'self': lambda self: self.name})
    async def total(self, year: int) -> str:
        self.runs += 1
        return f'{self.name} {year} {self.runs}'

    @cache.function(ttl=60)
    async def unkeyed(self, year: int) -> int:
        return year

    @cache.function(ttl=60)
    @classmethod
    async def kind(cls, year: int) -> str:
        return f'{cls.__name__} {year}'

    @cache.function(ttl=60)
    @staticmethod
    async def static(year: int) -> int:
        return year


class Bakery(Shop):
    """Another class with the same methods."""


async def test_methods_are_keyed_by_what_is_said_of_self():
    one, other = Shop('one'), Shop('other')
    assert [await one.total(1), await one.total(year=1), await other.total(1)] == ['one 1 1', 'one 1 1', 'other 1 1']
    assert await Shop('one').total(1) == await Shop.total(one, 1) == 'one 1 1'
    assert await Bakery('one').total(1) == 'one 1 1'
    assert one.total.key(1) != Bakery('one').total.key(1)
    await one.total.invalidate(1)
    assert [await one.total(1), await other.total(1)] == ['one 1 2', 'other 1 1']
    with pytest.raises(ConfigurationError, match="the argument 'self' cannot be in a cache key"):
        await one.unkeyed(1)


async def test_class_methods_are_keyed_by_their_class_and_static_ones_have_none():
    assert [await Shop.kind(1), await Bakery.kind(1), await Shop('one').kind(1)] == ['Shop 1', 'Bakery 1', 'Shop 1']
    assert await Shop.static(1) == await Shop('one').static(1) == 1


async def test_a_bound_method_is_keyed_by_its_object():
    class Loader:
        async def load(self, number: int) -> int:
            return number

    bound = FastAPICache().function(ttl=60)(Loader().load)
    with pytest.raises(ConfigurationError, match="the argument 'self'"):
        await bound(1)
