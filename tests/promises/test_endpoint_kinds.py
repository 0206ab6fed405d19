"""Every kind of endpoint and response, on every backend: cached and uncached look the same to the client."""

import dataclasses
import functools
import inspect
import itertools
import json
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator

import pytest
from aiocache import SimpleMemoryCache
from fastapi import APIRouter, BackgroundTasks, FastAPI, HTTPException, Request, Response
from fastapi.responses import (
    FileResponse,
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    StreamingResponse,
)
from pydantic import BaseModel, ConfigDict
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.testclient import TestClient

from fastapi_caching_route import CachingRoute, FastAPICache
from tests.support import FASTAPI, closing, marks

GENERATORS = pytest.mark.skipif(FASTAPI < (0, 135), reason='generator endpoints came with FastAPI 0.135')


namespaces = itertools.count()


class Item(BaseModel):
    model_config = ConfigDict(from_attributes=True)
    name: str
    price: float = 1.5


@dataclasses.dataclass
class Point:
    x: int
    y: int


class Row:
    """What an ORM gives: attributes, some of them not for the client."""

    name = 'row'
    price = 2.5
    secret = 'hidden'


class CompactResponse(JSONResponse):
    def render(self, content):
        return json.dumps(content, separators=(',', ':'), sort_keys=True).encode() + b'\n'


async def a_dict():
    return {'a': 1, 'b': [1, 2]}


def a_def_function():
    return 'in a thread'


async def a_model():
    return Item(name='a')


async def a_dataclass():
    return Point(1, 2)


async def an_orm_object():
    return Row()


async def nothing():
    return None


async def no_content():
    return None


async def reset_content():
    return Response(status_code=205)


async def json_response():
    return JSONResponse({'é': 1}, headers={'x-a': '1'})


async def html():
    return HTMLResponse('<p>é</p>')


async def text_in_latin_1():
    return PlainTextResponse('ü'.encode('latin-1'), media_type='text/plain; charset=latin-1')


async def a_response_class_of_ones_own():
    return {'b': 1, 'a': 2}


async def a_redirect():
    return RedirectResponse('/elsewhere')


async def a_file():
    return FileResponse(__file__, media_type='text/plain')


async def a_stream():
    async def chunks() -> AsyncIterator[bytes]:
        yield b'one'
        yield b'two'

    return StreamingResponse(chunks(), media_type='text/plain')


async def a_stream_of_a_thread():
    def chunks() -> Iterator[str]:
        yield 'one'
        yield 'two'

    return StreamingResponse(chunks())


async def repeated_fields():
    response = Response('a')
    response.headers.append('link', '</a>; rel=next')
    response.headers.append('link', '</b>; rel=prev')
    response.headers.append('x-empty', '')
    return response


async def fields_and_status_by_the_injected_response(response: Response):
    response.headers['x-injected'] = 'yes'
    response.status_code = 203
    return 'answer'


async def a_raised_404():
    raise HTTPException(404, {'why': 'gone'}, headers={'x-why': 'gone'})


async def a_validation_error(limit: int):
    return limit


async def json_lines() -> AsyncIterable[Item]:
    for name in 'ab':
        yield Item(name=name)


def json_lines_of_a_thread() -> Iterable[Item]:
    for name in 'ab':
        yield Item(name=name)


async def binary():
    return Response(bytes(range(256)), media_type='application/octet-stream')


async def with_background_tasks(tasks: BackgroundTasks):
    tasks.add_task(lambda: None)
    return 'answer'


async def the_url(request: Request):
    return str(request.url_for('the_url'))


KINDS = [
    (a_dict, {}),
    (a_def_function, {}),
    (a_model, {'response_model': Item}),
    (a_model, {'response_model': Item, 'response_model_exclude_unset': True}),
    (a_dataclass, {}),
    (an_orm_object, {'response_model': Item}),
    (nothing, {}),
    (no_content, {'status_code': 204}),
    (reset_content, {}),
    (json_response, {}),
    (html, {}),
    (text_in_latin_1, {}),
    (a_response_class_of_ones_own, {'response_class': CompactResponse}),
    (a_redirect, {}),
    (a_file, {}),
    (a_stream, {}),
    (a_stream_of_a_thread, {}),
    (repeated_fields, {}),
    (fields_and_status_by_the_injected_response, {}),
    (a_raised_404, {}),
    pytest.param(json_lines, {}, marks=GENERATORS),
    pytest.param(json_lines_of_a_thread, {}, marks=GENERATORS),
    (binary, {}),
    (with_background_tasks, {}),
    (the_url, {}),
]


OURS = {'etag', 'x-cache', 'age', 'content-length', 'transfer-encoding', 'cache-status'}


def counting(endpoint, runs):
    """The endpoint's twin that counts its runs; FastAPI sees the same signature and the same kind of function."""
    if inspect.isasyncgenfunction(endpoint):

        @functools.wraps(endpoint)
        async def generate(*args, **kwargs):
            runs.append(1)
            async for it in endpoint(*args, **kwargs):
                yield it

        return generate
    if inspect.isgeneratorfunction(endpoint):

        @functools.wraps(endpoint)
        def generate_in_thread(*args, **kwargs):
            runs.append(1)
            yield from endpoint(*args, **kwargs)

        return generate_in_thread
    if inspect.iscoroutinefunction(endpoint):

        @functools.wraps(endpoint)
        async def answer(*args, **kwargs):
            runs.append(1)
            return await endpoint(*args, **kwargs)

        return answer

    @functools.wraps(endpoint)
    def answer_in_thread(*args, **kwargs):
        runs.append(1)
        return endpoint(*args, **kwargs)

    return answer_in_thread


