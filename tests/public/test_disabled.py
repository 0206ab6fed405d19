"""A cache that is switched off for a while."""

import asyncio

import pytest
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.testclient import TestClient

from fastapi_caching_route import ConfigurationError, FastAPICache
from tests.support import caching_router, client_of, found, marks


class App:
    """One cached route that counts its runs, behind an explicit dependency."""

    def __init__(self, **options):
        self.runs, self.let_in, self.cache, router = 0, True, FastAPICache(), caching_router()

        def admit():
            if not self.let_in:
                raise HTTPException(403)

        @router.get('/')
        @self.cache(ttl=60, dependencies=[Depends(admit)], **options)
        async def endpoint():
            self.runs += 1
            return self.runs

        self.app = FastAPI()
        self.app.include_router(router)
        self.client = TestClient(self.app)


@pytest.mark.parametrize('options', [{}, {'key_builder': lambda request: request.url.path}], ids=['declared', 'built'])
def test_while_it_is_disabled_every_request_is_answered_by_the_endpoint(options):
    app = App(**options)
    assert [app.client.get('/').json() for _ in range(2)] == [1, 1]
    with app.cache.disabled():
        answers = [app.client.get('/') for _ in range(2)]
        assert [it.json() for it in answers] == [2, 3]
        assert not any('x-cache' in it.headers or 'etag' in it.headers for it in answers)
        assert answers[0].headers['cache-status'] == 'FastAPICache; fwd=bypass; detail=disabled'
    assert app.client.get('/').json() == 1
    assert app.client.get('/').headers['x-cache'] == 'HIT'


def test_explicit_dependencies_refuse_while_it_is_disabled():
    app = App()
    app.let_in = False
    with app.cache.disabled():
        assert app.client.get('/').status_code == 403
    assert app.runs == 0


def test_it_is_in_use_again_when_the_last_of_all_has_left_and_after_an_exception():
    app = App()
    with app.cache.disabled():
        with pytest.raises(KeyError), app.cache.disabled():
            raise KeyError
        assert 'x-cache' not in app.client.get('/').headers
    assert app.client.get('/').headers['x-cache'] == 'MISS'


def test_invalidations_are_carried_out_while_it_is_disabled():
    app = App(tags=['all'])
    assert app.client.get('/').json() == 1
    with app.cache.disabled():
        asyncio.run(app.cache.invalidate_tags('all'))
    assert app.client.get('/').json() == 2


def test_a_key_builder_is_not_asked_while_it_is_disabled():
    asked = []

    def build(request: Request) -> str:
        asked.append(request)
        return 'key'

    app = App(key_builder=build)
    with app.cache.disabled():
        app.client.get('/')
    assert asked == []


@pytest.mark.parametrize('waits', [False, True])
def test_a_cache_may_be_switched_off_from_the_start_and_on_later(waits):
    cache, router = FastAPICache.deferred(enabled=False) if waits else FastAPICache(enabled=False), caching_router()

    @router.get('/')
    @cache(ttl=60)
    async def endpoint():
        return 'answer'

    client = client_of(router)
    assert cache.enabled is False
    assert found(client, '/', '/') == [None, None]
    assert 'detail=disabled' in client.get('/').headers['cache-status']
    if waits:
        cache.use('memory://')
    assert found(client, '/', '/') == [None, None]
    for enabled, there in ((True, ['MISS', 'HIT']), (True, ['HIT', 'HIT']), (False, [None, None]), (True, ['HIT'] * 2)):
        cache.enabled = enabled
        assert cache.enabled is enabled
        assert found(client, '/', '/') == there
    with pytest.raises(ConfigurationError, match='enabled must be True or False'):
        cache.enabled = 'no'


def test_a_cache_that_is_switched_off_stays_so_after_it_was_disabled():
    app = App()
    with app.cache.disabled():
        app.cache.enabled = False
    assert marks(app.client.get('/'), app.client.get('/')) == [None, None]
    with app.cache.disabled():
        app.cache.enabled = True
        assert marks(app.client.get('/')) == [None]
    assert marks(app.client.get('/'), app.client.get('/')) == ['MISS', 'HIT']
