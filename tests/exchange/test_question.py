"""Tables for what the endpoint is asked (RFC 9111 §4.3.1), and for what its 304 says of a lifetime."""

from typing import Annotated

import pytest
from fastapi import Header

from fastapi_caching_route._core.variants import Variants
from fastapi_caching_route._exchange.errand import Question, question
from fastapi_caching_route._exchange.stale import lifetime_after_304
from fastapi_caching_route._http.storing import Storable
from tests.exchange.values import LAST_MODIFIED, RANGE, TAG, call_to, entry, errand_of, found, plan_of, said

ACCEPT = (b'accept', b'*/*')
BY_TAG, BY_DATE = (b'if-none-match', b'"1"'), (b'if-modified-since', LAST_MODIFIED[1])
OF_THE_CLIENT = (b'if-none-match', b'"mine"')
IF_MATCH, IF_RANGE, NO_RANGE = (b'if-match', b'"mine"'), (b'if-range', b'"mine"'), (b'range', b'lines=1-2')

ROUTES = {
    'a route': {},
    'a route that revalidates': {'revalidate': True},
    'a route by the book': {'mode': 'rfc9111'},
}


async def by_range(range_: Annotated[str, Header(alias='range')] = ''):
    return 'response'


def asked(sent, *, route='a route that revalidates', method='GET', stale=None, variants=None, **options):
    """What the endpoint of a route is asked for a request with these headers."""
    call = call_to(plan_of(**ROUTES[route], **options), method, sent)
    return question(errand_of(call, stale=stale, variants=variants))


# Conditions of the client -----------------------------------------------------------------------------------


@pytest.mark.parametrize('method', ['GET', 'HEAD', 'POST'])
def test_a_route_that_does_not_revalidate_asks_as_its_client_does(method):
    sent = [ACCEPT, OF_THE_CLIENT, BY_DATE, IF_MATCH, RANGE, IF_RANGE]
    assert asked(sent, route='a route', method=method, stale=found(TAG)) == Question(sent)


@pytest.mark.parametrize('route', list(ROUTES)[1:])
@pytest.mark.parametrize('method', ['HEAD', 'POST'])
def test_only_a_get_is_revalidated(route, method):
    sent = [ACCEPT, OF_THE_CLIENT, RANGE]
    assert asked(sent, route=route, method=method, stale=found(TAG)) == Question(sent)


@pytest.mark.parametrize('route', list(ROUTES)[1:])
@pytest.mark.parametrize(
    ('sent', 'headers'),
    [
        pytest.param([ACCEPT], [ACCEPT], id='nothing'),
        pytest.param([ACCEPT, OF_THE_CLIENT, BY_DATE], [ACCEPT], id='the conditions that we answer'),
        pytest.param([IF_MATCH, OF_THE_CLIENT], [IF_MATCH], id='not those that only the endpoint can answer'),
        pytest.param([RANGE, IF_RANGE], [RANGE, IF_RANGE], id='no range'),
    ],
)
def test_what_is_withheld_where_nothing_is_stored(route, sent, headers):
    assert asked(sent, route=route) == Question(headers, withholds_preconditions=True)


# Conditions of ours -----------------------------------------------------------------------------------------


@pytest.mark.parametrize('route', list(ROUTES)[1:])
@pytest.mark.parametrize(
    ('stored', 'conditions'),
    [
        pytest.param([TAG], [BY_TAG], id='by its tag'),
        pytest.param([LAST_MODIFIED], [BY_DATE], id='by its date'),
        pytest.param([TAG, LAST_MODIFIED], [BY_TAG, BY_DATE], id='by both'),
        pytest.param([], [], id='it has no validator'),
        pytest.param([(b'etag', b'W/"1"')], [(b'if-none-match', b'W/"1"')], id='by a weak tag as it is'),
    ],
)
def test_the_endpoint_is_asked_whether_what_is_stored_still_holds(route, stored, conditions):
    made = asked([ACCEPT, OF_THE_CLIENT], route=route, stale=found(*stored))
    names = frozenset(name for name, _ in conditions)
    assert made == Question([ACCEPT, *conditions], names, withholds_preconditions=True)


