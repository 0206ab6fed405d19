"""Guards run in several ways, and no client, guard or exception handler can tell which."""

import asyncio
import json
import os
from contextlib import suppress
from functools import partial, wraps
from typing import Annotated

import pytest
from fastapi import BackgroundTasks, Cookie, Depends, Header, Request, Response
from fastapi.security import HTTPBearer, SecurityScopes
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from fastapi_caching_route._fastapi import solving
from fastapi_caching_route._fastapi.solving import may_yield
from tests.fastapi.trees import RAISED, SCHEMES, Page, Tree, app_of, asked
from tests.fastapi.ways import WAYS, run_guards
from tests.support import FASTAPI, asgi_call, asgi_scope

EXAMPLES = int(os.environ.get('GUARD_EXAMPLES', '40'))
GOOD = [
    (b'x-key', b'k'),
    (b'x-part', b'1'),
    (b'x-more', b'a'),
    (b'x-more', b'b'),
    (b'cookie', b'cookie=a; key=b'),
    (b'authorization', b'Bearer token'),
]
LEFT_OUT = (None, b'x-key', b'x-part', b'cookie', b'authorization')
MORE = ([], [(b'if-none-match', b'*')], [(b'range', b'bytes=0-2')], [(b'x-part', b'odd')])
OURS = {b'age', b'cache-control', b'cache-status', b'etag', b'vary', b'x-cache', b'date', b'accept-ranges'}


