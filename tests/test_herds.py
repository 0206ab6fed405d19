"""Many requests for one answer."""

import asyncio
import contextlib
import itertools
import json
import socket
import time
from typing import Annotated

import pytest
from aiocache import MemcachedCache, RedisCache
from fastapi import Depends, FastAPI, Header, HTTPException, Request, Response
from fastapi.responses import StreamingResponse

from fastapi_caching_route import CacheContext, ConfigurationError, FastAPICache
from fastapi_caching_route._flights import LONGEST_PAUSE, MOST_REMEMBERED, Lately, Pauses
from fastapi_caching_route._plan import Herds
from tests.support import Clock, Elsewhere, asgi_call, asgi_scope, caching_router, patient, uvicorn_server

namespaces = itertools.count()


class Gate:
    """An endpoint waits here until the test lets it go on."""

    def __init__(self):
        self.reached, self.open = asyncio.Event(), asyncio.Event()

    async def pass_through(self):
        self.reached.set()
        await self.open.wait()


class App:
    """One app with one cache, asked without a server; nothing may be left when it ends."""

    def __init__(self, backend=None, **options):
        self.cache = FastAPICache(backend, **options)
        self.router = caching_router()
        self.runs = []
        self.gate = None
        self._app = None

    def ask(self, path='/', method='GET', **headers):
        """A request under way."""
        if self._app is None:
            self._app = FastAPI()
            self._app.include_router(self.router)
        fields = [(name.replace('_', '-').encode(), value.encode()) for name, value in headers.items()]
        return asyncio.ensure_future(asgi_call(self._app, asgi_scope(method, path, headers=fields)))

    async def ask_all(self, count, path='/', **headers):
        return await asyncio.gather(*(self.ask(path, **headers) for _ in range(count)))


class Answer:
    def __init__(self, messages):
        start, *bodies = messages
        self.status = start['status']
        self.body = b''.join(it.get('body', b'') for it in bodies)
        self.fields = {name.decode(): value.decode() for name, value in start['headers']}
        self.mark = self.fields.get('x-cache')
        self.said = self.fields.get('cache-status')


def seen(answers):
    return [Answer(it) for it in answers]


async def settled(app, leader_reached, followers):
    """The leader is in its endpoint, and so many wait for it."""
    await leader_reached.wait()
    for _ in range(200):
        flights = app.cache.flights._under_way.values()
        if sum(it.followers for it in flights) >= followers:
            return
        await asyncio.sleep(0.005)
    raise AssertionError('they do not wait')


@pytest.fixture
def clock():
    return Clock()


def counting(app, **options):
    """An endpoint that waits at a gate, and says the number of its run."""

    @app.router.api_route('/', methods=['GET', 'HEAD'])
    @app.cache(**{'ttl': 60, **options})
    async def endpoint():
        app.runs.append(1)
        number = len(app.runs)
        if app.gate is not None:
            await app.gate.pass_through()
        return number

    return endpoint


@pytest.fixture(params=['redis', 'memcached'])
def two(request):
    port, namespace = request.getfixturevalue(f'{request.param}_port'), f'lock{next(namespaces)}'
    kind = RedisCache if request.param == 'redis' else MemcachedCache
    apps = [App(kind(endpoint='127.0.0.1', port=port, namespace=namespace), store_timeout=5) for _ in range(2)]
    for app in apps:
        app.runs = apps[0].runs
        app.gate = apps[0].gate = apps[0].gate or Gate()
    return apps


async def ended(*apps):
    for app in apps:
        await app.cache.store.close()


# Collapse


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
        assert len(app.cache.flights) == 0
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


