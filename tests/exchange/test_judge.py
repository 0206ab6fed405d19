"""Tables for `judge`, and for the two ways that lead from it to a response: `at_once`, and `Exchange._decide`."""

import dataclasses
import math

import pytest
from fastapi import Depends
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from fastapi_caching_route._concurrency.flights import Instead
from fastapi_caching_route._core.variants import Variants
from fastapi_caching_route._exchange.exchange import Exchange, Forward, Reply
from fastapi_caching_route._exchange.herd import Herd
from fastapi_caching_route._exchange.hit import Hit, at_once
from fastapi_caching_route._exchange.lookup import Looked, Seen, begins_with_the_body, judge, look_up
from fastapi_caching_route._exchange.plan import RunOptions
from fastapi_caching_route._http.reuse import NO_DEMAND, Demand, Use
from fastapi_caching_route._store.visit import Found
from tests.exchange.values import NOW, call_to, found, plan_of, result_of, stored_under
from tests.support import asgi_scope, patient

PLAIN = RunOptions(collapse=True, collapse_timeout=10.0, lock=False, eager_refresh=None, endpoint_timeout=None)
EAGER = dataclasses.replace(PLAIN, eager_refresh=0.5)
"""Renews an entry of 60 seconds when it is 30 to 45 seconds old, in each process at another moment."""


# One judgement ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('stored', 'expected'),
    [
        pytest.param({'age': 10}, (Use.ANSWER, 10, 50), id='fresh (RFC 9111 4.2)'),
        pytest.param({'age': -10}, (Use.ANSWER, 0, 60), id='a clock that was set back makes nothing younger than new'),
        pytest.param({'age': 60}, (Use.VALIDATE, 60, 0), id='stale at the end of its lifetime'),
        pytest.param({'age': 10, 'must_validate': True}, (Use.VALIDATE, 10, 50), id='no-cache (RFC 9111 5.2.2.4)'),
        pytest.param({'age': 64, 'stale_while_revalidate': 5.0}, (Use.RENEW, 64, -4), id='in its window (RFC 5861 3)'),
        pytest.param({'age': 65, 'stale_while_revalidate': 5.0}, (Use.VALIDATE, 65, -5), id='the window is over'),
        pytest.param({'age': 64, 'stale_if_error': 5.0}, (Use.VALIDATE, 64, -4), id='the window for failures is none'),
        pytest.param(
            {'age': 64, 'must_validate': True, 'stale_while_revalidate': 5.0},
            (Use.VALIDATE, 64, -4),
            id='no-cache in its window',
        ),
        pytest.param({'age': 64, 'stale_if_accepted': True}, (Use.VALIDATE, 64, -4), id='nobody accepts what is stale'),
        pytest.param({'age': 10, 'stale_at': NOW + 20}, (Use.ANSWER, 10, 20), id='it will be made stale'),
        pytest.param({'age': 50, 'stale_at': NOW + 20}, (Use.ANSWER, 50, 10), id='it is stale before that by its age'),
        pytest.param({'age': 10, 'stale_at': NOW}, (Use.VALIDATE, 10, 0), id='it was made stale now'),
        pytest.param(
            {'age': 10, 'stale_at': NOW - 4, 'stale_while_revalidate': 5.0},
            (Use.RENEW, 10, -4),
            id='the window counts from when it was made stale',
        ),
        pytest.param(
            {'age': 10, 'stale_at': NOW - 5, 'stale_while_revalidate': 5.0}, (Use.VALIDATE, 10, -5), id='and ends'
        ),
    ],
)
def test_what_may_be_done_with_an_entry_by_its_age(stored, expected):
    assert judge(found(**stored), NOW, NO_DEMAND, PLAIN) == expected


