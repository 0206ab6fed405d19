"""Tables for `_exchange/verdict.py`: what becomes of a response. Values in, a value out; nothing runs."""

from itertools import combinations
from typing import Annotated

import pytest
from fastapi import Depends, Header, Request

from fastapi_caching_route._core.reasons import Extent
from fastapi_caching_route._exchange.errand import Response
from fastapi_caching_route._exchange.verdict import (
    PassOn,
    Record,
    _may_be_about_a_part,
    extent_of,
    hidden_reason,
    outlasts_a_failure,
    storable_by_head,
    verdict,
)
from fastapi_caching_route._http.storing import Refused, Storable
from tests.exchange.values import (
    LAST_MODIFIED,
    NOW,
    RANGE,
    TAG,
    call_to,
    errand_of,
    evidence_of,
    found,
    head_of,
    plan_of,
    said,
    snapshot_of,
)

AUTHORIZATION = (b'authorization', b'Bearer 1')
SEEN_BY_ALL = {'sent': [AUTHORIZATION], 'route': {'reads': 'all'}}
COOKIE = (b'set-cookie', b'a=1')
EVENTS = (b'content-type', b'text/event-stream')
NONE_MATCH, SINCE = (b'if-none-match', b'"1"'), (b'if-modified-since', LAST_MODIFIED[1])
ILLEGAL = ('set', b'x-name', b'two\r\nlines')

BOOK, REVALIDATED = {'mode': 'rfc9111'}, {'revalidate': True}
WINDOWS = {'stale_while_revalidate': 2.0, 'stale_if_error': 3.0}


async def raw(request: Request):
    return 'response'


async def authorized(authorization: Annotated[str, Header()]):
    return 'response'


def run_of(status=200, *headers, method='GET', sent=(), route=(), stale=None, wishes=(), before=(), written=(), **seen):
    """A run of the endpoint whose response has this status and these headers; the rest is what was so besides.

    `sent` are the headers of the request, and `before` is the session before the run.
    """
    errand = errand_of(call_to(plan_of(**dict(route)), method, sent), stale=stale, **dict(wishes))
    response = Response(errand, snapshot_of(errand, **dict(before)), head_of(status, *headers))
    return response, evidence_of(*written, **seen)


def hidden(status=200, **told):
    return hidden_reason(*run_of(status, **told))


# What the headers of the response do not show ---------------------------------------------------------------


@pytest.mark.parametrize(
    ('told', 'reason'),
    [
        pytest.param({}, None, id='nothing is against it'),
        pytest.param({'method': 'HEAD'}, 'head', id='a response to HEAD has no body for a GET'),
        pytest.param({'method': 'POST'}, None, id='a POST is stored where somebody has decorated it'),
        pytest.param({'session': {'user': 1}}, 'session', id='the endpoint has changed the session'),
        pytest.param({'before': {'user': 1}}, 'session', id='the endpoint has emptied the session'),
        pytest.param({'before': {'user': 1}, 'session': {'user': 1}}, None, id='the session is as it was before'),
        pytest.param({'wishes': {'tags': {'a', 'b'}}}, None, id='tags are texts'),
        pytest.param({'wishes': {'tags': {'a', 1}}}, 'tags', id='a tag is no text'),
        pytest.param({'is_admitted': False}, 'status', id='a guard has answered in place of the endpoint'),
        pytest.param(
            {'status': 503, 'stale': found(age=61, stale_if_error=5.0)},
            'status',
            id='a failure does not replace a response that may stand in for it',
        ),
        pytest.param(
            {'status': 503, 'stale': found(age=61, stale_if_error=5.0), 'now': NOW + 9},
            None,
            id='a failure replaces a response whose window is over by now',
        ),
        pytest.param({'status': 400, 'sent': [RANGE]}, 'precondition', id='a range may be what was wrong'),
        pytest.param({'status': 400}, None, id='a request without a range was wrong by itself'),
        pytest.param(
            {'sent': [RANGE], 'route': {'endpoint': raw}}, None, id='a response that is no error is not about a range'
        ),
        pytest.param({'doubt': 'incomplete'}, 'incomplete', id='a doubt is the reason'),
        pytest.param({'wishes': {'refused': 'mine'}}, 'mine', id='the endpoint does not want it stored'),
        pytest.param({'written': [ILLEGAL]}, 'header', id='a header was written that no server can send'),
        pytest.param({'written': [('delete', b'x-name', b'')]}, None, id='a header that is deleted has no value'),
    ],
)
def test_a_reason_that_the_headers_do_not_show(told, reason):
    assert hidden(**told) == reason


