"""Purges of caches in front: what they are asked, together, again after a failure, and once more after old runs."""

import asyncio
import subprocess
import sys
import threading

import pytest
from fastapi import FastAPI

from fastapi_caching_route import ConfigurationError, FastAPICache, InvalidationError, SurrogateKeys
from fastapi_caching_route._concurrency.flights import Flights, Instead
from fastapi_caching_route._routes import purging
from fastapi_caching_route.purge import (
    CloudflarePurge,
    FastlyPurge,
)
from fastapi_caching_route.stats import PurgeStats
from tests.backends.fakes import Elsewhere
from tests.support import all_written, asgi_call, asgi_scope, caching_router, client_of, until

pytestmark = pytest.mark.usefixtures('no_machine_is_slow')

TOKEN = 'very-secret-token'


@pytest.fixture
def quick(monkeypatch):
    """Pauses that no test waits for."""
    monkeypatch.setattr(purging, 'PAUSES', (0.001,) * 3)
    monkeypatch.setattr(purging, 'AGAIN_SECONDS', 0.05)
    monkeypatch.setattr(purging, 'SLOT_SECONDS', 0.02)
    monkeypatch.setattr(purging, 'ANSWER_SECONDS', 0.02)


def served(purge, **options):
    router, cache = caching_router(), FastAPICache(purge=purge, surrogate_keys='Surrogate-Key', **options)

    @router.get('/u/{number}')
    @cache(ttl=60, tags=['user:{number}'])
    async def endpoint(number: int):
        return number

    return client_of(router), cache, endpoint


async def test_what_is_invalidated_together_is_purged_together_and_once_more(quick):
    got = []

    async def purge(request):
        got.append(request)

    client, cache, endpoint = served(purge)
    tags = client.get('/u/7').headers['surrogate-key'].split(' ')
    await cache.invalidate_tags('user:7')
    await cache.invalidate_path('/u/7')
    await cache.invalidate_endpoint(endpoint, number=7)
    await until(lambda: cache.stats().purges.waiting == 0 and len(got) == 2)
    assert {*got[0].tags} == {'user:7', 'path:/u/7', next(it for it in tags if '%3F' in it)}
    assert {*got[0].tags} <= {*tags}
    assert (got[0].paths, got[0].soft, got[0].everything) == (('/u/7',), False, False)
    assert got[1] == got[0]
    assert cache.stats().purges.sent == 2


async def test_what_is_invalidated_by_its_key_is_purged_by_the_tag_in_its_header(quick):
    got, router = [], caching_router()

    async def purge(request):
        got.append(request)

    cache = FastAPICache(purge=purge, surrogate_keys='Surrogate-Key')

    @router.get('/{name}')
    @cache(ttl=60, key_builder=lambda request: f'mine:{request.url.path}')
    async def endpoint(name: str):
        return name

    tags = client_of(router).get('/a').headers['surrogate-key'].split(' ')
    await cache.invalidate_cached('mine:/a')
    await until(lambda: got)
    assert set(got[0].tags) <= set(tags)


async def test_soft_and_hard_go_apart_and_everything_is_one_tag(quick):
    got = []

    async def purge(request):
        got.append(request)

    _, cache, _ = served(purge)
    await cache.invalidate_tags('a', soft=True)
    await cache.invalidate_tags('b')
    await cache.invalidate_tags('b', soft=True)  # the hard one is enough
    await until(lambda: len(got) == 4)
    assert [(it.tags, it.soft) for it in got[:2]] == [(('b',), False), (('a',), True)]
    await cache.clear()
    await until(lambda: len(got) == 6)
    assert (got[4].tags, got[4].everything) == (('all',), True)


async def test_a_failure_holds_up_nothing_and_is_tried_again(quick, caplog):
    got = []

    async def purge(request):
        got.append(request)
        if len(got) < 3:
            raise RuntimeError(TOKEN)

    _, cache, _ = served(purge)
    await cache.invalidate_tags('a')
    await until(lambda: cache.stats().purges.sent == 2)
    assert (len(got), cache.stats().purges.failed, caplog.records) == (4, 0, [])


