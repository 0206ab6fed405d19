"""Values that are not valid: their 422 is for their client, and is no failure of the endpoint."""

from typing import Annotated

import pytest
from fastapi import Depends, Header, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from tests.support import Clock, caching_router, client_of, marks, memory_cache


def check_key(x_key: Annotated[str, Header(min_length=8)]):
    if x_key != 'correct-key':
        raise HTTPException(401)


@pytest.mark.parametrize(
    'options',
    [
        {'identity': 'shared'},
        {'identity': lambda _: 'all'},
        {'key_builder': lambda _: 'key'},
        {'identity': 'shared', 'dependencies': [Depends(check_key)]},
    ],
    ids=['shared', 'identity', 'key_builder', 'explicit'],
)
def test_what_a_guard_says_of_values_that_are_not_valid_is_its_clients_alone(options):
    router, cache = caching_router(), memory_cache()
    guards = [] if 'dependencies' in options else [Depends(check_key)]

    @router.get('/', dependencies=guards)
    @cache(ttl=60, status_ttl={422: 60}, **options)
    async def endpoint():
        return 'report'

    client = client_of(router)
    assert client.get('/', headers={'x-key': 's3cret'}).status_code == 422
    answer = client.get('/', headers={'x-key': 'correct-key'})
    assert (answer.status_code, answer.json()) == (200, 'report')
    assert client.get('/', headers={'x-key': 's3cret'}).status_code == 422


def test_values_that_are_not_valid_do_not_count_as_a_failure_of_the_endpoint():
    clock, router, runs = Clock(), caching_router(), []
    cache = memory_cache(clock=clock)

    @router.get('/', dependencies=[Depends(check_key)])
    @cache(ttl=10, stale_if_error=100, identity='shared')
    async def endpoint():
        runs.append(1)
        return len(runs)

    client = client_of(router)

    @client.app.exception_handler(RequestValidationError)
    async def unavailable(request: Request, error: RequestValidationError):
        return JSONResponse('unavailable', 503)

    right = {'x-key': 'correct-key'}
    client.get('/', headers=right)
    clock.now += 11
    assert client.get('/', headers={'x-key': 'short'}).status_code in {422, 503}
    assert client.get('/', headers=right).json() == 2


def test_a_route_without_guards_may_have_its_422_stored():
    router, cache = caching_router(), memory_cache()

    @router.get('/')
    @cache(status_ttl={422: 60})
    async def endpoint(number: int):
        return number

    client = client_of(router)
    assert marks(client.get('/?number=x'), client.get('/?number=x')) == ['MISS', 'HIT']
    assert client.get('/?number=1').json() == 1


def test_a_refusal_is_not_stored_where_guards_run_on_misses_only():
    router, cache = caching_router(), memory_cache()

    def guard(x_token: Annotated[str, Header()] = ''):
        if not x_token:
            raise HTTPException(404)

    @router.get('/', dependencies=[Depends(guard)])
    @cache(key_builder=lambda _: 'key', status_ttl={404: 60}, route_dependencies='on_miss')
    async def endpoint():
        return 'for members'

    client = client_of(router)
    assert client.get('/').status_code == 404
    assert client.get('/', headers={'x-token': 'good'}).json() == 'for members'
