"""Many requests miss at a time: one runs the endpoint, the others get its response."""

import asyncio
from typing import Annotated

import pytest
from fastapi import Depends, Header, HTTPException, Request, Response

from fastapi_caching_route import LEFT_OUT_OF_RAW_KEYS, CacheContext
from tests.backends.fakes import Elsewhere
from tests.exchange.herds import App, Gate, counting, namespaces, seen, settled


async def test_200_cold_requests_run_the_endpoint_once(new_backend, backend_kind):
    app = App(new_backend(namespace=f'herd{next(namespaces)}'), store_timeout=5)
    app.gate = Gate()
    counting(app)
    async with app.cache:
        asking = [app.ask() for _ in range(200)]
        await settled(app, app.gate.reached, 199)
        app.gate.open.set()
        answers = seen(await asyncio.gather(*asking))
        assert {(it.status, it.body) for it in answers} == {(200, b'1')}
        assert sorted(it.mark for it in answers) == ['HIT'] * 199 + ['MISS']
        assert sum(it.said == 'FastAPICache; fwd=uri-miss; collapsed' for it in answers) == 199
        assert len(app.cache._settings.runtime.flights) == 0
        assert seen([await app.ask()])[0].said.startswith('FastAPICache; hit')
    assert len(app.runs) == 1


async def test_an_entry_that_ends_under_load_is_computed_once(clock):
    app = App(clock=clock)
    counting(app)
    await app.ask()
    for _ in range(3):
        clock.now += 61
        app.gate = Gate()
        asking = [app.ask() for _ in range(50)]
        await settled(app, app.gate.reached, 49)
        app.gate.open.set()
        answers = seen(await asyncio.gather(*asking))
        assert len({it.body for it in answers}) == 1
        assert sum('fwd=stale; collapsed' in it.said for it in answers) == 49
    assert len(app.runs) == 4


@pytest.mark.parametrize(
    ('mode', 'fields'),
    [
        ('policy', {'method': 'HEAD'}),
        ('policy', {'range': 'bytes=0-1'}),
        ('rfc9111', {'authorization': 'Basic x'}),
    ],
)
async def test_whose_answer_is_for_itself_alone_does_not_lead(mode, fields):
    app = App(mode=mode)
    app.gate = Gate()
    counting(app)
    alone = app.ask(**fields)
    await app.gate.reached.wait()
    assert len(app.cache._settings.runtime.flights) == 0
    second = app.ask()
    await asyncio.sleep(0.01)
    app.gate.open.set()
    await asyncio.gather(alone, second)
    assert len(app.runs) == 2


async def test_a_client_that_sends_authorization_leads_where_nothing_reads_it():
    app = App()
    app.gate = Gate()
    counting(app)
    leading = app.ask(authorization='Basic x')
    await app.gate.reached.wait()
    following = app.ask()
    await settled(app, app.gate.reached, 1)
    app.gate.open.set()
    first, second = seen(await asyncio.gather(leading, following))
    assert (len(app.runs), first.body) == (1, second.body)


@pytest.mark.parametrize('fields', [{'cache_control': 'no-store'}, {'pragma': 'no-cache'}])
async def test_who_asks_for_an_answer_of_its_own_does_not_wait_for_another(fields):
    app = App()
    app.gate = Gate()
    counting(app, client_cache_control=True)
    leading = app.ask()
    await app.gate.reached.wait()
    alone = app.ask(**fields)
    await asyncio.sleep(0.01)
    assert len(app.runs) == 2
    app.gate.open.set()
    await asyncio.gather(leading, alone)


async def test_each_variant_is_computed_once():
    app = App(left_out_of_raw_keys=[*LEFT_OUT_OF_RAW_KEYS, 'accept-language'])
    app.gate = Gate()

    @app.router.get('/')
    @app.cache(ttl=60)
    async def endpoint(request: Request, response: Response, context: Annotated[CacheContext, Depends()]):
        language = request.scope['headers'][0][1].decode()
        app.runs.append(language)
        await app.gate.pass_through()
        return Response(language, headers={'vary': 'accept-language'})

    asking = [app.ask(accept_language=('de', 'en', 'fr')[number % 3]) for number in range(30)]
    await settled(app, app.gate.reached, 29)
    app.gate.open.set()
    answers = seen(await asyncio.gather(*asking))
    assert [it.body.decode() for it in answers] == [('de', 'en', 'fr')[number % 3] for number in range(30)]
    assert sorted(app.runs) == ['de', 'en', 'fr']


