"""QUERY (RFC 10008): like GET, for the content of the request, in both modes."""

import pytest
from fastapi import Request, Response

from fastapi_caching_route import FastAPICache
from tests.support import caching_router, client_of, marks

LONG = 'q' * 100_000


def served(mode, clock, **options):
    """A client of a route whose endpoint answers with what was asked, and what the endpoint was asked."""
    router, cache, asked = caching_router(), FastAPICache(mode=mode, clock=clock, left_out_of_raw_keys=['range']), []
    options |= {'ttl': 10, 'revalidate': True} if mode == 'policy' else {}

    @router.api_route('/search', methods=['GET', 'QUERY'])
    @cache(**options)
    async def search(request: Request) -> Response:
        asked.append((request.method, request.headers.get('if-none-match'), request.headers.get('range')))
        body = await request.body()
        tag = f'"{request.method}-{len(body)}-{hash(body)}"'
        if request.headers.get('if-none-match') == tag:
            return Response(status_code=304, headers={'etag': tag})
        return Response(b'found: ' + body, headers={'etag': tag, 'cache-control': 'max-age=10'})

    return client_of(router), asked


@pytest.fixture(params=['policy', 'rfc9111'])
def mode(request):
    return request.param


def by_path(request):
    return str(request.url.path)


@pytest.mark.parametrize('options', [{}, {'key_builder': by_path}], ids=['declared', 'key builder'])
def test_by_the_book_a_query_is_stored_for_its_content(options, clock):
    client, asked = served('rfc9111', clock, **options)
    bodies = ['a', 'b', 'a', LONG, LONG]
    responses = [client.request('QUERY', '/search', content=body) for body in bodies]
    assert [it.text for it in responses] == [f'found: {body}' for body in bodies]
    assert marks(*responses) == ['MISS', 'MISS', 'HIT', 'MISS', 'HIT']
    assert client.get('/search').text == 'found: '
    assert len(asked) == 4


@pytest.mark.parametrize('header', ['content-type', 'content-encoding', 'content-language'])
@pytest.mark.parametrize('options', [{}, {'key_builder': by_path}], ids=['declared', 'key builder'])
def test_by_the_book_what_describes_the_content_is_in_the_key(options, header, clock):
    client, _ = served('rfc9111', clock, **options)
    sent = [client.request('QUERY', '/search', content='a', headers={header: it}) for it in ('x/a', 'x/b', 'x/a')]
    assert marks(*sent) == ['MISS', 'MISS', 'HIT']


def test_a_query_that_is_too_large_for_the_key_bypasses(clock):
    client, asked = served('rfc9111', clock, key_builder=by_path, max_body_size=5)
    responses = [client.request('QUERY', '/search', content='aaaaaaaaaa') for _ in range(2)]
    assert {it.headers['cache-status'] for it in responses} == {'FastAPICache; fwd=bypass; detail=body'}
    assert len(asked) == 2


async def test_a_key_that_was_built_invalidates_all_that_was_queried(clock):
    router, cache = caching_router(), FastAPICache(mode='rfc9111', clock=clock)

    @router.api_route('/search', methods=['QUERY'])
    @cache(key_builder=by_path)
    async def search(request: Request) -> Response:
        return Response(await request.body(), headers={'cache-control': 'max-age=10'})

    client = client_of(router)

    def sent():
        return marks(*(client.request('QUERY', '/search', content=it) for it in 'ab'))

    assert [sent(), sent()] == [['MISS', 'MISS'], ['HIT', 'HIT']]
    await cache.invalidate_cached('/search')
    assert sent() == ['MISS', 'MISS']


def test_a_client_that_has_it_gets_a_304(mode, clock):
    client, asked = served(mode, clock)
    tag = client.request('QUERY', '/search', content='abc').headers['etag']
    again = client.request('QUERY', '/search', content='abc', headers={'if-none-match': tag})
    assert (again.status_code, again.content, again.headers['x-cache'], len(asked)) == (304, b'', 'HIT', 1)


def test_a_client_gets_the_part_that_it_asks_for(mode, clock):
    client, asked = served(mode, clock)
    client.request('QUERY', '/search', content='abc')
    part = client.request('QUERY', '/search', content='abc', headers={'range': 'bytes=7-8'})
    assert (part.status_code, part.text, part.headers['content-range']) == (206, 'ab', 'bytes 7-8/10')
    assert len(asked) == 1


def test_a_stale_response_is_validated_with_the_same_content(mode, clock):
    client, asked = served(mode, clock)
    tag = client.request('QUERY', '/search', content='abc').headers['etag']
    clock.now += 20
    validated = client.request('QUERY', '/search', content='abc', headers={'if-none-match': '"mine"'})
    assert validated.text == 'found: abc'
    assert validated.headers['cache-status'] == 'FastAPICache; fwd=stale; fwd-status=304; ttl=10; stored'
    assert asked[1] == ('QUERY', tag, None)
