"""`CacheControl`, and what clients and caches in front of us are told."""

import pytest
from fastapi import Depends, Response
from fastapi.responses import JSONResponse, StreamingResponse
from fastapi.security import APIKeyHeader
from hypothesis import given
from hypothesis import strategies as st

from fastapi_caching_route import CacheControl, ConfigurationError
from fastapi_caching_route._http.cache_control import directives
from fastapi_caching_route._http.structured import dictionary
from fastapi_caching_route.control import parsed
from tests.support import Clock, caching_router, client_of, marks, memory_cache


@pytest.mark.parametrize(
    ('control', 'text'),
    [
        (CacheControl(public=True, max_age=60), 'public, max-age=60'),
        (CacheControl(private=True), 'private'),
        (CacheControl(private=['set-cookie'], max_age=0), 'private="set-cookie", max-age=0'),
        (CacheControl(no_cache=['x-a', 'x-b'], s_maxage=5), 's-maxage=5, no-cache="x-a, x-b"'),
        (CacheControl(no_cache=True, no_transform=True), 'no-cache, no-transform'),
        (CacheControl(no_store=True, must_understand=True, max_age=5), 'max-age=5, no-store, must-understand'),
        (
            CacheControl(max_age=5, immutable=True, stale_while_revalidate=6, stale_if_error=7),
            'max-age=5, immutable, stale-while-revalidate=6, stale-if-error=7',
        ),
        (CacheControl(must_revalidate=True, proxy_revalidate=True), 'must-revalidate, proxy-revalidate'),
        (CacheControl(max_age='ttl', s_maxage='ttl'), 'max-age=ttl, s-maxage=ttl'),
        (CacheControl(), ''),
    ],
)
def test_directives_are_written(control, text):
    assert str(control) == text
    assert dictionary(text) is not None
    if text:
        assert parsed(text) == control


@pytest.mark.parametrize(
    ('given_directives', 'message'),
    [
        ({'public': True, 'private': True}, 'private contradicts public'),
        ({'private': True, 's_maxage': 5, 'proxy_revalidate': True}, 'private contradicts s-maxage, proxy-revalidate'),
        ({'no_store': True, 'max_age': 0}, 'no-store contradicts max-age'),
        ({'no_cache': True, 'immutable': True}, 'no-cache contradicts immutable'),
        ({'must_revalidate': True, 'stale_if_error': 5}, 'must-revalidate contradicts stale-if-error'),
        ({'max_age': -1}, 'max_age must be whole seconds'),
        ({'max_age': 1.5}, 'max_age must be whole seconds'),
        ({'max_age': True}, 'max_age must be whole seconds'),
        ({'max_age': 'TTL'}, 'max_age must be whole seconds'),
        ({'stale_if_error': 'ttl'}, 'stale_if_error must be whole seconds'),
        ({'no_store': True, 'max_age': 'ttl'}, 'no-store contradicts max-age'),
        ({'private': 'set-cookie'}, 'private must be True or a list of header names'),
        ({'private': []}, 'private must be True or a list of header names'),
        ({'no_cache': ['a\r\nb']}, 'no_cache must be True or a list of header names'),
        ({'public': 'yes'}, 'public must be True or False'),
    ],
)
def test_contradictions_and_nonsense_are_refused(given_directives, message):
    with pytest.raises(ConfigurationError, match=message):
        CacheControl(**given_directives)


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('public, private', 'contradicts'),
        ('max-age', 'max-age must be in whole seconds'),
        ('max-age=x', 'max-age must be in whole seconds'),
        ('max-age=5m', 'max-age must be in whole seconds'),
        ('max-age=5, max-age=6', 'is there twice'),
        ('maxage=5', "'maxage' in 'maxage=5' is an unknown directive"),
        ('public=1', 'public must be True or False'),
        ('', 'contains no directive'),
        (7, "must be a str like 'public, max-age=60'"),
    ],
)
@pytest.mark.parametrize('option', ['cache_control', 'cdn_cache_control'])
def test_what_is_to_be_emitted_is_checked_when_the_route_is_built(option, text, message):
    with pytest.raises(ConfigurationError, match=message):
        memory_cache()(**{option: text})(lambda: 1)


