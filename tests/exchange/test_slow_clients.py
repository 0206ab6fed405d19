"""Streams as their clients take them: the start at once, and slow clients that hold up nobody else."""

import asyncio
import time

import pytest
from fastapi import APIRouter, FastAPI, HTTPException, Response
from fastapi.responses import StreamingResponse

from fastapi_caching_route import CachingRoute, FastAPICache
from fastapi_caching_route._exchange import passing as _passing
from tests.support import Clock, asgi_call, asgi_scope, caching_router, memory_cache, patient


@pytest.fixture
def soon(monkeypatch):
    """Clients count as slow after a moment."""
    monkeypatch.setattr(_passing, 'STALLED_SECONDS', 0.02)
    monkeypatch.setattr(_passing, 'GIVE_UP_SECONDS', 0.06)
    monkeypatch.setattr(_passing, 'START_SECONDS', 0.03)


class Slow:
    """A client that takes nothing after the first chunk, until the test lets it."""

    def __init__(self):
        self.got, self.has_begun, self.go_on = [], asyncio.Event(), asyncio.Event()

    async def send(self, message):
        self.got.append(message)
        if message.get('body'):
            self.has_begun.set()
            await self.go_on.wait()

    @property
    def body(self):
        return b''.join(it.get('body', b'') for it in self.got)


def app_of(router):
    app = FastAPI()
    app.include_router(router)
    return app


def streaming(cache, runs, **options):
    router = caching_router()

    @router.get('/{name}')
    @cache(ttl=60, **options)
    async def endpoint(name: str):
        runs.append(name)

        async def chunks():
            for _ in range(4):
                yield b'x' * 100

        return StreamingResponse(chunks()) if name.startswith('stream') else Response(b'y' * 1000)

    return app_of(router)


def headers_of(messages):
    return dict(messages[0]['headers'])


def body_of(messages):
    return b''.join(it.get('body', b'') for it in messages[1:])


async def test_who_waits_for_a_slow_client_goes_on_without_it(soon):
    cache, runs, slow = memory_cache(), [], Slow()
    app = streaming(cache, runs)
    leading = asyncio.ensure_future(app(asgi_scope(path='/stream'), patient(), slow.send))
    await slow.has_begun.wait()
    began = time.monotonic()
    others = await asyncio.gather(*(asgi_call(app, asgi_scope(path='/stream')) for _ in range(5)))
    assert time.monotonic() - began < 2
    assert {body_of(it) for it in others} == {b'x' * 400}
    assert len(runs) == 2  # one of them leads, and the others follow it
    assert not leading.done()
    slow.go_on.set()
    await leading
    assert slow.body == b'x' * 400


async def test_slow_clients_one_after_another_hold_up_nobody_for_long(soon):
    cache, runs = memory_cache(), []
    app = streaming(cache, runs)
    slow = [Slow() for _ in range(8)]
    leading = [asyncio.ensure_future(app(asgi_scope(path='/stream'), patient(), it.send)) for it in slow]
    await slow[0].has_begun.wait()
    began = time.monotonic()
    assert body_of(await asgi_call(app, asgi_scope(path='/stream'))) == b'x' * 400
    assert time.monotonic() - began < 1
    for it in slow:
        it.go_on.set()
    await asyncio.gather(*leading)
    assert {it.body for it in slow} == {b'x' * 400}


async def test_nobody_waits_for_a_client_that_reads_in_drops(monkeypatch):
    monkeypatch.setattr(_passing, 'STALLED_SECONDS', 0.1)
    cache, router, runs, has_begun = memory_cache(), caching_router(), [], asyncio.Event()

    @router.get('/')
    @cache(ttl=60)
    async def endpoint():
        runs.append(1)

        async def chunks():
            number = 0
            while len(runs) == 1 or number < 4:
                number += 1
                yield b'x'

        return StreamingResponse(chunks())

    async def send_slowly(message):
        has_begun.set()
        await asyncio.sleep(0.02)

    app = app_of(router)
    leading = asyncio.ensure_future(app(asgi_scope(), patient(), send_slowly))
    await has_begun.wait()
    other = await asyncio.wait_for(asgi_call(app, asgi_scope()), 9)  # without it, the first stream would not end
    assert (body_of(other), runs) == (b'xxxx', [1, 1])
    await leading


