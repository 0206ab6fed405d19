"""A response may have any number of tags: very many count in groups, and each of them still ends it."""

import os
from typing import Annotated

import pytest
from aiocache import RedisCache
from fastapi import Depends

from fastapi_caching_route import CacheContext, FastAPICache, MemoryCache
from fastapi_caching_route._core.names import GROUPS, MAX_TAGS, coarser, names_of_tags, tag_name
from tests.backends.fakes import Elsewhere
from tests.support import caching_router, client_of, marks

MANY = 3000


def new_backend(kind, request):
    if kind == 'memory':
        return MemoryCache()
    return RedisCache(
        endpoint='127.0.0.1', port=request.getfixturevalue('redis_port'), namespace=f'tags{os.urandom(4).hex()}'
    )


def app_on(backend, count=MANY, **options):
    cache, router, runs = FastAPICache(backend, **options), caching_router(), []

    @router.get('/callable')
    @cache(ttl=60, tags=lambda request: [f'item:{number}' for number in range(count)])
    def by_callable():
        runs.append('callable')

    @router.get('/context')
    @cache(ttl=60)
    def by_context(context: Annotated[CacheContext, Depends()]):
        context.tags |= {f'item:{number}' for number in range(count)}
        runs.append('context')

    @router.get('/templates/{name}')
    @cache(ttl=60, tags=[f'{{name}}:{number}' for number in range(count)])
    def by_templates(name: str):
        runs.append('templates')

    @router.get('/other/{number}')
    @cache(ttl=60, tags=['other'])
    def other(number: int):
        runs.append('other')

    @router.post('/invalidate/{tag}')
    @cache.invalidates(tags=['{tag}'])
    def invalidate(tag: str):
        pass

    return cache, client_of(router, lifespan=cache.lifespan), runs


@pytest.mark.parametrize('kind', ['memory', 'redis'])
@pytest.mark.parametrize('path', ['/callable', '/context', '/templates/item'])
def test_each_of_very_many_tags_ends_the_response_and_it_is_a_hit_until_then(kind, path, request):
    cache, client, runs = app_on(new_backend(kind, request), store_timeout=2)
    with client:
        for number in (0, 1, MANY // 2, MANY - 1):
            assert marks(client.get(path), client.get(path)) == ['MISS', 'HIT']
            client.post(f'/invalidate/item:{number}')
            assert marks(client.get(path)) == ['MISS']
            client.portal.call(cache.invalidate_tags, f'item:{number}')
        assert len(runs) == 8


def test_very_many_tags_are_answered_and_other_routes_are_not_touched(redis_port, caplog):
    backend = RedisCache(endpoint='127.0.0.1', port=redis_port, namespace=f'tags{os.urandom(4).hex()}')
    _, client, runs = app_on(backend)
    with client:
        for _ in range(6):
            assert client.get('/callable').status_code == 200
        assert marks(client.get('/callable')) == ['HIT']
        assert marks(*(client.get(f'/other/{number}') for number in (1, 1, 2, 2))) == ['MISS', 'HIT', 'MISS', 'HIT']
    assert runs.count('callable') <= 3
    (told,) = [it.getMessage() for it in caplog.records if 'tags' in it.getMessage()]
    assert told.startswith("'/callable' is stored for groups of its tags: there are more than 256")


def test_many_names_that_take_too_long_say_nothing_about_the_store_to_other_routes():
    class SlowForMany(Elsewhere):
        async def _multi_get(self, keys, encoding=None, _conn=None):
            self.slow['multi_get'] = 3 if len(keys) > 100 else 0
            return await super()._multi_get(keys)

    _, client, _ = app_on(SlowForMany(), store_timeout=0.2)
    with client:
        assert marks(client.get('/other/1'), client.get('/other/1')) == ['MISS', 'HIT']
        for _ in range(5):
            assert client.get('/callable').headers['cache-status'].endswith('detail=store-error')
        assert marks(client.get('/other/2'), client.get('/other/2')) == ['MISS', 'HIT']


def test_up_to_the_bound_a_tag_ends_nothing_but_what_has_it():
    _, client, _ = app_on(MemoryCache(), count=MAX_TAGS)
    client.get('/callable')
    for number in range(2 * GROUPS):
        client.post(f'/invalidate/foreign:{number}')
    assert marks(client.get('/callable')) == ['HIT']


def test_no_number_of_tags_makes_more_names_than_there_are_groups():
    names = ('all', 'path:/x', *(tag_name(str(number)) for number in range(20_000)))
    assert len(coarser(names)) <= 2 + GROUPS
    assert coarser(coarser(names)) == coarser(names)
    assert set(coarser(names)[2:]) <= set(names_of_tags(map(str, range(20_000))))


def test_to_invalidate_a_tag_is_one_more_name():
    assert len(names_of_tags(['user:7'])) == 2
    assert len(names_of_tags([f'user:{number}' for number in range(10_000)])) <= 10_000 + GROUPS


@pytest.mark.parametrize('path', ['/callable', '/context', '/templates/item'])
def test_very_many_tags_take_no_more_room_than_their_groups(path):
    cache, client, _ = app_on(MemoryCache())
    client.get(path)
    assert cache.backend.stats().bytes < 250 * GROUPS