@given(
    st.builds(
        CacheControl,
        public=st.booleans(),
        max_age=st.none() | st.integers(0, 2**31),
        s_maxage=st.none() | st.integers(0, 2**31),
        no_transform=st.booleans(),
        stale_if_error=st.none() | st.integers(0, 99),
    )
)
def test_what_is_written_is_read_again(control):
    said = directives([(b'cache-control', str(control).encode())])
    assert (said.public, said.max_age, said.s_maxage) == (control.public, control.max_age, control.s_maxage)
    assert str(control) == '' or parsed(str(control)) == control


def test_clients_get_the_same_on_misses_and_hits_and_no_age():
    clock, router = Clock(), caching_router()
    cache = memory_cache(clock=clock)

    @router.get('/{kind}')
    @cache(ttl=600, cache_control='public, max-age=60', cdn_cache_control=CacheControl(max_age=300))
    async def endpoint(kind: str, response: Response):
        match kind:
            case 'own':
                response.headers['cache-control'] = 'max-age=500'
            case 'error':
                return JSONResponse('no', 404)
            case 'cookie':
                response.set_cookie('a', 'b')
            case 'stream':
                return StreamingResponse(iter([b'a', b'b']))
        return kind

    client = client_of(router)
    for kind in ('plain', 'stream'):
        first = client.get(f'/{kind}')
        clock.now += 100
        second = client.get(f'/{kind}')
        third = client.get(f'/{kind}', headers={'if-none-match': second.headers['etag']})
        assert marks(first, second, third) == ['MISS', 'HIT', 'HIT']
        assert third.status_code == 304
        for response in (first, second, third):
            assert response.headers['cache-control'] == 'public, max-age=60'
            assert response.headers['cdn-cache-control'] == 'max-age=300'
            assert 'age' not in response.headers
    client.get('/own')
    clock.now += 5
    hit = client.get('/own')
    assert (hit.headers['cache-control'], hit.headers['age']) == ('max-age=500', '5')
    for kind in ('error', 'cookie'):
        assert 'cache-control' not in client.get(f'/{kind}').headers


@pytest.mark.parametrize(
    'options', [{'dependencies': 'scheme'}, {'identity': lambda request: 'tenant'}, {'vary_headers': ['cookie']}]
)
def test_an_answer_that_others_must_not_get_is_private(options):
    cache, router = memory_cache(), caching_router()
    scheme = APIKeyHeader(name='x-key')
    handed = options.pop('dependencies', None)

    async def plain():
        return 1

    async def personal(key: str = Depends(scheme)):
        return key

    control = CacheControl(max_age=60, proxy_revalidate=True)
    router.get('/')(
        cache(ttl=60, cache_control=control, cdn_cache_control=control, **options)(personal if handed else plain)
    )
    client = client_of(router)
    for mark in ('MISS', 'HIT'):
        response = client.get('/', headers={'x-key': 'k', 'cookie': 'a=b'})
        assert marks(response) == [mark]
        assert response.headers['cache-control'] == response.headers['cdn-cache-control'] == 'private, max-age=60'


@pytest.mark.parametrize('above', [False, True])
def test_public_for_an_answer_that_others_must_not_get_is_a_mistake(above):
    cache, router = memory_cache(), caching_router()

    async def endpoint(key: str = Depends(APIKeyHeader(name='x-key'))):
        return key

    route, decorate = router.get('/'), cache(ttl=60, cache_control='public')
    with pytest.raises(ConfigurationError, match=r'public .* credentials or cookies'):
        decorate(route(endpoint)) if above else route(decorate(endpoint))
