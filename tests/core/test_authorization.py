"""Requests with `Authorization`: when their responses are shared."""

import decimal
import logging
from contextvars import ContextVar, copy_context
from functools import reduce
from typing import Annotated

import pytest
from fastapi import FastAPI, Header, Request, Response
from starlette.authentication import SimpleUser, UnauthenticatedUser
from starlette.testclient import TestClient

from fastapi_caching_route import ConfigurationError, FastAPICache
from fastapi_caching_route._concurrency.context_variables import ContextVariables
from tests.support import caching_router, client_of, marks, memory_cache


def test_authorization_counts_as_covered_where_it_selects_a_variant():
    router, cache = caching_router(), memory_cache()

    @cache(ttl=60, key_builder=lambda _: 'one', vary_headers=['authorization'])
    @router.get('/')
    async def endpoint(request: Request):
        return request.headers.get('authorization')

    client = client_of(router)
    people = ['a', 'b', 'a']
    responses = [client.get('/', headers={'authorization': it}) for it in people]
    assert [it.json() for it in responses] == people
    assert marks(*responses) == ['MISS', 'MISS', 'HIT']


def test_by_the_book_authorization_that_nothing_covers_is_not_stored_unless_the_answer_is_public():
    router, cache = caching_router(), FastAPICache(mode='rfc9111')

    @cache()
    @router.get('/{kind}')
    async def endpoint(kind: str):
        return Response(headers={'cache-control': 'public, max-age=60' if kind == 'public' else 'max-age=60'})

    client = client_of(router)
    authorized = {'authorization': 'Bearer x'}
    assert marks(*(client.get('/other', headers=authorized) for _ in range(2))) == [None, None]
    assert marks(*(client.get('/public', headers=authorized) for _ in range(2))) == ['MISS', 'HIT']


TENANT = ContextVar('tenant')


class Sets:
    """Middleware that sets a context variable, or a user."""

    def __init__(self, app, variable=None, user=None):
        self.app, self.variable, self.user = app, variable, user

    async def __call__(self, scope, receive, send):
        if self.variable is not None:
            self.variable.set(dict(scope['headers'])[b'authorization'].decode())
        if self.user is not None:
            scope['user'] = self.user
        await self.app(scope, receive, send)


def app_with(middleware=None, *, raw=False, **options):
    router, cache, app = caching_router(), memory_cache(**options), FastAPI()

    async def plain():
        return TENANT.get('nobody')

    async def of_request(request: Request):
        return request.url.path

    router.get('/')(cache(ttl=60)(of_request if raw else plain))
    app.include_router(router)
    return TestClient(app if middleware is None else Sets(app, **middleware))


PEOPLE = [{'authorization': it} for it in ('Bearer a', 'Bearer b')]


@pytest.mark.parametrize('raw', [False, True])
def test_a_client_that_always_sends_authorization_shares(raw):
    client = app_with(raw=raw)
    assert marks(*(client.get('/', headers=it) for it in [*PEOPLE, {}])) == ['MISS', 'HIT', 'HIT']


@pytest.mark.parametrize(
    ('middleware', 'expected'),
    [
        ({'user': SimpleUser('a')}, [None, None]),
        ({'user': UnauthenticatedUser()}, ['MISS', 'HIT']),
        ({'variable': TENANT}, [None, None]),
    ],
)
def test_a_client_that_middleware_may_have_named_does_not_share(middleware, expected, caplog):
    client = app_with(middleware)
    with caplog.at_level(logging.INFO, 'fastapi_caching_route'):
        responses = [client.get('/', headers=it) for it in PEOPLE]
    assert marks(*responses) == expected
    if 'variable' in middleware:
        assert [it.json() for it in responses] == ['Bearer a', 'Bearer b']
        assert len([it for it in caplog.records if "'tenant'" in it.getMessage()]) == 1


