"""What is wrong as an app starts is told at once, and stops a strict one."""

import socket
import time

import pytest
import redis
from fastapi import FastAPI
from starlette.testclient import TestClient

from fastapi_caching_route import ConfigurationError, FastAPICache
from fastapi_caching_route._routes import start_up
from fastapi_caching_route.redis import RedisClientCache
from tests.backends.fakes import Elsewhere
from tests.support import caching_router


def warnings_of(caplog):
    return [it.getMessage() for it in caplog.records if it.levelname == 'WARNING']


def redis_cache(port, **options):
    return FastAPICache(RedisClientCache(lambda: redis.asyncio.Redis(port=port)), **options)


@pytest.fixture
def free_port():
    with socket.socket() as it:
        it.bind(('127.0.0.1', 0))
        yield it.getsockname()[1]


async def test_a_store_that_does_not_answer_is_told_as_the_app_starts(free_port, caplog):
    async with redis_cache(free_port).lifespan(FastAPI()):
        (said,) = warnings_of(caplog)
    assert f'the cache backend at localhost:{free_port} is failing' in said


async def test_a_store_that_does_not_answer_stops_a_strict_app(free_port):
    with pytest.raises(ConfigurationError, match=f'localhost:{free_port} does not answer: (Connection|Timeout)Error'):
        async with redis_cache(free_port, strict=True).lifespan(FastAPI()):
            raise AssertionError('it has started')


async def test_a_store_that_hangs_delays_the_start_for_a_moment(caplog):
    backend = Elsewhere()
    backend.hanging = {'multi_get'}
    cache, began = FastAPICache(backend, store_timeout=0.05), time.monotonic()
    async with cache.lifespan(FastAPI()):
        assert time.monotonic() - began < 5
    assert len(warnings_of(caplog)) == 1


async def test_a_bounded_redis_that_evicts_nothing_is_told(redis_server, caplog):
    with redis.Redis(port=redis_server.port) as server:
        async with redis_cache(redis_server.port, strict=True):
            pass
        server.config_set('maxmemory', 100_000_000)
        server.config_set('maxmemory-policy', 'noeviction')
        async with redis_cache(redis_server.port):
            pass
        assert [it.startswith('Redis has a maxmemory and evicts nothing') for it in warnings_of(caplog)] == [True]
        with pytest.raises(ConfigurationError, match='maxmemory-policy'):
            async with redis_cache(redis_server.port, strict=True):
                raise AssertionError('it has started')
        server.config_set('maxmemory-policy', 'allkeys-lru')
        async with redis_cache(redis_server.port, strict=True):
            pass


async def test_a_redis_whose_user_may_not_ask_for_its_memory_is_not_told_of(redis_server, caplog):
    with redis.Redis(port=redis_server.port) as server:
        server.config_set('maxmemory', 100_000_000)
        server.acl_setuser('u', enabled=True, passwords='+p', keys='*', commands=['+@all', '-info'])
        backend = RedisClientCache(lambda: redis.asyncio.Redis(port=redis_server.port, username='u', password='p'))
        async with FastAPICache(backend, strict=True):
            pass
    assert warnings_of(caplog) == []


def test_a_decorated_endpoint_without_its_route_stops_a_strict_app():
    cache = FastAPICache(strict=True)
    app = FastAPI(lifespan=cache.lifespan)

    @app.get('/')
    @cache(ttl=60)
    async def forgotten():
        return 1

    with pytest.raises(ConfigurationError, match='forgotten is decorated'), TestClient(app):
        raise AssertionError('it has started')


async def test_it_is_told_too_if_only_the_cache_is_opened(caplog):
    cache = FastAPICache()

    @FastAPI().get('/')
    @cache(ttl=60)
    async def forgotten():
        return 1

    async with cache:
        assert ['forgotten is decorated' in it for it in warnings_of(caplog)] == [True]


def test_several_workers_with_a_store_in_memory_do_not_start_if_the_cache_is_strict(monkeypatch):
    monkeypatch.setattr(start_up, 'is_one_of_several', lambda: True)
    monkeypatch.setattr(start_up, 'tell_of_workers', lambda **_: None)
    router, cache = caching_router(), FastAPICache(strict=True)

    @router.get('/')
    @cache(ttl=60)
    async def endpoint():
        return 1

    app = FastAPI(lifespan=cache.lifespan)
    app.include_router(router)
    with pytest.raises(ConfigurationError, match='one of several workers'), TestClient(app):
        raise AssertionError('it has started')


def test_a_strict_app_without_faults_starts():
    router, cache = caching_router(), FastAPICache(strict=True)

    @router.get('/')
    @cache(ttl=60)
    async def endpoint():
        return 1

    app = FastAPI(lifespan=cache.lifespan)
    app.include_router(router)
    with TestClient(app) as client:
        assert client.get('/').json() == 1


@pytest.mark.parametrize('strict', [1, 'yes', None])
def test_strict_is_true_or_false(strict):
    with pytest.raises(ConfigurationError, match='strict'):
        FastAPICache(strict=strict)
