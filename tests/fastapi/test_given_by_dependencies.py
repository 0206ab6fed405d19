"""`identity=Depends(...)` and `tags=Depends(...)`: dependencies that give them, solved once in a request."""

from typing import Annotated

import pytest
from fastapi import Depends, Header, HTTPException, Query, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from fastapi_caching_route import CacheContext, ConfigurationError
from tests.support import caching_router, client_of, found, marks, memory_cache

USERS = {'a': 1, 'a2': 1, 'b': 2}


class Users:
    """Looks up who asks, and counts that."""

    def __init__(self):
        self.asked = []

    def id_of(self, token: Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())]):
        self.asked.append(token.credentials)
        if token.credentials not in USERS:
            raise HTTPException(403)
        return USERS[token.credentials]


def of(token):
    return {'authorization': f'Bearer {token}'}


@pytest.mark.parametrize('takes', [True, False], ids=['endpoint takes it', 'only the key does'])
def test_clients_with_the_same_identity_share_and_it_is_solved_once_for_each_request(takes):
    users, cache, router, runs = Users(), memory_cache(), caching_router(), []
    if takes:

        @router.get('/')
        @cache(ttl=60, identity=Depends(users.id_of))
        async def endpoint(user: Annotated[int, Depends(users.id_of)]):
            runs.append(user)
            return user
    else:

        @router.get('/')
        @cache(ttl=60, identity=Depends(users.id_of))
        async def endpoint():
            runs.append(1)
            return 1

    client = client_of(router)
    answers = [client.get('/', headers=of(token)) for token in ('a', 'b', 'a2', 'b', 'a')]
    assert marks(*answers) == ['MISS', 'MISS', 'HIT', 'HIT', 'HIT']
    assert users.asked == ['a', 'b', 'a2', 'b', 'a']
    if takes:
        assert [it.json() for it in answers] == [1, 2, 1, 2, 1]
        assert runs == [1, 2]


def test_a_dependency_that_gives_the_identity_may_refuse_hits_too():
    users, cache, router = Users(), memory_cache(), caching_router()

    @router.get('/')
    @cache(ttl=60, identity=Depends(users.id_of))
    async def endpoint():
        return 1

    client = client_of(router)
    assert marks(client.get('/', headers=of('a')), client.get('/', headers=of('a'))) == ['MISS', 'HIT']
    for headers in ({}, of('nobody')):
        refused = client.get('/', headers=headers)
        assert refused.status_code in {401, 403}
        assert marks(refused) == [None]


@pytest.mark.parametrize('given', [None, 1.5, True, b'a', ['a'], object()])
def test_what_names_no_client_bypasses_the_cache(given):
    cache, router = memory_cache(), caching_router()

    @router.get('/')
    @cache(ttl=60, identity=Depends(lambda: given))
    async def endpoint():
        return 1

    client = client_of(router)
    assert found(client, '/', '/') == [None, None]
    assert 'detail=identity' in client.get('/').headers['cache-status']


def test_identity_overrides_are_applied_and_have_entries_of_their_own():
    users, cache, router = Users(), memory_cache(), caching_router()

    @router.get('/')
    @cache(ttl=60, identity=Depends(users.id_of))
    async def endpoint(user: Annotated[int, Depends(users.id_of)]):
        return user

    client = client_of(router)
    assert client.get('/', headers=of('a')).json() == 1
    id_of = users.id_of
    client.app.dependency_overrides[id_of] = lambda tester: tester
    answers = [client.get(f'/?tester={it}') for it in ('1', '1', '2')]
    assert [(it.json(), it.headers['x-cache']) for it in answers] == [('1', 'MISS'), ('1', 'HIT'), ('2', 'MISS')]
    client.app.dependency_overrides.clear()
    assert marks(client.get('/', headers=of('a'))) == ['HIT']


def test_a_dependency_with_yield_may_give_the_identity():
    cache, router, ended = memory_cache(), caching_router(), []

    async def session(tenant: Annotated[str, Header()]):
        yield tenant
        ended.append(tenant)

    @router.get('/')
    @cache(ttl=60, identity=Depends(session))
    async def endpoint(given: Annotated[str, Depends(session)]):
        return given

    client = client_of(router)
    answers = [client.get('/', headers={'tenant': it}) for it in 'aba']
    assert [(it.json(), it.headers['x-cache']) for it in answers] == [('a', 'MISS'), ('b', 'MISS'), ('a', 'HIT')]
    assert ended == ['a', 'b', 'a']


