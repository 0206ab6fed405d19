"""Explicit dependencies that run before there is a key: the route gets their values, and they run once in a request."""

from typing import Annotated, Any

import pytest
from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException, Query, Request, Response, Security
from fastapi.security import SecurityScopes
from fastapi.testclient import TestClient

from tests.support import FASTAPI, caching_router, client_of, marks, memory_cache


def builder(request):
    return f'of {request.state.user}'


EARLY: list[dict[str, Any]] = [
    {'key_builder': builder},
    {'identity': builder},
    {'skip': lambda request: False, 'identity': 'shared'},
]


@pytest.mark.parametrize('options', EARLY, ids=['key_builder', 'identity', 'skip'])
@pytest.mark.parametrize('kind', ['coroutine', 'function', 'generator', 'async generator'])
def test_an_explicit_dependency_that_the_endpoint_takes_runs_once_and_gives_it_its_value(options, kind):
    router, cache, ran = caching_router(), memory_cache(), []

    def begin(request, response, tasks):
        request.state.user = 'ann'
        ran.append('user')
        response.headers.append('link', '<user>')
        tasks.add_task(ran.append, 'task')
        return object()

    async def coroutine(request: Request, response: Response, tasks: BackgroundTasks):
        return begin(request, response, tasks)

    def function(request: Request, response: Response, tasks: BackgroundTasks):
        return begin(request, response, tasks)

    def generator(request: Request, response: Response, tasks: BackgroundTasks):
        yield begin(request, response, tasks)
        ran.append('over')

    async def async_generator(request: Request, response: Response, tasks: BackgroundTasks):
        yield begin(request, response, tasks)
        ran.append('over')

    user = {'coroutine': coroutine, 'function': function, 'generator': generator, 'async generator': async_generator}[
        kind
    ]
    seen = []

    async def below(value: Annotated[object, Depends(user)]):
        return value

    @router.get('/')
    @cache(ttl=60, dependencies=[Depends(user)], **options)
    async def endpoint(one: Annotated[object, Depends(user)], two: Annotated[object, Depends(below)]):
        ran.append('endpoint')
        seen.append(one is two and type(one) is object)
        return 1

    client = client_of(router)
    end = ['over'] if 'generator' in kind else []
    first = client.get('/')
    assert (marks(first), seen) == (['MISS'], [True])
    assert sorted(ran) == sorted(['user', 'endpoint', 'task', *end])
    assert ran.index('user') == 0
    if end:
        assert ran.index('over') > ran.index('endpoint')
    ran.clear()
    second = client.get('/')
    assert marks(second) == ['HIT']
    assert sorted(ran) == sorted(['user', 'task', *end])
    assert [it.headers.get_list('link') for it in (first, second)] == [['<user>']] * 2


def test_what_an_explicit_dependency_depends_on_runs_once_too():
    router, cache, ran = caching_router(), memory_cache(), []

    def session():
        ran.append('session')
        yield object()
        ran.append('closed')

    def user(db: Annotated[object, Depends(session)]):
        ran.append('user')
        return db

    def guard(db: Annotated[object, Depends(session)]):
        ran.append('guard')

    @router.get('/', dependencies=[Depends(guard)])
    @cache(ttl=60, dependencies=[Depends(user)], key_builder=lambda request: 'one')
    async def endpoint(db: Annotated[object, Depends(session)], of_user: Annotated[object, Depends(user)]):
        ran.append('endpoint')
        return db is of_user

    client = client_of(router)
    first = client.get('/')
    assert (first.json(), ran) == (True, ['session', 'user', 'guard', 'endpoint', 'closed'])
    ran.clear()
    assert marks(client.get('/')) == ['HIT']
    assert ran == ['session', 'user', 'guard', 'closed']


def test_one_that_does_not_want_to_be_remembered_runs_each_time():
    router, cache, ran = caching_router(), memory_cache(), []

    def number():
        ran.append(1)
        return len(ran)

    @router.get('/')
    @cache(ttl=60, dependencies=[Depends(number)], key_builder=lambda request: 'one')
    async def endpoint(it: Annotated[int, Depends(number, use_cache=False)]):
        return it

    client = client_of(router)
    with cache.disabled():
        assert client.get('/').json() == 2
    ran.clear()
    assert (client.get('/').json(), ran) == (2, [1, 1])


