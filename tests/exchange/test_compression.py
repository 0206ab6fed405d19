"""Responses that are kept compressed: made behind the first response, sent as they are kept."""

import asyncio
import gzip
import threading
import time
from collections import Counter

import httpx
import pytest
from fastapi import BackgroundTasks, Depends, FastAPI, Request, Response
from fastapi.responses import StreamingResponse
from starlette.middleware.gzip import GZipMiddleware

from fastapi_caching_route import (
    CacheContextDep,
    CacheControl,
    CachePolicy,
    Compression,
    ConfigurationError,
    FastAPICache,
    MemoryCache,
)
from fastapi_caching_route._core import codings
from fastapi_caching_route._store import compressed
from tests.promises.test_speed import HIT, counted
from tests.support import asgi_scope, caching_router

TEXT = 'some text that is repeated; ' * 1000
GZIP = {'accept-encoding': 'gzip'}
PLAIN = {'accept-encoding': 'identity'}


class Shop:
    """An app with one cached route, and how often its endpoint ran."""

    def __init__(self, clock, answer=None, *, compress=True, backend=None, middleware=(), mode='policy', **options):
        self.runs = 0
        self.text = TEXT
        compression = Compression('gzip') if compress is True else compress
        self.cache = FastAPICache(backend, clock=clock, compress=compression, mode=mode)
        self.app, router = FastAPI(openapi_url=None), caching_router()
        self.answer = answer or (lambda: Response(self.text, media_type='text/plain'))

        @router.api_route('/', methods=['GET', 'HEAD'])
        @self.cache(**{'ttl': 60, 'tags': ['page']} | options if mode == 'policy' else options)
        async def page(request: Request, tasks: BackgroundTasks):
            self.runs += 1
            return self.answer()

        self.app.include_router(router)
        for it, its in middleware:
            self.app.add_middleware(it, **its)
        transport = httpx.ASGITransport(self.app)
        self.client = httpx.AsyncClient(transport=transport, base_url='http://shop', headers=PLAIN)

    async def get(self, headers=None, method='GET'):
        """The response, not decoded."""
        async with self.client.stream(method, '/', headers=headers) as response:
            response.raw = b''.join([it async for it in response.aiter_raw()])
            return response

    def entry(self):
        (entry,) = [it.value for it in [*self.backend._small.values(), *self.backend._main.values()]]
        return entry

    @property
    def backend(self):
        return self.cache.backend


@pytest.fixture
def shop(clock):
    return Shop(clock)


def coding(response):
    return response.headers.get('content-encoding')


async def test_the_first_response_is_as_the_endpoint_made_it_and_later_ones_are_compressed(shop):
    first, later = await shop.get(GZIP), await shop.get(GZIP)
    assert (coding(first), first.raw) == (None, TEXT.encode())
    assert (coding(later), gzip.decompress(later.raw)) == ('gzip', TEXT.encode())
    assert later.headers['content-length'] == str(len(later.raw))
    assert len(later.raw) < len(first.raw) / 10
    assert shop.runs == 1
    assert {first.headers['vary'], later.headers['vary']} == {'accept-encoding'}
    assert first.headers['etag'] != later.headers['etag']
    assert not later.headers['etag'].startswith('W/')


async def test_a_client_that_does_not_accept_the_coding_gets_the_plain_body(shop):
    first = await shop.get()
    for headers in (PLAIN, {'accept-encoding': 'br'}, {'accept-encoding': 'gzip;q=0'}):
        response = await shop.get(headers)
        assert (coding(response), response.raw, response.headers['etag']) == (
            None,
            TEXT.encode(),
            first.headers['etag'],
        )
    assert shop.runs == 1


async def test_a_client_that_refuses_what_is_plain_gets_even_the_first_response_compressed(shop):
    refusing = {'accept-encoding': 'gzip, identity;q=0'}
    first, later = await shop.get(refusing), await shop.get(refusing)
    assert (coding(first), gzip.decompress(first.raw), first.headers['x-cache']) == ('gzip', TEXT.encode(), 'MISS')
    assert (later.raw, later.headers['etag']) == (first.raw, first.headers['etag'])
    assert (await shop.get()).raw == TEXT.encode()


