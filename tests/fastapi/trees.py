"""Trees of dependencies as they are drawn, which note what they get and do, and apps with routes behind them.

The functions are made of source, so that they are like those of users: they have no `__signature__` and no other marks.
"""

import asyncio
import threading
from contextvars import ContextVar
from functools import partial
from typing import Annotated

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
from hypothesis import strategies as st
from pydantic import BaseModel
from starlette.requests import HTTPConnection

from fastapi_caching_route import CachingRoute, FastAPICache
from tests.support import FASTAPI, Clock

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


SIMPLE = {
    'request': Request,
    'connection': HTTPConnection,
    'x_part': Annotated[int, Header()],
    'x_more': Annotated[list[str] | None, Header()],
    'x_as_is': Annotated[str | None, Header(convert_underscores=False)],
    'aliased': Annotated[int, Query(alias='page', ge=1)],
    'page': Annotated[int, Query()],
    'several': Annotated[list[int], Query(default_factory=list)],
    'cookie': Annotated[str, Cookie()],
}
TAKEN = SIMPLE | {
    'response': Response,
    'tasks': BackgroundTasks,
    'scopes': SecurityScopes,
    'size': Annotated[Page, Depends(Page)],
}
SIMPLE_KINDS = ('scheme', 'async', 'async', 'sync', *(('yield', 'sync yield') if FASTAPI >= (0, 118) else ()))
KINDS = ('scheme', 'async', 'async', 'sync', 'yield', 'sync yield', 'class', 'object', 'method', 'partial', 'again')
THREADS = ('sync', 'sync yield', 'class', 'partial')
SOURCES = {
    'async': 'async def made({parameters}):\n await sleep(0)\n note({given})\n return "async"',
    'sync': 'def made({parameters}):\n assert_in_thread()\n note({given})\n return "sync"',
    'yield': """
async def made({parameters}):
    note({given})
    try:
        yield 'yielded'
    except BaseException as error:
        end(error)
        raise
    else:
        end(None)
""",
    'class': """
class made:
    def __init__(self, {parameters}):
        note({given})
    def __str__(self):
        return 'made'
""",
    'object': """
class Called:
    async def __call__(self, {parameters}):
        note({given})
        return 'called'
made = Called()
""",
    'method': """
class Bound:
    async def method(self, {parameters}):
        note({given})
        return 'bound'
made = Bound().method
""",
}
SOURCES['sync yield'] = SOURCES['yield'].replace('async def', 'def')
SOURCES['partial'] = SOURCES['sync']


class Tree:
    """What guards do, as they are drawn, and what they have done."""

    def __init__(self, draw, *, is_simple=False):
        """Draw simple dependencies alone, if `is_simple`: each is used once, and needs nothing that lasts."""
        self.draw = draw
        self.is_simple = is_simple
        self.has_one_key = draw is not None and draw(st.sampled_from([True, True, False]))
        """Whether all requests have the same key, so that a request that is not valid is a hit too."""
        self.log = []
        self.raising = None
        self.count = 0
        self.made = []
        self.generators = []
        may_draw = draw is not None and FASTAPI >= (0, 121)
        self.scope = draw(st.sampled_from([None, 'function', 'request'])) if may_draw else None
        """Of all generators: one of the request cannot depend on one of the function."""
        self.schemes = list(SCHEMES[:4] if self.has_one_key else SCHEMES)  # such keys store nothing of an Authorization

    def dependency(self, depth=2):
        """A dependency, with others below it: `Depends(...)` or `Security(...)`."""
        kind = self.draw(st.sampled_from(SIMPLE_KINDS if self.is_simple else KINDS))
        if kind == 'scheme' and self.schemes:
            call = self.draw(st.sampled_from(self.schemes))
            if self.is_simple:
                self.schemes.remove(call)
        elif kind == 'again' and self.made:
            call = self.draw(st.sampled_from(self.made))
        else:
            call = self.function('async' if kind in {'scheme', 'again'} else kind, depth)
            self.made.append(call)
            self.generators += [call] if kind.endswith('yield') else []
        more = {'use_cache': self.draw(st.sampled_from([True, True, True, False]))}
        if not (self.scope and call in self.generators) and self.draw(st.booleans()):
            return Security(call, scopes=self.draw(st.sampled_from([[], ['read'], ['read', 'all']])), **more)
        if self.scope and call in self.generators:
            more['scope'] = self.scope
        return Depends(call, **more)

    def function(self, kind, depth):
        """A dependency that notes what it gets, and raises if it is the one that is to."""
        self.count += 1
        number = self.count
        below = [self.dependency(depth - 1) for _ in range(self.draw(st.integers(0, 2)))] if depth else []
        taken = SIMPLE if self.is_simple else TAKEN
        names = self.draw(st.lists(st.sampled_from(sorted(taken)), max_size=2, unique=True))
        annotations = {f'below{at}': Annotated[object, it] for at, it in enumerate(below)}
        annotations |= {name: taken[name] for name in names}

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

        made = of_source(kind, annotations, note=note, end=end)
        return partial(made) if kind == 'partial' else made

    def may_raise(self, number, place):
        """Raise what this dependency is to raise in this place, if it is to."""
        if self.raising is not None and self.raising[:2] == (number, place):
            error = self.raising[2]()
            raise error


def of_source(kind, annotations, **names):
    """A dependency of this kind, whose parameters have these annotations."""
    parameters = ', '.join(f'{name}: annotations[{name!r}]' for name in annotations)
    given = '{' + ', '.join(f'{name!r}: {name}' for name in annotations) + '}'
    namespace = names | {'annotations': annotations, 'sleep': asyncio.sleep, 'assert_in_thread': assert_in_thread}
    exec(SOURCES[kind].format(parameters=parameters, given=given), namespace)  # noqa: S102, it is ours
    return namespace['made']


def assert_in_thread():
    assert threading.current_thread() is not threading.main_thread()


def shown(value):
    """A value as any process shows it."""
    if isinstance(value, HTTPConnection | Response | BackgroundTasks):
        return type(value).__name__
    return value.scopes if isinstance(value, SecurityScopes) else str(value)


def app_of(tree, guards, *, is_cached=True):
    """An app with a route behind these guards."""
    app, router = FastAPI(), APIRouter(route_class=CachingRoute) if is_cached else APIRouter()

    @app.exception_handler(RefusedError)
    async def refused(request, error):
        return JSONResponse({'refused': request.url.path, 'body': (await request.body()).decode()}, 418)

    @app.exception_handler(ValueError)
    def odd(request, error):
        assert_in_thread()
        return JSONResponse({'odd': str(error)}, 400)

    @app.exception_handler(RequestValidationError)
    async def invalid(request, error):
        errors = [{**it, 'ctx': str(it.get('ctx'))} for it in error.errors()]
        body = {'errors': errors, 'body': error.body, 'number': len(errors)}
        # FastAPI remembers where an endpoint stands by its `id`, which another one may have had before.
        return JSONResponse(body | {'shown': str(error).partition('\n\n  File ')[0]}, 422)

    async def endpoint():
        tree.log.append('endpoint')
        return {'id': 1}

    if is_cached:
        key = {'key_builder': lambda _: 'one'} if tree.has_one_key else {'identity': 'shared'}
        endpoint = FastAPICache(clock=Clock())(ttl=60, **key)(endpoint)
    router.api_route('/items', methods=['GET', 'HEAD'], dependencies=guards[len(guards) // 2 :])(endpoint)
    app.include_router(router, dependencies=guards[: len(guards) // 2])
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
