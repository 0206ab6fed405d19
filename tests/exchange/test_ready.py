"""Heads that are remembered for a part of a second: each hit gets what it would get without them."""

import asyncio
import gc
import weakref

from fastapi import Depends, FastAPI, Response
from hypothesis import given, settings
from hypothesis import strategies as st

from fastapi_caching_route import CachingRoute, FastAPICache, MemoryCache
from fastapi_caching_route._concurrency.flights import Instead
from fastapi_caching_route._core.ready import MAX_READY
from fastapi_caching_route._exchange.exchange import Exchange, Reply
from fastapi_caching_route._exchange.herd import Herd
from fastapi_caching_route._exchange.hit import Hit, at_once
from fastapi_caching_route._exchange.lookup import look_up
from fastapi_caching_route._http.reuse import NO_DEMAND
from tests.exchange.values import NOW, call_to, entry, plan_of, result_of, stored_under
from tests.support import Clock, asgi_call, asgi_scope, caching_router

TAG = (b'etag', b'"1"')
steps = st.tuples(
    st.floats(-1, 3) | st.sampled_from([0.0, 0.25, 1.0]),
    st.sampled_from(['GET', 'HEAD', 'POST']),
    st.lists(
        st.sampled_from(
            [(b'if-none-match', b'"1"'), (b'if-none-match', b'"2"'), (b'range', b'bytes=1-2'), (b'accept', b'*/*')]
        ),
        unique=True,
    ),
    st.sampled_from(['nothing'] * 5 + ['soft', 'hard', 'stored anew']),
)
options = st.fixed_dictionaries(
    {
        'eager_refresh': st.sampled_from([None, 0.5]),
        'cache_control': st.sampled_from([None, 'max-age=5', 'max-age=ttl']),
    }
)


async def sent_by(reply, call):
    sent = []

    async def send(message):
        sent.append(message)

    call.client.send = send
    call.client.direct = None
    await Exchange(call, Herd(call))._reply(reply)
    return tuple(sent)


@settings(deadline=None)
@given(
    st.lists(steps, min_size=2, max_size=8),
    options,
    st.floats(0, 5),
    st.sampled_from([200, 404]),
    st.sampled_from([0.0, 2.0]),
)
def test_hits_one_after_the_other_are_answered_as_without_memory(steps, options, lifetime, status, window):
    asyncio.run(compared(steps, options, lifetime, status, window))


async def compared(steps, options, lifetime, status, window):
    clock = Clock(NOW)
    plan = plan_of(clock=clock, **{name: it for name, it in options.items() if it is not None})
    stored = {'lifetime': lifetime, 'status': status, 'stale_while_revalidate': window, 'names': ('mine',)}
    stored_under(call_to(plan), **stored)
    for seconds, method, headers, happens in steps:
        clock.now += seconds
        call = call_to(plan, method, headers)
        if happens in {'soft', 'hard'}:
            await plan.runtime.store.invalidate(['mine'], soft_at=clock.now if happens == 'soft' else None)
        if happens == 'stored anew':
            anew = entry([TAG], key=call_to(plan).key, marks=plan.runtime.store._moments.now, **stored, content=b'anew')
            await plan.runtime.store.visit().put(anew, 1000)
        result = at_once(plan, call.declared, call.scope)
        seen = await look_up(call)
        way = await Exchange(call, Herd(call))._decide(seen, NO_DEMAND)
        assert isinstance(result, Hit) == (isinstance(way, Reply) and not way.renews)
        if isinstance(result, Hit):
            assert (result.start, result.body) == await sent_by(way, call)
            assert (result.is_fresh, result.found) == (way.left > 0, seen.found)


def hits(plan, times=1, method='GET', headers=()):
    """The starts of some hits in the same moment."""
    call = call_to(plan, method, headers)
    return [at_once(plan, call.declared, call.scope).start for _ in range(times)]


def test_hits_in_one_second_have_one_head_and_a_list_each():
    clock = Clock(NOW)
    plan = plan_of(clock=clock)
    stored_under(call_to(plan), age=0.25)
    first, second = hits(plan, 2)
    clock.now += 0.5
    (third,) = hits(plan)
    assert first == second == third
    assert len({id(it['headers']) for it in (first, second, third)}) == 3
    assert len(plan.declared().ready) == 1
    clock.now += 0.5
    assert dict(hits(plan)[0]['headers'])[b'age'] == b'1'


def test_a_clock_that_is_set_back_makes_a_head_of_its_own():
    clock = Clock(NOW)
    plan = plan_of(clock=clock)
    stored_under(call_to(plan), age=10.25)
    assert dict(hits(plan)[0]['headers'])[b'age'] == b'10'
    clock.now -= 5
    assert dict(hits(plan)[0]['headers'])[b'age'] == b'5'


def test_an_entry_that_is_stored_in_the_same_moment_has_a_head_of_its_own():
    plan = plan_of()
    call = call_to(plan)
    for tag in (b'"1"', b'"2"'):
        stored = entry([(b'etag', tag)], key=call.key, marks=0, age=0.25)
        result_of(plan.runtime.store.visit().put(stored, 1000))
        assert dict(hits(plan)[0]['headers'])[b'etag'] == tag


def test_what_is_made_stale_in_the_same_moment_is_not_answered_by_its_head():
    plan = plan_of()
    call = call_to(plan)
    stored_under(call, age=0.25, names=('mine',))
    assert hits(plan)
    result_of(plan.runtime.store.invalidate(['mine'], soft_at=NOW))
    assert not isinstance(at_once(plan, call.declared, call.scope), Hit)


