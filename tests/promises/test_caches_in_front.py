"""What caches in front are told: through a textbook shared cache, everybody gets what they get without it.

The cache in front is our own `mode='rfc9111'`, and knows the URL and `Vary` only.
"""

import asyncio
import inspect
import json
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Cookie, Depends, FastAPI, Header, HTTPException, Path, Request, Response, Security
from fastapi.responses import PlainTextResponse
from fastapi.security import APIKeyCookie, APIKeyHeader, HTTPBasic, HTTPBearer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from fastapi_caching_route import CachingRoute
from tests.promises.fronts import in_front_of
from tests.promises.test_equivalence import EXAMPLES, answers, endpoints, function, parameters, requests
from tests.support import FASTAPI, asgi_call, asgi_scope, caching_router, memory_cache

counts = {'endpoints': 0, 'requests': 0, 'hits in front': 0}
CONTROLS = [{'cache_control': 'max-age=60'}, {'cdn_cache_control': 'max-age=60'}, {'cache_control': 'max-age=ttl'}]


OPTIONS = [{}, {'vary_headers': ['x-b']}, {'skip': lambda it: 'x-b' in it.headers}]


@st.composite
def without_credentials(draw):
    """The same, without cookies and credentials: caches in front may share what these endpoints answer."""
    specs = [
        [(name, kind, 'header' if place == 'cookie' else place, *more) for name, kind, place, *more in it]
        for it in draw(st.tuples(parameters(), parameters()))
    ]
    item = inspect.Parameter('item', inspect.Parameter.KEYWORD_ONLY, annotation=Annotated[str, Path()])
    return function(specs[0], [item]), [Depends(function(specs[1]))], ['GET']


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(
    st.one_of(endpoints(), without_credentials()),
    st.lists(requests(), min_size=2, max_size=3),
    st.sampled_from(CONTROLS),
    st.sampled_from(OPTIONS),
    st.data(),
)
def compare_through_the_front(made, asked, control, options, data):
    endpoint, dependencies, methods = made
    apps = []
    for route_class in (CachingRoute, None):
        app = FastAPI(openapi_url=None)
        router = APIRouter(**({'route_class': route_class} if route_class else {}))
        try:
            router.api_route('/items/{item}', methods=methods, dependencies=dependencies)(endpoint)
            app.include_router(router)
        except AssertionError:  # FastAPI itself does not take this mix
            return
        apps.append(app)
    cached, plain = apps
    memory_cache()(ttl=60, **control, **options)(endpoint)
    counts['endpoints'] += 1
    front = in_front_of(cached)
    order = data.draw(st.lists(st.sampled_from(asked), min_size=8, max_size=12))

    async def compare():
        for one in order:
            through = await seen(front, methods[0], one)
            counts['requests'] += 1
            counts['hits in front'] += through[2] == b'HIT'
            assert through[:2] == (await answers(plain, methods[0], one))[:2], (str(control), json.dumps(str(one)))

    asyncio.run(compare())


async def seen(app, method, asked):
    """Status, body, and what the cache in front says."""
    path, query, fields, body = asked
    sent = await asgi_call(app, asgi_scope(method, path, query=query, headers=fields), body)
    return sent[0]['status'], b''.join(it.get('body', b'') for it in sent), dict(sent[0]['headers']).get(b'x-front')


def test_whatever_is_declared_everybody_gets_their_own_through_a_cache_in_front():
    compare_through_the_front()
    print(counts)
    assert counts['endpoints'] >= 150
    assert counts['requests'] >= 1000
    assert counts['hits in front'] >= 40


# One kind of input after another ------------------------------------------------------------------------------

ANN = {'headers': [(b'x-session-token', b'ann'), (b'cookie', b'who=ann'), (b'authorization', b'Basic YW5uOmE=')]}
BOB = {'headers': [(b'x-session-token', b'bob'), (b'cookie', b'who=bob'), (b'authorization', b'Basic Ym9iOmI=')]}


async def raw_header(request: Request):
    return request.headers.get('x-session-token')


async def raw_cookie(request: Request):
    return request.cookies.get('who')


async def raw_address(request: Request):
    return request.client.host


async def raw_everything(request: Request):
    return sorted(request.headers.items())


async def declared_header(x_session_token: Annotated[str, Header()] = ''):
    return x_session_token


async def declared_cookie(who: Annotated[str, Cookie()] = ''):
    return who


class Model(BaseModel, extra='allow'):
    """Sees all headers."""


async def header_model(model: Annotated[Model, Header()]):
    return model.model_dump()


async def basic(credential: Annotated[Any, Depends(HTTPBasic())]):
    return credential.username


async def bearer(credential: Annotated[Any, Depends(HTTPBearer(auto_error=False))]):
    return str(credential)


async def key_in_header(key: str = Depends(APIKeyHeader(name='x-session-token'))):
    return key


async def key_in_cookie(key: str = Depends(APIKeyCookie(name='who'))):
    return key


async def below(key: str = Security(APIKeyHeader(name='x-session-token'))):
    return key


async def dependency(key: str = Depends(below)):
    return key


async def raw_dependency(value: str = Depends(raw_header)):
    return value


async def no_input():
    return 'the same'


KINDS = {
    **{it.__name__: (it, {}) for it in (raw_header, raw_cookie, raw_address, raw_everything, raw_dependency)},
    **{it.__name__: (it, {}) for it in (declared_header, declared_cookie, basic, bearer, key_in_header)},
    **{it.__name__: (it, {}) for it in (key_in_cookie, dependency, no_input)},
    'key builder': (raw_header, {'key_builder': lambda it: it.headers['x-session-token']}),
    'identity callable': (raw_header, {'identity': lambda it: it.headers['x-session-token']}),
    'skip': (raw_header, {'skip': lambda it: it.headers['x-session-token'] == 'bob', 'identity': 'shared'}),
    'named in vary_headers': (declared_header, {'vary_headers': ['x-session-token']}),
}
if FASTAPI >= (0, 160):
    KINDS['header model'] = (header_model, {})


