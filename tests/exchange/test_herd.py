"""Tables for `_exchange/herd.py`: what one request among others does, where it need not wait to know it."""

import asyncio

import pytest

from fastapi_caching_route._concurrency.flights import Instead
from fastapi_caching_route._core.variants import Brought, Variants
from fastapi_caching_route._exchange.herd import MAX_ATTEMPTS, Alone, Follow, Herd, Lead, LookAgain, _NextFlight
from fastapi_caching_route._exchange.lookup import Seen
from fastapi_caching_route._http.reuse import NO_DEMAND, Demand
from tests.exchange.values import NOW, RANGE, call_to, entry, plan_of, said

AUTHORIZATION = (b'authorization', b'Bearer 1')
BY_LANGUAGE = Variants('GET:/', (b'accept-language',), 'token')
ENGLISH, FRENCH = (b'accept-language', b'en'), (b'accept-language', b'fr')


def herd_of(*, method='GET', headers=(), **route):
    """A request among others, and its call."""
    call = call_to(plan_of(**route), method, headers)
    return Herd(call), call


def seen_by(call, *, variants=None):
    """Nothing was found."""
    runtime = call.plan.runtime
    return Seen(None, variants, runtime.flights.brought_so_far, runtime.store.visit())


def variant_of(call, *, variants=BY_LANGUAGE):
    return Herd(call).flight_key(variants)


# To lead or not ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    'told',
    [
        pytest.param({}, id='a GET'),
        pytest.param({'method': 'POST'}, id='a POST'),
        pytest.param({'headers': [(b'accept', b'*/*')]}, id='another header'),
        pytest.param({'headers': [(b'if-none-match', b'"1"')]}, id='a condition that is answered from the whole'),
        pytest.param({'headers': [said(b'max-age=0')]}, id='a demand that the route does not heed'),
        pytest.param({'headers': [AUTHORIZATION], 'identity': 'shared'}, id='a credential that tells nothing apart'),
    ],
)
async def test_the_first_request_leads(told):
    herd, call = herd_of(**told)
    joined = await herd.join(seen_by(call), NO_DEMAND)
    assert isinstance(joined, Lead)
    assert joined.variants is None
    assert call.plan.runtime.flights.under_way(call.key, 10) is joined.flight
    assert joined.flight.is_led


@pytest.mark.parametrize(
    'told',
    [
        pytest.param({'method': 'HEAD'}, id='a response to HEAD has no body for others'),
        pytest.param({'headers': [RANGE]}, id='a part is not for others'),
        pytest.param({'headers': [AUTHORIZATION], 'reads': 'all'}, id='a credential that is in no key'),
        pytest.param({'headers': [said(b'no-store')]}, id='the request forbids to store'),
        pytest.param({'collapse': False}, id='the route does not want it'),
    ],
)
async def test_a_request_whose_response_is_not_for_others_goes_alone(told):
    herd, call = herd_of(**told)
    assert await herd.join(seen_by(call, variants=BY_LANGUAGE), NO_DEMAND) == Alone(BY_LANGUAGE)
    assert len(call.plan.runtime.flights) == 0


async def test_a_request_with_a_demand_goes_alone():
    herd, call = herd_of()
    assert await herd.join(seen_by(call), Demand(max_age=5)) == Alone(None)


@pytest.mark.parametrize(
    ('key', 'began_at', 'expected'),
    [
        pytest.param(None, NOW - 9, Alone, id='its pause'),
        pytest.param(None, NOW - 10, Lead, id='its pause is over'),
        pytest.param('another key', NOW, Lead, id='the pause of another key'),
    ],
)
async def test_a_request_goes_alone_while_its_key_cannot_be_shared(key, began_at, expected):
    herd, call = herd_of()
    call.plan.runtime.unshareable.begin(key or call.key, began_at, 10)
    assert isinstance(await herd.join(seen_by(call), NO_DEMAND), expected)


async def test_a_request_leads_for_its_variant_alone():
    herd, call = herd_of(headers=[ENGLISH])
    joined = await herd.join(seen_by(call, variants=BY_LANGUAGE), NO_DEMAND)
    flights = call.plan.runtime.flights
    assert joined == Lead(joined.flight, BY_LANGUAGE)
    assert flights.under_way(variant_of(call), 10) is joined.flight
    assert flights.under_way(call.key, 10) is None


# After another one ------------------------------------------------------------------------------------------


@pytest.mark.parametrize('told', [{}, {'method': 'HEAD'}, {'headers': [RANGE]}, {'headers': [AUTHORIZATION]}])
async def test_a_request_looks_again_if_a_flight_has_brought_something_since_it_looked(told):
    herd, call = herd_of(**told)
    seen, flights = seen_by(call), call.plan.runtime.flights
    flights.lead(call.key).land(Brought(entry(key=call.key), None))
    assert await herd.join(seen, NO_DEMAND) is LookAgain.LOOK_AGAIN