async def test_decoded_bodies_end_with_their_entries(shop):
    await shop.get()
    await shop.get()
    bodies = shop.cache._settings.runtime.plain_bodies
    assert bodies._bytes == len(TEXT)
    await shop.cache.invalidate_tags('page')
    shop.text = 'x' * 5000
    await shop.get()
    shop.cache._settings.runtime.counts.clear()
    assert bodies._bytes == 0
    assert not bodies._found


async def test_guards_that_vary_have_one_vary_in_a_304(clock):
    def guard(response: Response):
        response.headers['vary'] = 'x-guard'

    shop = Shop(clock, lambda: {'text': TEXT}, dependencies=[Depends(guard)], identity='shared')
    await shop.get(GZIP)
    whole = await shop.get(GZIP)
    again = await shop.get({**GZIP, 'if-none-match': whole.headers['etag']})
    for response in (whole, again):
        assert response.headers.get_list('vary') == [whole.headers['vary']]
        assert {'accept-encoding', 'x-guard'} <= {it.strip() for it in whole.headers['vary'].split(',')}
    assert again.status_code == 304


async def test_head_says_what_get_would(shop):
    await shop.get()
    for headers in (GZIP, PLAIN):
        get, head = await shop.get(headers), await shop.get(headers, 'HEAD')
        assert (head.raw, head.headers) == (b'', get.headers)


@pytest.mark.parametrize('had', [GZIP, PLAIN], ids=['the compressed one', 'the plain one'])
async def test_a_client_that_has_a_representation_that_it_accepts_gets_a_304_with_its_tag(shop, had):
    await shop.get()
    tag = (await shop.get(had)).headers['etag']
    again = await shop.get({**GZIP, 'if-none-match': tag})
    assert (again.status_code, again.headers['etag'], again.headers['vary']) == (304, tag, 'accept-encoding')
    assert coding(again) is None


async def test_a_tag_of_a_coding_that_the_client_does_not_accept_matches_nothing(shop):
    await shop.get()
    tag = (await shop.get(GZIP)).headers['etag']
    response = await shop.get({**PLAIN, 'if-none-match': tag})
    assert (response.status_code, response.raw) == (200, TEXT.encode())


async def test_a_part_of_the_compressed_content_is_sent_to_a_client_that_has_its_beginning(shop):
    await shop.get()
    whole = await shop.get(GZIP)
    part = await shop.get({**GZIP, 'range': 'bytes=100-', 'if-range': whole.headers['etag']})
    assert (part.status_code, coding(part)) == (206, 'gzip')
    assert gzip.decompress(whole.raw[:100] + part.raw) == TEXT.encode()
    other = await shop.get({**GZIP, 'range': 'bytes=100-', 'if-range': '"another"'})
    assert (other.status_code, other.raw) == (200, whole.raw)


async def test_any_other_part_is_one_of_the_plain_body(shop):
    await shop.get()
    part = await shop.get({**GZIP, 'range': 'bytes=5-8'})
    assert (part.status_code, part.raw) == (206, TEXT[5:9].encode())
    assert part.headers['content-range'] == f'bytes 5-8/{len(TEXT)}'


async def test_gzip_middleware_has_nothing_to_do_on_hits(clock):
    shop = Shop(clock, middleware=[(GZipMiddleware, {'minimum_size': 1})])
    await shop.get(GZIP)
    response = await shop.get(GZIP)
    assert (coding(response), gzip.decompress(response.raw)) == ('gzip', TEXT.encode())
    assert response.raw == shop.entry().content


UNTOUCHED = {
    'an image': Response(TEXT, media_type='image/png'),
    'no type': Response(TEXT),
    'encoded': Response(gzip.compress(TEXT.encode()), headers={'content-encoding': 'gzip'}, media_type='text/plain'),
    'not to be transformed': Response(TEXT, headers={'cache-control': 'no-transform'}, media_type='text/plain'),
    'small': Response('x' * 1023, media_type='text/plain'),
    'random': Response(gzip.compress(bytes(range(256)) * 20).hex()[:1100], media_type='text/plain'),
}


@pytest.mark.parametrize('kind', UNTOUCHED)
async def test_what_is_not_compressed_is_sent_as_it_is(clock, kind):
    shop, answer = Shop(clock), UNTOUCHED[kind]
    shop.answer = lambda: Response(answer.body, headers=dict(answer.headers))
    first, later = await shop.get(GZIP), await shop.get(GZIP)
    assert (first.raw, later.raw) == (answer.body, answer.body)
    assert coding(later) == answer.headers.get('content-encoding')
    assert later.headers['etag'] == first.headers['etag']
    assert shop.runs == 1


