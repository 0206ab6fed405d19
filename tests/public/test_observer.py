"""What observers are told of responses."""

import asyncio
import logging

import pytest
from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException, Response
from fastapi.responses import PlainTextResponse, StreamingResponse
from fastapi.security import APIKeyHeader
from starlette.testclient import TestClient

from fastapi_caching_route import ConfigurationError, FastAPICache, events
from tests.backends.fakes import Elsewhere
from tests.support import Clock, asgi_call, asgi_scope, caching_router

KEY = {'x-key': 'secret'}


class Shop:
    """An app with one cached route for each way in which a response comes about, and what its observer was told."""

    def __init__(self, backend=None, **options):
        self.told, self.clock, self.fails = [], Clock(), False
        self.cache = cache = FastAPICache(backend, clock=self.clock, observer=self.told.append, **options)
        router = caching_router(prefix='/shop')

        @router.get('/items/{item}')
        @cache(ttl=60, stale_while_revalidate=60, stale_if_error=600)
        async def item(item: int):
            if self.fails:
                raise RuntimeError('the endpoint')
            return {'item': item}

        @router.get('/refused')
        @cache(ttl=60)
        async def refused(key: str = Depends(APIKeyHeader(name='x-key'))):
            return 'for all who have a key'

        @router.get('/no-store')
        @cache(ttl=60)
        async def no_store():
            return Response(b'private', headers={'cache-control': 'no-store'})

        @router.get('/skipped')
        @cache(ttl=60, skip=lambda _: True)
        async def skipped():
            return 'skipped'

        @router.get('/failing')
        @cache(ttl=60)
        async def failing(status: int = 503):
            raise HTTPException(status)

        @router.get('/raising')
        @cache(ttl=60)
        async def raising():
            raise RuntimeError('the endpoint')

        @router.get('/stream')
        @cache(ttl=60)
        async def stream(large: int = 0):
            return StreamingResponse(iter([b'one', b'two' * (4_000_000 if large else 1)]))

        @router.get('/validated')
        @cache(ttl=60, revalidate=True)
        async def validated(response: Response):
            if self.fails:
                return Response(status_code=304, headers={'etag': '"1"'})
            return Response(b'1', headers={'etag': '"1"'})

        @router.api_route('/both', methods=['GET', 'PUT'])
        @cache(ttl=60)
        async def both():
            return 'both'

        @router.get('/built')
        @cache(ttl=60, key_builder=lambda request: f'token={request.headers["x-key"]}')
        async def built():
            return 'built'

        self.app = FastAPI()
        self.app.include_router(router)
        self.client = TestClient(self.app, raise_server_exceptions=False)

    def ask(self, path, *, method='GET', **headers):
        """The record of a response, and the response."""
        self.told.clear()
        response = self.client.request(method, f'/shop{path}', headers=headers)
        (told,) = [it for it in self.told if isinstance(it, events.Responded)]
        assert told.status == response.status_code
        return told

    def outcome(self, path, **asked):
        told = self.ask(path, **asked)
        return told.outcome, told.reason, told.stored


def test_a_miss_and_a_hit_are_told_with_what_they_were():
    shop = Shop()
    miss = shop.ask('/items/7')
    shop.clock.now += 5
    hit = shop.ask('/items/7')
    assert (miss.outcome, miss.stored, miss.age, hit.outcome, hit.stored, hit.age) == (
        'miss',
        True,
        None,
        'hit',
        False,
        5,
    )
    for told in (miss, hit):
        assert (told.method, told.route, told.status, told.bytes) == (
            'GET',
            '/shop/items/{item}',
            200,
            len(b'{"item":7}'),
        )
        assert told.endpoint.endswith('.item')
        assert told.key.startswith('GET:/shop/items/7')
        assert told.seconds >= told.look_up_seconds + told.endpoint_seconds
    assert miss.endpoint_seconds > 0
    assert hit.endpoint_seconds == 0
    assert hit.look_up_seconds > 0


