"""Decorations that come to nothing are said."""

import functools
import gc
import re
import subprocess
import sys
from contextlib import nullcontext
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Annotated

import pytest
from fastapi import APIRouter, Depends, FastAPI, WebSocket
from fastapi.routing import APIRoute
from starlette.testclient import TestClient

from fastapi_caching_route import CacheContext, CachingRoute, ConfigurationError
from fastapi_caching_route.__main__ import main
from fastapi_caching_route._fastapi import plain_requests
from fastapi_caching_route._routes import unserved as _unserved
from tests.servers import wait_until
from tests.support import caching_router, client_of, found, marks, memory_cache


def warnings_of(caplog, name):
    return [it.message for it in caplog.records if it.levelname == 'WARNING' and name in it.message]


@pytest.mark.parametrize('above', [True, False], ids=['cache above route', 'cache below route'])
def test_an_app_that_has_forgotten_the_route_class_is_told_once_after_a_moment(above, caplog, monkeypatch):
    monkeypatch.setattr(_unserved, 'WARN_AFTER_SECONDS', 0.01)
    app, cache = FastAPI(), memory_cache()

    async def forgotten():
        return 'answer'

    cached, routed = cache(ttl=60), app.get('/')
    endpoint = cached(routed(forgotten)) if above else routed(cached(forgotten))
    wait_until(lambda: warnings_of(caplog, 'forgotten'))
    client = TestClient(app)
    assert marks(client.get('/'), client.get('/')) == [None, None]
    (message,) = warnings_of(caplog, 'forgotten')
    assert 'no CachingRoute serves it' in message
    assert 'APIRouter(route_class=CachingRoute), or call cache.install(app) before' in message
    assert 'a function that is no endpoint takes @cache.function(...)' in message
    assert endpoint is forgotten


def test_an_app_with_the_lifespan_of_the_cache_is_told_as_it_starts(caplog, monkeypatch):
    monkeypatch.setattr(_unserved, 'WARN_AFTER_SECONDS', 600)
    cache = memory_cache()
    app = FastAPI(lifespan=cache.lifespan)

    @app.get('/')
    @cache(ttl=60)
    async def forgotten():
        pass

    assert not warnings_of(caplog, 'forgotten')
    with TestClient(app) as client:
        assert len(warnings_of(caplog, 'forgotten')) == 1
        client.get('/')
    assert len(warnings_of(caplog, 'forgotten')) == 1


@pytest.mark.parametrize('called_by', ['context', 'decorated write', 'caching route'])
def test_an_app_is_told_at_the_first_request_in_which_it_calls_the_library(called_by, caplog, monkeypatch):
    monkeypatch.setattr(_unserved, 'WARN_AFTER_SECONDS', 600)
    app, router, cache = FastAPI(), caching_router(), memory_cache()

    @app.get('/forgotten')
    @cache(ttl=60)
    async def forgotten():
        pass

    @app.get('/context')
    async def read(context: Annotated[CacheContext, Depends()]):
        pass

    @app.get('/decorated write')
    @cache.invalidates(tags=['a'])
    async def write():
        pass

    @router.get('/caching route')
    async def undecorated():
        pass

    app.include_router(router)
    client = TestClient(app)
    for _ in range(2):
        client.get(f'/{called_by}')
    assert len(warnings_of(caplog, 'forgotten')) == 1


SHORT = """
from fastapi import FastAPI
from fastapi.testclient import TestClient
from fastapi_caching_route import FastAPICache
app, cache = FastAPI(), FastAPICache()
@app.get('/')
@cache(ttl=60)
async def forgotten(): pass
"""


def test_a_process_that_ends_before_the_moment_is_told_as_it_ends():
    ended = subprocess.run([sys.executable, '-c', SHORT], capture_output=True, text=True, check=True)  # noqa: S603, our own script
    assert ended.stderr.count('forgotten is decorated with @cache, but no CachingRoute serves it') == 1


