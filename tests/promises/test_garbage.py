"""A request leaves nothing behind that only the garbage collector can free: full collections cost every later one."""

import gc
import sys
from collections import Counter
from typing import Annotated

import pytest
from fastapi import Depends, FastAPI, Header, HTTPException, Request
from fastapi.responses import PlainTextResponse, StreamingResponse
from fastapi.security import APIKeyHeader

from fastapi_caching_route import FastAPICache
from tests.backends.fakes import Elsewhere
from tests.support import FASTAPI, Clock, asgi_call, asgi_scope, caching_router

OURS = 'fastapi_caching_route'


async def left_by(app, scopes):
    """The objects of ours that are garbage in cycles after these requests, by type or name."""
    gc.disable()
    gc.freeze()  # what is there already is none of it, and need not be looked through
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        for scope in scopes:
            await asgi_call(app, dict(scope))  # a scope that we hold would keep all that refers to it
        gc.collect()
        return Counter(name for it in gc.garbage for name in [name_of(it)] if name.startswith(OURS))
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.unfreeze()
        gc.enable()


def name_of(it):
    module = getattr(it, '__module__', None) if callable(it) else type(it).__module__
    return f'{module}.{getattr(it, "__qualname__", type(it).__name__)}'


async def plain():
    return {'id': 1}


async def stream():
    async def chunks():
        yield b'some'
        yield b'more'

    return StreamingResponse(chunks())


async def refused():
    raise HTTPException(404)


async def not_stored():
    return PlainTextResponse('text', headers={'cache-control': 'no-store'})


def guard(request: Request, x_key: Annotated[str, Header()]):
    if x_key != 'secret':
        raise HTTPException(403)


async def yielding(request: Request):
    yield


scheme = APIKeyHeader(name='x-key')
GUARDS = {'none': None, 'function': guard, 'yield': yielding, 'scheme': scheme}
KEY = [(b'x-key', b'secret')]


def app_of(backend, endpoint, of_guards, **options):
    app, router, clock = FastAPI(), caching_router(), Clock()
    cache = FastAPICache(backend, clock=clock)
    dependencies = [] if of_guards is None else [Depends(of_guards)]
    router.get('/items/{item}', dependencies=dependencies)(cache(ttl=60, **options)(endpoint))
    app.include_router(router)
    return app, clock


@pytest.mark.parametrize('backend', [lambda: None, Elsewhere], ids=['memory', 'elsewhere'])
@pytest.mark.parametrize('of_guards', GUARDS.values(), ids=GUARDS)
@pytest.mark.parametrize('endpoint', [plain, stream, refused, not_stored])
async def test_a_miss_and_a_hit_leave_no_garbage(endpoint, of_guards, backend):
    app, _ = app_of(backend(), endpoint, of_guards)
    await asgi_call(app, asgi_scope(path='/items/first', headers=KEY))
    scopes = [asgi_scope(path=f'/items/{item}', headers=KEY) for item in (1, 1, 2)]
    assert await left_by(app, scopes) == {}


@pytest.mark.parametrize('of_guards', GUARDS.values(), ids=GUARDS)
async def test_a_304_a_head_and_a_refusal_leave_no_garbage(of_guards):
    app, _ = app_of(None, plain, of_guards)
    await asgi_call(app, asgi_scope(path='/items/1', headers=KEY))
    scopes = [
        asgi_scope(path='/items/1', headers=[*KEY, (b'if-none-match', b'*')]),
        asgi_scope('HEAD', path='/items/1', headers=KEY),
    ]
    # Older releases of FastAPI, and Python 3.10, leave the exception of a guard in a cycle, with what belongs to it.
    if FASTAPI >= (0, 135) and sys.version_info >= (3, 11):
        scopes += [asgi_scope(path='/items/1'), asgi_scope(path='/items/2')]
    assert await left_by(app, scopes) == {}


async def test_a_renewal_and_a_stale_response_leave_no_garbage():
    app, clock = app_of(None, plain, guard, stale_while_revalidate=60, stale_if_error=600)
    await asgi_call(app, asgi_scope(path='/items/1', headers=KEY))
    clock.now += 90
    assert await left_by(app, [asgi_scope(path='/items/1', headers=KEY)]) == {}


async def test_a_request_that_is_not_cached_leaves_no_garbage():
    app, _ = app_of(None, plain, guard, skip=lambda _: True)
    await asgi_call(app, asgi_scope(path='/items/1', headers=KEY))
    assert await left_by(app, [asgi_scope(path='/items/1', headers=KEY)]) == {}
