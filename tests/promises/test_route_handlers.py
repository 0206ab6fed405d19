"""Request handlers of the user's route classes, around guards that take the raw request: what they send and see."""

import json
import logging
from typing import Annotated

import pytest
from fastapi import Body, Depends, FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute

from fastapi_caching_route import CachingRoute, FastAPICache
from tests.support import FASTAPI, asgi_call, asgi_scope, caching_router

OURS_IS_IN_FRONT = [False, True]


async def answered(app, *, body=b'{"a": 1}', **headers):
    """The status, the body and the mark of a response."""
    given = [(name.replace('_', '-').encode(), value.encode()) for name, value in headers.items()]
    sent = await asgi_call(app, asgi_scope('POST', headers=[(b'content-type', b'application/json'), *given]), body)
    return sent[0]['status'], b''.join(it['body'] for it in sent[1:]), dict(sent[0]['headers']).get(b'x-cache')


def app_of(wrapping, *, in_front, guard, is_explicit=False, is_cached=True, clock=None, **options):
    """An app whose route class has this handler, behind ours or in front of it."""

    def handler_of(self):
        return wrapping(super(own, self).get_route_handler())

    bases = (CachingRoute,) if is_cached and not in_front else (APIRoute,)
    own = type('Own', bases, {'get_route_handler': handler_of})
    router, app = caching_router(), FastAPI()
    router.route_class = type('Both', (CachingRoute, own), {}) if is_cached and in_front else own
    guards = [] if guard is None else [Depends(guard)]
    explicit = guards if is_explicit else []
    cache = FastAPICache() if clock is None else FastAPICache(clock=clock)

    @router.post('/', dependencies=[] if is_explicit and is_cached else guards)
    async def endpoint(given: Annotated[dict[str, int], Body()]):
        return given

    if is_cached:
        cache(**{'ttl': 60, 'key_builder': lambda _: 'one', 'dependencies': explicit, **options})(endpoint)
    app.include_router(router)
    return app


def responding(original):
    """Answers by itself, if the client says so, and what FastAPI does not even begin."""

    async def handler(request: Request) -> Response:
        if 'x-status' in request.headers:
            return Response('of the handler', int(request.headers['x-status']))
        try:
            return await original(request)
        except RequestValidationError:
            return Response('not valid', 422)

    return handler


def admit(request: Request):
    if 'x-deny' in request.headers:
        raise HTTPException(403)


def admit_without_looking():
    """Accept everyone."""


async def test_without_guards_what_a_handler_responds_by_itself_counts_as_the_response_of_the_endpoint():
    app = app_of(responding, in_front=True, guard=None)
    assert await answered(app, x_status='200') == (200, b'of the handler', b'MISS')
    assert await answered(app) == (200, b'of the handler', b'HIT')


BY_ITSELF = [{'x_status': '503'}, {'x_status': '404'}, {'x_status': '200'}, {'body': b'{bad'}]


@pytest.mark.parametrize('in_front', OURS_IS_IN_FRONT)
@pytest.mark.parametrize('is_explicit', [False, True])
@pytest.mark.parametrize('request_of', BY_ITSELF)
async def test_what_a_handler_responds_by_itself_is_sent_and_not_stored(request_of, is_explicit, in_front):
    options = {'in_front': in_front, 'is_explicit': is_explicit, 'guard': admit}
    app, plain = (app_of(responding, is_cached=it, **options) for it in (True, False))
    expected = await answered(plain, **request_of)
    assert expected[1] in {b'of the handler', b'not valid'}
    assert await answered(app, **request_of) == expected
    assert await answered(app, **request_of) == expected
    assert await answered(app) == (200, b'{"a":1}', b'MISS')
    assert await answered(app, **request_of) == expected
    assert await answered(app) == (200, b'{"a":1}', b'HIT')
    assert (await answered(app, x_deny='yes'))[0] == 403


@pytest.mark.parametrize('in_front', OURS_IS_IN_FRONT)
@pytest.mark.parametrize('is_explicit', [False, True])
async def test_what_a_handler_responds_to_values_that_are_not_valid_is_sent_and_not_stored(is_explicit, in_front):
    app = app_of(responding, in_front=in_front, is_explicit=is_explicit, guard=admit, key_builder=None)
    for mark in (b'MISS', b'HIT'):
        for _ in range(2):
            assert await answered(app, body=b'{"a": "b"}') == (422, b'not valid', None)
        assert await answered(app) == (200, b'{"a":1}', mark)


@pytest.mark.parametrize('in_front', OURS_IS_IN_FRONT)
async def test_before_there_is_an_entry_guards_that_do_not_look_at_the_request_change_nothing(in_front):
    app = app_of(responding, in_front=in_front, guard=admit_without_looking)
    assert await answered(app, x_status='503') == (503, b'of the handler', None)
    assert await answered(app, body=b'{bad') == (422, b'not valid', None)
    assert await answered(app) == (200, b'{"a":1}', b'MISS')