def test_values_of_other_scopes_are_not_handed_on():
    router, cache, ran = caching_router(), memory_cache(), []

    def allowed(scopes: SecurityScopes):
        ran.append(scopes.scopes)
        return scopes.scopes

    def user(its: Annotated[list[str], Depends(allowed)]):
        return its

    @router.get('/')
    @cache(ttl=60, dependencies=[Security(user, scopes=['read'])], key_builder=lambda request: 'one')
    async def endpoint(
        own: Annotated[list[str], Security(user, scopes=['read'])],
        other: Annotated[list[str], Security(user, scopes=['write'])],
        none: Annotated[list[str], Depends(allowed)],
    ):
        return own, other, none

    assert client_of(router).get('/').json() == [['read'], ['write'], []]
    assert sorted(ran) == [[], ['read'], ['write']]


@pytest.mark.parametrize('kind', ['overriding', 'overridden below', 'its dependent overridden'])
def test_overrides_are_handed_on(kind):
    router, cache, ran = caching_router(), memory_cache(), []

    def session():
        return 'session'

    def other_session():
        ran.append('session')
        return 'other'

    def user(db: Annotated[str, Depends(session)]):
        return f'user of {db}'

    def other_user(db: Annotated[str, Depends(session)]):
        ran.append('user')
        return f'other user of {db}'

    @router.get('/')
    @cache(ttl=60, dependencies=[Depends(user)], key_builder=lambda request: 'one')
    async def endpoint(it: Annotated[str, Depends(user)]):
        return it

    app = FastAPI()
    app.include_router(router)
    overrides = {
        'overriding': {user: other_user},
        'overridden below': {session: other_session},
        'its dependent overridden': {user: other_user, session: other_session},
    }[kind]
    app.dependency_overrides |= overrides
    want = {'overriding': 'other user of session', 'overridden below': 'user of other'}
    assert TestClient(app).get('/').json() == want.get(kind, 'other user of other')
    assert sorted(ran) == sorted(set(ran))


def test_what_is_not_valid_is_said_once():
    router, cache, runs = caching_router(), memory_cache(), []

    def session(size: Annotated[int, Query()]):
        return size

    def user(db: Annotated[int, Depends(session)]):
        return db

    @router.get('/')
    @cache(ttl=60, dependencies=[Depends(user)], key_builder=lambda request: 'one')
    async def endpoint(it: Annotated[int, Depends(user)]):
        runs.append(it)
        return it

    client = client_of(router)
    answer = client.get('/?size=x')
    assert (answer.status_code, len(answer.json()['detail']), runs) == (422, 1, [])
    assert client.get('/?size=3').json() == 3


@pytest.mark.parametrize('raises', [HTTPException(404), KeyError('a')], ids=['handled', 'not handled'])
@pytest.mark.parametrize('is_async', [False, True])
def test_one_with_yield_hears_what_the_endpoint_raises(raises, is_async):
    router, cache, heard = caching_router(), memory_cache(), []

    def session():
        try:
            yield 'session'
            heard.append('committed')
        except Exception as error:
            heard.append(error)
            raise

    async def async_session():
        try:
            yield 'session'
            heard.append('committed')
        except Exception as error:
            heard.append(error)
            raise

    it = async_session if is_async else session

    @router.get('/')
    @cache(ttl=60, status_ttl={404: 60}, dependencies=[Depends(it)], key_builder=lambda request: 'one')
    async def endpoint(db: Annotated[str, Depends(it)]):
        raise raises

    app = FastAPI()
    app.include_router(router)
    client = TestClient(app, raise_server_exceptions=False)
    first = client.get('/')
    assert first.status_code == (404 if isinstance(raises, HTTPException) else 500)
    assert heard == [raises]
    if first.status_code == 404:
        heard.clear()
        assert (client.get('/').status_code, heard) == (404, ['committed'])


def test_an_exception_that_a_dependency_turns_into_a_response_is_one():
    router, cache = caching_router(), memory_cache()

    def session():
        try:
            yield 'session'
        except KeyError:
            raise HTTPException(409, 'taken') from None

    @router.get('/')
    @cache(ttl=60, dependencies=[Depends(session)], key_builder=lambda request: 'one')
    async def endpoint(db: Annotated[str, Depends(session)]):
        raise KeyError(db)

    answer = client_of(router).get('/')
    assert (answer.status_code, answer.json()) == (409, {'detail': 'taken'})


@pytest.mark.skipif(FASTAPI < (0, 121), reason='FastAPI has no such scope yet')
def test_one_that_ends_with_the_function_is_open_while_the_endpoint_runs():
    router, cache, opened = caching_router(), memory_cache(), []

    def session():
        opened.append(1)
        yield 'session'
        opened.pop()

    @router.get('/')
    @cache(ttl=60, dependencies=[Depends(session, scope='function')], key_builder=lambda request: 'one')
    async def endpoint(db: Annotated[str, Depends(session, scope='function')]):
        return len(opened)

    assert client_of(router).get('/').json() == 1
