"""What a 304 of the endpoint does to the stored response that it is about (RFC 9111 §3.2, §4.3.4)."""

from email.utils import formatdate
from typing import Annotated

import pytest
from aiocache import SimpleMemoryCache
from fastapi import Depends, Request, Response

from fastapi_caching_route import CacheContext, FastAPICache, MemoryCache
from tests.backends.fakes import Elsewhere
from tests.support import caching_router, client_of

STORES = {'ours': MemoryCache, 'aiocache': SimpleMemoryCache, 'elsewhere': Elsewhere}
STRONG = {'etag': '"v1"'}


@pytest.fixture(params=STORES)
def backend(request):
    return STORES[request.param]()


@pytest.fixture(params=['policy', 'rfc9111'])
def mode(request):
    return request.param


def served(backend, mode, clock, script, **options):
    """A client of a route whose endpoint answers by the script; the last response is repeated."""
    router, cache = caching_router(), FastAPICache(backend, mode=mode, clock=clock)
    options |= {'ttl': 10, 'revalidate': True} if mode == 'policy' else {}

    @router.get('/')
    @cache(**options)
    async def endpoint(request: Request, context: Annotated[CacheContext, Depends()]) -> Response:
        response = script.pop(0) if len(script) > 1 else script[0]
        if 'x-says-no' in response.headers:
            context.no_store('says-no')
        return response

    return client_of(router)


def whole(body='old', **headers):
    return Response(
        body,
        headers={
            **STRONG,
            'cache-control': 'max-age=10, stale-if-error=3600',
            **{k.replace('_', '-'): v for k, v in headers.items()},
        },
    )


def unmodified(**headers):
    return Response(status_code=304, headers={k.replace('_', '-'): v for k, v in headers.items()})


FAILED = Response('failed', 503)
WITHDRAWN = {
    'no-store': {'cache_control': 'no-store'},
    'private': {'cache_control': 'private'},
    'vary': {'vary': '*'},
    'a header that cannot be sent': {'x_title': 'a\r\nb'},
    'the endpoint says so': {'x_says_no': '1'},
}


@pytest.mark.parametrize('said', WITHDRAWN.values(), ids=WITHDRAWN)
def test_a_304_that_cannot_be_stored_ends_what_is_stored(backend, mode, clock, said):
    client = served(backend, mode, clock, [whole(), unmodified(**STRONG, **said), FAILED], stale_if_error=3600)
    assert client.get('/').text == 'old'
    clock.now += 20
    confirmed = client.get('/')
    assert (confirmed.status_code, confirmed.text) == (200, 'old')
    assert not {'stored', 'ttl'} & {it.partition('=')[0] for it in confirmed.headers['cache-status'].split('; ')}
    later = client.get('/')  # not in place of a failure either
    assert (later.status_code, later.text, later.headers.get('x-cache')) == (503, 'failed', None)
    assert later.headers['cache-status'].startswith('FastAPICache; fwd=uri-miss')


@pytest.mark.parametrize(
    'demand', [{'cache-control': 'no-store'}, {'authorization': 'Basic eDp5'}], ids=['no-store', 'authorization']
)
def test_a_request_whose_response_cannot_be_stored_ends_nothing(backend, clock, demand):
    router, cache = caching_router(), FastAPICache(backend, mode='rfc9111', clock=clock)
    script = [whole(), unmodified(**STRONG, cache_control='max-age=0'), FAILED]

    @router.get('/')
    @cache(stale_if_error=3600, key_builder=lambda request: request.url.path)
    async def endpoint(request: Request) -> Response:
        return script.pop(0)

    client = client_of(router)
    client.get('/')
    clock.now += 20
    assert client.get('/', headers=demand).text == 'old'
    later = client.get('/')
    assert (later.status_code, later.text) == (200, 'old')
    assert 'stale-if-error' in later.headers['cache-status']


