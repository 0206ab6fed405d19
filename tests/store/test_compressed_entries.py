"""Compressed entries outside of the process: their bytes, other workers that read them, and what is planted there."""

import asyncio
import gzip
import time

import pytest
from aiocache import RedisCache
from fastapi import Depends, FastAPI, Request, Response
from msgspec.structs import replace

from fastapi_caching_route import Compression, FastAPICache, LMDBCache, NearCopies
from fastapi_caching_route._core import codings
from fastapi_caching_route._core.codings import CODINGS, coder_of, encoded
from fastapi_caching_route._core.entry import NOT_YET_CODED, Coded, Entry
from fastapi_caching_route._http.conditional import entity_tag
from fastapi_caching_route._store import wire
from fastapi_caching_route._store.wire import decode, encode
from tests.backends.fakes import Elsewhere
from tests.store.entries import ENTRY
from tests.support import Clock, asgi_call, asgi_scope, caching_router, closing

TEXT = b'some text that is repeated; ' * 1000
PLAIN = replace(ENTRY, headers=((b'content-type', b'text/plain'), (b'etag', b'"x"')), content=TEXT, coded=NOT_YET_CODED)


def coded_entry(coding='gzip', body=TEXT):
    return replace(PLAIN, content=body).compressed(coding, encoded(coding, body))


class Worker:
    """A process with its own app over a store that others use, too."""

    def __init__(self, backend, compress=None, **options):
        self.runs = 0
        self.cache = FastAPICache(backend, compress=compress, **options)
        self.app, router = FastAPI(openapi_url=None), caching_router()

        @self.cache(ttl=600, key_builder=lambda request: 'key', max_body_size=100_000)
        @router.get('/')
        async def endpoint():
            self.runs += 1
            return Response(TEXT, media_type='text/plain')

        self.app.include_router(router)

    async def get(self, accepted):
        """The coding and the content of a response."""
        start, body = await asgi_call(self.app, asgi_scope(headers=[(b'accept-encoding', accepted)]))
        assert start['status'] == 200
        assert dict(start['headers'])[b'content-length'] == b'%d' % len(body['body'])
        return dict(start['headers']).get(b'content-encoding'), body['body']


def same_store(backend):
    """Another object over the same store, as another process has."""
    other = Elsewhere()
    other.kept = backend.kept
    return other


def stored_entry(backend):
    (raw,) = [raw for key, raw in backend.kept.items() if key.endswith('key') and not raw.startswith(wire.MARK)]
    return raw


@pytest.mark.parametrize('coding', CODINGS)
async def test_an_entry_is_stored_compressed_and_read_by_all_workers(coding):
    backend = Elsewhere()
    first = Worker(backend, Compression(coding))
    await first.get(b'')
    raw = stored_entry(backend)
    assert len(raw) < len(TEXT) / 20
    assert TEXT[:50] not in raw
    workers = [
        Worker(same_store(backend), it) for it in (None, Compression('gzip'), Compression(coding, min_size=10**6))
    ]
    for worker in (first, *workers):
        name, content = await worker.get(coding.encode())
        assert (name, coder_of(coding).decode(content, 10**6)) == (coding.encode(), TEXT)
        assert await worker.get(b'identity') == (None, TEXT)
    assert [it.runs for it in (first, *workers)] == [1, 0, 0, 0]


async def test_a_plain_entry_of_a_worker_that_does_not_compress_is_sent_plain():
    backend = Elsewhere()
    await Worker(backend).get(b'gzip')
    other = Worker(same_store(backend), Compression('gzip'))
    assert await other.get(b'gzip') == (None, TEXT)
    assert other.runs == 0


async def test_a_worker_without_the_library_runs_its_endpoint(monkeypatch):
    backend = Elsewhere()
    await Worker(backend, Compression('br')).get(b'')
    other = Worker(same_store(backend))
    monkeypatch.setattr(codings, '_module', lambda name: None)
    coder_of.cache_clear()
    try:
        assert await other.get(b'br') == (None, TEXT)
        assert other.runs == 1
    finally:
        coder_of.cache_clear()


