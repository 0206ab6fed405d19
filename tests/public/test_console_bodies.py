"""The console shows a body at once only if nothing that selects it may name a person, or is a secret."""

from typing import Annotated, Literal

import pytest
from fastapi import FastAPI, Header, Query, Request, Response
from fastapi.testclient import TestClient
from pydantic import BaseModel

from fastapi_caching_route import FastAPICache
from fastapi_caching_route.console import console_router
from tests.support import caching_router


class Searched(BaseModel):
    page: int = 1
    token: str = ''


async def plain(
    x_api_key: Annotated[str, Header()] = '',
    x_forwarded_user: Annotated[str, Header()] = '',
    user_agent: Annotated[str, Header()] = '',
):
    return f'{x_api_key}{x_forwarded_user}{user_agent}'


async def raw(request: Request):
    return request.headers.get('x-api-key')


async def raw_query(request: Request):
    return request.query_params.get('token') or request.url.query


async def any_header():
    return 'of a key'


async def varying(response: Response, vary: Literal['authorization', 'accept, Cookie', 'remote-user', 'Accept']):
    response.headers['vary'] = vary
    return 'of one'


async def text(token: str):
    return token


async def texts(token: Annotated[list[str] | None, Query()] = None):
    return token


async def model(searched: Annotated[Searched, Query()]):
    return searched


async def harmless(
    sort: Literal['up', 'down'],
    sizes: Annotated[list[int], Query()],
    accept_language: Annotated[str, Header()] = '',
):
    return f'{sort}{sizes}{accept_language}'


async def host(request: Request):
    return request.url.hostname


async def body(searched: Searched):
    return searched


class Asked:
    """A client of all these endpoints, and of the console."""

    def __init__(self):
        cache, router, app = FastAPICache(), caching_router(), FastAPI()
        for endpoint in (plain, raw, raw_query, varying, text, texts, model, harmless, host):
            cache(ttl=60)(router.get(f'/{endpoint.__name__}')(endpoint))
        cache(ttl=60, vary_headers=['x-api-key'])(router.get('/any_header')(any_header))
        cache(ttl=60)(router.post('/body')(body))
        app.include_router(router)
        app.include_router(console_router(cache, unguarded=True), prefix='/cache')
        self.client = TestClient(app)

    def is_personal(self):
        (listed,) = self.client.get('/cache/entries.json').json()['entries']
        found = self.client.get('/cache/entry.json', params={'key': listed['key']}).json()
        asked = self.client.get('/cache/entry.json', params={'key': listed['key'], 'personal': True}).json()
        assert ('body' in found) is not found['is_personal']
        assert 'body' in asked
        return found['is_personal']


@pytest.mark.parametrize(
    ('path', 'headers'),
    [
        ('/plain', {'x-api-key': 'of-ada'}),
        ('/plain', {'x-forwarded-user': 'ada'}),
        ('/plain', {'user-agent': 'agent of ada'}),
        ('/raw', {'x-api-key': 'of-ada'}),
        ('/any_header', {'x-api-key': 'of-ada'}),
        ('/varying?vary=authorization', {'authorization': 'Bearer of-ada'}),
        ('/varying?vary=accept,%20Cookie', {'cookie': 'of=ada'}),
        ('/varying?vary=remote-user', {'remote-user': 'ada'}),
        ('/text?token=of-ada', {}),
        ('/texts?token=of-ada', {}),
        ('/model?token=of-ada', {}),
        ('/raw_query?token=of-ada', {}),
        ('/raw_query?all=1', {}),
    ],
)
def test_what_may_name_a_person_hides_the_body_until_it_is_asked_for(path, headers):
    asked = Asked()
    assert asked.client.get(path, headers=headers).headers['x-cache'] == 'MISS'
    assert asked.is_personal()


def test_a_body_of_a_request_hides_that_of_its_response():
    asked = Asked()
    assert asked.client.post('/body', json={'token': 'ada'}).headers['x-cache'] == 'MISS'
    assert asked.is_personal()


@pytest.mark.parametrize(
    'path', ['/harmless?sort=up&sizes=1&sizes=2', '/host', '/varying?vary=Accept', '/varying?vary=Accept&token=x']
)
def test_what_is_harmless_hides_nothing(path):
    asked = Asked()
    assert asked.client.get(path, headers={'accept-language': 'de'}).headers['x-cache'] == 'MISS'
    assert not asked.is_personal()