@pytest.mark.parametrize('fields', [{'method': 'HEAD'}, {'range': 'bytes=0-1'}, {'authorization': 'Basic x'}])
async def test_whose_answer_is_for_itself_alone_does_not_lead(fields):
    app = App()
    app.gate = Gate()
    counting(app)
    alone = app.ask(**fields)
    await app.gate.reached.wait()
    assert len(app.cache.flights) == 0
    second = app.ask()
    await asyncio.sleep(0.01)
    app.gate.open.set()
    await asyncio.gather(alone, second)
    assert len(app.runs) == 2


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
    app = App()
    app.gate = Gate()

    @app.router.get('/')
    @app.cache(ttl=60)
    async def endpoint(request: Request, response: Response, context: Annotated[CacheContext, Depends()]):
        language = request.scope['headers'][0][1].decode()
        app.runs.append(language)
        await app.gate.pass_through()
        return Response(language, headers={'vary': 'accept-language'})

    app.cache.left_out = app.cache.left_out | {b'accept-language'}
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
    assert len(app.cache.flights) == 0


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
    assert len(app.cache.flights) == 0


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


async def test_an_invalidation_that_is_owed_counts_for_those_who_wait_too():
    backend = Elsewhere()
    app = App(backend, store_timeout=0.05)
    counting(app, tags=['all'])
    for command in ('multi_get', 'set', 'add'):
        backend.failing.add(command)
    app.gate = Gate()
    asking = [app.ask() for _ in range(5)]
    await settled(app, app.gate.reached, 4)
    with pytest.raises(Exception, match='could not be invalidated'):
        await app.cache.invalidate_tags('all')
    app.gate.open.set()
    answers = seen(await asyncio.gather(*asking))
    assert [it.body for it in answers] == [b'1'] + [b'2'] * 4
    await app.cache.store.close()


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


# Stale entries


async def test_one_request_renews_while_all_are_served(clock):
    app = App(clock=clock)
    counting(app, ttl=10, stale_while_revalidate=100)
    await app.ask()
    clock.now += 11
    app.gate = Gate()
    first = app.ask()
    await app.gate.reached.wait()
    others = seen(await app.ask_all(20))
    assert {it.body for it in others} == {b'1'}
    assert {it.mark for it in others} == {'HIT'}
    app.gate.open.set()
    await first
    assert seen([await app.ask()])[0].body == b'2'
    assert len(app.runs) == 2


async def test_renewals_that_fail_are_tried_less_and_less_often(clock, caplog):
    app = App(clock=clock)

    @app.router.get('/')
    @app.cache(ttl=10, stale_while_revalidate=1000)
    async def endpoint():
        app.runs.append(clock.now)
        if len(app.runs) > 1:
            raise RuntimeError('broken')
        return 'fine'

    await app.ask()
    clock.now += 11
    began = clock.now
    for _ in range(400):
        assert seen([await app.ask()])[0].body == b'"fine"'
        clock.now += 0.25
    assert [at - began for at in app.runs[1:]] == [0, 1, 3, 7, 15, 31, 61, 91]


async def test_who_misses_while_it_is_renewed_waits_for_that(clock):
    app = App(clock=clock)
    counting(app, ttl=10, stale_while_revalidate=5)
    await app.ask()
    clock.now += 11
    app.gate = Gate()
    renewing = app.ask()
    await app.gate.reached.wait()
    clock.now += 10  # outside of the window now
    following = app.ask()
    await asyncio.sleep(0.01)
    app.gate.open.set()
    assert seen([await following])[0].said == 'FastAPICache; fwd=stale; collapsed'
    await renewing
    assert len(app.runs) == 2


async def test_an_entry_is_renewed_ahead_by_one_request(clock):
    app = App(clock=clock)
    counting(app, ttl=100, eager_refresh=0.8)
    await app.ask()
    clock.now += 79
    assert {it.body for it in seen(await app.ask_all(5))} == {b'1'}
    assert len(app.runs) == 1
    clock.now += 12  # past the latest of the moments at which a process may begin
    app.gate = Gate()
    first = app.ask()
    await app.gate.reached.wait()
    assert {it.body for it in seen(await app.ask_all(5))} == {b'1'}
    app.gate.open.set()
    assert seen([await first])[0].body == b'1'
    later = seen([await app.ask()])[0]
    assert (later.body, later.mark) == (b'2', 'HIT')
    assert len(app.runs) == 2


