"""Purges of caches in front: what they are asked, together, again after a failure, and once more after old runs."""

import asyncio
import json
import logging
import threading
from base64 import b64encode
from contextlib import asynccontextmanager

import pytest

from fastapi_caching_route import ConfigurationError, FastAPICache, InvalidationError, SurrogateKeys
from fastapi_caching_route._concurrency.flights import Flights, Instead
from fastapi_caching_route._routes import purging
from fastapi_caching_route.purge import (
    CloudflarePurge,
    FastlyPurge,
    PurgeError,
    PurgeRequest,
    SouinPurge,
    VarnishPurge,
)
from fastapi_caching_route.stats import PurgeStats
from tests.backends.fakes import Elsewhere
from tests.support import all_written, caching_router, client_of

TOKEN = 'very-secret-token'


@asynccontextmanager
async def fake(*statuses):
    """A server that speaks HTTP, answers with these statuses and then with 200, and keeps what it was asked."""
    asked, left = [], list(statuses)

    async def answer(reader, writer):
        head = (await reader.readuntil(b'\r\n\r\n')).decode()
        line, *rest = head.strip().split('\r\n')
        headers = dict(it.split(': ', 1) for it in rest)
        headers = {name.lower(): value for name, value in headers.items()}
        body = await reader.readexactly(int(headers.get('content-length', 0)))
        asked.append((*line.split(' ')[:2], headers, json.loads(body) if body else None))
        status = left.pop(0) if left else 200
        writer.write(b'HTTP/1.1 %d Status\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}' % status)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, '127.0.0.1', 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        yield f'http://127.0.0.1:{port}', asked


REQUEST = PurgeRequest(('user:7', 'path:/u/7'))
SOFT = PurgeRequest(('user:7',), soft=True)


async def test_fastly_is_asked_by_keys():
    async with fake() as (url, asked):
        purge = FastlyPurge(service_id='abc', token=TOKEN, api=url)
        await purge(REQUEST)
        await purge(SOFT)
        await purge(PurgeRequest(tuple(map(str, range(300)))))
    (method, path, headers, body), soft, *many = asked
    assert (method, path, body) == ('POST', '/service/abc/purge', {'surrogate_keys': ['user:7', 'path:/u/7']})
    assert (headers['fastly-key'], 'fastly-soft-purge' in headers) == (TOKEN, False)
    assert soft[2]['fastly-soft-purge'] == '1'
    assert [len(it[3]['surrogate_keys']) for it in many] == [256, 44]


async def test_cloudflare_is_asked_by_tags():
    async with fake() as (url, asked):
        await CloudflarePurge(zone_id='z', token=TOKEN, api=url)(PurgeRequest(tuple(map(str, range(31)))))
    assert [(it[0], it[1]) for it in asked] == [('POST', '/zones/z/purge_cache')] * 2
    assert [len(it[3]['tags']) for it in asked] == [30, 1]
    assert asked[0][2]['authorization'] == f'Bearer {TOKEN}'


async def test_every_varnish_is_asked_also_if_one_fails():
    async with fake(503) as (bad, _), fake() as (good, asked):
        purge = VarnishPurge(urls=[bad, good], headers={'x-secret': TOKEN})
        with pytest.raises(PurgeError, match=r'^127\.0\.0\.1 returned 503$'):
            await purge(REQUEST)
        await VarnishPurge(urls=[good])(SOFT)
    assert [(it[0], it[1]) for it in asked] == [('PURGE', '/')] * 2
    assert (asked[0][2]['xkey-purge'], asked[0][2]['x-secret']) == ('user:7 path:/u/7', TOKEN)
    assert asked[1][2]['xkey-softpurge'] == 'user:7'


async def test_souin_is_asked_by_its_api():
    async with fake() as (url, asked):
        await SouinPurge(urls=[f'{url}/souin-api/souin'])(REQUEST)
    assert [(it[0], it[1]) for it in asked] == [('PURGE', '/souin-api/souin')]
    assert asked[0][2]['surrogate-key'] == 'user:7, path:/u/7'


async def test_no_error_has_a_token_in_it():
    for purge in (
        FastlyPurge(service_id='a', token=TOKEN, api='http://127.0.0.1:1'),
        FastlyPurge(service_id='a', token=f'{TOKEN}\r\nx', api='http://127.0.0.1:1'),
        VarnishPurge(urls=['http://127.0.0.1:1'], headers={'x-secret': TOKEN}),
    ):
        with pytest.raises(PurgeError) as raised:
            await purge(REQUEST)
        assert TOKEN not in str(raised.value)
        assert TOKEN not in repr(purge)


@pytest.mark.parametrize('kind', [VarnishPurge, SouinPurge])
async def test_the_password_of_a_url_is_sent_and_never_shown(kind, caplog):
    caplog.set_level(logging.DEBUG)
    async with fake() as (url, asked):
        purge = kind(urls=[url.replace('//', f'//admin:{TOKEN}@')])
        await purge(REQUEST)
    for wrong in (f'//admin:{TOKEN}@[::1', f'http://admin:{TOKEN}@127.0.0.1:1', f'http://{TOKEN}@:x'):
        with pytest.raises(PurgeError) as raised:
            await kind(urls=[wrong])(REQUEST)
        assert TOKEN not in str(raised.value)
    assert asked[0][2]['authorization'] == f'Basic {b64encode(f"admin:{TOKEN}".encode()).decode()}'
    assert TOKEN not in caplog.text + repr(purge)


@pytest.fixture
def quick(monkeypatch):
    """Pauses that no test waits for."""
    monkeypatch.setattr(purging, 'PAUSES', (0.001,) * 3)
    monkeypatch.setattr(purging, 'AGAIN_SECONDS', 0.05)
    monkeypatch.setattr(purging, 'SLOT_SECONDS', 0.02)


def served(purge, **options):
    router, cache = caching_router(), FastAPICache(purge=purge, surrogate_keys='Surrogate-Key', **options)

    @router.get('/u/{number}')
    @cache(ttl=60, tags=['user:{number}'])
    async def endpoint(number: int):
        return number

    return client_of(router), cache, endpoint


async def until(condition):
    for _ in range(2000):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError('it did not come')


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
    monkeypatch.setattr(purging, 'MOST_NAMES', 10)
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
    monkeypatch.setattr(purging, 'MOST_SECONDS', 0.02)
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
    monkeypatch.setattr(purging, 'MOST_LATER', 10)
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


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'purge': 'https://example.org'}, 'purge must be an async function'),
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
