"""The names of what is read of raw requests: which of them count, and what a look-up costs."""

import pytest
from fastapi import Request
from starlette.testclient import TestClient

from fastapi_caching_route import FastAPICache
from fastapi_caching_route._core.raw_request import RawRequest
from fastapi_caching_route._core.read_names import (
    BODY,
    EVERYTHING,
    HEADERS,
    MAX_CHARACTERS,
    MAX_NAMES,
    QUERY,
    SEVERAL,
    Reading,
    together,
)
from fastapi_caching_route._core.variants import Variants, grouped
from tests.support import asgi_scope, caching_router, client_of

MANY = range(MAX_NAMES + 1)


@pytest.mark.parametrize(
    ('names', 'expected'),
    [
        ([f'header:x-{it}' for it in MANY], (HEADERS,)),
        ([f'cookie:c{it}' for it in MANY], ('header:cookie',)),
        ([f'query:q{it}' for it in MANY], (QUERY,)),
        ([f'header:{"x" * MAX_CHARACTERS}', 'client'], ('client', HEADERS)),
        ([f'header:x-{it}' for it in MANY[1:]], tuple(sorted(f'header:x-{it}' for it in MANY[1:]))),
        (['cookie:a', 'header:cookie'], ('header:cookie',)),
        (['cookie:a', 'header:cookie', HEADERS], (HEADERS,)),
        ([EVERYTHING, 'client', BODY, SEVERAL], tuple(sorted((BODY, EVERYTHING, SEVERAL)))),
    ],
)
def test_very_many_names_count_as_the_whole(names, expected):
    assert together(names) == expected


@pytest.mark.parametrize('kind', ['header', 'cookie', 'query'])
def test_a_record_does_not_grow_with_the_names_that_code_takes_from_clients(kind):
    variants = Variants('key', (), 'token')
    for number in range(10 * MAX_NAMES):
        variants, group = grouped(variants, (f'{kind}:{number}', 'client'))
        assert group in variants.groups
    assert sum(map(len, variants.groups)) <= MAX_NAMES + 3


@pytest.mark.parametrize('place', ['headers', 'cookies', 'query_params'])
def test_whatever_names_code_takes_from_a_client_each_gets_its_own(place):
    router, cache = caching_router(), FastAPICache()

    @router.get('/')
    @cache(ttl=60)
    async def endpoint(request: Request):
        return getattr(request, place).get(request.headers['x-name'], '')

    app = client_of(router).app
    for _ in range(2):
        for number in range(2 * MAX_NAMES):
            name = f'a-{number}'
            for value in 'ab':
                client = TestClient(app, cookies={name: value} if place == 'cookies' else None)
                given = {'x-name': name, **({name: value} if place == 'headers' else {})}
                response = client.get('/', headers=given, params={name: value} if place == 'query_params' else None)
                assert response.json() == value


def test_a_query_is_parsed_once_however_many_of_its_parameters_count():
    parsed = []

    class Query:
        def __init__(self, query):
            parsed.append(query)

        def getlist(self, name):
            return [name]

    reading = Reading(cookies=lambda _: {}, query=Query)
    request = RawRequest(asgi_scope(query=b'a=1'), reading)
    assert request.values(('query:a', 'query:b')) == ((('a',),), (('b',),))
    assert parsed == [b'a=1']