async def test_processes_renew_ahead_at_different_moments(clock, monkeypatch):
    app = App(clock=clock)
    counting(app, ttl=100, eager_refresh=0.5)
    await app.ask()
    begun = set()
    for process in range(20):
        monkeypatch.setattr('os.getpid', lambda process=process: process)
        entry = next(iter(app.cache.store.shelf._backend._backend._kept.values())).value
        herds = Herds(collapse=True, collapse_timeout=10, lock=False, eager_refresh=0.5, endpoint_timeout=None)
        begun.add(next(age for age in range(101) if herds.is_due(entry, age)))
    assert min(begun) >= 50
    assert max(begun) <= 76
    assert len(begun) > 5


async def test_lifetimes_are_shortened_at_random(clock):
    app = App(clock=clock)

    @app.router.get('/{number}')
    @app.cache(ttl=100, ttl_jitter=0.2)
    async def endpoint(number: int):
        return number

    for number in range(50):
        await app.ask(f'/{number}')
    spans = {int(seen([await app.ask(f'/{number}')])[0].said.rpartition('=')[2]) for number in range(50)}
    assert min(spans) >= 79
    assert max(spans) <= 100
    assert len(spans) > 5


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
    assert len(app.cache.flights) == 0


STALE_APP = """
import asyncio
from fastapi import APIRouter, FastAPI
from fastapi_caching_route import CachingRoute, FastAPICache

cache, router, runs = FastAPICache(), APIRouter(route_class=CachingRoute), []

@router.get('/slow')
@cache(ttl=0.05, stale_while_revalidate=60)
async def slow():
    runs.append(1)
    if len(runs) > 1:
        await asyncio.sleep(1.5)
    return 'slow'

@router.get('/quick')
async def quick():
    return len(runs)

app = FastAPI()
app.include_router(router)
"""


@pytest.mark.parametrize('pipelined', [False, True])
@pytest.mark.parametrize('protocol', ['h11', 'httptools'])
def test_a_renewal_does_not_hold_up_the_connection_of_its_client(protocol, pipelined, tmp_path):
    (tmp_path / 'app.py').write_text(STALE_APP)
    slow, quick = (f'GET /{it} HTTP/1.1\r\nHost: test\r\n\r\n'.encode() for it in ('slow', 'quick'))
    with uvicorn_server('app:app', '--http', protocol, cwd=tmp_path) as port:
        connection = socket.create_connection(('127.0.0.1', port))
        reader = connection.makefile('rb')

        def answer():
            head = b''.join(iter(reader.readline, b'\r\n'))
            return reader.read(int(head.lower().split(b'content-length: ')[1].split(b'\r\n')[0]))

        connection.sendall(slow)
        assert answer() == b'"slow"'
        time.sleep(0.1)
        began = time.monotonic()
        if pipelined:
            connection.sendall(slow + quick)
            answers = [answer(), answer()]
        else:
            answers = []
            for request in (slow, quick):
                connection.sendall(request)
                answers.append(answer())
        assert answers == [b'"slow"', b'2']  # the renewal has begun, and is not over
        assert time.monotonic() - began < 1.2
        reader.close()
        connection.close()


# What an attack has found


async def test_who_comes_after_a_soft_invalidation_does_not_get_the_older_answer_as_fresh():
    app = App()
    app.gate = Gate()
    counting(app, tags=['all'])
    leading = app.ask()
    await app.gate.reached.wait()
    await app.cache.invalidate_tags('all', soft=True)
    late = app.ask()
    await asyncio.sleep(0.01)
    app.gate.open.set()
    assert [it.body for it in seen(await asyncio.gather(leading, late))] == [b'1', b'2']


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
    assert len(app.cache.flights) == 0


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
    assert len(app.cache.flights) == 0


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


