"""A cache that is switched off for a while."""

import asyncio

import pytest
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.testclient import TestClient

from fastapi_caching_route import FastAPICache
from tests.support import caching_router


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
