"""Several apps in one Redis or one folder: none of them lists or erases what is of another."""

import json
from functools import partial

import pytest
import redis
from aiocache.plugins import BasePlugin
from fastapi import FastAPI, Response

from fastapi_caching_route import FastAPICache, LMDBCache
from fastapi_caching_route._store import wire
from fastapi_caching_route.console import console_router
from fastapi_caching_route.redis import RedisClientCache
from tests.support import asgi_call, asgi_scope, caching_router

KINDS = ['lmdb', 'redis', 'redis, plugin']


@pytest.fixture(params=KINDS)
def new_app(request, tmp_path, redis_server):
    """Builds an app with its cache, in a namespace of one store; its routes may have a namespace, too."""

    def built(namespace, own=None, **options):
        if request.param == 'lmdb':
            backend = LMDBCache(tmp_path / 'cache', namespace=namespace)
        else:
            plugins = [BasePlugin()] if request.param.endswith('plugin') else []
            client = partial(redis.asyncio.Redis, port=redis_server.port)
            backend = RedisClientCache(client, namespace=namespace, plugins=plugins)
        cache, router = FastAPICache(backend, store_timeout=5, **options), caching_router()

        @router.get('/items/{item}')
        @cache(ttl=600, namespace=own)
        async def item(item: str):
            return item

        @router.get('/pages/{page}')
        @cache(ttl=600, namespace=own)
        async def page(page: str, response: Response):
            response.headers['vary'] = 'accept'

        app = FastAPI()
        app.include_router(router)
        app.include_router(console_router(cache, unguarded=True), prefix='/console')
        app.state.cache = cache
        return app

    return built


async def ask(app, path):
    messages = await asgi_call(app, asgi_scope(path=path))
    return dict(messages[0]['headers']).get(b'x-cache')


async def listed(app):
    return sorted([it.path async for it in app.state.cache.entries(dead=True)])


async def records(app):
    """The paths of pages of which there are records of variants."""
    found = [it.records async for it, _ in app.state.cache._settings.store.listed('')]
    return sorted({key.split(':')[-2] for keys in found for key in keys})


async def in_console(app):
    messages = await asgi_call(app, asgi_scope(path='/console/entries.json', query=b'dead=true'))
    return sorted(it['path'] for it in json.loads(messages[1]['body'])['entries'])


async def lose_journal(backend):
    for key in ('shop::{%journal}', 'shop::{%journal}:texts'):
        await backend.delete(key, namespace='')
    if isinstance(backend, RedisClientCache):
        await backend.close()


NEIGHBOURS = [('shop', 'shop:x'), ('shop:x', 'shop'), (None, 'shop'), ('shop', None), ('shop', 'shop:item')]


@pytest.mark.parametrize('signing_key', [None, 'k' * 32], ids=['plain', 'signed'])
@pytest.mark.parametrize(('ours', 'theirs'), NEIGHBOURS)
async def test_entries_of_another_app_are_neither_listed_nor_erased(new_app, ours, theirs, signing_key):
    mine = new_app(ours, 'item', signing_key=signing_key)
    other = new_app(theirs, signing_key=signing_key)
    async with mine.state.cache, other.state.cache:
        await ask(mine, '/items/mine')
        await ask(other, '/items/theirs')
        assert await listed(mine) == await in_console(mine) == ['/items/mine']
        assert await mine.state.cache.erase(everything=True) == 1
        assert await ask(other, '/items/theirs') == b'HIT'
        await other.state.cache.clear()
        assert await listed(mine) == await in_console(mine) == []
        assert await mine.state.cache.erase(everything=True) == 0
        assert await listed(other) == await in_console(other) == ['/items/theirs']


@pytest.mark.parametrize('policy', ['concat', 'replace'])
async def test_what_is_dead_is_erased_though_nothing_is_left_of_what_it_was_held_against(new_app, policy):
    mine, other = new_app('shop', 'x', namespace_policy=policy), new_app('shop:x')
    async with mine.state.cache, other.state.cache:
        await ask(mine, '/items/mine')
        await ask(other, '/items/theirs')
        await lose_journal(mine.state.cache.backend)
        again = new_app('shop', 'x', namespace_policy=policy)
        async with again.state.cache:
            await ask(again, '/items/again')
            assert await listed(again) == ['/items/again', '/items/mine']
            assert await again.state.cache.erase(everything=True) == 2
            assert await listed(again) == []
        assert await ask(other, '/items/theirs') == b'HIT'


async def test_old_entries_are_served_and_erased_where_they_are_proven_to_be_ours(new_app, monkeypatch):
    mine, other = new_app('shop'), new_app('shop:x')
    async with mine.state.cache, other.state.cache:
        with monkeypatch.context() as old:
            old.setattr(wire.Wire, 'dumps', lambda _, value: wire.encode(value))
            await ask(mine, '/items/mine')
            await ask(mine, '/items/dead')
            await ask(other, '/items/theirs')
        assert await ask(mine, '/items/mine') == b'HIT'
        await mine.state.cache.invalidate_path('/items/dead')
        await other.state.cache.clear()
        assert await listed(mine) == ['/items/dead', '/items/mine']
        assert await mine.state.cache.erase(everything=True) == 2
        assert await listed(other) == ['/items/theirs']


@pytest.mark.parametrize('signing_key', [None, 'k' * 32], ids=['plain', 'signed'])
@pytest.mark.parametrize(('ours', 'theirs'), NEIGHBOURS)
async def test_records_of_variants_of_another_app_are_not_erased(new_app, ours, theirs, signing_key):
    mine = new_app(ours, 'item', signing_key=signing_key)
    other = new_app(theirs, signing_key=signing_key)
    async with mine.state.cache, other.state.cache:
        await ask(mine, '/pages/mine')
        await ask(other, '/pages/theirs')
        assert await mine.state.cache.erase(everything=True) == 1
        assert await ask(other, '/pages/theirs') == b'HIT'
        await other.state.cache.invalidate_path('/pages/theirs')
        assert await mine.state.cache.erase(everything=True) == 0
        assert '/pages/theirs' in await records(other)
        assert '/pages/mine' not in await records(mine)
        assert await other.state.cache.erase(paths=['/pages/theirs']) == 1
        assert await records(other) == []


async def test_old_records_are_erased_where_they_are_proven_to_be_ours(new_app, monkeypatch):
    mine, other = new_app('shop', 'x'), new_app('shop:x')
    plain = new_app('shop')
    async with mine.state.cache, other.state.cache, plain.state.cache:
        with monkeypatch.context() as old:
            old.setattr(wire.Wire, 'dumps', lambda _, value: wire.encode(value))
            await ask(mine, '/pages/mine')
            await ask(plain, '/pages/plain')
            await ask(other, '/pages/theirs')
            await ask(other, '/pages/lost')
        lost = [it.key async for it in other.state.cache.entries(path='/pages/lost')]
        for key in [*lost, *[it.key async for it in plain.state.cache.entries(path='/pages/plain')]]:
            await mine.state.cache._settings.store.erase([key])
        assert await mine.state.cache.erase(tags=['unknown'], paths=['/pages/mine']) == 1
        assert await records(mine) == ['/pages/lost', '/pages/theirs']
        assert await ask(other, '/pages/theirs') == b'HIT'
