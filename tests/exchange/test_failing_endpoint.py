"""Many requests, and an endpoint that fails."""

import asyncio
from typing import Annotated

import pytest
from fastapi import Depends, Header, HTTPException, Response

from tests.exchange.herds import App, Gate, seen, settled


async def test_a_broken_endpoint_is_not_hammered_while_something_stale_may_answer(clock, caplog):
    app = App(clock=clock)
    guarded = []

    async def guard():
        guarded.append(1)

    @app.router.get('/', dependencies=[Depends(guard)])
    @app.cache(ttl=10, stale_if_error=1000)
    async def endpoint():
        app.runs.append(clock.now)
        if len(app.runs) > 1:
            raise HTTPException(503)
        return 'fine'

    await app.ask()
    clock.now += 11
    began = clock.now
    for _ in range(200):
        answer = seen([await app.ask()])[0]
        assert (answer.status, answer.body) == (200, b'"fine"')
        assert 'detail=stale-if-error' in answer.said
        clock.now += 0.5
    assert [at - began for at in app.runs[1:]] == [0, 1, 3, 7, 15, 31, 61, 91]
    assert len(guarded) >= 200


async def test_followers_of_a_failure_get_the_stale_entry_too(clock):
    app = App(clock=clock)

    @app.router.get('/')
    @app.cache(ttl=10, stale_if_error=100)
    async def endpoint():
        app.runs.append(1)
        if len(app.runs) > 1:
            await app.gate.pass_through()
            raise RuntimeError('broken')
        return 'fine'

    await app.ask()
    clock.now += 11
    app.gate = Gate()
    asking = [app.ask() for _ in range(10)]
    await settled(app, app.gate.reached, 9)
    app.gate.open.set()
    answers = seen(await asyncio.gather(*asking))
    assert {(it.status, it.body) for it in answers} == {(200, b'"fine"')}
    assert len(app.runs) == 2


@pytest.mark.parametrize('mode', ['policy', 'rfc9111'])
async def test_the_refusal_of_a_guard_is_not_stored_even_if_its_status_is_accepted(mode):
    app = App(accepted_status_codes={200, 404}, mode=mode)
    app.gate = Gate()

    async def guard(x_user: Annotated[str, Header()]):
        if x_user == 'mallory':
            await app.gate.pass_through()
            raise HTTPException(404, headers={'cache-control': 'max-age=60'})

    @app.router.get('/', dependencies=[Depends(guard)])
    @app.cache(ttl=60, identity='shared')
    async def endpoint(response: Response):
        response.headers['cache-control'] = 'max-age=60'
        app.runs.append(1)
        return 'answer'

    asking = [app.ask(x_user=user) for user in ('mallory', 'ann', 'bob')]
    await settled(app, app.gate.reached, 2)
    app.gate.open.set()
    assert [it.status for it in seen(await asyncio.gather(*asking))] == [404, 200, 200]
    assert seen([await app.ask(x_user='ann')])[0].status == 200
    assert len(app.runs) == 1


async def test_a_guard_that_fails_is_not_the_endpoint_that_fails(clock):
    app = App(clock=clock)

    async def guard(x_user: Annotated[str, Header()]):
        if x_user == 'mallory':
            raise HTTPException(503)

    @app.router.get('/', dependencies=[Depends(guard)])
    @app.cache(ttl=10, stale_if_error=600, identity='shared')
    async def endpoint():
        app.runs.append(1)
        return len(app.runs)

    await app.ask(x_user='ann')
    clock.now += 11
    answers = seen([await app.ask(x_user='mallory'), await app.ask(x_user='ann')])
    assert [(it.status, it.body) for it in answers][1] == (200, b'2')
    assert answers[0].status == 503