def test_a_304_to_the_client_is_a_hit_without_a_body():
    shop = Shop()
    shop.ask('/items/7')
    told = shop.ask('/items/7', **{'if-none-match': '*'})
    assert (told.outcome, told.status, told.bytes) == ('hit', 304, 0)


def test_a_stale_entry_is_told_once_and_its_renewal_is_not():
    shop = Shop()
    shop.ask('/items/7')
    shop.clock.now += 90
    told = shop.ask('/items/7')
    assert (told.outcome, told.reason, told.age, told.endpoint_seconds) == ('stale', None, 90, 0)
    assert shop.outcome('/items/7') == ('hit', None, False)


def test_a_stale_entry_in_place_of_a_failure_is_told_with_its_reason():
    shop = Shop()
    shop.ask('/items/7')
    shop.clock.now += 300
    shop.fails = True
    told = shop.ask('/items/7')
    assert (told.outcome, told.reason, told.status) == ('stale', 'stale-if-error', 200)
    assert told.endpoint_seconds > 0
    assert shop.outcome('/items/7') == (
        'stale',
        'stale-if-error',
        False,
    )  # without asking, since it failed a moment ago


@pytest.mark.parametrize(
    ('path', 'outcome'),
    [
        ('/no-store', ('miss', 'no-store', False)),
        ('/skipped', ('bypass', 'skip', False)),
        ('/refused', ('refused', 'status', False)),
        ('/items/none', ('refused', 'status', False)),
        ('/failing', ('error', 'status', False)),
        ('/failing?status=404', ('miss', 'status', False)),
        ('/raising', ('error', 'exception', False)),
        ('/stream', ('miss', None, True)),
        ('/stream?large=1', ('miss', 'size', False)),
    ],
)
def test_each_outcome_has_its_reason(path, outcome):
    assert Shop().outcome(path) == outcome


def test_a_method_that_is_never_cached_bypasses():
    assert Shop().outcome('/both', method='PUT') == ('bypass', 'method', False)


def test_a_disabled_cache_is_bypassed():
    shop = Shop()
    with shop.cache.disabled():
        assert shop.outcome('/items/7') == ('bypass', 'disabled', False)


def test_a_refusal_of_a_guard_is_told_whether_there_is_an_entry_or_not():
    shop = Shop()
    refused = shop.outcome('/refused')
    assert shop.outcome('/refused', **KEY)[0] == 'miss'
    assert shop.outcome('/refused', **KEY)[0] == 'hit'
    assert shop.outcome('/refused') == refused == ('refused', 'status', False)


def test_an_entry_that_the_endpoint_has_confirmed_is_revalidated():
    shop = Shop()
    shop.ask('/validated')
    shop.clock.now += 90
    shop.fails = True
    told = shop.ask('/validated')
    assert (told.outcome, told.stored, told.status, told.bytes, told.age) == ('revalidated', True, 200, 1, 0)
    assert told.endpoint_seconds > 0


def test_no_stored_response_for_a_client_that_wants_nothing_else_is_a_refusal():
    cache, router, told = FastAPICache(policy=None, observer=(seen := []).append), caching_router(), seen

    @router.get('/')
    @cache(ttl=60, client_cache_control=True)
    async def endpoint():
        return 1

    app = FastAPI()
    app.include_router(router)
    TestClient(app).get('/', headers={'cache-control': 'only-if-cached'})
    assert [(it.outcome, it.reason, it.status) for it in told] == [('refused', 'only-if-cached', 504)]


