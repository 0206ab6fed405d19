"""`X-Cache`, `Cache-Status`, `Age` and `Vary` on responses of cached routes."""

from fastapi import Depends, HTTPException, Request, Response
from fastapi.responses import StreamingResponse

from tests.support import caching_router, client_of, marks, memory_cache, twins


def test_an_age_is_never_sent_beside_a_cache_control_of_ours(cache):
    router = caching_router()

    @router.get('/{kind}')
    @cache(ttl=600, cache_control='max-age=60')
    async def endpoint(kind: str):
        aged = {'age': '100'}
        return StreamingResponse(iter([b'a', b'b']), headers=aged) if kind == 'stream' else Response('x', headers=aged)

    client = client_of(router)
    for path in ('/plain', '/stream'):
        assert ['age' in client.get(path).headers for _ in range(2)] == [False, False]


def test_a_refusal_behind_an_early_check_is_marked_once():
    refusing = []

    def guard():
        if refusing:
            raise HTTPException(403)

    router, cache = caching_router(dependencies=[Depends(guard)]), memory_cache()

    @cache(ttl=60, key_builder=lambda _: 'one', dependencies=[Depends(lambda: None)])
    @router.get('/')
    async def endpoint():
        return 'answer'

    client = client_of(router)
    client.get('/')
    refusing.append(1)
    assert client.get('/').headers.get_list('cache-status') == ['FastAPICache; fwd=uri-miss; detail=status']


def test_the_age_that_an_answer_brings_along_counts():
    async def endpoint():
        return Response(headers={'age': '50', 'cache-control': 'max-age=60'})

    cached, _ = twins(endpoint)
    cached.get('/')
    assert cached.get('/').headers['age'] == '50'


def test_an_answer_that_goes_by_the_cache_names_the_same_fields_in_vary():
    router, cache = caching_router(), memory_cache()

    @cache(ttl=60, vary_headers=['x-plan'], reads='all')
    @router.get('/')
    async def endpoint(request: Request):
        return 'answer'

    client = client_of(router)
    responses = [client.get('/', headers=headers) for headers in ({}, {'cookie': 'a=1'})]
    assert marks(*responses) == ['MISS', None]
    assert [it.headers['vary'] for it in responses] == ['x-plan, authorization, cookie'] * 2
