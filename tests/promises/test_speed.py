"""What a request costs, counted: functions, coroutines, commands of the store. Times are in `docs/performance.md`."""

import sys
from collections import Counter
from inspect import CO_COROUTINE
from pathlib import Path
from typing import Annotated

import pytest
from fastapi import APIRouter, Depends, FastAPI, Header, HTTPException, Response
from fastapi.security import APIKeyHeader, OAuth2PasswordBearer
from pydantic import BeforeValidator

import fastapi_caching_route
from fastapi_caching_route import CachingRoute, FastAPICache, LMDBCache, MemoryCache
from fastapi_caching_route._exchange import arrival
from fastapi_caching_route._exchange.hit import Hit, at_once
from fastapi_caching_route._exchange.lookup import Looked
from tests.backends.fakes import Elsewhere
from tests.support import Clock, asgi_call, asgi_scope, caching_router

PACKAGE = str(Path(fastapi_caching_route.__file__).parent)


async def counted(app, scope):
    """How often each function of ours is called for one request, and how many of the calls are coroutines."""
    calls, coroutines = Counter(), Counter()

    def note(frame, event, _argument):
        code = frame.f_code
        # Comprehensions are functions of their own in some releases; and a coroutine that goes on is called once more.
        if event == 'call' and code.co_filename.startswith(PACKAGE) and not code.co_name.startswith('<'):
            calls[code.co_name] += 1
            coroutines[code.co_name] += bool(code.co_flags & CO_COROUTINE)

    sys.setprofile(note)
    try:
        await asgi_call(app, scope)
    finally:
        sys.setprofile(None)
    return calls, +coroutines


def app_of(cache, endpoint, identity='auto', **options):
    router = APIRouter(route_class=CachingRoute)
    router.get('/items', **options)(cache(ttl=60, identity=identity)(endpoint))
    app = FastAPI()
    app.include_router(router)
    return app


async def plain():
    return {'id': 1}


async def four(a: int = 1, b: int = 2, c: str = '', d: str = ''):
    return {'id': a}


HIT = {
    'handle': 1,
    'reached': 1,
    'effective_route': 1,
    'respond': 1,
    'current': 1,  # what the route declares
    'at_once': 3,  # the hit, its key, and what is stored
    'read': 1,
    'simply': 1,
    '_send': 1,
    'count': 1,
}
"""A hit in the same second as the one before."""

FIRST_OF_A_SECOND = dict.fromkeys(
    (
        *('_prepared', 'judge', 'age_and_left', 'age', 'use'),
        *('on_hit', '_on_most_hits', 'hit', 'prepared_head', 'lines', 'keep_ready'),
    ),
    1,
)
"""And what all others cost more."""


@pytest.mark.parametrize(
    ('endpoint', 'query'), [(plain, b''), (four, b'a=5&b=6&c=x&d=y')], ids=['no parameters', 'four parameters']
)
async def test_a_hit_in_memory_calls_these_functions_and_no_others(endpoint, query):
    clock = Clock()
    app, scope = app_of(FastAPICache(clock=clock), endpoint), asgi_scope(path='/items') | {'query_string': query}
    await asgi_call(app, dict(scope))
    clock.now += 0.25
    await asgi_call(app, dict(scope))
    calls, coroutines = await counted(app, dict(scope))
    assert calls == HIT
    assert coroutines == {'_send': 1}
    clock.now += 1
    calls, _ = await counted(app, dict(scope))
    assert calls - Counter(HIT) <= Counter(FIRST_OF_A_SECOND)


async def test_a_304_calls_one_function_more():
    clock = Clock()
    app, scope = app_of(FastAPICache(clock=clock), plain), asgi_scope(path='/items')
    await asgi_call(app, dict(scope))
    clock.now += 0.25
    tag = dict((await asgi_call(app, dict(scope)))[0]['headers'])[b'etag']
    scope['headers'] = [*scope['headers'], (b'if-none-match', tag)]
    assert (await asgi_call(app, dict(scope)))[0]['status'] == 304
    calls, coroutines = await counted(app, dict(scope))
    assert calls == {**HIT, 'of_a_304': 1}
    assert coroutines == {'_send': 1}


