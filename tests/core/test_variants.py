"""Variants of one key, selected by `Vary` and `vary_headers`."""

from contextvars import ContextVar
from inspect import Parameter, Signature
from typing import Annotated

import pytest
from aiocache import SimpleMemoryCache
from fastapi import Cookie, Header, Request, Response
from starlette.middleware import Middleware

from fastapi_caching_route import FastAPICache, MemoryCache
from fastapi_caching_route._core.variants import MAX_VARIANTS, Variants, lasting, variant_of
from fastapi_caching_route._http.freshness import FOREVER
from tests.support import Clock, caching_router, client_of, marks, memory_cache


def test_declared_fields_are_named_in_vary_once_and_beside_those_of_the_endpoint():
    router, cache = caching_router(), memory_cache()

    @cache(ttl=60, vary_headers=['X-Plan', 'accept-language'])
    @router.get('/')
    async def endpoint(accept_language: Annotated[str, Header()] = 'en', theme: Annotated[str, Cookie()] = ''):
        return Response(headers={'vary': 'Accept-Encoding, X-Plan'})

    client = client_of(router)
    for response in (client.get('/'), client.get('/')):
        assert response.headers['vary'] == 'accept-encoding, x-plan, accept-language, cookie'


def test_vary_headers_are_part_of_the_key_every_line_of_them():
    router, cache, runs = caching_router(), memory_cache(), []

    @cache(ttl=60, vary_headers=['x-plan'])
    @router.get('/')
    async def endpoint():
        runs.append(1)
        return len(runs)

    client = client_of(router)
    asked = [[], [('x-plan', '')], [('x-plan', 'a')], [('x-plan', 'a'), ('x-plan', 'b')], [('x-plan', 'a, b')]]
    assert [client.get('/', headers=it).json() for it in asked * 2] == [1, 2, 3, 4, 5] * 2


def test_the_vary_of_the_endpoint_selects_among_variants():
    router, cache, runs = caching_router(), memory_cache(), []

    @cache(ttl=60, key_builder=lambda request: request.url.path)
    @router.get('/')
    async def endpoint(request: Request):
        runs.append(1)
        language = request.headers.get('accept-language', '')
        return Response(language, headers={'vary': 'Accept-Language'})

    client = client_of(router)
    languages = ['de', 'fr', 'de', 'fr']
    assert [client.get('/', headers={'accept-language': it}).text for it in languages] == languages
    assert len(runs) == 2


@pytest.mark.parametrize('mode', ['policy', 'rfc9111'])
@pytest.mark.parametrize(
    ('requests', 'parameters'),
    [
        pytest.param([[], ['en'], ['de']], {'x_part': (Annotated[str, Header()], 'en')}, id='a default'),
        pytest.param([['1'], ['01'], ['1', '2']], {'x_part': (Annotated[int, Header()], 1)}, id='a number'),
        pytest.param([['1'], ['1', '2'], ['1', '3']], {'x_part': (Annotated[str | None, Header()], None)}, id='a text'),
    ],
)
def test_the_vary_of_the_endpoint_counts_for_a_header_that_it_declares(mode, requests, parameters):
    seen: ContextVar[str] = ContextVar('seen')
    router, cache = caching_router(), memory_cache(mode=mode)

    def noting(app):
        async def noted(scope, receive, send):
            seen.set(str([value.decode() for name, value in scope['headers'] if name == b'x-part']))
            await app(scope, receive, send)

        return noted

    async def endpoint(**given):
        return Response(seen.get(), headers={'vary': 'x-part', 'cache-control': 'max-age=60'})

    endpoint.__signature__ = Signature(
        [Parameter(name, Parameter.KEYWORD_ONLY, annotation=of, default=it) for name, (of, it) in parameters.items()]
    )
    router.get('/')(cache()(endpoint))
    client = client_of(router, middleware=[Middleware(noting)])
    responses = [client.get('/', headers=[('x-part', it) for it in lines]) for lines in requests * 2]
    assert [it.text for it in responses] == [str(lines) for lines in requests] * 2
    assert marks(*responses) == ['MISS'] * 3 + ['HIT'] * 3