@pytest.mark.parametrize('control', CONTROLS, ids=str)
@pytest.mark.parametrize('kind', KINDS)
async def test_each_kind_of_input_tells_clients_apart_in_front(kind, control):
    endpoint, options = KINDS[kind]
    app, plain = FastAPI(), FastAPI()
    router, decorate = caching_router(), memory_cache()(ttl=60, **control, **options)

    async def own(*args, **values):
        return await endpoint(*args, **values)

    own.__signature__ = inspect.signature(endpoint)
    plain.get('/')(own)
    router.get('/')(decorate(own))
    app.include_router(router)
    front = in_front_of(app)
    for client, address in ((ANN, '10.0.0.1'), (BOB, '10.0.0.2'), (ANN, '10.0.0.1'), (BOB, '10.0.0.2')):
        scope = {**asgi_scope(headers=client['headers']), 'client': (address, 1)}
        through, without = await asgi_call(front, scope), await asgi_call(plain, {**scope, 'state': {}})
        assert through[1]['body'] == without[1]['body'], kind


async def test_what_is_for_all_is_shared_in_front():
    router, runs = caching_router(), []

    @router.get('/')
    @memory_cache()(ttl=60, cache_control='public, max-age=60')
    async def endpoint(x_plan: Annotated[str, Header()] = ''):
        runs.append(x_plan)
        return x_plan

    app = FastAPI()
    app.include_router(router)
    front = in_front_of(app)
    sent = [await seen(front, 'GET', ('/', b'', [(b'x-plan', plan)], b'')) for plan in (b'a', b'b', b'a')]
    assert [(it[1], it[2]) for it in sent] == [(b'"a"', b'MISS'), (b'"b"', b'MISS'), (b'"a"', b'HIT')]


async def test_an_exception_handler_that_sees_the_request_is_told_apart():
    app, router = FastAPI(), caching_router()

    @app.exception_handler(HTTPException)
    async def handler(request: Request, _: HTTPException):
        return PlainTextResponse(request.headers.get('x-session-token', ''))

    @router.get('/')
    @memory_cache()(ttl=60, cache_control='max-age=60')
    async def endpoint():
        raise HTTPException(404)

    app.include_router(router)
    front = in_front_of(app)
    for name in (b'ann', b'bob'):
        assert (await seen(front, 'GET', ('/', b'', [(b'x-session-token', name)], b'')))[1] == name


@pytest.mark.parametrize('said', ['public, max-age=60', 's-maxage=60'])
async def test_an_endpoint_that_lets_others_mix_up_clients_is_warned_of_once(said, caplog):
    router = caching_router()

    @router.get('/')
    @memory_cache()(ttl=60)
    async def endpoint(request: Request, response: Response):
        response.headers['cache-control'] = said
        return request.client.host

    app = FastAPI()
    app.include_router(router)
    for number in range(3):
        scope = asgi_scope(headers=[(b'x-session-token', b'%d' % number)])
        sent = await asgi_call(app, scope)
        assert dict(sent[0]['headers'])[b'cache-control'] == said.encode()  # never changed
    assert ['public or s-maxage' in it.getMessage() for it in caplog.records] == [True]


@pytest.mark.parametrize('asked', ['authorization', 'cookie'])
async def test_a_bypass_does_not_leave_with_public(asked):
    router = caching_router()

    @router.get('/')
    @memory_cache()(ttl=60, cache_control='max-age=60', skip=lambda it: asked in it.headers)
    async def endpoint():
        return 'x'

    app = FastAPI()
    app.include_router(router)
    bypassed = await asgi_call(app, asgi_scope(headers=[(asked.encode(), b'a=b')]))
    stored = await asgi_call(app, asgi_scope())
    assert b'cache-control' not in dict(bypassed[0]['headers'])
    assert dict(stored[0]['headers'])[b'cache-control'] == b'private, max-age=60'


async def test_a_route_with_skip_is_public_where_it_says_so():
    router = caching_router()

    @router.get('/')
    @memory_cache()(ttl=60, cache_control='public, max-age=60', skip=lambda _: False)
    async def endpoint():
        return 'x'

    app = FastAPI()
    app.include_router(router)
    stored = await asgi_call(app, asgi_scope())
    assert dict(stored[0]['headers'])[b'cache-control'] == b'public, max-age=60'


async def test_private_and_no_cache_has_browsers_ask_each_time_for_a_304_and_no_front_store_it():
    runs, router = [], caching_router()

    @router.get('/')
    @memory_cache()(ttl=60, cache_control='private, no-cache')
    async def endpoint():
        runs.append(1)
        return 'x'

    app = FastAPI()
    app.include_router(router)
    front = in_front_of(app)
    first = dict((await asgi_call(front, asgi_scope()))[0]['headers'])
    again = await asgi_call(front, asgi_scope(headers=[(b'if-none-match', first[b'etag'])]))
    plain = await asgi_call(front, asgi_scope())
    assert (again[0]['status'], again[1]['body']) == (304, b'')
    headers = [first, dict(again[0]['headers']), dict(plain[0]['headers'])]
    assert [it[b'cache-control'] for it in headers] == [b'private, no-cache'] * 3
    assert [it.get(b'x-front') for it in headers] == [None] * 3
    assert [it[b'x-cache'] for it in headers] == [b'MISS', b'HIT', b'HIT']
    assert len(runs) == 1