FAULTS = {
    'head': {'method': 'HEAD'},
    'session': {'before': {'user': 1}},
    'tags': {'wishes': {'tags': {1}}},
    'status': {'is_admitted': False},
    'precondition': {'sent': [RANGE], 'status': 400},
    'disconnected': {'doubt': 'disconnected'},
    'no-store': {'wishes': {'refused': 'no-store'}},
    'header': {'written': [ILLEGAL]},
}
"""One fault for each reason, in the order in which they count."""


@pytest.mark.parametrize(('first', 'second'), list(combinations(FAULTS, 2)))
def test_of_two_reasons_the_one_that_is_nearer_to_the_request_counts(first, second):
    wishes = {name: it for fault in (first, second) for name, it in FAULTS[fault].get('wishes', {}).items()}
    assert hidden(**(FAULTS[first] | FAULTS[second] | {'wishes': wishes})) == first


# The verdict ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('head', 'told', 'reason'),
    [
        pytest.param((200,), {}, None, id='nothing is against it'),
        pytest.param((200, (b'x-name', b'\n')), {}, 'header', id='no server can send it'),
        pytest.param((200, EVENTS), {}, 'live', id='a live stream'),
        pytest.param((418,), {}, 'status', id='a status that is not accepted'),
        pytest.param((418, said(b'max-age=9')), {'route': BOOK}, None, id='by the book any status is accepted'),
        pytest.param((418,), {'route': BOOK}, 'freshness', id='by the book a lifetime is needed'),
        pytest.param((200, (b'content-range', b'bytes 0-1/9')), {}, 'partial', id='a part'),
        pytest.param((200, COOKIE), {}, 'set-cookie', id='a cookie'),
        pytest.param((200, said(b'no-store')), {}, 'no-store', id='the response forbids it'),
        pytest.param((200,), {'sent': [said(b'no-store')]}, 'no-store', id='the request forbids it'),
        pytest.param((200, said(b'private')), {}, 'private', id='it is for one client'),
        pytest.param((200, said(b'no-cache')), {}, 'no-cache', id='it cannot be validated'),
        pytest.param((200, (b'vary', b'*')), {}, 'vary', id='it varies with anything'),
        pytest.param((200,), SEEN_BY_ALL, 'authorization', id='a credential that is in no key'),
        pytest.param((200,), {'route': {'ttl': 0}}, 'ttl', id='a lifetime of zero'),
        pytest.param((200, (b'content-length', b'9')), {'route': {'max_body_size': 8}}, 'size', id='too large'),
        pytest.param((200, COOKIE), {'method': 'HEAD'}, 'head', id='what is hidden counts before the headers'),
        pytest.param((404, COOKIE), {'doubt': 'incomplete'}, 'incomplete', id='so does a doubt'),
    ],
)
def test_a_response_is_recorded_or_passed_on_with_its_reason(head, told, reason):
    way = verdict(*run_of(*head, **told))
    assert way == PassOn(reason) if reason else isinstance(way, Record)


def test_a_response_is_recorded_with_what_makes_it_storable():
    assert verdict(*run_of(route=WINDOWS | {'ttl': 9})) == Record(Storable(9, 2, 3))


