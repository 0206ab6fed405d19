"""Writes invalidate their own path."""

import asyncio

import pytest
from aiocache import RedisCache
from fastapi import APIRouter, BackgroundTasks, Depends, FastAPI, HTTPException, Response
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.testclient import TestClient

from fastapi_caching_route import ConfigurationError, FastAPICache
from tests.routes.shop import THINGS, shop
from tests.support import caching_router, client_of, closing, found, marks, memory_cache


@pytest.mark.parametrize('method', ['PUT', 'PATCH', 'DELETE', 'POST', 'PURGE'])
def test_a_write_invalidates_its_own_path(cache, backend, method):
    router, writes, *_ = shop(cache)

    @writes.api_route('/things', methods=[method])
    @writes.api_route('/things/{any_name}', methods=[method])
    async def write():
        return 'written'

    with client_of(router, writes) as client:
        found(client, *THINGS)
        assert client.request(method, '/things/7').status_code == 200
        assert found(client, *THINGS) == ['HIT', 'HIT', 'MISS', 'HIT']
        assert client.request(method, '/things').status_code == 200
        assert found(client, *THINGS) == ['MISS', 'MISS', 'HIT', 'HIT']
        client.portal.call(closing, backend)


@pytest.mark.parametrize(
    'case', ['switched off', 'an error', 'an exception', 'a safe method', 'a plain route', 'decorated']
)
def test_a_write_invalidates_nothing_where_it_must_not(case):
    cache = memory_cache(invalidate_on_write=case != 'switched off')
    router, writes, *_ = shop(cache, **({'route_class': APIRouter().route_class} if case == 'a plain route' else {}))
    decorate = cache(ttl=60) if case == 'decorated' else lambda it: it

    @writes.api_route('/things/7', methods=['OPTIONS'] if case == 'a safe method' else ['POST'])
    @decorate
    async def write():
        if case == 'an exception':
            raise HTTPException(409)
        return JSONResponse('no', 404) if case == 'an error' else 'written'

    client = client_of(router, writes)
    found(client, *THINGS)
    client.request('OPTIONS' if case == 'a safe method' else 'POST', '/things/7')
    assert found(client, *THINGS) == ['HIT'] * 4


def test_a_write_of_a_path_that_nobody_caches_costs_the_store_nothing(redis_port):
    backend = RedisCache(endpoint='127.0.0.1', port=redis_port, namespace='quiet')
    cache = FastAPICache(backend, store_timeout=5)
    router, writes, *_ = shop(cache)

    @writes.post('/elsewhere')
    async def write():
        return 'written'

    with client_of(router, writes) as client:
        found(client, '/things')
        before = client.portal.call(backend.client.get, 'quiet::%last')
        client.post('/elsewhere')
        assert client.portal.call(backend.client.get, 'quiet::%last') == before
        client.portal.call(closing, backend)


def test_a_write_behind_prefixes_and_mounts_invalidates_its_own_path():
    cache = memory_cache()
    router, writes, *_ = shop(cache)

    @writes.put('/things/{thing_id}')
    async def write(thing_id: int):
        return 'written'

    inner, outer = FastAPI(), FastAPI()
    inner.include_router(router, prefix='/{tenant}')
    inner.include_router(writes, prefix='/{tenant}')
    outer.mount('/api', inner)
    client = TestClient(outer)
    paths = ['/api/a/things/7', '/api/b/things/7', '/api/a/things']
    found(client, *paths)
    client.put('/api/a/things/7')
    assert found(client, *paths) == ['MISS', 'HIT', 'HIT']
    asyncio.run(cache.invalidate_path('/api/b', prefix=True))
    assert found(client, *paths) == ['HIT', 'MISS', 'HIT']


def test_a_stream_that_writes_until_its_end_invalidates_at_its_end_too():
    cache = memory_cache()
    router, writes, *_ = shop(cache)
    seen = []

    @writes.post('/things')
    async def write():
        async def stream():
            yield b'1'
            seen.extend(found(client, '/things'))  # somebody reads while it is written
            yield b'2'

        return StreamingResponse(stream())

    client = client_of(router, writes)
    found(client, '/things')
    client.post('/things')
    assert (seen, found(client, '/things')) == (['MISS'], ['MISS'])


