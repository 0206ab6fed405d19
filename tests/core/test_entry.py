"""What is stored of a complete response, and which of its headers the cache has made."""

import pytest

from fastapi_caching_route._core.entry import OLDEST, Entry, Recording, entry_of
from fastapi_caching_route._core.written import Made
from fastapi_caching_route._http.conditional import entity_tag
from fastapi_caching_route._http.storing import Storable

STORABLE = Storable(60.0, 5.0)


def entry(recording, storable=STORABLE, **given):
    options = {'key': 'k', 'left_out': b'x-cache', 'now': 5.0, 'names': ('all',), 'marks': 3} | given
    return entry_of(recording, storable, **options)


def test_an_entry_has_a_tag_and_a_length_and_not_what_marks_a_miss():
    made = entry(Recording(200, [(b'vary', b'a'), (b'x-cache', b'MISS')], b'abc'))
    assert made.headers == ((b'vary', b'a'), (b'etag', entity_tag(b'abc')), (b'content-length', b'3'))
    assert (made.key, made.status, made.body, made.stored_at, made.lifetime) == ('k', 200, b'abc', 5.0, 60.0)
    assert (made.stale_while_revalidate, made.names, made.marks, made.windowed) == (5.0, ('all',), 3, True)


def test_an_entry_keeps_tag_and_length_of_the_endpoint():
    fields = [(b'etag', b'mine'), (b'content-length', b'3')]
    assert entry(Recording(200, fields, b'abc')).headers == tuple(fields)


def test_an_entry_without_content_has_no_length():
    assert b'content-length' not in dict(entry(Recording(204, [], b'')).headers)


def test_an_entry_cannot_be_changed():
    made = entry(Recording(200, [], b''))
    assert isinstance(made, Entry)
    with pytest.raises(AttributeError):
        made.body = b'other'
    assert isinstance(made.headers, tuple)


TAG, TAGGED, UNTAGGED = b'"theirs"', [(b'etag', b'"theirs"')], []
OURS = entry(Recording(200, [], b'abc'))
THEIRS = entry(Recording(200, [(b'etag', TAG)], b'abc'))


@pytest.mark.parametrize(
    ('headers', 'given', 'tag', 'is_ours'),
    [
        pytest.param(UNTAGGED, {}, entity_tag(b'abc'), True, id='made of the body'),
        pytest.param(TAGGED, {}, TAG, False, id='of the endpoint'),
        pytest.param(UNTAGGED, {'tagged': False}, None, False, id='none by the book'),
        pytest.param(TAGGED, {'tagged': False}, TAG, False, id='of the endpoint by the book'),
        pytest.param(TAGGED, {'left_out': b'etag'}, entity_tag(b'abc'), True, id='of the endpoint, but never stored'),
        pytest.param(list(OURS.headers), {'confirmed': OURS}, entity_tag(b'abc'), True, id='ours, confirmed by a 304'),
        pytest.param(list(THEIRS.headers), {'confirmed': THEIRS}, TAG, False, id='theirs, confirmed by a 304'),
    ],
)
def test_an_entry_knows_whether_its_tag_means_something_to_the_endpoint(headers, given, tag, is_ours):
    made = entry(Recording(200, headers, b'abc'), **given)
    assert (dict(made.headers).get(b'etag'), made.tag_is_ours) == (tag, is_ours)


YOUNG, OLD = 100.0, 1e10


@pytest.mark.parametrize(
    ('headers', 'now', 'stored_at'),
    [
        pytest.param([(b'age', b'4')], YOUNG, 96.0, id='by its Age'),
        pytest.param([(b'date', b'Thu, 01 Jan 1970 00:00:40 GMT')], YOUNG, 40.0, id='by its Date'),
        pytest.param([(b'date', b'Thu, 01 Jan 1970 00:00:40 GMT')], OLD, OLD - OLDEST, id='at most: 1.2.2'),
    ],
)
def test_a_response_that_has_been_on_its_way_is_stored_as_old_as_it_is(headers, now, stored_at):
    assert entry(Recording(200, headers, b''), now=now).stored_at == stored_at


def test_an_entry_has_all_that_was_decided_about_it():
    made = entry(Recording(200, [], b''), Storable(60.0, 0, 7.0, stale_if_accepted=True, must_validate=True))
    assert (made.stale_while_revalidate, made.stale_if_error, made.windowed) == (0, 7.0, True)
    assert (made.stale_if_accepted, made.must_validate, made.lifetime_was_chosen) == (True, True, False)
    chosen = entry(Recording(200, [], b''), Storable(60.0, lifetime_was_chosen=True))
    assert (chosen.windowed, chosen.lifetime_was_chosen) == (False, True)


def test_an_entry_that_is_only_kept_to_be_validated_is_windowed():
    assert entry(Recording(200, [], b''), Storable(60.0, kept_for_validation=1.0)).windowed


def test_what_is_not_stored_is_not_written_for_later_clients_either():
    written = Made(by_others=((('append', b'x-cache', b'MISS'), ('append', b'x-a', b'1')),))
    made = entry(Recording(200, [(b'x-cache', b'MISS'), (b'x-a', b'1')], b''), made=written)
    assert [it[1] for operations in made.made.by_others for it in operations] == [b'x-a']