async def test_followers_of_a_run_are_collapsed():
    told, release, router = [], asyncio.Event(), caching_router()
    cache = FastAPICache(observer=told.append)

    @router.get('/')
    @cache(ttl=60)
    async def endpoint():
        await release.wait()
        return 1

    app = FastAPI()
    app.include_router(router)
    asked = [asyncio.create_task(asgi_call(app, asgi_scope())) for _ in range(4)]
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_later(0.05, release.set)
    await asyncio.gather(*asked)
    assert sorted(it.outcome for it in told) == ['collapsed'] * 3 + ['miss']
    assert all(it.age is not None and it.endpoint_seconds == 0 for it in told if it.outcome == 'collapsed')


async def test_a_stale_entry_that_overtakes_the_endpoint_is_told_alone():
    told, release, clock, router = [], asyncio.Event(), Clock(), caching_router()
    cache = FastAPICache(observer=told.append, clock=clock)
    release.set()

    @router.get('/')
    @cache(ttl=60, stale_if_error=600, endpoint_timeout=0.01)
    async def endpoint():
        await release.wait()
        return 1

    app = FastAPI()
    app.include_router(router)
    await asgi_call(app, asgi_scope())
    release.clear()
    clock.now += 90
    asyncio.get_running_loop().call_later(0.1, release.set)
    await asgi_call(app, asgi_scope())
    assert [(it.outcome, it.reason) for it in told] == [('miss', None), ('stale', 'endpoint-timeout')]


async def test_a_response_is_told_when_it_was_sent_and_not_after_its_background_tasks():
    told, order, router = [], [], caching_router()
    cache = FastAPICache(observer=lambda it: (told.append(it), order.append('told')))

    @router.get('/')
    @cache(ttl=60)
    async def endpoint(tasks: BackgroundTasks):
        tasks.add_task(order.append, 'background')
        return 1

    app = FastAPI()
    app.include_router(router)
    await asgi_call(app, asgi_scope())
    assert order == ['told', 'background']


async def test_a_client_that_goes_before_its_response_begins_gets_none():
    told, router, began = [], caching_router(), asyncio.Event()
    cache = FastAPICache(observer=told.append)

    @router.get('/')
    @cache(ttl=60)
    async def endpoint():
        began.set()
        await asyncio.sleep(60)

    app = FastAPI()
    app.include_router(router)
    asking = asyncio.create_task(asgi_call(app, asgi_scope()))
    await began.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert told == []


def test_a_record_holds_no_key_of_a_key_builder():
    shop = Shop()
    for _ in range(2):
        told = shop.ask('/built', **KEY)
        assert told.key
        assert 'secret' not in repr(told)


def test_a_record_cannot_be_changed():
    told = Shop().ask('/items/7')
    with pytest.raises(AttributeError):
        told.outcome = 'hit'


@pytest.mark.parametrize('backend', [lambda: None, Elsewhere], ids=['memory', 'elsewhere'])
def test_an_observer_that_raises_is_logged_once_and_dropped_and_the_others_go_on(backend, caplog):
    told, calls = [], []

    def failing(record):
        calls.append(record)
        raise RuntimeError('the observer')

    cache, router = FastAPICache(backend(), observer=[failing, told.append]), caching_router()

    @router.get('/')
    @cache(ttl=60)
    async def endpoint():
        return 1

    app = FastAPI()
    app.include_router(router)
    with TestClient(app) as client:
        assert [client.get('/').status_code for _ in range(3)] == [200] * 3
    assert len(calls) == 1
    assert [it.outcome for it in told] == ['miss', 'hit', 'hit']
    logged = [it for it in caplog.records if it.levelno >= logging.ERROR]
    assert len(logged) == 1
    assert logged[0].exc_info is not None


class Unusual(BaseException):
    pass


@pytest.mark.parametrize('kind', [asyncio.CancelledError, GeneratorExit, StopAsyncIteration, Unusual])
def test_an_observer_may_raise_anything_and_no_response_is_disturbed(kind, caplog):
    def failing(_record):
        raise kind('the observer')

    cache, router = FastAPICache(observer=failing), caching_router()

    @router.get('/')
    @cache(ttl=60)
    async def endpoint():
        return 1

    app = FastAPI()
    app.include_router(router)
    with TestClient(app) as client:
        assert [client.get('/').json() for _ in range(3)] == [1] * 3
    logged = [it for it in caplog.records if it.levelno >= logging.ERROR]
    assert [it.exc_info[0] for it in logged] == [kind]


