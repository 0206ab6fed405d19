"""Our decorators above those of other libraries: what cannot have an effect there is told."""

import functools

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from fastapi_caching_route import ConfigurationError
from fastapi_caching_route._routes import unserved as _unserved
from tests.support import memory_cache


def warnings_of(caplog, name):
    return [it.message for it in caplog.records if it.levelname == 'WARNING' and name in it.message]


def wrapping(endpoint):
    """A decorator of another library, with functools.wraps."""

    @functools.wraps(endpoint)
    async def wrapper(*args, **kwargs):
        return await endpoint(*args, **kwargs)

    return wrapper


def replacing(endpoint):
    """A decorator of another library, without functools.wraps."""

    async def wrapper():
        return await endpoint()

    return wrapper


@pytest.mark.parametrize('kind', ['cache', 'skip', 'invalidates'])
@pytest.mark.parametrize('is_ours', [True, False], ids=['caching route', 'plain route'])
def test_a_decorator_above_one_of_another_library_above_the_route_is_told_at_the_start(
    kind, is_ours, caplog, monkeypatch
):
    monkeypatch.setattr(_unserved, 'WARN_AFTER_SECONDS', 600)
    cache = memory_cache()
    app = FastAPI(lifespan=cache.lifespan)
    if is_ours:
        cache.install(app, ttl=60)
    ours = {'cache': cache(ttl=60), 'skip': cache.skip, 'invalidates': cache.invalidates(tags=['a'])}[kind]

    @ours
    @wrapping
    @app.get('/')
    async def wrapped():
        return 1

    with TestClient(app):
        (message,) = warnings_of(caplog, 'wrapped')
    if is_ours or kind == 'invalidates':
        assert 'put it directly above or below the route decorator' in message
    assert callable(wrapped)


@pytest.mark.parametrize('kind', ['cache', 'skip'])
def test_a_decorator_above_one_that_leaves_no_trace_is_told_at_the_start(kind, caplog, monkeypatch):
    monkeypatch.setattr(_unserved, 'WARN_AFTER_SECONDS', 600)
    cache = memory_cache()
    app = FastAPI(lifespan=cache.lifespan)
    cache.install(app, ttl=60)

    @(cache(ttl=60) if kind == 'cache' else cache.skip)
    @replacing
    @app.get('/')
    async def endpoint():
        return 1

    with TestClient(app):
        (message,) = warnings_of(caplog, 'replacing')
    assert 'no CachingRoute serves it' in message
    assert 'leaves no __wrapped__' in message


async def test_a_strict_cache_does_not_start_where_skip_has_no_effect():
    cache = memory_cache(strict=True)
    app = FastAPI()
    cache.install(app, ttl=60)

    @cache.skip
    @wrapping
    @app.get('/')
    async def endpoint():
        return 1

    with pytest.raises(ConfigurationError, match='directly above or below the route decorator'):
        async with cache.lifespan(app):
            pass


@pytest.mark.parametrize('order', ['below', 'above the route', 'served later'])
def test_decorators_that_work_beside_those_of_others_are_not_told(order, caplog, monkeypatch):
    monkeypatch.setattr(_unserved, 'WARN_AFTER_SECONDS', 600)
    cache = memory_cache()
    app = FastAPI(lifespan=cache.lifespan)
    cache.install(app, ttl=60)

    async def endpoint():
        return 1

    for at, decorate in enumerate([cache(ttl=60), cache.skip, cache.invalidates(tags=['a'])]):
        copied = functools.wraps(endpoint)(replacing(endpoint))
        route = app.get(f'/{at}')
        match order:
            case 'below':
                route(wrapping(decorate(copied)))
            case 'above the route':
                kept = wrapping(decorate(route(copied)))
                app.state.kept = [*getattr(app.state, 'kept', ()), kept]
            case _:
                app.get(f'/other/{at}')(decorate(wrapping(route(copied))))
    with TestClient(app):
        assert not warnings_of(caplog, 'endpoint')
