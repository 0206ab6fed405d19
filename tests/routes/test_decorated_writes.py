"""`@cache.invalidates(...)`: writes that name what they invalidate."""

import asyncio
from typing import Annotated

import pytest
from fastapi import APIRouter, Body, Depends, FastAPI, HTTPException, Response
from fastapi.responses import JSONResponse, StreamingResponse

from fastapi_caching_route import CachingRoute, ConfigurationError, FastAPICache
from tests.backends.fakes import Elsewhere
from tests.routes.shop import ROUTE_CLASSES, THINGS, shop
from tests.support import FASTAPI, asgi_scope, caching_router, client_of, closing, found, marks, memory_cache, patient


@ROUTE_CLASSES
@pytest.mark.parametrize('kind', ['async', 'sync'])
@pytest.mark.parametrize(
    ('options', 'expected'),
    [
        ({'tags': ['thing:{thing_id}']}, ['HIT', 'HIT', 'MISS', 'HIT']),
        ({'tags': lambda request: [f'thing:{request.headers["x-thing"]}']}, ['HIT', 'HIT', 'HIT', 'MISS']),
        ({'paths': ['/things/{thing_id}', '/things']}, ['MISS', 'MISS', 'MISS', 'HIT']),
        ({'endpoints': ['list_things']}, ['MISS', 'MISS', 'HIT', 'HIT']),
    ],
)
def test_a_decorated_write_invalidates_what_it_names(cache, backend, route_class, options, kind, expected):
    router, writes, list_things, *_ = shop(cache, route_class=route_class)
    if 'endpoints' in options:
        options = {'endpoints': [list_things]}

    if kind == 'async':

        @writes.post('/change/{thing_id}')
        @cache.invalidates(**options)
        async def write(thing_id: int, change: Annotated[str, Body()]) -> str:
            return change
    else:

        @writes.post('/change/{thing_id}')
        @cache.invalidates(**options)
        def write(thing_id: int, change: Annotated[str, Body()]) -> str:
            return change

    with client_of(router, writes) as client:
        found(client, *THINGS)
        response = client.post('/change/07', json='new', headers={'x-thing': '8'})
        assert (response.status_code, response.json()) == (200, 'new')
        assert found(client, *THINGS) == expected
        assert client.post('/change/x', json='new').status_code == 422
        schema = client.get('/openapi.json').json()['paths']['/change/{thing_id}']['post']
        assert [it['name'] for it in schema['parameters']] == ['thing_id']
        client.portal.call(closing, backend)


@ROUTE_CLASSES
def test_without_an_argument_a_write_invalidates_its_own_path(route_class):
    cache = memory_cache(invalidate_on_write=False)
    router, writes, *_ = shop(cache, route_class=route_class)

    @writes.put('/things/{thing_id}')
    @cache.invalidates()
    async def write(thing_id: int):
        return 'written'

    client = client_of(router, writes)
    found(client, *THINGS)
    client.put('/things/7')
    assert found(client, *THINGS) == ['HIT', 'HIT', 'MISS', 'HIT']


@ROUTE_CLASSES
@pytest.mark.parametrize('failure', ['exception', 'response', 'status', 'in a dependency', 'invalid answer'])
def test_a_decorated_write_that_fails_invalidates_nothing(route_class, failure):
    cache = memory_cache()
    router, writes, *_ = shop(cache, route_class=route_class)

    async def dependency(response: Response):
        if failure == 'in a dependency':
            response.status_code = 409

    @writes.post('/change', dependencies=[Depends(dependency)])
    @cache.invalidates(paths=['/things'])
    async def write(response: Response):
        if failure == 'exception':
            raise HTTPException(409)
        if failure == 'status':
            response.status_code = 409
        return JSONResponse('no', 409) if failure == 'response' else 'written'

    client = client_of(router, writes)
    found(client, *THINGS)
    expected = 200 if failure == 'invalid answer' else 409
    assert client.post('/change').status_code == expected
    assert found(client, *THINGS)[0] == ('MISS' if expected == 200 else 'HIT')


def test_a_decorator_of_a_write_works_above_its_route_on_a_caching_route():
    cache = memory_cache()
    router, writes, *_ = shop(cache)

    @cache.invalidates(tags=['thing:{thing_id}'])
    @cache.invalidates(paths=['/things'])
    @writes.post('/change/{thing_id}')
    async def write(thing_id: int):
        return 'written'

    client = client_of(router, writes)
    found(client, *THINGS)
    client.post('/change/7')
    assert found(client, *THINGS) == ['MISS', 'MISS', 'MISS', 'HIT']


