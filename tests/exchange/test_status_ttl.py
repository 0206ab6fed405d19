"""Responses are stored by their status, each for a lifetime of its own."""

from typing import Annotated

import pytest
from fastapi import Depends, Header, HTTPException, Response

from fastapi_caching_route import CacheContext, CachePolicy
from tests.exchange.answering import answering
from tests.support import Clock, caching_router, client_of, marks, memory_cache


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


def test_each_route_may_take_back_what_is_the_default_of_all():
    client, _ = answering(404, cache=memory_cache(policy=CachePolicy(status_ttl={404: 5})), status_ttl={})
    assert marks(client.get('/'), client.get('/')) == [None, None]


def test_an_error_with_a_time_of_its_own_has_no_stale_window():
    clock, router, found = Clock(), caching_router(), []
    cache = memory_cache(clock=clock)

    @router.get('/')
    @cache(ttl=60, stale_while_revalidate=3600, stale_if_error=3600, status_ttl={404: 5})
    async def endpoint():
        if not found:
            raise HTTPException(404)
        return 'there'

    client = client_of(router)
    assert client.get('/').status_code == 404
    found.append(1)
    clock.now += 6
    assert client.get('/').json() == 'there'
    clock.now += 61
    assert client.get('/').headers['x-cache'] == 'HIT'


def test_a_renewal_that_fails_takes_the_place_of_nothing():
    clock, router, broken = Clock(), caching_router(), []
    cache = memory_cache(clock=clock)

    @router.get('/')
    @cache(ttl=10, stale_while_revalidate=3600, status_ttl={500: 30})
    async def endpoint():
        return Response('broken' if broken else 'good', 500 if broken else 200)

    client = client_of(router)
    client.get('/')
    broken.append(1)
    clock.now += 11
    assert [client.get('/').text for _ in range(3)] == ['good'] * 3


def test_a_failure_is_stored_for_its_time_where_what_is_stored_cannot_be_used_any_more():
    clock, router, runs = Clock(), caching_router(), []
    cache = memory_cache(clock=clock)

    @router.get('/')
    @cache(ttl=1, revalidate=True, status_ttl={503: 30})
    async def endpoint():
        runs.append(1)
        return Response('', 503 if len(runs) > 1 else 200, headers={'etag': '"a"'})

    client = client_of(router)
    client.get('/')
    clock.now += 2
    assert [client.get('/').status_code for _ in range(4)] == [503] * 4
    assert len(runs) == 2


def test_a_missing_page_is_stored_though_a_browser_asks_with_a_condition():
    router, cache, runs = caching_router(), memory_cache(), []

    @router.get('/')
    @cache(ttl=10, status_ttl={404: 30})
    async def endpoint():
        runs.append(1)
        raise HTTPException(404)

    client = client_of(router)
    assert [client.get('/', headers={'if-none-match': '"a"'}).status_code for _ in range(3)] == [404] * 3
    assert len(runs) == 1


def test_a_window_that_the_endpoint_chooses_counts_for_errors_too():
    clock, router = Clock(), caching_router()
    cache = memory_cache(clock=clock)

    @router.get('/')
    @cache(ttl=10, status_ttl={404: 5})
    async def endpoint(context: Annotated[CacheContext, Depends()]):
        context.stale_while_revalidate = 100
        return Response(status_code=404)

    client = client_of(router)
    client.get('/')
    clock.now += 6
    assert 'hit; ttl=-1' in client.get('/').headers['cache-status']