@pytest.mark.parametrize(
    ('told', 'way'),
    [
        pytest.param({'sent': [NONE_MATCH]}, PassOn('no-store', is_not_modified=True), id='If-None-Match names it'),
        pytest.param({'sent': [SINCE]}, PassOn('no-store', is_not_modified=True), id='If-Modified-Since is its date'),
        pytest.param({'sent': [(b'if-none-match', b'"2"')]}, PassOn('no-store'), id='If-None-Match names another'),
        pytest.param({}, PassOn('no-store'), id='the client asks without a condition'),
        pytest.param({'sent': [NONE_MATCH], 'route': ()}, PassOn('no-store'), id='the endpoint was asked itself'),
        pytest.param({'sent': [NONE_MATCH], 'method': 'POST'}, PassOn('no-store'), id='a POST has no condition'),
        pytest.param({'sent': [NONE_MATCH], 'status': 404}, PassOn('status'), id='only a 200 becomes a 304'),
        pytest.param(
            {'sent': [NONE_MATCH], 'route': BOOK}, PassOn('no-store', is_not_modified=True), id='by the book always'
        ),
        pytest.param(
            {'sent': [NONE_MATCH], 'is_admitted': False},
            PassOn('status', is_not_modified=True),
            id='whatever the reason is',
        ),
    ],
)
def test_a_client_that_has_what_is_passed_on_gets_a_304_if_its_condition_was_withheld(told, way):
    told = {'status': 200, 'route': REVALIDATED} | told
    assert verdict(*run_of(told.pop('status'), TAG, LAST_MODIFIED, said(b'no-store'), **told)) == way


# What the head says, and the endpoint -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ('route', 'wishes', 'expected'),
    [
        pytest.param({}, {}, Storable(60), id='the ttl of the route'),
        pytest.param({}, {'ttl': 5}, Storable(5, lifetime_was_chosen=True), id='the endpoint has chosen a lifetime'),
        pytest.param({}, {'ttl': 0}, Refused('ttl'), id='the endpoint has chosen none'),
        pytest.param({'ttl': 0}, {'ttl': 5}, Storable(5, lifetime_was_chosen=True), id='though the route says zero'),
        pytest.param(WINDOWS, {}, Storable(60, 2, 3), id='the windows of the route'),
        pytest.param(WINDOWS, {'stale_while_revalidate': 7.0}, Storable(60, 7, 3), id='another window for renewals'),
        pytest.param(WINDOWS, {'stale_if_error': 7.0}, Storable(60, 2, 7), id='another window for failures'),
        pytest.param(WINDOWS, dict.fromkeys(WINDOWS, 0.0), Storable(60), id='no windows'),
    ],
)
def test_the_wishes_of_the_endpoint_count_before_the_route(route, wishes, expected):
    response, _ = run_of(route=route, wishes=wishes)
    assert storable_by_head(response.errand, (), response.head) == expected


@pytest.mark.parametrize(
    ('route', 'request_headers', 'expected'),
    [
        pytest.param({'reads': 'all'}, [AUTHORIZATION], Refused('authorization'), id='a credential that is in no key'),
        pytest.param({'endpoint': authorized}, [AUTHORIZATION], Storable(60), id='a credential that is in the key'),
        pytest.param({'identity': 'shared'}, [AUTHORIZATION], Storable(60), id='the route says who shares'),
        pytest.param({}, [said(b'no-store')], Refused('no-store'), id='the request forbids it'),
        pytest.param({}, [], Storable(60), id='the request is left out'),
    ],
)
def test_the_request_counts_as_far_as_it_is_given(route, request_headers, expected):
    response, _ = run_of(route=route, sent=[said(b'no-store'), AUTHORIZATION])
    assert storable_by_head(response.errand, request_headers, response.head) == expected


# A failure, and what may stand in for it --------------------------------------------------------------------


@pytest.mark.parametrize(
    ('status', 'stored', 'expected'),
    [
        pytest.param(500, {'stale_if_error': 5.0}, True, id='stale inside of its window for failures'),
        pytest.param(500, {'stale_while_revalidate': 5.0}, True, id='stale inside of its window for renewals'),
        pytest.param(504, {'stale_if_error': 1.0, 'stale_while_revalidate': 5.0}, True, id='the longer window counts'),
        pytest.param(500, {}, False, id='stale without a window'),
        pytest.param(500, {'age': 65, 'stale_if_error': 5.0}, False, id='its window is over'),
        pytest.param(500, {'age': 59}, True, id='fresh'),
        pytest.param(500, {'age': 60}, False, id='stale at the end of its lifetime'),
        pytest.param(500, {'age': 9, 'stale_at': NOW - 4, 'stale_if_error': 5.0}, True, id='invalidated softly'),
        pytest.param(500, {'age': 9, 'stale_at': NOW - 5, 'stale_if_error': 5.0}, False, id='and its window is over'),
        pytest.param(404, {'stale_if_error': 5.0}, False, id='a 404 is no failure'),
        pytest.param(501, {'stale_if_error': 5.0}, False, id='a 501 is no failure (RFC 5861 4)'),
        pytest.param(500, {'status': 503, 'stale_if_error': 5.0}, False, id='it is a failure itself'),
        pytest.param(500, {'status': 404, 'stale_if_error': 5.0}, True, id='a stored 404 is better than a failure'),
    ],
)
def test_whether_what_is_stored_outlasts_a_failure(status, stored, expected):
    response, _ = run_of(stale=found(**({'age': 62} | stored)))
    assert outlasts_a_failure(response.errand, status, NOW) is expected


