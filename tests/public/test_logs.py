"""What the log says: of responses with `logging_observer`, and of user code that raises without it."""

import logging

from fastapi import FastAPI
from starlette.testclient import TestClient

from fastapi_caching_route import FastAPICache, logging_observer
from tests.support import Clock, caching_router


def app_of(endpoint, *, observer=None, clock=None, **options):
    router, app = caching_router(), FastAPI()
    cache = FastAPICache(observer=observer, clock=clock or Clock())
    router.get('/items/{item}')(cache(**{'ttl': 60, **options})(endpoint))
    app.include_router(router)
    return cache, TestClient(app, raise_server_exceptions=False)


async def plain(item: int):
    return item


async def failing(item: int):
    raise RuntimeError('the endpoint')


def lines(caplog, name='fastapi_caching_route.responses'):
    return [it.getMessage() for it in caplog.records if it.name == name]


def test_misses_and_hits_are_logged_with_route_and_key(caplog):
    caplog.set_level(logging.DEBUG)
    _, client = app_of(plain, observer=logging_observer())
    for _ in range(2):
        client.get('/items/7')
    miss, hit = lines(caplog)
    assert miss.startswith('GET /items/{item}: miss, 200, 1 bytes in ')
    assert ', stored, key GET:/items/7' in miss
    assert hit.startswith('GET /items/{item}: hit, 200, 1 bytes in ')
    assert ', age 0 s, key GET:/items/7' in hit


def test_a_key_of_a_key_builder_is_logged_as_a_digest(caplog):
    caplog.set_level(logging.DEBUG)
    _, client = app_of(plain, observer=logging_observer(), key_builder=lambda request: 'token=secret')
    for _ in range(2):
        client.get('/items/7')
    assert len(lines(caplog)) == 2
    assert 'secret' not in caplog.text


def test_errors_are_warnings_and_the_rest_has_the_level_that_is_asked_for(caplog):
    own = logging.getLogger('tests.own')
    caplog.set_level(logging.INFO)
    _, client = app_of(failing, observer=logging_observer(own, level=logging.INFO))
    client.get('/items/7')
    client.get('/items/none')
    said = [(it.levelname, it.getMessage().split(',')[0]) for it in caplog.records if it.name == 'tests.own']
    assert said == [
        ('WARNING', 'GET /items/{item}: error (exception)'),
        ('INFO', 'GET /items/{item}: refused (status)'),
    ]


async def test_invalidations_are_logged(caplog):
    caplog.set_level(logging.DEBUG)
    cache, _ = app_of(plain, observer=logging_observer())
    await cache.invalidate_tags('user:7')
    await cache.invalidate_tags('user:7', soft=True)
    assert lines(caplog) == ['invalidated: tag:user:7', 'made stale: tag:user:7']


def test_nothing_is_logged_of_a_hit_without_an_observer(caplog):
    caplog.set_level(logging.DEBUG, logger='fastapi_caching_route')
    _, client = app_of(plain)
    client.get('/items/7')
    caplog.clear()
    client.get('/items/7')
    assert [it for it in caplog.records if it.name.startswith('fastapi_caching_route')] == []


def test_user_code_that_raises_is_shown_once_with_its_traceback(caplog):
    for option in ('skip', 'key_builder', 'identity', 'tags', 'store_if'):

        def raising(_):
            raise LookupError('of the user')

        caplog.clear()
        _, client = app_of(plain, **{option: raising})
        assert [client.get('/items/7').status_code for _ in range(3)] == [200] * 3
        shown = [it.message for it in caplog.records if 'raised LookupError' in it.message]
        assert len(shown) == 1, option
        assert 'in raising\n' in shown[0]
        assert 'of the user' not in shown[0].partition('raise LookupError')[0]


def test_a_failure_in_the_log_names_the_route_and_no_key_of_a_key_builder(caplog):
    clock, fails = Clock(), []

    async def endpoint(item: int):
        if fails:
            raise RuntimeError('the endpoint')
        return item

    _, client = app_of(endpoint, clock=clock, stale_if_error=600, key_builder=lambda request: 'token=secret')
    client.get('/items/7')
    clock.now += 90
    fails.append(True)
    assert client.get('/items/7').status_code == 200
    (line,) = [it.getMessage() for it in caplog.records if it.name == 'fastapi_caching_route']
    assert line.startswith('GET /items/{item} (')
    assert 'secret' not in caplog.text
