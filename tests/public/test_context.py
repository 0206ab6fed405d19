"""`CacheContext`: it decides about one response, and names its cache key."""

import asyncio
from typing import Annotated

import pytest
from aiocache import SimpleMemoryCache
from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import StreamingResponse

from fastapi_caching_route import CacheContext, CacheContextDep, ConfigurationError, FastAPICache
from tests.support import caching_router, client_of, closing, found, marks, memory_cache


def test_the_context_decides_about_this_answer_alone(backend, clock):
    cache, router, keys = FastAPICache(backend, store_timeout=5, clock=clock), caching_router(), []

    async def dependency(context: Annotated[CacheContext, Depends()]):
        context.tags.add('by dependency')

    @router.get('/{kind}', dependencies=[Depends(dependency)])
    @cache(ttl=60)
    async def endpoint(kind: str, context: Annotated[CacheContext, Depends()]):
        keys.append(context.key)
        match kind:
            case 'short':
                context.ttl = 5
            case 'long':
                context.ttl = 100
            case 'over':
                context.ttl = -3.5
            case 'secret':
                context.no_store('it is\r\nX-Evil: a "secret"')
            case 'tagged':
                context.tags |= {'by endpoint'}
            case 'window':
                context.stale_while_revalidate = 10
        return kind

    with client_of(router) as client:
        kinds = ('plain', 'short', 'long', 'over', 'secret', 'tagged', 'window')
        first = {kind: client.get(f'/{kind}') for kind in kinds}
        assert {kind for kind, response in first.items() if 'x-cache' not in response.headers} == {'over', 'secret'}
        assert (
            first['secret'].headers['cache-status']
            == 'FastAPICache; fwd=uri-miss; detail="it is??X-Evil: a \\"secret\\""'
        )
        assert [key.partition(':')[0] for key in keys] == ['GET'] * len(kinds)
        clock.now += 6
        assert found(client, '/plain', '/short', '/long') == ['HIT', 'MISS', 'HIT']
        client.portal.call(cache.invalidate_tags, 'by endpoint')
        assert found(client, '/plain', '/tagged') == ['HIT', 'MISS']
        clock.now += 55
        assert client.get('/window').headers['cache-status'] == 'FastAPICache; hit; ttl=-1'
        assert found(client, '/plain', '/window', '/long') == ['MISS', 'HIT', 'HIT']
        client.portal.call(cache.invalidate_tags, 'by dependency')
        assert found(client, '/plain', '/window', '/long') == ['MISS', 'MISS', 'MISS']
        client.portal.call(closing, backend)


def test_the_context_is_not_raw_access_and_not_a_guard():
    cache, router = memory_cache(), caching_router()

    @router.get('/')
    @cache(ttl=60)
    async def endpoint(context: Annotated[CacheContext, Depends()]):
        return 1

    client = client_of(router)
    client.get('/?a=1', headers={'cookie': 'a=b', 'x-any': 'thing'})
    assert marks(client.get('/', headers={'authorization': 'x'})) == ['HIT']


def test_the_context_is_harmless_where_nothing_is_cached():
    router = APIRouter()

    @router.get('/')
    async def endpoint(context: Annotated[CacheContext, Depends()]):
        context.ttl = 5
        context.tags = ['a']
        context.stale_if_error = None
        context.no_store()
        return [context.key, context.ttl, context.tags, context.stale_if_error, context.stale_while_revalidate]

    assert client_of(router).get('/').json() == [None, 5, ['a'], None, None]


@pytest.mark.parametrize(
    ('name', 'value'), [('ttl', 'x'), ('ttl', float('nan')), ('stale_if_error', []), ('tags', 'abc'), ('tags', 7)]
)
def test_the_context_takes_no_nonsense(name, value):
    context = CacheContext(Request({'type': 'http'}))
    with pytest.raises(ConfigurationError, match=name):
        setattr(context, name, value)
    with pytest.raises(AttributeError):
        context.key = 'mine'


def test_the_key_of_a_key_builder_is_the_one_to_invalidate_by():
    cache, router, keys = memory_cache(), caching_router(), []

    @router.get('/')
    @cache(ttl=60, key_builder=lambda request: 'my key')
    async def endpoint(context: Annotated[CacheContext, Depends()]):
        keys.append(context.key)
        return 1

    client = client_of(router)
    client.get('/')
    asyncio.run(cache.invalidate_cached(keys[0]))
    assert found(client, '/') == ['MISS']


