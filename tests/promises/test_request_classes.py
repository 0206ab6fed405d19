"""Requests of a class of the user's: the same class reaches the endpoint, and what its code reads counts."""

import pytest
from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException, Request, Response
from fastapi.routing import APIRoute
from starlette.datastructures import QueryParams
from starlette.requests import HTTPConnection

from fastapi_caching_route import CachingRoute
from fastapi_caching_route._core.raw_request import RawRequest
from fastapi_caching_route._core.read_log import ReadLog
from fastapi_caching_route._core.read_names import EVERYTHING, Reading
from fastapi_caching_route._fastapi.noting import noted
from tests.support import asgi_call, asgi_scope, caching_router, memory_cache


class OwnRequest(Request):
    """A request that knows more than Starlette's."""

    default = 'nobody'

    @property
    def user_name(self):
        return self.headers.get('x-user', self.default)

    @property
    def cookies(self):
        return {name.lower(): value for name, value in super().cookies.items()}

    def theme(self):
        return self.cookies.get('theme', 'light')

    async def body(self):
        return (await super().body())[::-1]


def handing(request_class, original):
    async def handler(request: Request) -> Response:
        return await original(request_class(request.scope, request.receive))

    return handler


class OwnRequests(CachingRoute):
    """The way of FastAPI's documentation to hand in requests of another class."""

    request_class = OwnRequest

    def get_route_handler(self):
        return handing(self.request_class, super().get_route_handler())


class PlainOwnRequests(APIRoute):
    """The same without a cache."""

    request_class = OwnRequest

    def get_route_handler(self):
        return handing(self.request_class, super().get_route_handler())


class Behind(CachingRoute, PlainOwnRequests):
    """As `cache.install(app)` combines ours with the route class of an app."""


class Keeping(OwnRequest):
    """Keeps a value of its own, which comes from the client."""

    def __init__(self, *args):
        super().__init__(*args)
        self.kept = self.headers.get('x-user', 'nobody')

    @property
    def user_name(self):
        return self.kept


async def of_headers(request: Request):
    assert isinstance(request, OwnRequest)
    return Response(request.user_name)


async def of_cookies(request: Request):
    return Response(request.theme())


async def of_body(request: Request):
    return Response(await request.body())


def name_of(request: Request):
    return request.user_name


async def of_dependency(name: str = Depends(name_of)):
    return Response(name)


def leave(request: Request):
    request.state.name = request.user_name


async def of_guard(request: Request):
    return Response(request.state.name)


ENDPOINTS = {of_headers: [], of_cookies: [], of_body: [], of_dependency: [], of_guard: [Depends(leave)]}


async def answered(app, name, method='POST'):
    headers = [(b'x-user', name), (b'cookie', b'Theme=' + name)]
    sent = await asgi_call(app, asgi_scope(method, headers=headers), name)
    assert len(sent) == 2
    return sent[0]['status'], sent[1]['body'], dict(sent[0]['headers']).get(b'x-cache')


def app_of(endpoint, route_class, **options):
    router, app = caching_router(), FastAPI()
    router.route_class = route_class
    router.post('/', dependencies=ENDPOINTS.get(endpoint, []))(memory_cache()(ttl=60, **options)(endpoint))
    app.include_router(router)
    return app


@pytest.mark.parametrize('request_class', [OwnRequest, Keeping])
@pytest.mark.parametrize('route_class', [OwnRequests, Behind])
@pytest.mark.parametrize('endpoint', ENDPOINTS)
@pytest.mark.parametrize(('options', 'mark'), [({}, None), ({'vary_headers': ['cookie']}, b'HIT')])
async def test_what_requests_of_a_class_of_the_users_give_one_client_is_not_for_another(
    endpoint, request_class, route_class, options, mark
):
    apps = [
        app_of(endpoint, type('Own', (base,), {'request_class': request_class}), **options)
        for base in (route_class, PlainOwnRequests)
    ]
    for name in (b'ann', b'bob', b'ann', b'bob'):
        cached, plain = [await answered(app, name) for app in apps]
        assert cached[:2] == plain[:2]
        assert name in (plain[1], plain[1][::-1])
    assert cached[2] == mark


