"""Tables for `_http/conditional.py` (RFC 9110)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastapi_caching_route._http.conditional import (
    client_has,
    conditions,
    confirms,
    contradicts,
    entity_tag,
    not_modified,
    question,
    updated,
)
from fastapi_caching_route._http.representation import select

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ('lines', 'tag', 'has'),
    [
        pytest.param([], b'"a"', False, id='absent'),
        pytest.param([b'"a"'], b'"a"', True, id='13.1.2 equal'),
        pytest.param([b'"b"'], b'"a"', False, id='13.1.2 other'),
        pytest.param([b'W/"a"'], b'"a"', True, id='8.8.3.2 weak against strong'),
        pytest.param([b'"a"'], b'W/"a"', True, id='8.8.3.2 strong against weak'),
        pytest.param([b'"b", W/"a" , "c"'], b'"a"', True, id='list'),
        pytest.param([b'"b"', b'"a"'], b'"a"', True, id='several lines'),
        pytest.param([b'"a,b"'], b'"a,b"', True, id='comma in quotes'),
        pytest.param([b'"x, "a", y"'], b'"a"', False, id='a tag inside of another one'),
        pytest.param([b'*'], b'"a"', True, id='any'),
        pytest.param([b' * '], b'"a"', True, id='any with blanks'),
        pytest.param([b'"*"'], b'"a"', False, id='a tag that looks like any'),
        pytest.param([b'a'], b'a', True, id='unquoted by a sloppy endpoint'),
        pytest.param([b'a'], b'"a"', False, id='unquoted is not quoted'),
        pytest.param([b''], b'"a"', False, id='empty'),
        pytest.param([b'"A"'], b'"a"', False, id='8.8.3 case counts'),
    ],
)
def test_if_none_match(lines, tag, has):
    assert (bool(lines) and client_has(lines, tag)) is has


@given(st.lists(st.binary()), st.binary(min_size=1))
def test_no_bytes_make_the_comparison_fail(lines, tag):
    assert client_has(lines, tag) in {True, False}


@given(st.binary(), st.binary())
def test_bodies_have_one_strong_tag_each(one, other):
    assert (entity_tag(one) == entity_tag(other)) is (one == other)
    assert entity_tag(one).startswith(b'"')
    assert entity_tag(one).endswith(b'"')


OF_A_304 = [(name, b'"a"') for name in (b'cache-control', b'content-location', b'date', b'etag', b'expires', b'vary')]
FIELDS = OF_A_304 + [(name, b'"a"') for name in (b'content-length', b'content-type', b'last-modified', b'x-other')]


@pytest.mark.parametrize(
    ('method', 'status', 'tag', 'expected'),
    [
        pytest.param('GET', 200, b'"a"', (304, OF_A_304, b''), id='13.1.2 GET, 15.4.5 fields'),
        pytest.param('HEAD', 200, b'"a"', (304, OF_A_304, b''), id='13.1.2 HEAD'),
        pytest.param('GET', 200, b'"b"', (200, FIELDS, b'body'), id='modified'),
        pytest.param('HEAD', 200, b'"b"', (200, FIELDS, b''), id='9.3.2 HEAD has no body'),
        pytest.param('POST', 200, b'"a"', (200, FIELDS, b'body'), id='13.2.1 not for POST'),
        pytest.param('GET', 404, b'"a"', (404, FIELDS, b'body'), id='13.2.1 only for what would be a 200'),
    ],
)
def test_a_stored_response_answers_by_the_preconditions(method, status, tag, expected):
    assert select(method, [(b'if-none-match', tag)], (status, FIELDS, b'body'), NOW) == expected


LAST = b'Fri, 15 Jan 2027 08:00:00 GMT'  # NOW
BEFORE, AFTER = b'Fri, 15 Jan 2027 07:59:59 GMT', b'Fri, 15 Jan 2027 08:00:01 GMT'


@pytest.mark.parametrize(
    ('request_fields', 'response', 'expected'),
    [
        pytest.param([(b'if-modified-since', LAST)], [(b'last-modified', LAST)], True, id='13.1.3 equal'),
        pytest.param([(b'if-modified-since', AFTER)], [(b'last-modified', LAST)], True, id='13.1.3 later'),
        pytest.param([(b'if-modified-since', BEFORE)], [(b'last-modified', LAST)], False, id='13.1.3 earlier'),
        pytest.param([(b'if-modified-since', LAST)], [(b'date', LAST)], True, id='4.3.2 by Date'),
        pytest.param([(b'if-modified-since', BEFORE)], [(b'date', LAST)], False, id='4.3.2 by Date, earlier'),
        pytest.param([(b'if-modified-since', LAST)], [], False, id='nothing to compare with'),
        pytest.param([(b'if-modified-since', b'yesterday')], [(b'last-modified', LAST)], False, id='13.1.3 no date'),
        pytest.param([(b'if-modified-since', LAST)] * 2, [(b'last-modified', LAST)], False, id='13.1.3 two dates'),
        pytest.param(
            [(b'if-modified-since', b'Friday, 15-Jan-27 08:00:00 GMT')],
            [(b'last-modified', LAST)],
            True,
            id='5.6.7 old form',
        ),
        pytest.param(
            [(b'if-none-match', b'"b"'), (b'if-modified-since', LAST)],
            [(b'etag', b'"a"'), (b'last-modified', LAST)],
            False,
            id='13.2.2 If-None-Match counts alone',
        ),
        pytest.param([(b'if-none-match', b'"a"')], [], False, id='no tag to compare with'),
    ],
)
def test_not_modified(request_fields, response, expected):
    assert not_modified('GET', request_fields, 200, response, NOW) is expected


@pytest.mark.parametrize(
    ('response', 'stored_at', 'expected'),
    [
        pytest.param([], NOW, True, id='4.3.2 by when it was stored'),
        pytest.param([], NOW + 0.5, False, id='4.3.2 stored later in this second'),
        pytest.param([(b'date', AFTER)], NOW, False, id='4.3.2 Date before that'),
        pytest.param([(b'last-modified', AFTER)], NOW, False, id='4.3.2 Last-Modified before that'),
        pytest.param([(b'date', b'soon')], NOW, False, id='no date'),
    ],
)
def test_a_response_without_dates_is_as_old_as_its_entry(response, stored_at, expected):
    since = [(b'if-modified-since', LAST)]
    assert not_modified('GET', since, 200, response, NOW, stored_at=stored_at) is expected


@pytest.mark.parametrize(
    ('stored', 'expected'),
    [
        pytest.param([], [], id='no validator'),
        pytest.param([(b'etag', b'W/"a"')], [(b'if-none-match', b'W/"a"')], id='4.3.1 tag'),
        pytest.param(
            [(b'etag', entity_tag(b'x'))], [(b'if-none-match', entity_tag(b'x'))], id='4.3.1 one that looks like ours'
        ),
        pytest.param([(b'last-modified', LAST)], [(b'if-modified-since', LAST)], id='4.3.1 date'),
        pytest.param(
            [(b'etag', b'a'), (b'last-modified', LAST)],
            [(b'if-none-match', b'a'), (b'if-modified-since', LAST)],
            id='both',
        ),
    ],
)
def test_conditions_of_our_own(stored, expected):
    assert conditions(stored, our_tag=False) == expected


def test_the_endpoint_is_asked_for_the_whole_and_without_what_the_client_has():
    request = [
        (name, b'x') for name in (b'if-none-match', b'if-modified-since', b'range', b'if-range', b'if-match', b'accept')
    ]
    kept = [(b'if-match', b'x'), (b'accept', b'x')]
    asked = [(b'if-none-match', b'"a"')]
    assert question(request, asked) == [*kept, *asked]
    assert question(request, []) == [(b'range', b'x'), (b'if-range', b'x'), *kept]


def test_a_304_updates_all_fields_but_those_of_the_body():
    stored = [
        (b'etag', b'"a"'),
        (b'content-length', b'5'),
        (b'age', b'7'),
        (b'date', b'old'),
        (b'x-a', b'1'),
        (b'x-b', b'2'),
    ]
    fresh = [
        (b'etag', b'W/"a"'),
        (b'content-length', b'0'),
        (b'date', b'new'),
        (b'x-a', b'3'),
        (b'connection', b'x-c'),
        (b'x-c', b'4'),
    ]
    assert dict(updated(stored, fresh)) == {
        b'etag': b'W/"a"',
        b'content-length': b'5',
        b'date': b'new',
        b'x-a': b'3',
        b'x-b': b'2',
        b'connection': b'x-c',
    }


@pytest.mark.parametrize(
    ('head', 'expected'),
    [
        pytest.param([(b'etag', b'"a"'), (b'content-length', b'5')], False, id='4.3.5 the same'),
        pytest.param([], False, id='4.3.5 says nothing'),
        pytest.param([(b'etag', b'"b"')], True, id='4.3.5 another tag'),
        pytest.param([(b'content-length', b'6')], True, id='4.3.5 another length'),
        pytest.param([(b'last-modified', LAST)], False, id='4.3.5 nothing to compare with'),
    ],
)
def test_what_a_head_shows(head, expected):
    assert contradicts(head, [(b'etag', b'"a"'), (b'content-length', b'5')]) is expected


def test_a_tag_of_our_own_is_nothing_to_ask_about():
    stored = [(b'etag', b'"a"'), (b'last-modified', LAST)]
    assert conditions(stored, our_tag=True) == [(b'if-modified-since', LAST)]


def test_a_304_without_a_date_is_of_now():
    assert updated([(b'date', b'old'), (b'x-a', b'1')], [(b'x-b', b'2')]) == [(b'x-a', b'1'), (b'x-b', b'2')]


@pytest.mark.parametrize('name', ['content-type', 'content-encoding', 'content-length', 'content-range'])
def test_a_304_does_not_change_how_the_stored_body_is_read(name):
    stored = [(name.encode(), b'old'), (b'x-a', b'1')]
    assert updated(stored, [(name.encode(), b'new')]) == stored


def test_by_the_book_a_304_replaces_the_content_type():
    stored, fresh = [(b'content-type', b'old')], [(b'content-type', b'new'), (b'content-length', b'0')]
    assert updated(stored, fresh, type_too=True) == [(b'content-type', b'new')]


@pytest.mark.parametrize(
    ('fresh', 'asked', 'expected'),
    [
        pytest.param([(b'etag', b'"a"')], [b'if-none-match'], True, id='4.3.4 asked by the tag, the same tag'),
        pytest.param([(b'etag', b'"b"')], [b'if-none-match'], False, id='4.3.4 asked by the tag, another tag'),
        pytest.param([(b'etag', b'W/"a"')], [b'if-none-match'], True, id='4.3.4 a weak tag compares weakly'),
        pytest.param([(b'etag', b'W/"b"')], [b'if-none-match'], False, id='4.3.4 another weak tag'),
        pytest.param([], [b'if-none-match'], True, id='4.3.4 asked by the tag, no tag'),
        pytest.param([(b'last-modified', LAST)], [b'if-none-match'], True, id='4.3.4 asked by the tag, another date'),
        pytest.param(
            [(b'last-modified', LAST)], [b'if-modified-since'], False, id='4.3.4 asked by a date, another one'
        ),
        pytest.param([(b'etag', b'"b"')], [b'if-modified-since'], False, id='4.3.4 asked by a date, another tag'),
        pytest.param([(b'etag', b'"a"')], [b'if-modified-since'], True, id='4.3.4 asked by a date, the same tag'),
        pytest.param([], [b'if-modified-since'], True, id='4.3.4 asked by a date, no tag'),
    ],
)
def test_a_304_is_about_what_was_asked(fresh, asked, expected):
    assert confirms(fresh, [(b'etag', b'"a"')], asked) is expected


@pytest.mark.parametrize(
    ('tag', 'expected'),
    [(b'"a"', False), (b'W/"a"', True), (b'W/"b"', False)],
    ids=['4.3.4 a strong tag is not a weak one', '4.3.4 the same', '4.3.4 another'],
)
def test_a_304_is_about_what_has_a_weak_tag(tag, expected):
    assert confirms([(b'etag', tag)], [(b'etag', b'W/"a"')], [b'if-none-match']) is expected


def test_a_304_with_a_tag_is_not_about_what_has_none():
    for tag in (b'"a"', b'W/"a"'):
        assert not confirms([(b'etag', tag)], [(b'last-modified', LAST)], [b'if-modified-since'])