async def test_a_route_that_forbids_to_transform_is_not_compressed(clock):
    shop = Shop(clock, cache_control=CacheControl(max_age=5, no_transform=True))
    await shop.get(GZIP)
    assert coding(await shop.get(GZIP)) is None


async def test_a_route_that_forbids_to_transform_since_the_last_deployment_sends_what_is_kept_plain(clock):
    before = Shop(clock, backend=MemoryCache())
    await before.get()
    assert coding(await before.get(GZIP)) == 'gzip'
    after = Shop(clock, backend=before.backend, cache_control=CacheControl(max_age=5, no_transform=True))
    for headers in (GZIP, {'accept-encoding': 'gzip, identity;q=0'}, {**GZIP, 'range': 'bytes=0-', 'if-range': '"x"'}):
        response = await after.get(headers)
        assert (coding(response), response.raw, response.headers['x-cache']) == (None, TEXT.encode(), 'HIT')


async def test_what_is_set_under_the_key_of_a_route_that_forbids_to_transform_is_not_compressed(clock):
    cache, app, router, keys = FastAPICache(clock=clock, compress=Compression('gzip')), FastAPI(), caching_router(), []

    @router.get('/')
    @cache(ttl=60, cache_control=CacheControl(max_age=5, no_transform=True))
    async def page(context: CacheContextDep):
        keys.append(context.key)
        return {'text': TEXT}

    app.include_router(router)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url='http://shop', headers=GZIP) as client:
        await client.get('/')
        assert await cache.set_cached(keys[0], Response(TEXT, media_type='text/plain'))
        response = await client.get('/')
    assert (coding(response), response.text, response.headers['x-cache']) == (None, TEXT, 'HIT')
    assert [it.coding for it in [entry async for entry in cache.entries()]] == ['']


def guarded_by(clock, name, value):
    """A shop whose guard writes this header."""

    def guard(response: Response):
        response.headers[name] = value

    return Shop(clock, lambda: {'text': TEXT}, dependencies=[Depends(guard)], identity='shared')


async def test_a_guard_that_forbids_to_transform_gets_what_is_plain(clock):
    for name in ('cache-control', 'cdn-cache-control'):
        shop = guarded_by(clock, name, 'no-transform')
        for accepted in ('gzip', 'gzip', 'gzip, identity;q=0'):
            response = await shop.get({'accept-encoding': accepted})
            assert (coding(response), len(response.raw)) == (None, len(TEXT) + len('{"text":""}'))


@pytest.mark.parametrize('name', ['repr-digest', 'content-digest', 'content-encoding'])
async def test_a_304_has_nothing_that_guards_say_of_the_content(clock, name):
    shop = guarded_by(clock, name, 'of the plain body')
    await shop.get(GZIP)
    tag = (await shop.get(GZIP)).headers['etag']
    response = await shop.get({**GZIP, 'if-none-match': tag})
    assert (response.status_code, response.headers['etag'], name in response.headers) == (304, tag, False)


async def test_a_client_that_forbids_to_transform_gets_the_plain_body(shop):
    await shop.get()
    response = await shop.get({**GZIP, 'cache-control': 'no-transform'})
    assert (coding(response), response.raw) == (None, TEXT.encode())


async def test_a_stream_is_compressed_when_it_is_complete(clock):
    shop = Shop(clock)
    shop.answer = lambda: StreamingResponse(iter([TEXT[:100], TEXT[100:]]), media_type='text/plain')
    first, later = await shop.get(GZIP), await shop.get(GZIP)
    assert (coding(first), first.raw, first.headers['vary']) == (None, TEXT.encode(), 'accept-encoding')
    assert gzip.decompress(later.raw) == TEXT.encode()


async def test_the_tag_of_the_endpoint_stays_that_of_the_plain_body(clock):
    shop = Shop(clock)
    shop.answer = lambda: Response(TEXT, headers={'etag': '"v1"'}, media_type='text/plain')
    await shop.get()
    assert (await shop.get()).headers['etag'] == '"v1"'
    tag = (await shop.get(GZIP)).headers['etag']
    assert tag not in {'"v1"', 'W/"v1"'}
    assert [(await shop.get({**GZIP, 'if-none-match': it})).status_code for it in ('"v1"', tag)] == [304, 304]


