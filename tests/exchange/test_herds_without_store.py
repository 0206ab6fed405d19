"""Herds while the store fails: nobody can tell what was invalidated while the endpoint ran, or waits for it twice."""

import asyncio
import time

import pytest
from aiocache import RedisCache
from fastapi import Request, Response

from fastapi_caching_route._concurrency.flights import Instead
from fastapi_caching_route._core.variants import Brought
from fastapi_caching_route._exchange.herd import Follow, Herd, _NextFlight
from fastapi_caching_route._store import remote
from fastapi_caching_route._store.remote_visit import RemoteVisit
from tests.backends.fakes import Elsewhere
from tests.exchange.herds import App, Gate, counting, seen, settled
from tests.exchange.values import call_to, entry, plan_of

COMMANDS = ('multi_get', 'get', 'set', 'add', 'delete')

# What is shared ---------------------------------------------------------------------------------------------


async def herd_of(app, count=5):
    """So many requests, of which one leads: the others come while its endpoint runs."""
    app.gate = Gate()
    asking = [app.ask()]
    await app.gate.reached.wait()
    asking += [app.ask() for _ in range(count - 1)]
    await settled(app, app.gate.reached, count - 1)
    app.gate.open.set()
    return [it.body for it in seen(await asyncio.gather(*asking))]


@pytest.mark.parametrize('lock', [False, True])
async def test_those_who_come_while_the_endpoint_runs_share_the_next_run_if_the_store_is_down(lock):
    app = App(backend := Elsewhere(), store_timeout=5)
    counting(app, lock=lock)
    backend.failing.update(COMMANDS)
    for number in (1, 3, 5, 7):  # the breaker opens meanwhile
        assert await herd_of(app) == [b'%d' % number] + [b'%d' % (number + 1)] * 4
    assert len(app.runs) == 8
    await app.cache._settings.store.close()


async def test_those_who_were_there_before_the_endpoint_ran_share_its_run():
    app = App(backend := Elsewhere(), store_timeout=5)
    counting(app)
    app.gate = Gate()
    backend.failing.update(COMMANDS)
    asking = [app.ask() for _ in range(5)]  # their look-up is one command, which fails for all of them
    await settled(app, app.gate.reached, 4)
    app.gate.open.set()
    assert [it.body for it in seen(await asyncio.gather(*asking))] == [b'1'] * 5
    await app.cache._settings.store.close()


@pytest.mark.parametrize('lock', [False, True])
async def test_so_do_those_who_come_later_if_the_journal_was_known_before(redis_server, lock):
    app = App(RedisCache(endpoint='127.0.0.1', port=redis_server.port), store_timeout=5)
    counting(app, lock=lock)
    await app.ask()
    await app.cache.clear()
    redis_server.process.kill()
    redis_server.process.wait()
    for number in (2, 4, 6, 8):
        assert await herd_of(app) == [b'%d' % number] + [b'%d' % (number + 1)] * 4
    assert len(app.runs) == 9
    await app.cache._settings.store.close()


async def test_variants_share_the_next_run_too():
    app = App(backend := Elsewhere(), store_timeout=5)
    app.gate = Gate()

    @app.router.get('/')
    @app.cache(ttl=60)
    async def endpoint(request: Request, response: Response):
        app.runs.append(1)
        response.headers['vary'] = 'accept-language'
        await app.gate.pass_through()
        return request.headers['accept-language']

    backend.failing.update(COMMANDS)
    leading = app.ask(accept_language='en')
    await app.gate.reached.wait()
    languages = ('en', 'en', 'fr', 'en', 'fr', 'fr')
    asking = [leading, *(app.ask(accept_language=it) for it in languages)]
    await settled(app, app.gate.reached, 6)
    app.gate.open.set()
    answers = seen(await asyncio.gather(*asking))
    assert [it.body for it in answers] == [f'"{it}"'.encode() for it in ('en', *languages)]
    assert len(app.runs) == 3
    await app.cache._settings.store.close()


