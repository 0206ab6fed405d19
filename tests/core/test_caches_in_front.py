"""Caches in front of this one: what is in the key here, and cannot be said to them, makes a response private."""

import asyncio
import inspect
import logging
from typing import Annotated, Any

import fastapi
import httpx
import pytest
from fastapi import Cookie, Depends, FastAPI, Header, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from fastapi.security import APIKeyHeader
from fastapi.testclient import TestClient
from pydantic import BaseModel, ConfigDict
from starlette.requests import HTTPConnection

from fastapi_caching_route import CacheContext, CachingRoute, ConfigurationError, FastAPICache
from tests.support import asgi_call, asgi_scope, caching_router, client_of, marks, memory_cache


class Open(BaseModel):
    model_config = ConfigDict(extra='allow')


class RefusedError(Exception):
    """An exception that a handler makes a response of."""


async def raw(request: Request):
    return request.headers['x-user']


def user_of(connection: HTTPConnection):
    return connection.headers['x-user']


async def raw_dependency(user: Annotated[str, Depends(user_of)]):
    return user


async def open_header_model(given: Annotated[Open, Header()]):
    return (given.model_extra or {}).get('x-user') or (given.model_extra or {}).get('x_user')


async def handled():
    raise RefusedError


async def cookie(user: Annotated[str, Cookie()]):
    return user


async def constant():
    return 'for all'


def by_header(request):
    return request.headers['x-user']


UNSAID: list[tuple[Any, dict[str, Any]]] = [
    (raw, {'reads': 'all'}),
    (raw_dependency, {'reads': 'all'}),
    (open_header_model, {}),
    (raw, {'key_builder': by_header}),
    (raw, {'identity': by_header}),
    (raw, {'vary_headers': ['cookie']}),
    (cookie, {}),
]


async def tags_of(user: Annotated[str, Cookie()]):
    return [user]


async def note_raw(request: Request):
    request.state.user = user_of(request)


UNSAID_BY_OPTIONS: list[tuple[Any, dict[str, Any]]] = [
    (constant, {'identity': by_header}),
    (constant, {'tags': Depends(tags_of)}),
    (constant, {'skip': lambda _: False, 'dependencies': [Depends(note_raw)]}),
]


def client_behind_a_shared_cache(origin):
    """A textbook cache that keys by URL and Vary, in front of an app."""
    edge, cache = caching_router(), FastAPICache(mode='rfc9111')

    @edge.get('/{path:path}')
    @cache(key_builder=lambda request: request.url.path)
    async def proxy(path: str, request: Request):
        transport = httpx.ASGITransport(app=origin)
        async with httpx.AsyncClient(transport=transport, base_url='http://origin') as client:
            got = await client.get(f'/{path}', headers=request.headers.items())
        return Response(got.content, got.status_code, dict(got.headers))

    return client_of(edge)


def origin_of(endpoint, **options):
    app = FastAPI()
    app.router.route_class = CachingRoute
    memory_cache()(ttl=60, **options)(endpoint)
    app.get('/')(endpoint)

    @app.exception_handler(RefusedError)
    async def handle(request: Request, _: RefusedError):
        return JSONResponse(request.headers.get('x-user') or request.client.host)

    return app


def as_user(user, endpoint):
    return {'x-user': user, **({'cookie': f'user={user}'} if endpoint is cookie else {})}


@pytest.mark.parametrize('control', [{'cache_control': 'max-age=60'}, {'cdn_cache_control': 'max-age=60'}])
@pytest.mark.parametrize(('endpoint', 'options'), UNSAID)
def test_a_cache_in_front_never_gives_one_client_the_response_of_another(endpoint, options, control):
    app = origin_of(endpoint, **options, **control)
    client = client_behind_a_shared_cache(app)
    users = ['ada', 'bob', 'ada', 'bob']
    asked = [client.get('/', headers=as_user(it, endpoint)) for it in users]
    assert [it.json() for it in asked] == users
    assert all(it.headers[name.replace('_', '-')] == 'private, max-age=60' for it in asked for name in control)


@pytest.mark.parametrize('endpoint', [raw, raw_dependency, handled])
def test_a_cache_in_front_is_told_which_headers_were_read_of_a_raw_request(endpoint):
    client = client_behind_a_shared_cache(origin_of(endpoint, cache_control='public, max-age=60'))
    users = ['ada', 'bob', 'ada', 'bob']
    asked = [client.get('/', headers={'x-user': it}) for it in users]
    assert [it.json() for it in asked] == users
    assert {(it.headers['cache-control'], it.headers['vary']) for it in asked} == {('public, max-age=60', 'x-user')}