async def test_the_recording_of_a_slow_client_makes_room_for_others(soon):
    cache, runs, slow = FastAPICache(recording_budget=450), [], [Slow() for _ in range(4)]
    app = streaming(cache, runs)
    leading = [
        asyncio.ensure_future(app(asgi_scope(path=f'/stream{number}'), patient(), it.send))
        for number, it in enumerate(slow)
    ]
    for it in slow:
        await it.has_begun.wait()
    assert cache._settings.runtime.budget.used == 400
    refused = await asgi_call(app, asgi_scope(path='/stream-of-another'))
    assert body_of(refused) == b'x' * 400
    await asyncio.sleep(0.15)
    assert cache._settings.runtime.budget.used == 0
    for path in ('/stream-of-a-third', '/stream-of-a-third'):
        headers = headers_of(await asgi_call(app, asgi_scope(path=path)))
    assert headers[b'x-cache'] == b'HIT'
    for it in slow:
        it.go_on.set()
    await asyncio.gather(*leading)
    assert {it.body for it in slow} == {b'x' * 400}
    assert headers_of(await asgi_call(app, asgi_scope(path='/stream0')))[b'x-cache'] == b'MISS'  # it was not stored


async def test_a_response_that_is_held_is_stored_whatever_the_streams_do():
    cache, runs, slow = FastAPICache(recording_budget=100), [], Slow()
    app = streaming(cache, runs)
    leading = asyncio.ensure_future(app(asgi_scope(path='/stream'), patient(), slow.send))
    await slow.has_begun.wait()
    assert cache._settings.runtime.budget.used == 100
    marks = [headers_of(await asgi_call(app, asgi_scope(path='/whole')))[b'x-cache'] for _ in range(2)]
    assert marks == [b'MISS', b'HIT']
    slow.go_on.set()
    await leading


async def test_a_client_that_takes_its_time_but_takes_is_stored(soon):
    cache, runs = memory_cache(), []
    app = streaming(cache, runs)

    async def send(message):
        await asyncio.sleep(0.03)

    await app(asgi_scope(path='/stream'), patient(), send)
    assert headers_of(await asgi_call(app, asgi_scope(path='/stream')))[b'x-cache'] == b'HIT'
    assert len(runs) == 1


# The start


def late(cache, gate, **headers):
    router = caching_router()

    @router.get('/')
    @cache(ttl=60)
    async def endpoint():
        async def chunks():
            await gate.wait()
            yield b'later'

        return StreamingResponse(chunks(), headers={name.replace('_', '-'): value for name, value in headers.items()})

    return app_of(router)


class Quick:
    """A client that says what it has got."""

    def __init__(self):
        self.got = asyncio.Queue()
        self.send = self.got.put

    async def next(self):
        return await asyncio.wait_for(self.got.get(), 1)


@pytest.mark.parametrize('headers', [{}, {'content_length': '5'}])
async def test_the_start_of_a_stream_does_not_wait_for_its_first_chunk(headers, soon):
    gate, client, cache = asyncio.Event(), Quick(), memory_cache()
    app = late(cache, gate, **headers)
    asking = asyncio.ensure_future(app(asgi_scope(), patient(), client.send))
    start = await client.next()
    assert headers_of([start])[b'x-cache'] == b'MISS'
    assert b'etag' not in headers_of([start])
    assert client.got.empty()
    gate.set()
    assert (await client.next())['body'] == b'later'
    assert not (await client.next()).get('more_body')
    await asking
    hit = await asgi_call(app, asgi_scope())
    assert headers_of(hit)[b'x-cache'] == b'HIT'
    assert body_of(hit) == b'later'