@pytest.mark.parametrize(
    ('headers', 'detail'),
    [
        ({'cache-control': 'no-store'}, 'no-store'),
        ({'cache-control': 'private'}, 'private'),
        ({'set-cookie': 'a=b'}, 'set-cookie'),
        ({'vary': '*'}, 'vary'),
    ],
)
async def test_what_is_not_for_sharing_is_never_waited_for_in_turn(headers, detail, clock):
    app = App(clock=clock)
    together = []

    @app.router.get('/')
    @app.cache(ttl=60)
    async def endpoint():
        app.runs.append(1)
        if len(app.runs) == 1:
            await app.gate.pass_through()
        together.append(len(app.runs))
        await asyncio.sleep(0.02)
        return Response('mine', headers=headers)

    app.gate = Gate()
    asking = [app.ask() for _ in range(20)]
    await settled(app, app.gate.reached, 19)
    app.gate.open.set()
    answers = seen(await asyncio.gather(*asking))
    assert {it.said for it in answers} == {f'FastAPICache; fwd=uri-miss; detail={detail}'}
    assert len(app.runs) == 20
    # And for a while nobody waits for the first of them either.
    again = [app.ask() for _ in range(5)]
    await asyncio.sleep(0.01)
    assert len(app.runs) == 25
    await asyncio.gather(*again)
    clock.now += 11
    last = [app.ask() for _ in range(5)]
    await asyncio.sleep(0.01)
    assert len(app.runs) == 26
    await asyncio.gather(*last)


async def test_when_the_leader_is_cancelled_one_of_the_others_leads():
    app = App()
    app.gate = Gate()
    counting(app)
    asking = [app.ask() for _ in range(20)]
    await settled(app, app.gate.reached, 19)
    asking[0].cancel()
    app.gate.open.set()
    ends = await asyncio.gather(*asking, return_exceptions=True)
    assert isinstance(ends[0], asyncio.CancelledError)
    assert {it.body for it in seen(ends[1:])} == {b'2'}
    assert len(app.runs) == 2
    assert len(app.cache._settings.runtime.flights) == 0


async def test_when_the_guards_refuse_the_leader_others_lead_three_times_and_then_each_goes_alone():
    app = App()
    gates = [Gate() for _ in range(10)]
    refused = []

    async def guard(x_user: Annotated[str, Header()]):
        number = len(refused)
        refused.append(x_user)
        await gates[min(number, 9)].pass_through()
        raise HTTPException(403)

    @app.router.get('/', dependencies=[Depends(guard)])
    @app.cache(ttl=60, identity='shared')
    async def endpoint():
        app.runs.append(1)

    asking = [app.ask(x_user=f'user{number}') for number in range(8)]
    for number in range(4):
        await settled(app, gates[number].reached, 7 - number)
        assert len(refused) == number + 1
        gates[number].open.set()
    for gate in gates:
        gate.open.set()
    assert {it.status for it in seen(await asyncio.gather(*asking))} == {403}
    assert len(refused) == 8
    assert app.runs == []


async def test_a_refused_leader_does_not_keep_others_from_the_answer():
    app = App()
    app.gate = Gate()

    async def guard(x_user: Annotated[str, Header()]):
        if x_user == 'mallory':
            await app.gate.pass_through()
            raise HTTPException(403)

    @app.router.get('/', dependencies=[Depends(guard)])
    @app.cache(ttl=60, identity='shared')
    async def endpoint():
        app.runs.append(1)
        await asyncio.sleep(0.01)
        return 'answer'

    asking = [app.ask(x_user='mallory'), *(app.ask(x_user='ann') for _ in range(10))]
    await settled(app, app.gate.reached, 10)
    app.gate.open.set()
    answers = seen(await asyncio.gather(*asking))
    assert [it.status for it in answers] == [403] + [200] * 10
    assert len(app.runs) == 1