def test_a_reader_that_does_not_know_compressed_entries_reads_a_miss(monkeypatch):
    raw = encode(coded_entry())
    assert decode(raw) == coded_entry()
    monkeypatch.setattr(wire, 'MAGICS', (wire.MAGIC,))
    assert decode(raw) is None
    assert decode(encode(PLAIN)) == PLAIN


def test_the_bytes_of_an_entry_that_is_not_compressed_are_as_before():
    assert len(encode(PLAIN)) > len(encode(replace(PLAIN, coded=None)))
    assert encode(replace(PLAIN, coded=None))[:4] == encode(PLAIN)[:4] == wire.MAGIC
    assert encode(coded_entry())[:4] != wire.MAGIC


@pytest.mark.parametrize(
    'evil',
    [
        Coded('gzip', b'"x\r\nset-cookie: a"', len(TEXT)),
        Coded('gzip', b'W/"0123456789abcdef0123456789abcdef"', len(TEXT)),
        Coded('gzip\r\nx: y', entity_tag(TEXT), len(TEXT)),
        Coded('deflate', entity_tag(TEXT), len(TEXT)),
        Coded('gzip', entity_tag(TEXT), 0),
        Coded('gzip', entity_tag(TEXT), -1),
    ],
    ids=['a line in the tag', 'a weak tag', 'a line in the coding', 'another coding', 'no body', 'less than nothing'],
)
def test_a_head_that_we_could_not_have_written_is_a_miss(evil):
    assert decode(encode(replace(coded_entry(), coded=evil))) is None


def test_a_length_that_is_not_that_of_the_body_is_a_miss():
    lying = replace(coded_entry(), headers=(*PLAIN.headers, (b'content-length', b'5')))
    assert decode(encode(lying)) is None
    right = replace(lying, headers=(*PLAIN.headers, (b'content-length', b'%d' % len(TEXT))))
    assert decode(encode(right)) == right


def test_what_says_that_it_is_compressed_must_be_marked_so():
    raw, plain = encode(coded_entry()), encode(PLAIN)
    assert decode(wire.MAGIC + raw[4:]) is None
    assert decode(wire.MAGIC_OF_CODED + plain[4:]) is None


def test_compressed_bytes_that_are_cut_or_changed_are_a_miss():
    raw = encode(coded_entry())
    for changed in (raw[:-1], raw + b'x', raw[:-1] + bytes([raw[-1] ^ 1])):
        assert decode(changed) is None


PLANTED = {
    'a bomb that says what it is': (encoded('gzip', bytes(50_000_000)), 50_000_000),
    'a bomb that says it is small': (encoded('gzip', bytes(50_000_000)), len(TEXT)),
    'a bomb in a small limit': (encoded('gzip', bytes(100_001)), 100_001),
    'cut': (encoded('gzip', TEXT)[:-10], len(TEXT)),
    'no gzip': (TEXT, len(TEXT)),
    'less than it says': (encoded('gzip', TEXT[:-1]), len(TEXT)),
}


@pytest.mark.parametrize('kind', PLANTED)
async def test_what_cannot_be_decoded_or_is_too_large_is_a_miss_and_is_replaced(kind):
    backend = Elsewhere()
    worker, (content, size) = Worker(backend, Compression('gzip')), PLANTED[kind]
    await worker.get(b'')
    (key, raw), *_ = [it for it in backend.kept.items() if it[1].startswith(wire.MAGIC_OF_CODED)]
    entry = decode(raw)
    headers = tuple((name, b'%d' % size if name == b'content-length' else value) for name, value in entry.headers)
    coded = Coded('gzip', entity_tag(content), size)
    backend.kept[key] = encode(replace(entry, headers=headers, content=content, coded=coded))
    assert await worker.get(b'identity') == (None, TEXT)
    assert worker.runs == 2
    name, content = await worker.get(b'gzip')
    assert (name, gzip.decompress(content), worker.runs) == (b'gzip', TEXT, 2)