def test_nobody_is_told_while_the_app_is_still_being_imported(caplog, monkeypatch):
    monkeypatch.setattr(_unserved, 'WARN_AFTER_SECONDS', 0.01)
    module, looks = ModuleType('heavy'), []
    module.__spec__ = ModuleSpec('heavy', None)
    module.__spec__._initializing = True
    monkeypatch.setitem(sys.modules, 'heavy', module)
    imports = _unserved._imports
    monkeypatch.setattr(_unserved, '_imports', lambda: looks.append(imports()) or looks[-1])
    cache = memory_cache()

    @cache(ttl=60)
    async def routed_later():
        pass

    wait_until(lambda: len(looks) > 2)
    assert not warnings_of(caplog, 'routed_later')
    caching_router().get('/')(routed_later)
    module.__spec__._initializing = False
    wait_until(lambda: not cache._settings.unserved._endpoints)
    assert not warnings_of(caplog, 'routed_later')


def test_the_command_line_shows_what_is_found_at_start(capsys, monkeypatch):
    monkeypatch.setattr(_unserved, 'WARN_AFTER_SECONDS', 600)
    module, cache = ModuleType('app_of_forgotten'), memory_cache()
    module.app = app = FastAPI()
    monkeypatch.setitem(sys.modules, 'app_of_forgotten', module)

    @app.get('/')
    @cache(ttl=60)
    async def on_a_plain_route():
        pass

    @cache(ttl=60)
    async def on_no_route():
        pass

    assert main(['explain', 'app_of_forgotten:app']) == 0
    printed = re.sub(r'\s+', '', capsys.readouterr().out)  # lines are broken anywhere
    for name in ('on_a_plain_route', 'on_no_route'):
        assert printed.count(f'{name} is decorated with @cache, but no CachingRoute serves it'.replace(' ', '')) == 1
    assert any('on_a_plain_route' in it for report in cache.explain(app) for it in report.warnings)


def test_an_endpoint_on_a_plain_route_beside_cached_ones_is_told_at_the_first_request(caplog):
    router, plain, cache = caching_router(), APIRouter(), memory_cache()

    @cache(ttl=60)
    @plain.get('/plain')
    async def stray():
        pass

    @cache(ttl=60)
    @router.get('/cached')
    async def served():
        pass

    client = client_of(router, plain)
    for path in ('/cached', '/plain', '/cached'):
        client.get(path)
    assert len(warnings_of(caplog, 'stray')) == 1
    assert not warnings_of(caplog, 'served')


@pytest.mark.parametrize('above', [True, False], ids=['cache above route', 'cache below route'])
def test_nobody_is_told_of_what_is_served(above, caplog, monkeypatch):
    monkeypatch.setattr(_unserved, 'WARN_AFTER_SECONDS', 0.01)
    router, cache = caching_router(), memory_cache()

    class Endpoints:
        async def method(self):
            pass

    async def function():
        pass

    endpoints = [function, Endpoints().method]
    for endpoint in endpoints:
        cached, routed = cache(ttl=60), router.get(f'/{endpoint.__name__}')
        cached(routed(endpoint)) if above else routed(cached(endpoint))
    wait_until(lambda: not cache._settings.unserved._endpoints)
    assert not caplog.records


@pytest.mark.parametrize('kind', ['method', 'classmethod', 'wrapped', 'partial'])
def test_nobody_is_told_of_what_is_served_inside_of_something_else(kind, caplog):
    router, cache = caching_router(), memory_cache()

    class View:
        @cache(ttl=60)
        async def method(self):
            pass

        @classmethod
        @cache(ttl=60)
        async def of_class(cls):
            pass

    @cache(ttl=60)
    async def function():
        pass

    @functools.wraps(function)
    async def wrapped():
        return await function()

    served = {
        'method': View().method,
        'classmethod': View.of_class,
        'wrapped': wrapped,
        'partial': functools.partial(function),
    }
    others = {'method': 'of_class', 'classmethod': 'View.method'}
    router.get('/')(served[kind])
    assert marks(client_of(router).get('/')) == ['MISS']
    cache._settings.unserved.warn()
    names = {'method': 'View.method', 'classmethod': 'of_class'}
    assert not warnings_of(caplog, names.get(kind, '<locals>.function'))
    assert len(warnings_of(caplog, others.get(kind, 'View.method'))) == 1


