"""Requests with `Authorization`: when their responses are shared."""

from typing import Annotated

from fastapi import Header, Request, Response

from tests.support import caching_router, client_of, marks, memory_cache


def test_authorization_counts_as_covered_where_it_selects_a_variant():
    router, cache = caching_router(), memory_cache()

    @cache(ttl=60, key_builder=lambda _: 'one', vary_headers=['authorization'])
    @router.get('/')
    async def endpoint(request: Request):
        return request.headers.get('authorization')

    client = client_of(router)
    people = ['a', 'b', 'a']
    responses = [client.get('/', headers={'authorization': it}) for it in people]
    assert [it.json() for it in responses] == people
    assert marks(*responses) == ['MISS', 'MISS', 'HIT']


def test_authorization_that_nothing_covers_is_not_stored_unless_the_answer_is_public():
    router, cache = caching_router(), memory_cache()

    @cache(ttl=60)
    @router.get('/{kind}')
    async def endpoint(kind: str):
        return Response(headers={'cache-control': 'public'} if kind == 'public' else {})

    client = client_of(router)
    authorized = {'authorization': 'Bearer x'}
    assert marks(*(client.get('/other', headers=authorized) for _ in range(2))) == [None, None]
    assert marks(*(client.get('/public', headers=authorized) for _ in range(2))) == ['MISS', 'HIT']


def test_a_declared_authorization_is_part_of_the_key():
    router, cache = caching_router(), memory_cache()

    @cache(ttl=60)
    @router.get('/')
    async def endpoint(authorization: Annotated[str, Header()]):
        return authorization

    client = client_of(router)
    answers = [client.get('/', headers={'authorization': it}) for it in ('a', 'b', 'a')]
    assert [it.json() for it in answers] == ['a', 'b', 'a']
    assert marks(*answers) == ['MISS', 'MISS', 'HIT']
