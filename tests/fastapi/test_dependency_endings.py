"""Explicit dependencies at the end of a request: teardown, exceptions and background tasks."""

from collections.abc import AsyncIterator
from typing import Annotated

import pytest
from fastapi import APIRouter, BackgroundTasks, Depends, FastAPI, Header, HTTPException, Request
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.testclient import TestClient

from fastapi_caching_route import CachingRoute
from tests.support import FASTAPI, caching_router, client_of, marks, memory_cache


def test_a_check_with_yield_is_torn_down_when_the_route_would_do_it():
    router, cache, app, plain, log = caching_router(), memory_cache(), FastAPI(), FastAPI(), []

    async def resource() -> AsyncIterator[None]:
        log.append('open')
        yield
        log.append('closed')

    async def endpoint():
        log.append('endpoint')
        return 'answer'

    router.get('/')(cache(ttl=60, dependencies=[Depends(resource)])(endpoint))
    plain.get('/', dependencies=[Depends(resource)])(endpoint)
    app.include_router(router)

    def watching(app):
        async def watch(scope, receive, send):
            async def watched(message):
                if message['type'] == 'http.response.body':
                    log.append('sent')
                await send(message)

            await app(scope, receive, watched)

        return TestClient(watch)

    seen = []
    for client in (watching(plain), watching(app)):
        client.get('/')
        seen.append(log.copy())
        log.clear()
    assert seen[0] == seen[1]
    client.get('/')
    assert log == ['open', 'sent', 'closed']


def test_a_check_with_yield_hears_of_an_exception_of_the_endpoint():
    router, cache, heard = caching_router(), memory_cache(), []

    async def resource() -> AsyncIterator[None]:
        try:
            yield
        except KeyError:
            heard.append('KeyError')
            raise

    @cache(ttl=60, dependencies=[Depends(resource)])
    @router.get('/')
    async def endpoint():
        raise KeyError

    with pytest.raises(KeyError):
        client_of(router).get('/')
    assert heard == ['KeyError']


def test_the_exception_handlers_of_the_app_answer_for_a_check():
    router, cache, app = caching_router(), memory_cache(), FastAPI()

    class RefusedError(Exception):
        pass

    @app.exception_handler(RefusedError)
    async def handle(request: Request, error: RefusedError):
        return JSONResponse({'refused': str(error)}, 418)

    def check(why: str = ''):
        if why:
            raise RefusedError(why)

    @cache(ttl=60, dependencies=[Depends(check)])
    @router.get('/')
    async def endpoint():
        return 'answer'

    app.include_router(router)
    client = TestClient(app)
    assert marks(client.get('/'), client.get('/')) == ['MISS', 'HIT']
    assert (client.get('/?why=a').status_code, client.get('/?why=a').json()) == (418, {'refused': 'a'})


@pytest.mark.skipif(FASTAPI < (0, 118), reason='before 0.118 there is no way into the send of a request')
def test_an_exception_after_the_start_of_a_stream_is_not_answered_twice():
    router, cache, app = caching_router(), memory_cache(), FastAPI()

    @app.exception_handler(RuntimeError)
    async def handle(request: Request, error: RuntimeError):
        return JSONResponse({}, 418)

    @cache(ttl=60, dependencies=[Depends(lambda: None)])
    @router.get('/')
    async def endpoint():
        async def chunks():
            yield b'a'
            message = 'broken'
            raise RuntimeError(message)

        return StreamingResponse(chunks())

    app.include_router(router)
    with pytest.raises(RuntimeError, match='response already started'):
        TestClient(app).get('/')


def test_a_check_with_yield_hears_of_an_http_exception_as_in_a_route():
    router, cache, plain, log = caching_router(), memory_cache(), FastAPI(), []

    async def transaction() -> AsyncIterator[None]:
        try:
            yield
        except HTTPException:
            log.append('rollback')
            raise
        else:
            log.append('commit')

    async def endpoint():
        raise HTTPException(409)

    router.get('/')(cache(ttl=60, dependencies=[Depends(transaction)])(endpoint))
    plain.get('/', dependencies=[Depends(transaction)])(endpoint)
    assert [client.get('/').status_code for client in (client_of(router), TestClient(plain))] == [409, 409]
    assert log == ['rollback', 'rollback']


def test_background_tasks_of_a_check_run_on_hits_too():
    router, cache, ran = caching_router(), memory_cache(), []

    def check(tasks: BackgroundTasks):
        tasks.add_task(ran.append, 'task')

    @cache(ttl=60, dependencies=[Depends(check)])
    @router.get('/')
    async def endpoint():
        return 'answer'

    client = client_of(router)
    for count in (1, 2):
        client.get('/')
        assert len(ran) == count


def test_explicit_dependencies_run_again_where_a_route_class_tries_again():
    tries = []

    def check(x_token: Annotated[str, Header()] = ''):
        tries.append(1)
        if len(tries) == 1:
            raise ConnectionError
        if x_token != 'good':
            raise HTTPException(401)

    class Again(CachingRoute):
        def get_route_handler(self):
            handler = super().get_route_handler()

            async def twice(request):
                try:
                    return await handler(request)
                except ConnectionError:
                    return await handler(request)

            return twice

    router, cache = APIRouter(route_class=Again), memory_cache()

    @router.get('/')
    @cache(ttl=60, dependencies=[Depends(check)])
    async def endpoint():
        return 'secret'

    assert client_of(router).get('/').status_code == 401
    assert len(tries) == 2
