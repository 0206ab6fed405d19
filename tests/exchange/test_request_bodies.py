"""Requests with a body: each body has its response; long and broken bodies bypass the cache."""

import pytest
from aiocache import SimpleMemoryCache
from fastapi import FastAPI, Request
from pydantic import BaseModel
from starlette.requests import ClientDisconnect

from fastapi_caching_route import FastAPICache
from tests.support import asgi_scope, caching_router, client_of, marks, memory_cache


@pytest.mark.parametrize('method', ['POST', 'QUERY'])
def test_two_bodies_give_two_answers(method):
    router, cache, runs = caching_router(), memory_cache(), []

    class Search(BaseModel):
        text: str

    @cache(ttl=60)
    @router.api_route('/', methods=[method])
    async def endpoint(search: Search):
        runs.append(search.text)
        return search.text

    client = client_of(router)
    responses = [client.request(method, '/', json={'text': it}) for it in ('a', 'b', 'a')]
    assert [it.json() for it in responses] == ['a', 'b', 'a']
    assert marks(*responses) == ['MISS', 'MISS', 'HIT']
    assert runs == ['a', 'b']


def test_a_request_body_over_the_limit_goes_by_the_cache_whole():
    router, cache, runs = caching_router(), memory_cache(), []

    @cache(ttl=60, max_body_size=100)
    @router.post('/')
    async def endpoint(request: Request):
        body = await request.body()
        runs.append(len(body))
        return len(body)

    client = client_of(router)
    responses = [client.post('/', content=b'x' * 1000) for _ in range(2)]
    assert [it.json() for it in responses] == [1000, 1000]
    assert marks(*responses) == [None, None]
    assert runs == [1000, 1000]


async def test_a_request_whose_body_breaks_off_goes_by_the_cache():
    router, backend, app, seen = caching_router(), SimpleMemoryCache(), FastAPI(), []
    cache = FastAPICache(backend)

    @cache(ttl=60)
    @router.post('/')
    async def endpoint(request: Request):
        try:
            return len(await request.body())
        except ClientDisconnect:
            seen.append('left')
            raise

    app.include_router(router)
    received = iter([{'type': 'http.request', 'body': b'half', 'more_body': True}])

    async def leaving():
        return next(received, {'type': 'http.disconnect'})

    async def send(message):
        pass

    with pytest.raises(ClientDisconnect):
        await app(asgi_scope('POST'), leaving, send)
    assert seen == ['left']
    assert backend._cache == {}
