"""HTTP where the route decides: validation, stale answers, ranges and demands of clients, in `mode='policy'`."""

from typing import Annotated

import pytest
from aiocache import MemcachedCache, RedisCache, SimpleMemoryCache
from fastapi import Body, Depends, FastAPI, Header, HTTPException, Request, Response
from fastapi.responses import FileResponse, JSONResponse, StreamingResponse
from starlette.background import BackgroundTask
from starlette.middleware.gzip import GZipMiddleware
from starlette.testclient import TestClient

from fastapi_caching_route import LEFT_OUT_OF_RAW_KEYS, CacheContext, CachePolicy, FastAPICache
from fastapi_caching_route._http import ranges
from tests.support import Clock, Elsewhere, caching_router, client_of, marks, memory_cache

GIVEN = {'accept-encoding': 'identity'}


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def cache(clock):
    return memory_cache(clock=clock)


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


@pytest.mark.parametrize('failure', ['exception', 500, 502, 503, 504])
def test_a_stale_entry_answers_where_the_endpoint_fails(cache, clock, failure, caplog):
    router, broken, ended = caching_router(), [], []

    async def session():
        yield
        ended.append(1)

    @router.get('/', dependencies=[Depends(session)])
    @cache(ttl=60, stale_if_error=100)
    async def endpoint():
        if broken:
            if failure == 'exception':
                raise RuntimeError('it broke')
            raise HTTPException(failure, 'sorry')
        return 'good'

    client = client_of(router)
    client.get('/')
    broken.append(1)
    clock.now += 61
    response = client.get('/')
    assert (response.json(), marks(response), response.headers['age']) == ('good', ['HIT'], '61')
    assert 'the stale entry answers' in caplog.text
    assert client.get('/', headers={'if-none-match': response.headers['etag']}).status_code == 304
    clock.now += 100
    if failure == 'exception':
        with pytest.raises(RuntimeError):
            client.get('/')
    else:
        assert client.get('/').status_code == failure


@pytest.mark.parametrize('status', [400, 404, 410, 501])
def test_an_answer_that_is_no_failure_is_passed_on(cache, clock, status):
    router, gone = caching_router(), []

    @router.get('/')
    @cache(ttl=60, stale_if_error=100)
    async def endpoint():
        return JSONResponse('gone', status) if gone else 'good'

    client = client_of(router)
    client.get('/')
    gone.append(1)
    clock.now += 61
    assert client.get('/').status_code == status


@pytest.mark.parametrize('failure', ['refuses', 'fails', 'raises'])
def test_a_failure_of_a_guard_is_the_answer(cache, clock, failure):
    router, revoked = caching_router(), []

    async def guard():
        if revoked and failure == 'raises':
            raise RuntimeError('guard broke')
        if revoked:
            raise HTTPException(403 if failure == 'refuses' else 503)

    @router.get('/', dependencies=[Depends(guard)])
    @cache(ttl=60, stale_if_error=100, stale_while_revalidate=5)
    async def endpoint():
        return 'secret'

    client = client_of(router)
    client.get('/')
    revoked.append(1)
    clock.now += 70
    if failure == 'raises':
        with pytest.raises(RuntimeError, match='guard broke'):
            client.get('/')
    else:
        response = client.get('/')
        assert response.status_code == (403 if failure == 'refuses' else 503)
        assert 'secret' not in response.text


def test_a_stream_that_breaks_when_it_has_begun_is_broken(cache, clock):
    router, broken = caching_router(), []

    @router.get('/')
    @cache(ttl=60, stale_if_error=100)
    async def endpoint():
        async def stream():
            yield b'one'
            if broken:
                raise RuntimeError('in the middle')
            yield b'two'

        return StreamingResponse(stream())

    client = client_of(router)
    client.get('/')
    broken.append(1)
    clock.now += 61
    with pytest.raises(Exception) as broke:  # noqa: PT011, older releases put it into a group
        client.get('/')
    assert 'in the middle' in repr(getattr(broke.value, 'exceptions', broke.value))


