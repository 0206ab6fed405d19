"""Live streams are neither stored nor shared, and whoever waits for one is let go at its first message."""

import asyncio
import itertools

import pytest
from aiocache import RedisCache
from fastapi import FastAPI, Response
from fastapi.responses import StreamingResponse

from fastapi_caching_route import CacheControl, FastAPICache
from tests.support import Clock, asgi_scope, caching_router, client_of, memory_cache, patient

LIVE = (
    'text/event-stream',
    'text/event-stream; charset=utf-8',
    'Text/Event-Stream ;charset=utf-8',
    'multipart/x-mixed-replace; boundary=frame',
    'multipart/x-mixed-replace;boundary="frame"',
    'application/grpc',
    'application/grpc+proto',
    'application/grpc-web-text',
)
namespaces = itertools.count()


class OfItsOwn:
    """A response of no class of Starlette's."""

    def __init__(self, chunks, media_type):
        self.chunks, self.media_type = chunks, media_type

    async def __call__(self, scope, receive, send):
        headers = [(b'Content-Type', self.media_type.encode())]
        await send({'type': 'http.response.start', 'status': 200, 'headers': headers})
        async for chunk in self.chunks:
            await send({'type': 'http.response.body', 'body': chunk, 'more_body': True})
        await send({'type': 'http.response.body', 'body': b''})


class OwnResponse(OfItsOwn, Response):
    """FastAPI wants to know that it is one."""

    def __init__(self, chunks, media_type):
        Response.__init__(self)
        OfItsOwn.__init__(self, chunks, media_type)


def streaming(chunks, media_type):
    return StreamingResponse(chunks, headers={'content-type': media_type})


class App:
    """An endpoint that says one thing, and another when the test lets it."""

    def __init__(self, cache, make, media_type, **options):
        self.runs, self.go_on = [], asyncio.Event()
        router = caching_router()

        @router.get('/')
        @cache(ttl=60, **options)
        async def endpoint():
            self.runs.append(1)

            async def chunks():
                yield b'first'
                await self.go_on.wait()
                yield b'last'

            return make(chunks(), media_type)

        self.app = FastAPI()
        self.app.include_router(router)

    async def first_message(self):
        """The first body message of a response that goes on, its start, and the request."""
        got: asyncio.Queue = asyncio.Queue()
        asking = asyncio.ensure_future(self.app(asgi_scope(), patient(), got.put))
        start = await asyncio.wait_for(got.get(), 1)
        return start, await asyncio.wait_for(got.get(), 1), asking


@pytest.mark.parametrize('make', [streaming, OwnResponse])
@pytest.mark.parametrize('media_type', LIVE)
async def test_nobody_waits_for_a_live_stream_and_nobody_gets_a_replay(make, media_type):
    app = App(memory_cache(), make, media_type)
    asked = await asyncio.gather(*(app.first_message() for _ in range(5)))
    late = await app.first_message()
    for start, body, asking in (*asked, late):
        headers = dict(start['headers'])
        assert body['body'] == b'first'
        assert headers[b'cache-status'].endswith(b'detail=live')
        assert b'x-cache' not in headers
        assert not asking.done()
    assert len(app.runs) == 6
    app.go_on.set()
    await asyncio.gather(*(it[2] for it in (*asked, late)))
    start, _, asking = await app.first_message()
    await asking
    assert b'x-cache' not in dict(start['headers'])
    assert len(app.runs) == 7


async def test_no_other_process_waits_for_a_live_stream_with_a_lock(redis_port):
    namespace = f'live{next(namespaces)}'
    apps = []
    for _ in range(2):
        backend = RedisCache(endpoint='127.0.0.1', port=redis_port, namespace=namespace)
        cache = FastAPICache(backend, store_timeout=5)
        apps.append((cache, App(cache, streaming, 'text/event-stream', lock=True, collapse_timeout=100)))
    asked = await asyncio.gather(*(app.first_message() for _, app in apps))
    assert [len(app.runs) for _, app in apps] == [1, 1]
    for _, app in apps:
        app.go_on.set()
    await asyncio.gather(*(it[2] for it in asked))
    for cache, _ in apps:
        await cache._settings.store.close()


async def test_herds_that_come_later_are_not_collapsed_either():
    clock = Clock()
    cache = memory_cache(clock=clock)
    app = App(cache, streaming, 'text/event-stream')
    app.go_on.set()
    await (await app.first_message())[2]
    assert all(
        cache._settings.runtime.unshareable.holds(key, clock())
        for key in cache._settings.runtime.unshareable._until._numbers
    )
    assert len(cache._settings.runtime.unshareable._until._numbers) == 1


@pytest.mark.parametrize('media_type', ['application/x-ndjson', 'text/event', 'multipart/mixed'])
def test_what_has_an_end_is_stored(media_type):
    router, cache = caching_router(), memory_cache()

    @router.get('/')
    @cache(ttl=60)
    async def endpoint():
        return StreamingResponse(iter([b'{}', b'{}']), media_type=media_type)

    client = client_of(router)
    assert [client.get('/').headers['x-cache'] for _ in range(2)] == ['MISS', 'HIT']


@pytest.mark.parametrize('options', [{'mode': 'rfc9111'}, {'accepted_status_codes': {200, 201}}])
def test_no_mode_and_no_cache_control_makes_it_one_for_all(options):
    router, cache, runs = caching_router(), memory_cache(**options), []

    @router.get('/')
    @cache(ttl=60, cache_control=CacheControl(max_age=60))
    async def endpoint():
        runs.append(1)
        headers = {'content-type': 'text/event-stream', 'cache-control': 'public, max-age=60'}
        return Response('data: 1\n\n', headers=headers)

    client = client_of(router)
    assert ['x-cache' in client.get('/').headers for _ in range(2)] == [False, False]
    assert len(runs) == 2
