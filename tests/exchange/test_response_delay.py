"""How long a response took counts for its age (RFC 9111 §4.2.3), where it may come from elsewhere."""

import pytest
from fastapi import Request, Response

from fastapi_caching_route import FastAPICache
from tests.support import caching_router, client_of


@pytest.mark.parametrize(
    ('mode', 'age', 'left'),
    [
        pytest.param('rfc9111', None, 7, id='by the book'),
        pytest.param('rfc9111', '5', 2, id='by the book, with an age'),
        pytest.param('policy', '5', 2, id='of an upstream, by its age'),
        pytest.param('policy', None, 10, id='made by the endpoint: new when it starts'),
    ],
)
def test_the_time_that_a_response_took_is_a_part_of_its_age(clock, mode, age, left):
    router, cache = caching_router(), FastAPICache(mode=mode, clock=clock)

    @router.get('/')
    @cache(ttl=None)
    async def slow() -> Response:
        clock.now += 3
        return Response('x', headers={'cache-control': 'max-age=10', **({} if age is None else {'age': age})})

    client = client_of(router)
    client.get('/')
    hit = client.get('/')
    assert hit.headers['cache-status'] == f'FastAPICache; hit; ttl={left}'
    assert hit.headers['age'] == str(10 - left)


def test_a_304_that_took_long_is_as_old(clock):
    router, cache, runs = caching_router(), FastAPICache(mode='rfc9111', clock=clock), []

    @router.get('/')
    @cache()
    async def slow(request: Request) -> Response:
        runs.append(1)
        clock.now += 3 if 'if-none-match' in request.headers else 0
        headers = {'cache-control': 'max-age=10', 'etag': '"a"'}
        return Response(status_code=304, headers=headers) if len(runs) > 1 else Response('x', headers=headers)

    client = client_of(router)
    client.get('/')
    clock.now += 20
    assert [client.get('/').headers['age'] for _ in range(2)] == ['3', '3']


def test_a_response_that_took_longer_than_it_is_fresh_is_not_stored(clock):
    router, cache = caching_router(), FastAPICache(mode='rfc9111', clock=clock)

    @router.get('/')
    @cache()
    async def slow() -> Response:
        clock.now += 11
        return Response('x', headers={'cache-control': 'max-age=10, must-revalidate'})

    client = client_of(router)
    assert client.get('/').headers['cache-status'] == 'FastAPICache; fwd=uri-miss; detail=ttl'