def test_an_answer_that_must_be_revalidated_never_stands_in(cache, clock):
    router, broken = caching_router(), []

    @router.get('/')
    @cache(ttl=60, stale_if_error=100)
    async def endpoint():
        return JSONResponse('x', 503 if broken else 200, headers={'cache-control': 'must-revalidate'})

    client = client_of(router)
    client.get('/')
    broken.append(1)
    clock.now += 61
    assert client.get('/').status_code == 503


def test_a_part_is_served_from_what_is_stored_and_from_what_is_held(cache):
    router, runs = caching_router(), []

    @router.get('/')
    @cache(ttl=60)
    async def endpoint():
        runs.append(1)
        return Response(b'0123456789', media_type='text/plain')

    client = client_of(router)
    first = client.get('/', headers={'range': 'bytes=0-3'} | GIVEN)
    second = client.get('/', headers={'range': 'bytes=4-'} | GIVEN)
    assert [(it.status_code, it.content) for it in (first, second)] == [(206, b'0123'), (206, b'456789')]
    assert (second.headers['content-range'], second.headers['content-length']) == ('bytes 4-9/10', '6')
    assert client.get('/', headers={'range': 'bytes=50-'}).headers['content-range'] == 'bytes */10'
    assert (client.get('/').content, runs) == (b'0123456789', [1])


def test_a_file_serves_its_own_ranges_and_is_stored_whole(cache, tmp_path):
    router = caching_router()
    (tmp_path / 'file').write_bytes(b'0123456789')

    @router.get('/')
    @cache(ttl=60)
    async def endpoint():
        return FileResponse(tmp_path / 'file')

    client = client_of(router)
    part = {'range': 'bytes=2-3'} | GIVEN
    assert [client.get('/', headers=part).content for _ in range(2)] == [b'23', b'23']
    assert client.get('/').content == b'0123456789'
    hit = client.get('/', headers=part)
    assert (hit.status_code, hit.content, marks(hit)) == (206, b'23', ['HIT'])


@pytest.mark.parametrize(
    'asked', ['bytes=5-2', 'bytes=x', 'bytes', 'bytes=-', 'bytes=1-2,x', 'items=0-1', 'bytes=99999999999999999999-']
)
def test_a_range_that_is_not_valid_is_ignored_on_a_miss_as_on_a_hit(cache, tmp_path, asked):
    router, runs = caching_router(), []
    (tmp_path / 'file').write_bytes(b'0123456789')

    @router.get('/')
    @cache(ttl=60)
    async def endpoint():
        runs.append(1)
        return FileResponse(tmp_path / 'file')

    client = client_of(router)
    answers = [client.get('/', headers={'range': asked}) for _ in range(2)]
    assert [(it.status_code, it.content) for it in answers] == [(200, b'0123456789')] * 2
    assert (marks(*answers), runs) == (['MISS', 'HIT'], [1])


def test_an_endpoint_that_declares_range_gets_it_as_it_was_sent(cache):
    router = caching_router()

    @router.get('/')
    @cache(ttl=60)
    async def endpoint(range_: Annotated[str, Header(alias='range')]):
        return range_

    assert client_of(router).get('/', headers={'range': 'items=0-1'}).json() == 'items=0-1'


def test_hiding_a_range_leaves_preconditions_to_the_endpoint(cache):
    router = caching_router()

    @router.get('/')
    @cache(ttl=60)
    async def endpoint(response: Response):
        response.headers.update({'etag': '"1"', 'cache-control': 'no-store'})
        return 'whole'

    answer = client_of(router).get('/', headers={'range': 'bytes=x', 'if-none-match': '"1"'})
    assert (answer.status_code, answer.json()) == (200, 'whole')


