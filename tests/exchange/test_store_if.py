"""Responses that are not stored because `store_if` says so."""

import asyncio
import logging

from fastapi.responses import JSONResponse, StreamingResponse
from httpx import ASGITransport, AsyncClient

from fastapi_caching_route import CachedResponse
from tests.exchange.answering import answering
from tests.support import Clock, asgi_call, asgi_scope, caching_router, client_of, marks, memory_cache


def storing(store_if, *, streamed=False, **options):
    """A client of a route that answers with the items that are asked for, and how often it has run."""
    router, cache, runs = caching_router(), memory_cache(), []

    @router.get('/')
    @cache(ttl=60, store_if=store_if, **options)
    async def endpoint(items: int = 0, pause: float = 0.0):
        runs.append(items)
        await asyncio.sleep(pause)
        answer = JSONResponse([0] * items)
        return StreamingResponse(iter([answer.body[:1], answer.body[1:]])) if streamed else answer

    return client_of(router), runs


def test_an_answer_that_is_not_wanted_is_sent_and_not_stored():
    seen = []
    client, runs = storing(lambda it: seen.append(it) or it.body != b'[]')
    answers = [client.get('/', params={'items': it}) for it in (0, 0, 1, 1)]
    assert marks(*answers) == [None, None, 'MISS', 'HIT']
    assert [it.json() for it in answers] == [[], [], [0], [0]]
    assert runs == [0, 0, 1]
    assert answers[0].headers['cache-status'] == 'FastAPICache; fwd=uri-miss; detail=store-if'
    assert [type(it) for it in seen] == [CachedResponse] * 3
    assert (seen[2].status_code, seen[2].headers['content-type']) == (200, 'application/json')


def test_a_stream_that_is_not_wanted_is_sent_and_not_stored():
    client, runs = storing(lambda it: it.body != b'[]', streamed=True)
    assert [client.get('/', params={'items': it}).json() for it in (0, 0, 1, 1)] == [[], [], [0], [0]]
    assert runs == [0, 0, 1]


def test_store_if_can_only_narrow():
    client, _ = answering(404, cache=memory_cache(), store_if=lambda _: True)
    assert marks(client.get('/'), client.get('/')) == [None, None]


def test_a_store_if_that_raises_stores_nothing_and_is_told_once(caplog):
    client, runs = storing(lambda it: 1 / 0)
    with caplog.at_level(logging.INFO, 'fastapi_caching_route'):
        assert [client.get('/').status_code for _ in range(2)] == [200, 200]
    assert len(runs) == 2
    shown, told = caplog.records
    assert 'raised ZeroDivisionError' in shown.message
    assert (told.levelname, 'it raised an exception' in told.getMessage()) == ('WARNING', True)


def test_store_if_sees_the_status_and_goes_by_truth():
    seen = []
    client, _ = answering(
        404, cache=memory_cache(), status_ttl={404: 5}, store_if=lambda it: seen.append(it.status_code)
    )
    assert marks(client.get('/'), client.get('/')) == [None, None]
    assert seen == [404, 404]


async def test_store_if_is_not_asked_of_an_answer_that_is_incomplete():
    router, asked = caching_router(), []

    @router.get('/')
    @memory_cache()(store_if=lambda it: asked.append(it) or True)
    async def endpoint():
        return StreamingResponse(iter([b'ab']), headers={'content-length': '3'})

    await asgi_call(client_of(router).app, asgi_scope())
    assert not asked


async def test_nobody_waits_where_the_last_answer_was_not_wanted():
    router, cache, running = caching_router(), memory_cache(), []

    @router.get('/')
    @cache(ttl=60, store_if=lambda _: False)
    async def endpoint():
        running.append(1)
        at_once = len(running)
        await asyncio.sleep(0.05)
        running.clear()
        return at_once

    async with AsyncClient(transport=ASGITransport(client_of(router).app), base_url='http://test') as asking:
        await asking.get('/')
        answers = await asyncio.gather(*(asking.get('/') for _ in range(5)))
    assert sorted(it.json() for it in answers) == [1, 2, 3, 4, 5]


async def test_a_stale_entry_ends_where_its_renewal_is_not_wanted():
    clock, router, runs = Clock(), caching_router(), []
    cache = memory_cache(clock=clock)

    @router.get('/')
    @cache(ttl=10, stale_while_revalidate=100, store_if=lambda it: it.body == b'1')
    async def endpoint():
        runs.append(1)
        return len(runs)

    app = client_of(router).app
    bodies = []
    for _ in range(4):
        bodies.append((await asgi_call(app, asgi_scope()))[1]['body'])
        clock.now += 11
    assert bodies == [b'1', b'1', b'3', b'4']
    assert len(runs) == 4


def test_a_store_if_that_must_be_awaited_stores_nothing(caplog):
    router, cache = caching_router(), memory_cache()

    async def wanted(response):
        return False

    @router.get('/')
    @cache(ttl=60, store_if=lambda response: wanted(response))  # noqa: PLW0108, an async function itself is refused
    async def endpoint():
        return 'answer'

    client = client_of(router)
    assert marks(client.get('/'), client.get('/')) == [None, None]
    assert ['must be awaited' in it.getMessage() for it in caplog.records] == [True]