MISS, MISS_IN_COROUTINES = 155, 22
"""How many calls a miss in memory takes, and how many of them are coroutines. Write down here what it takes now: fewer
are better, and each more makes all misses dearer."""


async def test_a_miss_in_memory_takes_so_many_calls():
    memory = MemoryCache()
    app, scope = app_of(FastAPICache(memory, clock=Clock()), plain), asgi_scope(path='/items')
    for _ in range(2):
        for key in [*memory._small, *memory._main]:
            memory.remove(key)
        calls, coroutines = await counted(app, dict(scope))
    del calls['_is_default']  # of each exception handler, of which releases of FastAPI have more or fewer
    assert (sum(calls.values()), sum(coroutines.values())) == (MISS, MISS_IN_COROUTINES)


LMDB_HIT = 17
"""How many calls a hit in an LMDB store takes, in the same second as the one before."""

LMDB_MISS, LMDB_MISS_IN_COROUTINES = 270, 54
"""How many calls a miss takes there, of a path that was not requested before; and how many of them are coroutines."""

AT_TIMES = ('is_current', 'identity', '_beat', '_wait', 'seconds', '_is_default')
"""What is called now and then, or depends on the release of FastAPI."""


async def of_a_number(number: int):
    return {'id': number}


async def test_a_hit_and_a_miss_in_lmdb_take_so_many_calls(tmp_path):
    clock, router = Clock(), APIRouter(route_class=CachingRoute)
    cache = FastAPICache(LMDBCache(tmp_path / 'store'), clock=clock, store_timeout=60)
    router.get('/items/{number}')(cache(ttl=60)(of_a_number))
    app = FastAPI()
    app.include_router(router)
    async with cache:
        for number in range(3):
            scope = asgi_scope(path=f'/items/{number}')
            miss, coroutines = await counted(app, dict(scope))
            clock.now += 0.25
            hits = [(await counted(app, dict(scope)))[0] for _ in range(3)]
        for calls in (miss, hits[-1]):
            for name in AT_TIMES:
                del calls[name]
        assert (sum(miss.values()), sum(coroutines.values())) == (LMDB_MISS, LMDB_MISS_IN_COROUTINES)
        assert sum(hits[-1].values()) == LMDB_HIT


async def test_schemes_of_fastapi_alone_are_not_run_through_its_handler():
    app = app_of(FastAPICache(clock=Clock()), plain, dependencies=[Depends(APIKeyHeader(name='x-key'))])
    scope = asgi_scope(path='/items', headers=[(b'x-key', b'secret')])
    for _ in range(2):
        await asgi_call(app, dict(scope))
    calls, _ = await counted(app, dict(scope))
    assert calls['decide'] == 1
    assert not calls.keys() & {'_admitted', 'proceed', 'reader'}
    refused = await asgi_call(app, asgi_scope(path='/items'))
    assert refused[0]['status'] in {401, 403}


BEHIND_GUARDS = {'guard': 1, 'decide': 1, 'is_observed': 1, 'refusal': 1, '_is_untouched': 1}
STEPS = {'run': 1, '_run': 1}
READ = {'__call__': 2, '_is_read': 2, '_in_headers': 1, '_in_query': 1, 'value': 2}
"""Reads two parameters, in place of FastAPI's `request_params_to_args`."""


async def of_two_parameters(x_key: Annotated[str, Header()], page: int = 1):
    return x_key


async def settings():
    return {}


async def of_a_token(
    token: Annotated[str, Depends(OAuth2PasswordBearer('token'))], settings: Annotated[object, Depends(settings)]
):
    return token