def test_what_a_dependency_commits_in_its_teardown_is_read_by_the_next_request():
    cache, router, rows = memory_cache(), caching_router(), {'committed': 'old'}
    client = None
    meanwhile = []

    @router.get('/row')
    @cache(ttl=60)
    async def read():
        return rows['committed']

    async def session():
        yield
        meanwhile.extend(client.get('/row').json() for _ in range(2))  # somebody reads before the commit
        rows['committed'] = 'new'

    @router.put('/row', dependencies=[Depends(session)])
    async def write():
        return 'written'

    client = client_of(router)
    client.get('/row')
    client.put('/row')
    assert meanwhile == ['old', 'old']
    assert client.get('/row').json() == 'new'


def test_what_a_background_task_writes_is_read_by_the_next_request():
    cache, router, rows = memory_cache(), caching_router(), ['old']

    @router.get('/row')
    @cache(ttl=60)
    async def read():
        return rows[-1]

    @router.put('/row')
    async def write(tasks: BackgroundTasks):
        tasks.add_task(lambda: [client.get('/row'), rows.append('new')])

    client = client_of(router)
    client.get('/row')
    client.put('/row')
    assert client.get('/row').json() == 'new'


def test_a_write_in_a_mounted_router_invalidates_its_own_path():
    cache = memory_cache()
    router, *_ = shop(cache)

    @router.put('/things/{thing_id}')
    async def write(thing_id: int):
        return 'written'

    app = FastAPI()
    app.mount('/in', router)
    client = TestClient(app)
    found(client, '/in/things/7', '/in/things/8')
    client.put('/in/things/7')
    assert found(client, '/in/things/7', '/in/things/8') == ['MISS', 'HIT']


def test_a_write_invalidates_its_own_path_in_a_mounted_app_too():
    cache = memory_cache()
    router, writes, *_ = shop(cache)

    @writes.put('/things/{thing_id}')
    async def write(thing_id: int):
        return 'written'

    inner, outer = FastAPI(), FastAPI()
    inner.include_router(router)
    outer.include_router(writes, prefix='/a')
    outer.mount('/a', inner)
    outer.mount('/b', inner)
    client = TestClient(outer)
    paths = ['/a/things/7', '/b/things/7', '/a/things/8']
    found(client, *paths)
    assert client.put('/a/things/7').status_code == 200
    assert found(client, *paths) == ['MISS', 'HIT', 'HIT']


@pytest.mark.parametrize('named', ['/things/1', 'http://TESTSERVER:80/things/1'])
def test_a_write_invalidates_what_it_names_wherever_that_is_served(named):
    router, cache = caching_router(), memory_cache()

    @router.get('/things/{number}')
    @cache(ttl=60)
    async def read(number: int):
        return number

    @router.post('/elsewhere')
    async def write():
        return Response(status_code=201, headers={'location': named})

    client = client_of(router)
    client.get('/things/1')
    client.post('/elsewhere')
    assert marks(client.get('/things/1')) == ['MISS']


@pytest.mark.parametrize(
    ('pattern', 'gone'),
    [('/files/{owner}/*', ['/files/a/x', '/files/a/x/y']), ('/files/*', ['/files/a/x', '/files/b'])],
)
def test_a_write_may_name_all_paths_below_one(pattern, gone):
    router, cache = caching_router(), memory_cache()

    @router.get('/files/{path:path}')
    @cache(ttl=60)
    async def read(path: str):
        return path

    @router.put('/owners/{owner}')
    @cache.invalidates(paths=[pattern])
    async def write(owner: str): ...

    client, paths = client_of(router), ['/files/a', '/files/a/x', '/files/a/x/y', '/files/b', '/others/a']
    for path in paths:
        client.get(path)
    client.put('/owners/a')
    missing = [path for path in gone if marks(client.get(path)) == ['MISS']]
    assert missing == gone


def test_a_star_in_the_value_of_a_write_is_no_pattern():
    router, cache = caching_router(), memory_cache()

    @router.get('/files/{name:path}')
    @cache(ttl=60)
    async def read(name: str):
        return name

    @router.put('/writes/{name}')
    @cache.invalidates(paths=['/files/{name}'])
    async def write(name: str): ...

    client = client_of(router)
    assert found(client, '/files/a', '/files/*') == ['MISS', 'MISS']
    assert client.put('/writes/*').status_code == 200
    assert found(client, '/files/a', '/files/*') == ['HIT', 'MISS']


@pytest.mark.parametrize('pattern', ['/files/*/x', '/files/{name}*'])
def test_a_pattern_that_cannot_be_followed_is_refused_when_the_route_is_built(pattern):
    with pytest.raises(ConfigurationError, match='the only pattern for paths'):
        memory_cache().invalidates(paths=[pattern])