def test_explain_names_the_context_variables_that_middleware_was_seen_to_set():
    router, cache, app = caching_router(), memory_cache(), FastAPI()

    @router.get('/')
    @cache(ttl=60)
    async def plain():
        return TENANT.get('nobody')

    app.include_router(router)

    def warnings():
        (report,) = [it for it in cache.explain(app) if it.cached]
        return [it for it in report.warnings if "the context variable 'tenant'" in it]

    assert not warnings()
    client = TestClient(Sets(app, TENANT))
    for headers in PEOPLE:
        client.get('/', headers=headers)
    assert len(warnings()) == 1


def test_a_context_variable_that_names_no_person_can_be_listed():
    number = ContextVar('number')
    client = app_with({'variable': number}, harmless_context=[number])
    assert marks(*(client.get('/', headers=it) for it in PEOPLE)) == ['MISS', 'HIT']


KNOWN = [
    ('opentelemetry.context', '_RUNTIME_CONTEXT._current_context'),
    ('asgi_correlation_id.context', 'correlation_id'),
    ('asgi_correlation_id.context', 'celery_parent_id'),
    ('asgi_correlation_id.context', 'celery_current_id'),
    ('sniffio', 'current_async_library_cvar'),
    ('fastapi.routing', '_effective_route_context_var'),
]


@pytest.mark.parametrize(('module', 'name'), KNOWN)
def test_context_variables_of_libraries_that_name_no_person_are_known(module, name):
    first, *others = name.split('.')
    found = getattr(pytest.importorskip(module), first, None)
    if found is None:
        pytest.skip('other releases have it')
    variable = reduce(getattr, others, found)
    assert isinstance(variable, ContextVar)

    def run():
        variables = ContextVariables(())
        variable.set('1')
        assert variables.set_by_middleware() is None

    copy_context().run(run)


def test_the_precision_of_decimals_names_no_person():
    def run():
        variables = ContextVariables(())
        decimal.setcontext(decimal.Context(prec=7))
        assert variables.set_by_middleware() is None

    copy_context().run(run)


@pytest.mark.parametrize('name', ['_current_context', 'correlation_id', '_effective_route_context_var'])
def test_a_variable_of_the_users_counts_whatever_its_name(name):
    def run():
        variables = ContextVariables(())
        ContextVar(name).set('ann')
        assert variables.set_by_middleware() == name

    copy_context().run(run)


def test_a_context_variable_that_was_set_before_the_cache_was_built_names_nobody():
    def run():
        ContextVar('number').set('1')
        variables = ContextVariables(())
        assert variables.set_by_middleware() is None
        ContextVar('later').set('2')
        assert variables.set_by_middleware() == 'later'

    copy_context().run(run)


def test_a_context_variable_that_middleware_sets_to_something_else_than_before_counts():
    def responses():
        client = app_with({'variable': TENANT})
        return [client.get('/', headers=it) for it in PEOPLE]

    context = copy_context()
    context.run(TENANT.set, 'nobody')  # as code does when it is imported
    assert [it.json() for it in context.run(responses)] == ['Bearer a', 'Bearer b']


def test_harmless_context_takes_context_variables():
    with pytest.raises(ConfigurationError, match='harmless_context'):
        memory_cache(harmless_context=['tenant'])


def test_a_raw_request_that_reads_authorization_shares_with_equal_ones():
    router, cache = caching_router(), memory_cache()

    @cache(ttl=60)
    @router.get('/')
    async def endpoint(request: Request):
        return request.headers.get('authorization')

    client = client_of(router)
    responses = [client.get('/', headers=it) for it in [*PEOPLE, *PEOPLE]]
    assert [it.json() for it in responses] == ['Bearer a', 'Bearer b'] * 2
    assert marks(*responses) == ['MISS', 'MISS', 'HIT', 'HIT']
    assert responses[0].headers['vary'] == 'authorization'


def test_a_declared_authorization_is_part_of_the_key():
    router, cache = caching_router(), memory_cache()

    @cache(ttl=60)
    @router.get('/')
    async def endpoint(authorization: Annotated[str, Header()]):
        return authorization

    client = client_of(router)
    answers = [client.get('/', headers={'authorization': it}) for it in ('a', 'b', 'a')]
    assert [it.json() for it in answers] == ['a', 'b', 'a']
    assert marks(*answers) == ['MISS', 'MISS', 'HIT']