@pytest.mark.parametrize(
    ('guards', 'more'),
    [
        ([APIKeyHeader(name='x-key')], {}),
        ([of_two_parameters], STEPS | READ),
        ([APIKeyHeader(name='x-key'), of_two_parameters], STEPS | READ),
        ([of_a_token], {'run': 1, '_run': 2}),
    ],
    ids=['a scheme', 'a function', 'a scheme and a function', 'a function with two dependencies'],
)
async def test_guards_that_accept_a_hit_call_these_functions_more(guards, more):
    clock = Clock()
    app = app_of(FastAPICache(clock=clock), plain, identity='shared', dependencies=[Depends(guard) for guard in guards])
    scope = asgi_scope(path='/items', headers=[(b'x-key', b'secret'), (b'authorization', b'Bearer token')])
    await asgi_call(app, dict(scope))
    clock.now += 0.25
    await asgi_call(app, dict(scope))
    calls, coroutines = await counted(app, dict(scope))
    assert calls - Counter(HIT) == Counter(BEHIND_GUARDS) + Counter(more)
    assert sum(coroutines.values()) <= 4 + more.get('run', 0) + more.get('_run', 0)


async def test_a_hit_and_a_miss_elsewhere_take_so_many_commands():
    backend = Elsewhere()
    app, scope = app_of(FastAPICache(backend, clock=Clock()), plain), asgi_scope(path='/items')
    await asgi_call(app, dict(scope))
    # The entry; marks, of which none is there yet, and which are read again; `last`; and the entry is stored.
    assert backend.commands == ['multi_get', 'multi_get', *['add'] * 5, 'multi_get', 'multi_get', 'set']
    backend.commands.clear()
    await asgi_call(app, dict(scope))
    assert backend.commands == ['multi_get', 'multi_get']  # the entry and `last`; and once, its marks
    backend.commands.clear()
    await asgi_call(app, dict(scope))
    assert backend.commands == ['multi_get']


def only_looked_up(*asked, **more):
    """What `at_once` looks up, without the response that it makes of that."""
    result = at_once(*asked, **more)
    return Looked(result.keys, result.found) if isinstance(result, Hit) else result


REQUESTS = {
    'plain': {},
    'head': {'method': 'HEAD'},
    'its tag': {'headers': [(b'if-none-match', b'"tag"')]},
    'any tag': {'headers': [(b'if-none-match', b'*')]},
    'another tag': {'headers': [(b'if-none-match', b'"other", W/"tag2"')]},
    'among tags': {'headers': [(b'if-none-match', b'"other", W/"tag"')]},
    'since': {'headers': [(b'if-modified-since', b'Fri, 20 Nov 2026 00:00:00 GMT')]},
    'long since': {'headers': [(b'if-modified-since', b'Fri, 20 Nov 2020 00:00:00 GMT')]},
    'range': {'headers': [(b'range', b'bytes=2-4')]},
    'beyond': {'headers': [(b'range', b'bytes=200-')]},
    'if range': {'headers': [(b'range', b'bytes=2-4'), (b'if-range', b'"tag"')]},
    'compressible': {'headers': [(b'range', b'bytes=2-4'), (b'accept-encoding', b'gzip')]},
    'no-store': {'headers': [(b'cache-control', b'no-store')]},
    'no-cache': {'headers': [(b'cache-control', b'no-cache')]},
    'query': {'query_string': b'x=1'},
}


@pytest.mark.parametrize('options', [{}, {'client_cache_control': True}, {'cache_control': 'max-age=5'}], ids=str)
@pytest.mark.parametrize('age', [0, 0.25, 30, 59.9])
@pytest.mark.parametrize('request_', REQUESTS.values(), ids=REQUESTS)
async def test_the_short_way_answers_as_the_long_way_does(request_, age, options, monkeypatch):
    clock = Clock()
    cache, router = FastAPICache(MemoryCache(), clock=clock), caching_router()

    @router.get('/')
    @cache(ttl=60, **options)
    async def endpoint():
        fields = {'etag': '"tag"', 'last-modified': 'Thu, 19 Nov 2026 00:00:00 GMT', 'x-more': 'ü'}
        return Response(b'0123456789', headers=fields)

    app = FastAPI()
    app.include_router(router)
    scope = asgi_scope()
    await asgi_call(app, dict(scope))
    clock.now += age
    scope.update(request_)
    short = await asgi_call(app, dict(scope))
    assert await asgi_call(app, dict(scope)) == short  # from a head that is remembered
    with monkeypatch.context() as patched:
        patched.setattr(arrival, 'at_once', only_looked_up)
        assert await asgi_call(app, dict(scope)) == short
        patched.setattr(arrival, 'at_once', lambda *_, **__: None)
        assert await asgi_call(app, dict(scope)) == short