async def test_what_fails_for_good_is_logged_without_tokens_and_counted(quick, caplog):
    async def purge(request):
        raise RuntimeError(TOKEN)

    _, cache, _ = served(purge)
    await cache.invalidate_tags('user:7')
    await until(lambda: cache.stats().purges.failed == 2)
    assert cache.stats().purges.waiting == 0
    assert 'user:7' in caplog.text
    assert TOKEN not in caplog.text


async def test_a_flood_of_names_becomes_everything(quick, monkeypatch):
    monkeypatch.setattr(purging, 'MAX_NAMES', 10)
    got = []

    async def purge(request):
        got.append(request)

    _, cache, _ = served(purge)
    await asyncio.gather(*(cache.invalidate_tags(f'user:{it}') for it in range(50)))
    await until(lambda: len(got) == 2)
    assert got[0].everything


async def test_the_second_purge_comes_after_the_runs_that_were_under_way(quick):
    got, flights = [], Flights()

    async def purge(request):
        got.append(request)

    flight = flights.lead('key')
    sending = purging.Purging(purge, SurrogateKeys(header='xkey'), flights)
    sending._begin_second(purging._Later(0, soft=False), {'tag:a': False})
    draining = asyncio.ensure_future(sending._drain())
    await asyncio.sleep(0.15)
    assert got == []
    flight.land(Instead.LEAD)
    await draining
    assert [it.tags for it in got] == [('a',)]


@pytest.mark.parametrize('options', [{}, {'collapse': False}, {'store': False}])
async def test_the_second_purge_comes_after_runs_that_are_not_shared_or_not_stored(quick, options):
    got, gate, begun, router = [], asyncio.Event(), asyncio.Event(), caching_router()

    async def purge(request):
        got.append(request)

    cache = FastAPICache(purge=purge, surrogate_keys='Surrogate-Key')

    @router.get('/')
    @cache(ttl=60, **options)
    async def endpoint():
        begun.set()
        await gate.wait()
        return 'old'

    app = FastAPI()
    app.include_router(router)
    asked = asyncio.ensure_future(asgi_call(app, asgi_scope()))
    await begun.wait()
    await cache.invalidate_tags('a')
    await asyncio.sleep(0.3)
    assert len(got) == 1
    gate.set()
    await asked
    await until(lambda: len(got) == 2)


async def test_the_second_purge_leaves_time_for_an_old_response_to_arrive(quick, monkeypatch):
    monkeypatch.setattr(purging, 'ANSWER_SECONDS', 0.4)
    got, flights = [], Flights()

    async def purge(request):
        got.append(request)

    flight = flights.lead('key')
    sending = purging.Purging(purge, SurrogateKeys(header='xkey'), flights)
    sending.repeat(['tag:a'])
    await until(lambda: got)
    await asyncio.sleep(0.1)
    flight.land(Instead.LEAD)
    await asyncio.sleep(0.1)
    assert len(got) == 1
    await until(lambda: len(got) == 2)


async def test_a_run_that_fails_is_not_under_way_any_more():
    router, cache = caching_router(), FastAPICache()

    @router.get('/{how}')
    @cache(ttl=60, collapse=False)
    async def endpoint(how: str):
        raise RuntimeError(how)

    @router.get('/unstored/{how}')
    @cache(store=False)
    async def unstored(how: str):
        raise RuntimeError(how)

    app = FastAPI()
    app.include_router(router)
    for path in ('/a', '/unstored/a'):
        with pytest.raises(RuntimeError):
            await asgi_call(app, asgi_scope(path=path))
    assert cache._settings.runtime.flights.oldest_began_at is None


async def test_a_cancellation_of_the_users_is_a_failure_like_any_other(quick):
    got = []

    async def purge(request):
        got.append(request.tags)
        if len(got) == 1:
            raise asyncio.CancelledError

    _, cache, _ = served(purge)
    await cache.invalidate_tags('a')
    await until(lambda: got)
    await cache.invalidate_tags('b')
    await until(lambda: {'a', 'b'} <= {tag for tags in got[1:] for tag in tags})
    await until(lambda: cache.stats().purges.waiting == 0)
    assert cache.stats().purges.failed == 0


async def test_a_function_that_cannot_be_called_so_is_a_failure_like_any_other(quick, caplog):
    async def purge():
        raise AssertionError

    _, cache, _ = served(purge)
    await cache.invalidate_tags('user:7')
    await until(lambda: cache.stats().purges.failed == 2)
    assert 'TypeError' in caplog.text