@pytest.mark.parametrize('kind', ['dependency', 'with yield'])
async def test_what_cannot_be_decoded_is_a_miss_where_a_guard_forbids_to_transform_it(kind):
    backend, ran = Elsewhere(), []
    cache, app = FastAPICache(backend, compress=Compression('gzip')), FastAPI(openapi_url=None)

    def guard(response: Response):
        ran.append('guard')
        response.headers['cache-control'] = 'no-transform'
        response.headers.append('x-guard', str(len(ran)))

    async def yielding(response: Response):
        guard(response)
        yield
        ran.append('its end')

    router = caching_router(dependencies=[Depends(guard if kind == 'dependency' else yielding)])

    @router.get('/')
    @cache(ttl=600, key_builder=lambda request: 'key')
    async def endpoint(response: Response) -> str:
        ran.append('endpoint')
        return TEXT.decode()

    app.include_router(router)
    plain = Response(TEXT, media_type='text/plain')
    assert await cache.set_cached('key', plain)
    (key, raw), *_ = [it for it in backend.kept.items() if it[1].startswith(wire.MAGIC_OF_CODED)]
    backend.kept[key] = encode(replace(decode(raw), content=TEXT))
    start, *bodies = await asgi_call(app, asgi_scope(headers=[(b'accept-encoding', b'gzip')]))
    assert (start['status'], ran.count('endpoint')) == (200, 1)
    assert b''.join(it['body'] for it in bodies) == b'"' + TEXT + b'"'
    headers = start['headers']
    assert [value for name, value in headers if name == b'x-cache'] == [b'MISS']
    assert len([value for name, value in headers if name == b'x-guard']) == 1


async def test_signatures_cover_what_is_stored():
    backend, key = Elsewhere(), 'a key of the servers'
    worker = Worker(backend, Compression('gzip'), signing_key=key)
    await worker.get(b'')
    other = Worker(same_store(backend), signing_key=key)
    name, content = await other.get(b'gzip')
    assert (name, gzip.decompress(content), other.runs) == (b'gzip', TEXT, 0)
    (full, raw), *_ = [it for it in backend.kept.items() if wire.MAGIC_OF_CODED in it[1]]
    backend.kept[full] = raw.replace(raw[-20:], bytes(20))
    assert (await other.get(b'identity'), other.runs) == ((None, TEXT), 1)


async def test_a_near_copy_is_the_compressed_entry():
    worker = Worker(Elsewhere(), Compression('gzip'), near=NearCopies())
    await worker.get(b'')
    for _ in range(2):
        name, content = await worker.get(b'gzip')
        assert (name, gzip.decompress(content)) == (b'gzip', TEXT)
    assert worker.cache.stats().store.near.bytes < len(TEXT) / 5
    assert worker.runs == 1


async def test_what_another_process_has_stored_or_deleted_meanwhile_is_not_replaced():
    backend = Elsewhere()
    visit = FastAPICache(backend)._settings.store.visit()
    old, new = replace(PLAIN, marks=('a',)), replace(coded_entry(), marks=('a',))
    assert await visit.put(old, 60)
    assert await visit.replace(old, new, 60)
    assert decode(backend.kept[old.key]).coded.coding == 'gzip'
    newer = replace(old, stored_at=old.stored_at + 1)
    assert await visit.put(newer, 60)
    assert not await visit.replace(old, new, 60)
    await visit.forget(old.key)
    assert not await visit.replace(old, new, 60)
    assert old.key not in backend.kept


