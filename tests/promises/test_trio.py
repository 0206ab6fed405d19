"""Under trio nothing is cached: every endpoint answers itself, with one warning."""

import asyncio
from typing import Annotated, Any

import pytest
import trio
from fastapi import APIRouter, BackgroundTasks, Depends, FastAPI, Request
from fastapi.responses import StreamingResponse
from fastapi.security import HTTPBearer

from fastapi_caching_route import CacheContext, FastAPICache, InvalidationError
from tests.backends.fakes import Elsewhere
from tests.support import asgi_call, asgi_scope, caching_router, memory_cache


def patient_trio(body):
    received = iter([{'type': 'http.request', 'body': body, 'more_body': False}])

    async def receive():
        message = next(received, None)
        return message or await trio.sleep_forever()

    return receive


def asked_under_trio(app, *requests):
    """Status, body and headers of the responses to requests of method, path, headers and body."""

    async def ask():
        answers = []
        for method, path, headers, body in requests:
            sent: list[dict[str, Any]] = []

            async def send(message, sent=sent):
                sent.append(message)

            await app(asgi_scope(method, path, headers=headers), patient_trio(body), send)
            content = b''.join(it.get('body', b'') for it in sent)
            answers.append((sent[0]['status'], content, dict(sent[0]['headers'])))
        return answers

    return trio.run(ask)


def routes(cache, runs):
    """Cached routes of all kinds, and writes."""
    router, plain = caching_router(), APIRouter()

    def explicit(tasks: BackgroundTasks):
        tasks.add_task(runs.append, 'task')

    @router.get('/plain')
    @cache(ttl=60)
    async def of_a_coroutine():
        return 1

    @router.get('/thread')
    @cache(ttl=60, eager_refresh=0.5, lock=True)
    def of_a_thread():
        return 1

    @router.get('/stream')
    @cache(ttl=60)
    async def of_a_stream():
        async def chunks():
            for chunk in (b'a', b'b'):
                await trio.lowlevel.checkpoint()
                yield chunk

        return StreamingResponse(chunks())

    @router.get('/context')
    @cache(ttl=60)
    async def with_a_context(context: Annotated[CacheContext, Depends()]):
        context.ttl = 5
        context.tags.add('a')
        return 1

    @router.get('/guarded', dependencies=[Depends(HTTPBearer(auto_error=False))])
    @cache(ttl=60, dependencies=[Depends(explicit)], key_builder=lambda request: 'one')
    async def behind_guards(request: Request):
        return 1

    @router.get('/stale')
    @cache(ttl=60, stale_while_revalidate=60, stale_if_error=60, endpoint_timeout=1, identity='shared')
    async def with_stale_windows():
        return 1

    @router.api_route('/search', methods=['POST', 'QUERY'])
    @cache(ttl=60)
    async def search(request: Request):
        return (await request.body()).decode()

    @router.put('/plain')
    @cache.invalidates(tags=['a'])
    async def write():
        return 1

    @plain.put('/elsewhere')
    @cache.invalidates(tags=['a'], paths=['/plain'])
    def write_in_a_thread():
        return 1

    return router, plain


ALL = [
    *(('GET', it, [], b'') for it in ('/plain', '/thread', '/stream', '/context', '/guarded', '/stale')),
    ('POST', '/search', [], b'x'),
    ('QUERY', '/search', [], b'x'),
    ('PUT', '/plain', [], b''),
    ('PUT', '/elsewhere', [], b''),
    ('HEAD', '/plain', [], b''),
]


@pytest.mark.parametrize('backend', ['memory', 'outside'])
def test_under_trio_every_endpoint_answers_itself_with_one_warning(backend, caplog):
    cache, runs = memory_cache() if backend == 'memory' else FastAPICache(Elsewhere()), []
    app = FastAPI()
    for router in routes(cache, runs):
        app.include_router(router)
    answers = asked_under_trio(app, *ALL, *ALL)
    bodies = [b'1', b'1', b'ab', b'1', b'1', b'1', b'"x"', b'"x"', b'1', b'1']
    assert [status for status, _, _ in answers] == [*[200] * 10, 405] * 2
    assert [content for _, content, _ in answers[:10]] == bodies
    assert [headers.get(b'x-cache') for _, _, headers in answers] == [None] * 22
    said = [headers.get(b'cache-status') for _, _, headers in answers]
    assert said[:8] == [b'FastAPICache; fwd=bypass; detail=no-asyncio'] * 8
    assert runs == ['task', 'task']
    assert [it.levelname for it in caplog.records if it.name == 'fastapi_caching_route'] == ['WARNING']
    assert 'asyncio' in caplog.text


def test_one_app_serves_both_and_keeps_only_what_asyncio_asks_for():
    cache, app, runs = memory_cache(), FastAPI(), []
    router = caching_router()

    @router.get('/')
    @cache(ttl=60, eager_refresh=0.5)
    async def endpoint():
        runs.append(1)
        return len(runs)

    app.include_router(router)
    request = ('GET', '/', [], b'')
    assert [it[1] for it in asked_under_trio(app, request, request)] == [b'1', b'2']
    sent = [asyncio.run(asgi_call(app, asgi_scope())) for _ in range(2)]
    assert [it[1]['body'] for it in sent] == [b'3', b'3']


@pytest.mark.parametrize('backend', ['memory', 'outside'])
def test_under_trio_an_invalidation_counts_in_its_process_and_raises_where_others_must_hear_of_it(backend):
    cache = memory_cache() if backend == 'memory' else FastAPICache(Elsewhere())
    app, router, runs = FastAPI(), caching_router(), []

    @router.get('/')
    @cache(ttl=60, tags=['a'])
    async def endpoint():
        runs.append(1)
        return len(runs)

    @router.put('/')
    @cache.invalidates(tags=['a'])
    async def write():
        return 1

    async def invalidate():
        async with cache.lifespan(app):
            if backend == 'memory':
                await cache.invalidate_tags('a')
            else:
                with pytest.raises(InvalidationError, match='asyncio'):
                    await cache.invalidate_tags('a')

    app.include_router(router)

    def asked():
        return asyncio.run(asgi_call(app, asgi_scope()))[1]['body']

    assert [asked(), asked()] == [b'1', b'1']
    asked_under_trio(app, ('PUT', '/', [], b''))
    assert [asked(), asked()] == [b'2', b'2']
    trio.run(invalidate)
    assert [asked(), asked()] == [b'3', b'3']


@pytest.mark.parametrize('anyio_backend', ['asyncio', 'trio'])
async def test_a_dependency_that_says_who_asks_runs_under_either(anyio_backend):
    cache, router, app = memory_cache(), caching_router(), FastAPI()

    def who() -> str:
        return 'ann'

    @router.get('/')
    @cache(ttl=60)
    async def endpoint(name: Annotated[str, Depends(who)]):
        return name

    app.include_router(router)
    sent: list[dict[str, Any]] = []

    async def send(message):
        sent.append(message)

    async def receive():
        return {'type': 'http.request', 'body': b'', 'more_body': False}

    await app(asgi_scope(), receive, send)
    assert (sent[0]['status'], sent[1]['body']) == (200, b'"ann"')