async def test_one_process_renews_for_all(two):
    clock = Clock()
    for app in two:
        app.cache.clock = clock
        counting(app, ttl=10, stale_while_revalidate=600, lock=True)
    two[0].gate.open.set()
    await two[0].ask()
    await ended(two[0])  # the lock is released
    clock.now += 11
    two[0].gate = two[1].gate = Gate()
    renewing = two[0].ask()
    await two[0].gate.reached.wait()
    assert seen([await two[1].ask()])[0].body == b'1'
    assert len(two[0].runs) == 2
    two[0].gate.open.set()
    await renewing
    await ended(*two)


async def test_a_renewal_that_is_cancelled_as_it_takes_the_lock_leaves_no_flight_behind(clock):
    backend = Elsewhere()
    app = App(backend, clock=clock, store_timeout=5)
    counting(app, ttl=10, stale_while_revalidate=600, lock=True)
    await app.ask()
    await ended(app)
    clock.now += 11
    backend.slow['add'] = 0.1
    renewing = app.ask()
    await asyncio.sleep(0.05)
    assert (backend.commands[-1], len(app.cache.flights)) == ('add', 1)
    renewing.cancel()
    await asyncio.gather(renewing, return_exceptions=True)
    assert len(app.cache.flights) == 0
    await ended(app)


def test_an_event_loop_that_is_closed_leaves_no_flight_behind():
    app = App()
    counting(app)
    loop = asyncio.new_event_loop()

    async def begin():
        app.gate = Gate()
        asking = [app.ask() for _ in range(3)]
        await settled(app, app.gate.reached, 2)
        return asking

    asking = loop.run_until_complete(begin())
    loop.close()
    for task in asking:
        task._log_destroy_pending = False
        with contextlib.suppress(RuntimeError):
            task.get_coro().close()
    assert len(app.cache.flights) == 0


# Across processes: caches that know nothing of each other, on one store


async def test_one_process_runs_the_endpoint_for_all(two):
    for app in two:
        counting(app, lock=True)
    asking = [app.ask() for app in two for _ in range(20)]
    await settled(two[0], two[0].gate.reached, 19)
    await asyncio.sleep(0.1)
    assert len(two[0].runs) == 1
    two[0].gate.open.set()
    answers = seen(await asyncio.gather(*asking))
    assert {it.body for it in answers} == {b'1'}
    assert len(two[0].runs) == 1
    assert all(it.mark == 'HIT' for it in answers) is False
    assert sum(it.mark == 'HIT' for it in answers) == 39
    await ended(*two)


async def test_without_a_lock_each_process_runs_it(two):
    for app in two:
        counting(app)
    asking = [app.ask() for app in two]
    for _ in range(1000):  # a busy machine takes its time to reach the store
        if len(two[0].runs) == 2:
            break
        await asyncio.sleep(0.005)
    assert len(two[0].runs) == 2
    two[0].gate.open.set()
    await asyncio.gather(*asking)
    await ended(*two)


async def test_a_lock_whose_owner_is_gone_ends_by_itself(two, monkeypatch):
    async def released(*_):
        """Nothing is released."""

    monkeypatch.setattr(two[0].cache.store.shelf.__class__, 'release', released)  # as if it was killed
    for app in two:
        counting(app, lock=True, collapse_timeout=6)  # memcached counts in whole seconds, and one more
    first = two[0].ask()
    await two[0].gate.reached.wait()
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    two[0].gate.open.set()
    began = asyncio.get_running_loop().time()
    answers = seen(await asyncio.gather(*(two[1].ask() for _ in range(10))))
    assert {it.body for it in answers} == {b'2'}
    assert 0.5 < asyncio.get_running_loop().time() - began < 6
    await ended(*two)


async def test_only_its_owner_takes_a_lock_away(two):
    store = two[0].cache.store
    assert await store.add('lock-key', 'mine', 60) is True
    await store.release('lock-key', 'yours')
    assert await store.add('lock-key', 'yours', 60) is False
    await store.release('lock-key', 'mine')
    assert await store.add('lock-key', 'yours', 60) is True
    await store.release('lock-key', 'yours')
    await ended(*two)


