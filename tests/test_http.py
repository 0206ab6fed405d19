"""HTTP where the route decides: validation, stale answers, ranges and demands of clients, in `mode='policy'`."""

import pytest
from fastapi import Depends, FastAPI, Header, HTTPException, Request, Response
from fastapi.responses import FileResponse, JSONResponse, StreamingResponse
from starlette.middleware.gzip import GZipMiddleware
from starlette.testclient import TestClient

from fastapi_caching_route import LEFT_OUT_OF_RAW_KEYS, CachePolicy
from tests.support import Clock, caching_router, client_of, marks, memory_cache

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
    with pytest.raises(ValueError, match='are True or False'):
        CachePolicy(**{option: 'yes'})


def test_what_is_for_one_client_in_a_304_is_neither_stored_nor_lost(clock):
    cache = memory_cache(clock=clock, left_out_of_raw_keys=[*LEFT_OUT_OF_RAW_KEYS, 'x-user'])
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
    for value in cache.store._shelf._backend._backend._cache.values():
        assert not {b'x-guard', b'set-cookie'} & {name for name, _ in getattr(value, 'headers', ())}