@pytest.mark.parametrize(
    ('lines', 'valid'),
    [
        ([b'bytes=0-'], True),
        ([b'Bytes=0-1, 5-5 ,-3'], True),
        ([b'bytes=00002-2'], True),
        ([b'bytes=-0'], True),
        ([b'bytes=2-1'], False),
        ([b'bytes='], False),
        ([b'bytes=1'], False),
        ([b'bytes=1-2-3'], False),
        ([b'bytes=\xb2-'], False),
        ([b'bytes=0-1,'], False),
        ([b'bytes=0-1', b'bytes=0-1'], False),
        ([], False),
    ],
)
def test_which_ranges_are_valid(lines, valid):
    assert ranges.is_valid(lines) is valid


def test_a_part_is_never_compressed(cache):
    router = caching_router()

    @router.get('/')
    @cache(ttl=60)
    async def endpoint():
        return Response(bytes(5000), media_type='text/plain')

    app = FastAPI()
    app.include_router(router)
    app.add_middleware(GZipMiddleware, minimum_size=100)
    client = TestClient(app)
    assert client.get('/', headers={'accept-encoding': 'gzip'}).headers['content-encoding'] == 'gzip'
    response = client.get('/', headers={'accept-encoding': 'gzip', 'range': 'bytes=0-1999'})
    assert (response.status_code, response.content) == (206, bytes(2000))
    assert response.headers['content-encoding'] == 'identity'


@pytest.mark.parametrize(
    ('demand', 'heeded'),
    [('no-cache', True), ('max-age=5', True), ('max-age=50', False), ('min-fresh=55', True), ('only-if-cached', False)],
)
@pytest.mark.parametrize('switched_on', [True, False])
def test_clients_decide_only_where_the_route_lets_them(cache, clock, demand, heeded, switched_on):
    router, runs = caching_router(), []

    @router.get('/')
    @cache(ttl=60, client_cache_control=switched_on)
    async def endpoint():
        runs.append(1)
        return 1

    client = client_of(router)
    client.get('/')
    clock.now += 10
    client.get('/', headers={'cache-control': demand})
    assert len(runs) == (2 if heeded and switched_on else 1)


def test_who_wants_only_what_is_stored_is_behind_the_guards_too(cache):
    router = caching_router()

    async def guard():
        raise HTTPException(403)

    @router.get('/{open_to_all}')
    @cache(ttl=60, client_cache_control=True)
    async def endpoint(open_to_all: str):
        return 1

    @router.get('/closed/it', dependencies=[Depends(guard)])
    @cache(ttl=60, client_cache_control=True)
    async def closed():
        return 1

    client = client_of(router)
    paths = ('/open', '/closed/it')
    assert [client.get(path, headers={'cache-control': 'only-if-cached'}).status_code for path in paths] == [504, 403]


def test_a_soft_invalidation_has_what_can_be_validated_validated(cache):
    router, rendered = caching_router(), []

    @router.get('/')
    @cache(ttl=60, revalidate=True, tags=['it'])
    async def endpoint(request: Request):
        if 'if-none-match' in request.headers:
            return Response(status_code=304)
        rendered.append(1)
        return Response('whole', headers={'etag': '"v1"'})

    with client_of(router) as client:
        client.get('/')
        client.portal.call(lambda: cache.invalidate_tags('it', soft=True))
        assert (client.get('/').text, rendered) == ('whole', [1])
        client.portal.call(lambda: cache.invalidate_tags('it'))
        assert (client.get('/').text, rendered) == ('whole', [1, 1])


@pytest.mark.parametrize('mode', ['policies', 7])
def test_another_mode_is_a_mistake(mode):
    with pytest.raises(ValueError, match="mode is 'policy' or 'rfc9111'"):
        memory_cache(mode=mode)


@pytest.mark.parametrize('option', ['revalidate', 'client_cache_control'])
def test_a_switch_is_on_or_off(option):
    with pytest.raises(ValueError, match=f'{option} is True or False'):
        CachePolicy(**{option: 'yes'})


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


# What an attack has found


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


