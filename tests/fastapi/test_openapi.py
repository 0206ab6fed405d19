"""What OpenAPI says of cached routes."""

import pytest
from fastapi import APIRouter, FastAPI
from fastapi.responses import RedirectResponse

from fastapi_caching_route import CacheControl, CachingRoute, FastAPICache


def schema_of(cache, *, above=False, decorated=True, prefix='', responses=None, **options):
    router = APIRouter(route_class=CachingRoute)

    async def endpoint() -> int:
        """An endpoint."""
        return 1

    add = router.get('/items', status_code=200, responses=responses)
    decorate = cache(ttl=5, **options) if decorated else lambda it: it
    if above:
        decorate(add(endpoint))
    else:
        add(decorate(endpoint))
    app = FastAPI()
    app.include_router(router, prefix=prefix)
    return app.openapi()['paths'][f'{prefix}/items']['get']


@pytest.mark.parametrize('above', [False, True])
def test_a_cache_changes_no_schema_unless_it_is_asked_to(above):
    assert schema_of(FastAPICache(), above=above) == schema_of(FastAPICache(), decorated=False)


@pytest.mark.parametrize('above', [False, True])
@pytest.mark.parametrize('prefix', ['', '/api'])
def test_the_304_and_the_fields_are_described(above, prefix):
    plain = schema_of(FastAPICache(), decorated=False, prefix=prefix)
    documented = schema_of(FastAPICache(document=True), above=above, prefix=prefix)
    assert documented['responses'].keys() == plain['responses'].keys() | {'304'}
    assert documented['responses']['200']['content'] == plain['responses']['200']['content']
    assert documented['responses']['200']['description'] == plain['responses']['200']['description']
    for status in ('200', '304'):
        assert list(documented['responses'][status]['headers']) == ['ETag', 'Age', 'Cache-Status']
    assert 'content' not in documented['responses']['304']


def test_only_fields_that_are_sent_are_described():
    cache = FastAPICache(document=True, cache_status=None)
    headers = schema_of(cache, cache_control=CacheControl(max_age=5))['responses']['200']['headers']
    assert list(headers) == ['ETag', 'Age', 'Cache-Control']


def test_what_the_user_says_stays():
    said = {200: {'headers': {'ETag': {'description': 'mine'}}}, 304: {'description': 'my own'}}
    responses = schema_of(FastAPICache(document=True), responses=said)['responses']
    assert responses['200']['headers']['ETag'] == {'description': 'mine'}
    assert responses['304']['description'] == 'my own'
    assert said == {200: {'headers': {'ETag': {'description': 'mine'}}}, 304: {'description': 'my own'}}


def test_what_an_include_says_stays():
    router, said = APIRouter(route_class=CachingRoute), {200: {'description': 'mine', 'headers': {'X-Own': {}}}}

    @router.get('/items')
    @FastAPICache(document=True)()
    async def endpoint() -> int: ...

    app = FastAPI()
    app.include_router(router, responses=said)
    response = app.openapi()['paths']['/items']['get']['responses']['200']
    assert response['description'] == 'mine'
    assert set(response['headers']) == {'X-Own', 'ETag', 'Age', 'Cache-Status'}
    assert said == {200: {'description': 'mine', 'headers': {'X-Own': {}}}}


def test_no_304_is_described_where_none_is_sent():
    router = APIRouter(route_class=CachingRoute)

    @router.post('/search')
    @FastAPICache(document=True)()
    async def search(words: list[str]) -> int: ...

    app = FastAPI()
    app.include_router(router)
    responses = app.openapi()['paths']['/search']['post']['responses']
    assert '304' not in responses
    assert 'ETag' in responses['200']['headers']


def test_the_status_of_a_class_of_responses_is_described():
    router = APIRouter(route_class=CachingRoute)

    @router.get('/moved', response_class=RedirectResponse)
    @FastAPICache(document=True)()
    async def moved(): ...

    app = FastAPI()
    app.include_router(router)
    assert app.openapi()['paths']['/moved']['get']['responses'].keys() == {'307', '304'}


def test_what_is_said_in_lower_case_or_not_at_all_does_no_harm():
    said = {200: {'headers': {'etag': {'description': 'mine'}}}, 304: {'headers': None}}
    responses = schema_of(FastAPICache(document=True), responses=said)['responses']
    assert list(responses['200']['headers']) == ['etag', 'Age', 'Cache-Status']