ANOTHER = {
    'another strong tag': (STRONG, {'etag': '"v2"'}),
    'another weak tag': (STRONG, {'etag': 'W/"v2"'}),
    'a strong tag for a weak one': ({'etag': 'W/"v1"'}, {'etag': '"v1"'}),
}
SAME = {
    'the same strong tag': (STRONG, STRONG),
    'a weak tag that compares': (STRONG, {'etag': 'W/"v1"'}),
    'the same weak tag': ({'etag': 'W/"v1"'}, {'etag': 'W/"v1"'}),
    'no tag': (STRONG, {}),
}


@pytest.mark.parametrize(('stored', 'given'), ANOTHER.values(), ids=ANOTHER)
def test_a_304_with_another_tag_updates_nothing(backend, mode, clock, stored, given):
    fresh = unmodified(**given, cache_control='max-age=1000', x_new='1')
    client = served(backend, mode, clock, [whole(**stored), fresh, whole('new', etag='"v2"')])
    client.get('/')
    clock.now += 20
    confirmed = client.get('/')
    assert (confirmed.text, confirmed.headers['age'], 'x-new' in confirmed.headers) == ('old', '20', False)
    assert confirmed.headers['cache-status'].endswith('detail=validator')
    assert (client.get('/').text, client.get('/').headers['x-cache']) == ('new', 'HIT')


@pytest.mark.parametrize(('stored', 'given'), SAME.values(), ids=SAME)
def test_a_304_with_the_same_tag_or_none_updates_what_is_stored(backend, mode, clock, stored, given):
    client = served(backend, mode, clock, [whole(**stored), unmodified(**given, cache_control='max-age=9', x_new='1')])
    client.get('/')
    clock.now += 20
    for age in ('0', '5'):
        response = client.get('/')
        assert (response.text, response.headers['age'], response.headers['x-new']) == ('old', age, '1')
        assert response.headers['etag'] == given.get('etag', stored['etag'])
        clock.now += 5


def test_a_304_does_not_change_how_the_stored_body_is_read(backend, mode, clock):
    client = served(
        backend,
        mode,
        clock,
        [
            whole(content_type='text/plain', content_language='en'),
            unmodified(
                **STRONG,
                cache_control='max-age=9',
                content_type='text/html',
                content_encoding='br',
                content_range='bytes 0-1/2',
                content_language='de',
            ),
        ],
    )
    client.get('/')
    clock.now += 20
    for _ in range(2):
        response = client.get('/')
        expected = 'text/html' if mode == 'rfc9111' else 'text/plain'
        assert (response.headers['content-type'], response.headers['content-language']) == (expected, 'de')
        assert not {'content-encoding', 'content-range'} & set(response.headers)


@pytest.mark.parametrize('said', ['max-age=1000', 'no-store'], ids=['stored', 'not stored'])
@pytest.mark.parametrize(
    ('given', 'age'), [({}, '0'), ({'age': '7'}, '7'), ({'age': '7, 0'}, '7'), ({'age': 'old'}, '0')]
)
def test_the_age_of_a_validated_response_is_that_of_its_304(backend, mode, clock, given, age, said):
    client = served(
        backend,
        mode,
        clock,
        [
            whole(age='5', date=formatdate(clock.now - 2, usegmt=True)),
            unmodified(**STRONG, **given, cache_control=said),
        ],
    )
    client.get('/')
    clock.now += 20
    response = client.get('/')
    assert (response.text, response.headers.get_list('age'), 'date' in response.headers) == ('old', [age], False)


@pytest.mark.parametrize(('given', 'age'), [('0, 5', '0'), ('5, 0', '5'), ('old', '0'), ('-1', '0')])
def test_an_age_is_the_first_of_a_list_or_nothing(backend, mode, clock, given, age):
    client = served(backend, mode, clock, [whole(age=given)])
    assert client.get('/').headers.get_list('age') == [age]
    hit = client.get('/')
    assert (hit.headers['x-cache'], hit.headers.get_list('age')) == ('HIT', [age])


def test_a_response_that_expires_at_an_hour_of_one_digit_has_expired(mode, clock):
    response = Response('text', headers={**STRONG, 'expires': 'Wed, 01 Jan 2098 9:00:00 GMT'})
    client = served(MemoryCache(), mode, clock, [response])
    assert [client.get('/').headers.get('x-cache') for _ in range(2)] != ['MISS', 'HIT']
