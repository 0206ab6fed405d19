"""What is stored by status, and what bypasses the cache or is not kept because the user says so."""

import asyncio
import logging
from typing import Annotated

import pytest
from fastapi import Depends, Header, HTTPException, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from httpx import ASGITransport, AsyncClient

from fastapi_caching_route import CacheContext, CachedResponse, CachePolicy, ConfigurationError
from tests.support import Clock, asgi_call, asgi_scope, caching_router, client_of, marks, memory_cache


def answering(status, *, cache, **options):
    """A client of a route that answers with a status, and how often that has run."""
    router, runs = caching_router(), []

    @router.get('/')
    @cache(**options)
    async def endpoint():
        runs.append(1)
        if status >= 400:
            raise HTTPException(status)
        return Response('yes', status)

    return client_of(router), runs


@pytest.mark.parametrize('status', [201, 301, 404, 410, 503])
def test_an_answer_of_a_named_status_is_fresh_for_its_own_time(status):
    clock = Clock()
    client, runs = answering(status, cache=memory_cache(clock=clock), ttl=60, status_ttl={status: 5})
    answers = [client.get('/', follow_redirects=False) for _ in range(2)]
    assert [it.status_code for it in answers] == [status] * 2
    assert marks(*answers) == ['MISS', 'HIT']
    clock.now += 5
    assert marks(client.get('/', follow_redirects=False)) == ['MISS']
    assert len(runs) == 2


def test_other_statuses_are_as_without():
    clock = Clock()
    cache = memory_cache(clock=clock)
    client, _ = answering(200, cache=cache, ttl=60, status_ttl={404: 5})
    client.get('/')
    clock.now += 59
    assert marks(client.get('/')) == ['HIT']
    client, _ = answering(410, cache=memory_cache(), ttl=60, status_ttl={404: 5})
    assert client.get('/').headers['cache-status'] == 'FastAPICache; fwd=uri-miss; detail=status'


def test_a_lifetime_of_0_stores_no_answer_of_that_status():
    client, runs = answering(200, cache=memory_cache(), ttl=60, status_ttl={200: 0}, stale_if_error=60)
    assert marks(client.get('/'), client.get('/')) == [None, None]
    assert len(runs) == 2


def test_a_status_may_be_stored_where_a_ttl_of_0_stores_nothing_else():
    client, _ = answering(404, cache=memory_cache(), ttl=0, status_ttl={404: 5})
    assert marks(client.get('/'), client.get('/')) == ['MISS', 'HIT']


def test_a_response_may_shorten_what_its_status_is_given_and_a_context_says_otherwise():
    clock, router = Clock(), caching_router()
    cache = memory_cache(clock=clock)

    @router.get('/{kind}')
    @cache(ttl=60, status_ttl={404: 50})
    async def endpoint(kind: str, context: Annotated[CacheContext, Depends()]):
        if kind == 'chosen':
            context.ttl = 7
        return Response(status_code=404, headers={'cache-control': 'max-age=3'} if kind == 'short' else {})

    client = client_of(router)
    for kind, span in (('plain', 50), ('short', 3), ('chosen', 7)):
        client.get(f'/{kind}')
        clock.now += span - 1
        assert marks(client.get(f'/{kind}')) == ['HIT']
        clock.now += 1
        assert marks(client.get(f'/{kind}')) == ['MISS']


def test_the_404_of_a_guard_is_not_stored_whatever_is_said_of_404():
    router, cache = caching_router(), memory_cache()

    def guard(x_key: str = Header('')):
        if x_key != 'right':
            raise HTTPException(404)

    @router.get('/', dependencies=[Depends(guard)])
    @cache(status_ttl={404: 60}, identity='shared')
    async def endpoint():
        return 'secret'

    client = client_of(router)
    assert marks(client.get('/'), client.get('/')) == [None, None]
    assert client.get('/', headers={'x-key': 'right'}).json() == 'secret'
    assert client.get('/').status_code == 404


def test_the_default_of_all_routes_counts_where_a_route_says_nothing():
    client, _ = answering(404, cache=memory_cache(policy=CachePolicy(ttl=9, status_ttl={404: 5})))
    assert marks(client.get('/'), client.get('/')) == ['MISS', 'HIT']


def test_by_the_book_the_fields_decide_and_no_status_has_a_time_of_its_own():
    client, runs = answering(404, cache=memory_cache(mode='rfc9111'), status_ttl={404: 60})
    assert marks(client.get('/'), client.get('/')) == [None, None]
    assert len(runs) == 2


def skipping(skip, **options):
    """A client of a route that says how often it has run."""
    router, cache, runs = caching_router(), memory_cache(), []

    @router.get('/')
    @cache(ttl=60, skip=skip, **options)
    async def endpoint():
        runs.append(1)
        return len(runs)

    return client_of(router)


async def async_skip(request):
    await asyncio.sleep(0)
    return request.headers.get('x-preview')