def test_nobody_is_told_of_what_is_gone(caplog):
    cache = memory_cache()

    def decorate():
        @cache(ttl=60)
        async def passing():
            pass

    decorate()
    gc.collect()
    cache._settings.unserved.warn()
    assert not warnings_of(caplog, 'passing')


@pytest.mark.parametrize('above', [True, False], ids=['cache above route', 'cache below route'])
@pytest.mark.parametrize('methods', [['PUT'], ['PATCH', 'DELETE'], ['OPTIONS']])
def test_decorating_only_what_is_never_cached_passes_through_with_one_warning(above, methods, caplog):
    router, cache = caching_router(), memory_cache()

    async def write():
        return 'written'

    cached, routed = cache(ttl=60), router.api_route('/', methods=methods)
    cached(routed(write)) if above else routed(cached(write))
    client = client_of(router)
    answers = [client.request(methods[0], '/') for _ in range(2)]
    assert [(it.status_code, it.json()) for it in answers] == [(200, 'written')] * 2
    assert marks(*answers) == [None, None]
    (said,) = [it.getMessage() for it in caplog.records]
    assert 'write is decorated' in said
    assert ', '.join(sorted(methods)) in said
    assert 'remove the decorator' in said


@pytest.mark.parametrize('strict', [False, True])
async def test_decorating_only_what_is_never_cached_stops_a_strict_app_as_it_starts(strict):
    router, cache, app = caching_router(), memory_cache(strict=strict), FastAPI()
    router.put('/')(cache(ttl=60)(lambda: None))
    app.include_router(router)
    with pytest.raises(ConfigurationError, match='its methods are PUT') if strict else nullcontext():
        async with cache.lifespan(app):
            pass


@pytest.mark.parametrize('strict', [False, True])
async def test_one_route_may_have_a_method_that_is_never_cached_beside_one_that_is(strict, caplog):
    router, cache = caching_router(), memory_cache(strict=strict)

    @router.api_route('/', methods=['GET', 'DELETE'])
    @cache(ttl=60)
    async def endpoint():
        return 'answer'

    client = client_of(router)
    async with cache.lifespan(client.app):
        assert found(client, '/', '/') == ['MISS', 'HIT']
        assert marks(client.delete('/'), client.get('/')) == [None, 'MISS']
    assert not caplog.records


@pytest.mark.parametrize('strict', [False, True])
async def test_a_route_that_is_never_cached_is_told_where_the_function_has_another_one(strict, caplog):
    router, cache = caching_router(), memory_cache(strict=strict)

    @router.get('/')
    @router.put('/')
    @cache(ttl=60)
    async def endpoint():
        return 'answer'

    client = client_of(router)
    with pytest.raises(ConfigurationError, match='also has a route for PUT') if strict else nullcontext():
        async with cache.lifespan(client.app):
            assert found(client, '/', '/') == ['MISS', 'HIT']
            assert marks(client.put('/'), client.get('/')) == [None, 'MISS']
    (message,) = warnings_of(caplog, 'endpoint')
    assert 'give that route an endpoint of its own, without the decorator' in message


def test_the_route_class_can_be_that_of_the_app():
    app, cache = FastAPI(), memory_cache()
    app.router.route_class = CachingRoute

    @app.get('/')
    @cache(ttl=60)
    async def endpoint():
        return 'answer'

    client = TestClient(app)
    assert marks(client.get('/'), client.get('/')) == ['MISS', 'HIT']


def test_a_websocket_is_told_that_it_never_is_cached(caplog):
    cache, app = memory_cache(), FastAPI()

    @app.websocket('/ws')
    @cache(ttl=5)
    async def socket(websocket: WebSocket): ...

    cache._settings.unserved.warn()
    (told,) = [it.message for it in caplog.records]
    assert told.endswith('so it is not cached: websockets cannot be cached; remove the decorator')


