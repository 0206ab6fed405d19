"""What a link may expect of every driver."""

import pytest

from fastapi_caching_route._backends.drivers import AiocacheDriver
from fastapi_caching_route._backends.in_process import InProcessDriver
from fastapi_caching_route._store.wire import Wire
from tests.backends.fakes import Elsewhere


@pytest.fixture(params=['with a server', 'with nothing but what every backend has'])
async def driver(request, backend_kind, backend):
    if request.param != 'with a server':
        backend = Elsewhere()
    is_inside = backend_kind == 'memory' and request.param == 'with a server'
    made = InProcessDriver(backend) if is_inside else AiocacheDriver(backend, Wire(()))
    yield made
    await made.close()


async def test_a_driver_reads_many_keys_at_once(driver, namespace):
    one, two, missing = (f'{namespace}:{it}' for it in ('one', 'two', 'missing'))
    assert await driver.set(one, 'first', 60)
    assert await driver.set(two, 'second', 60)
    assert list(await driver.get_many([two, missing, one])) == ['second', None, 'first']


async def test_a_driver_adds_only_where_there_is_nothing(driver, namespace):
    key = f'{namespace}:key'
    assert await driver.add(key, 'first', 60) is True
    assert await driver.add(key, 'second', 60) is False
    assert list(await driver.get_many([key])) == ['first']


async def test_a_driver_says_how_many_keys_it_has_deleted(driver, namespace):
    key = f'{namespace}:key'
    await driver.set(key, 'first', 60)
    assert [await driver.delete(key) for _ in range(2)] == [1, 0]
    await driver.set(key, 'second', 60)
    await driver.erase(key)
    assert list(await driver.get_many([key])) == [None]


async def test_a_driver_releases_only_the_token_that_it_is_told(driver, namespace):
    key = f'{namespace}:key'
    await driver.add(key, 'mine', 60)
    await driver.release(key, 'yours')
    assert list(await driver.get_many([key])) == ['mine']
    await driver.release(key, 'mine')
    assert list(await driver.get_many([key])) == [None]


@pytest.mark.parametrize('made', [lambda it: AiocacheDriver(it, Wire(())), InProcessDriver])
async def test_a_backend_without_delete_deletes_nothing_and_says_so_where_it_must(made):
    class Plain(Elsewhere):
        async def _delete(self, key, _conn=None):
            raise NotImplementedError

    driver = made(Plain())
    assert await driver.delete('key') == 0
    with pytest.raises(NotImplementedError):
        await driver.erase('key')