@pytest.mark.parametrize(
    ('key', 'outcome'),
    [
        pytest.param('another key', Brought(entry(), None), id='for another key'),
        pytest.param(None, Instead.FORWARD, id='nothing that can be shared'),
        pytest.param(None, Instead.LEAD, id='nothing'),
    ],
)
async def test_a_request_leads_if_the_flight_has_brought_nothing_for_it(key, outcome):
    herd, call = herd_of()
    seen, flights = seen_by(call), call.plan.runtime.flights
    flights.lead(key or call.key).land(outcome)
    assert isinstance(await herd.join(seen, NO_DEMAND), Lead)


async def test_a_request_leads_if_it_has_looked_since_the_flight_has_landed():
    herd, call = herd_of()
    call.plan.runtime.flights.lead(call.key).land(Brought(entry(key=call.key), None))
    assert isinstance(await herd.join(seen_by(call), NO_DEMAND), Lead)


async def test_a_request_goes_alone_after_so_many_attempts():
    herd, call = herd_of()
    seen = seen_by(call)
    for _ in range(MAX_ATTEMPTS):
        joined = await herd.join(seen, NO_DEMAND)
        assert isinstance(joined, Lead)
        joined.flight.land(Instead.LEAD)
    assert await herd.join(seen, NO_DEMAND) == Alone(None)


async def test_a_request_does_not_follow_a_flight_that_never_ends():
    herd, call = herd_of(collapse_timeout=0)
    older = call.plan.runtime.flights.lead(call.key)
    joined = await herd.join(seen_by(call), NO_DEMAND)
    assert isinstance(joined, Lead)
    assert joined.flight is not older


# Behind a flight --------------------------------------------------------------------------------------------


OWN, STORED = entry(key='GET:/'), entry([(b'vary', b'accept-language')], key='another')


@pytest.mark.parametrize(
    ('outcome', 'expected'),
    [
        pytest.param(Brought(OWN, None), Follow(OWN), id='it has brought the entry'),
        pytest.param(Brought(STORED, BY_LANGUAGE), _NextFlight(BY_LANGUAGE), id='it has brought another variant'),
        pytest.param(Instead.LEAD, _NextFlight(None), id='it has brought nothing'),
        pytest.param(Instead.LOOK_UP, LookAgain.LOOK_AGAIN, id='something stale may answer'),
        pytest.param(Instead.FORWARD, Alone(None), id='what it has brought must not be shared'),
    ],
)
async def test_what_a_request_does_when_the_flight_has_landed(outcome, expected):
    herd, call = herd_of()
    flight = call.plan.runtime.flights.lead(call.key)
    flight.land(outcome)
    assert await herd._follow(flight, None) == expected


@pytest.mark.parametrize(
    ('outcome', 'expected'),
    [
        pytest.param(Instead.LEAD, _NextFlight(BY_LANGUAGE), id='it has brought nothing'),
        pytest.param(Instead.FORWARD, Alone(BY_LANGUAGE), id='what it has brought must not be shared'),
        pytest.param(Brought(OWN, None), Follow(OWN), id='they do not vary any more'),
    ],
)
async def test_what_is_known_of_variants_goes_on(outcome, expected):
    herd, call = herd_of(headers=[ENGLISH])
    flight = call.plan.runtime.flights.lead(call.key)
    flight.land(outcome)
    assert await herd._follow(flight, BY_LANGUAGE) == expected


@pytest.mark.parametrize('sent', [ENGLISH, FRENCH])
async def test_a_request_follows_only_a_flight_with_its_own_variant(sent):
    _, leader = herd_of(headers=[ENGLISH])
    brought = Brought(entry(key=variant_of(leader)), BY_LANGUAGE)
    herd, call = herd_of(headers=[sent])
    flight = call.plan.runtime.flights.lead(call.key)
    flight.land(brought)
    expected = Follow(brought.entry) if sent is ENGLISH else _NextFlight(BY_LANGUAGE)
    assert await herd._follow(flight, None) == expected


async def test_a_request_that_comes_while_the_response_is_stored_looks_it_up():
    herd, call = herd_of()
    flight = call.plan.runtime.flights.lead(call.key)
    flight.is_storing = True  # an invalidation may have come since the marks were checked
    flight.land(Brought(OWN, None))
    assert await herd._follow(flight, None) is LookAgain.LOOK_AGAIN


@pytest.mark.parametrize('is_storing', [False, True])
async def test_a_request_that_has_waited_long_enough_goes_alone(is_storing):
    herd, call = herd_of()
    flight = call.plan.runtime.flights.lead(call.key)
    flight.is_storing = is_storing
    following = herd._follow(flight, BY_LANGUAGE)  # its time is over from the beginning
    assert await asyncio.wait_for(following, 5) == Alone(BY_LANGUAGE)
    assert flight.followers == 0


# Across processes -------------------------------------------------------------------------------------------


async def test_there_is_no_lock_in_a_store_of_one_process():
    herd, call = herd_of(lock=True)
    assert herd.lock(call.plan.runtime.flights.lead(call.key), None) is None