@pytest.mark.parametrize('is_simple', [True, False])
def test_every_way_does_the_same_with_any_tree_of_dependencies(is_simple, monkeypatch):
    runs = []
    monkeypatch.setattr(solving, 'run', counted(solving.run, runs))

    @settings(deadline=None, max_examples=EXAMPLES, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(st.data())
    def is_the_same(data):
        tree = Tree(data.draw, is_simple=is_simple)
        guards = [tree.dependency() for _ in range(data.draw(st.integers(1, 3)))]
        overridden = data.draw(st.sampled_from([None, None, None, *tree.made]))
        ends = data.draw(st.sampled_from(['in', 'in', 'end']))
        raising = (data.draw(st.integers(1, max(tree.count, 1))), ends, data.draw(st.sampled_from(RAISED)))
        left_out, more = data.draw(st.sampled_from(LEFT_OUT)), data.draw(st.sampled_from(MORE))
        method = data.draw(st.sampled_from(['GET', 'GET', 'HEAD']))
        lesser = {'method': method, 'headers': [it for it in [*good_for(tree), *more] if it[0] != left_out]}
        found = [asyncio.run(seen_in(way, tree, guards, lesser, raising, overridden)) for way in WAYS]
        assert found[0] == found[1] == found[2]
        if FASTAPI < (0, 118):
            return  # there, the code behind a `yield` runs before the response starts, and on hits after it was sent
        plain = asyncio.run(seen_in(None, tree, guards, lesser, raising, overridden))
        assert [as_without_a_cache(*it) for it in found[0]] == [as_without_a_cache(*it) for it in plain]

    is_the_same()
    assert len(runs) > (20 if is_simple else -1)


def good_for(tree):
    return [it for it in GOOD if it[0] != b'authorization' or not tree.has_one_key]


def counted(run, runs):
    async def counting(*given):
        runs.append(given)
        return await run(*given)

    return counting


def as_without_a_cache(messages, error, log):
    """What is the same without a cache: everything but the endpoint's run, its body, and what a cache says of it."""
    done = [it for it in log if it != 'endpoint']
    if not messages:
        return None, error, done
    status, headers = messages[0]['status'], messages[0]['headers']
    is_good = status in {200, 206, 304}
    ours = {*OURS, *((b'content-type', b'content-length', b'content-range') if is_good else ())}
    body = None if is_good else messages[1]['body']
    return (200 if is_good else status, [it for it in headers if it[0] not in ours], body), error, done


async def seen_in(way, tree, guards, lesser, raising, overridden):
    """What clients see and guards do: a miss, a hit, another request, one that is refused, and one with an override."""
    with pytest.MonkeyPatch.context() as patched:
        if way is not None:
            run_guards(way, patched)
        app = app_of(tree, guards, is_cached=way is not None)
        scope = asgi_scope(path='/items', query=b'page=1&key=k&size=2', headers=good_for(tree))
        tree.raising = None
        seen = [await asked(app, tree, dict(scope)) for _ in range(2)]
        seen.append(await asked(app, tree, scope | lesser))
        tree.raising = raising
        seen.append(await asked(app, tree, dict(scope)))
        if overridden is not None:
            app.dependency_overrides[overridden] = lambda: 'overriding'
        return [*seen, await asked(app, tree, dict(scope))]


@pytest.fixture(params=WAYS)
def way(request, monkeypatch):
    run_guards(request.param, monkeypatch)
    return request.param


async def steps_of_a_hit(guards, headers=GOOD, *, of_scope=None, overrides=None):
    """The ways in which guards run on a hit."""
    with pytest.MonkeyPatch.context() as patched:
        ways = []
        tree = Tree(None)
        app = app_of(tree, guards)
        if overrides:
            app.dependency_overrides.update(overrides)
        scope = asgi_scope(path='/items', query=b'page=1&key=k', headers=headers) | (of_scope or {})
        await asgi_call(app, dict(scope))
        run, solve = solving.run, solving.Solving._solve

        def steps(*given):
            ways.append('steps')
            return run(*given)

        def solved(*given):
            ways.append('solve_dependencies')
            return solve(*given)

        patched.setattr(solving, 'run', steps)
        patched.setattr(solving.Solving, '_solve', solved)
        answer = await asgi_call(app, dict(scope))
        assert dict(answer[0]['headers']).get(b'x-cache') == b'HIT', answer
        return ways or ['handler']


async def by_parameters(x_part: Annotated[int, Header()], page: int = 1):
    return page


async def by_token(token: Annotated[str, Depends(SCHEMES[4])], part: Annotated[int, Depends(by_parameters)]):
    return token


async def by_request(request: Request):
    return request


def by_response(response: Response):
    response.headers['x-by'] = 'guard'


async def by_tasks(tasks: BackgroundTasks):
    tasks.add_task(lambda: None)


async def by_scopes(scopes: SecurityScopes):
    return scopes


async def by_yield():
    yield


@wraps(by_parameters)
def by_wrapper(**given):
    return by_parameters(**given)  # FastAPI awaits it, since the function inside is a coroutine function


class Awaited:
    """An object that is a dependency."""

    async def __call__(self):
        pass


async def twice(one: Annotated[int, Depends(by_parameters)]):
    return one


@pytest.mark.parametrize(
    ('guards', 'way'),
    [
        pytest.param([by_parameters], 'steps', id='parameters'),
        pytest.param([SCHEMES[0], by_token], 'steps', id='schemes and functions'),
        pytest.param([by_request], 'steps', id='the raw request'),
        pytest.param([by_scopes], 'solve_dependencies', id='security scopes'),
        pytest.param([by_parameters, twice], 'solve_dependencies', id='one function twice'),
        pytest.param([by_response], 'solve_dependencies', id='the response'),
        pytest.param([by_tasks], 'solve_dependencies', id='tasks'),
        pytest.param([by_yield], 'steps' if FASTAPI >= (0, 118) else 'handler', id='yield'),
        pytest.param([by_wrapper], 'solve_dependencies', id='a function around another'),
        pytest.param([Awaited()], 'solve_dependencies', id='an object'),
    ],
)
async def test_each_tree_runs_in_the_first_way_that_covers_it(guards, way):
    assert await steps_of_a_hit([Depends(it) for it in guards]) == [way]


async def by_cookie(cookie: Annotated[str, Cookie()]):
    return cookie


@pytest.mark.parametrize('others', [[], [Depends(by_request)]], ids=['at once', 'inside of the stacks'])
async def test_a_refusal_says_all_that_is_not_valid_for_any_guard(others, way):
    tree = Tree(None)
    tree.has_one_key = True
    app = app_of(tree, [Depends(by_parameters), Depends(by_cookie), *others])
    for found in (b'MISS', b'HIT'):
        answer = await asgi_call(app, asgi_scope(path='/items', headers=good_for(tree)))
        assert dict(answer[0]['headers'])[b'x-cache'] == found
    messages, _, _ = await asked(app, tree, asgi_scope(path='/items', query=b'page=odd'))
    errors = json.loads(messages[1]['body'])['errors']
    assert [it['loc'] for it in errors] == [['query', 'page'], ['header', 'x-part'], ['cookie', 'cookie']]


async def test_guards_that_write_headers_share_values_and_background_tasks(way):
    ran = []

    async def shared():
        ran.append('shared')

    async def first(response: Response, tasks: BackgroundTasks, value: Annotated[None, Depends(shared)]):
        response.headers['x-first'] = '1'
        tasks.add_task(ran.append, 'task of first')

    async def second(response: Response, tasks: BackgroundTasks, value: Annotated[None, Depends(shared)]):
        response.headers['x-second'] = response.headers['x-first']
        tasks.add_task(ran.append, 'task of second')

    app = app_of(Tree(None), [Depends(first), Depends(second)])
    for found in (b'MISS', b'HIT'):
        ran.clear()
        answer = await asgi_call(app, asgi_scope(path='/items'))
        headers = dict(answer[0]['headers'])
        assert (headers[b'x-cache'], headers[b'x-first'], headers[b'x-second']) == (found, b'1', b'1')
        assert ran == ['shared', 'task of first', 'task of second']


async def test_a_class_of_the_user_for_a_scheme_is_called_once(way):
    calls = []

    class OfTheUser(HTTPBearer):
        auto_error = property(lambda self: bool(calls.append(1)), lambda self, value: None)

    scheme = OfTheUser()

    async def guard(token: Annotated[object, Depends(scheme)]):
        return token

    app = app_of(Tree(None), [Depends(scheme), Depends(guard)])
    for found in (b'MISS', b'HIT'):
        calls.clear()
        answer = await asgi_call(app, asgi_scope(path='/items'))
        assert dict(answer[0]['headers'])[b'x-cache'] == found
        assert calls == [1]


async def test_what_observes_a_request_gets_the_request_handler():
    guards = [Depends(by_parameters), Depends(by_response)]
    assert await steps_of_a_hit(guards, of_scope={'fastapi.telemetry': object()}) == ['handler']
    assert await steps_of_a_hit(guards[:1], of_scope={'fastapi.telemetry': object()}) == ['handler']


async def test_an_instrumentation_of_solve_dependencies_sees_every_guard_but_schemes(monkeypatch):
    seen, solve = [], solving._module.solve_dependencies

    async def instrumented(**given):
        seen.append(given['dependant'])
        return await solve(**given)

    monkeypatch.setattr(solving._module, 'solve_dependencies', instrumented)
    assert await steps_of_a_hit([Depends(by_parameters)]) == ['solve_dependencies']
    assert len(seen) == 2  # the miss and the hit


async def test_guards_leave_nothing_in_the_scope_of_a_hit():
    app = app_of(Tree(None), [Depends(by_parameters), Depends(by_scopes)])
    scope = asgi_scope(path='/items', headers=GOOD)
    await asgi_call(app, dict(scope))
    await asgi_call(app, scope)
    assert not {'fastapi_inner_astack', 'fastapi_function_astack'} & scope.keys()


async def test_a_cancelled_guard_is_cancelled_and_sends_nothing(way):
    waiting, ended = asyncio.Event(), []
    is_first = [True]

    async def guard():
        if is_first:
            return
        waiting.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(1)

    app, sent = app_of(Tree(None), [Depends(guard)]), []
    await asgi_call(app, asgi_scope(path='/items'))
    is_first.clear()

    async def send(message):
        sent.append(message)

    task = asyncio.ensure_future(app(asgi_scope(path='/items'), None, send))
    await waiting.wait()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert (task.cancelled(), ended, sent) == (True, [1], [])


class Yielding:
    """An object whose call is a generator."""

    async def __call__(self):
        yield


def wrapped(call):
    @wraps(call)
    def inside():
        return call()

    return inside


@pytest.mark.parametrize(
    ('call', 'expected'),
    [
        (by_yield, True),
        (Yielding(), True),
        (partial(by_yield), True),
        (wrapped(by_yield), True),
        (wrapped(partial(Yielding())), True),
        (by_parameters, False),
        (SCHEMES[0], False),
        (Page, False),
        (int, False),
    ],
)
def test_what_may_be_a_generator_is_taken_for_one(call, expected):
    assert may_yield(call) is expected
