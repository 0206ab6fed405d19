"""The headers that guards, others and the endpoint write: a miss and a hit have those of the uncached route."""

import asyncio
import os
import pprint
from collections import Counter
from typing import Annotated, Any

import pytest
from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException, Request, Response, Security
from fastapi.security import APIKeyHeader
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from fastapi_caching_route import FastAPICache
from fastapi_caching_route._core.entry import Entry
from fastapi_caching_route._core.written import Made
from fastapi_caching_route._http.fields import lines
from fastapi_caching_route._store.wire import decode, encode
from tests.backends.fakes import Elsewhere
from tests.promises.attacks import key_header
from tests.support import asgi_call, asgi_scope, caching_router, client_of, marks, memory_cache

EXAMPLES = int(os.environ.get('EQUIVALENCE_EXAMPLES', '150'))
NAMES = ('x-plan', 'link', 'server-timing')
OURS = {'age', 'cache-status', 'content-length', 'etag', 'vary', 'x-cache'}

writes = st.tuples(
    st.sampled_from(['set', 'append', 'append', 'delete', 'default', 'raw', 'all']),
    st.sampled_from(NAMES),
    st.sampled_from(['a', 'b', 'tenant']),
    st.sampled_from([None, None, 't1', 't2']),
)
programs = st.lists(writes, max_size=3)


def run(program, response, tenant):
    """Write on the response; some writes are for one tenant only, and some write its name."""
    for kind, name, value, only_for in program:
        said = tenant if value == 'tenant' else value
        if only_for not in {None, tenant}:
            continue
        if kind == 'set':
            response.headers[name] = said
        elif kind == 'append':
            response.headers.append(name, said)
        elif kind == 'default':
            response.headers.setdefault(name, said)
        elif kind == 'raw':
            response.raw_headers.append((name.encode(), said.encode()))
        elif kind == 'all':
            response.headers.update({name: said, 'x-other': said})
        else:
            del response.headers[name]


def written(messages_or_response):
    """The lines that are not the cache's own, in order."""
    found = messages_or_response[0]['headers']
    return [(name.decode(), value.decode()) for name, value in found if name.decode() not in OURS]


tenant_key = APIKeyHeader(name='x-tenant')


def dependency(program, kind):
    """A guard (by its scheme, if it has a name), or another dependency, which writes the same for all clients."""
    if kind == 'guard':

        def depends(response: Response, tenant: Annotated[str, Security(tenant_key)]) -> str:
            run(program, response, tenant)
            return ''

    else:

        def depends(response: Response) -> str:
            run(program, response, 'all')
            return ''

    return depends


def app_of(cache, unnamed, explicit, named, endpoint_program, returns, builder):
    cached: Any = {'identity': 'shared', 'dependencies': [Depends(dependency(it, 'guard')) for it in explicit]}
    if builder:
        cached = {'dependencies': cached['dependencies'], 'key_builder': lambda request: 'one'}
    router = caching_router()

    async def endpoint(response, runs):
        runs.append(1)
        run(endpoint_program, response, 'all')
        if returns == 'own':
            return Response('1', headers={'link': 'own'})
        if returns == 'injected':
            response.status_code = 200
            return response
        return 1

    first, second = (Depends(dependency(program, kind)) for program, kind in named)
    runs: list[int] = []

    @router.get('/', dependencies=[Depends(dependency(it, 'guard')) for it in unnamed])
    @cache(ttl=60, **cached)
    async def get(response: Response, one: str = first, two: str = second):
        return await endpoint(response, runs)

    app = FastAPI(openapi_url=None)
    app.include_router(router)
    return app, runs


kinds = st.sampled_from(['guard', 'other'])
counts: Counter[str] = Counter()


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
)
@given(
    unnamed=st.lists(programs, max_size=2),
    explicit=st.lists(programs, max_size=1),
    named=st.tuples(st.tuples(programs, kinds), st.tuples(programs, kinds)),
    endpoint_program=programs,
    returns=st.sampled_from(['value', 'value', 'value', 'own', 'injected']),
    builder=st.booleans(),
)
def compare_with_the_uncached_route(unnamed, explicit, named, endpoint_program, returns, builder):
    cache = memory_cache()
    app, runs = app_of(cache, unnamed, explicit, named, endpoint_program, returns, builder)

    async def of(tenant):
        sent = await asgi_call(app, asgi_scope(headers=[(b'x-tenant', tenant.encode())]))
        assert sent[0]['status'] == 200
        return written(sent), dict(sent[0]['headers']).get(b'x-cache')

    async def compare():
        for tenant in ('t1', 't2', 't1'):
            with cache.disabled():
                want, _ = await of(tenant)
            ran = len(runs)
            found, mark = await of(tenant)
            counts[str(mark)] += 1
            assert found == want, pprint.pformat(
                (mark, found, want, unnamed, explicit, named, endpoint_program, returns, builder)
            )
            assert len(runs) == ran + (mark != b'HIT')

    asyncio.run(compare())


