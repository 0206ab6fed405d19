"""Marks: a response that was computed before an invalidation is never served after it."""

import asyncio
import math
import sys
import threading

import pytest
from fastapi import FastAPI, Response
from msgspec.structs import replace

from fastapi_caching_route import FastAPICache
from fastapi_caching_route._core.entry import Entry
from fastapi_caching_route._store import marks as of_marks
from fastapi_caching_route._store.moments import Moments
from tests.backends.fakes import Elsewhere
from tests.store.entries import ENTRY
from tests.support import caching_router, client_of, closing, marks


def test_an_answer_that_was_computed_before_an_invalidation_is_never_served_after_it(cache, backend):
    router, truth = caching_router(), ['old']
    inside, go_on = asyncio.Event(), asyncio.Event()

    @router.get('/')
    @cache(ttl=60, tags=['it'])
    async def slow():
        found = truth[0]
        if found == 'old':
            inside.set()
            await go_on.wait()
        return found

    async def scenario(app):
        import httpx  # noqa: PLC0415, here alone

        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url='http://test') as client:
            first = asyncio.ensure_future(client.get('/'))
            await inside.wait()
            truth[0] = 'new'
            await cache.invalidate_tags('it')
            go_on.set()
            late = await first
            found = [await client.get('/') for _ in range(2)]
            await closing(backend)
            return [late, *found]

    app = FastAPI()
    app.include_router(router)
    late, *found = asyncio.run(scenario(app))
    assert late.json() == 'old'  # it was asked before
    assert late.headers.get('cache-status').endswith('detail=invalidated')
    assert [it.json() for it in found] == ['new', 'new']
    assert marks(*found) == ['MISS', 'HIT']


def test_threads_that_read_while_others_invalidate_never_find_what_is_gone():
    moments, wrong, stop = Moments(), [], threading.Event()
    moments.note(['a'])
    old = Entry('k', 200, (), b'', 0.0, 60.0, names=('a', 'b'), marks=0)

    def read():
        while not stop.is_set():
            found = (moments.stale_since(old, 0), moments.are_unchanged(('a',), 'k', 0))
            if found != (None, False):
                wrong.append(found)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    readers = [threading.Thread(target=read) for _ in range(2)]
    try:
        for reader in readers:
            reader.start()
        for number in range(3000):
            moments.note(['a'])
            moments.note([f'other{number}'], 1.0)
    finally:
        stop.set()
        for reader in readers:
            reader.join()
        sys.setswitchinterval(interval)
    assert wrong == []


def test_an_invalidation_elsewhere_does_not_keep_an_answer_from_being_stored():
    backend = Elsewhere()
    cache, router = FastAPICache(backend, store_timeout=5), caching_router()

    @router.get('/')
    @cache(ttl=60, revalidate=True)
    async def endpoint():
        await cache.invalidate_tags('something else')
        return Response('x', headers={'etag': '"a"'})

    client = client_of(router)
    assert marks(client.get('/'), client.get('/')) == ['MISS', 'HIT']


class Kept(dict):
    """The commands of a ledger, over a dict."""

    async def get(self, keys):
        return [super(Kept, self).get(key) for key in keys]

    async def set(self, key, value, span):
        self[key] = value
        return True

    async def add(self, key, value, span):
        return self.setdefault(key, value) is value

    async def prolong(self, key, span):
        return key in self


async def test_only_so_many_entries_are_remembered_as_alive(monkeypatch):
    monkeypatch.setattr(of_marks, 'MAX_VERIFIED', 3)
    ledger, store = of_marks.Marks(''), Kept()
    for number in range(10):
        names = (f'tag:{number}',)
        early = await ledger.marks_before(store, names, key=f'k{number}', windowed=False)
        held = await ledger.marks_after(store, early, names, key=f'k{number}', windowed=False, span=60.0)
        entry = Entry(f'k{number}', 200, (), b'', 0.0, 60.0, names=names, marks=held)
        assert await ledger.stale_at(store, entry, await ledger.see(store, await store.get(ledger.beside))) == math.inf
    assert 0 < len(ledger._verified) <= 3


@pytest.mark.parametrize(('note', 'stale_at'), [('5.5', 5.5), ('inf', None), ('nan', None), ('x', None), ('', None)])
async def test_a_soft_mark_without_a_time_is_a_lost_one(note, stale_at):
    entry = replace(ENTRY, windowed=True, names=('all', 'tag:a', 'key:k'), marks=tuple('123456'))
    soft = {'%soft:all': '1', '%soft:tag:a': f'new@{note}', '%soft:key:k': '3'}
    there = {**soft, '%hard:all': '4', '%hard:tag:a': '5', '%hard:key:k': '6', '%last': 'last'}

    class Store:
        async def get(self, keys):
            return [there.get(key) for key in keys]

    assert await of_marks.Marks('').stale_at(Store(), entry, ['last']) == stale_at