async def test_what_is_stale_is_answered_by_no_head_when_nobody_renews_it_any_more():
    plan = plan_of()
    call = call_to(plan)
    stored_under(call, age=61.25, stale_while_revalidate=5)
    flight = plan.runtime.flights.lead(call.key)
    assert isinstance(at_once(plan, call.declared, call.scope), Hit)
    flight.land(Instead.LEAD)
    assert not isinstance(at_once(plan, call.declared, call.scope), Hit)


async def test_a_stale_head_ends_with_the_window_of_its_entry():
    clock = Clock(NOW)
    plan = plan_of(clock=clock)
    call = call_to(plan)
    stored_under(call, age=61.25, stale_while_revalidate=1.5)
    plan.runtime.flights.lead(call.key)
    first, second = hits(plan, 2)
    assert first == second
    assert len(plan.declared().ready) == 1
    clock.now += 0.3
    assert not isinstance(at_once(plan, call.declared, call.scope), Hit)


async def test_the_head_of_an_invalidated_entry_is_not_remembered():
    plan = plan_of()
    call = call_to(plan)
    stored_under(call, age=0.25, names=('mine',), stale_while_revalidate=5)
    await plan.runtime.store.invalidate(['mine'], soft_at=NOW)
    plan.runtime.flights.lead(call.key)
    assert isinstance(at_once(plan, call.declared, call.scope), Hit)
    assert plan.declared().ready == {}


async def test_a_head_ends_when_its_entry_is_to_be_renewed_early():
    clock = Clock(NOW)
    plan = plan_of(clock=clock, eager_refresh=0.5)
    call = call_to(plan)
    stored_under(call, age=0.3)
    kept = plan.runtime.store.at_once(call.key).entry
    due = next(it / 10 for it in range(300, 460) if plan.run_options.is_due(kept, it / 10))
    clock.now = kept.stored_at + due - 0.1
    assert isinstance(at_once(plan, call.declared, call.scope), Hit)
    clock.now += 0.1
    assert not isinstance(at_once(plan, call.declared, call.scope), Hit)


def test_only_methods_that_are_conditional_get_a_304_by_a_head():
    plan, asked = plan_of(), [(b'if-none-match', b'"1"')]
    for method, status in (('GET', 304), ('POST', 200)):
        stored = entry([TAG], key=call_to(plan, method).key, marks=0, age=0.25)
        result_of(plan.runtime.store.visit().put(stored, 1000))
        assert [it['status'] for it in hits(plan, 2, method, asked)] == [status] * 2


def test_only_a_200_becomes_a_304_by_a_head():
    plan, asked = plan_of(), [(b'if-none-match', b'"1"')]
    stored_under(call_to(plan), status=404, age=0.25)
    assert [it['status'] for it in hits(plan, 2, headers=asked)] == [404] * 2


def test_what_middleware_does_to_a_response_stays_with_it():
    plan = plan_of()
    stored_under(call_to(plan), age=0.25)
    for asked in ([], [(b'if-none-match', b'"1"')]):
        hits(plan, headers=asked)[0]['headers'].append((b'x-mine', b'1'))
        assert b'x-mine' not in dict(hits(plan, headers=asked)[0]['headers'])


def test_a_head_keeps_no_entry_in_memory():
    plan = plan_of()
    call = call_to(plan)
    stored_under(call, age=0.25)
    hits(plan)
    gone = weakref.ref(at_once(plan, call.declared, call.scope).found.entry)
    assert plan.declared().ready
    result_of(plan.runtime.store.visit().forget(call.key))
    gc.collect()
    assert gone() is None


async def test_only_so_many_heads_are_remembered(monkeypatch):
    cache, router = FastAPICache(MemoryCache(), clock=Clock(NOW + 0.25)), caching_router()

    @router.get('/{number}')
    @cache(ttl=60.5)
    async def endpoint(number: int):
        return number

    app = FastAPI()
    app.include_router(router)
    for number in range(MAX_READY + 3):
        for _ in range(2):
            await asgi_call(app, asgi_scope(path=f'/{number}'))
    routes = [it for it in (*router.routes, *app.routes) if isinstance(it, CachingRoute)]
    (place,) = [it for route in routes for it in route._places._known.values()]
    assert 0 < len(place.plan.declared().ready) <= MAX_READY


async def test_an_override_has_heads_of_its_own():
    async def language():
        return 'en'

    cache, router = FastAPICache(MemoryCache(), clock=Clock(NOW + 0.25)), caching_router()

    @router.get('/')
    @cache(ttl=60.5)
    async def endpoint(response: Response, name: str = Depends(language)):
        response.headers['x-name'] = name
        return name

    app = FastAPI()
    app.include_router(router)

    async def named():
        start = (await asgi_call(app, asgi_scope()))[0]
        return dict(start['headers'])[b'x-name'], dict(start['headers']).get(b'x-cache')

    assert [await named() for _ in range(3)] == [(b'en', b'MISS'), (b'en', b'HIT'), (b'en', b'HIT')]
    app.dependency_overrides[language] = lambda: 'de'
    assert [await named() for _ in range(3)] == [(b'de', b'MISS'), (b'de', b'HIT'), (b'de', b'HIT')]
    app.dependency_overrides.clear()
    assert await named() == (b'en', b'HIT')