async def of_another_request(request: Request):
    own = OwnRequest(request.scope)
    return Response(own.user_name)


async def of_a_copy(request: Request):
    return Response(await type(request)(request.scope, request.receive).body())


@pytest.mark.parametrize('endpoint', [of_another_request, of_a_copy])
async def test_what_is_read_of_a_request_that_code_makes_of_its_own_counts(endpoint):
    app = app_of(endpoint, CachingRoute)
    answers = [await answered(app, name) for name in (b'ann', b'bob', b'ann')]
    assert answers == [(200, b'ann', b'MISS'), (200, b'bob', b'MISS'), (200, b'ann', b'HIT')]


def tagging(original):
    async def handler(request: Request) -> Response:
        response = await original(OwnRequest(request.scope, request.receive))
        response.headers['x-handled'] = 'yes'
        return response

    return handler


def replacing(original):
    async def handler(request: Request) -> Response:
        response = await original(OwnRequest(request.scope, request.receive))
        return Response(bytes(response.body) + b', replaced', response.status_code)

    return handler


def turning_away(original):
    async def handler(request: Request) -> Response:
        try:
            return await original(OwnRequest(request.scope, request.receive))
        except HTTPException as refused:
            return Response(b'turned away', refused.status_code)

    return handler


@pytest.mark.parametrize('wrapping', [tagging, replacing, turning_away])
@pytest.mark.parametrize('is_behind', [False, True])
async def test_guards_run_on_hits_inside_of_the_handler_of_a_route_class(wrapping, is_behind):
    ended = []

    def admit(request: Request, tasks: BackgroundTasks):
        assert isinstance(request, OwnRequest)
        tasks.add_task(ended.append, 'task')
        if request.headers['x-user'] == 'eve':
            raise HTTPException(403)
        yield
        ended.append('guard')

    def handler_of(self):
        return wrapping(super(own, self).get_route_handler())

    own = type('Own', (APIRoute if is_behind else CachingRoute,), {'get_route_handler': handler_of})
    router, app = caching_router(), FastAPI()
    router.route_class = type('Both', (CachingRoute, own), {}) if is_behind else own

    @router.post('/', dependencies=[Depends(admit)])
    @memory_cache()(ttl=60, key_builder=lambda _: 'one')
    async def endpoint():
        return Response('the same')

    app.include_router(router)
    first, second = await answered(app, b'ann'), await answered(app, b'bob')
    assert first == (200, b'the same, replaced' if wrapping is replacing else b'the same', b'MISS')
    assert second == (*first[:2], b'HIT')
    assert ended.count('guard') == 2
    if wrapping is not replacing:  # FastAPI hangs the tasks on a response that this handler does not return
        assert ended.count('task') == 2
    refused = await answered(app, b'eve')
    assert refused[0] == 403
    assert (refused[1] == b'turned away') == (wrapping is turning_away)


def trying_again(original):
    async def handler(request: Request) -> Response:
        own = OwnRequest(request.scope, request.receive)
        try:
            return await original(own)
        except ConnectionError:
            return await original(own)

    return handler