async def test_names_of_an_attempt_that_is_under_way_are_waiting(quick):
    gate, begun = asyncio.Event(), asyncio.Event()

    async def purge(request):
        begun.set()
        await gate.wait()

    _, cache, _ = served(purge)
    await cache.invalidate_tags('a')
    await begun.wait()
    assert cache.stats().purges.waiting == 1
    gate.set()
    await until(lambda: cache.stats().purges == PurgeStats(sent=2))


def test_a_script_does_not_wait_for_a_cache_in_front_that_hangs():
    code = (
        'import asyncio\n'
        'from fastapi_caching_route import FastAPICache\n'
        'from fastapi_caching_route._routes import purging\n'
        'purging.SCRIPT_SECONDS = 1\n'
        'async def purge(request):\n'
        '    await asyncio.get_running_loop().create_future()\n'
        'cache = FastAPICache(purge=purge, surrogate_keys="xkey")\n'
        'cache.invalidate_now(tags=["user:7"])\n'
    )
    run = [sys.executable, '-c', code]
    ended = subprocess.run(run, capture_output=True, text=True, timeout=60, check=True)  # noqa: S603
    assert 'the script has ended' in ended.stderr
    assert 'user:7' in ended.stderr


async def test_the_end_of_the_app_sends_what_is_left():
    got = []

    async def purge(request):
        got.append(request)

    _, cache, _ = served(purge)
    async with cache:
        await cache.invalidate_tags('a')
    assert len(got) == 2


async def test_what_is_not_sent_as_the_app_ends_is_logged_and_counted(quick, monkeypatch, caplog):
    monkeypatch.setattr(purging, 'END_SECONDS', 0.05)

    async def purge(request):
        await asyncio.get_running_loop().create_future()

    _, cache, _ = served(purge)
    async with cache:
        await cache.invalidate_tags('user:7')
    assert cache.stats().purges == PurgeStats(failed=1)
    assert ['user:7' in it.getMessage() for it in caplog.records] == [True]


async def test_an_attempt_that_never_ends_is_given_up_and_tried_again(quick, monkeypatch):
    monkeypatch.setattr(purging, 'MAX_SECONDS', 0.02)
    got = []

    async def purge(request):
        got.append(request)
        if len(got) < 3:
            await asyncio.get_running_loop().create_future()

    _, cache, _ = served(purge)
    await cache.invalidate_tags('a')
    await until(lambda: cache.stats().purges.sent == 2)
    assert len(got) == 4


async def test_what_fails_does_not_hold_up_what_is_invalidated_meanwhile(quick, monkeypatch):
    monkeypatch.setattr(purging, 'PAUSES', (30.0,))
    got = []

    async def purge(request):
        got.append(request.tags)
        if request.tags == ('a',):
            raise OSError

    _, cache, _ = served(purge)
    async with cache:
        await cache.invalidate_tags('a')
        await until(lambda: got)
        await cache.invalidate_tags('b')
        await until(lambda: len(got) >= 3)
        assert got == [('a',), ('b',), ('b',)]
    assert got[3:] == [('a',)]


async def test_new_invalidations_do_not_bring_the_second_purge_forward(quick):
    got, flights = [], Flights()

    async def purge(request):
        got.append(request.tags)

    sending = purging.Purging(purge, SurrogateKeys(header='xkey'), flights)
    flight = flights.lead('key')
    for number in range(5):
        sending.repeat([f'tag:{number}'])
        await until(lambda: len(got) == number + 1)  # noqa: B023
        await asyncio.sleep(0.05)
    assert len(got) == 5
    flight.land(Instead.LEAD)
    await until(lambda: sending.stats().waiting == 0)
    assert sorted({tag for tags in got[5:] for tag in tags}) == [*'01234']


async def test_very_many_names_that_could_not_be_sent_become_everything(quick, monkeypatch):
    monkeypatch.setattr(purging, 'MAX_LATER', 10)
    monkeypatch.setattr(purging, 'PAUSES', (30.0,))
    got = []

    async def purge(request):
        got.append(request.tags)
        if not request.everything:
            raise OSError

    _, cache, _ = served(purge)
    async with cache:
        await cache.invalidate_tags(*map(str, range(11)))
        await until(lambda: ('all',) in got)
    assert got[1:] == [('all',), ('all',)]


