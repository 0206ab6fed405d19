"""What type checkers see of cached functions: their own parameters and results."""

from typing import Any

from typing_extensions import assert_type

from fastapi_caching_route import CachedFunction, CachedSyncFunction, CacheLock, FastAPICache

cache = FastAPICache()


@cache.function(ttl=60, tags=['year:{year}'])
async def total(year: int, currency: str = 'EUR') -> dict[str, int]:
    return {currency: year}


@cache.function(ttl=60)
def plain(year: int) -> list[str]:
    return [str(year)]


class Shop:
    @cache.function(ttl=60, key={'self': lambda it: it.name})
    async def orders(self, year: int) -> list[int]:
        return [year]

    @cache.function(ttl=60)
    def rate(self, currency: str) -> float:
        return float(len(currency))


async def use(shop: Shop) -> None:
    assert_type(await total(2025), dict[str, int])
    assert_type(plain(2025), list[str])
    assert_type(await total.uncached(2025, currency='USD'), dict[str, int])
    assert_type(plain.uncached(2025), list[str])
    await total.invalidate(2025, 'USD')
    plain.invalidate(2025)
    await total.invalidate_all(soft=True)
    total.key(2025).encode()
    await total('2025')  # type: ignore[arg-type]
    await total()  # type: ignore[call-arg]
    plain('2025')  # type: ignore[arg-type]
    await total.invalidate('2025')  # type: ignore[arg-type]
    assert_type(await shop.orders(2025), list[int])
    assert_type(shop.rate('EUR'), float)
    await shop.orders.invalidate(2025)
    await shop.orders('2025')  # type: ignore[arg-type]
    cache.function(tll=60)  # type: ignore[call-arg]


async def values() -> None:
    async def rates() -> dict[str, float]:
        return {}

    assert_type(await cache.get_or_set('rates', rates, ttl=60), dict[str, float])
    assert_type(await cache.get_or_set('plain', lambda: 5, returns=int), int)
    async with cache.lock('report', timeout=5, lease=30) as lock:
        assert_type(lock, CacheLock)
        assert_type(lock.seconds_left, float)


def names(function: CachedFunction[..., Any], other: CachedSyncFunction[..., Any]) -> tuple[str, str]:
    return function.key(), other.key()