async def test_only_its_owner_takes_a_lock_away_from_any_backend():
    store = FastAPICache(Elsewhere()).store
    assert await store.add('lock-key', 'mine', 60) is True
    await store.release('lock-key', 'yours')
    assert await store.add('lock-key', 'yours', 60) is False
    await store.release('lock-key', 'mine')
    assert await store.add('lock-key', 'yours', 60) is True


async def test_what_is_not_stored_lets_the_next_process_run(two):
    def of(app):
        @app.router.get('/')
        @app.cache(ttl=60, lock=True)
        async def endpoint():
            app.runs.append(1)
            await app.gate.pass_through()
            return Response('mine', headers={'cache-control': 'no-store'})

    for app in two:
        of(app)
    asking = [app.ask() for app in two]
    await two[0].gate.reached.wait()
    two[0].gate.open.set()
    await asyncio.gather(*asking)
    assert len(two[0].runs) == 2
    await ended(*two)


async def test_a_lock_in_a_store_that_is_down_holds_nobody_up():
    backend = Elsewhere()
    app = App(backend, store_timeout=0.05)
    counting(app, lock=True)
    for command in ('multi_get', 'set', 'add'):
        backend.failing.add(command)
    app.gate = Gate()
    asking = [app.ask() for _ in range(20)]
    await settled(app, app.gate.reached, 19)
    app.gate.open.set()
    assert {it.body for it in seen(await asyncio.gather(*asking))} == {b'1'}
    assert len(app.runs) == 1


# What is remembered


def test_only_so_many_keys_are_remembered():
    lately = Lately()
    for number in range(MOST_REMEMBERED + 100):
        lately.note(f'key{number}', 1)
    assert len(lately._numbers) == MOST_REMEMBERED
    assert lately.of('key0') == 0
    assert lately.of(f'key{MOST_REMEMBERED}') == 1


def test_pauses_double_up_to_the_longest_and_end():
    pauses, now, lengths = Pauses(), 1000.0, []
    for _ in range(8):
        pauses.lengthen('key', now)
        length = next(it / 4 for it in range(1000) if not pauses.holds('key', now + it / 4))
        lengths.append(length)
    assert lengths == [1, 2, 4, 8, 16, LONGEST_PAUSE, LONGEST_PAUSE, LONGEST_PAUSE]
    pauses.end('key')
    assert not pauses.holds('key', now)
    pauses.lengthen('key', now)
    assert pauses.holds('key', now + 0.9)
    assert not pauses.holds('key', now + 1)


@pytest.mark.parametrize(
    'options',
    [
        {'collapse': 1},
        {'lock': 'yes'},
        {'collapse_timeout': -1},
        {'endpoint_timeout': 'x'},
        {'eager_refresh': 1},
        {'eager_refresh': 0},
        {'ttl_jitter': 1},
        {'ttl_jitter': -0.1},
        {'ttl_jitter': True},
    ],
)
def test_an_option_out_of_its_range_is_refused(options):
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        FastAPICache()(**options)(lambda: None)


async def test_what_varies_in_another_process_stays_what_it_is(redis_port):
    namespace = f'herds{next(namespaces)}'

    def process(name):
        cache, router = FastAPICache(RedisCache(port=redis_port, namespace=namespace)), caching_router()

        @router.get('/')
        @cache(ttl=60, lock=True)
        async def endpoint(request: Request, response: Response):
            await asyncio.sleep(0.2)
            agent = request.headers['user-agent']
            if agent == 'de':
                response.headers['vary'] = 'user-agent'
            return [name, agent]

        app = FastAPI()
        app.include_router(router)
        return app, cache

    (first, one), (second, other) = process('A'), process('B')

    async def asked(app, agent, after=0.0):
        await asyncio.sleep(after)
        sent = await asgi_call(app, asgi_scope(headers=[(b'user-agent', agent)]))
        return json.loads(sent[1]['body'])[1]

    async with one, other:
        assert await asyncio.gather(asked(first, b'de'), asked(second, b'en', 0.1)) == ['de', 'en']
        assert [await asked(first, agent) for agent in (b'de', b'en', b'fr')] == ['de', 'en', 'fr']