async def test_a_response_of_one_message_is_held_though_it_has_no_length():
    class Bare(Response):
        async def __call__(self, scope, receive, send):
            await send({'type': 'http.response.start', 'status': 200, 'headers': []})
            await send({'type': 'http.response.body', 'body': b'all'})

    cache, router = memory_cache(), caching_router()

    @router.get('/')
    @cache(ttl=60)
    async def endpoint():
        return Bare()

    app = app_of(router)
    headers = headers_of(await asgi_call(app, asgi_scope()))
    assert b'etag' in headers
    asked = asgi_scope(headers=[(b'if-none-match', headers[b'etag'])])
    assert (await asgi_call(app_of(router), asked))[0]['status'] == 304


async def test_what_fails_before_its_first_chunk_fails_as_without_a_cache():
    clock, router, runs, before = Clock(), caching_router(), [], asyncio.all_tasks()
    cache = memory_cache(clock=clock)

    @router.get('/')
    @cache(ttl=60, stale_if_error=600)
    async def endpoint():
        runs.append(1)

        async def chunks():
            if len(runs) > 1:
                await asyncio.sleep(0.01)
                raise HTTPException(503)
            yield b'fine'

        return StreamingResponse(chunks())

    app = app_of(router)
    await asgi_call(app, asgi_scope())
    clock.now += 61
    sent = []

    async def send(message):
        sent.append(message)

    with pytest.raises(Exception):  # noqa: B017, PT011, of one kind or another, by the release of Starlette
        await app(asgi_scope(), patient(), send)
    assert [it['type'] for it in sent] == ['http.response.start']
    assert asyncio.all_tasks() == before


async def test_a_client_that_leaves_at_the_start_leaves_nothing_behind():
    gate, cache, before = asyncio.Event(), memory_cache(), asyncio.all_tasks()
    app = late(cache, gate)

    async def gone(message):
        raise OSError

    asking = asyncio.ensure_future(app(asgi_scope(), patient(), gone))
    await asyncio.sleep(0.01)
    gate.set()
    with pytest.raises(Exception):  # noqa: B017, PT011, of one kind or another, by the release of Starlette
        await asking
    assert asyncio.all_tasks() == before
    assert len(cache._settings.runtime.flights) == 0


async def test_a_request_that_is_cancelled_while_its_start_is_sent_leaves_nothing_behind():
    gate, cache, reached, before = asyncio.Event(), memory_cache(), asyncio.Event(), asyncio.all_tasks()
    app = late(cache, gate)

    async def hanging(message):
        reached.set()
        await asyncio.get_running_loop().create_future()

    asking = asyncio.ensure_future(app(asgi_scope(), patient(), hanging))
    await reached.wait()
    asking.cancel()
    await asyncio.wait([asking])
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before
    assert (len(cache._settings.runtime.flights), cache._settings.runtime.budget.used) == (0, 0)


async def test_the_start_of_a_stream_in_place_of_a_whole_response_does_not_wait_for_its_first_chunk():
    gate, client, cache = asyncio.Event(), Quick(), memory_cache()

    async def chunks():
        await gate.wait()
        yield b'later'

    class Replacing(CachingRoute):
        def get_route_handler(self):
            handler = super().get_route_handler()

            async def replaced(request):
                await handler(request)
                return StreamingResponse(chunks())

            return replaced

    router = APIRouter(route_class=Replacing)

    @router.get('/')
    @cache(ttl=60)
    async def endpoint():
        return 'whole'

    asking = asyncio.ensure_future(app_of(router)(asgi_scope(), patient(), client.send))
    assert headers_of([await client.next()])[b'x-cache'] == b'MISS'
    assert client.got.empty()
    gate.set()
    assert (await client.next())['body'] == b'later'
    await asking