def test_what_was_invalidated_while_the_endpoint_ran_does_not_stand_in(cache, clock):
    router, runs = caching_router(), []

    @router.get('/')
    @cache(ttl=10, stale_if_error=100, tags=['it'])
    async def endpoint():
        runs.append(1)
        if len(runs) > 1:
            await cache.invalidate_tags('it')
            raise RuntimeError('broken')
        return 'old'

    client = client_of(router)
    client.get('/')
    clock.now += 20
    with pytest.raises(RuntimeError, match='broken'):
        client.get('/')


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


def test_what_a_client_asks_about_its_own_copy_does_not_tell_entries_apart(cache):
    router, asked = caching_router(), []

    @router.get('/')
    @cache(ttl=10, revalidate=True)
    async def endpoint(if_none_match: str | None = Header(default=None), x_plan: str = Header(default='')):
        asked.append(if_none_match)
        return Response('x', headers={'etag': '"a"'})

    client = client_of(router)
    responses = [client.get('/', headers={'if-none-match': f'"{number}"'}) for number in range(3)]
    assert (marks(*responses), asked) == (['MISS', 'HIT', 'HIT'], [None])
    assert responses[0].headers['vary'] == 'x-plan'


@pytest.mark.parametrize('kind', ['redis', 'memcached'])
def test_a_stale_window_of_a_year_is_one_of_a_month(kind, request):
    port = request.getfixturevalue(f'{kind}_port')
    backend = {'redis': RedisCache, 'memcached': MemcachedCache}[kind](
        endpoint='127.0.0.1', port=port, namespace='year'
    )
    cache, router = FastAPICache(backend, store_timeout=5), caching_router()

    @router.get('/')
    @cache(ttl=60, stale_if_error=31_536_000, stale_while_revalidate=31_536_000)
    async def endpoint():
        return 1

    with client_of(router) as client:
        assert marks(client.get('/'), client.get('/')) == ['MISS', 'HIT']
        client.portal.call(backend.client.aclose if kind == 'redis' else backend.close)


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


@pytest.mark.parametrize('said', ['private', 'no-store'])
def test_a_client_that_has_what_is_not_stored_gets_a_304_all_the_same(cache, said):
    router = caching_router()

    @router.get('/')
    @cache(ttl=10, revalidate=True)
    async def endpoint():
        return Response('x' * 99, headers={'etag': '"1"', 'cache-control': said})

    client = client_of(router)
    response = client.get('/', headers={'if-none-match': '"1"'})
    assert (response.status_code, response.content, response.headers['etag']) == (304, b'', '"1"')
    assert client.get('/', headers={'if-none-match': '"2"'}).content == b'x' * 99


@pytest.mark.parametrize('asked', [{'if-none-match': '"a"'}, {'range': 'bytes=0-0'}])
def test_a_renewal_asks_for_the_whole(cache, clock, asked):
    router, runs = caching_router(), []

    @router.get('/')
    @cache(ttl=10, stale_while_revalidate=100)
    async def endpoint(request: Request):
        runs.append(1)
        status = 304 if 'if-none-match' in request.headers else 206 if 'range' in request.headers else 200
        return Response(b'' if status == 304 else b'x', status, {'etag': '"a"'})

    client = client_of(router)
    client.get('/')
    clock.now += 20
    for _ in range(3):
        client.get('/', headers=asked)
    assert runs == [1, 1]


def test_a_client_may_ask_for_what_is_stale_where_the_route_lets_it(cache, clock):
    router = caching_router()

    @router.get('/')
    @cache(ttl=10, client_cache_control=True)
    async def endpoint():
        return 1

    client = client_of(router)
    client.get('/')
    clock.now += 20
    assert marks(client.get('/', headers={'cache-control': 'max-stale=20'})) == ['HIT']
    assert marks(client.get('/', headers={'cache-control': 'max-stale=5'})) == ['MISS']