@pytest.mark.parametrize('is_explicit', [False, True])
@pytest.mark.parametrize('is_behind', [False, True])
@pytest.mark.parametrize('place', ['guard on a hit', 'endpoint'])
@pytest.mark.parametrize('fails', [1, 2])
async def test_a_handler_of_a_route_class_may_try_again(is_explicit, is_behind, place, fails):
    left, runs = {'guard': 0, 'endpoint': 0}, []

    def run(name):
        runs.append(name)
        if left[name]:
            left[name] -= 1
            raise ConnectionError

    def admit(request: Request):
        run('guard')

    def handler_of(self):
        return trying_again(super(own, self).get_route_handler())

    own = type('Own', (APIRoute if is_behind else CachingRoute,), {'get_route_handler': handler_of})
    router, app = caching_router(), FastAPI()
    router.route_class = type('Both', (CachingRoute, own), {}) if is_behind else own
    explicit, guards = ([Depends(admit)], []) if is_explicit else ([], [Depends(admit)])

    @router.post('/', dependencies=guards)
    @memory_cache()(ttl=60, key_builder=lambda _: 'one', dependencies=explicit)
    async def endpoint():
        run('endpoint')
        return Response('the same')

    app.include_router(router)
    if place == 'guard on a hit':
        await answered(app, b'ann')
    runs.clear()
    left['endpoint' if place == 'endpoint' else 'guard'] = fails
    if fails == 2:
        with pytest.raises(ConnectionError):
            await answered(app, b'ann')
        assert runs.count('endpoint') == (2 if place == 'endpoint' else 0)
    else:
        assert await answered(app, b'ann') == (200, b'the same', b'MISS' if place == 'endpoint' else b'HIT')
    left.update(guard=0, endpoint=0)
    assert (await answered(app, b'bob'))[:2] == (200, b'the same')


def noting(request_class, **scope):
    """A request of this class that notes, and the names that it has noted."""
    began = asgi_scope(headers=[(b'x-user', b'ann'), (b'cookie', b'Theme=dark'), (b'accept-language', b'de')]) | scope
    reads = ReadLog(RawRequest(began, Reading(cookies=lambda _: {}, query=QueryParams)))
    return noted(request_class(began), reads), reads.noted


class OwnConnection(HTTPConnection):
    """A connection that knows the language of its client."""

    def language(self):
        return self.headers.get('accept-language')


@pytest.mark.parametrize(
    ('request_class', 'read', 'expected', 'names'),
    [
        (OwnRequest, lambda it: it.default, 'nobody', set()),
        (OwnRequest, lambda it: it.user_name, 'ann', {'header:x-user'}),
        (OwnRequest, lambda it: it.theme(), 'dark', {'header:cookie'}),
        (OwnConnection, lambda it: it.language(), 'de', {'header:accept-language'}),
    ],
)
def test_a_noting_request_is_of_the_users_class_and_notes_what_its_code_reads(request_class, read, expected, names):
    request, noted_names = noting(request_class)
    assert isinstance(request, request_class)
    assert type(request).__name__ == request_class.__name__
    assert read(request) == expected
    assert names <= noted_names.keys()
    assert noted_names.keys() <= names | {EVERYTHING}


class InSlots(Request):
    """Keeps what it has read where no dict shows it."""

    __slots__ = ('kept',)

    def __init__(self, *args):
        super().__init__(*args)
        self.kept = self.headers['x-user']


class Watching(Request):
    """Has its own way to read attributes."""

    def __getattribute__(self, name):
        return super().__getattribute__(name)


@pytest.mark.parametrize('request_class', [Keeping, InSlots, Watching])
def test_of_a_request_whose_class_cannot_be_seen_through_everything_counts(request_class):
    request, noted_names = noting(request_class)
    assert type(request) is request_class
    assert getattr(request, 'kept', 'ann') == 'ann'
    assert noted_names.keys() == {EVERYTHING}


async def test_with_a_key_builder_nothing_is_noted():
    seen = []

    async def endpoint(request: Request):
        seen.append(type(request))
        return Response(request.headers['x-user'] + str(request.client.host) + str(await request.body()))

    cache, router, app = memory_cache(), caching_router(), FastAPI()
    router.post('/')(cache(ttl=60, key_builder=lambda request: request.headers['x-user'])(endpoint))
    app.include_router(router)
    names = (b'ann', b'bob', b'ann')
    answers = [
        await asgi_call(app, asgi_scope('POST', headers=[(b'x-user', it)]), b'%d' % at) for at, it in enumerate(names)
    ]
    assert [it[1]['body'] for it in answers] == [b"ann127.0.0.1b'0'", b"bob127.0.0.1b'1'", b"ann127.0.0.1b'0'"]
    assert [b'vary' in dict(it[0]['headers']) for it in answers] == [False] * 3
    assert seen == [Request, Request]
    [report] = [it for it in cache.explain(app) if it.cached]
    assert report.reads == ()
