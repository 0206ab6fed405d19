"""`store=False`: nothing is stored here, but clients get what they need to store it themselves."""

import pytest
from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import StreamingResponse
from fastapi.security import APIKeyHeader
from starlette.authentication import SimpleUser

from fastapi_caching_route import CachePolicy, ConfigurationError, FastAPICache
from tests.backends.fakes import Elsewhere
from tests.support import asgi_call, asgi_scope, caching_router, client_of, marks, memory_cache

STATUS = 'FastAPICache; fwd=bypass; detail=store'


def served(endpoint, *, method='GET', cache=None, **options):
    """A client of a route that stores nothing, and how often its endpoint ran."""
    router, cache = caching_router(), cache or memory_cache()
    router.api_route('/', methods=[method])(cache(store=False, **options)(endpoint))
    return client_of(router)


def test_each_request_reaches_the_endpoint_and_clients_get_a_304():
    runs = []

    async def page():
        runs.append(1)
        return 'a page'

    client = served(page, ttl=60, cache_control='private, max-age=60', vary_headers=['x-plan'])
    first = client.get('/')
    again = client.get('/', headers={'if-none-match': first.headers['etag']})
    assert [it.status_code for it in (first, again)] == [200, 304]
    assert {it.headers['cache-control'] for it in (first, again)} == {'private, max-age=60'}
    assert {it.headers['vary'] for it in (first, again)} == {'x-plan'}
    assert {it.headers['cache-status'] for it in (first, again)} == {STATUS}
    assert (marks(first, again), len(runs)) == ([None, None], 2)


def test_what_is_left_is_the_whole_lifetime():
    async def page():
        return 'a page'

    client = served(page, ttl=60, cache_control='public, max-age=ttl')
    assert client.get('/').headers['cache-control'] == 'public, max-age=60'


def test_a_stream_gets_the_headers_at_its_start():
    async def page():
        return StreamingResponse(iter([b'a', b'b']))

    response = served(page, ttl=60, cache_control='max-age=ttl').get('/')
    assert (response.text, response.headers['cache-control']) == ('ab', 'max-age=60')
    assert response.headers['cache-status'] == STATUS


async def test_a_user_of_middleware_is_no_matter_where_nothing_is_stored():
    async def page():
        return 'a page'

    router, app = caching_router(), FastAPI()
    router.get('/')(memory_cache()(store=False, cache_control='max-age=60')(page))
    app.include_router(router)
    start, _ = await asgi_call(app, asgi_scope(headers=[(b'authorization', b'Bearer x')]) | {'user': SimpleUser('ann')})
    headers = dict(start['headers'])
    assert headers[b'cache-status'] == STATUS.encode()
    assert b'etag' in headers


@pytest.mark.parametrize('headers', [{'authorization': 'Bearer x'}, {'cookie': 'a=b'}, {'x-plan': 'gold'}], ids=str)
def test_a_request_that_names_a_person_gets_it_too_and_private(headers):
    async def page(request: Request):
        return sorted(request.headers)

    response = served(page, cache_control='max-age=60').get('/', headers=headers)
    assert response.headers['cache-control'] == 'private, max-age=60'
    assert 'etag' in response.headers


@pytest.mark.parametrize('said', [{'set-cookie': 'a=b'}, {'cache-control': 'no-store'}, {'vary': '*'}], ids=str)
def test_what_nobody_may_store_is_passed_on_as_it_is(said):
    async def page():
        return Response('x', headers=said)

    response = served(page, cache_control='max-age=60').get('/')
    assert 'etag' not in response.headers
    assert response.headers.get('cache-control') == said.get('cache-control')


def test_guards_run_once_and_refuse():
    runs = []

    def guard(key: str = Depends(APIKeyHeader(name='x-key'))):
        runs.append(key)
        if key == 'bad':
            raise HTTPException(403)

    async def page(_: None = Depends(guard)):
        return 'a page'

    client = served(page, cache_control='max-age=60', dependencies=[Depends(lambda: None)])
    answers = [client.get('/', headers={'x-key': it}) for it in ('good', 'bad')]
    assert ([it.status_code for it in answers], runs) == ([200, 403], ['good', 'bad'])
    assert [it.headers.get('cache-control') for it in answers] == ['private, max-age=60', None]


def test_the_store_is_not_asked():
    backend = Elsewhere()
    backend.failing = {'get', 'multi_get', 'set', 'add', 'delete'}

    async def page():
        return 'a page'

    client = served(page, cache=FastAPICache(backend), ttl=60, tags=['a'], lock=True, stale_if_error=60)
    assert [client.get('/').status_code for _ in range(3)] == [200] * 3
    assert not backend.commands


def test_a_decorated_post_invalidates_nothing():
    router, cache, runs = caching_router(), memory_cache(), []

    @router.get('/')
    @cache(ttl=60)
    async def page():
        runs.append(1)

    @router.post('/')
    @cache(store=False)
    async def search():
        return 'found'

    client = client_of(router)
    client.get('/')
    assert 'etag' in client.post('/').headers
    client.get('/')
    assert len(runs) == 1


def test_a_disabled_cache_adds_nothing():
    cache = memory_cache()

    async def page():
        return 'a page'

    client = served(page, cache=cache, cache_control='max-age=60')
    with cache.disabled():
        assert {'etag', 'cache-control'}.isdisjoint(client.get('/').headers)


def test_it_is_a_switch():
    with pytest.raises(ConfigurationError, match='store must be True or False'):
        CachePolicy(store='no')