async def test_by_the_book_no_tag_is_made_up(clock):
    shop = Shop(clock, mode='rfc9111')
    shop.answer = lambda: Response(TEXT, headers={'cache-control': 'max-age=60'}, media_type='text/plain')
    await shop.get(GZIP)
    response = await shop.get(GZIP)
    assert (coding(response), 'etag' in response.headers) == ('gzip', False)
    assert response.headers['vary'] == 'accept-encoding'


async def test_by_the_book_a_confirmed_response_stays_compressed(clock):
    shop, asked = Shop(clock, mode='rfc9111'), []
    headers = {'cache-control': 'max-age=60', 'etag': '"v1"'}
    shop.answer = lambda: Response(TEXT, headers=headers, media_type='text/plain')
    await shop.get(GZIP)
    clock.now += 61
    shop.answer = lambda: asked.append(1) or Response(status_code=304, headers=headers)
    for accepted in (PLAIN, GZIP, PLAIN):
        response = await shop.get(accepted)
        assert coding(response) == ('gzip' if accepted is GZIP else None)
        assert (gzip.decompress(response.raw) if coding(response) else response.raw) == TEXT.encode()
    assert len(asked) == 1
    assert shop.entry().coded.coding == 'gzip'


async def test_a_304_of_the_endpoint_that_forbids_to_transform_makes_the_body_plain_again(clock):
    shop = Shop(clock, mode='rfc9111')
    headers = {'cache-control': 'max-age=60', 'etag': '"v1"'}
    shop.answer = lambda: Response(TEXT, headers=headers, media_type='text/plain')
    await shop.get(GZIP)
    assert coding(await shop.get(GZIP)) == 'gzip'
    clock.now += 61
    headers['cache-control'] += ', no-transform'
    shop.answer = lambda: Response(status_code=304, headers=headers)
    for _ in range(2):
        response = await shop.get(GZIP)
        assert (coding(response), response.raw) == (None, TEXT.encode())


async def test_a_stale_response_is_sent_compressed_while_it_is_renewed(clock):
    shop = Shop(clock, stale_while_revalidate=60)
    await shop.get(GZIP)
    clock.now += 61
    shop.text = TEXT.upper()
    stale, renewed = await shop.get(GZIP), await shop.get(GZIP)
    assert [gzip.decompress(it.raw) for it in (stale, renewed)] == [TEXT.encode(), TEXT.upper().encode()]
    assert shop.runs == 2


async def test_a_stale_response_stands_in_for_a_failure_for_every_client(clock):
    shop = Shop(clock, stale_if_error=60)
    await shop.get(GZIP)
    clock.now += 61
    shop.answer = lambda: Response(status_code=500)
    for headers in (PLAIN, GZIP):
        response = await shop.get(headers)
        assert (response.status_code, coding(response)) == (200, 'gzip' if headers is GZIP else None)


class Held:
    """Compresses in the thread only when the test lets it."""

    def __init__(self, monkeypatch):
        self.began, self.may_go_on = threading.Event(), threading.Event()
        monkeypatch.setattr(compressed, 'encoded', self.encoded)

    def encoded(self, coding, body):
        self.began.set()
        assert self.may_go_on.wait(10)
        return codings.encoded(coding, body)

    async def until_begun(self):
        assert await asyncio.to_thread(self.began.wait, 10)


async def first_answer(app):
    """The messages of the first response, as soon as they are there, and the task that goes on."""
    sent, complete = [], asyncio.Event()

    async def send(message):
        sent.append(message)
        if message['type'] == 'http.response.body' and not message.get('more_body'):
            complete.set()

    async def receive():
        return {'type': 'http.request', 'body': b'', 'more_body': False}

    task = asyncio.create_task(app(asgi_scope(headers=[(b'accept-encoding', b'gzip')]), receive, send))
    await asyncio.wait_for(complete.wait(), 10)
    return sent, task


async def test_a_large_body_is_compressed_behind_the_first_response_and_beside_the_event_loop(shop, monkeypatch):
    held = Held(monkeypatch)
    (start, body), task = await first_answer(shop.app)
    assert (start['status'], body['body']) == (200, TEXT.encode())
    await held.until_begun()
    meanwhile = await shop.get(GZIP)
    assert (coding(meanwhile), meanwhile.headers['x-cache'], shop.runs) == (None, 'HIT', 1)
    held.may_go_on.set()
    await task
    assert coding(await shop.get(GZIP)) == 'gzip'


