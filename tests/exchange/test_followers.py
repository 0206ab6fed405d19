"""Requests that wait for the response to another one: each is still a request of its own."""

import asyncio
from typing import Annotated

import pytest
from fastapi import Depends, Header, HTTPException, Request, Response
from fastapi.responses import StreamingResponse

from fastapi_caching_route import InvalidationError
from tests.backends.fakes import Elsewhere
from tests.exchange.herds import Answer, App, Gate, counting, seen, settled
from tests.support import asgi_scope


async def test_followers_are_let_in_by_their_own_guards():
    app = App()
    app.gate = Gate()
    guarded = []

    async def guard(response: Response, x_user: Annotated[str, Header()]):
        guarded.append(x_user)
        if x_user == 'mallory':
            raise HTTPException(403)
        response.headers['x-for'] = x_user

    @app.router.get('/', dependencies=[Depends(guard)])
    @app.cache(ttl=60, identity='shared')
    async def endpoint():
        app.runs.append(1)
        await app.gate.pass_through()
        return 'answer'

    asking = [app.ask(x_user=user) for user in ('ann', 'bob', 'mallory', 'cat')]
    await settled(app, app.gate.reached, 3)
    app.gate.open.set()
    answers = seen(await asyncio.gather(*asking))
    assert [it.status for it in answers] == [200, 200, 403, 200]
    assert [it.fields.get('x-for') for it in answers] == ['ann', 'bob', None, 'cat']
    assert sorted(guarded) == ['ann', 'bob', 'cat', 'mallory']
    assert len(app.runs) == 1


async def test_followers_have_their_own_method_preconditions_and_range():
    app = App()
    app.gate = Gate()

    @app.router.api_route('/', methods=['GET', 'HEAD'])
    @app.cache(ttl=60)
    async def endpoint():
        app.runs.append(1)
        await app.gate.pass_through()
        return Response(b'0123456789', headers={'etag': '"v1"'})

    asking = [
        app.ask(),
        app.ask(),
        app.ask(if_none_match='"v1"'),
        app.ask(if_none_match='"v0"'),
        app.ask(range='bytes=2-3'),
        app.ask(method='HEAD'),
    ]
    await settled(app, app.gate.reached, 5)
    app.gate.open.set()
    answers = seen(await asyncio.gather(*asking))
    assert [(it.status, it.body) for it in answers] == [
        (200, b'0123456789'),
        (200, b'0123456789'),
        (304, b''),
        (200, b'0123456789'),
        (206, b'23'),
        (200, b''),
    ]
    assert len(app.runs) == 1


async def test_a_stream_beyond_the_limit_sends_its_followers_on_as_soon_as_that_is_seen():
    app = App()
    app.gate, end = Gate(), asyncio.Event()

    @app.router.get('/')
    @app.cache(ttl=60, max_body_size=100)
    async def endpoint():
        app.runs.append(1)
        first = len(app.runs) == 1

        async def chunks():
            if first:
                await app.gate.pass_through()
            yield b'x' * 101
            await end.wait()

        return StreamingResponse(chunks())

    asking = [app.ask() for _ in range(5)]
    await settled(app, app.gate.reached, 4)
    app.gate.open.set()
    for _ in range(100):
        await asyncio.sleep(0.005)
        if len(app.runs) == 5:
            break
    assert len(app.runs) == 5
    end.set()
    assert {it.body for it in seen(await asyncio.gather(*asking))} == {b'x' * 101}


async def test_followers_of_a_stream_get_all_of_it():
    app = App()
    app.gate = Gate()

    @app.router.get('/')
    @app.cache(ttl=60)
    async def endpoint():
        app.runs.append(1)

        async def chunks():
            yield b'one '
            await app.gate.pass_through()
            yield b'two'

        return StreamingResponse(chunks())

    asking = [app.ask() for _ in range(5)]
    await settled(app, app.gate.reached, 4)
    app.gate.open.set()
    assert {it.body for it in seen(await asyncio.gather(*asking))} == {b'one two'}
    assert len(app.runs) == 1


async def test_a_follower_that_is_cancelled_harms_nobody():
    app = App()
    app.gate = Gate()
    counting(app)
    asking = [app.ask() for _ in range(20)]
    await settled(app, app.gate.reached, 19)
    for task in asking[1:10]:
        task.cancel()
    await asyncio.sleep(0)
    app.gate.open.set()
    await asyncio.gather(*asking, return_exceptions=True)
    assert {it.body for it in seen(task.result() for task in [asking[0], *asking[10:]])} == {b'1'}
    assert len(app.runs) == 1


async def test_an_exception_is_each_ones_own():
    app = App()
    app.gate = Gate()

    @app.router.get('/')
    @app.cache(ttl=60)
    async def endpoint():
        app.runs.append(1)
        number = len(app.runs)
        await app.gate.pass_through()
        if number == 1:
            raise RuntimeError('the first')
        return 'fine'

    asking = [app.ask() for _ in range(5)]
    await settled(app, app.gate.reached, 4)
    app.gate.open.set()
    ends = await asyncio.gather(*asking, return_exceptions=True)
    assert isinstance(ends[0], RuntimeError)
    assert {it.body for it in seen(ends[1:])} == {b'"fine"'}
    assert len(app.runs) == 5
    assert len(app.cache._settings.runtime.flights) == 0