@pytest.mark.parametrize('kind', [KeyboardInterrupt, SystemExit])
async def test_an_observer_may_end_the_process(kind):
    def ending(_record):
        raise kind

    cache, router, app = FastAPICache(observer=ending), caching_router(), FastAPI()
    cache(ttl=60)(router.get('/')(lambda: 1))
    app.include_router(router)
    with pytest.raises(kind):
        await cache.clear()


@pytest.mark.parametrize('fails', [False, True], ids=['works', 'raises'])
async def test_a_request_that_is_cancelled_while_an_observer_runs_is_cancelled(fails):
    def cancelling(_record):
        asking.cancel()
        if fails:
            raise asyncio.CancelledError

    cache, router, app = FastAPICache(observer=cancelling), caching_router(), FastAPI()

    @router.get('/')
    @cache(ttl=60)
    async def endpoint():
        return 1

    app.include_router(router)

    async def send(message):
        await asyncio.sleep(0)
        sent.append(message['type'])

    async def receive():
        return {'type': 'http.request', 'body': b'', 'more_body': False}

    sent = []
    asking = asyncio.create_task(app(asgi_scope(), receive, send))
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert sent == ['http.response.start']


def test_what_an_endpoint_has_raised_is_not_logged_with_what_an_observer_raises(caplog):
    def failing(_record):
        raise RuntimeError('of the observer')

    def failing_plainly(record):
        try:
            failing(record)
        except RuntimeError as error:
            raise LookupError from error

    cache, router = FastAPICache(observer=[failing, failing_plainly]), caching_router()

    @router.get('/')
    @cache(ttl=60)
    async def endpoint(token: str):
        raise ArithmeticError(token)

    app = FastAPI()
    app.include_router(router)

    @app.exception_handler(ArithmeticError)
    async def handled(_request, _error):
        return PlainTextResponse('handled', 400)

    with TestClient(app) as client:
        assert client.get('/', params={'token': 'of-ada'}).text == 'handled'
    logged = [it.exc_text or logging.Formatter().formatException(it.exc_info) for it in caplog.records if it.exc_info]
    assert len(logged) == 2
    assert all('of the observer' in it for it in logged)
    assert 'of-ada' not in ''.join(logged)


async def a_coroutine_function(_record):
    pass


class Asynchronous:
    async def __call__(self, record):
        pass


@pytest.mark.parametrize('observer', [a_coroutine_function, Asynchronous(), 'logging', [print, None]])
def test_an_observer_is_a_plain_function(observer):
    with pytest.raises(ConfigurationError, match='observer'):
        FastAPICache(observer=observer)


def test_only_a_record_of_a_response_has_an_outcome():
    kinds = [events.Responded, events.Invalidated, events.Evicted, events.StoreFailed, events.StoreRecovered]
    assert [it for it in kinds if 'outcome' in it.__struct_fields__] == [events.Responded]


class SentTwice(Response):
    """An endpoint's own response, whose end comes twice. Servers ignore the second one or complain."""

    async def __call__(self, scope, receive, send):
        await super().__call__(scope, receive, send)
        await send({'type': 'http.response.body', 'body': b''})


async def test_a_response_whose_end_comes_twice_is_told_once():
    told, router = [], caching_router()
    cache = FastAPICache(observer=told.append)

    @router.get('/')
    @cache(ttl=60, skip=lambda request: True)
    async def endpoint():
        return SentTwice(b'a')

    app = FastAPI()
    app.include_router(router)
    await asgi_call(app, asgi_scope())
    assert [(it.outcome, it.reason, it.bytes) for it in told] == [('bypass', 'skip', 1)]