@pytest.mark.parametrize('method', ['GET', 'HEAD', 'POST'])
@pytest.mark.parametrize('body', [b'', b'{"a": "b"}', b'{"a": "c"}'], ids=str)
@pytest.mark.parametrize('part', [b'', b'one', b'two'], ids=str)
async def test_the_short_way_answers_as_the_long_way_does_by_header_and_body(method, body, part, monkeypatch):
    router, cache = caching_router(), FastAPICache(MemoryCache(), clock=Clock())

    @router.api_route('/', methods=['GET', 'HEAD', 'POST'])
    @cache(ttl=60)
    async def endpoint(wanted: dict[str, str] | None = None, x_part: Annotated[str, Header()] = ''):
        return [wanted, x_part]

    app, headers = FastAPI(), [(b'content-type', b'application/json'), (b'x-part', part)]
    app.include_router(router)
    for other in (b'', b'{"a": "b"}', body):
        await asgi_call(app, asgi_scope('POST' if method == 'POST' else 'GET', headers=headers), other)
    short = await asgi_call(app, asgi_scope(method, headers=headers), body)
    assert dict(short[0]['headers'])[b'x-cache'] == b'HIT'
    with monkeypatch.context() as patched:
        patched.setattr(arrival, 'at_once', lambda *_, **__: None)
        assert await asgi_call(app, asgi_scope(method, headers=headers), body) == short


@pytest.mark.parametrize(
    ('path', 'first', 'second'),
    [
        ('/{number:int}', {'path': '/07'}, {'path': '/7'}),
        ('/{number}', {'path': '/1'}, {'path': '/2'}),
        ('/0', {'method': 'GET'}, {'method': 'POST'}),
        ('/0', {'query_string': b'page=1'}, {'query_string': b'page=2'}),
        ('/0', {'query_string': b'page=a%26b'}, {'query_string': b'page=a&b'}),
        ('/0', {}, {'root_path': '/app', 'path': '/app/0'}),
    ],
    ids=str,
)
async def test_lines_that_are_remembered_are_told_apart(path, first, second):
    router, runs = caching_router(), []
    cache = FastAPICache(clock=Clock())

    @router.api_route(path, methods=['GET', 'POST'])
    @cache(ttl=60)
    async def endpoint(number: int = 0, page: str = ''):
        runs.append((number, page))
        return [number, page]

    app = FastAPI()
    app.include_router(router)
    for _ in range(2):  # the second time, what they came to is remembered
        for asked in (first, second):
            await asgi_call(app, asgi_scope(path='/0') | {'raw_path': b''} | asked)
    assert len(runs) == 2


async def test_what_stands_in_for_a_scheme_decides_on_hits_too():
    scheme = APIKeyHeader(name='x-key')
    app = app_of(FastAPICache(clock=Clock()), plain, dependencies=[Depends(scheme)])
    scope = asgi_scope(path='/items', headers=[(b'x-key', b'secret')])
    for _ in range(2):
        assert (await asgi_call(app, dict(scope)))[0]['status'] == 200

    open_ = [True]

    def while_open():
        if not open_:
            raise HTTPException(418)

    app.dependency_overrides[scheme] = while_open
    for _ in range(2):
        assert (await asgi_call(app, dict(scope)))[0]['status'] == 200
    open_.clear()
    assert (await asgi_call(app, dict(scope)))[0]['status'] == 418
    app.dependency_overrides[scheme] = lambda: None
    assert [(await asgi_call(app, asgi_scope(path='/items')))[0]['status'] for _ in range(2)] == [200, 200]
    app.dependency_overrides.clear()
    assert (await asgi_call(app, dict(scope)))[0]['status'] == 200
    assert (await asgi_call(app, asgi_scope(path='/items')))[0]['status'] in {401, 403}


