"""`app.dependency_overrides` on cached routes."""

from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException, Request
from starlette.testclient import TestClient

from tests.fastapi.endpoints import nested, page
from tests.support import caching_router, marks, memory_cache


def test_values_of_an_overriding_function_never_outlive_it():
    router, cache, app = caching_router(), memory_cache(), FastAPI()

    def value():
        return 'original'

    @cache(ttl=60)
    @router.get('/')
    async def endpoint(it: Annotated[str, Depends(value)]):
        return it

    app.include_router(router)
    client, answers = TestClient(app), []
    for person in ('ann', 'bob'):
        app.dependency_overrides[value] = make(person)
        answers += [client.get('/').json(), client.get('/').json()]
    assert answers == ['ann', 'ann', 'bob', 'bob']


def make(person):
    return lambda: person


def test_a_check_runs_although_the_dependency_that_had_it_is_overridden():
    router, cache, app = caching_router(), memory_cache(), FastAPI()

    def guard():
        raise HTTPException(401)

    def outer(it: Annotated[None, Depends(guard)]):
        return it

    @cache(ttl=60, dependencies=[Depends(guard)])
    @router.get('/')
    async def endpoint(it: Annotated[None, Depends(outer)]):
        return 'answer'

    app.include_router(router)
    app.dependency_overrides[outer] = lambda: None
    client = TestClient(app)
    assert [client.get('/').status_code for _ in range(2)] == [401, 401]


def test_overriding_a_dependency_takes_its_inputs_and_never_serves_what_another_override_made():
    router, cache, app = caching_router(), memory_cache(), FastAPI()

    @cache(ttl=60)
    @router.get('/')
    async def endpoint(it: Annotated[int, Depends(page)]):
        return it

    app.include_router(router)
    client = TestClient(app)
    answers = [client.get('/').json()]
    for value in (1, 2):

        def override(factor: int = 1, value=value):
            return int(value) * factor

        app.dependency_overrides[page] = override
        answers += [client.get('/').json(), client.get('/?factor=3').json()]
    app.dependency_overrides.clear()
    answers.append(client.get('/').json())
    assert answers == [10, 1, 3, 2, 6, 10]


def test_overriding_what_the_route_does_not_use_changes_nothing():
    router, cache, app = caching_router(), memory_cache(), FastAPI()

    @cache(ttl=60)
    @router.get('/')
    async def endpoint(it: Annotated[int, Depends(page)]):
        return it

    app.include_router(router)
    client = TestClient(app)
    assert marks(client.get('/')) == ['MISS']
    app.dependency_overrides[nested] = lambda: None
    assert marks(client.get('/')) == ['HIT']


def test_an_override_that_is_set_while_the_key_of_a_hit_is_made_counts_for_its_guards():
    router, cache, app, overrides = caching_router(), memory_cache(), FastAPI(), {}

    def guard(): ...

    def refuse():
        raise HTTPException(401)

    async def make_key(request: Request):
        app.dependency_overrides.update(overrides)
        return 'key'

    @router.get('/', dependencies=[Depends(guard)])
    @cache(ttl=60, key_builder=make_key)
    async def endpoint():
        return 'answer'

    app.include_router(router)
    client = TestClient(app)
    assert marks(client.get('/'), client.get('/')) == ['MISS', 'HIT']
    overrides[guard] = refuse
    assert client.get('/').status_code == 401