async def test_what_is_invalidated_while_it_is_compressed_is_not_revived(shop, monkeypatch):
    held = Held(monkeypatch)
    _, task = await first_answer(shop.app)
    await held.until_begun()
    await shop.cache.invalidate_tags('page')
    held.may_go_on.set()
    await task
    assert (await shop.get(GZIP)).headers['x-cache'] == 'MISS'


async def test_what_is_stored_while_an_older_response_is_compressed_is_not_replaced(shop, monkeypatch):
    held = Held(monkeypatch)
    _, task = await first_answer(shop.app)
    await held.until_begun()
    await shop.cache.invalidate_tags('page')
    shop.text = 'too short to be compressed'
    await shop.get(GZIP)
    newer = shop.entry()
    held.may_go_on.set()
    await task
    assert shop.entry() is newer
    assert (await shop.get(GZIP)).raw == b'too short to be compressed'


async def test_a_response_is_compressed_although_its_client_has_gone(shop, monkeypatch):
    held = Held(monkeypatch)
    _, task = await first_answer(shop.app)
    await held.until_begun()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    held.may_go_on.set()
    await asyncio.gather(*shop.cache._settings.runtime.compressing)
    assert coding(await shop.get(GZIP)) == 'gzip'


async def test_the_lifespan_waits_for_what_is_being_compressed(shop, monkeypatch):
    held = Held(monkeypatch)
    async with shop.cache:
        _, task = await first_answer(shop.app)
        await held.until_begun()
        task.cancel()
        threading.Timer(0.05, held.may_go_on.set).start()
    assert shop.entry().coded.coding == 'gzip'


async def test_a_compressed_entry_expires_when_the_plain_one_would(shop, clock):
    began = time.monotonic()
    await shop.get(GZIP)
    entry = shop.entry()
    assert (entry.lifetime, entry.stored_at, time.monotonic() - began < 60) == (60, clock.now, True)
    clock.now += 61
    assert (await shop.get(GZIP)).headers['x-cache'] == 'MISS'


async def test_what_user_code_sees_is_plain(clock):
    seen = []
    shop = Shop(clock, key_builder=lambda request: 'page', store_if=lambda it: seen.append(it.body) or True)
    await shop.get(GZIP)
    cached = await shop.cache.get_cached('page')
    assert (seen, cached.body, cached.headers.get('content-encoding')) == ([TEXT.encode()], TEXT.encode(), None)
    assert cached.headers['content-length'] == str(len(TEXT))
    (info,) = [it async for it in shop.cache.entries()]
    assert (info.body_bytes, info.coding) == (len(TEXT), 'gzip')
    assert info.size < len(TEXT) / 5


async def test_what_user_code_stores_is_compressed(clock):
    shop = Shop(clock, key_builder=lambda request: 'page')
    await shop.cache.set_cached('page', Response(TEXT, media_type='text/plain'))
    response = await shop.get(GZIP)
    assert (coding(response), gzip.decompress(response.raw), shop.runs) == ('gzip', TEXT.encode(), 0)
    assert (await shop.get()).raw == TEXT.encode()


async def test_followers_get_what_is_there(shop):
    responses = await asyncio.gather(*(shop.get(GZIP) for _ in range(5)))
    assert shop.runs == 1
    assert {gzip.decompress(it.raw) if coding(it) else it.raw for it in responses} == {TEXT.encode()}


async def test_with_compression_a_hit_calls_three_functions_more(shop, clock):
    await shop.get(GZIP)
    clock.now += 0.25
    scope = asgi_scope(headers=[(b'accept-encoding', b'gzip, br')])
    await counted(shop.app, dict(scope))
    calls, coroutines = await counted(shop.app, dict(scope))
    more = calls - Counter(HIT)
    assert set(more) == {'_negotiated', 'accepted_of', 'accepts'}
    assert sum(coroutines.values()) == 1


@pytest.mark.parametrize('wrong', ['gzip', True, Compression, 5])
def test_anything_else_is_refused_when_the_cache_is_built(wrong):
    with pytest.raises(ConfigurationError, match='compress must be Compression'):
        FastAPICache(compress=wrong)


def test_the_policy_has_no_such_option():
    with pytest.raises(TypeError, match='compress'):
        CachePolicy(compress=Compression('gzip'))