@pytest.mark.parametrize(('endpoint', 'options'), KINDS, ids=lambda it: getattr(it, '__name__', None))
def test_every_kind_of_answer_looks_as_without_cache(new_backend, endpoint, options):
    backend, runs = new_backend(namespace=f'kinds{next(namespaces)}'), []
    cache = FastAPICache(backend, store_timeout=5, accepted_status_codes={200, 203, 204, 205, 307, 404})
    cached, plain = FastAPI(), FastAPI()
    router = APIRouter(route_class=CachingRoute)
    router.get('/x', **options)(cache(ttl=60)(counting(endpoint, runs)))
    cached.include_router(router)
    plain.get('/x', **options)(counting(endpoint, []))
    with TestClient(cached, follow_redirects=False) as client, TestClient(plain, follow_redirects=False) as uncached:
        expected = uncached.get('/x')
        responses = [client.get('/x') for _ in range(3)]
        client.portal.call(closing, backend)
    for response in responses:
        assert response.status_code == expected.status_code
        assert response.content == expected.content
        names = [
            [(name, value) for name, value in it.headers.multi_items() if name not in OURS]
            for it in (response, expected)
        ]
        assert names[0] == [(name, value) for name, value in names[1] if endpoint is not a_file or name != 'etag']
    assert responses[1].headers.get('content-length') in {None, str(len(expected.content))}
    assert marks(*responses) == ['MISS', 'HIT', 'HIT']
    assert runs == [1]


def test_a_validation_error_looks_as_without_cache():
    cached, plain, cache = FastAPI(), FastAPI(), FastAPICache(SimpleMemoryCache())
    cached.router.route_class = CachingRoute
    cached.get('/x')(cache(ttl=60)(a_validation_error))
    plain.get('/x')(a_validation_error)
    for path in ('/x', '/x?limit=a'):
        expected = TestClient(plain).get(path)
        responses = [TestClient(cached).get(path) for _ in range(2)]
        assert [(it.status_code, it.json()) for it in responses] == [(422, expected.json())] * 2
        assert marks(*responses) == [None, None]


@pytest.mark.skipif(FASTAPI < (0, 135), reason='EventSourceResponse came with FastAPI 0.135')
def test_server_sent_events_are_passed_on_and_as_their_own_cache_control_says_not_stored():
    from fastapi.sse import EventSourceResponse  # noqa: PLC0415

    cached, cache, runs = FastAPI(), FastAPICache(SimpleMemoryCache()), []
    cached.router.route_class = CachingRoute

    @cached.get('/x', response_class=EventSourceResponse)
    @cache(ttl=60)
    async def events() -> AsyncIterable[Item]:
        runs.append(1)
        for name in 'ab':
            yield Item(name=name)

    client = TestClient(cached)
    for _ in range(2):
        response = client.get('/x')
        assert response.text.count('data: ') == 2
        assert response.headers['content-type'].startswith('text/event-stream')
        assert marks(response) == [None]
    assert runs == [1, 1]


async def stamping(request, call_next):
    response = await call_next(request)
    response.headers['x-stamp'] = request.headers.get('x-visitor', '')
    return response


@pytest.mark.parametrize(
    ('middleware', 'options'),
    [
        (GZipMiddleware, {'minimum_size': 1}),
        (CORSMiddleware, {'allow_origins': ['https://a.example', 'https://b.example'], 'allow_credentials': True}),
        (BaseHTTPMiddleware, {'dispatch': stamping}),
    ],
    ids=['gzip', 'cors', 'base'],
)
@pytest.mark.parametrize('endpoint', [a_dict, a_stream, a_file], ids=lambda it: it.__name__)
def test_what_middleware_adds_is_for_one_client_and_never_stored(new_backend, middleware, options, endpoint):
    backend = new_backend(namespace=f'kinds{next(namespaces)}')
    cache, cached, plain = FastAPICache(backend, store_timeout=5), FastAPI(), FastAPI()
    cached.router.route_class = CachingRoute
    cached.get('/x')(cache(ttl=60)(endpoint))
    plain.get('/x')(endpoint)
    asked = [
        {'origin': 'https://a.example', 'accept-encoding': 'gzip', 'x-visitor': 'ann'},
        {'origin': 'https://b.example', 'accept-encoding': 'identity', 'x-visitor': 'bob'},
        {'accept-encoding': 'identity'},
    ]
    for app in (cached, plain):
        app.add_middleware(middleware, **options)
    with TestClient(cached) as client, TestClient(plain) as uncached:
        responses = [(client.get('/x', headers=it), uncached.get('/x', headers=it)) for it in asked]
        client.portal.call(closing, backend)
    for response, expected in responses:
        assert response.content == expected.content
        ours = {name: value for name, value in response.headers.items() if name not in OURS}
        assert ours == {name: value for name, value in expected.headers.items() if name not in OURS}
    assert marks(*(response for response, _ in responses)) == ['MISS', 'HIT', 'HIT']


def test_host_routing_and_root_path_keep_answers_apart():
    cache, app = FastAPICache(SimpleMemoryCache()), FastAPI()

    def shop(name):
        router = APIRouter(route_class=CachingRoute)

        @router.get('/')
        @cache(ttl=60)
        async def home():
            return name

        inner = FastAPI()
        inner.include_router(router)
        return inner

    app.host('a.example', shop('a'))
    app.host('b.example', shop('b'))
    client = TestClient(app)
    hosts = ['a', 'b', 'a', 'b']
    assert [client.get(f'http://{it}.example/').json() for it in hosts] == hosts

    rooted = FastAPI()
    rooted.router.route_class = CachingRoute
    rooted.get('/url', name='the_url')(cache(ttl=60)(the_url))
    for prefix in ('/api', '/v2', '/api'):
        assert TestClient(rooted, root_path=prefix).get('/url').json() == f'http://testserver{prefix}/url'