def test_nothing_outlasts_a_failure_where_nothing_is_stored():
    response, _ = run_of()
    assert outlasts_a_failure(response.errand, 500, NOW) is False


# To what a reason applies -----------------------------------------------------------------------------------

BY_A_GUARD = ('append', *COOKIE)


@pytest.mark.parametrize(
    ('reason', 'by_guards', 'route', 'extent'),
    [
        pytest.param('set-cookie', [], {}, Extent.THIS_KEY, id='a cookie of the endpoint'),
        pytest.param('set-cookie', [[BY_A_GUARD]], {}, Extent.THIS_REQUEST, id='a cookie that a guard alone sets'),
        pytest.param('no-store', [[BY_A_GUARD]], {}, Extent.THIS_KEY, id='another reason beside it'),
        pytest.param('made up', [], {}, Extent.THIS_RESPONSE, id='a reason of user code'),
        pytest.param('no-store', [], {'dependencies': [Depends(raw)]}, Extent.THIS_REQUEST, id='a guard has refused'),
    ],
)
def test_to_what_a_reason_applies(reason, by_guards, route, extent):
    response, evidence = run_of(200, COOKIE, route=route)
    evidence.written.by_guards = by_guards
    assert extent_of(reason, response, evidence.written) is extent


# An error, and what may have caused it ----------------------------------------------------------------------


@pytest.mark.parametrize(
    'condition', ['if-match', 'if-modified-since', 'if-none-match', 'if-range', 'if-unmodified-since']
)
def test_a_400_may_be_about_any_condition_of_the_client(condition):
    response, _ = run_of(400, sent=[(condition.encode(), b'"1"')])
    assert _may_be_about_a_part(response)


@pytest.mark.parametrize(
    ('status', 'told', 'expected'),
    [
        pytest.param(400, {'sent': [RANGE]}, True, id='FileResponse says 400 of a range'),
        pytest.param(400, {'sent': [(b'range', b'lines=1')]}, False, id='a range that is none is withheld'),
        pytest.param(400, {'sent': [(b'accept', b'*/*')]}, False, id='another header'),
        pytest.param(404, {'sent': [RANGE]}, False, id='declared inputs do not show a range'),
        pytest.param(404, {'sent': [NONE_MATCH]}, False, id='nor a condition'),
        pytest.param(404, {'sent': [RANGE], 'route': {'endpoint': raw}}, True, id='a raw request shows it'),
        pytest.param(
            404, {'sent': [RANGE], 'route': {'key_builder': lambda _: 'one'}}, True, id='beside a key builder it may'
        ),
        pytest.param(
            400, {'sent': [NONE_MATCH], 'route': REVALIDATED}, False, id='a condition of the client is withheld'
        ),
        pytest.param(
            400,
            {'sent': [NONE_MATCH], 'stale': found(TAG), 'route': REVALIDATED},
            False,
            id='a condition of ours is in its place',
        ),
        pytest.param(
            400,
            {'sent': [(b'if-match', b'"1"')], 'stale': found(TAG), 'route': REVALIDATED},
            True,
            id='If-Match is that of the client even then',
        ),
    ],
)
def test_whether_an_error_may_be_about_what_is_in_no_key(status, told, expected):
    response, _ = run_of(status, **told)
    assert _may_be_about_a_part(response) is expected
