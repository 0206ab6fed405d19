"""Demands of clients in `Cache-Control`: heeded only where the route allows it."""

import pytest
from fastapi import Depends, Header, HTTPException, Request, Response

from fastapi_caching_route import FastAPICache
from tests.support import caching_router, client_of, marks


@pytest.mark.parametrize(
    ('demand', 'heeded'),
    [('no-cache', True), ('max-age=5', True), ('max-age=50', False), ('min-fresh=55', True), ('only-if-cached', False)],
)
@pytest.mark.parametrize('switched_on', [True, False])
def test_clients_decide_only_where_the_route_lets_them(cache, clock, demand, heeded, switched_on):
    router, runs = caching_router(), []

    @router.get('/')
    @cache(ttl=60, client_cache_control=switched_on)
    async def endpoint():
        runs.append(1)
        return 1

    client = client_of(router)
    client.get('/')
    clock.now += 10
    client.get('/', headers={'cache-control': demand})
    assert len(runs) == (2 if heeded and switched_on else 1)


def test_who_wants_only_what_is_stored_is_behind_the_guards_too(cache):
    router = caching_router()

    async def guard():
        raise HTTPException(403)

    @router.get('/{open_to_all}')
    @cache(ttl=60, client_cache_control=True)
    async def endpoint(open_to_all: str):
        return 1

    @router.get('/closed/it', dependencies=[Depends(guard)])
    @cache(ttl=60, client_cache_control=True)
    async def closed():
        return 1

    client = client_of(router)
    paths = ('/open', '/closed/it')
    assert [client.get(path, headers={'cache-control': 'only-if-cached'}).status_code for path in paths] == [504, 403]


@pytest.mark.parametrize('why', ['skip', 'key_builder', 'cookie'])
def test_who_wants_only_what_is_stored_never_reaches_the_endpoint_by_a_bypass(cache, why):
    router, asked = caching_router(), []
    options = {'skip': {'skip': lambda request: True}, 'key_builder': {'key_builder': lambda request: None}}
    left = options.get(why, {'reads': 'all'})

    @router.get('/', dependencies=[Depends(lambda: asked.append('guard'))])
    @cache(ttl=60, client_cache_control=True, **left)
    async def endpoint(request: Request):
        asked.append('endpoint')
        return 1

    client = client_of(router)
    sent = {'cookie': 'a=b'} if why == 'cookie' else {}
    response = client.get('/', headers={**sent, 'cache-control': 'only-if-cached'})
    assert (response.status_code, asked) == (504, ['guard'])
    assert response.headers['cache-status'].endswith('; detail=only-if-cached')
    response = client.get('/', headers=sent)
    assert (response.status_code, asked) == (200, ['guard', 'guard', 'endpoint'])
    assert 'fwd=bypass' in response.headers['cache-status']


def test_what_a_client_asks_about_its_own_copy_does_not_tell_entries_apart(cache):
    router, asked = caching_router(), []

    @router.get('/')
    @cache(ttl=10, revalidate=True)
    async def endpoint(if_none_match: str | None = Header(default=None), x_plan: str = Header(default='')):
        asked.append(if_none_match)
        return Response('x', headers={'etag': '"a"'})

    client = client_of(router)
    responses = [client.get('/', headers={'if-none-match': f'"{number}"'}) for number in range(3)]
    assert (marks(*responses), asked) == (['MISS', 'HIT', 'HIT'], [None])
    assert responses[0].headers['vary'] == 'x-plan'


def test_a_client_may_ask_for_what_is_stale_where_the_route_lets_it(cache, clock):
    router = caching_router()

    @router.get('/')
    @cache(ttl=10, client_cache_control=True)
    async def endpoint():
        return 1

    client = client_of(router)
    client.get('/')
    clock.now += 20
    assert marks(client.get('/', headers={'cache-control': 'max-stale=20'})) == ['HIT']
    assert marks(client.get('/', headers={'cache-control': 'max-stale=5'})) == ['MISS']


@pytest.mark.parametrize(
    ('mode', 'switch', 'heeded'),
    [('policy', None, False), ('policy', True, True), ('rfc9111', None, True), ('rfc9111', False, False)],
)
def test_by_the_book_clients_decide_unless_the_route_forbids_it(clock, mode, switch, heeded):
    router, cache = caching_router(), FastAPICache(mode=mode, clock=clock)

    @router.get('/')
    @cache(**({} if switch is None else {'client_cache_control': switch}))
    async def endpoint():
        return Response('x', headers={'cache-control': 'max-age=10, stale-if-error=10'})

    client = client_of(router)
    client.get('/')
    asked = [client.get('/', headers={'cache-control': it}) for it in ('no-cache', 'max-age=0, min-fresh=20')]
    asked.append(client.get('/', headers={'pragma': 'no-cache'}))
    assert marks(*asked) == ['MISS' if heeded else 'HIT'] * 3
    clock.now += 15
    assert marks(client.get('/', headers={'cache-control': 'max-stale=20'})) == ['HIT' if heeded else 'MISS']


@pytest.mark.parametrize(
    ('options', 'asked', 'status'),
    [
        pytest.param({'client_cache_control': True}, 'stale-if-error=30', 200, id='longer than the route'),
        pytest.param({'client_cache_control': True}, 'stale-if-error=0', 503, id='shorter than the route'),
        pytest.param({'client_cache_control': True}, 'max-stale=0', 200, id='nothing said of it'),
        pytest.param({'client_cache_control': True}, 'stale-if-error=19', 503, id='too short'),
        pytest.param({}, 'stale-if-error=0', 200, id='not heeded'),
    ],
)
def test_a_client_says_how_stale_the_response_to_a_failure_may_be(cache, clock, options, asked, status):
    router, failing = caching_router(), []
    window = 0 if '30' in asked else 100

    @router.get('/')
    @cache(ttl=10, stale_if_error=window, **options)
    async def endpoint():
        if failing:
            raise HTTPException(503)
        return 1

    client = client_of(router)
    client.get('/')
    clock.now += 30
    failing.append(1)
    # The second time, the failure is remembered.
    assert [client.get('/', headers={'cache-control': asked}).status_code for _ in range(2)] == [status] * 2


def test_a_client_cannot_have_what_must_not_be_stale(clock):
    router, cache, script = caching_router(), FastAPICache(mode='rfc9111', clock=clock), []

    @router.get('/')
    @cache()
    async def endpoint():
        if script:
            raise HTTPException(503)
        return Response('x', headers={'cache-control': 'max-age=10, must-revalidate', 'etag': '"a"'})

    client = client_of(router)
    client.get('/')
    clock.now += 15
    script.append(1)
    assert client.get('/', headers={'cache-control': 'stale-if-error=60'}).status_code == 503
