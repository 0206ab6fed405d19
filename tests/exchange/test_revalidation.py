"""The endpoint is asked whether a stale entry still holds, and answers 304."""

from typing import Annotated

from aiocache import SimpleMemoryCache
from fastapi import Depends, FastAPI, Header, HTTPException, Request, Response
from starlette.background import BackgroundTask
from starlette.testclient import TestClient

from fastapi_caching_route import LEFT_OUT_OF_RAW_KEYS, CacheContext, CachePolicy, FastAPICache
from tests.support import caching_router, client_of, marks, memory_cache


def test_an_endpoint_says_cheaply_that_what_is_stored_still_holds(cache, clock):
    router, rendered = caching_router(), []

    @router.get('/')
    @cache(ttl=60, revalidate=True)
    async def endpoint(request: Request):
        if request.headers.get('if-none-match') == '"v1"':
            return Response(status_code=304, headers={'etag': '"v1"', 'x-checked': 'yes'})
        rendered.append(1)
        return Response('whole', headers={'etag': '"v1"'})

    client = client_of(router)
    client.get('/')
    clock.now += 61
    validated = client.get('/', headers={'if-none-match': '"other"'})
    assert (validated.text, validated.headers['x-checked'], marks(validated), rendered) == (
        'whole',
        'yes',
        ['HIT'],
        [1],
    )
    assert validated.headers['cache-status'] == 'FastAPICache; fwd=stale; fwd-status=304; ttl=60; stored'
    assert (client.get('/').headers['age'], rendered) == ('0', [1])
    clock.now += 61
    assert client.get('/', headers={'if-none-match': '"v1"'}).status_code == 304


def test_what_a_304_confirms_is_selected_as_before(cache, clock):
    router, runs = caching_router(), []

    @router.get('/')
    @cache(ttl=60, revalidate=True)
    async def endpoint(request: Request, if_none_match: str | None = Header(None), x_page: int = Header(1)):
        runs.append(request.headers.get('x-theme'))
        return Response(str(x_page), 304 if if_none_match else 200, headers={'etag': '"v1"'})

    client = client_of(router)
    assert marks(*[client.get('/', headers={'x-page': it}) for it in ('1', '01', '2')]) == ['MISS', 'HIT', 'MISS']
    clock.now += 61
    assert marks(client.get('/', headers={'x-page': '1'})) == ['HIT']  # confirmed
    assert len(runs) == 3
    responses = [client.get('/', headers=it) for it in ({'x-page': '01'}, {}, {'x-theme': 'dark'})]
    assert [it.headers['cache-status'].partition(';')[2] for it in responses] == [
        ' hit; ttl=60',
        ' hit; ttl=60',
        ' fwd=vary-miss; stored',
    ]


def test_an_endpoint_is_never_asked_about_a_tag_of_ours(cache, clock):
    router, asked = caching_router(), []

    @router.get('/')
    @cache(ttl=60, revalidate=True)
    async def endpoint(if_none_match: str | None = Header(default=None)):
        asked.append(if_none_match)
        return 'value'

    client = client_of(router)
    for _ in range(2):
        client.get('/')
        clock.now += 61
    assert asked == [None, None]


def test_what_says_no_cache_is_stored_only_where_it_can_be_validated(clock):
    for revalidate, expected in ((False, [None, None]), (True, ['MISS', 'HIT'])):
        cache, router = memory_cache(clock=clock, policy=CachePolicy(revalidate=revalidate)), caching_router()

        @router.get('/')
        @cache(ttl=60)
        async def endpoint(request: Request):
            tagged = {'etag': '"a"', 'cache-control': 'no-cache'}
            return Response(status_code=304 if 'if-none-match' in request.headers else 200, headers=tagged)

        client = client_of(router)
        assert marks(client.get('/'), client.get('/')) == expected