def test_tags_and_refusals_count_until_the_end_of_a_stream(cache, backend):
    router = caching_router()

    @router.get('/{kind}')
    @cache(ttl=60)
    async def endpoint(kind: str, context: Annotated[CacheContext, Depends()]):
        async def stream():
            yield b'1'
            if kind == 'tagged':
                context.tags.add('late')
            else:
                context.no_store('half of it is missing')
            yield b'2'

        return StreamingResponse(stream())

    with client_of(router) as client:
        assert found(client, '/tagged', '/tagged') == ['MISS', 'HIT']
        assert found(client, '/refused', '/refused') == ['MISS', 'MISS']
        client.portal.call(cache.invalidate_tags, 'late')
        assert found(client, '/tagged') == ['MISS']
        client.portal.call(closing, backend)


# A key from the context


@pytest.mark.parametrize('taken', [CacheContextDep, Request, Response])
def test_a_guard_gets_the_key_on_a_hit_too(taken):
    cache, router, keys = memory_cache(), caching_router(), []

    async def guard(context: CacheContextDep, other: taken):
        keys.append(context.key)

    @router.get('/', dependencies=[Depends(guard)])
    @cache(ttl=60)
    async def endpoint(context: CacheContextDep):
        keys.append(context.key)

    assert found(client_of(router), '/', '/') == ['MISS', 'HIT']
    assert keys[0] is not None
    assert keys == [keys[0]] * 3


@pytest.mark.parametrize('namespace', [None, 'shop'])
@pytest.mark.parametrize('root', ['', 'app'])
@pytest.mark.parametrize(
    'key_builder', [None, lambda _: 'a key', lambda _: 'GET:/items/1'], ids=['declared', 'built', 'looks declared']
)
def test_the_key_of_the_context_finds_its_entry(namespace, root, key_builder):
    cache, router, keys = FastAPICache(SimpleMemoryCache(namespace=root)), caching_router(), []

    @router.get('/items/{number}')
    @cache(ttl=60, namespace=namespace, key_builder=key_builder)
    async def endpoint(number: int, context: Annotated[CacheContext, Depends()]):
        keys.append(context.key)
        return number

    with client_of(router) as client:
        assert marks(client.get('/items/1'), client.get('/items/1')) == ['MISS', 'HIT']
        for given in {None, namespace}:
            assert client.portal.call(cache.get_cached, keys[-1], given).body == b'1'
            assert client.portal.call(cache.invalidate_cached, keys[-1], given) == 1
            assert client.portal.call(cache.get_cached, keys[-1], given) is None
            assert marks(client.get('/items/1'), client.get('/items/1')) == ['MISS', 'HIT']
        assert client.portal.call(cache.get_cached, keys[-1], 'another') is None
    assert len(keys) == 1 + len({None, namespace})


def test_the_text_of_a_key_does_not_find_the_entry_of_another_cache():
    cache, router, keys = memory_cache(), caching_router(), []

    @router.get('/')
    @cache(ttl=60)
    async def endpoint(context: Annotated[CacheContext, Depends()]):
        keys.append(context.key)

    client_of(router).get('/')
    assert asyncio.run(cache.get_cached(str(keys[0]))) is not None
    assert asyncio.run(memory_cache().get_cached(str(keys[0]))) is None


def test_the_cache_itself_is_a_dependency_that_adds_nothing_to_the_key():
    cache, router = memory_cache(), caching_router()
    Cache = Annotated[FastAPICache, Depends(cache.dependency)]  # noqa: N806, it is a type

    @router.get('/{name}')
    @cache(ttl=60, tags=['{name}'])
    async def read(name: str, given: Cache):
        return given is cache

    @router.post('/{name}')
    async def write(name: str, given: Cache):
        await given.invalidate_tags(name)

    client = client_of(router)
    assert client.get('/a').json() is True
    assert marks(client.get('/a', headers={'x-any': '1', 'cookie': 'a=1'})) == ['HIT']
    assert client.post('/a').status_code == 200
    assert marks(client.get('/a')) == ['MISS']
    (report,) = [it for it in cache.explain(client.app) if 'GET' in it.methods and it.path == '/{name}']
    assert report.key == ('path name',)
    assert report.guards == ()