async def test_a_follower_waits_only_so_long():
    app = App()
    app.gate = Gate()
    counting(app, collapse_timeout=0.05)
    leading = app.ask()
    await app.gate.reached.wait()
    following = app.ask()
    await asyncio.sleep(0.2)
    assert len(app.runs) == 2
    app.gate.open.set()
    assert {it.body for it in seen(await asyncio.gather(leading, following))} == {b'1', b'2'}


async def test_an_invalidation_that_is_owed_counts_for_those_who_wait_too():
    backend = Elsewhere()
    app = App(backend, store_timeout=0.05)
    counting(app, tags=['all'])
    for command in ('multi_get', 'set', 'add'):
        backend.failing.add(command)
    app.gate = Gate()
    asking = [app.ask() for _ in range(5)]
    await settled(app, app.gate.reached, 4)
    with pytest.raises(Exception, match='has not taken the invalidation'):
        await app.cache.invalidate_tags('all')
    app.gate.open.set()
    answers = seen(await asyncio.gather(*asking))
    assert [it.body for it in answers] == [b'1'] + [b'2'] * 4
    await app.cache._settings.store.close()


async def test_a_pending_invalidation_counts_for_followers_of_a_run_that_began_before():
    backend = Elsewhere()
    app = App(backend, store_timeout=0.5)
    counting(app, tags=['all'])
    app.gate = Gate()
    leading = app.ask()
    await app.gate.reached.wait()
    backend.failing.update(('set', 'delete'))
    with pytest.raises(InvalidationError):
        await app.cache.invalidate_tags('all')
    following = [app.ask() for _ in range(3)]
    await settled(app, app.gate.reached, 3)
    app.gate.open.set()
    answers = seen(await asyncio.gather(leading, *following))
    assert [it.body for it in answers] == [b'1'] + [b'2'] * 3
    await app.cache._settings.store.close()


async def test_a_run_that_hangs_is_waited_for_only_by_those_of_its_time():
    app = App()
    app.gate = Gate()
    counting(app, collapse_timeout=0.1)
    hanging = app.ask()
    await app.gate.reached.wait()
    await asyncio.sleep(0.15)
    app.gate = None
    began = asyncio.get_running_loop().time()
    assert seen([await app.ask()])[0].body == b'2'
    assert asyncio.get_running_loop().time() - began < 0.09
    hanging.cancel()
    await asyncio.gather(hanging, return_exceptions=True)
    assert len(app.cache._settings.runtime.flights) == 0


async def test_an_endless_stream_ends_when_all_have_left():
    app = App()
    alive = []

    @app.router.get('/')
    @app.cache(ttl=60, collapse_timeout=0.1)
    async def endpoint():
        async def chunks():
            alive.append(1)
            try:
                while True:
                    yield b'x'
                    await asyncio.sleep(0.01)
            finally:
                alive.pop()

        return StreamingResponse(chunks())

    left = asyncio.Event()
    sent, request = [], iter([{'type': 'http.request', 'body': b'', 'more_body': False}])

    async def receive():
        for message in request:
            return message
        await left.wait()
        return {'type': 'http.disconnect'}

    async def send(message):
        sent.append(message)

    app.ask('/nowhere')
    scope = {**asgi_scope(), 'asgi': {'version': '3.0', 'spec_version': '2.3'}}
    leading = asyncio.ensure_future(app._app(scope, receive, send))
    await asyncio.sleep(0.05)
    following = app.ask()
    await asyncio.sleep(0.02)
    left.set()
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    await asyncio.wait_for(leading, 5)
    assert alive == []
    assert len(app.cache._settings.runtime.flights) == 0


async def test_a_body_that_is_still_coming_is_not_read_by_two_at_a_time(clock):
    app = App(clock=clock)

    async def guard(request: Request):
        await request.body()

    @app.router.post('/', dependencies=[Depends(guard)])
    @app.cache(ttl=10, stale_if_error=600, endpoint_timeout=0.02, key_builder=lambda request: 'key')
    async def endpoint(body: dict):
        app.runs.append(body)
        await asyncio.sleep(0.1)
        return body

    async def post():
        chunks, sent = iter([b'{"a', b'":1', b'2}']), []

        async def receive():
            chunk = next(chunks, None)
            if chunk is None:
                return await asyncio.get_running_loop().create_future()
            await asyncio.sleep(0.04)
            return {'type': 'http.request', 'body': chunk, 'more_body': chunk != b'2}'}

        async def send(message):
            sent.append(message)

        scope = asgi_scope('POST', headers=[(b'content-type', b'application/json')])
        await asyncio.wait_for(app._app(scope, receive, send), 5)
        return Answer(sent)

    app.ask('/nowhere')
    assert (await post()).body == b'{"a":12}'
    clock.now += 11
    stale = await post()
    assert (stale.status, stale.body) == (200, b'{"a":12}')
    assert 'endpoint-timeout' in stale.said
    assert len(app.runs) == 2