@pytest.mark.parametrize('skip', [lambda it: it.headers.get('x-preview'), async_skip], ids=['plain', 'async'])
def test_a_request_that_is_skipped_is_answered_by_the_endpoint_and_leaves_no_trace(skip):
    client, preview = skipping(skip), {'x-preview': '1'}
    assert [client.get('/', headers=it).json() for it in (preview, {}, {}, preview, {})] == [1, 2, 2, 3, 2]
    assert client.get('/', headers=preview).headers['cache-status'] == 'FastAPICache; fwd=bypass; detail=skip'
    assert client.get('/').headers['x-cache'] == 'HIT'


def test_a_skip_that_raises_skips_and_is_told_once(caplog):
    client = skipping(lambda request: request.headers['x-missing'])
    with caplog.at_level(logging.INFO, 'fastapi_caching_route'):
        assert [client.get('/').json() for _ in range(3)] == [1, 2, 3]
    (told,) = caplog.records
    assert (told.levelname, told.getMessage()) == ('WARNING', "'/' bypasses the cache: the skip callable has raised")
    assert client.get('/', headers={'x-missing': ''}).headers['x-cache'] == 'MISS'


def test_a_skip_reads_what_explicit_dependencies_have_left():
    def rank(request: Request):
        request.state.is_admin = request.headers.get('x-rank') == 'admin'

    client = skipping(lambda it: it.state.is_admin, dependencies=[Depends(rank)])
    assert [client.get('/', headers=it).json() for it in ({}, {'x-rank': 'admin'}, {})] == [1, 2, 1]


def test_guards_run_where_a_request_is_skipped():
    def guard():
        raise HTTPException(403)

    client = skipping(lambda _: True, dependencies=[Depends(guard)])
    assert client.get('/').status_code == 403


def test_a_key_builder_is_not_asked_where_a_request_is_skipped():
    asked = []
    client = skipping(lambda _: True, key_builder=lambda it: asked.append(it) or 'key')
    assert client.get('/').headers['cache-status'].endswith('detail=skip')
    assert not asked


def test_explicit_dependencies_run_once_where_a_request_is_skipped():
    runs = []
    client = skipping(lambda _: True, dependencies=[Depends(lambda: runs.append(1))])
    client.get('/')
    assert len(runs) == 1


class Unjudged:
    def __bool__(self):
        raise ValueError


def test_what_cannot_be_judged_skips():
    assert skipping(lambda _: Unjudged()).get('/').headers['cache-status'].endswith('detail=skip-callable')


def storing(store_if, *, streamed=False, **options):
    """A client of a route that answers with the items that are asked for, and how often it has run."""
    router, cache, runs = caching_router(), memory_cache(), []

    @router.get('/')
    @cache(ttl=60, store_if=store_if, **options)
    async def endpoint(items: int = 0, pause: float = 0.0):
        runs.append(items)
        await asyncio.sleep(pause)
        answer = JSONResponse([0] * items)
        return StreamingResponse(iter([answer.body[:1], answer.body[1:]])) if streamed else answer

    return client_of(router), runs


def test_an_answer_that_is_not_wanted_is_sent_and_not_stored():
    seen = []
    client, runs = storing(lambda it: seen.append(it) or it.body != b'[]')
    answers = [client.get('/', params={'items': it}) for it in (0, 0, 1, 1)]
    assert marks(*answers) == [None, None, 'MISS', 'HIT']
    assert [it.json() for it in answers] == [[], [], [0], [0]]
    assert runs == [0, 0, 1]
    assert answers[0].headers['cache-status'] == 'FastAPICache; fwd=uri-miss; detail=store-if'
    assert [type(it) for it in seen] == [CachedResponse] * 3
    assert (seen[2].status_code, seen[2].headers['content-type']) == (200, 'application/json')


def test_a_stream_that_is_not_wanted_is_sent_and_not_stored():
    client, runs = storing(lambda it: it.body != b'[]', streamed=True)
    assert [client.get('/', params={'items': it}).json() for it in (0, 0, 1, 1)] == [[], [], [0], [0]]
    assert runs == [0, 0, 1]


def test_store_if_can_only_narrow():
    client, _ = answering(404, cache=memory_cache(), store_if=lambda _: True)
    assert marks(client.get('/'), client.get('/')) == [None, None]


def test_a_store_if_that_raises_stores_nothing_and_is_told_once(caplog):
    client, runs = storing(lambda it: 1 / 0)
    with caplog.at_level(logging.INFO, 'fastapi_caching_route'):
        assert [client.get('/').status_code for _ in range(2)] == [200, 200]
    assert len(runs) == 2
    (told,) = caplog.records
    assert (told.levelname, 'it has raised' in told.getMessage()) == ('WARNING', True)


def test_store_if_sees_the_status_and_goes_by_truth():
    seen = []
    client, _ = answering(
        404, cache=memory_cache(), status_ttl={404: 5}, store_if=lambda it: seen.append(it.status_code)
    )
    assert marks(client.get('/'), client.get('/')) == [None, None]
    assert seen == [404, 404]