def test_the_endpoint_is_not_asked_by_a_tag_that_it_has_not_made():
    made = asked([], stale=found(TAG, LAST_MODIFIED, tag_is_ours=True))
    assert made == Question([BY_DATE], frozenset({b'if-modified-since'}), withholds_preconditions=True)


def test_the_endpoint_is_asked_about_the_whole_of_what_is_stored():
    made = asked([RANGE, IF_RANGE, IF_MATCH], stale=found(TAG))
    assert made == Question([IF_MATCH, BY_TAG], frozenset({b'if-none-match'}), withholds_preconditions=True)
    without_validator = asked([RANGE, IF_RANGE], stale=found())
    assert without_validator == Question([RANGE, IF_RANGE], withholds_preconditions=True)


@pytest.mark.parametrize(
    'told',
    [
        pytest.param({'endpoint': by_range}, id='in the key'),
        pytest.param({'variants': Variants('key', (b'range',), 'token')}, id='by which responses vary'),
    ],
)
def test_a_range_by_which_entries_are_told_apart_is_asked_for(told):
    made = asked([RANGE, IF_RANGE], stale=found(TAG), **told)
    assert made.headers == [RANGE, BY_TAG]


# A range that is none ---------------------------------------------------------------------------------------


@pytest.mark.parametrize('route', ROUTES)
@pytest.mark.parametrize(
    ('ranges', 'headers'),
    [
        pytest.param([NO_RANGE, IF_RANGE], [], id='another unit'),
        pytest.param([(b'range', b'bytes=2-1')], [], id='its end before its beginning'),
        pytest.param([RANGE, RANGE], [], id='two of them'),
        pytest.param([RANGE, IF_RANGE], [RANGE, IF_RANGE], id='a valid one stays'),
        pytest.param([(b'range', b'bytes=0-1, -5')], [(b'range', b'bytes=0-1, -5')], id='so does a set of them'),
        pytest.param([IF_RANGE], [IF_RANGE], id='If-Range without a range is left alone'),
    ],
)
def test_a_range_that_a_hit_would_ignore_is_withheld(route, ranges, headers):
    assert asked([ACCEPT, *ranges], route=route).headers == [ACCEPT, *headers]


@pytest.mark.parametrize(
    'told',
    [
        pytest.param({'endpoint': by_range}, id='it is in the key'),
        pytest.param({'vary_headers': ['range']}, id='the user has named it'),
        pytest.param({'method': 'HEAD'}, id='a HEAD has no ranges'),
        pytest.param({'method': 'POST'}, id='a POST has no ranges'),
    ],
)
def test_a_range_that_is_none_stays_where_it_means_something_else(told):
    assert asked([NO_RANGE, IF_RANGE], route='a route', **told) == Question([NO_RANGE, IF_RANGE])


def test_a_range_is_withheld_without_the_preconditions_of_the_client():
    assert asked([NO_RANGE, OF_THE_CLIENT, IF_MATCH], route='a route') == Question([OF_THE_CLIENT, IF_MATCH])


def test_the_request_itself_is_left_as_it_is():
    sent = [ACCEPT, OF_THE_CLIENT, NO_RANGE]
    call = call_to(plan_of(revalidate=True), headers=sent)
    question(errand_of(call, stale=found(TAG)))
    assert call.scope['headers'] == sent


def test_the_other_demands_of_a_client_reach_the_endpoint():
    assert asked([said(b'no-cache')], stale=found(TAG)).headers == [said(b'no-cache'), BY_TAG]


# After a 304 ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('old', 'chosen', 'expected'),
    [
        pytest.param({}, None, Storable(60, 2, 3), id='by what the 304 says'),
        pytest.param(
            {'lifetime_was_chosen': True},
            None,
            Storable(5, 2, 3, lifetime_was_chosen=True),
            id='the endpoint chose a lifetime and does not repeat it',
        ),
        pytest.param({'lifetime_was_chosen': True}, 60, Storable(60, 2, 3), id='the endpoint chooses anew'),
        pytest.param({'lifetime_was_chosen': True}, 0, Storable(60, 2, 3), id='even a lifetime of zero'),
    ],
)
def test_how_long_a_response_is_fresh_after_a_304(old, chosen, expected):
    assert lifetime_after_304(Storable(60, 2, 3), entry(lifetime=5, **old), chosen) == expected