@pytest.mark.parametrize('in_front', OURS_IS_IN_FRONT)
@pytest.mark.parametrize('request_of', [{'x_status': '404'}, {'x_status': '200'}, {'body': b'{bad'}])
async def test_what_a_handler_responds_by_itself_ends_no_stale_entry(request_of, in_front, clock):
    def failing(original):
        async def handler(request: Request) -> Response:
            if 'x-fail' in request.headers:
                await original(request)
                return Response(status_code=500)
            return await responding(original)(request)

        return handler

    app = app_of(failing, in_front=in_front, guard=admit, clock=clock, stale_if_error=600)
    assert await answered(app) == (200, b'{"a":1}', b'MISS')
    clock.now += 100
    assert (await answered(app, **request_of))[2] is None
    assert (await answered(app, x_fail='yes'))[:2] == (200, b'{"a":1}')


def looking(look):
    def wrapping(original):
        async def handler(request: Request) -> Response:
            response = await original(request)
            look(response)
            return response

        return handler

    return wrapping


@pytest.mark.parametrize('in_front', OURS_IS_IN_FRONT)
async def test_a_handler_sees_status_headers_and_body_of_a_hit(in_front):
    seen = []

    def look(response):
        seen.append((response.status_code, json.loads(response.body), int(response.headers['content-length'])))
        seen.append(response.headers['content-type'])

    app = app_of(looking(look), in_front=in_front, guard=admit)
    assert [(await answered(app))[2] for _ in range(2)] == [b'MISS', b'HIT']
    assert seen == [(200, {'a': 1}, 7), 'application/json'] * 2


async def test_what_a_handler_does_to_a_hit_does_not_change_it():
    def change(response):
        if response.status_code == 200 and 'x-cache' in response.headers:
            response.headers['x-cache'] = 'CHANGED'
            response.body, response.status_code = b'changed', 500

    app = app_of(looking(change), in_front=True, guard=admit)
    assert [await answered(app) for _ in range(3)] == [(200, b'{"a":1}', it) for it in (b'MISS', b'HIT', b'HIT')]


def failing_on_hits(response):
    if 'x-cache' in response.headers:
        raise KeyError('of the user')


@pytest.mark.skipif(FASTAPI < (0, 118), reason='before 0.118, dependencies end before the handler goes on')
@pytest.mark.parametrize('in_front', OURS_IS_IN_FRONT)
async def test_what_a_handler_raises_after_a_hit_was_sent_is_logged_once_and_rolls_nothing_back(in_front, caplog):
    ended = []

    def commit(request: Request):
        try:
            yield
        except BaseException as error:
            ended.append(error)
            raise
        ended.append(None)

    app = app_of(looking(failing_on_hits), in_front=in_front, guard=commit)
    with caplog.at_level(logging.WARNING, 'fastapi_caching_route'):
        assert [await answered(app) for _ in range(3)] == [(200, b'{"a":1}', it) for it in (b'MISS', b'HIT', b'HIT')]
    assert ended == [None] * 3
    [said] = [it.getMessage() for it in caplog.records]
    assert "'/': the get_route_handler() of its route class raised KeyError" in said
    assert 'failing_on_hits' in said
    assert 'of the user' not in said.splitlines()[0]


@pytest.mark.parametrize('in_front', OURS_IS_IN_FRONT)
async def test_what_a_handler_raises_before_a_hit_was_sent_is_a_failure(in_front):
    def wrapping(original):
        async def handler(request: Request) -> Response:
            if 'x-fail' in request.headers:
                raise HTTPException(418)
            return await original(request)

        return handler

    app = app_of(wrapping, in_front=in_front, guard=admit)
    assert [(await answered(app))[2] for _ in range(2)] == [b'MISS', b'HIT']
    assert (await answered(app, x_fail='yes'))[0] == 418


@pytest.mark.parametrize('in_front', OURS_IS_IN_FRONT)
async def test_what_a_guard_raises_after_its_yield_is_raised_although_a_hit_was_sent(in_front):
    def end(request: Request):
        yield
        if 'x-fail' in request.headers:
            raise ConnectionError

    app = app_of(looking(lambda response: None), in_front=in_front, guard=end)
    assert [(await answered(app))[2] for _ in range(2)] == [b'MISS', b'HIT']
    with pytest.raises(ConnectionError):
        await answered(app, x_fail='yes')


def answering_failures(original):
    async def handler(request: Request) -> Response:
        try:
            return await original(request)
        except Exception as error:  # noqa: BLE001, as users do
            return JSONResponse({'error': type(error).__name__}, 500)

    return handler


@pytest.mark.parametrize('in_front', OURS_IS_IN_FRONT)
async def test_a_handler_may_answer_every_exception(in_front):
    app = app_of(answering_failures, in_front=in_front, guard=admit)
    for mark in (b'MISS', b'HIT'):
        assert await answered(app, body=b'{bad') == (500, b'{"error":"RequestValidationError"}', None)
        assert await answered(app, x_deny='yes') == (500, b'{"error":"HTTPException"}', None)
        assert await answered(app) == (200, b'{"a":1}', mark)