async def test_store_if_is_not_asked_of_an_answer_that_is_incomplete():
    router, asked = caching_router(), []

    @router.get('/')
    @memory_cache()(store_if=lambda it: asked.append(it) or True)
    async def endpoint():
        return StreamingResponse(iter([b'ab']), headers={'content-length': '3'})

    await asgi_call(client_of(router).app, asgi_scope())
    assert not asked


async def test_nobody_waits_where_the_last_answer_was_not_wanted():
    router, cache, running = caching_router(), memory_cache(), []

    @router.get('/')
    @cache(ttl=60, store_if=lambda _: False)
    async def endpoint():
        running.append(1)
        at_once = len(running)
        await asyncio.sleep(0.05)
        running.clear()
        return at_once

    async with AsyncClient(transport=ASGITransport(client_of(router).app), base_url='http://test') as asking:
        await asking.get('/')
        answers = await asyncio.gather(*(asking.get('/') for _ in range(5)))
    assert sorted(it.json() for it in answers) == [1, 2, 3, 4, 5]


def test_each_route_may_take_back_what_is_the_default_of_all():
    client, _ = answering(404, cache=memory_cache(policy=CachePolicy(status_ttl={404: 5})), status_ttl={})
    assert marks(client.get('/'), client.get('/')) == [None, None]


def test_a_policy_keeps_what_it_was_given_and_can_be_hashed():
    given = {404: 5}
    policy = CachePolicy(status_ttl=given)
    given[206] = 5
    assert policy.status_ttl == {404: 5}
    assert hash(policy) == hash(CachePolicy(status_ttl={404: 5}))


def test_by_the_book_it_is_told_that_lifetimes_count_for_nothing(caplog):
    def endpoint():
        return None

    memory_cache(mode='rfc9111')(status_ttl={404: 5})(endpoint)
    assert ['count for nothing' in it.getMessage() for it in caplog.records] == [True]


async def test_a_stale_entry_ends_where_its_renewal_is_not_wanted():
    clock, router, runs = Clock(), caching_router(), []
    cache = memory_cache(clock=clock)

    @router.get('/')
    @cache(ttl=10, stale_while_revalidate=100, store_if=lambda it: it.body == b'1')
    async def endpoint():
        runs.append(1)
        return len(runs)

    app = client_of(router).app
    bodies = []
    for _ in range(4):
        bodies.append((await asgi_call(app, asgi_scope()))[1]['body'])
        clock.now += 11
    assert bodies == [b'1', b'1', b'3', b'4']
    assert len(runs) == 4


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        *(
            ({'status_ttl': {it: 5}}, 'status_ttl has lifetimes by final status')
            for it in (206, 304, 412, 416, 100, 600)
        ),
        ({'status_ttl': {'404': 5}}, 'status_ttl has lifetimes by final status'),
        ({'status_ttl': [404]}, 'status_ttl has lifetimes by final status'),
        ({'status_ttl': {404: -1}}, 'status_ttl is in seconds and must not be negative'),
        ({'status_ttl': {404: None}}, 'status_ttl is in seconds and must not be negative'),
        ({'skip': True}, 'skip is a callable of the request'),
        ({'skip': lambda: True}, 'skip is called with the request alone'),
        ({'store_if': async_skip}, 'store_if must be a plain function of the response'),
        ({'store_if': lambda one, two: True}, 'store_if is called with the response alone'),
    ],
)
def test_what_cannot_be_meant_is_refused(options, message):
    with pytest.raises(ConfigurationError, match=message):
        memory_cache()(**options)(lambda: None)


@pytest.mark.parametrize(
    ('options', 'warning'),
    [
        ({'vary_headers': ['Cookie']}, 'vary_headers has Cookie'),
        ({'ttl': 0, 'stale_while_revalidate': 5}, 'a ttl of 0 stores nothing'),
        ({'ttl': 0, 'revalidate': True}, 'a ttl of 0 stores nothing'),
        ({'endpoint_timeout': 1}, 'without stale_if_error there is none'),
        ({'stale_if_error': 9, 'cache_control': 'max-age=5, proxy-revalidate'}, 'not to use what is stale'),
        ({'stale_if_error': 9, 'cache_control': 'max-age=5, must-revalidate'}, 'not to use what is stale'),
    ],
)
def test_what_is_hardly_meant_is_told(options, warning, caplog):
    def endpoint():
        return None

    memory_cache()(**options)(endpoint)
    assert [warning in it.getMessage() for it in caplog.records] == [True]


@pytest.mark.parametrize(
    'options',
    [
        {'ttl': 0},
        {'ttl': 0, 'status_ttl': {404: 5}, 'stale_if_error': 5},
        {'endpoint_timeout': 1, 'stale_if_error': 5},
        {'ttl': 5, 'stale_if_error': 5, 'cache_control': 'max-age=5'},
    ],
)
def test_what_may_well_be_meant_is_not_told(options, caplog):
    def endpoint():
        return None

    memory_cache()(**options)(endpoint)
    assert not caplog.records