@pytest.mark.parametrize(
    ('demand', 'stored', 'use'),
    [
        pytest.param(Demand(no_cache=True), {}, Use.VALIDATE, id='5.2.1.4'),
        pytest.param(Demand(max_age=9), {}, Use.VALIDATE, id='5.2.1.1 it is older'),
        pytest.param(Demand(max_age=10), {}, Use.ANSWER, id='5.2.1.1 it is as old'),
        pytest.param(Demand(max_age=59), {'age': -10}, Use.ANSWER, id='5.2.1.1 it is new'),
        pytest.param(Demand(min_fresh=51), {}, Use.VALIDATE, id='5.2.1.3 for too short a time'),
        pytest.param(Demand(min_fresh=50), {}, Use.ANSWER, id='5.2.1.3 for just so long'),
        pytest.param(Demand(min_fresh=20), {'stale_at': NOW + 19}, Use.VALIDATE, id='5.2.1.3 it is to be made stale'),
        pytest.param(
            Demand(max_stale=4), {'age': 64, 'stale_if_accepted': True}, Use.ANSWER, id='5.2.1.2 as stale as accepted'
        ),
        pytest.param(Demand(max_stale=3), {'age': 64, 'stale_if_accepted': True}, Use.VALIDATE, id='5.2.1.2 staler'),
        pytest.param(Demand(max_stale=math.inf), {'age': 64}, Use.VALIDATE, id='5.2.1.2 the response forbids it'),
        pytest.param(
            Demand(max_stale=3),
            {'age': 64, 'stale_if_accepted': True, 'stale_while_revalidate': 5.0},
            Use.RENEW,
            id='5.2.1.2 staler and in its window',
        ),
        pytest.param(Demand(only_if_cached=True), {}, Use.ANSWER, id='5.2.1.7 says nothing of an entry'),
        pytest.param(
            Demand(max_age=60), {'age': 64, 'stale_while_revalidate': 5.0}, Use.VALIDATE, id='5.2.1.1 in its window'
        ),
    ],
)
def test_the_demand_of_a_client_counts(demand, stored, use):
    assert judge(found(**({'age': 10} | stored)), NOW, demand, PLAIN)[0] is use


@pytest.mark.parametrize(
    ('stored', 'demand', 'use'),
    [
        pytest.param({'age': 29}, NO_DEMAND, Use.ANSWER, id='before its share of the lifetime'),
        pytest.param({'age': 45}, NO_DEMAND, Use.REFRESH, id='when every process has reached its moment'),
        pytest.param({'age': 59}, NO_DEMAND, Use.REFRESH, id='until it is stale'),
        pytest.param({'age': 60}, NO_DEMAND, Use.VALIDATE, id='not when it is stale'),
        pytest.param({'age': 61, 'stale_while_revalidate': 5.0}, NO_DEMAND, Use.RENEW, id='which is a renewal'),
        pytest.param({'age': 45, 'must_validate': True}, NO_DEMAND, Use.VALIDATE, id='not with no-cache'),
        pytest.param({'age': 45}, Demand(max_age=44), Use.VALIDATE, id='not where the client forbids it'),
        pytest.param({'age': 45}, Demand(max_age=45), Use.REFRESH, id='whatever else the client demands'),
        pytest.param({'age': 10, 'stale_at': NOW + 1}, NO_DEMAND, Use.ANSWER, id='it goes by age alone'),
    ],
)
def test_an_entry_is_refreshed_before_it_is_stale(stored, demand, use):
    assert judge(found(**stored), NOW, demand, EAGER)[0] is use


# What is done with what was seen ----------------------------------------------------------------------------


VARIANTS = Variants('key', (b'accept',), 'token')


def decided(stored, demand=NO_DEMAND, *, plan=None, variants=None, body=b''):
    """What the exchange makes of an entry, for a request with this body."""
    call = call_to(plan or plan_of(), body=patient(body))
    seen = Seen(stored, variants, 0, call.plan.runtime.store.visit())
    return result_of(Exchange(call, Herd(call))._decide(seen, demand))


@pytest.mark.parametrize(
    ('stored', 'demand', 'why'),
    [
        pytest.param({'age': 60}, NO_DEMAND, b'stale', id='stale'),
        pytest.param({'age': 10, 'stale_at': NOW}, NO_DEMAND, b'stale', id='made stale'),
        pytest.param({'age': 10, 'must_validate': True}, NO_DEMAND, b'stale', id='it must always be validated'),
        pytest.param({'age': 10}, Demand(no_cache=True), b'request', id='the client wants it validated'),
        pytest.param({'age': 10}, Demand(max_age=5), b'request', id='the client wants a younger one'),
        pytest.param({'age': 60}, Demand(no_cache=True), b'stale', id='stale for every client'),
    ],
)
def test_the_endpoint_is_asked_about_what_is_stored(stored, demand, why):
    old = found(**stored)
    assert decided(old, demand) == Forward(why, old)