@pytest.mark.parametrize('soft', [False, True])
async def test_a_purge_is_repeated_when_the_backend_has_taken_a_pending_invalidation(quick, soft):
    got, backend = [], Elsewhere()

    async def purge(request):
        got.append((request.tags, request.soft))

    cache = FastAPICache(backend, purge=purge, surrogate_keys='xkey')
    backend.failing.add('set')
    with pytest.raises(InvalidationError):
        await cache.invalidate_tags('user:7', soft=soft)
    await until(lambda: cache.stats().purges.sent == 2)  # no process but this one knows of it
    backend.failing.clear()
    await all_written(cache._settings.store)
    await until(lambda: cache.stats().purges.sent == 4)
    assert got == [(('user:7',), soft)] * 2 + [(('user:7',), False)] * 2  # what is owed is hard


def test_a_script_with_a_backend_elsewhere_purges_in_a_thread(quick):
    got = []

    async def purge(request):
        await asyncio.sleep(0.01)
        got.append(request.tags)

    cache = FastAPICache(Elsewhere(), purge=purge, surrogate_keys='xkey')
    cache.invalidate_now(tags=['a'])
    cache._settings.purging._thread.join(30)
    assert got == [('a',), ('a',)]


@pytest.mark.parametrize('purges', [0, 1])
def test_a_thread_goes_on_where_an_event_loop_ends(quick, monkeypatch, purges):
    monkeypatch.setattr(purging, 'AGAIN_SECONDS', 0.5)
    got = []

    async def purge(request):
        await asyncio.sleep(0.01)
        got.append(request.tags)

    _, cache, _ = served(purge)

    async def invalidate():
        await cache.invalidate_tags('a')
        await until(lambda: len(got) == purges)

    asyncio.run(invalidate())
    thread = cache._settings.purging._thread
    if thread is not None:  # else the event loop has waited for it, or it has ended
        thread.join(30)
    assert got == [('a',), ('a',)]


def test_a_script_purges_in_one_thread_and_ends_when_that_is_done(quick):
    got, threads = [], set()

    async def purge(request):
        threads.add(threading.get_ident())
        await asyncio.sleep(0.01)
        got.extend(request.tags)

    _, cache, _ = served(purge)
    for number in range(50):
        cache.invalidate_now(tags=[f'user:{number}'])
    thread = cache._settings.purging._thread
    assert thread is not None
    assert not thread.daemon  # Python waits for it at its end
    thread.join(30)
    assert sorted(got) == sorted([f'user:{number}' for number in range(50)] * 2)
    assert len(threads) == 1


def test_a_script_purges_in_another_thread_where_one_has_ended_or_was_lost_by_a_fork(quick):
    got, ended = [], threading.Thread(target=str)

    async def purge(request):
        got.extend(request.tags)

    _, cache, _ = served(purge)
    ended.start()
    ended.join()
    cache._settings.purging._thread = ended
    cache.invalidate_now(tags=['a'])
    cache._settings.purging._thread.join(30)
    assert got == ['a', 'a']


def test_a_purge_that_exits_is_a_failure_like_any_other(quick):
    got = []

    async def purge(request):
        got.extend(request.tags)
        if len(got) == 1:
            sys.exit(1)

    _, cache, _ = served(purge)
    cache.invalidate_now(tags=['a'])
    cache._settings.purging._thread.join(30)
    assert got == ['a'] * 3


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'purge': 'https://example.org'}, 'purge must be an async function'),
        ({'purge': lambda _: None}, 'purge must be an async function'),
        ({'purge': FastlyPurge(service_id='a', token='b')}, "set surrogate_keys='Surrogate-Key', too"),
        (
            {'purge': CloudflarePurge(zone_id='a', token='b'), 'surrogate_keys': 'Surrogate-Key'},
            "set surrogate_keys='Cache-Tag', too",
        ),
    ],
)
def test_a_purge_that_could_reach_nothing_is_refused(options, message):
    with pytest.raises(ConfigurationError, match=message):
        FastAPICache(**options)