async def test_those_who_come_after_an_invalidation_never_share_a_run_from_before_it():
    """Nothing is known of the store as the run begins; then it works again, and takes an invalidation."""
    app = App(backend := Elsewhere(), store_timeout=5)
    counting(app, tags=['all'])
    backend.failing.update(COMMANDS)
    app.gate = Gate()
    leading = app.ask()
    await app.gate.reached.wait()
    backend.failing.clear()
    await app.cache.invalidate_tags('all')
    following = app.ask()
    await settled(app, app.gate.reached, 1)
    app.gate.open.set()
    assert [it.body for it in seen(await asyncio.gather(leading, following))] == [b'1', b'2']
    await app.cache._settings.store.close()


# How long they wait -----------------------------------------------------------------------------------------


def visit_with(seconds):
    store = App(Elsewhere(), store_timeout=seconds).cache._settings.store
    visit = store.visit()
    assert isinstance(visit, RemoteVisit)
    return visit


@pytest.mark.parametrize('came_before', [False, True])
async def test_who_has_no_time_left_for_the_store_does_not_wait_while_another_request_stores(came_before):
    call, visit, brought = call_to(plan_of()), visit_with(60), Brought(entry(), None)
    herd, flights = Herd(call, _until=float('inf')), call.plan.runtime.flights
    flight = flights.lead(call.key)
    herd._asked_at = flight.began_at - 1 if came_before else float('inf')
    flight.run_began_at = time.monotonic()
    flight.begin_storing(lambda: brought)  # and never ends
    visit._left = 0.0
    outcome = await asyncio.wait_for(herd._follow(flight, None, visit), 60)
    assert outcome == (Follow(brought.entry) if came_before else _NextFlight(None))
    assert flight.has_landed is not came_before  # what is ready for one request ends nothing for others
    flight.land(Instead.LEAD, stored=True)
    assert flight.stored


async def test_what_a_request_waits_for_another_one_counts_as_its_time_for_the_store():
    visit = visit_with(0.05)
    never = asyncio.get_running_loop().create_future()
    assert not await asyncio.wait_for(visit.wait_for_store(never, 60, 0), 60)
    assert visit._left <= 0.002
    assert not await asyncio.wait_for(visit.wait_for_store(never, 60, 0), 60)


async def test_what_a_request_has_waited_for_the_store_through_another_one_counts_too():
    call, visit, brought = call_to(plan_of()), visit_with(0.05), Brought(entry(), None)
    herd, flights = Herd(call, _until=float('inf'), _asked_at=0.0), call.plan.runtime.flights
    flight = flights.lead(call.key)
    following = asyncio.ensure_future(herd._follow(flight, None, visit))
    await asyncio.sleep(0.06)  # the leader reads marks
    flight.run_began_at = time.monotonic()
    flight.begin_storing(lambda: brought)

    assert await asyncio.wait_for(following, 60) == Follow(brought.entry)
    assert visit._left <= 0
    assert not await visit.wait_for_store(asyncio.get_running_loop().create_future(), 60, 0)


async def test_a_request_that_has_time_left_waits():
    visit = visit_with(60)
    done = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(done.set_result, None)
    assert await visit.wait_for_store(done, 60, 0)
    never = asyncio.get_running_loop().create_future()
    assert await visit.wait_for_store(never, 0.01, 0)  # it is not the store that takes its time


class Storing(Elsewhere):
    """A backend that stores when a test lets it."""

    def __init__(self):
        super().__init__()
        self.gate = Gate()

    async def _set(self, key, value, *arguments, **options):
        if 'GET:/' in key:
            await self.gate.pass_through()
        return await super()._set(key, value, *arguments, **options)


async def test_a_request_that_looks_up_again_has_no_new_time_for_it(monkeypatch):
    app = App(backend := Storing(), store_timeout=60)
    counting(app)
    store, visits = app.cache._settings.store, []
    made = remote.RemoteStore.visit
    monkeypatch.setattr(remote.RemoteStore, 'visit', lambda self: visits.append(1) or made(self))
    leading = app.ask()
    await backend.gate.reached.wait()
    following = app.ask()
    await settled(app, backend.gate.reached, 1)
    backend.gate.open.set()
    answers = seen(await asyncio.gather(leading, following))
    assert [it.mark for it in answers] == ['MISS', 'HIT']
    assert len(visits) == 2
    await store.close()