@ROUTE_CLASSES
def test_query_parameters_of_a_write_fill_in_its_tags_and_paths_as_the_route_validates_them(route_class):
    cache = memory_cache()
    router, writes, *_ = shop(cache, route_class=route_class)

    @writes.post('/tagged')
    @cache.invalidates(tags=['thing:{thing_id}'])
    async def tagged(thing_id: int = 7):
        return 'written'

    @writes.post('/of/{kind}')
    @cache.invalidates(paths=['/{kind}/{thing_id}'])
    async def of_kind(kind: str, thing_id: int):
        return 'written'

    client = client_of(router, writes)
    for write in ('/tagged?thing_id=07', '/tagged', '/of/things?thing_id=7&kind=other'):
        found(client, *THINGS)
        assert client.post(write).status_code == 200
        assert found(client, *THINGS) == ['HIT', 'HIT', 'MISS', 'HIT']


@ROUTE_CLASSES
def test_several_decorators_of_one_write_all_count(route_class):
    cache, other = memory_cache(), memory_cache()
    router, writes, *_ = shop(cache, route_class=route_class)

    @router.get('/other')
    @other(ttl=60)
    async def of_other():
        return 1

    @writes.post('/change/{thing_id}')
    @other.invalidates(endpoints=[of_other])
    @cache.invalidates(tags=['thing:{thing_id}'])
    @cache.invalidates(paths=['/things'])
    async def write(thing_id: int):
        return 'written'

    client = client_of(router, writes)
    found(client, *THINGS, '/other')
    client.post('/change/7')
    assert found(client, *THINGS, '/other') == ['MISS', 'MISS', 'MISS', 'HIT', 'MISS']


async def test_a_decorated_write_can_be_called_like_any_function():
    cache = memory_cache()

    @cache.invalidates(tags=['a'])
    async def write(thing_id: int) -> int:
        """What it does."""
        return thing_id

    @cache.invalidates(tags=['a'])
    def write_in_thread(thing_id: int) -> int:
        return thing_id

    assert await write(7) == 7
    assert write_in_thread(thing_id=7) == 7
    assert (write.__name__, write.__doc__, write.__module__) == ('write', 'What it does.', __name__)


@pytest.mark.parametrize(
    ('decorate', 'message'),
    [
        (lambda cache: cache(tags='user'), 'tags must be a list of str'),
        (lambda cache: cache(tags=['user:{user.id}']), 'with names of parameters in braces'),
        (lambda cache: cache(tags=['user:{}']), 'with names of parameters in braces'),
        (lambda cache: cache(tags=['user:{user_id!r}']), 'with names of parameters in braces'),
        (lambda cache: cache(tags=['user:{']), 'with names of parameters in braces'),
        (lambda cache: cache(tags=['user:{nobody}']), "'user:{nobody}' names nobody, .* its parameters: user_id"),
        (lambda cache: cache(stale_while_revalidate=-1), 'stale_while_revalidate must be a number of seconds'),
        (lambda cache: cache(stale_if_error='1'), 'stale_if_error must be a number of seconds'),
        (lambda cache: cache.invalidates(tags=['user:{nobody}']), "'user:{nobody}' names nobody"),
        (lambda cache: cache.invalidates(paths=['/{nobody}']), "'/{nobody}' names nobody"),
        (lambda cache: cache.invalidates(paths='/users'), 'paths must be a list of str'),
        (lambda cache: cache.invalidates(endpoints=[len]), 'not decorated with this cache'),
        (lambda cache: cache.invalidates(len), 'needs parentheses'),
    ],
)
@pytest.mark.parametrize('above', [False, True])
def test_a_mistake_is_found_when_the_route_is_built(decorate, message, above):
    cache, router = memory_cache(), caching_router()

    async def endpoint(user_id: int):
        return user_id

    route = router.get('/{user_id}')
    with pytest.raises(ConfigurationError, match=message):
        decorate(cache)(route(endpoint)) if above else route(decorate(cache)(endpoint))


class Methods:
    def __init__(self, number):
        self.number = number

    async def read(self):
        return self.number

    async def write(self):
        return self.number


@ROUTE_CLASSES
def test_bound_methods_read_and_write_too(route_class):
    cache = memory_cache(invalidate_on_write=False)
    router, writes = caching_router(), APIRouter(route_class=route_class)
    one, two = Methods(1), Methods(2)
    for number, it in enumerate((one, two), 1):
        read = cache.invalidates(tags=['x'])(cache(ttl=60, tags=[f'of {number}'])(it.read))
        router.get(f'/{number}')(cache(ttl=60, tags=[f'of {number}'])(it.read) if number == 1 else read)
        writes.put(f'/{number}')(cache.invalidates(tags=[f'of {number}'])(it.write))
    client = client_of(router, writes)
    assert found(client, '/1', '/2', '/1', '/2') == ['MISS', 'MISS', 'HIT', 'HIT']
    client.put('/2')
    assert found(client, '/1', '/2') == ['HIT', 'MISS']
    asyncio.run(cache.invalidate_endpoint(one.read))
    assert found(client, '/1', '/2') == ['MISS', 'HIT']