def test_what_is_for_one_client_in_a_304_is_neither_stored_nor_lost(clock):
    backend = SimpleMemoryCache()
    cache = FastAPICache(backend, clock=clock, left_out_of_raw_keys=[*LEFT_OUT_OF_RAW_KEYS, 'x-user'])
    router = caching_router()

    async def guard(response: Response, x_user: str = Header()):
        response.headers['x-guard'] = x_user

    @router.get('/{kind}', dependencies=[Depends(guard)])
    @cache(ttl=60, revalidate=True, identity='shared')
    async def endpoint(kind: str, request: Request, response: Response):
        response.headers['etag'] = '"v1"'
        if 'if-none-match' in request.headers:
            if kind == 'cookie':
                response.set_cookie('of', request.headers['x-user'])
            response.status_code = 304
            return None
        return 'whole'

    client = client_of(router)
    for kind in ('plain', 'cookie'):
        path = f'/{kind}'
        client.get(path, headers={'x-user': 'ann'})
        clock.now += 61
        validated = client.get(path, headers={'x-user': 'bob'})
        assert (validated.json(), validated.headers['x-guard'], marks(validated)) == ('whole', 'bob', ['HIT'])
        assert ('set-cookie' in validated.headers) is (kind == 'cookie')
        client.cookies.clear()
        later = client.get(path, headers={'x-user': 'cat'})
        assert (later.json(), later.headers['x-guard']) == ('whole', 'cat')
        assert kind == 'cookie' or 'set-cookie' not in later.headers
    for value in backend._cache.values():
        assert not {b'x-guard', b'set-cookie'} & {name for name, _ in getattr(value, 'headers', ())}


def test_a_304_of_a_dependency_does_not_get_past_the_guards_behind_it(cache, clock):
    router, good = caching_router(), {'good'}

    def not_modified(if_none_match: str | None = Header(default=None)):
        if if_none_match == '"v1"':
            raise HTTPException(304)

    def auth(x_key: str | None = Header(default=None)):
        if x_key not in good:
            raise HTTPException(401)

    @router.get('/', dependencies=[Depends(not_modified), Depends(auth)])
    @cache(ttl=10, revalidate=True)
    async def endpoint():
        return Response('SECRET', headers={'etag': '"v1"'})

    client = client_of(router)
    key = {'x-key': 'good'}
    client.get('/', headers=key)
    clock.now += 20
    assert client.get('/', headers=key).text == 'SECRET'
    good.clear()
    clock.now += 20
    response = client.get('/', headers=key)
    assert (response.status_code, 'SECRET' in response.text) == (401, False)


def test_what_an_endpoint_said_of_an_answer_holds_after_a_304(cache, clock):
    router, state = caching_router(), {'version': 1}

    @router.get('/')
    @cache(ttl=1000, revalidate=True)
    async def endpoint(request: Request, context: Annotated[CacheContext, Depends()]):
        tag = f'"v{state["version"]}"'
        if request.headers.get('if-none-match') == tag:
            return Response(status_code=304)
        context.tags.add('user:7')
        context.ttl = 5
        return Response(f'v{state["version"]}', headers={'etag': tag})

    with client_of(router) as client:
        client.get('/')
        clock.now += 20
        validated = client.get('/')
        assert validated.headers['cache-status'] == 'FastAPICache; fwd=stale; fwd-status=304; ttl=5; stored'
        state['version'] = 2
        client.portal.call(cache.invalidate_tags, 'user:7')
        assert client.get('/').text == 'v2'


def test_what_was_invalidated_before_the_endpoint_ran_is_not_revived_by_a_304(cache, clock):
    router, state, when = caching_router(), {'asked': 0, 'version': 1}, 'Sun, 06 Nov 1994 08:49:37 GMT'

    async def tags(request):
        state['asked'] += 1
        if state['asked'] == 2:
            state['version'] = 2
            await cache.invalidate_tags('it')
        return ['it']

    @router.get('/')
    @cache(ttl=10, revalidate=True, tags=tags)
    async def endpoint(if_modified_since: str | None = Header(default=None)):
        if if_modified_since == when:
            return Response(status_code=304)
        return Response(f'v{state["version"]}', headers={'last-modified': when})

    client = client_of(router)
    client.get('/')
    clock.now += 20
    assert client.get('/').headers['cache-status'].endswith('detail=invalidated')
    assert client.get('/').text == 'v2'