def test_the_endpoint_is_asked_where_nothing_is_stored():
    assert decided(None) == Forward(b'uri-miss', None)
    assert decided(None, variants=VARIANTS) == Forward(b'vary-miss', None)


@pytest.mark.parametrize(
    ('stored', 'body', 'expected'),
    [
        pytest.param({'age': 10}, b'', {'age': 10, 'left': 50}, id='fresh'),
        pytest.param({'age': 10}, b'b' * 100, {'age': 10, 'left': 50}, id='fresh and nobody reads the body'),
        pytest.param({'age': 45}, b'', {'age': 45, 'left': 15, 'renews': True}, id='refreshed'),
        pytest.param({'age': 45}, b'b' * 100, {'age': 45, 'left': 15}, id='a body too large to be sent once more'),
        pytest.param(
            {'age': 61, 'stale_while_revalidate': 5.0}, b'b', {'age': 61, 'left': -1, 'renews': True}, id='renewed'
        ),
        pytest.param({'age': 61, 'stale_while_revalidate': 5.0}, b'b' * 100, None, id='stale with such a body'),
    ],
)
def test_an_entry_answers_and_is_renewed_if_the_request_can_be_sent_once_more(stored, body, expected):
    old = found(**stored)
    made = decided(old, plan=plan_of(eager_refresh=0.5, max_body_size=99), body=body)
    assert made == (Forward(b'stale', old) if expected is None else Reply(old.entry, **expected))


@pytest.mark.parametrize(
    ('stored', 'demand', 'bridges'),
    [
        pytest.param({'age': 64}, NO_DEMAND, True, id='inside of its window for failures'),
        pytest.param({'age': 65}, NO_DEMAND, False, id='its window is over'),
        pytest.param({'age': 64}, Demand(max_stale=9), False, id='the client demands something'),
        pytest.param({'age': 10, 'must_validate': True}, NO_DEMAND, False, id='fresh and to be validated'),
        pytest.param({'age': 10, 'stale_at': NOW - 1}, NO_DEMAND, True, id='made stale'),
    ],
)
def test_a_stale_entry_bridges_an_endpoint_that_failed_a_moment_ago(stored, demand, bridges):
    plan, old = plan_of(), found(stale_if_error=5.0, **stored)
    asked = Forward(b'stale', old)
    assert decided(old, demand, plan=plan) == asked
    plan.runtime.failing.begin(call_to(plan).key, NOW, 1)
    made = decided(old, demand, plan=plan)
    _, left = old.age_and_left(NOW)
    assert made == (Reply(old.entry, stored['age'], left, detail='stale-if-error') if bridges else asked)


# Two ways, one judgement ------------------------------------------------------------------------------------


seconds = st.floats(0, 100) | st.sampled_from([0.0, 30.0, 45.0, 60.0])
entries = st.fixed_dictionaries(
    {
        'age': st.floats(-10, 200) | st.sampled_from([0.0, 30.0, 45.0, 60.0, 65.0]),
        'lifetime': seconds,
        'stale_while_revalidate': seconds,
        'stale_if_error': seconds,
        'stale_if_accepted': st.booleans(),
        'must_validate': st.booleans(),
        'status': st.sampled_from([200, 404, 503]),
        'names': st.sampled_from([(), ('mine',)]),
    }
)
requests = st.tuples(
    st.sampled_from(['GET', 'HEAD']),
    st.lists(st.sampled_from([(b'if-none-match', b'"1"'), (b'range', b'bytes=1-2'), (b'accept', b'*/*')]), unique=True),
)


async def sent_by(reply, call):
    """The messages of a reply."""
    sent = []

    async def send(message):
        sent.append(message)

    call.client.send = send
    await Exchange(call, Herd(call))._reply(reply)
    return tuple(sent)


