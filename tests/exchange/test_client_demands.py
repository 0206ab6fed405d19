"""Demands of clients in `Cache-Control`: heeded only where the route allows it."""

import pytest
from fastapi import Depends, Header, HTTPException, Response

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
