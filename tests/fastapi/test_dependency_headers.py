"""Headers that explicit dependencies set."""

from typing import Annotated

import pytest
from fastapi import Depends, FastAPI, Header, HTTPException, Response, Security
from fastapi.responses import JSONResponse, StreamingResponse
from fastapi.security import APIKeyHeader
from starlette.testclient import TestClient

from tests.support import caching_router, client_of, marks, memory_cache


def test_fields_that_a_check_sets_are_those_of_each_request():
    router, cache, plain, numbers, cookies = caching_router(), memory_cache(), FastAPI(), iter(range(100)), []

    def check(response: Response):
        response.headers['x-limit-remaining'] = str(next(numbers))
        response.headers['vary'] = 'X-Plan'
        if cookies:
            response.set_cookie('seen', cookies[-1])

    async def endpoint(accept: Annotated[str, Header()] = ''):
        return 'answer'

    router.get('/')(cache(ttl=60, dependencies=[Depends(check)])(endpoint))
    plain.get('/', dependencies=[Depends(check)])(endpoint)
    client = client_of(router)
    assert TestClient(plain).get('/').headers['x-limit-remaining'] == '0'
    for number, mark in ((1, 'MISS'), (2, 'HIT'), (3, 'HIT')):
        response = client.get('/')
        assert response.headers['x-cache'] == mark
        assert response.headers.get_list('x-limit-remaining') == [str(number)]
        assert set(response.headers['vary'].split(', ')) == {'accept', 'x-plan'}
    unchanged = client.get('/', headers={'if-none-match': response.headers['etag']})
    assert (unchanged.status_code, unchanged.headers['x-limit-remaining']) == (304, '4')
    cookies.append('ann')
    assert client.get('/').headers['set-cookie'].startswith('seen=ann')
    cookies.clear()
    client.cookies.clear()
    assert 'set-cookie' not in client.get('/').headers


@pytest.mark.parametrize('kind', ['response', 'stream', 'exception'])
def test_fields_that_a_check_sets_are_dropped_where_fastapi_drops_them(kind):
    router, cache, plain = caching_router(), memory_cache(accepted_status_codes={200, 404}), FastAPI()

    def check(response: Response):
        response.headers['x-a'] = 'of the check'
        response.headers['content-length'] = '99'
        response.headers['etag'] = '"of the check"'

    async def endpoint():
        if kind == 'exception':
            raise HTTPException(404)
        if kind == 'stream':
            return StreamingResponse(iter([b'a', b'b']), headers={'x-a': 'own'})
        return JSONResponse('raw', headers={'x-a': 'own'})

    router.get('/')(cache(ttl=60, dependencies=[Depends(check)])(endpoint))
    plain.get('/', dependencies=[Depends(check)])(endpoint)
    client, expected = client_of(router), TestClient(plain).get('/')
    for response in (client.get('/'), client.get('/')):
        assert response.content == expected.content
        assert response.headers.get('x-a') == expected.headers.get('x-a')
        assert response.headers.get('content-length') in {None, str(len(expected.content))}
    assert marks(response) == ['HIT']


def test_fields_of_the_body_are_left_to_who_sends_it():
    router, cache = caching_router(), memory_cache()

    def check(response: Response, broken: bool = False):  # noqa: FBT001, FBT002, a query parameter
        if broken:
            response.headers['content-length'] = '99'
            response.headers['etag'] = '"of the check"'

    @cache(ttl=60, dependencies=[Depends(check)], key_builder=lambda _: 'one')
    @router.get('/')
    async def endpoint():
        return 'answer'

    client = client_of(router)
    tag = client.get('/').headers['etag']
    hit = client.get('/?broken=1')
    assert (hit.headers['content-length'], hit.headers['etag'], hit.json()) == ('8', tag, 'answer')


def test_fields_that_an_early_check_sets_for_one_client_are_not_stored():
    router, cache, people = caching_router(), memory_cache(), ['ann']

    def check(response: Response):
        if people:
            response.headers['x-person'] = people.pop()

    @cache(ttl=60, dependencies=[Depends(check)], key_builder=lambda _: 'one')
    @router.get('/')
    async def endpoint():
        return 'answer'

    client = client_of(router)
    miss, hit = client.get('/'), client.get('/')
    assert marks(miss, hit) == ['MISS', 'HIT']
    assert (miss.headers['x-person'], hit.headers.get('x-person')) == ('ann', None)


def test_the_last_guard_wins_over_a_dependency_that_ran_before_it():
    router, cache = caching_router(), memory_cache()

    async def first(response: Response):
        response.headers['x-last'] = 'first guard'

    async def between(response: Response):
        response.headers['x-last'] = 'no guard'

    async def second(response: Response):
        response.headers['x-last'] = 'second guard'

    @router.get('/', dependencies=[Depends(first)])
    @cache(ttl=60)
    async def endpoint(
        value: Annotated[None, Depends(between)],
        key: Annotated[str | None, Security(APIKeyHeader(name='x-key', auto_error=False))],
        user: Annotated[None, Depends(guarding(second))],
    ):
        return {}

    client = client_of(router)
    responses = [client.get('/'), client.get('/')]
    assert marks(*responses) == ['MISS', 'HIT']
    assert [it.headers['x-last'] for it in responses] == ['second guard', 'second guard']


def guarding(call):
    """The dependency with a scheme below it, so that it is a guard."""

    async def guard(
        response: Response, key: Annotated[str | None, Security(APIKeyHeader(name='x-key', auto_error=False))]
    ):
        await call(response)

    return guard
