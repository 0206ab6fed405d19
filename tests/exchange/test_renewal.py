"""Stale entries are served while one request renews them, and entries are renewed ahead."""

import asyncio
import contextlib
import socket
import time

import pytest

from fastapi_caching_route._exchange.plan import RunOptions
from tests.exchange.herds import App, Gate, counting, seen, settled
from tests.servers import uvicorn_server


async def test_one_request_renews_while_all_are_served(clock):
    app = App(clock=clock)
    counting(app, ttl=10, stale_while_revalidate=100)
    await app.ask()
    clock.now += 11
    app.gate = Gate()
    first = app.ask()
    await app.gate.reached.wait()
    others = seen(await app.ask_all(20))
    assert {it.body for it in others} == {b'1'}
    assert {it.mark for it in others} == {'HIT'}
    app.gate.open.set()
    await first
    assert seen([await app.ask()])[0].body == b'2'
    assert len(app.runs) == 2


async def test_renewals_that_fail_are_tried_less_and_less_often(clock, caplog):
    app = App(clock=clock)

    @app.router.get('/')
    @app.cache(ttl=10, stale_while_revalidate=1000)
    async def endpoint():
        app.runs.append(clock.now)
        if len(app.runs) > 1:
            raise RuntimeError('broken')
        return 'fine'

    await app.ask()
    clock.now += 11
    began = clock.now
    for _ in range(400):
        assert seen([await app.ask()])[0].body == b'"fine"'
        clock.now += 0.25
    assert [at - began for at in app.runs[1:]] == [0, 1, 3, 7, 15, 31, 61, 91]


async def test_an_entry_that_was_renewed_may_be_renewed_again_at_once(clock):
    app = App(clock=clock)
    counting(app, ttl=0.25, stale_while_revalidate=100)
    await app.ask()
    for _ in range(3):
        clock.now += 0.3
        await app.ask()
    assert len(app.runs) == 4


async def test_who_misses_while_it_is_renewed_waits_for_that(clock):
    app = App(clock=clock)
    counting(app, ttl=10, stale_while_revalidate=5)
    await app.ask()
    clock.now += 11
    app.gate = Gate()
    renewing = app.ask()
    await app.gate.reached.wait()
    clock.now += 10  # outside of the window now
    following = app.ask()
    await asyncio.sleep(0.01)
    app.gate.open.set()
    assert seen([await following])[0].said == 'FastAPICache; fwd=stale; collapsed'
    await renewing
    assert len(app.runs) == 2


async def test_an_entry_is_renewed_ahead_by_one_request(clock):
    app = App(clock=clock)
    counting(app, ttl=100, eager_refresh=0.8)
    await app.ask()
    clock.now += 79
    assert {it.body for it in seen(await app.ask_all(5))} == {b'1'}
    assert len(app.runs) == 1
    clock.now += 12  # past the latest of the moments at which a process may begin
    app.gate = Gate()
    first = app.ask()
    await app.gate.reached.wait()
    assert {it.body for it in seen(await app.ask_all(5))} == {b'1'}
    app.gate.open.set()
    assert seen([await first])[0].body == b'1'
    later = seen([await app.ask()])[0]
    assert (later.body, later.mark) == (b'2', 'HIT')
    assert len(app.runs) == 2


async def test_processes_renew_ahead_at_different_moments(clock, monkeypatch):
    app = App(clock=clock)
    counting(app, ttl=100, eager_refresh=0.5)
    await app.ask()
    begun = set()
    for process in range(20):
        monkeypatch.setattr('os.getpid', lambda process=process: process)
        entry = next(iter(app.cache.backend._small.values())).value
        herds = RunOptions(collapse=True, collapse_timeout=10, lock=False, eager_refresh=0.5, endpoint_timeout=None)
        begun.add(next(age for age in range(101) if herds.is_due(entry, age)))
    assert min(begun) >= 50
    assert max(begun) <= 76
    assert len(begun) > 5


async def test_lifetimes_are_shortened_at_random(clock):
    app = App(clock=clock)

    @app.router.get('/{number}')
    @app.cache(ttl=100, ttl_jitter=0.2)
    async def endpoint(number: int):
        return number

    for number in range(50):
        await app.ask(f'/{number}')
    spans = {int(seen([await app.ask(f'/{number}')])[0].said.rpartition('=')[2]) for number in range(50)}
    assert min(spans) >= 79
    assert max(spans) <= 100
    assert len(spans) > 5


STALE_APP = """
import asyncio
from fastapi import APIRouter, FastAPI
from fastapi_caching_route import CachingRoute, FastAPICache

cache, router, runs, over = FastAPICache(), APIRouter(route_class=CachingRoute), [], asyncio.Event()

@router.get('/slow')
@cache(ttl=0.05, stale_while_revalidate=60)
async def slow():
    runs.append(1)
    if len(runs) > 1:
        await over.wait()
    return 'slow'

@router.get('/quick')
async def quick():
    over.set()
    return len(runs)

app = FastAPI()
app.include_router(router)
"""


@pytest.mark.parametrize('pipelined', [False, True])
@pytest.mark.parametrize('protocol', ['h11', 'httptools'])
def test_a_renewal_does_not_hold_up_the_connection_of_its_client(protocol, pipelined, tmp_path):
    (tmp_path / 'app.py').write_text(STALE_APP)
    slow, quick = (f'GET /{it} HTTP/1.1\r\nHost: test\r\n\r\n'.encode() for it in ('slow', 'quick'))
    with uvicorn_server('app:app', '--http', protocol, cwd=tmp_path) as port:
        connection = socket.create_connection(('127.0.0.1', port), timeout=30)
        reader = connection.makefile('rb')

        def answer():
            head = b''.join(iter(reader.readline, b'\r\n'))
            return reader.read(int(head.lower().split(b'content-length: ')[1].split(b'\r\n')[0]))

        connection.sendall(slow)
        assert answer() == b'"slow"'
        time.sleep(0.1)
        if pipelined:
            connection.sendall(slow + quick)
            answers = [answer(), answer()]
        else:
            answers = []
            for request in (slow, quick):
                connection.sendall(request)
                answers.append(answer())
        assert answers == [b'"slow"', b'2']  # the renewal has begun, and ends only after that
        reader.close()
        connection.close()


def test_an_event_loop_that_is_closed_leaves_no_flight_behind():
    app = App()
    counting(app)
    loop = asyncio.new_event_loop()

    async def begin():
        app.gate = Gate()
        asking = [app.ask() for _ in range(3)]
        await settled(app, app.gate.reached, 2)
        return asking

    asking = loop.run_until_complete(begin())
    loop.close()
    for task in asking:
        task._log_destroy_pending = False
        with contextlib.suppress(RuntimeError):
            task.get_coro().close()
    assert len(app.cache._settings.runtime.flights) == 0
