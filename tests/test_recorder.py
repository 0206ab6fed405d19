"""The recorder, fed with messages: no event loop, no app."""

import pytest

from fastapi_caching_route._entry import Entry, Recording, entry_of
from fastapi_caching_route._recorder import Recorder

START = {'type': 'http.response.start', 'status': 200, 'headers': [(b'Content-Type', b'text/plain')]}


def body(content, *, more=False):
    return {'type': 'http.response.body', 'body': content, 'more_body': more}


def recorder(reason=None, limit=100):
    def amend(fields, *, stored):
        return [*fields, (b'stored', b'%d' % stored)]

    return Recorder(lambda status, fields: reason, amend, limit)


def started(*, stored):
    return START | {'headers': [(b'content-type', b'text/plain'), (b'stored', b'%d' % stored)]}


def test_an_answer_in_one_message_is_held_and_recorded():
    it = recorder()
    assert [it.feed(START), it.feed(body(b'all'))] == [[], []]
    assert it.recording == Recording(200, [(b'content-type', b'text/plain')], b'all')
    assert it.release() == []


def test_a_stream_is_passed_on_as_it_comes_and_recorded_at_its_end():
    it = recorder()
    first, second, last = body(b'a', more=True), body(b'b', more=True), body(b'')
    assert it.feed(START) == []
    assert it.feed(first) == [started(stored=True), first]
    assert it.feed(second) == [second]
    assert it.recording is None
    assert it.feed(last) == [last]
    assert it.recording.body == b'ab'


def test_a_refused_answer_is_passed_on_from_its_start():
    it = recorder('no-store')
    assert it.feed(START) == [started(stored=False)]
    assert it.feed(body(b'all')) == [body(b'all')]
    assert (it.refused, it.recording) == ('no-store', None)


def test_an_answer_over_the_limit_is_passed_on_whole():
    it = recorder(limit=3)
    it.feed(START)
    assert it.feed(body(b'long')) == [started(stored=False), body(b'long')]
    assert (it.refused, it.recording) == ('size', None)


def test_a_stream_over_the_limit_is_let_go_in_the_middle():
    it = recorder(limit=3)
    it.feed(START)
    it.feed(body(b'ab', more=True))
    assert it.feed(body(b'cd', more=True)) == [body(b'cd', more=True)]
    assert it.feed(body(b'')) == [body(b'')]
    assert it.recording is None


@pytest.mark.parametrize('length', [b'2', b'4', b'nonsense'])
def test_a_body_of_another_length_than_announced_is_not_recorded(length):
    it = recorder()
    it.feed(START | {'headers': [(b'content-length', length)]})
    assert it.feed(body(b'abc'))[1] == body(b'abc')
    assert (it.refused, it.recording) == ('incomplete', None)


def test_messages_that_it_does_not_know_are_passed_on_and_end_the_recording():
    it = recorder()
    it.feed(START)
    path = {'type': 'http.response.pathsend', 'path': '/file'}
    assert it.feed(path) == [started(stored=False), path]
    assert it.refused == 'message http.response.pathsend'


def test_trailers_to_come_are_refused():
    it = recorder()
    assert it.feed(START | {'trailers': True})[0]['trailers'] is True
    assert it.refused == 'trailers'


def test_debug_messages_pass_without_harm():
    it = recorder()
    debug = {'type': 'http.response.debug', 'info': {}}
    assert it.feed(debug) == [debug]
    it.feed(START)
    it.feed(body(b'all'))
    assert it.recording.body == b'all'


def test_a_start_without_a_body_is_released_at_the_end():
    it = recorder()
    it.feed(START)
    assert it.release() == [started(stored=False)]
    assert it.release() == []


def test_the_messages_of_the_endpoint_are_not_changed():
    it, start = recorder('no-store'), {**START, 'headers': [(b'a', b'1')]}
    it.feed(start)
    assert start == {**START, 'headers': [(b'a', b'1')]}


def entry(recording, **options):
    given = {'key': 'k', 'selecting': (), 'dropped': b'x-cache', 'now': 5.0, 'lifetime': 60.0}
    return entry_of(recording, **given | options)


def test_an_entry_has_a_tag_a_length_and_one_vary_line():
    made = entry(Recording(200, [(b'vary', b'A'), (b'vary', b'B'), (b'x-cache', b'MISS')], b'abc'), selecting=[b'c'])
    assert made.headers == ((b'vary', b'a, b, c'), (b'etag', made.etag), (b'content-length', b'3'))
    assert (made.key, made.status, made.body, made.stored_at, made.lifetime) == ('k', 200, b'abc', 5.0, 60.0)


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