async def test_a_scheme_with_code_of_the_users_is_asked_once():
    asked = []

    class Counting(APIKeyHeader):
        def check_api_key(self, api_key):
            asked.append(api_key)
            return super().check_api_key(api_key)

    app = app_of(FastAPICache(clock=Clock()), plain, dependencies=[Depends(Counting(name='x-key'))])
    scope = asgi_scope(path='/items', headers=[(b'x-key', b'secret')])
    for _ in range(2):
        await asgi_call(app, dict(scope))
    asked.clear()
    await asgi_call(app, asgi_scope(path='/items'))
    assert len(asked) <= 1  # none, in releases that do not ask it


async def test_long_lines_are_not_remembered():
    cache, app = FastAPICache(clock=Clock()), FastAPI()
    app.router.route_class = CachingRoute

    @app.get('/{name}')
    @cache(ttl=60)
    async def endpoint(name: str, page: str = ''):
        return name + page

    for asked in ({'path': f'/{"a" * 1000}'}, {'path': '/a', 'query_string': b'page=' + b'a' * 1000}, {'path': '/a'}):
        await asgi_call(app, asgi_scope() | asked)
    (route,) = [it for it in app.routes if isinstance(it, CachingRoute)]
    plans = [it.plan for it in route._places._known.values()]
    assert [len(it.declared().keys._known) for it in plans] == [1]


async def test_what_a_validator_makes_of_a_text_never_takes_the_entry_of_the_default():
    today = ['2026-01-01']
    day = Annotated[str, BeforeValidator(lambda given: today[0] if given == 'today' else given)]
    cache, app = FastAPICache(clock=Clock()), FastAPI()
    app.router.route_class = CachingRoute

    @app.get('/report')
    @cache(ttl=60)
    async def report(day: day = '2026-01-01'):
        return day

    async def asked(query):
        return (await asgi_call(app, asgi_scope(path='/report', query=query)))[1]['body']

    today[0] = '2026-01-02'
    assert await asked(b'day=today') == b'"2026-01-02"'
    assert await asked(b'') == b'"2026-01-01"'
    today[0] = '2026-01-01'
    assert await asked(b'day=today') == b'"2026-01-02"'  # of the same text, for its ttl
    assert await asked(b'') == b'"2026-01-01"'


@pytest.mark.parametrize('place', [{'root_path': '/' + 'r' * 1000}, {'path_params': {'tenant': 't' * 1000}}])
async def test_what_is_long_elsewhere_is_not_remembered_either(place):
    cache, app = FastAPICache(clock=Clock()), FastAPI()
    app.router.route_class = CachingRoute
    app.get('/items')(cache(ttl=60)(plain))
    scope = asgi_scope(path='/items') | place
    if 'root_path' in place:
        scope['path'] = place['root_path'] + '/items'
    assert (await asgi_call(app, scope))[0]['status'] == 200
    (route,) = [it for it in app.routes if isinstance(it, CachingRoute)]
    assert [len(it.plan.declared().keys._known) for it in route._places._known.values()] == [0]


async def test_a_table_that_fails_costs_no_answer(monkeypatch):
    def failing(*_options):
        raise RuntimeError('the table')

    memory = MemoryCache()
    monkeypatch.setattr(memory, 'write', failing)
    app, scope = app_of(FastAPICache(memory, clock=Clock()), plain), asgi_scope(path='/items')
    assert [(await asgi_call(app, dict(scope)))[0]['status'] for _ in range(2)] == [200, 200]
