"""Guards run in several ways, and no client, guard or exception handler can tell which."""

import asyncio
import threading
from contextlib import suppress
from contextvars import ContextVar
from functools import partial, wraps
from typing import Annotated

import pytest
from fastapi import (
    APIRouter,
    BackgroundTasks,
    Cookie,
    Depends,
    FastAPI,
    Header,
    HTTPException,
    Query,
    Request,
    Response,
    Security,
)
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.security import APIKeyCookie, APIKeyHeader, APIKeyQuery, HTTPBasic, OAuth2PasswordBearer, SecurityScopes
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from fastapi_caching_route import CachingRoute, FastAPICache
from fastapi_caching_route._fastapi import solving
from fastapi_caching_route._fastapi.solving import may_yield
from tests.fastapi.ways import WAYS, run_guards
from tests.support import FASTAPI, Clock, asgi_call, asgi_scope

current = ContextVar('current', default='')
SCHEMES = (
    *(APIKeyHeader(name='x-key'), APIKeyHeader(name='x-key', auto_error=False), APIKeyQuery(name='key')),
    *(APIKeyCookie(name='key', auto_error=False), OAuth2PasswordBearer('token'), HTTPBasic(auto_error=False)),
)


class RefusedError(Exception):
    """Turned into a response by a handler of the app."""


class UnhandledError(Exception):
    """Turned into a response by nobody."""


RAISED = (lambda: HTTPException(403, 'no', {'x-why': 'no'}), RefusedError, UnhandledError, lambda: ValueError('odd'))


class Page(BaseModel):
    """A model of parameters."""

    size: int = 1


class Tree:
    """What guards do, as they are drawn, and what they have done."""

    def __init__(self, draw):
        self.draw = draw
        self.log = []
        self.raising = None
        self.count = 0
        self.made = []

    def dependency(self, depth=2):
        """A dependency, with others below it: `Depends(...)` or `Security(...)`."""
        kinds = ['scheme', 'async', 'async', 'sync', 'yield', 'sync yield', 'class', 'object', 'partial', 'again']
        kind = self.draw(st.sampled_from(kinds))
        if kind == 'scheme':
            call = self.draw(st.sampled_from(SCHEMES))
        elif kind == 'again' and self.made:
            call = self.draw(st.sampled_from(self.made))
        else:
            call = self.function(kind, depth)
            self.made.append(call)
        use_cache = self.draw(st.sampled_from([True, True, True, False]))
        if self.draw(st.booleans()):
            return Security(
                call, scopes=self.draw(st.sampled_from([[], ['read'], ['read', 'all']])), use_cache=use_cache
            )
        return Depends(call, use_cache=use_cache)

    def function(self, kind, depth):
        """A function that notes what it gets, and raises if it is the one that is to."""
        self.count += 1
        number = self.count
        below = [self.dependency(depth - 1) for _ in range(self.draw(st.integers(0, 2)))] if depth else []
        taken = self.draw(st.lists(st.sampled_from(sorted(TAKEN)), max_size=2, unique=True))
        annotations = {f'below{at}': Annotated[object, it] for at, it in enumerate(below)}
        annotations |= {name: TAKEN[name] for name in taken}

        def note(given):
            self.log.append((number, current.get(), {name: shown(it) for name, it in sorted(given.items())}))
            current.set(f'{current.get()}{number}' if kind not in THREADS else current.get())
            if isinstance(given.get('response'), Response):
                given['response'].headers[f'x-{number % 2}'] = str(number)
                given['response'].headers.append('x-all', str(number))
            if isinstance(given.get('tasks'), BackgroundTasks):
                given['tasks'].add_task(self.log.append, ('task', number))
            self.may_raise(number, 'in')

        def end(error):
            self.log.append(('end', number, type(error).__name__))
            self.may_raise(number, 'end')

        return declared(made(kind, note, end), annotations)

    def may_raise(self, number, place):
        """Raise what this dependency is to raise in this place, if it is to."""
        if self.raising is not None and self.raising[:2] == (number, place):
            error = self.raising[2]()
            raise error


THREADS = ('sync', 'sync yield', 'class', 'partial')
TAKEN = {
    'request': Request,
    'response': Response,
    'tasks': BackgroundTasks,
    'scopes': SecurityScopes,
    'x_part': Annotated[int, Header()],
    'x_more': Annotated[list[str] | None, Header()],
    'page': Annotated[int, Query()],
    'size': Annotated[Page, Depends(Page)],
    'cookie': Annotated[str, Cookie()],
}


def shown(value):
    """A value as any process shows it."""
    if isinstance(value, Request | Response | BackgroundTasks):
        return type(value).__name__
    return value.scopes if isinstance(value, SecurityScopes) else str(value)


