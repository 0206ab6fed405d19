"""Functions of one name that may return different things share nothing, also where the first one is gone."""

import gc

import pytest

from fastapi_caching_route import FastAPICache

pytestmark = pytest.mark.usefixtures('new_objects')


def made(cache, number):
    @cache.function(ttl=60)
    async def inner() -> int:
        return number

    return inner


async def test_functions_that_capture_variables_share_nothing_where_earlier_ones_are_gone():
    cache, results = FastAPICache(), []
    for number in range(3):
        results.append(await made(cache, number)())
        gc.collect()
    assert results == [0, 1, 2]


async def test_a_function_of_another_code_shares_nothing_with_one_that_is_gone():
    cache, results = FastAPICache(), []
    for number in range(3):
        names = {'cache': cache}
        exec(f'@cache.function(ttl=60)\nasync def same() -> int: return {number}', names)  # noqa: S102, it is ours
        results.append(await names['same']())
        del names
        gc.collect()
    assert results == [0, 1, 2]