@pytest.mark.parametrize('named', ['/things/1', 'http://TESTSERVER:80/things/1'])
def test_a_write_invalidates_what_it_names_wherever_that_is_served(cache, named):
    router = caching_router()

    @router.get('/things/{number}')
    @cache(ttl=60)
    async def read(number: int):
        return number

    @router.post('/elsewhere')
    async def write():
        return Response(status_code=201, headers={'location': named})

    client = client_of(router)
    client.get('/things/1')
    client.post('/elsewhere')
    assert marks(client.get('/things/1')) == ['MISS']


def test_a_resumed_download_is_whole_where_it_may_have_been_compressed(cache):
    router = caching_router()

    @router.get('/')
    @cache(ttl=60)
    async def endpoint():
        return Response(bytes(5000), media_type='text/plain', headers={'content-digest': 'sha-256=:x:'})

    app = FastAPI()
    app.include_router(router)
    app.add_middleware(GZipMiddleware, minimum_size=100)
    client = TestClient(app)
    tag = client.get('/').headers['etag']
    resumed = {'range': 'bytes=10-', 'if-range': tag}
    assert client.get('/', headers=resumed | {'accept-encoding': 'gzip'}).status_code == 200
    del client.headers['accept-encoding']
    part = client.get('/', headers=resumed)
    assert (part.status_code, 'content-digest' in part.headers) == (206, False)


@pytest.mark.parametrize(('name', 'written'), [('My Cache', '"My Cache"'), ('a;hit', '"a;hit"'), ('Plain', 'Plain')])
def test_the_name_of_the_cache_is_always_a_valid_item(name, written):
    cache, router = memory_cache(cache_status=name), caching_router()

    @router.get('/')
    @cache(ttl=60)
    async def endpoint():
        return 1

    assert client_of(router).get('/').headers['cache-status'] == f'{written}; fwd=uri-miss; stored'


# What a newcomer has found


def test_a_guard_may_read_the_body_once_more_where_something_stands_in(cache, clock):
    router, broken = caching_router(), []

    async def guard(body: Annotated[dict, Body()]):
        if body != {'a': 1}:
            raise HTTPException(403)

    @router.post('/', dependencies=[Depends(guard)])
    @cache(ttl=5, stale_if_error=100, key_builder=lambda request: 'key')
    async def endpoint():
        return JSONResponse('sorry', 503) if broken else 'good'

    client = client_of(router)
    client.post('/', json={'a': 1})
    broken.append(1)
    clock.now += 10
    assert client.post('/', json={'a': 1}).json() == 'good'
    assert client.post('/', json={'a': 2}).status_code == 403


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


def test_a_window_is_over_when_the_endpoint_has_taken_too_long_to_fail(cache, clock):
    router, slow = caching_router(), []

    @router.get('/')
    @cache(ttl=5, stale_if_error=10)
    async def endpoint():
        if slow:
            clock.now += 60
            return JSONResponse('too late', 504)
        return 'good'

    client = client_of(router)
    client.get('/')
    slow.append(1)
    clock.now += 8
    assert client.get('/').status_code == 504


def test_nobody_is_told_to_store_that_a_part_is_missing(cache):
    router = caching_router()

    @router.get('/')
    @cache(ttl=60, cache_control='public, max-age=60', cdn_cache_control='max-age=60')
    async def endpoint():
        return 'x'

    client = client_of(router)
    client.get('/')
    response = client.get('/', headers={'range': 'bytes=50-'})
    assert response.status_code == 416
    assert not {'cache-control', 'cdn-cache-control'} & response.headers.keys()


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


def test_an_invalidation_elsewhere_does_not_keep_an_answer_from_being_stored():
    backend = Elsewhere()
    cache, router = FastAPICache(backend, store_timeout=5), caching_router()

    @router.get('/')
    @cache(ttl=60, revalidate=True)
    async def endpoint():
        await cache.invalidate_tags('something else')
        return Response('x', headers={'etag': '"a"'})

    client = client_of(router)
    assert marks(client.get('/'), client.get('/')) == ['MISS', 'HIT']