def made(kind, note, end):
    """A dependency of this kind."""

    async def asynchronous(**given):
        await asyncio.sleep(0)
        note(given)
        return 'async'

    def synchronous(**given):
        assert threading.current_thread() is not threading.main_thread()
        note(given)
        return 'sync'

    async def asynchronous_yield(**given):
        note(given)
        try:
            yield 'yielded'
        except BaseException as error:
            end(error)
            raise
        else:
            end(None)

    def synchronous_yield(**given):
        note(given)
        try:
            yield 'yielded'
        except BaseException as error:
            end(error)
            raise
        else:
            end(None)

    class Made:
        def __init__(self, **given):
            note(given)

        def __str__(self):
            return 'made'

    class Called:
        async def __call__(self, **given):
            note(given)
            return 'called'

    others = {'sync': synchronous, 'yield': asynchronous_yield, 'sync yield': synchronous_yield, 'class': Made}
    others |= {'object': Called(), 'partial': partial(synchronous)}
    return others.get(kind, asynchronous)


def declared(call, annotations):
    """The dependency with a signature in place of `**given`."""
    from inspect import Parameter, Signature  # noqa: PLC0415

    parameters = [Parameter(name, Parameter.KEYWORD_ONLY, annotation=it) for name, it in annotations.items()]
    target = type(call) if type(call).__name__ == 'Called' else call
    signature = Signature(parameters)
    if target is not call:
        signature = Signature([Parameter('self', Parameter.POSITIONAL_ONLY), *parameters])
        type(call).__call__.__signature__ = signature
        return call
    call.__signature__ = signature
    return call


def app_of(tree, guards):
    """An app with a cached route behind these guards, one of which may also be an explicit dependency."""
    app, router, cache = FastAPI(), APIRouter(route_class=CachingRoute), FastAPICache(clock=Clock())

    @app.exception_handler(RefusedError)
    async def refused(request, error):
        return JSONResponse({'refused': request.url.path, 'body': (await request.body()).decode()}, 418)

    @app.exception_handler(ValueError)
    def odd(request, error):
        assert threading.current_thread() is not threading.main_thread()
        return JSONResponse({'odd': str(error)}, 400)

    @app.exception_handler(RequestValidationError)
    async def invalid(request, error):
        errors = [{**it, 'ctx': str(it.get('ctx'))} for it in error.errors()]
        return JSONResponse({'errors': errors, 'body': error.body, 'number': len(errors)}, 422)

    @router.api_route('/items', methods=['GET', 'HEAD'], dependencies=guards)
    @cache(ttl=60, identity='shared')
    async def endpoint():
        tree.log.append('endpoint')
        return {'id': 1}

    app.include_router(router)
    return app


async def asked(app, tree, scope):
    """What a client gets, and what guards have done."""
    tree.log.clear()
    current.set('')
    sent = []

    async def send(message):
        tree.log.append(message['type'])
        sent.append(message)

    async def receive():
        return {'type': 'http.request', 'body': b'body', 'more_body': False}

    error = None
    try:
        await asyncio.create_task(app(scope, receive, send))
    except Exception as raised:  # noqa: BLE001, it is compared
        error = type(raised).__name__
    messages = [{**it, 'headers': sorted(it['headers'])} if 'headers' in it else it for it in sent]
    return messages, error, list(tree.log)


GOOD = [
    (b'x-key', b'k'),
    (b'x-part', b'1'),
    (b'x-more', b'a'),
    (b'x-more', b'b'),
    (b'cookie', b'cookie=a; key=b'),
    (b'authorization', b'Bearer token'),
]
MORE = ([], [(b'if-none-match', b'*')], [(b'range', b'bytes=0-2')], [(b'x-part', b'odd')])
LEFT_OUT = (None, b'x-key', b'x-part', b'cookie', b'authorization')


@settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_every_way_does_the_same_with_any_tree_of_dependencies(data):
    tree = Tree(data.draw)
    guards = [tree.dependency() for _ in range(data.draw(st.integers(1, 3)))]
    overridden = data.draw(st.sampled_from([None, None, None, *tree.made]))
    ends = data.draw(st.sampled_from(['in', 'in', 'end']))
    raising = (data.draw(st.integers(1, max(tree.count, 1))), ends, data.draw(st.sampled_from(RAISED)))
    left_out = data.draw(st.sampled_from(LEFT_OUT))
    method = data.draw(st.sampled_from(['GET', 'GET', 'HEAD']))
    more = data.draw(
        st.sampled_from([[], [(b'if-none-match', b'*')], [(b'range', b'bytes=0-2')], [(b'x-part', b'odd')]])
    )
    lesser = {'method': method, 'headers': [it for it in [*GOOD, *more] if it[0] != left_out]}
    found = [asyncio.run(seen_in(way, tree, guards, lesser, raising, overridden)) for way in WAYS]
    assert found[0] == found[1] == found[2]


async def seen_in(way, tree, guards, lesser, raising, overridden):
    """What clients see and guards do: a miss, a hit, another request, one that is refused, and one with an override."""
    with pytest.MonkeyPatch.context() as patched:
        run_guards(way, patched)
        app, scope = app_of(tree, guards), asgi_scope(path='/items', query=b'page=1&key=k&size=2', headers=GOOD)
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
        pytest.param([by_yield], 'solve_dependencies' if FASTAPI >= (0, 118) else 'handler', id='yield'),
        pytest.param([Awaited()], 'solve_dependencies', id='an object'),
    ],
)
async def test_each_tree_runs_in_the_first_way_that_covers_it(guards, way):
    assert await steps_of_a_hit([Depends(it) for it in guards]) == [way]


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
