"""Endpoints that take longer than `endpoint_timeout`, and runs that are cancelled."""

import asyncio

from fastapi import Depends, Request

from tests.exchange.herds import App, Gate, counting, seen
from tests.support import asgi_scope, patient


async def test_a_slow_endpoint_is_answered_for_and_its_answer_is_stored(clock):
    app = App(clock=clock)
    counting(app, ttl=10, stale_if_error=100, endpoint_timeout=0.02)
    await app.ask()
    clock.now += 11
    app.gate = Gate()
    began = asyncio.get_running_loop().time()
    sent = []

    async def send(message):
        sent.append((asyncio.get_running_loop().time() - began, message))

    asking = asyncio.ensure_future(app._app(asgi_scope(), patient(), send))
    await app.gate.reached.wait()
    await asyncio.sleep(0.1)
    (_, start), (_, body) = sent
    assert body['body'] == b'1'
    assert b'detail=endpoint-timeout' in dict(start['headers'])[b'cache-status']
    assert not asking.done()
    app.gate.open.set()
    await asking
    assert len(sent) == 2
    assert seen([await app.ask()])[0].body == b'2'
    assert len(app.runs) == 2


async def test_a_slow_endpoint_whose_answer_was_stored_is_asked_again_at_once(clock):
    app = App(clock=clock)
    counting(app, ttl=0.25, stale_if_error=100, endpoint_timeout=0.02)
    await app.ask()
    clock.now += 0.3
    app.gate = Gate()
    slow = app.ask()
    await app.gate.reached.wait()
    await asyncio.sleep(0.1)
    app.gate.open.set()
    assert seen([await slow])[0].body == b'1'
    clock.now += 0.3
    app.gate = None
    assert seen([await app.ask()])[0].body == b'3'


async def test_an_endpoint_that_fails_after_it_was_answered_for_is_logged(clock, caplog):
    app = App(clock=clock)

    @app.router.get('/')
    @app.cache(ttl=10, stale_if_error=100, endpoint_timeout=0.02)
    async def endpoint():
        app.runs.append(1)
        if len(app.runs) > 1:
            await asyncio.sleep(0.05)
            raise RuntimeError('late')
        return 'fine'

    await app.ask()
    clock.now += 11
    assert seen([await app.ask()])[0].body == b'"fine"'
    assert 'late' in caplog.text


async def test_an_endpoint_that_is_in_time_answers_itself(clock):
    app = App(clock=clock)
    counting(app, ttl=10, stale_if_error=100, endpoint_timeout=5)
    await app.ask()
    clock.now += 11
    answer = seen([await app.ask()])[0]
    assert (answer.body, answer.mark) == (b'2', 'MISS')


async def test_a_cancelled_request_takes_its_run_with_it(clock):
    app = App(clock=clock)
    counting(app, ttl=10, stale_if_error=100, endpoint_timeout=5)
    await app.ask()
    clock.now += 11
    app.gate = Gate()
    before = asyncio.all_tasks()
    asking = app.ask()
    await app.gate.reached.wait()
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before
    assert len(app.cache._settings.runtime.flights) == 0


async def test_those_who_wait_for_a_slow_endpoint_get_the_stale_entry_too(clock):
    app = App(clock=clock)
    counting(app, ttl=10, stale_if_error=600, endpoint_timeout=0.05)
    await app.ask()
    clock.now += 11
    app.gate = Gate()
    leading = app.ask()
    asking = [app.ask() for _ in range(5)]
    answers = seen(await asyncio.wait_for(asyncio.gather(*asking), 2))
    assert {it.body for it in answers} == {b'1'}
    assert not leading.done()
    assert seen([await app.ask()])[0].body == b'1'  # and nobody else asks while it runs
    assert len(app.runs) == 2
    app.gate.open.set()
    await leading
    assert seen([await app.ask()])[0].body == b'2'


async def test_a_guard_that_lets_the_client_have_the_stale_entry_changes_nothing_that_the_endpoint_reads(clock):
    app, guarded, found, gate = App(clock=clock), [], [], Gate()

    async def guard(request: Request):
        guarded.append(1)
        request.scope['guarded'] = len(guarded)

    @app.router.get('/', dependencies=[Depends(guard)])
    @app.cache(ttl=10, stale_if_error=100, endpoint_timeout=0.02, identity='shared')
    async def endpoint(request: Request):
        before = request.scope['guarded']
        if len(found) == 1:
            await gate.pass_through()
        found.append((before, request.scope['guarded']))
        return 'fine'

    await app.ask()
    clock.now += 11
    slow = app.ask()
    await gate.reached.wait()
    await asyncio.sleep(0.1)
    gate.open.set()
    assert b'detail=endpoint-timeout' in dict((await slow)[0]['headers'])[b'cache-status']
    assert len(guarded) > 2
    assert [before == after for before, after in found] == [True, True]