def test_a_miss_and_a_hit_have_the_headers_of_the_uncached_route_in_number_and_order():
    compare_with_the_uncached_route()
    assert counts["b'MISS'"] >= 100
    assert counts["b'HIT'"] >= 200


def writes_plan(value):
    def depends(response: Response) -> str:
        response.headers['x-plan'] = value
        return value

    return depends


def removes_plan(response: Response) -> None:
    if 'x-plan' in response.headers:
        del response.headers['x-plan']


def appends_link(value):
    def depends(response: Response) -> None:
        response.headers.append('link', value)

    return depends


free, gold = Depends(writes_plan('free')), Depends(writes_plan('gold'))


@pytest.mark.parametrize(
    ('dependencies', 'plan'),
    [([free], ['free']), ([free, gold], ['gold']), ([gold, free], ['free']), ([free, Depends(removes_plan)], [])],
    ids=['one', 'two', 'two the other way round', 'removed'],
)
def test_what_a_later_guard_has_overwritten_or_removed_is_not_sent(dependencies, plan):
    router, cache, runs = caching_router(), memory_cache(), []

    @router.get('/', dependencies=dependencies)
    @cache(ttl=60)
    async def endpoint():
        runs.append(1)
        return 1

    client = client_of(router)
    answers = [client.get('/') for _ in range(2)]
    assert marks(*answers) == ['MISS', 'HIT']
    assert [it.headers.get_list('x-plan') for it in answers] == [plan, plan]
    assert len(runs) == 1


def test_lines_that_guards_dependencies_and_endpoint_append_are_all_there_in_order():
    router, cache, runs = caching_router(), memory_cache(), []

    @router.get('/', dependencies=[Depends(appends_link('<guard>'))])
    @cache(ttl=60, dependencies=[Depends(appends_link('<explicit>'))])
    async def endpoint(response: Response, it: Annotated[None, Depends(appends_link('<named>'))]):
        runs.append(1)
        response.headers.append('link', '<endpoint>')
        return 1

    client = client_of(router)
    with cache.disabled():
        uncached = client.get('/').headers.get_list('link')
    answers = [client.get('/') for _ in range(3)]
    assert marks(*answers) == ['MISS', 'HIT', 'HIT']
    assert uncached == ['<explicit>', '<guard>', '<named>', '<endpoint>']
    assert [it.headers.get_list('link') for it in answers] == [uncached] * 3
    assert len(runs) == 2


@pytest.mark.parametrize('options', [{}, {'skip': lambda request: False}], ids=['at once', 'in an exchange'])
@pytest.mark.parametrize('declared', ['max-age=30', None])
def test_cache_control_is_sent_once_with_the_words_of_a_guard_where_it_has_some(declared, options):
    router, cache = caching_router(), memory_cache()

    def guard(response: Response) -> None:
        if declared:
            response.headers['cache-control'] = declared

    @router.get('/', dependencies=[Depends(guard)])
    @cache(ttl=600, cache_control='public, max-age=60', **options)
    async def endpoint():
        return 1

    client = client_of(router)
    answers = [client.get('/') for _ in range(2)]
    answers.append(client.get('/', headers={'if-none-match': answers[0].headers['etag']}))
    assert [it.status_code for it in answers] == [200, 200, 304]
    assert [it.headers.get_list('cache-control') for it in answers] == [[declared or 'public, max-age=60']] * 3


async def test_a_follower_gets_the_headers_of_its_own_guards_among_those_of_the_others():
    router, cache = caching_router(), memory_cache()
    gate = asyncio.Event()

    async def guard(request: Request, response: Response) -> None:
        response.headers.append('link', request.headers['x-who'])

    @router.get('/', dependencies=[Depends(guard)])
    @cache(ttl=60, identity='shared')
    async def endpoint(response: Response):
        response.headers.append('link', 'all')
        await gate.wait()
        return 1

    app = FastAPI()
    app.include_router(router)
    asked = [asyncio.create_task(asgi_call(app, asgi_scope(headers=[(b'x-who', it)]))) for it in (b'ann', b'bob')]
    await asyncio.sleep(0.05)
    gate.set()
    found = [lines(sent[0]['headers'], b'link') for sent in await asyncio.gather(*asked)]
    assert found == [[b'ann', b'all'], [b'bob', b'all']]


def test_a_header_that_is_not_stored_does_not_come_back_beside_the_line_of_a_guard():
    router, cache = caching_router(), memory_cache()

    def guard(response: Response) -> None:
        response.headers.append('x-user', 'of the guard')

    @router.get('/', dependencies=[Depends(guard)])
    @cache(ttl=60)
    async def endpoint(response: Response):
        response.headers.append('x-user', 'ann')
        response.headers['cache-control'] = 'private="x-user"'
        return 1

    client = client_of(router)
    client.get('/')
    hit = client.get('/')
    assert marks(hit) == ['HIT']
    assert hit.headers.get_list('x-user') == ['of the guard']