@pytest.mark.parametrize(('normalised', 'expected'), [(False, 10), (True, 8)])
def test_variants_differ_by_token_and_by_their_fields(normalised, expected):
    requests = ([], [(b'x', b'')], [(b'x', b'a')], [(b'x', b'a'), (b'x', b'b')], [(b'x', b'a, b')], [(b'y', b'a')])
    found = {
        variant_of(Variants('k', (b'x',), token), (), request, (), normalised=normalised)
        for token in ('a', 'b')
        for request in requests
    }
    assert len(found) == expected  # several lines of one field are one list, by the book


def test_a_client_that_makes_up_fields_cannot_fill_the_store():
    backend = SimpleMemoryCache()
    cache, router = FastAPICache(backend), caching_router()

    @cache(ttl=60, key_builder=lambda _: 'one')
    @router.get('/')
    async def endpoint(request: Request):
        language = request.headers['accept-language']
        return Response(language, headers={'vary': 'accept-language'})

    client = client_of(router)
    for number in range(300):
        assert client.get('/', headers={'accept-language': f'x-{number}'}).text == f'x-{number}'
    assert len(backend._cache) == 1 + MAX_VARIANTS
    assert len(backend._cache['one'].known) == MAX_VARIANTS
    newest = [client.get('/', headers={'accept-language': f'x-{number}'}) for number in range(300 - MAX_VARIANTS, 300)]
    assert marks(*newest) == ['HIT'] * MAX_VARIANTS
    assert marks(client.get('/', headers={'accept-language': 'x-0'})) == ['MISS']


def test_an_answer_that_does_not_vary_replaces_only_the_one_for_its_own_fields():
    router, cache = caching_router(), memory_cache()

    @cache(ttl=60, key_builder=lambda _: 'one')
    @router.get('/')
    async def endpoint(request: Request):
        language = request.headers['accept-language']
        return Response(language, headers={'vary': 'accept-language'} if language == 'de' else {})

    client = client_of(router)
    languages = ['de', 'fr', 'de', 'fr', 'it']
    assert [client.get('/', headers={'accept-language': it}).text for it in languages] == languages


def test_a_variant_that_lives_short_does_not_take_the_others_along():
    clock, router, runs = Clock(), caching_router(), []
    cache = memory_cache(clock=clock)

    @cache(ttl=60, key_builder=lambda _: 'one', vary_headers=['x-plan'])
    @router.get('/')
    async def endpoint(request: Request):
        runs.append(1)
        return Response(headers={'cache-control': f'max-age={request.headers["x-plan"]}'})

    with client_of(router) as client:
        client.get('/', headers={'x-plan': '60'})
        client.get('/', headers={'x-plan': '1'})
        clock.now += 2
        assert marks(client.get('/', headers={'x-plan': '60'})) == ['HIT']


def test_a_record_is_kept_as_long_as_the_longest_of_its_variants():
    clock = Clock()
    memory = MemoryCache(clock=clock)
    router, cache, spans = caching_router(), FastAPICache(memory, clock=clock), []

    @cache(ttl=60)
    @router.get('/')
    async def endpoint(response: Response):
        response.headers['vary'] = 'x-language'
        response.headers['cache-control'] = f'max-age={spans[-1]}'

    def ask(language, seconds):
        spans.append(seconds)
        return client.get('/', headers={'x-language': language})

    client = client_of(router)
    ask('de', 5), ask('fr', 50), ask('de', 5)
    clock.now += 40
    assert marks(ask('de', 5), ask('fr', 50)) == ['MISS', 'HIT']
    clock.now += 9
    assert marks(ask('fr', 50)) == ['HIT']
    clock.now += 2
    assert marks(ask('fr', 5)) == ['MISS']
    clock.now += 6
    assert memory.stats().entries == 0


def test_an_end_that_is_no_time_does_not_count():
    for ends_at, left in ((float('nan'), 5), (float('-inf'), 5), (1e300, FOREVER), (1008.0, 8)):
        assert lasting(Variants('k', (b'x',), 'token', ends_at=ends_at), 1000.0, 5) == (
            Variants('k', (b'x',), 'token', ends_at=1000.0 + left),
            left,
        )