async def test_a_dependency_gives_the_tags_once_where_the_endpoint_takes_it_too():
    cache, router, runs = memory_cache(), caching_router(), []

    async def owner(item: int):
        runs.append(item)
        return item % 2

    async def tags_of(owner_id: Annotated[int, Depends(owner)], context: Annotated[CacheContext, Depends()]):
        context.tags.add('all')
        return [f'owner:{owner_id}']

    @router.get('/{item}')
    @cache(ttl=60, tags=Depends(tags_of))
    async def endpoint(item: int, owner_id: Annotated[int, Depends(owner)]):
        return owner_id

    client = client_of(router)
    paths = ('/1', '/2', '/3')
    assert found(client, *paths) == ['MISS'] * 3
    assert found(client, *paths) == ['HIT'] * 3
    assert runs == [1, 2, 3]
    await cache.invalidate_tags('owner:1')
    assert found(client, *paths) == ['MISS', 'HIT', 'MISS']
    await cache.invalidate_tags('all')
    assert found(client, *paths) == ['MISS'] * 3
    (report,) = [it for it in cache.explain(client.app) if it.path == '/{item}']
    assert report.tags == ('(a callable)',)


async def test_what_the_tags_depend_on_is_in_the_key():
    cache, router = memory_cache(), caching_router()

    async def tags_of(team: Annotated[str, Header()], request: Request):
        return [team, request.headers.get('x-more', '')]

    @router.get('/')
    @cache(ttl=60, tags=Depends(tags_of))
    async def endpoint():
        return 1

    client = client_of(router)
    sent = [{'team': 'a'}, {'team': 'b'}, {'team': 'a', 'x-more': 'c'}]
    assert marks(*(client.get('/', headers=it) for it in sent)) == ['MISS'] * 3
    assert marks(*(client.get('/', headers=it) for it in sent)) == ['HIT'] * 3
    await cache.invalidate_tags('b')
    assert marks(*(client.get('/', headers=it) for it in sent)) == ['HIT', 'MISS', 'HIT']
    await cache.invalidate_tags('c')
    assert marks(*(client.get('/', headers=it) for it in sent)) == ['HIT', 'HIT', 'MISS']


def test_tags_that_are_none_are_told_and_nothing_is_stored(caplog):
    cache, router = memory_cache(), caching_router()

    @router.get('/')
    @cache(ttl=60, tags=Depends(lambda: 'one text'))
    async def endpoint():
        return 1

    assert found(client_of(router), '/', '/') == [None, None]
    (said,) = [it.getMessage() for it in caplog.records]
    assert 'must give a list of str' in said


def test_tags_and_identity_of_one_dependency_are_solved_once():
    users, cache, router = Users(), memory_cache(), caching_router()

    def tags_of(user: Annotated[int, Depends(users.id_of)]):
        return [f'user:{user}']

    @router.get('/')
    @cache(ttl=60, identity=Depends(users.id_of), tags=Depends(tags_of))
    async def endpoint(user: Annotated[int, Depends(users.id_of)]):
        return user

    client = client_of(router)
    assert marks(*(client.get('/', headers=of(it)) for it in ('a', 'a2', 'b'))) == ['MISS', 'HIT', 'MISS']
    assert users.asked == ['a', 'a2', 'b']


async def test_query_parameters_may_stand_in_tags():
    cache, router = memory_cache(), caching_router()

    @router.get('/{kind}')
    @cache(ttl=60, tags=['{kind}:{page}', 'tag:{q}'])
    async def endpoint(kind: str, page: int = 1, q: str | None = None, term: Annotated[str, Query(alias='t')] = ''):
        return page

    client = client_of(router)
    paths = ('/a', '/a?page=2', '/b?page=02', '/a?q=x')
    assert found(client, *paths) == ['MISS'] * 4
    await cache.invalidate_tags('a:1')
    assert found(client, *paths) == ['MISS', 'HIT', 'HIT', 'MISS']
    await cache.invalidate_tags('b:2')
    assert found(client, *paths) == ['HIT', 'HIT', 'MISS', 'HIT']
    await cache.invalidate_tags('tag:x')
    assert found(client, *paths) == ['HIT', 'HIT', 'HIT', 'MISS']


def test_a_name_that_is_no_parameter_is_still_refused():
    router = caching_router()
    with pytest.raises(ConfigurationError, match=r"'tag:\{other\}' names other, which is not"):

        @router.get('/')
        @memory_cache()(tags=['tag:{other}'])
        async def endpoint(page: int = 1): ...


def test_all_dependencies_run_on_hits_where_the_route_says_so():
    cache, router, runs = memory_cache(), caching_router(), []

    async def audit(page: int = 1):
        runs.append(page)
        if page > 2:
            raise HTTPException(403)
        return page

    @router.get('/')
    @cache(ttl=60, route_dependencies='all')
    async def endpoint(given: Annotated[int, Depends(audit)]):
        runs.append('endpoint')
        return given

    client = client_of(router)
    assert found(client, '/', '/', '/?page=2') == ['MISS', 'HIT', 'MISS']
    assert runs == [1, 'endpoint', 1, 2, 'endpoint']
    assert client.get('/?page=3').status_code == 403
    (report,) = [it for it in cache.explain(client.app) if it.path == '/']
    assert any('audit' in it for it in report.guards)
