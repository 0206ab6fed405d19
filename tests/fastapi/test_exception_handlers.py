"""Responses of exception handlers: what they may read of a request keeps them from being shared."""

import dataclasses

import pytest
from fastapi import APIRouter, FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from starlette.testclient import TestClient

from fastapi_caching_route import CachingRoute, FastAPICache
from tests.support import caching_router, client_of, marks, memory_cache


@pytest.mark.parametrize('kind', ['def', 'async def'])
def test_what_an_exception_handler_reads_of_one_request_is_not_served_to_another(kind):
    router, cache, app = caching_router(), memory_cache(accepted_status_codes={200, 404}), FastAPI()

    class MissingError(Exception):
        pass

    def handle(request: Request, error: Exception):
        return JSONResponse({'for': request.cookies.get('user')}, 404)

    async def handle_async(request: Request, error: Exception):
        return handle(request, error)

    app.add_exception_handler(MissingError, handle if kind == 'def' else handle_async)

    @cache(ttl=60)
    @router.get('/')
    async def endpoint():
        raise MissingError

    app.include_router(router)
    client = TestClient(app)
    answers = [client.get('/', headers={'cookie': f'user={it}'}).json() for it in ('bob', 'eve')]
    assert answers == [{'for': 'bob'}, {'for': 'eve'}]


def test_a_raised_404_is_stored_where_it_is_accepted_and_the_handler_is_the_frameworks_own():
    router, cache, runs = caching_router(), memory_cache(accepted_status_codes={404}), []

    @cache(ttl=60)
    @router.get('/')
    async def endpoint():
        runs.append(1)
        raise HTTPException(404, 'gone', headers={'x-why': 'test'})

    client = client_of(router)
    responses = [client.get('/') for _ in range(2)]
    assert marks(*responses) == ['MISS', 'HIT']
    assert [(it.status_code, it.json(), it.headers['x-why']) for it in responses] == [
        (404, {'detail': 'gone'}, 'test')
    ] * 2
    assert runs == [1]


def test_answers_of_an_exception_handler_are_stored_for_requests_that_are_equal_in_all_that_it_read():
    router, cache, app, runs = caching_router(), memory_cache(accepted_status_codes={200, 404}), FastAPI(), []
    missing = [True]

    @app.exception_handler(KeyError)
    async def handle(request: Request, error: KeyError):
        return JSONResponse({'language': request.headers.get('accept-language')}, 404)

    @cache(ttl=60)
    @router.get('/')
    async def endpoint():
        runs.append(1)
        if missing[0]:
            raise KeyError
        return 'found'

    app.include_router(router)
    client = TestClient(app)
    asked = [{'accept-language': it} for it in ('de', 'fr', 'de', 'fr')]
    responses = [client.get('/', headers=it) for it in asked]
    assert [it.json() for it in responses] == [{'language': it['accept-language']} for it in asked]
    assert marks(*responses) == ['MISS', 'MISS', 'HIT', 'HIT']
    with_cookie = client.get('/', headers={'cookie': 'a=1', 'accept-language': 'de'})
    assert marks(with_cookie) == ['HIT']  # nobody has read it
    missing[0] = False
    assert marks(client.get('/', headers={'accept-language': 'it'})) == ['MISS']
    assert marks(*(client.get('/', headers=it) for it in asked)) == ['HIT'] * 4


def test_an_exception_handler_is_no_obstacle_where_all_of_the_request_is_in_the_key():
    router, cache, app = caching_router(), memory_cache(accepted_status_codes={404}), FastAPI()

    @app.exception_handler(KeyError)
    async def handle(request: Request, error: Exception):
        return JSONResponse({'language': request.headers.get('accept-language')}, 404)

    @cache(ttl=60)
    @router.get('/')
    async def endpoint(request: Request):
        raise KeyError

    app.include_router(router)
    client = TestClient(app)
    asked = [{'accept-language': it} for it in ('de', 'fr', 'de')]
    responses = [client.get('/', headers=it) for it in asked]
    assert [it.json() for it in responses] == [{'language': it['accept-language']} for it in asked]
    assert marks(*responses) == ['MISS', 'MISS', 'HIT']


class ReadingHandler(CachingRoute):
    def get_route_handler(self):
        original = super().get_route_handler()

        async def handler(request: Request):
            response = await original(request)
            return JSONResponse({'user': request.headers.get('x-user'), 'status': response.status_code})

        return handler


class ReadingHandle(APIRoute):
    async def handle(self, scope, receive, send):
        await JSONResponse({'user': dict(scope['headers']).get(b'x-user', b'').decode()})(scope, receive, send)


class Mixed(CachingRoute, ReadingHandle):
    pass


@pytest.mark.parametrize('route_class', [ReadingHandler, Mixed])
def test_a_route_class_with_a_handler_of_its_own_is_taken_to_read_everything(route_class):
    router, cache = caching_router(), memory_cache()
    router.route_class = route_class

    @cache(ttl=60)
    @router.get('/')
    async def endpoint():
        return 'answer'

    client = client_of(router)
    users = ['a', 'b', 'a']
    responses = [client.get('/', headers={'x-user': it}) for it in users]
    assert [it.json()['user'] for it in responses] == users
    assert marks(*responses) == ['MISS', 'MISS', 'HIT']


@dataclasses.dataclass
class Problem:
    """An exception handler that cannot be hashed."""

    status: int

    async def __call__(self, request, error):
        return JSONResponse({'problem': str(error)}, self.status)


def test_an_exception_handler_may_be_an_object_of_any_kind():
    cache, router = FastAPICache(), APIRouter(route_class=CachingRoute)

    @router.get('/')
    @cache(ttl=60)
    async def endpoint(fails: int = 0):
        if fails:
            raise LookupError('lost')
        return 'found'

    app = FastAPI(exception_handlers={LookupError: Problem(418)})
    app.include_router(router)
    with TestClient(app) as client:
        assert [client.get('/').json() for _ in range(2)] == ['found', 'found']
        assert client.get('/?fails=1').status_code == 418
