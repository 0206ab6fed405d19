"""Streams: passed on as they come, and stored when they are complete."""

from collections.abc import AsyncIterator, Iterator

import pytest
from fastapi import FastAPI, Response
from fastapi.responses import StreamingResponse

from tests.support import asgi_call, asgi_scope, caching_router, client_of, marks, memory_cache, patient


async def test_the_first_chunk_of_a_stream_leaves_before_the_second_is_made():
    router, cache, log = caching_router(), memory_cache(), []

    async def chunks() -> AsyncIterator[bytes]:
        for it in (b'first', b'second'):
            log.append(('made', it))
            yield it

    @cache(ttl=60)
    @router.get('/')
    async def endpoint():
        return StreamingResponse(chunks(), media_type='text/plain')

    app = FastAPI()
    app.include_router(router)

    async def send(message):
        if message.get('body'):
            log.append(('sent', message['body']))

    await app(asgi_scope(), patient(), send)
    assert log == [('made', b'first'), ('sent', b'first'), ('made', b'second'), ('sent', b'second')]
    hit = await asgi_call(app, asgi_scope())
    assert hit[1]['body'] == b'firstsecond'
    assert (b'x-cache', b'HIT') in hit[0]['headers']
    assert (b'content-length', b'11') in hit[0]['headers']


@pytest.mark.parametrize(
    ('chunks', 'headers', 'mode', 'is_tagged'),
    [
        ([b'whole'], {'content-length': '5'}, 'policy', True),
        ([b'whole'], {'content-length': '5', 'etag': '"own"'}, 'policy', True),
        ([b'whole', b''], {'content-length': '5'}, 'policy', True),
        ([b'in', b'two'], {'content-length': '5'}, 'policy', False),
        ([b'whole'], {}, 'policy', False),
        ([b'whole'], {'content-length': '5', 'cache-control': 'max-age=9'}, 'rfc9111', False),
    ],
)
def test_the_first_response_of_a_stream_has_its_entity_tag_where_one_chunk_is_all_of_it(
    chunks, headers, mode, is_tagged
):
    router, cache = caching_router(), memory_cache(mode=mode)

    @router.get('/')
    @cache(ttl=60)
    async def endpoint():
        return StreamingResponse(iter(chunks), headers=headers)

    client = client_of(router)
    first, then = client.get('/'), client.get('/')
    assert marks(first, then) == ['MISS', 'HIT']
    assert first.content == then.content == b''.join(chunks)
    assert ('etag' in first.headers) == is_tagged
    assert first.headers.get('etag', then.headers.get('etag')) == then.headers.get('etag')


async def test_a_stream_that_is_longer_than_it_says_is_not_stored():
    router, cache = caching_router(), memory_cache()

    @router.get('/')
    @cache(ttl=60)
    async def endpoint():
        return StreamingResponse(iter([b'whole', b' and more']), headers={'content-length': '5'})

    app = FastAPI()
    app.include_router(router)
    for _ in range(2):
        sent = await asgi_call(app, asgi_scope())
        assert b'HIT' not in dict(sent[0]['headers']).values()


def test_a_stream_is_marked_as_a_miss_and_gets_its_entity_tag_from_the_first_hit_on():
    router, cache = caching_router(), memory_cache()

    def chunks() -> Iterator[bytes]:
        yield b'a'
        yield b'b'

    @cache(ttl=60)
    @router.get('/')
    def endpoint():
        return StreamingResponse(chunks(), headers={'x-cache': 'of the endpoint'})

    client = client_of(router)
    miss, hit = client.get('/'), client.get('/')
    assert marks(miss, hit) == ['MISS', 'HIT']
    assert (miss.content, hit.content) == (b'ab', b'ab')
    assert 'etag' not in miss.headers
    assert client.get('/', headers={'if-none-match': hit.headers['etag']}).status_code == 304


def test_a_stream_that_breaks_is_not_stored():
    router, cache, runs = caching_router(), memory_cache(), []

    async def chunks() -> AsyncIterator[bytes]:
        yield b'half'
        if len(runs) == 1:
            message = 'broken'
            raise RuntimeError(message)

    @cache(ttl=60)
    @router.get('/')
    async def endpoint():
        runs.append(1)
        return StreamingResponse(chunks())

    client = client_of(router)
    with pytest.raises(Exception):  # noqa: B017, PT011, older releases of Starlette wrap it in a group
        client.get('/')
    assert marks(client.get('/'), client.get('/')) == ['MISS', 'HIT']
    assert runs == [1, 1]


def test_a_body_over_the_limit_is_passed_on_and_not_stored():
    router, cache = caching_router(), memory_cache()

    @cache(ttl=60, max_body_size=10)
    @router.get('/{size}')
    async def endpoint(size: int, *, stream: bool = False):
        content = b'x' * size
        return StreamingResponse(iter([content[:5], content[5:]])) if stream else Response(content)

    client = client_of(router)
    assert marks(client.get('/10'), client.get('/10')) == ['MISS', 'HIT']
    assert marks(client.get('/11'), client.get('/11')) == [None, None]
    assert marks(client.get('/10?stream=1'), client.get('/10?stream=1')) == ['MISS', 'HIT']
    streamed = [client.get('/11?stream=1') for _ in range(2)]
    assert [it.content for it in streamed] == [b'x' * 11] * 2
    assert marks(*streamed) == ['MISS', 'MISS']  # a stream's length is not known when it starts