@pytest.mark.parametrize('backend', ['memory', 'outside'])
def test_what_others_write_is_stored_in_memory_and_outside(backend):
    router = caching_router()
    cache = memory_cache() if backend == 'memory' else FastAPICache(Elsewhere())

    @router.get('/', dependencies=[Depends(appends_link('<guard>'))])
    @cache(ttl=60)
    async def endpoint(response: Response):
        response.headers.append('link', '<endpoint>')
        return 1

    with client_of(router) as client:
        answers = [client.get('/') for _ in range(2)]
    assert marks(*answers) == ['MISS', 'HIT']
    assert [it.headers.get_list('link') for it in answers] == [['<guard>', '<endpoint>']] * 2


def test_the_endpoint_sees_on_its_response_what_dependencies_have_written_and_nothing_else():
    router, cache, seen = caching_router(), memory_cache(), []

    @router.get('/', dependencies=[free])
    @cache(ttl=60)
    async def endpoint(response: Response):
        seen.append((response.headers.items(), list(response.raw_headers), response.status_code))
        return 1

    client_of(router).get('/')
    assert seen == [([('x-plan', 'free')], [(b'x-plan', b'free')], None)]


class OwnTasks(BackgroundTasks):
    """Background tasks that an endpoint gives its own response."""


@pytest.mark.parametrize('returns', ['value', 'response', 'response with tasks', 'exception'])
@pytest.mark.parametrize('early', [False, True])
def test_background_tasks_of_guards_run_where_they_do_on_the_uncached_route(returns, early):
    router, cache, ran = caching_router(), memory_cache(), []

    def guard(tasks: BackgroundTasks) -> None:
        tasks.add_task(ran.append, 'guard')

    def explicit(tasks: BackgroundTasks) -> None:
        tasks.add_task(ran.append, 'explicit')

    options: Any = {'key_builder': lambda request: 'one'} if early else {}

    @router.get('/', dependencies=[Depends(guard)])
    @cache(ttl=60, status_ttl={404: 60}, dependencies=[Depends(explicit)], **options)
    async def endpoint():
        if returns == 'value':
            return 1
        if returns == 'exception':
            raise HTTPException(404)
        return Response('1', background=OwnTasks() if returns == 'response with tasks' else None)

    client = client_of(router)
    with cache.disabled():
        client.get('/')
    uncached = sorted(ran)
    assert bool(uncached) is (returns in {'value', 'response'})
    for mark in ('MISS', 'HIT'):
        ran.clear()
        assert marks(client.get('/')) == [mark]
        assert sorted(ran) == uncached


def test_a_write_that_was_planted_in_the_store_cannot_break_a_response():
    def stored(name, value):
        made = Made(by_others=((('append', name, value),),))
        return decode(encode(Entry('key', 200, (), b'', stored_at=0.0, lifetime=1.0, made=made)))

    assert stored(b'link', b'<a>') is not None
    assert stored(b'link', b'a\r\nset-cookie: a=b') is None
    assert stored(b'li:nk', b'a') is None


def test_a_field_that_a_guard_has_set_for_one_client_is_not_shown_to_another():
    def guard(response: Response, key: Annotated[str, Security(key_header)]):
        response.headers['x-both'] = 'guard'
        if key == 'admin':
            response.headers['x-admin'] = 'root'

    def named(response: Response):
        response.headers['x-named'] = 'kept'

    router, cache, plain = caching_router(dependencies=[Depends(guard)]), memory_cache(), FastAPI()

    async def endpoint(response: Response, it: Annotated[None, Depends(named)]):
        response.headers['x-both'] = 'endpoint'
        return 'answer'

    router.get('/')(cache(ttl=60, identity='shared')(endpoint))
    plain.get('/', dependencies=[Depends(guard)])(endpoint)
    client = client_of(router)
    for person in ('admin', 'bob', 'admin'):
        response, expected = (it.get('/', headers={'x-key': person}) for it in (client, TestClient(plain)))
        for name in ('x-admin', 'x-both', 'x-named'):
            assert response.headers.get_list(name) == expected.headers.get_list(name)
    assert marks(response) == ['HIT']


def test_a_304_does_not_put_the_field_of_a_guard_in_place_of_the_endpoints():
    def guard(response: Response):
        response.headers['content-security-policy'] = "default-src 'none'"

    router, cache = caching_router(dependencies=[Depends(guard)]), memory_cache()

    @cache(ttl=60)
    @router.get('/')
    async def endpoint(response: Response):
        response.headers['content-security-policy'] = "default-src 'self'"
        return 'answer'

    client = client_of(router)
    tag = client.get('/').headers['etag']
    unchanged = client.get('/', headers={'if-none-match': tag})
    assert unchanged.status_code == 304
    assert "'none'" not in unchanged.headers.get('content-security-policy', '')