UNTOLD = {
    'a cookie': lambda request: request.cookies.get('user', ''),
    'the client': lambda request: request.client.host,
    'all headers': lambda request: dict(request.headers)['cookie'],
    'the session': lambda request: request.session['user'],
}
VARY_OF = {
    'a cookie': b'cookie',
    'the client': None,
    'all headers': b'authorization, cookie',
    'the session': b'authorization, cookie',
}
"""Where credentials may have been read, a browser that two people use one after the other keeps them apart."""


@pytest.mark.parametrize('read', UNTOLD)
def test_what_was_read_and_cannot_be_told_makes_a_response_private_with_a_warning(read, caplog):
    async def endpoint(request: Request):
        return UNTOLD[read](request)

    app = origin_of(endpoint, cache_control='public, max-age=60')

    async def ask(user):
        scope = asgi_scope(headers=[(b'cookie', b'user=' + user.encode())])
        return await asgi_call(app, {**scope, 'session': {'user': user}, 'client': (user, 1)})

    with caplog.at_level(logging.WARNING, 'fastapi_caching_route'):
        got = [dict(asyncio.run(ask(it))[0]['headers']) for it in ('ada', 'bob', 'ada')]
    assert {it[b'cache-control'] for it in got} == {b'private, max-age=60'}
    assert [it[b'x-cache'] for it in got] == [b'MISS', b'MISS', b'HIT']
    assert {it.get(b'vary') for it in got} == {VARY_OF[read]}
    [warning] = [it.getMessage() for it in caplog.records]
    assert 'private is sent' in warning


@pytest.mark.parametrize('reads_late', [True, False])
def test_public_of_a_stream_that_reads_a_cookie_behind_its_head_is_warned_of_once(reads_late, caplog):
    async def endpoint(request: Request):
        async def chunks():
            yield 'a page '
            await asyncio.sleep(0.01)
            yield request.cookies.get('user', '') if reads_late else 'for all'

        return StreamingResponse(chunks(), headers={'cache-control': 'public, max-age=60'})

    client = TestClient(origin_of(endpoint))
    with caplog.at_level(logging.WARNING, 'fastapi_caching_route'):
        for user in ('ada', 'bob', 'ada'):
            client.get('/', headers={'cookie': f'user={user}'})
    assert len(caplog.records) == reads_late
    assert all('public' in it.getMessage() for it in caplog.records)


async def open_headers(given: Annotated[Open, Header()]):
    return str(given)


UNNAMED: list[tuple[Any, dict[str, Any]]] = [
    (open_headers, {}),
    (raw, {'reads': 'all'}),
    (raw, {'identity': lambda request: request.headers['authorization']}),
    (raw, {'key': lambda request: request.headers['authorization']}),
]


@pytest.mark.parametrize(('endpoint', 'options'), UNNAMED)
def test_a_browser_keeps_two_users_apart_where_what_is_unnamed_may_depend_on_them(endpoint, options):
    client = TestClient(origin_of(endpoint, cache_control='private, max-age=60', **options))
    got = [client.get('/', headers={'authorization': it, 'x-user': 'a'}) for it in ('ada', 'ada')]
    for response in got:
        assert {'authorization', 'cookie'} <= set(response.headers['vary'].split(', '))


def test_a_cache_in_front_shares_where_url_and_vary_say_all():
    runs = []

    async def endpoint(x_user: Annotated[str, Header()], _: Annotated[CacheContext, Depends()]):
        runs.append(x_user)
        return x_user

    app = origin_of(endpoint, cache_control='public, max-age=60')
    client = client_behind_a_shared_cache(app)
    asked = [client.get('/', headers={'x-user': it}) for it in ('ada', 'bob', 'ada')]
    assert [it.json() for it in asked] == ['ada', 'bob', 'ada']
    assert {(it.headers['cache-control'], it.headers['vary']) for it in asked} == {('public, max-age=60', 'x-user')}
    assert asked[2].headers['cache-status'].endswith('hit; ttl=59')
    assert runs == ['ada', 'bob']


def test_a_cache_in_front_lets_nobody_in_whom_the_guards_refuse():
    app, cache, router = FastAPI(), memory_cache(), caching_router()

    @router.get('/', dependencies=[Depends(APIKeyHeader(name='x-key'))])
    @cache(ttl=60, identity='shared', cache_control='max-age=60')
    async def endpoint():
        return 'for those with a key'

    app.include_router(router)
    client = client_behind_a_shared_cache(app)
    for _ in range(2):
        assert client.get('/', headers={'x-key': 'k'}).headers['cache-control'] == 'private, max-age=60'
    assert client.get('/').status_code in {401, 403}