@pytest.mark.parametrize('above', [True, False], ids=['above route', 'below route'])
def test_a_write_on_a_plain_route_that_has_not_seen_its_decorator_is_told(above, caplog):
    router, plain, cache = caching_router(), APIRouter(), memory_cache()

    @router.get('/items')
    @cache(ttl=60)
    async def items():
        pass

    async def update():
        pass

    decorate, routed = cache.invalidates(endpoints=[items]), plain.put('/plain')
    decorate(routed(update)) if above else routed(decorate(update))

    @cache.invalidates(endpoints=[items])
    @router.put('/items')
    async def seen():
        pass

    client = client_of(router, plain)
    router.get('/more')(cache()(lambda: None))
    for path in ('/items', '/more', '/items'):
        client_of(router, plain).get(path)
    told = [it.message for it in caplog.records]
    assert [it.partition(': ')[2].partition(',')[0] for it in told] == [
        '@cache.invalidates stands above the route decorator of a plain route'
    ] * above
    report = next(it for it in cache.explain(client.app) if it.path == '/plain')
    assert bool(report.warnings) is above


def test_a_write_of_the_app_is_told_where_what_is_cached_is_in_an_app_that_is_mounted(caplog):
    router, cache, outer = caching_router(), memory_cache(), FastAPI()

    @router.get('/items')
    @cache(ttl=60)
    async def items():
        pass

    @cache.invalidates(tags=['items'])
    @outer.post('/items')
    async def add():
        pass

    outer.mount('/sub', client_of(router).app)
    TestClient(outer).get('/sub/items')
    assert ['stands above the route decorator of a plain route' in it.message for it in caplog.records] == [True]


@pytest.fixture
def without_a_timer(monkeypatch):
    monkeypatch.setattr(_unserved.Unserved, '_warn_later', lambda self: None)


@pytest.mark.parametrize('above', [True, False], ids=['cache above route', 'cache below route'])
def test_an_app_without_any_of_our_routes_is_told_at_the_first_request(above, caplog, without_a_timer):
    app, cache = FastAPI(), memory_cache()

    async def forgotten():
        return 'answer'

    @app.get('/other')
    async def other():
        return 'other'

    cached, routed = cache(ttl=60), app.get('/')
    assert (cached(routed(forgotten)) if above else routed(cached(forgotten))) is forgotten
    client = TestClient(app)
    client.get('/other')
    assert warnings_of(caplog, 'forgotten') == []
    assert [client.get('/').json() for _ in range(2)] == ['answer'] * 2
    (message,) = warnings_of(caplog, 'forgotten')
    assert 'no CachingRoute serves it' in message


def test_nothing_of_ours_stays_in_plain_routes(without_a_timer):
    gc.collect()
    for it in [*plain_requests._waiting]:
        plain_requests._waiting.discard(it)
    original, app, cache = getattr(APIRoute.handle, plain_requests._OURS, APIRoute.handle), FastAPI(), memory_cache()
    caching, plain = caching_router(), APIRouter()

    @caching.get('/cached')
    @cache(ttl=60)
    async def cached():
        return 1

    plain.get('/plain')(lambda: 1)
    app.include_router(caching)
    app.include_router(plain)
    assert APIRoute.handle is not original
    client = TestClient(app)
    assert marks(client.get('/cached'), client.get('/cached')) == ['MISS', 'HIT']
    client.get('/plain')
    assert APIRoute.handle is original
    (route,) = caching.routes
    assert all('plain_requests' not in it.forward.__module__ for it in route._places._known.values())


def test_what_others_have_put_in_place_of_ours_stays(without_a_timer, monkeypatch):
    app, cache, seen = FastAPI(), memory_cache(), []

    @app.get('/')
    @cache(ttl=60)
    async def forgotten():
        return 1

    ours = APIRoute.handle

    async def of_others(self, scope, receive, send):
        seen.append(scope['path'])
        await ours(self, scope, receive, send)

    monkeypatch.setattr(APIRoute, 'handle', of_others)
    client = TestClient(app)
    assert [client.get('/').status_code for _ in range(2)] == [200] * 2
    assert APIRoute.handle is of_others
    assert seen == ['/', '/']
