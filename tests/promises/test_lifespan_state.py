"""What the lifespan leaves in the state of requests is no input, unless middleware puts something in its place."""

from contextlib import asynccontextmanager

import pytest
from fastapi import FastAPI, Request, Response
from starlette.testclient import TestClient

from fastapi_caching_route._core.raw_request import RawRequest
from fastapi_caching_route._core.read_names import Reading
from tests.support import caching_router, marks, memory_cache


class Pool:
    """An object of which nobody can tell what it holds."""

    def __init__(self, name):
        self.name = name


def by_hand(cache, pools):
    @asynccontextmanager
    async def lifespan(_):
        yield cache.lifespan_state(**pools)

    return FastAPI(lifespan=lifespan)


def unnoted(_, pools):
    @asynccontextmanager
    async def lifespan(_):
        yield pools

    return FastAPI(lifespan=lifespan)


def by_install(cache, pools):
    app = unnoted(cache, pools)
    cache.install(app)
    return app


def app_of(made_by, swap=None, *, whole=False):
    """An app whose endpoint reads the pool that the lifespan has yielded, unless middleware swaps it."""
    pools, cache = {'pool': Pool('us'), 'other': Pool('eu')}, memory_cache()
    app, router = made_by(cache, pools), caching_router()

    @router.get('/')
    @cache(ttl=60)
    async def endpoint(request: Request):
        state = dict(request.state._state) if whole else {'pool': request.state.pool}
        return Response(state['pool'].name)

    app.include_router(router)
    if swap is not None:

        @app.middleware('http')
        async def swapping(request, call_next):
            if 'x-tenant' in request.headers:
                swap(request)
            return await call_next(request)

    return app


@pytest.mark.parametrize('whole', [False, True], ids=['one item', 'all of it'])
@pytest.mark.parametrize('made_by', [by_hand, by_install, unnoted])
def test_what_the_lifespan_yields_is_the_same_for_all_where_the_cache_knows_of_it(made_by, whole):
    with TestClient(app_of(made_by, whole=whole)) as client:
        found = [client.get('/') for _ in range(2)]
    assert [it.text for it in found] == ['us'] * 2
    assert marks(*found) == ([None] * 2 if made_by is unnoted else ['MISS', 'HIT'])


def to_a_new_one(request):
    request.state.pool = Pool('eu')


def to_the_other_one(request):
    request.state.pool = request.state.other


@pytest.mark.parametrize('whole', [False, True], ids=['one item', 'all of it'])
@pytest.mark.parametrize('swap', [to_a_new_one, to_the_other_one])
@pytest.mark.parametrize('made_by', [by_hand, by_install])
def test_what_middleware_puts_in_its_place_is_told_from_it(made_by, swap, whole):
    with TestClient(app_of(made_by, swap, whole=whole)) as client:
        asked = [client.get('/', headers=headers) for headers in ({}, {'x-tenant': 'eu'}) * 2]
    assert [it.text for it in asked] == ['us', 'eu', 'us', 'eu']
    assert marks(*asked) == ['MISS', None, 'HIT', None]


def test_a_plain_value_never_looks_like_an_object_of_the_lifespan():
    state = {'pool': object()}
    reading = Reading(lambda _: {}, lambda _: {}, is_of_lifespan=lambda name, value: value is state['pool'])

    def value_of(pool):
        return RawRequest({'state': {'pool': pool}}, reading).values(('state:pool',))

    assert value_of(state['pool']) is not None
    for other in ('lifespan', ('lifespan',), ['lifespan'], {'lifespan': ()}, None, ()):
        assert value_of(other) not in (None, value_of(state['pool']))


def test_the_objects_of_the_next_lifespan_replace_those_of_the_last_one():
    app = app_of(by_install)
    for mark in ('MISS', 'HIT'):
        with TestClient(app) as client:
            assert marks(client.get('/')) == [mark]