def test_a_cached_post_that_invalidates_something_does_so_only_when_its_endpoint_runs():
    cache = memory_cache()
    router, runs = caching_router(), []

    @router.get('/counted')
    @cache(ttl=60, tags=['counted'])
    async def counted():
        return len(runs)

    @router.post('/search')
    @cache(ttl=60)
    @cache.invalidates(tags=['counted'])
    async def search(text: Annotated[str, Body()]):
        runs.append(text)
        return text

    client = client_of(router)
    found(client, '/counted')
    assert marks(client.post('/search', json='a')) == ['MISS']
    assert found(client, '/counted') == ['MISS']
    assert marks(client.post('/search', json='a')) == ['HIT']
    assert found(client, '/counted') == ['HIT']


PLAIN = APIRouter().route_class


@pytest.mark.parametrize('route_class', [CachingRoute, PLAIN])
@pytest.mark.parametrize('kind', ['async', 'sync', 'async stream', 'sync stream'])
def test_a_stream_of_a_decorated_write_invalidates_at_its_end(route_class, kind):
    cache = memory_cache(invalidate_on_write=False)
    router, writes, *_ = shop(cache, route_class=route_class)
    seen = []

    def parts():
        yield b'1'
        seen.extend(found(client, '/things'))
        yield b'2'

    async def async_parts():
        for part in parts():
            yield part

    if kind == 'async':

        @writes.post('/change')
        @cache.invalidates(paths=['/things'])
        async def write():
            return StreamingResponse(async_parts())
    elif kind == 'sync':

        @writes.post('/change')
        @cache.invalidates(paths=['/things'])
        def write():
            return StreamingResponse(async_parts())
    elif FASTAPI < (0, 160):
        pytest.skip('endpoints that yield came later')
    elif kind == 'async stream':

        @writes.post('/change', response_class=StreamingResponse)
        @cache.invalidates(paths=['/things'])
        async def write():
            async for part in async_parts():
                yield part
    else:

        @writes.post('/change', response_class=StreamingResponse)
        @cache.invalidates(paths=['/things'])
        def write():
            yield from parts()

    client = client_of(router, writes)
    found(client, '/things')
    assert client.post('/change').content == b'12'
    assert (len(seen), found(client, '/things')) == (1, ['MISS'])


@ROUTE_CLASSES
@pytest.mark.parametrize(('status', 'expected'), [(303, 'MISS'), (202, 'MISS'), (404, 'HIT')])
@pytest.mark.parametrize('kind', ['async', 'sync'])
def test_a_write_may_raise_its_answer(route_class, status, expected, kind):
    cache = memory_cache(invalidate_on_write=False)
    router, writes, *_ = shop(cache, route_class=route_class)

    def write():
        raise HTTPException(status, headers={'location': '/things'})

    async def write_async():
        write()

    writes.post('/change')(cache.invalidates(paths=['/things'])(write if kind == 'sync' else write_async))
    client = client_of(router, writes)
    found(client, '/things')
    assert client.post('/change', follow_redirects=False).status_code == status
    assert found(client, '/things') == [expected]


@ROUTE_CLASSES
def test_a_static_method_can_be_a_decorated_write(route_class):
    cache = memory_cache(invalidate_on_write=False)
    router, writes, *_ = shop(cache, route_class=route_class)

    class Static:
        @cache.invalidates(paths=['/things'])
        @staticmethod
        async def write():
            return 'written'

    writes.post('/change')(Static.write)
    client = client_of(router, writes)
    found(client, '/things')
    assert client.post('/change').json() == 'written'
    assert found(client, '/things') == ['MISS']


async def test_a_stream_has_invalidated_before_its_client_has_the_end_of_it():
    backend = Elsewhere()
    cache = FastAPICache(backend, store_timeout=5)
    router, writes, *_ = shop(cache)

    @writes.post('/things')
    async def write():
        return StreamingResponse(iter([b'1', b'2']))

    app, written = FastAPI(), []
    app.include_router(router)
    app.include_router(writes)

    async def send(message):
        if message['type'] == 'http.response.start' or not message.get('more_body', False):
            written.append(backend.commands.count('set'))

    await app(asgi_scope('POST', '/things'), patient(), send)
    at_the_start, at_the_end = written
    assert at_the_end == 2 * at_the_start > 0