@pytest.mark.parametrize('control', ['public, max-age=60', 's-maxage=60'])
@pytest.mark.parametrize(('endpoint', 'options'), [*UNSAID, *UNSAID_BY_OPTIONS])
@pytest.mark.parametrize('field', ['cache_control', 'cdn_cache_control'])
@pytest.mark.parametrize('above', [False, True])
def test_public_is_refused_where_only_this_cache_can_tell_the_responses_apart(endpoint, options, control, field, above):
    route = caching_router().get('/')

    async def anew(**given):
        """The endpoint, without what the other tests have left on it."""

    anew.__signature__ = inspect.signature(endpoint)
    decorate = memory_cache()(ttl=60, **{field: control}, **options)
    with pytest.raises(ConfigurationError, match=r'public or s-maxage, but .*Vary'):
        decorate(route(anew)) if above else route(decorate(anew))


def test_public_is_replaced_with_a_warning_where_an_include_brings_the_raw_request(caplog):
    cache, router, app = memory_cache(), caching_router(), FastAPI()

    def note(request: Request):
        """A guard that may leave anything in `request.state`."""

    @router.get('/')
    @cache(ttl=60, reads='all', cache_control='public, max-age=60', cdn_cache_control='s-maxage=60')
    async def endpoint():
        return 'for all'

    try:
        app.include_router(router, dependencies=[Depends(note)])
    except ConfigurationError:  # these releases build the route anew for the include, so it is refused there
        assert not hasattr(fastapi.routing, '_IncludedRouter')
        return
    client = TestClient(app)
    with caplog.at_level(logging.WARNING, 'fastapi_caching_route'):
        asked = [client.get('/') for _ in range(3)]
    assert marks(*asked) == ['MISS', 'HIT', 'HIT']
    assert {it.headers['cache-control'] for it in asked} == {'private, max-age=60'}
    assert {it.headers['cdn-cache-control'] for it in asked} == {'private'}
    [warning] = [it.getMessage() for it in caplog.records]
    assert 'the raw request' in warning
    assert 'private is sent instead' in warning
    [report] = [it for it in cache.explain(app) if it.cached]
    assert any('private is sent instead' in it for it in report.warnings)


def test_a_cache_control_of_the_endpoint_is_its_own_word_and_explain_says_so():
    cache, router, app = memory_cache(), caching_router(), FastAPI()

    @router.get('/')
    @cache(ttl=60, reads='all', cache_control='max-age=60')
    async def endpoint(request: Request, response: Response):
        response.headers['cache-control'] = 'public, max-age=5'
        return request.headers.get('x-user')

    app.include_router(router)
    client = TestClient(app)
    assert [client.get('/').headers['cache-control'] for _ in range(2)] == ['public, max-age=5'] * 2
    [report] = [it for it in cache.explain(app) if it.cached]
    [told] = [it for it in report.conditions if 'private' in it]
    assert 'the raw request' in told
    assert 'a Cache-Control of the endpoint is sent unchanged' in told


@pytest.mark.parametrize('raises', [False, True])
def test_the_response_of_a_request_that_waited_for_another_is_private_too(raises):
    began, goes_on, runs = asyncio.Event(), asyncio.Event(), []

    async def wait():
        runs.append(1)
        began.set()
        await goes_on.wait()
        if raises:
            raise RefusedError

    async def wait_with_it(request: Request):
        await wait()
        return request.client.host

    app = origin_of(wait if raises else wait_with_it, cache_control='max-age=60')

    async def ask():
        sent = await asgi_call(app, asgi_scope(headers=[(b'host', b'h')]))
        return dict(sent[0]['headers'])

    async def both():
        first = asyncio.create_task(ask())
        await began.wait()
        second = asyncio.create_task(ask())
        await asyncio.sleep(0.05)
        goes_on.set()
        return await asyncio.gather(first, second)

    got = asyncio.run(both())
    assert len(runs) == 1
    assert b'collapsed' in got[1][b'cache-status']
    assert [it[b'cache-control'] for it in got] == [b'private, max-age=60'] * 2


@pytest.mark.parametrize('identity', ['auto', 'shared'])
def test_what_differs_by_a_cookie_is_not_told_to_be_for_all(identity):
    router, cache = caching_router(), memory_cache()

    @cache(ttl=60, cache_control='public, max-age=60', identity=identity)
    async def endpoint(session: Annotated[str, Cookie()] = ''):
        return session

    with pytest.raises(ConfigurationError, match='public'):
        router.get('/')(endpoint)


def test_what_only_a_guard_reads_of_a_cookie_keeps_nothing_from_being_for_all():
    router, cache = caching_router(), memory_cache()

    def check(csrf: Annotated[str, Cookie()] = ''):
        """A guard."""

    @router.get('/', dependencies=[Depends(check)])
    @cache(ttl=60, cache_control='public, max-age=60', identity='shared')
    async def endpoint():
        return 'for all'

    assert client_of(router).get('/').headers['cache-control'] == 'public, max-age=60'
