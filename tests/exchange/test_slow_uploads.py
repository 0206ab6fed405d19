"""Clients that send their bodies slowly, or break them off: others do not wait for them."""

import asyncio

import pytest
from fastapi import Depends, FastAPI, Request
from fastapi.responses import StreamingResponse
from starlette.requests import ClientDisconnect

from fastapi_caching_route._exchange import run
from tests.support import asgi_call, asgi_scope, caching_router, memory_cache

BEGIN = {'type': 'http.request', 'body': b'begin', 'more_body': True}
GONE = {'type': 'http.disconnect'}


class Upload:
    """A client that sends the beginning of a body, and what follows when the test lets it."""

    def __init__(self, method):
        self.scope, self.sent, self.told = asgi_scope(method=method, path='/'), [], []
        self.messages = asyncio.Queue()
        self.messages.put_nowait(BEGIN)

    async def send(self, message):
        self.sent.append(message)

    def begin(self, app):
        return asyncio.ensure_future(app(self.scope, self.messages.get, self.send))

    @property
    def body(self):
        return b''.join(it.get('body', b'') for it in self.sent)


def app_of(cache, began, broken, *, by_guard=False):
    router = caching_router()

    async def read(request: Request):
        began.set()
        try:
            return len(await request.body())
        except ClientDisconnect:
            broken.set()
            raise

    async def guarded(request: Request):
        return len(await request.body())

    endpoint = guarded if by_guard else read
    options = {'dependencies': [Depends(read)]} if by_guard else {}
    router.api_route('/', methods=['GET', 'POST'], **options)(cache(ttl=60)(endpoint))
    app = FastAPI()
    app.include_router(router)
    return app


async def slow_upload(method, *, broken=None, by_guard=False):
    """An app that reads the body of a slow client, that client, and its request, of which the beginning was read."""
    began, upload = asyncio.Event(), Upload(method)
    app = app_of(memory_cache(), began, broken or asyncio.Event(), by_guard=by_guard)
    request = upload.begin(app)
    await began.wait()
    return app, upload, request


def length(messages):
    return int(b''.join(it.get('body', b'') for it in messages[1:]))


@pytest.mark.parametrize('by_guard', [False, True])
@pytest.mark.parametrize('method', ['GET', 'POST'])
async def test_who_waits_for_a_slow_upload_goes_on_without_it(method, by_guard, monkeypatch):
    monkeypatch.setattr(run, 'STALLED_SECONDS', 0.02)
    app, upload, slow = await slow_upload(method, by_guard=by_guard)
    others = [asgi_call(app, asgi_scope(method=method, path='/'), body) for body in (b'', b'ab')]
    assert [length(it) for it in await asyncio.wait_for(asyncio.gather(*others), 9)] == [0, 2]
    assert not slow.done()
    upload.messages.put_nowait({'type': 'http.request', 'body': b' end', 'more_body': False})
    await slow
    assert upload.body == b'9'


async def test_nobody_waits_for_an_upload_that_comes_in_drops(monkeypatch):
    monkeypatch.setattr(run, 'STALLED_SECONDS', 0.1)
    app, upload, slow = await slow_upload('POST')

    async def drop():
        while True:
            await asyncio.sleep(0.01)
            upload.messages.put_nowait(BEGIN)

    dropping = asyncio.ensure_future(drop())
    other = asgi_call(app, asgi_scope(method='POST', path='/'), b'ab')
    assert length(await asyncio.wait_for(other, 9)) == 2
    for it in (dropping, slow):
        it.cancel()
    await asyncio.gather(dropping, slow, return_exceptions=True)


@pytest.mark.parametrize('method', ['GET', 'POST'])
async def test_an_upload_that_breaks_off_ends_at_once_while_others_wait(method, monkeypatch):
    monkeypatch.setattr(run, 'STALLED_SECONDS', 3600)
    broken = asyncio.Event()
    app, upload, broken_off = await slow_upload(method, broken=broken)
    other = asyncio.ensure_future(asgi_call(app, asgi_scope(method=method, path='/'), b'ab'))
    await asyncio.sleep(0.05)
    assert not other.done()
    upload.messages.put_nowait(GONE)
    await asyncio.wait_for(broken.wait(), 9)
    assert length(await asyncio.wait_for(other, 9)) == 2
    await asyncio.gather(broken_off, return_exceptions=True)


async def test_an_upload_that_goes_on_is_waited_for(monkeypatch):
    monkeypatch.setattr(run, 'STALLED_SECONDS', 3600)
    app, upload, slow = await slow_upload('POST')
    others = [
        asyncio.ensure_future(asgi_call(app, asgi_scope(method='POST', path='/'), b'begin end')) for _ in range(3)
    ]
    for _ in range(3):
        upload.messages.put_nowait({'type': 'http.request', 'body': b'', 'more_body': True})
        await asyncio.sleep(0.01)
    upload.messages.put_nowait({'type': 'http.request', 'body': b' end', 'more_body': False})
    await slow
    assert {length(it) for it in await asyncio.gather(*others)} == {9}


async def test_a_client_that_leaves_after_its_body_does_not_end_a_stream_for_those_who_wait():
    runs, begun, go_on, left = [], asyncio.Event(), asyncio.Event(), asyncio.Event()
    router, cache, app = caching_router(), memory_cache(), FastAPI()

    @router.get('/')
    @cache(ttl=60)
    async def endpoint():
        runs.append(1)

        async def chunks():
            begun.set()
            yield b'one '
            await go_on.wait()
            yield b'two'

        return StreamingResponse(chunks())

    app.include_router(router)
    request = iter([{'type': 'http.request', 'body': b'', 'more_body': False}])

    async def receive():
        for message in request:
            return message
        await left.wait()
        return GONE

    async def send(message):
        pass

    leading = asyncio.ensure_future(
        app({**asgi_scope(), 'asgi': {'version': '3.0', 'spec_version': '2.3'}}, receive, send)
    )
    await begun.wait()
    following = asyncio.ensure_future(asgi_call(app, asgi_scope()))
    await asyncio.sleep(0.02)
    left.set()
    await asyncio.sleep(0.02)
    go_on.set()
    assert b''.join(it.get('body', b'') for it in await following) == b'one two'
    assert runs == [1]
    await leading
