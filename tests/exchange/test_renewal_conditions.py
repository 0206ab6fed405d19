"""A renewal asks for exactly what the key of the entry says."""

from typing import Annotated

import pytest
from fastapi import Depends, Header, Request, Response
from pydantic import BaseModel

from fastapi_caching_route import FastAPICache
from tests.support import Clock, caching_router, client_of

MINE = {'if-none-match': '"mine"', 'range': 'bytes=0-1'}


class Conditions(BaseModel):
    if_none_match: str | None = None
    range: str | None = None


class Everything(BaseModel, extra='allow'):
    pass


def said(match, asked):
    return {'match': match, 'range': asked}


async def of_parameters(
    if_none_match: Annotated[str | None, Header()] = None,
    asked: Annotated[str | None, Header(alias='range')] = None,
):
    return said(if_none_match, asked)


async def of_a_dependency(it: Annotated[dict, Depends(of_parameters)]):
    return it


async def of_aliases(
    match: Annotated[str | None, Header(alias='If-None-Match')] = None,
    asked: Annotated[str | None, Header(alias='Range')] = None,
):
    return said(match, asked)


async def of_a_model(conditions: Annotated[Conditions, Header()]):
    return said(conditions.if_none_match, conditions.range)


async def of_an_open_model(conditions: Annotated[Everything, Header()]):
    extra = conditions.model_extra
    return said(extra.get('if_none_match', extra.get('if-none-match')), extra.get('range'))


async def of_the_request(request: Request):
    return said(request.headers.get('if-none-match'), request.headers.get('range'))


async def with_vary(request: Request, response: Response):
    response.headers['vary'] = 'if-none-match, range'
    return await of_the_request(request)


def parts_of(request):
    return request.url.path + str([request.headers.get(name) for name in MINE])


KINDS = {
    'parameters': (of_parameters, {}),
    'a dependency': (of_a_dependency, {}),
    'aliases': (of_aliases, {}),
    'a model': (of_a_model, {}),
    'an open model': (of_an_open_model, {}),
    'vary_headers': (of_the_request, {'vary_headers': ['If-None-Match', 'Range']}),
    'Vary': (with_vary, {}),
    'a key builder': (of_parameters, {'key_builder': parts_of}),
    'a key builder with vary_headers': (
        of_the_request,
        {'key_builder': lambda request: 'a', 'vary_headers': list(MINE)},
    ),
}


@pytest.mark.parametrize('renewed', [{'stale_while_revalidate': 100}, {'eager_refresh': 0.1}])
@pytest.mark.parametrize('kind', KINDS)
def test_a_renewal_asks_with_the_conditions_that_are_in_the_key(kind, renewed):
    clock, router, runs = Clock(), caching_router(), []
    cache = FastAPICache(clock=clock)
    endpoint, options = KINDS[kind]

    async def counted(answer: Annotated[dict, Depends(endpoint)]):
        runs.append(1)
        return answer

    router.get('/')(cache(ttl=60, **options, **renewed)(counted))
    client = client_of(router)
    mine = {'match': '"mine"', 'range': 'bytes=0-1'}
    # The cache itself evaluates a range on a hit: not this one, since its If-Range does not match.
    asked = {**MINE, 'if-range': '"none"'}
    for wait in (0, 61 if 'stale_while_revalidate' in renewed else 59, 1):
        clock.now += wait
        response = client.get('/', headers=asked)
        assert response.json() == mine
    assert len(runs) == 2
    assert response.headers['x-cache'] == 'HIT'
    assert client.get('/').json() == said(None, None)


async def test_what_is_validated_is_asked_for_with_the_range_that_is_in_the_key():
    clock, router, seen = Clock(), caching_router(), []
    cache = FastAPICache(clock=clock)

    @router.get('/')
    @cache(ttl=60, revalidate=True)
    async def endpoint(
        asked: Annotated[str | None, Header(alias='range')] = None,
        if_none_match: Annotated[str | None, Header()] = None,
    ):
        seen.append((asked, if_none_match))
        return Response(asked or 'whole', headers={'etag': f'"{len(seen)}"'})

    client = client_of(router)
    asked = {'range': 'lines=1', 'if-range': 'x'}
    for wait in (0, 61, 1):
        clock.now += wait
        assert client.get('/', headers=asked).text == 'lines=1'
    assert seen == [('lines=1', None), ('lines=1', '"1"')]