def test_a_tag_of_the_endpoint_may_look_like_ours(cache, clock):
    router, asked, tag = caching_router(), [], f'"{"a1" * 16}"'

    @router.get('/')
    @cache(ttl=10, revalidate=True)
    async def endpoint(if_none_match: str | None = Header(default=None)):
        asked.append(if_none_match)
        return Response(status_code=304) if if_none_match == tag else Response('x', headers={'etag': tag})

    client = client_of(router)
    for _ in range(3):
        client.get('/')
        clock.now += 20
    assert asked == [None, tag, tag]


def test_a_validated_answer_comes_before_what_the_endpoint_leaves_to_be_done(cache, clock):
    router, order = caching_router(), []

    def later():
        order.append('task')
        raise RuntimeError('in the task')

    @router.get('/')
    @cache(ttl=10, revalidate=True)
    async def endpoint(if_none_match: str | None = Header(default=None)):
        status = 304 if if_none_match else 200
        return Response('' if if_none_match else 'x', status, {'etag': '"1"'}, background=BackgroundTask(later))

    app = FastAPI()
    app.include_router(router)
    client = TestClient(app, raise_server_exceptions=False)
    assert client.get('/').status_code == 200
    clock.now += 20
    assert (client.get('/').status_code, client.get('/').text) == (200, 'x')
    assert order == ['task', 'task']


def test_a_304_of_fastapi_does_not_change_what_the_body_is(cache, clock):
    router = caching_router()

    @router.get('/')
    @cache(ttl=10, revalidate=True)
    async def endpoint(response: Response, if_none_match: str | None = Header(default=None)):
        if if_none_match:
            response.status_code = 304
            return None
        return Response('a;b', media_type='text/csv', headers={'etag': '"1"'})

    client = client_of(router)
    client.get('/')
    clock.now += 20
    assert client.get('/').headers['content-type'].startswith('text/csv')


def test_a_validated_answer_that_is_not_stored_is_public_to_nobody(cache, clock):
    router = caching_router()

    @router.get('/')
    @cache(ttl=5, revalidate=True, cache_control='public, max-age=60')
    async def endpoint(if_none_match: str | None = Header(default=None)):
        headers = {'etag': '"a"'} | ({'set-cookie': 'sid=secret'} if if_none_match else {})
        return Response('' if if_none_match else 'x', 304 if if_none_match else 200, headers)

    client = client_of(router)
    client.get('/')
    clock.now += 10
    response = client.get('/')
    assert (response.headers['set-cookie'], 'cache-control' in response.headers) == ('sid=secret', False)


def test_a_304_about_something_else_renews_nothing(cache, clock):
    router, when = caching_router(), 'Sun, 06 Nov 1994 08:49:37 GMT'

    @router.get('/')
    @cache(ttl=5, revalidate=True)
    async def endpoint(if_modified_since: str | None = Header(default=None)):
        if if_modified_since:
            return Response(status_code=304, headers={'etag': '"v2"', 'x-new': '1'})
        return Response('x', headers={'last-modified': when})

    client = client_of(router)
    client.get('/')
    clock.now += 10
    # The tag of the entry is ours, so only its date was asked about.
    response = client.get('/')
    assert (response.headers['age'], 'x-new' in response.headers) == ('10', False)
    assert response.headers['cache-status'] == 'FastAPICache; fwd=stale; fwd-status=304; ttl=-5; detail=validator'
    assert marks(client.get('/')) == ['MISS']


def test_a_renewed_entry_may_live_longer_than_before_unless_its_lifetime_was_chosen(cache, clock):
    router = caching_router()

    @router.get('/')
    @cache(ttl=600, revalidate=True)
    async def endpoint(if_none_match: str | None = Header(default=None)):
        said = {'etag': '"a"', 'cache-control': 'max-age=300' if if_none_match else 'max-age=5'}
        return Response('' if if_none_match else 'x', 304 if if_none_match else 200, said)

    client = client_of(router)
    client.get('/')
    clock.now += 10
    assert 'ttl=300; stored' in client.get('/').headers['cache-status']
