"""Optional logins: guards that refuse nobody, whose value says who is signed in."""

from typing import Annotated

import pytest
from fastapi import Depends, FastAPI, HTTPException
from fastapi.security import APIKeyHeader, OAuth2PasswordBearer
from fastapi.testclient import TestClient

from fastapi_caching_route import FastAPICache
from tests.support import caching_router, marks

optional = OAuth2PasswordBearer('token', auto_error=False)
required = OAuth2PasswordBearer('token')
other = APIKeyHeader(name='x-key')


def returning(token: Annotated[str | None, Depends(optional)]):
    return token


def below(user: Annotated[str | None, Depends(returning)]):
    return user


def refusing(token: Annotated[str | None, Depends(optional)]):
    if token is None:
        raise HTTPException(401)
    return token


def below_refusing(user: Annotated[str, Depends(refusing)], again: Annotated[str | None, Depends(optional)]):
    return user, again


def strict(token: Annotated[str, Depends(required)]):
    return token


def strict_beside(token: Annotated[str | None, Depends(optional)], key: Annotated[str, Depends(other)]):
    return token, key


def name_of(user: Annotated[str | None, Depends(returning)]):
    return user or 'nobody'


def warnings_of(dependency, **options):
    router, cache, app = caching_router(), FastAPICache(), FastAPI()

    @router.get('/')
    @cache(ttl=60, **options)
    async def endpoint(user: Annotated[object, Depends(dependency)]):
        return user

    app.include_router(router)
    return [it for report in cache.explain(app) for it in report.warnings]


@pytest.mark.parametrize('dependency', [returning, below, strict_beside], ids=lambda it: it.__name__)
def test_a_guard_that_refuses_nobody_is_warned_of(dependency):
    [warning] = warnings_of(dependency)
    assert f'{dependency.__name__} lets requests without a valid credential through' in warning
    assert 'identity=Depends(...)' in warning


@pytest.mark.parametrize(
    'dependency',
    [refusing, below_refusing, strict, optional],
    ids=lambda it: getattr(it, '__name__', 'scheme'),
)
def test_a_guard_that_refuses_is_not_warned_of(dependency):
    assert warnings_of(dependency) == []


@pytest.mark.parametrize(
    'options',
    [{'identity': Depends(name_of)}, {'identity': lambda request: 'x'}, {'key_builder': lambda request: 'x'}],
    ids=['a dependency', 'a callable', 'a key builder'],
)
def test_nothing_is_warned_of_where_the_user_says_who_shares(options):
    assert warnings_of(returning, **options) == []


def test_an_identity_notices_that_a_token_was_revoked_or_its_user_has_other_rights():
    users = {'bob': 'user', 'root': 'admin'}
    router, cache, app = caching_router(), FastAPICache(), FastAPI()

    def viewer(token: Annotated[str | None, Depends(optional)]):
        return None if token not in users else (token, users[token])

    def viewer_id(user: Annotated[tuple | None, Depends(viewer)]):
        return 'nobody' if user is None else '/'.join(user)

    @router.get('/')
    @cache(ttl=60, identity=Depends(viewer_id))
    async def endpoint(user: Annotated[tuple | None, Depends(viewer)]):
        return user or 'please sign in'

    app.include_router(router)
    client = TestClient(app)

    def get(token):
        return client.get('/', headers={'authorization': f'Bearer {token}'})

    asked = [get('bob'), get('root'), get('bob'), get('root'), client.get('/')]
    assert marks(*asked) == ['MISS', 'MISS', 'HIT', 'HIT', 'MISS']
    del users['bob']
    users['root'] = 'user'
    asked = [get('bob'), get('root')]
    assert [it.json() for it in asked] == ['please sign in', ['root', 'user']]
    assert marks(*asked) == ['HIT', 'MISS']