@pytest.mark.parametrize('backend', [None, Elsewhere], ids=['memory', 'elsewhere'])
async def test_who_comes_after_an_invalidation_never_gets_the_older_answer(backend):
    app = App(backend and backend(), store_timeout=5)
    app.gate = Gate()
    counting(app, tags=['all'])
    early = [app.ask() for _ in range(3)]
    await settled(app, app.gate.reached, 2)
    await app.cache.invalidate_tags('all')
    late = [app.ask() for _ in range(3)]
    await asyncio.sleep(0.02)
    app.gate.open.set()
    answers = seen(await asyncio.gather(*early, *late))
    assert answers[0].body == b'1'
    assert {it.body for it in answers[3:]} == {b'2'}
    assert len(app.runs) == 2


async def test_who_comes_while_the_answer_is_being_stored_looks_it_up():
    backend = Elsewhere()
    app = App(backend, store_timeout=5)
    counting(app)
    backend.slow['set'] = 0.05
    leading = app.ask()
    while backend.commands[-1:] != ['set']:  # noqa: ASYNC110, a backend has no event for that
        await asyncio.sleep(0)
    late = [app.ask() for _ in range(5)]
    answers = seen(await asyncio.gather(leading, *late))
    assert {it.body for it in answers} == {b'1'}
    assert all(it.said.startswith('FastAPICache; hit') for it in answers[1:])
    assert len(app.runs) == 1


async def test_collapse_can_be_switched_off():
    app = App()
    counting(app, collapse=False)
    app.gate = Gate()
    asking = [app.ask() for _ in range(5)]
    await asyncio.sleep(0.02)
    assert len(app.runs) == 5
    app.gate.open.set()
    await asyncio.gather(*asking)


async def test_a_store_that_is_down_does_not_end_it():
    backend = Elsewhere()
    app = App(backend, store_timeout=0.05)
    counting(app, tags=['all'])
    for command in ('multi_get', 'set', 'add'):
        backend.failing.add(command)
    for run in (1, 2):
        app.gate = Gate()
        asking = [app.ask() for _ in range(20)]
        await settled(app, app.gate.reached, 19)
        app.gate.open.set()
        answers = seen(await asyncio.gather(*asking))
        assert {it.body for it in answers} == {b'%d' % run}
        assert [it.mark for it in answers] == [None] + ['HIT'] * 19
        assert answers[0].said.endswith('detail=store-error')


async def test_what_holds_for_no_second_request_is_not_shared():
    app = App(mode='rfc9111')
    app.gate = Gate()

    @app.router.get('/')
    @app.cache()
    async def endpoint():
        app.runs.append(1)
        await app.gate.pass_through()
        return Response('x', headers={'cache-control': 'no-cache', 'etag': '"1"'})

    asking = [app.ask() for _ in range(3)]
    await settled(app, app.gate.reached, 2)
    app.gate.open.set()
    await asyncio.gather(*asking)
    assert len(app.runs) == 3


@pytest.mark.parametrize('how', ['no-store', 'guard'])
async def test_no_client_can_switch_it_off_for_others(how):
    app = App()

    async def guard(response: Response, x_user: Annotated[str, Header()] = 'ann'):
        if x_user == 'new':
            response.set_cookie('seen', '1')

    @app.router.get('/', dependencies=[Depends(guard)])
    @app.cache(ttl=60, identity='shared')
    async def endpoint():
        app.runs.append(1)
        await asyncio.sleep(0.01)
        return 'answer'

    await app.ask(**({'cache_control': 'no-store'} if how == 'no-store' else {'x_user': 'new'}))
    answers = seen(await app.ask_all(20))
    assert {it.body for it in answers} == {b'"answer"'}
    assert len(app.runs) == 2


@pytest.mark.parametrize('fate', ['hanging', 'slow'])
async def test_a_store_that_does_not_take_the_answer_in_time_does_not_end_it(fate):
    backend = Elsewhere()
    app = App(backend, store_timeout=0.1)
    if fate == 'hanging':
        backend.hanging.add('set')
    else:
        backend.slow['set'] = 0.15
    app.gate = Gate()
    counting(app)
    asking = [app.ask() for _ in range(50)]
    await settled(app, app.gate.reached, 49)
    app.gate.open.set()
    assert {it.body for it in seen(await asyncio.gather(*asking))} == {b'1'}
    assert len(app.runs) == 1