async def test_what_is_withdrawn_while_it_is_stored_compressed_is_deleted():
    backend = Elsewhere()
    worker = Worker(backend, Compression('gzip'))
    visit, clock = worker.cache._settings.store.visit(), worker.cache._settings.runtime.clock
    kept = []

    class Noting(dict):
        def update(self, given):
            super().update(given)
            ((key, raw),) = given.items()
            if raw.startswith(wire.MAGIC_OF_CODED):  # the withdrawal has just deleted what was there before
                visit.note_withdrawal(key, clock())
                kept.append(key)

    backend.kept = Noting()
    await worker.get(b'gzip')
    assert len(kept) == 1
    assert kept[0] not in backend.kept
    other = Worker(same_store(backend))
    assert (await other.get(b''), other.runs) == ((None, TEXT), 1)


async def test_a_stale_entry_that_cannot_be_decoded_is_not_validated():
    backend, clock, conditions = Elsewhere(), Clock(), []
    router, app = caching_router(), FastAPI(openapi_url=None)
    headers = {'etag': '"v1"', 'cache-control': 'max-age=60'}

    @router.get('/')
    @FastAPICache(backend, mode='rfc9111', clock=clock, compress=Compression('gzip'))(revalidate=True)
    async def endpoint(request: Request):
        conditions.append(request.headers.get('if-none-match'))
        if conditions[-1]:
            return Response(status_code=304, headers={**headers, 'cache-control': 'max-age=60, no-transform'})
        return Response(TEXT, media_type='text/plain', headers=headers)

    app.include_router(router)
    asked = asgi_scope(headers=[(b'accept-encoding', b'gzip')])
    await asgi_call(app, dict(asked))
    (key, raw), *_ = [it for it in backend.kept.items() if it[1].startswith(wire.MAGIC_OF_CODED)]
    backend.kept[key] = encode(replace(decode(raw), content=encoded('gzip', b'other')))
    clock.now += 61
    start, body = await asgi_call(app, dict(asked))
    assert (start['status'], body['body'], conditions) == (200, TEXT, [None, None])


async def test_lmdb_and_redis_hold_it_compressed(redis_port, namespace, tmp_path):
    redis = RedisCache(endpoint='127.0.0.1', port=redis_port, namespace=namespace)
    for backend in (LMDBCache(tmp_path / 'store'), redis):
        worker = Worker(backend, Compression('gzip'), store_timeout=5)
        for accepted, coding in ((b'', None), (b'gzip', b'gzip'), (b'identity', None)):
            name, content = await worker.get(accepted)
            assert (name, gzip.decompress(content) if coding else content) == (coding, TEXT)
        (info,) = [it async for it in worker.cache.entries()]
        assert (info.body_bytes, info.coding, worker.runs) == (len(TEXT), 'gzip', 1)
    sizes = [await redis.client.strlen(key) for key in await redis.client.keys(f'{namespace}:*key')]
    assert max(sizes) < len(TEXT) / 20
    await closing(redis)


async def test_results_of_functions_are_stored_compressed_outside_of_the_process():
    backend = Elsewhere()
    cache, runs = FastAPICache(backend, compress=Compression('gzip')), []

    @cache.function(ttl=60)
    async def words() -> list[str]:
        runs.append(1)
        return ['some text that is repeated'] * 1000

    for _ in range(3):
        assert await words() == ['some text that is repeated'] * 1000
        await asyncio.gather(*cache._settings.runtime.compressing)
    assert len(runs) == 1
    assert max(map(len, backend.kept.values())) < 2000
    other = FastAPICache(same_store(backend))
    again = other.function(ttl=60)(words.__wrapped__)
    assert await again() == await words()


def test_an_entry_tells_its_body_in_whichever_form_it_is_kept():
    entry = coded_entry()
    assert (entry.body, entry.body_bytes) == (PLAIN.body, PLAIN.body_bytes) == (TEXT, len(TEXT))
    assert entry.size < PLAIN.size / 5
    assert entry.is_still(PLAIN)
    assert not entry.is_still(replace(PLAIN, stored_at=time.time()))
    assert isinstance(decode(encode(entry)), Entry)