@settings(deadline=None)
@given(
    entries,
    requests,
    st.sampled_from([None, 0.5]),
    st.none() | st.floats(-100, 100),
    st.booleans(),
)
async def test_the_short_way_answers_just_where_the_long_way_replies_without_a_renewal(
    stored, request, eager, softened, is_invalidated
):
    plan, (method, headers) = plan_of(eager_refresh=eager), request
    call = call_to(plan, method, headers)
    store = plan.runtime.store
    stored_under(call, **stored)
    if softened is not None:
        result_of(store.invalidate(['mine'], soft_at=NOW + softened))
    if is_invalidated:
        result_of(store.invalidate(['mine']))
    result = at_once(plan, call.declared, call.scope)
    seen = result_of(look_up(call))
    looked = Looked(result.keys, result.found) if isinstance(result, Hit) else result
    assert looked == Looked((call.own_key, call.key), seen.found)
    assert replace(result_of(look_up(call, looked)), asked_at=seen.asked_at) == seen
    way = result_of(Exchange(call, Herd(call))._decide(seen, NO_DEMAND))
    assert isinstance(result, Hit) == (isinstance(way, Reply) and not way.renews)
    if isinstance(result, Hit):
        assert (way.age, way.left) == judge(seen.found, NOW, NO_DEMAND, plan.run_options)[1:]
        assert (result.start, result.body) == result_of(sent_by(way, call))


@pytest.mark.parametrize(
    ('options', 'method', 'is_looked_up'),
    [
        pytest.param({}, 'GET', True, id='none of it'),
        pytest.param({'skip': lambda _: False}, 'GET', False, id='skip may bypass the cache'),
        pytest.param({'key_builder': lambda _: 'one'}, 'GET', False, id='a key builder has to be asked'),
        pytest.param({'identity': lambda _: 'one'}, 'GET', False, id='an identity callable has to be asked'),
        pytest.param({'vary_headers': ['accept']}, 'GET', True, id='a header is in the key'),
        pytest.param({}, 'PUT', False, id='responses to this method are not cached'),
        pytest.param({'client_cache_control': True}, 'GET', True, id='the request may demand something'),
        pytest.param({'dependencies': [Depends(lambda: None)]}, 'GET', True, id='a guard runs before it is sent'),
    ],
)
def test_the_short_way_answers_only_where_nobody_has_to_be_asked(options, method, is_looked_up):
    plan = plan_of(**options)
    call = call_to(plan, method)
    stored_under(call)
    result = at_once(plan, call.declared, call.scope)
    assert (result is not None) is is_looked_up
    assert isinstance(result, Hit) is (options.keys() <= {'vary_headers', 'dependencies'} and method == 'GET')


async def test_the_short_way_answers_from_what_is_stale_only_while_it_is_renewed():
    plan = plan_of()
    call = call_to(plan)
    stored_under(call, age=61, stale_while_revalidate=5)
    assert isinstance(at_once(plan, call.declared, call.scope).stored, Found)
    flight = plan.runtime.flights.lead(call.key)
    assert isinstance(at_once(plan, call.declared, call.scope), Hit)
    flight.land(Instead.LEAD)
    assert not isinstance(at_once(plan, call.declared, call.scope), Hit)
    plan.runtime.unrenewable.lengthen(call.key, NOW)  # its renewal has failed a moment ago
    assert isinstance(at_once(plan, call.declared, call.scope), Hit)


async def test_the_short_way_answers_nothing_stale_that_has_to_be_validated():
    plan = plan_of()
    call = call_to(plan)
    stored_under(call, age=61)
    plan.runtime.flights.lead(call.key)
    assert not isinstance(at_once(plan, call.declared, call.scope), Hit)


def test_the_short_way_waits_for_a_body_that_is_in_the_key():
    async def wanted(names: list[str]):
        return names

    plan = plan_of(wanted)
    call = call_to(plan, 'POST')
    assert begins_with_the_body(plan, call.declared, call.scope)
    assert at_once(plan, call.declared, call.scope) is None
    assert at_once(plan, call.declared, call.scope, body=b'[]').keys == call.declared.keys.of(call.scope, b'[]')
    for options in ({'skip': lambda _: False}, {'key_builder': lambda _: 'one'}):
        assert not begins_with_the_body(plan_of(wanted, **options), plan_of(wanted, **options).declared(), call.scope)
    assert not begins_with_the_body(plan, call.declared, asgi_scope('PUT'))


def test_the_short_way_answers_nothing_while_the_cache_is_disabled():
    plan = plan_of()
    call = call_to(plan)
    stored_under(call)
    plan.runtime.switch.times_off = 1
    assert at_once(plan, call.declared, call.scope) is None
