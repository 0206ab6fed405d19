"""Tags of routes: texts with path parameters, and callables."""

import asyncio
from typing import Annotated

from fastapi import Depends, FastAPI
from fastapi.responses import StreamingResponse
from starlette.testclient import TestClient

from fastapi_caching_route import CacheContext
from tests.support import caching_router, client_of, found, memory_cache


def test_tags_may_name_a_parameter_in_the_prefix_of_an_include():
    cache, router = memory_cache(), caching_router()

    @router.get('/users/{user_id}')
    @cache(ttl=60, tags=['org:{org}', 'user:{org}/{user_id}'])
    async def endpoint(org: str, user_id: int):
        return user_id

    app = FastAPI()
    app.include_router(router, prefix='/orgs/{org}')
    client = TestClient(app)
    paths = ['/orgs/a/users/7', '/orgs/a/users/8', '/orgs/b/users/7']

    def after(invalidation):
        asyncio.run(invalidation)
        return found(client, *paths)

    # Before any request, nobody knows of the prefix: then all entries of the endpoint go.
    asyncio.run(cache.invalidate_endpoint(endpoint, org='a', user_id=7))
    assert found(client, *paths) == ['MISS'] * 3
    assert after(cache.invalidate_tags('org:a')) == ['MISS', 'MISS', 'HIT']
    assert after(cache.invalidate_tags('user:a/7')) == ['MISS', 'HIT', 'HIT']
    assert after(cache.invalidate_endpoint(endpoint, org='a', user_id=7)) == ['MISS', 'HIT', 'HIT']
    assert after(cache.invalidate_endpoint(endpoint, user_id=7)) == ['MISS', 'HIT', 'MISS']


def test_a_tags_callable_that_fails_keeps_the_answer_from_being_stored(caplog):
    cache, router = memory_cache(), caching_router()

    @router.get('/{kind}')
    @cache(
        ttl=60,
        tags=lambda request: {'none': None, 'text': 'a', 'numbers': [7], 'good': {'a'}}[request.path_params['kind']],
    )
    async def endpoint(kind: str):
        return kind

    client = client_of(router)
    for kind in ('none', 'text', 'numbers', 'raises'):
        responses = [client.get(f'/{kind}') for _ in range(2)]
        assert [it.json() for it in responses] == [kind, kind]
        assert responses[1].headers['cache-status'] == 'FastAPICache; fwd=uri-miss; detail=tags'
    assert found(client, '/good', '/good') == ['MISS', 'HIT']
    assert caplog.text.count('the tags callable must return a list of str') == 1


def test_a_tag_that_is_no_text_never_breaks_a_stream(caplog):
    cache, router = memory_cache(), caching_router()

    @router.get('/')
    @cache(ttl=60)
    async def endpoint(context: Annotated[CacheContext, Depends()]):
        async def stream():
            yield b'1'
            context.tags.add(7)
            yield b'2'

        return StreamingResponse(stream())

    client = client_of(router)
    assert [client.get('/').text for _ in range(2)] == ['12', '12']
    assert found(client, '/') == ['MISS']


def test_a_parameter_of_an_include_that_nobody_declares_is_no_error_before_the_first_request(caplog):
    cache, router = memory_cache(), caching_router()

    @router.get('/users/{user_id}')
    @cache(ttl=60)
    async def get_user(user_id: int):
        return 1

    asyncio.run(cache.invalidate_endpoint(get_user, tenant='a', user_id=7))
    assert 'invalidating all of its entries' in caplog.text
