"""The recorder, fed with messages: no event loop, no app."""

import pytest

from fastapi_caching_route._core.entry import Recording
from fastapi_caching_route._core.recorder import Budget, Recorder, Step

START = {'type': 'http.response.start', 'status': 200, 'headers': [(b'content-type', b'text/plain')]}
AS_MISS = START | {'headers': [*START['headers'], (b'x-cache', b'MISS')]}


def body(content, *, more=False):
    return {'type': 'http.response.body', 'body': content, 'more_body': more}


def started(refused=None, *, limit=100, plain=START, budget=None, store_if=None):
    """A recorder that has taken the start message, and what it passed on."""
    recorder = Recorder(limit, budget or Budget(1000), store_if)
    return recorder, recorder.start(plain, lambda why: plain if why else AS_MISS, plain['headers'], refused)


def test_an_answer_in_one_message_is_held_and_recorded():
    recorder, first = started()
    step = recorder.feed(body(b'all'))
    assert first == Step()
    assert step == Step((), Recording(200, [(b'content-type', b'text/plain')], b'all'))
    assert recorder.release() == Step()


def test_a_stream_is_passed_on_as_a_miss_as_it_comes_and_recorded_at_its_end():
    recorder, first = started()
    chunks = body(b'a', more=True), body(b'b', more=True), body(b'')
    assert first == Step()
    assert recorder.feed(chunks[0]) == Step((AS_MISS, chunks[0]))
    assert recorder.feed(chunks[1]) == Step((chunks[1],))
    assert recorder.feed(chunks[2]) == Step((chunks[2],), Recording(200, START['headers'], b'ab'))


def test_a_refused_answer_is_passed_on_from_its_start():
    recorder, first = started('no-store')
    assert first == Step((START,))
    assert recorder.feed(body(b'all')) == Step((body(b'all'),))
    assert recorder.reason == 'no-store'


def test_an_answer_over_the_limit_is_passed_on_whole():
    recorder, _ = started(limit=3)
    assert recorder.feed(body(b'long')) == Step((START, body(b'long')))
    assert recorder.reason == 'size'


def test_a_stream_over_the_limit_is_let_go_in_the_middle():
    recorder, _ = started(limit=3)
    recorder.feed(body(b'ab', more=True))
    assert recorder.feed(body(b'cd', more=True)) == Step((body(b'cd', more=True),))
    assert recorder.feed(body(b'')) == Step((body(b''),))


def test_an_answer_that_is_not_wanted_is_passed_on_and_not_recorded():
    asked = []
    recorder, _ = started(store_if=asked.append)
    assert recorder.feed(body(b'all')) == Step((START, body(b'all')))
    assert asked == [Recording(200, START['headers'], b'all')]
    assert recorder.reason == 'store-if'


def test_a_stream_that_is_wanted_is_recorded_when_it_is_complete():
    recorder, _ = started(store_if=lambda it: it.body == b'ab')
    recorder.feed(body(b'a', more=True))
    assert recorder.feed(body(b'b')).complete.body == b'ab'


@pytest.mark.parametrize('length', [b'2', b'4', b'nonsense'])
def test_a_body_of_another_length_than_announced_is_not_recorded(length):
    plain = START | {'headers': [(b'content-length', length)]}
    recorder, _ = started(plain=plain)
    assert recorder.feed(body(b'abc')) == Step((plain, body(b'abc')))
    assert recorder.reason == 'incomplete'


def test_all_recordings_together_stay_within_the_budget():
    budget = Budget(5)
    one, _ = started(budget=budget)
    other, _ = started(budget=budget)
    assert one.feed(body(b'abc', more=True)).passed == (AS_MISS, body(b'abc', more=True))
    assert other.feed(body(b'abc', more=True)).passed == (START, body(b'abc', more=True))
    assert (one.reason, other.reason, budget.used) == (None, 'budget', 3)
    assert one.feed(body(b'de')).complete.body == b'abcde'
    assert budget.used == 0


def test_what_is_held_whole_needs_no_room_in_the_budget():
    budget = Budget(5)
    stream, _ = started(budget=budget)
    stream.feed(body(b'abcde', more=True))
    whole, _ = started(budget=budget)
    assert whole.feed(body(b'abc')).complete.body == b'abc'
    assert budget.used == 5
    stream.close()
    assert budget.used == 0


def test_a_start_that_is_passed_on_before_the_body_makes_it_a_stream():
    recorder, _ = started()
    assert recorder.begin() == (AS_MISS,)
    assert recorder.begin() == ()
    assert recorder.feed(body(b'all')) == Step((body(b'all'),), Recording(200, START['headers'], b'all'))


def test_a_start_that_is_passed_on_says_what_is_in_doubt():
    recorder, _ = started()
    recorder.doubt = 'disconnected'
    assert recorder.begin() == (START,)
    assert recorder.reason == 'disconnected'


def test_a_recording_that_is_given_up_passes_on_the_rest_and_makes_room():
    budget = Budget(1000)
    recorder, _ = started(budget=budget)
    recorder.feed(body(b'a', more=True))
    recorder.give_up()
    assert (recorder.reason, budget.used) == ('slow-client', 0)
    assert recorder.feed(body(b'b')) == Step((body(b'b'),))
    recorder.give_up()
    assert recorder.reason == 'slow-client'


@pytest.mark.parametrize('end', ['size', 'unknown', 'incomplete', 'closed'])
def test_a_recording_gives_its_room_back_however_it_ends(end):
    budget = Budget(1000)
    plain = START | {'headers': [(b'content-length', b'50')]}
    recorder, _ = started(budget=budget, plain=plain)
    recorder.feed(body(b'a' * 10, more=True))
    assert budget.used == 10
    if end == 'size':
        recorder.feed(body(b'a' * 100, more=True))
    elif end == 'unknown':
        recorder.feed({'type': 'unknown'})
    elif end == 'incomplete':
        recorder.feed(body(b'a'))
    recorder.close()
    recorder.close()
    assert budget.used == 0


def test_messages_that_it_does_not_know_are_passed_on_and_end_the_recording():
    recorder, _ = started()
    path = {'type': 'http.response.pathsend', 'path': '/file'}
    assert recorder.feed(path) == Step((START, path))
    assert recorder.reason == 'message http.response.pathsend'


def test_trailers_to_come_are_refused():
    recorder, first = started(plain=START | {'trailers': True})
    assert first.passed == (START | {'trailers': True},)
    assert recorder.reason == 'trailers'


def test_debug_messages_pass_without_harm():
    recorder, debug = Recorder(100, Budget(1000)), {'type': 'http.response.debug', 'info': {}}
    assert recorder.feed(debug) == Step((debug,))
    recorder.start(START, AS_MISS, START['headers'], None)
    assert recorder.feed(body(b'all')).complete.body == b'all'


def test_what_comes_before_the_start_or_after_the_end_is_passed_on():
    recorder = Recorder(100, Budget(1000))
    assert recorder.feed(body(b'early')) == Step((body(b'early'),))
    recorder.start(START, AS_MISS, START['headers'], None)
    recorder.feed(body(b'all'))
    assert recorder.feed(body(b'late')) == Step((body(b'late'),))


def test_a_start_without_a_body_is_released_at_the_end():
    recorder, _ = started()
    assert recorder.release() == Step((START,))
    assert recorder.release() == Step()
